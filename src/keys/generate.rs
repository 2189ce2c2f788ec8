//! Keys that the server invents — DASH-IF CPIX 2.3 §4.4: its usage rules say which tracks they are for.

use crate::base::{Error, Kid, Result};
use crate::cpix::{AudioFilter, ContentKeyUsageRule, Document, VideoFilter};

/// Gives the keys of `answer` to the keys that `request` wants: by `intendedTrackType`, else by filters.
///
/// The result has the usage rules of the request, so that it reads as the answer to it.
///
/// # Errors
/// [`Kind::Keys`](crate::base::Kind::Keys) when no key, or the same one as for other tracks, is for a
/// track that is to be protected.
pub(super) fn assign(request: &Document, mut answer: Document) -> Result<Document> {
    let mut given: Vec<(Kid, String)> = Vec::new();
    let mut rules = Vec::new();
    for wanted in &request.usage_rules {
        let track_type = wanted.intended_track_type.clone().unwrap_or_default();
        let found = rule_for(wanted, &answer)?;
        if let Some((_, other)) = given.iter().find(|(kid, _)| *kid == found.kid) {
            return Err(Error::keys(format!(
                "the server made one key {} for {other} and {track_type}, wanted is one each",
                found.kid
            ))
            .hint("choose presets that divide tracks as the ingest configuration does"));
        }
        given.push((found.kid, track_type));
        rules.push(ContentKeyUsageRule { kid: found.kid, ..wanted.clone() });
    }
    answer.usage_rules = rules;
    Ok(answer)
}

/// The rule of the answer for the tracks of a wanted rule; of several that match the last one counts.
fn rule_for<'a>(wanted: &ContentKeyUsageRule, answer: &'a Document) -> Result<&'a ContentKeyUsageRule> {
    let name = wanted.intended_track_type.as_deref().unwrap_or_default();
    let usable = || answer.usage_rules.iter().filter(|rule| rule.other_filters.is_empty());
    let by_name = usable().rfind(|rule| {
        rule.intended_track_type.as_ref().is_some_and(|found| found.eq_ignore_ascii_case(name))
    });
    by_name.or_else(|| usable().rfind(|rule| covers(rule, wanted))).ok_or_else(|| {
        let known: Vec<_> = answer
            .usage_rules
            .iter()
            .map(|rule| rule.intended_track_type.clone().unwrap_or_else(|| rule.kid.to_string()))
            .collect();
        Error::keys(format!("no key for {name}, the server made keys for {}", known.join(", ")))
            .clause("DASH-IF CPIX 2.3 §4.4")
            .hint("choose presets that divide tracks as the ingest configuration does")
    })
}

/// Whether every track of `wanted` is under `rule`.
fn covers(rule: &ContentKeyUsageRule, wanted: &ContentKeyUsageRule) -> bool {
    let video = |wanted: &VideoFilter| {
        let within = |filter: &VideoFilter| {
            contains((filter.min_pixels, filter.max_pixels), (wanted.min_pixels, wanted.max_pixels))
        };
        rule.video_filters.iter().any(within)
    };
    let audio = |wanted: &AudioFilter| {
        let within = |filter: &AudioFilter| {
            contains((filter.min_channels, filter.max_channels), (wanted.min_channels, wanted.max_channels))
        };
        rule.audio_filters.iter().any(within)
    };
    wanted.video_filters.iter().all(video) && wanted.audio_filters.iter().all(audio)
}

/// Whether a range of inclusive bounds lies within another.
fn contains(outer: (Option<u32>, Option<u32>), inner: (Option<u32>, Option<u32>)) -> bool {
    let bounds = |(min, max): (Option<u32>, Option<u32>)| (min.unwrap_or(0), max.unwrap_or(u32::MAX));
    let ((outer_min, outer_max), (inner_min, inner_max)) = (bounds(outer), bounds(inner));
    outer_min <= inner_min && inner_max <= outer_max
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::FourCc;
    use crate::keys::{Wanted, request};

    /// A document with a rule for each of these: track type, bounds of pixels, or of channels.
    fn document(first: u8, rules: &[(&str, char, Option<u32>, Option<u32>)]) -> Document {
        let wanted: Vec<_> = rules
            .iter()
            .zip(first..)
            .map(|((track_type, side, min, max), byte)| Wanted {
                id: None,
                kid: Kid::new([byte; 16]),
                explicit_iv: None,
                track_type: (*track_type).to_owned(),
                video: (*side == 'v').then_some(VideoFilter {
                    min_pixels: *min,
                    max_pixels: *max,
                    ..VideoFilter::default()
                }),
                audio: (*side == 'a').then_some(AudioFilter { min_channels: *min, max_channels: *max }),
            })
            .collect();
        request("content", Some(FourCc(*b"cbcs")), &wanted, Vec::new())
    }

    fn server() -> Document {
        document(
            0xa0,
            &[("SD", 'v', None, Some(500)), ("HD", 'v', Some(501), None), ("SOUND", 'a', None, None)],
        )
    }

    fn given(wanted: &Document) -> Result<Vec<u8>> {
        let answer = assign(wanted, server())?;
        Ok(answer.usage_rules.iter().map(|rule| rule.kid.bytes()[0]).collect())
    }

    #[test]
    fn keys_go_to_tracks_by_name_and_else_by_filters() {
        let by_name = document(1, &[("HD", 'v', None, None), ("SD", 'v', None, None)]);
        assert_eq!(given(&by_name).unwrap(), [0xa1, 0xa0]);
        let by_filters = document(
            1,
            &[
                ("VIDEO_1", 'v', Some(900), Some(900)),
                ("VIDEO_2", 'v', Some(500), Some(500)),
                ("AUDIO_1", 'a', Some(2), Some(2)),
            ],
        );
        assert_eq!(given(&by_filters).unwrap(), [0xa1, 0xa0, 0xa2]);
    }

    #[test]
    fn a_key_that_is_missing_or_shared_is_told() {
        let all = document(1, &[("VIDEO", 'v', None, None)]);
        let error = given(&all).unwrap_err().to_string();
        assert!(error.contains("no key for VIDEO, the server made keys for SD, HD, SOUND"), "{error}");
        let two =
            document(1, &[("VIDEO_1", 'v', Some(900), Some(900)), ("VIDEO_2", 'v', Some(800), Some(800))]);
        let error = given(&two).unwrap_err().to_string();
        assert!(error.contains("one key a1a1a1a1") && error.contains("VIDEO_1 and VIDEO_2"), "{error}");
        let mut server = server();
        server.usage_rules.iter_mut().for_each(|rule| rule.other_filters.push("LabelFilter".to_owned()));
        assert!(assign(&two, server).is_err());
    }
}
