//! Which title it is: a content id that every title would have gives all of them one key.

use crate::base::{Error, Result, shown_input};
use crate::job::Job;
use crate::presentation::kind_of_name;

use super::args::KeyArgs;
use super::output::note;

/// Names that manifests have whatever the title; digits and what joins them may follow.
const OF_ANY_TITLE: &[&str] = &[
    "manifest",
    "master",
    "index",
    "stream",
    "playlist",
    "main",
    "media",
    "multivariant",
    "variant",
    "output",
    "out",
    "video",
    "audio",
    "hls",
    "dash",
    "live",
    "vod",
    "prog_index",
    "chunklist",
    "default",
    "adaptive",
    "mpd",
    "m3u8",
];

/// Checks that a key server is told a title's own name.
///
/// # Errors
/// [`Kind::Usage`](crate::base::Kind::Usage) when it is a manifest whose name says nothing.
pub(super) fn check(job: &Job, keys: &KeyArgs) -> Result<()> {
    let at_hand = keys.cpix.is_some() || keys.key_file.is_some() || keys.dev_keys.is_some();
    if job.resource_id.is_some() || at_hand {
        return Ok(());
    }
    let input = shown_input(job.title_input());
    let name = input.rsplit(['/', '\\']).next().unwrap_or_default();
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    if kind_of_name(&input).is_none() || !is_of_any_title(stem) {
        note(&format!(
            "warning: no --resource-id: {stem:?} serves, and titles of one name would share their keys"
        ));
        return Ok(());
    }
    Err(Error::usage(format!("the content id would be {stem:?}, as of every title whose manifest is {name}: all would share one key"))
        .hint("name the title with --resource-id, such as --resource-id movie-42"))
}

fn is_of_any_title(stem: &str) -> bool {
    let word = stem.to_ascii_lowercase();
    let word = word.trim_end_matches(|c: char| c.is_ascii_digit() || "-_. ".contains(c));
    word.is_empty() || OF_ANY_TITLE.contains(&word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_any_title_is_none_of_a_title() {
        for name in ["manifest", "Master", "index_1", "stream0", "1", "prog_index", ""] {
            assert!(is_of_any_title(name), "{name}");
        }
        for name in ["movie-42", "manifesto", "film", "index_of_films"] {
            assert!(!is_of_any_title(name), "{name}");
        }
    }
}
