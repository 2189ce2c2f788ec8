//! A job: what to do as plain data, the environment it runs in, and what happened — the DRM step of a pipeline.

mod choice;
mod dash;
mod decrypt;
mod decrypt_files;
mod env;
mod files;
mod folder;
mod hls;
mod identity;
mod journal;
mod manifests;
mod mp4;
mod mp4_files;
mod mp4_manifests;
mod mp4_timed;
mod named_files;
mod package;
mod parts;
mod plan;
mod report;
mod rules;
mod run;
mod stated;
mod streams;
mod weak_keys;
mod whole_segments;

pub use crate::package::FindIv;
pub use decrypt::{DecryptJob, decrypt};
pub use env::{Env, Event, Locate};
pub use journal::Journal;
pub use named_files::named_files;
pub use plan::{PlanReport, PlannedKeyReport, PlannedTrack, SignalReport, fetch_keys, plan};
pub use report::{KeyRotation, OutputReport, Report, TrackReport};
pub use rules::{Format, Job, Layout};
pub use run::run;
