//! The ISO base media file format — ISO/IEC 14496-12: a lossless box tree, typed views, fragment surgery.
//!
//! Nothing here knows what encryption is for: the syntax of every box, the meaning of none.

pub mod boxes;
pub mod file;
pub mod fragment;
pub mod quicktime;
mod sample_sizes;
pub mod samples;
pub mod track;
mod tree;
pub mod user_data;

pub use tree::{Body, BoxNode, MAX_DEPTH, container_fields, parse_file, write_file};
