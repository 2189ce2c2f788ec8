//! hls.
