//! Segments of elementary streams under SAMPLE-AES: MPEG-2 TS and packed audio — Apple, "MPEG-2 Stream Encryption
//! Format for HTTP Live Streaming".

pub(super) mod packed_audio;
pub(super) mod pes_stream;
pub(super) mod segment;
pub(super) mod ts_clear;
pub(super) mod ts_layout;
pub(super) mod ts_program;
pub(super) mod ts_segment;
pub(super) mod ts_table;
