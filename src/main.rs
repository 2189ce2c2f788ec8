//! The command `drm-pack`: a thin caller of the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    drm_pack::cli::main()
}
