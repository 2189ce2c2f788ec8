//! The rules of a job that encrypts whole segments — RFC 8216bis §4.4.4.4.

use std::time::Duration;

use crate::base::{Error, Result};
use crate::cpix::Document;
use crate::drm::{ManifestKind, template};
use crate::job::rules::{Job, WHOLE_SEGMENTS, check_limit, content_id, schedule, vector};
use crate::package::{KeyRule, Phase, Preset, Schedule};
use crate::presentation::kind_of_name;

/// Whether media initialization sections are encrypted as segments are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Maps {
    /// They are clear, so that no key may be in force where one is named.
    Clear,
    /// They are under the key of the segment behind them.
    Encrypted,
}

/// A job that encrypts whole segments and keeps the rules.
pub(super) struct WholeRules {
    pub(super) content_id: String,
    pub(super) vector: Option<[u8; 16]>,
    preset: Preset,
    pub(super) schedule: Schedule,
    pub(super) key_uri: String,
    pub(super) maps: Maps,
    max_substreams: Option<usize>,
}

impl WholeRules {
    /// Checks everything that can be known before the input is read.
    pub(super) fn check(job: &Job, document: Option<&Document>) -> Result<Self> {
        let refused = |what: &str| Error::usage(format!("--drm {WHOLE_SEGMENTS} with {what}"));
        let is_playlist = |input: &String| kind_of_name(input) == Some(ManifestKind::Hls);
        if job.inputs.len() != 1 || !job.inputs.iter().all(is_playlist) {
            return Err(refused("an input that is not one playlist")
                .clause("RFC 8216bis §4.4.4.4")
                .hint("whole segments are encrypted in HLS only: give the .m3u8 by its name"));
        }
        if job.scheme.is_some() || job.formats.is_some() || job.layout.is_some() {
            return Err(refused("--scheme, --format or --layout").hint("it has none of these"));
        }
        if job.video_preset.is_some() || job.audio_preset.is_some() {
            return Err(refused("a contract").hint("give --preset"));
        }
        let key_uri = job.key_uri.clone().ok_or_else(|| {
            refused("no key URI")
                .hint("give --key-uri with the address at which players get the key, or --write-key-file")
        })?;
        template::check(&key_uri)?;
        Ok(Self {
            content_id: content_id(job, document)?,
            vector: vector(job)?,
            preset: job.preset,
            schedule: schedule(job)?,
            key_uri,
            maps: if job.encrypt_init { Maps::Encrypted } else { Maps::Clear },
            max_substreams: job.max_substreams,
        })
    }

    /// The rule for keys, and whether the operator named it.
    pub(super) fn key_rule(&self) -> (KeyRule, bool) {
        (KeyRule::Preset(self.preset), self.preset != Preset::Auto)
    }

    /// Checks what depends on the playlists, before any key is fetched.
    pub(super) fn check_keys(&self, substreams: usize, keys: usize) -> Result<()> {
        check_limit(self.max_substreams, substreams)?;
        if keys > 1 && !template::is_per_key(&self.key_uri)? {
            return Err(
                Error::usage(format!("one key URI for {keys} keys")).hint("use {kid} in the template")
            );
        }
        Ok(())
    }

    /// What protects the segment of this number that begins after so many seconds.
    pub(super) fn phase(&self, number: u32, begins: f64) -> Phase {
        let elapsed = Duration::try_from_secs_f64(begins).unwrap_or(Duration::MAX);
        let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        self.schedule.phase(number, milliseconds, 1000)
    }
}
