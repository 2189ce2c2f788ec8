//! Options that would do nothing to these inputs: whoever types one expects something of it.

use crate::base::{Error, ManifestKind, Result, is_http};
use crate::presentation::kind_of_name;

use super::args::JobArgs;

/// Refuses an option that has no effect on these inputs.
///
/// # Errors
/// [`Kind::Usage`](crate::base::Kind::Usage).
pub(super) fn check(inputs: &[String], drm: &str, args: &JobArgs) -> Result<()> {
    if inputs.is_empty() {
        return Ok(());
    }
    let is_package = inputs.iter().any(|input| kind_of_name(input).is_some());
    let of_package = || inputs.iter().any(|input| kind_of_name(input) == Some(ManifestKind::Hls));
    let of_files = || args.format.as_deref().is_none_or(|formats| formats.contains("hls"));
    let has_playlists = if is_package { of_package() } else { of_files() };
    let has_fairplay = drm.split(['+', ',']).any(|word| matches!(word.trim(), "fairplay" | "other"));
    let rows = [
        (args.segment_duration.is_some() && is_package, "--segment-duration", "a package keeps its segments"),
        (args.trick_play && is_package, "--trick-play", "a package keeps its segments"),
        (args.thumbnails.is_some() && is_package, "--thumbnails", "a package keeps its thumbnails"),
        (args.allow_full_sample && is_package, "--allow-full-sample", "it is for MP4 inputs"),
        (args.skd_template.is_some() && !has_fairplay, "--skd-template", "it is for --drm fairplay"),
        (args.no_session_keys && !has_playlists, "--no-session-keys", "it is for multivariant playlists"),
        (
            args.follow_links && inputs.iter().all(|input| is_http(input)),
            "--follow-links",
            "addresses have no links",
        ),
    ];
    match rows.into_iter().find(|(is_idle, ..)| *is_idle) {
        Some((_, option, why)) => Err(Error::usage(format!("{option} has no effect on these inputs"))
            .hint(format!("leave it out: {why}"))),
        None => Ok(()),
    }
}
