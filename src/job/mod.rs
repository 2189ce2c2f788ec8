//! A job: what to do as plain data, the environment it runs in, and what happened — the DRM step of a pipeline.

mod choice;
mod decrypt;
mod digests;
mod dual_scheme;
mod env;
mod folder;
mod identity;
mod journal;
mod key_exchange;
mod mp4;
mod named_files;
mod package;
mod plan;
mod report;
mod rules;
mod run;
mod subfolder;
mod track_facts;
mod weak_keys;

pub use decrypt::{DecryptJob, decrypt};
pub use digests::add_digests;
pub use env::{Env, Event, OpenInput};
pub use journal::Journal;
pub(crate) use mp4::key_frames::mend as mend_key_frames;
pub(crate) use mp4::movie::to_iso;
pub use mp4::names::NameTemplates;
pub use mp4::thumbnails::Thumbnails;
pub use named_files::named_files;
pub use plan::{ClearTrack, PlanReport, PlannedKeyReport, PlannedTrack, SignalReport, fetch_keys, plan};
pub(crate) use report::joined;
pub use report::{KeyRotation, OutputReport, Report, TrackReport};
pub use rules::{CLEAR_LEAD_SECONDS, Format, Job, Layout, SEGMENT_SECONDS, check_drm, parse_clear};
pub use run::run;
pub use track_facts::TrackFacts;
