//! What scenarios share: media, folders, jobs, demultiplexers, an independent reader of slice headers.

pub(crate) mod case;
pub(crate) mod ffmpeg_trace;
pub(crate) mod files;
pub(crate) mod hevc_stream;
pub(crate) mod key_server;
pub(crate) mod media;
pub(crate) mod pack;
pub(crate) mod ts;
pub(crate) mod ts_build;
