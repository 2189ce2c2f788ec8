//! Usage rules to tracks: which content key a track gets — DASH-IF CPIX 2.3 §4, SPEKE 2.0.

use std::collections::HashSet;

use super::document::{AudioFilter, BitrateFilter, ContentKeyUsageRule, Document, VideoFilter};
use crate::base::{Error, Kid, Result};

const CLAUSE: &str = "DASH-IF CPIX 2.3 §4, ContentKeyUsageRule";
/// Before CPIX 2.3, which names its version, bit rates were in Mb/s; no track has fewer bits per second.
const LEAST_BITS_PER_SECOND: u64 = 1000;
/// Most rules that an error names.
const MAX_RULES_SHOWN: usize = 8;

/// What is done where SPEKE and CPIX differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strictness {
    /// The last rule that matches wins, with a warning; a rule with video and audio filters means either.
    #[default]
    Speke,
    /// Two rules with different keys are an error; a rule with video and audio filters matches nothing.
    Cpix,
}

/// What is known of a track.
#[derive(Clone, Debug)]
pub struct Track {
    /// Its name in messages.
    pub name: String,
    /// What it carries.
    pub media: Media,
    /// Bits per second.
    pub bitrate: Option<u64>,
    /// Labels that were agreed on out of band.
    pub labels: Vec<String>,
    /// `ContentKeyPeriod/@id` of the period.
    pub period: Option<String>,
}

/// What a track carries; what is `None` is not known.
#[derive(Clone, Debug)]
pub enum Media {
    /// Pictures.
    Video {
        /// Width × height.
        pixels: Option<u32>,
        /// High dynamic range.
        hdr: Option<bool>,
        /// Wide color gamut.
        wcg: Option<bool>,
        /// Pictures per second.
        fps: Option<f64>,
    },
    /// Sound.
    Audio {
        /// Number of channels.
        channels: Option<u32>,
    },
    /// Subtitles, say.
    Other,
}

/// The key of each track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// Key ids in the order of the tracks.
    pub kids: Vec<Kid>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// Finds the key of every track by the usage rules.
///
/// # Errors
/// [`Kind::Keys`](crate::base::Kind::Keys), with the track and the rules, when there is no rule at all, when none
/// matches a track, when several do (in [`Strictness::Cpix`]), and when the rule's key is not in the document.
pub fn resolve(document: &Document, tracks: &[Track], strictness: Strictness) -> Result<Resolution> {
    let mut warnings = Vec::new();
    let mut kids = Vec::new();
    for track in tracks {
        let kid = resolve_one(document, track, strictness, &mut warnings)
            .map_err(|error| error.at(format_args!("track {}", track.name)))?;
        kids.push(kid);
    }
    let roots = document.content_keys.iter().filter_map(|leaf| leaf.depends_on_key);
    let of_rules = document.usage_rules.iter().map(|rule| rule.kid);
    let used: HashSet<Kid> = roots.chain(of_rules).chain(kids.iter().copied()).collect();
    for key in &document.content_keys {
        if !used.contains(&key.kid) {
            warnings.push(format!("content key {} is in no usage rule", key.kid));
        }
    }
    Ok(Resolution { kids, warnings })
}

fn resolve_one(
    document: &Document,
    track: &Track,
    strictness: Strictness,
    warnings: &mut Vec<String>,
) -> Result<Kid> {
    let rules = &document.usage_rules;
    if rules.is_empty() {
        return match document.content_keys.as_slice() {
            [only] if strictness == Strictness::Speke => {
                warnings.push(format!(
                    "track {}: no usage rule in the document, its only key {} is used",
                    track.name, only.kid
                ));
                Ok(only.kid)
            }
            keys => Err(Error::keys(format!("no usage rule in the document, which has {} keys", keys.len()))
                .clause(CLAUSE)),
        };
    }
    let verdicts: Vec<_> =
        rules.iter().map(|rule| (rule, verdict(document, rule, track, strictness))).collect();
    let matching: Vec<_> =
        verdicts.iter().filter(|(_, verdict)| verdict.is_ok()).map(|(rule, _)| *rule).collect();
    let Some(last) = matching.last() else {
        let reasons: Vec<_> = verdicts
            .iter()
            .take(MAX_RULES_SHOWN)
            .map(|(rule, verdict)| format!("{} ({})", named(rule), verdict.as_ref().err().map_or("", |s| s)))
            .collect();
        return Err(Error::keys(format!(
            "none of the {} usage rules matches {}: {}",
            rules.len(),
            facts(track),
            reasons.join(", ")
        ))
        .clause(CLAUSE));
    };
    if matching.iter().any(|rule| rule.kid != last.kid) {
        let names: Vec<_> = matching.iter().take(MAX_RULES_SHOWN).map(|rule| named(rule)).collect();
        let names = names.join(", ");
        if strictness == Strictness::Cpix {
            return Err(Error::keys(format!(
                "ambiguous: {} usage rules with different keys match {}: {names}",
                matching.len(),
                facts(track)
            ))
            .clause(CLAUSE));
        }
        warnings.push(format!(
            "track {}: {} usage rules match ({names}); the last one wins",
            track.name,
            matching.len()
        ));
    }
    if document.content_key(last.kid).is_none() {
        return Err(Error::keys(format!("the document has no content key for usage rule {}", named(last))));
    }
    Ok(last.kid)
}

/// A rule in messages.
fn named(rule: &ContentKeyUsageRule) -> String {
    match &rule.intended_track_type {
        Some(track_type) => format!("{track_type} of key {}", rule.kid),
        None => format!("that of key {}", rule.kid),
    }
}

/// A track in messages.
fn facts(track: &Track) -> String {
    let count = |count: &Option<u32>, what: &str| {
        count.map_or_else(String::new, |count| format!(" of {count} {what}"))
    };
    let mut text = match &track.media {
        Media::Video { pixels, .. } => format!("video{}", count(pixels, "pixels")),
        Media::Audio { channels } => format!("audio{}", count(channels, "channels")),
        Media::Other => "a track that is neither video nor audio".to_owned(),
    };
    if let Some(bitrate) = track.bitrate {
        text.push_str(&format!(" at {bitrate} b/s"));
    }
    text
}

/// Why a rule does not match, in words.
type Verdict = std::result::Result<(), String>;

/// Filters of one type are alternatives; each type must be satisfied.
fn verdict(
    document: &Document,
    rule: &ContentKeyUsageRule,
    track: &Track,
    strictness: Strictness,
) -> Verdict {
    if let Some(name) = rule.other_filters.first() {
        return Err(format!("{name} is not known"));
    }
    period(document, rule, track)?;
    if !rule.label_filters.is_empty() && !rule.label_filters.iter().any(|label| track.labels.contains(label))
    {
        return Err("has other labels".to_owned());
    }
    media(rule, track, strictness)?;
    let in_megabits = document.version.is_none();
    any(&rule.bitrate_filters, |filter| bitrate(filter, track, in_megabits))
}

/// Nothing is asked for, or one of the filters is satisfied; else the reason of the last.
fn any<T>(filters: &[T], verdict: impl Fn(&T) -> Verdict) -> Verdict {
    let mut result = Ok(());
    for filter in filters {
        result = verdict(filter);
        if result.is_ok() {
            break;
        }
    }
    result
}

fn period(document: &Document, rule: &ContentKeyUsageRule, track: &Track) -> Verdict {
    if rule.key_period_filters.is_empty() {
        return Ok(());
    }
    let only = match document.periods.as_slice() {
        [only] => only.id.as_ref(),
        _ => None,
    };
    match track.period.as_ref().or(only) {
        Some(period) if rule.key_period_filters.contains(period) => Ok(()),
        Some(_) => Err("is for another key period".to_owned()),
        None => Err("is for one of several key periods".to_owned()),
    }
}

fn media(rule: &ContentKeyUsageRule, track: &Track, strictness: Strictness) -> Verdict {
    let (has_video, has_audio) = (!rule.video_filters.is_empty(), !rule.audio_filters.is_empty());
    if has_video && has_audio && strictness == Strictness::Cpix {
        return Err("asks for video and audio at once".to_owned());
    }
    if !has_video && !has_audio {
        return match strictness {
            Strictness::Speke => track_type(rule, track),
            Strictness::Cpix => Ok(()),
        };
    }
    match &track.media {
        Media::Video { .. } if has_video => any(&rule.video_filters, |filter| video(filter, track)),
        Media::Audio { channels } if has_audio => any(&rule.audio_filters, |filter| audio(filter, *channels)),
        _ if has_video && has_audio => Err("is for video or audio".to_owned()),
        _ if has_video => Err("is for video".to_owned()),
        _ => Err("is for audio".to_owned()),
    }
}

/// Without a filter, SPEKE goes by the name: those of sound say so, `ALL` is for all.
fn track_type(rule: &ContentKeyUsageRule, track: &Track) -> Verdict {
    let Some(name) = rule.intended_track_type.as_ref().map(|name| name.to_ascii_uppercase()) else {
        return Ok(());
    };
    let for_audio = name.contains("AUDIO");
    match &track.media {
        _ if name == "ALL" => Ok(()),
        Media::Audio { .. } if for_audio => Ok(()),
        Media::Video { .. } if !for_audio => Ok(()),
        _ => Err("is for other tracks by its name".to_owned()),
    }
}

fn video(filter: &VideoFilter, track: &Track) -> Verdict {
    let Media::Video { pixels, hdr, wcg, fps } = &track.media else { return Err("is for video".to_owned()) };
    range("pixels", *pixels, filter.min_pixels, filter.max_pixels)?;
    for (name, asked, known) in [("dynamic range", filter.hdr, hdr), ("color gamut", filter.wcg, wcg)] {
        if asked.is_some() && *known != asked {
            return Err(if known.is_some() {
                format!("is for another {name}")
            } else {
                format!("asks for the {name}, which is not known")
            });
        }
    }
    if filter.min_fps.is_none() && filter.max_fps.is_none() {
        return Ok(());
    }
    let Some(fps) = *fps else { return Err("asks for the frame rate, which is not known".to_owned()) };
    // The lower bound is exclusive, the upper one inclusive.
    let above = filter.min_fps.is_none_or(|min| fps > f64::from(min));
    let below = filter.max_fps.is_none_or(|max| fps <= f64::from(max));
    if above && below { Ok(()) } else { Err("is for other frame rates".to_owned()) }
}

fn audio(filter: &AudioFilter, channels: Option<u32>) -> Verdict {
    range("channels", channels, filter.min_channels, filter.max_channels)
}

fn bitrate(filter: &BitrateFilter, track: &Track, in_megabits: bool) -> Verdict {
    let bits = |bound: Option<u64>| {
        bound.map(|bound| {
            let megabits = in_megabits && bound < LEAST_BITS_PER_SECOND;
            if megabits { bound.saturating_mul(1_000_000) } else { bound }
        })
    };
    range("bits per second", track.bitrate, bits(filter.min_bitrate), bits(filter.max_bitrate))
}

/// Both bounds are inclusive.
fn range<T: PartialOrd + Copy>(name: &str, value: Option<T>, min: Option<T>, max: Option<T>) -> Verdict {
    if min.is_none() && max.is_none() {
        return Ok(());
    }
    let Some(value) = value else { return Err(format!("asks for {name}, which are not known")) };
    if min.is_none_or(|min| value >= min) && max.is_none_or(|max| value <= max) {
        Ok(())
    } else {
        Err(format!("is for other numbers of {name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpix::{ContentKey, ContentKeyPeriod};

    fn kid(byte: u8) -> Kid {
        Kid::new([byte; 16])
    }

    fn document(rules: Vec<ContentKeyUsageRule>) -> Document {
        Document {
            content_keys: (1..=3).map(|byte| ContentKey::new(kid(byte))).collect(),
            usage_rules: rules,
            version: Some("2.3".to_owned()),
            ..Document::default()
        }
    }

    fn pixels(byte: u8, min: Option<u32>, max: Option<u32>) -> ContentKeyUsageRule {
        ContentKeyUsageRule {
            intended_track_type: Some(format!("R{byte}")),
            video_filters: vec![VideoFilter { min_pixels: min, max_pixels: max, ..VideoFilter::default() }],
            ..ContentKeyUsageRule::new(kid(byte))
        }
    }

    fn sound(byte: u8, min: Option<u32>, max: Option<u32>) -> ContentKeyUsageRule {
        ContentKeyUsageRule {
            audio_filters: vec![AudioFilter { min_channels: min, max_channels: max }],
            ..ContentKeyUsageRule::new(kid(byte))
        }
    }

    fn track(media: Media) -> Track {
        Track { name: "t".to_owned(), media, bitrate: None, labels: Vec::new(), period: None }
    }

    fn picture(pixels: u32) -> Track {
        track(Media::Video { pixels: Some(pixels), hdr: Some(false), wcg: None, fps: Some(25.0) })
    }

    fn stereo() -> Track {
        track(Media::Audio { channels: Some(2) })
    }

    fn one(document: &Document, track: Track, strictness: Strictness) -> std::result::Result<Kid, String> {
        resolve(document, &[track], strictness).map(|found| found.kids[0]).map_err(|error| error.to_string())
    }

    #[test]
    fn each_track_gets_the_key_of_the_rule_that_matches() {
        let rules = document(vec![
            pixels(1, None, Some(589_824)),
            pixels(2, Some(589_825), None),
            sound(3, None, Some(2)),
        ]);
        for strictness in [Strictness::Speke, Strictness::Cpix] {
            for (track, byte) in [(picture(589_824), 1), (picture(589_825), 2), (stereo(), 3)] {
                assert_eq!(one(&rules, track, strictness).unwrap(), kid(byte));
            }
            let error = one(&rules, track(Media::Audio { channels: Some(6) }), strictness).unwrap_err();
            assert!(error.starts_with("track t: none of the 3 usage rules matches audio of 6"), "{error}");
            assert!(error.contains("R1 of key 01010101"), "{error}");
            let error = one(&document(vec![]), stereo(), strictness).unwrap_err();
            assert!(error.starts_with("track t: no usage rule in the document"), "{error}");
        }
    }

    #[test]
    fn the_last_rule_wins_or_is_ambiguous() {
        let rules = document(vec![pixels(1, None, None), pixels(2, Some(2), None)]);
        let found = resolve(&rules, &[picture(3)], Strictness::Speke).unwrap();
        assert_eq!(found.kids, [kid(2)]);
        assert!(found.warnings[0].contains("2 usage rules match (R1 of key"), "{:?}", found.warnings);
        assert!(found.warnings[1].ends_with("is in no usage rule"), "{:?}", found.warnings);
        let error = one(&rules, picture(3), Strictness::Cpix).unwrap_err();
        assert!(error.starts_with("track t: ambiguous: 2 usage rules"), "{error}");
        assert_eq!(one(&rules, picture(1), Strictness::Cpix).unwrap(), kid(1));
        let same = document(vec![pixels(1, None, None), pixels(1, Some(2), None)]);
        assert_eq!(one(&same, picture(3), Strictness::Cpix).unwrap(), kid(1));
    }

    #[test]
    fn video_and_audio_at_once_is_either_in_speke_and_nothing_in_cpix() {
        let mut rule = pixels(1, None, None);
        rule.audio_filters.push(AudioFilter::default());
        let rules = document(vec![rule]);
        for track in [picture(1), stereo()] {
            assert_eq!(one(&rules, track.clone(), Strictness::Speke).unwrap(), kid(1));
            assert!(one(&rules, track, Strictness::Cpix).unwrap_err().contains("video and audio at once"));
        }
        assert!(one(&rules, track(Media::Other), Strictness::Speke).is_err());
    }

    #[test]
    fn a_rule_is_used_only_when_every_filter_is_decided() {
        let filter = |filter: VideoFilter| {
            document(vec![ContentKeyUsageRule {
                video_filters: vec![filter],
                ..ContentKeyUsageRule::new(kid(1))
            }])
        };
        for (asked, matches) in [
            (VideoFilter { hdr: Some(false), ..VideoFilter::default() }, true),
            (VideoFilter { hdr: Some(true), ..VideoFilter::default() }, false),
            (VideoFilter { wcg: Some(false), ..VideoFilter::default() }, false),
            (VideoFilter { min_fps: Some(24), max_fps: Some(25), ..VideoFilter::default() }, true),
            (VideoFilter { min_fps: Some(25), ..VideoFilter::default() }, false),
        ] {
            assert_eq!(
                one(&filter(asked.clone()), picture(1), Strictness::Cpix).is_ok(),
                matches,
                "{asked:?}"
            );
        }
        let mut unknown = pixels(1, None, None);
        unknown.other_filters.push("x".to_owned());
        assert!(
            one(&document(vec![unknown]), picture(1), Strictness::Speke)
                .unwrap_err()
                .contains("x is not known")
        );
        let unsized_ = track(Media::Video { pixels: None, hdr: None, wcg: None, fps: None });
        let sized = document(vec![pixels(1, Some(1), None)]);
        assert!(one(&sized, unsized_, Strictness::Speke).unwrap_err().contains("not known"));
    }

    #[test]
    fn labels_bit_rates_and_periods_are_filters() {
        let mut rule = ContentKeyUsageRule::new(kid(1));
        rule.label_filters = vec!["a".to_owned(), "b".to_owned()];
        rule.bitrate_filters = vec![BitrateFilter { min_bitrate: Some(2), max_bitrate: Some(3) }];
        rule.key_period_filters = vec!["p".to_owned()];
        let mut rules = document(vec![rule]);
        rules.periods = vec![ContentKeyPeriod { id: Some("p".to_owned()), ..ContentKeyPeriod::default() }];
        let mut track = Track { bitrate: Some(2_500_000), labels: vec!["b".to_owned()], ..stereo() };
        assert!(one(&rules, track.clone(), Strictness::Cpix).unwrap_err().contains("bits per second"));
        // Without a version the numbers are megabits.
        rules.version = None;
        assert!(one(&rules, track.clone(), Strictness::Cpix).is_ok());
        rules.periods.push(ContentKeyPeriod::default());
        assert!(one(&rules, track.clone(), Strictness::Cpix).unwrap_err().contains("several key periods"));
        track.period = Some("p".to_owned());
        assert!(one(&rules, track.clone(), Strictness::Cpix).is_ok());
        track.labels.clear();
        assert!(one(&rules, track, Strictness::Cpix).unwrap_err().contains("other labels"));
    }

    #[test]
    fn without_a_filter_speke_goes_by_the_name_and_a_root_key_needs_no_rule() {
        let named = |name: &str| ContentKeyUsageRule {
            intended_track_type: Some(name.to_owned()),
            ..ContentKeyUsageRule::new(kid(if name == "STEREO_AUDIO" { 2 } else { 1 }))
        };
        let mut rules = document(vec![named("HD"), named("STEREO_AUDIO")]);
        rules.content_keys[0].depends_on_key = Some(kid(3));
        let found = resolve(&rules, &[picture(1), stereo()], Strictness::Speke).unwrap();
        assert_eq!(found, Resolution { kids: vec![kid(1), kid(2)], warnings: Vec::new() });
        let mut lone = document(vec![]);
        lone.content_keys.truncate(1);
        assert_eq!(one(&lone, stereo(), Strictness::Speke).unwrap(), kid(1));
        assert!(one(&lone, stereo(), Strictness::Cpix).is_err());
        let missing = document(vec![pixels(9, None, None)]);
        assert!(one(&missing, picture(1), Strictness::Speke).unwrap_err().contains("no content key"));
    }
}
