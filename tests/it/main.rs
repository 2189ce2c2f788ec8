//! The laws and scenarios of the project over real files, in one binary.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may stop at once and say why"
)]

mod answers;
mod av1_headers;
mod aws_reference;
mod base_urls;
mod bit_flips;
mod camera_files;
mod channels;
mod clear_lead;
mod clear_ranges;
mod codec_strings;
mod contract;
mod contradictions;
mod coverage;
mod cpix;
mod damaged_tables;
mod dash_constructs;
mod decrypt_segments;
mod decrypt_styles;
mod demux;
mod demux_facts;
mod dialects;
mod dual_scheme;
mod errors;
mod full_sample;
mod fuzz;
mod hevc_slice_headers;
mod hls_and_dash;
mod hls_constructs;
mod http_input;
mod identity;
mod inspect;
mod iv_law;
#[cfg(feature = "server")]
mod key_frames;
mod key_server;
mod ladder_checks;
mod ladder_containers;
mod ladders;
mod large_inputs;
mod laws;
mod lost_signaling;
mod matroska_forms;
mod missing_keys;
mod mp4_layouts;
mod mutation_law;
mod muxer_slips;
mod one_media;
mod open_groups;
mod output_folder;
#[cfg(target_os = "linux")]
mod outside;
mod per_segment;
mod presentation;
mod purposes;
mod remedies;
mod resume;
mod robustness;
mod root_option;
mod rotation;
mod rules;
#[cfg(feature = "server")]
mod served_signaling;
#[cfg(feature = "server")]
mod server;
mod signaling;
mod signed;
mod slice_headers;
mod spatial;
mod streams;
mod support;
mod tails;
mod taken_along;
mod thumbnails;
mod times;
mod trick_play;
mod ts;
mod ts_damage;
mod ts_edges;
mod ts_metadata;
mod ts_pictures;
mod ts_tables;
mod turned;
mod vendors;
mod verify;
mod verify_hls;
mod video_range;
mod vp9_headers;
mod whole_segment_keys;
mod whole_segments;
mod wrong_keys;
