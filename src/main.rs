//! The command `drm-pack`: a thin caller of the library.

fn main() {}
