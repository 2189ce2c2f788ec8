//! Usage rules to tracks: which content key a track gets — DASH-IF CPIX 2.3 §4, SPEKE 2.0.

use std::collections::HashSet;
use std::fmt::Display;

use super::document::{AudioFilter, BitrateFilter, ContentKeyUsageRule, Document, VideoFilter};
use super::track_types::{Class, Classes};
use crate::base::{Error, Kid, Result, short_word};

const CLAUSE: &str = "DASH-IF CPIX 2.3 §4, ContentKeyUsageRule";
/// Before CPIX 2.3, which names its version, bit rates were in Mb/s; no track has fewer bits per second.
const LEAST_BITS_PER_SECOND: u64 = 1000;
/// Most rules that an error names.
const MAX_RULES_SHOWN: usize = 8;
/// Most reasons why a rule is for no track.
const MAX_REASONS_SHOWN: usize = 3;

/// What is done where SPEKE and CPIX differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strictness {
    /// The last rule that matches wins, with a warning; a rule with video and audio filters means either.
    #[default]
    Speke,
    /// Two rules with different keys are an error, and so are a rule and a period for nobody; a rule with video and audio
    /// filters matches nothing.
    Cpix,
    /// The lines of a key file: the id of a track wins over another label and that over a class; two of one rank with
    /// different keys are an error, and so is a label for nobody. For the rest it is as with SPEKE.
    KeyFile,
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
    /// Video.
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
    /// Audio.
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

/// Finds the key of every track by the usage rules; the tracks are those of the whole presentation, each in every key
/// period.
///
/// # Errors
/// [`Kind::Keys`](crate::base::Kind::Keys), with the track and the rules, when there is no rule at all, when none
/// matches a track, when several do (in [`Strictness::Cpix`]), when it is not known whether another one does, when a rule
/// is for nobody (as [`Strictness`] says), and when the rule's key is not in the document.
pub fn resolve(document: &Document, tracks: &[Track], strictness: Strictness) -> Result<Resolution> {
    check_periods(document)?;
    let mut rules = Rules::of(document, strictness);
    let mut warnings: Vec<String> = Vec::new();
    let kids = tracks.iter().map(|track| rules.kid_of(track, &mut warnings)).collect::<Result<Vec<_>>>()?;
    rules.for_nobody(tracks, &mut warnings)?;
    let roots = document.content_keys.iter().filter_map(|leaf| leaf.depends_on_key);
    let named = document.usage_rules.iter().map(|rule| rule.kid);
    let known: HashSet<Kid> = roots.chain(named).chain(kids.iter().copied()).collect();
    let unknown = document.content_keys.iter().filter(|key| !known.contains(&key.kid));
    warnings.extend(unknown.map(|key| format!("content key {} is in no usage rule", key.kid)));
    let mut said = HashSet::new();
    warnings.retain(|warning| said.insert(warning.clone()));
    Ok(Resolution { kids, warnings })
}

/// Checks that every key period that a rule is for is in the document.
fn check_periods(document: &Document) -> Result<()> {
    let known: HashSet<&str> = document.periods.iter().filter_map(|period| period.id.as_deref()).collect();
    for rule in &document.usage_rules {
        if let Some(id) = rule.key_period_filters.iter().find(|id| !known.contains(id.as_str())) {
            return Err(Error::keys(format!(
                "usage rule {} is for key period {:?}, which is not in the document's ContentKeyPeriodList of {}",
                named(rule),
                short_word(id),
                known.len()
            ))
            .clause("DASH-IF CPIX 2.3 §4, KeyPeriodFilter@periodId")
            .hint("correct the periodId, or add the ContentKeyPeriod"));
        }
    }
    Ok(())
}

/// The usage rules of a document.
struct Rules<'a> {
    document: &'a Document,
    classes: Classes,
    strictness: Strictness,
    /// Which rules match a track.
    used: Vec<bool>,
}

impl<'a> Rules<'a> {
    fn of(document: &'a Document, strictness: Strictness) -> Self {
        let used = vec![false; document.usage_rules.len()];
        Self { document, classes: Classes::of(&document.usage_rules), strictness, used }
    }

    fn kid_of(&mut self, track: &Track, warnings: &mut Vec<String>) -> Result<Kid> {
        self.resolve(track, warnings).map_err(|error| {
            let error = error.at(format_args!("track {}", track.name));
            match &track.period {
                Some(period) => error.at(format_args!("key period {:?}", short_word(period))),
                None => error,
            }
        })
    }

    fn resolve(&mut self, track: &Track, warnings: &mut Vec<String>) -> Result<Kid> {
        let rules = &self.document.usage_rules;
        if rules.is_empty() {
            return self.without_rules(track, warnings);
        }
        let (mut matching, mut undecided) = (Vec::new(), Vec::new());
        for (number, rule) in rules.iter().enumerate() {
            match self.verdict(rule, track) {
                Ok(()) => {
                    matching.push(rule);
                    self.used.get_mut(number).into_iter().for_each(|used| *used = true);
                }
                Err(Miss { reason, is_known: false }) => undecided.push((rule, reason)),
                Err(_) => {}
            }
        }
        let rank = matching.iter().map(|rule| self.rank(rule, track)).max().unwrap_or_default();
        matching.retain(|rule| self.rank(rule, track) == rank);
        undecided.retain(|(rule, _)| self.rank(rule, track) >= rank);
        let Some(last) = matching.last() else { return Err(self.no_match(track)) };
        let kid = if matching.iter().all(|rule| rule.kid == last.kid) {
            last.kid
        } else {
            self.one_of(&matching, track, warnings)?
        };
        if let Some((rule, reason)) = undecided.iter().find(|(rule, _)| rule.kid != kid) {
            return Err(Error::keys(format!(
                "usage rule {} matches {}, and whether {} does cannot be told: it {reason}",
                named(last),
                facts(track),
                named(rule)
            ))
            .clause(CLAUSE)
            .hint(SAY_IT));
        }
        if self.document.content_key(kid).is_none() {
            let rule = matching.iter().rfind(|rule| rule.kid == kid).copied().unwrap_or(last);
            return Err(Error::keys(format!(
                "the document has no content key for usage rule {}",
                named(rule)
            )));
        }
        Ok(kid)
    }

    /// Of the lines of a key file, the ones that say more exactly whom they are for.
    fn rank(&self, rule: &ContentKeyUsageRule, track: &Track) -> u8 {
        match self.strictness {
            Strictness::KeyFile if rule.label_filters.contains(&track.name) => 2,
            Strictness::KeyFile if !rule.label_filters.is_empty() => 1,
            _ => 0,
        }
    }

    /// What is done about rules that match no track; those of key periods that are not used are not meant.
    fn for_nobody(&self, tracks: &[Track], warnings: &mut Vec<String>) -> Result<()> {
        let rules = self.document.usage_rules.iter().zip(&self.used);
        let idle: Vec<_> = rules
            .filter(|(_, used)| !**used)
            .map(|(rule, _)| rule)
            .filter(|rule| tracks.iter().any(|track| period(self.document, rule, track).is_ok()))
            .collect();
        if idle.is_empty() {
            return Ok(());
        }
        // A ladder has classes that a title may lack; a name that nothing has is a mistake.
        let is_name = |rule: &&ContentKeyUsageRule| !rule.label_filters.is_empty();
        let wrong = match self.strictness {
            Strictness::Speke => None,
            Strictness::Cpix => idle.first().copied(),
            Strictness::KeyFile => idle.iter().copied().find(is_name),
        };
        if let Some(rule) = wrong {
            let known: HashSet<&str> = tracks.iter().map(|track| track.name.as_str()).collect();
            let mut known: Vec<_> = known.into_iter().collect();
            known.sort_unstable();
            let hint = match self.strictness {
                Strictness::KeyFile => {
                    format!("correct the label or take the line out; tracks are {}", known.join(", "))
                }
                _ => format!(
                    "correct the rule, take it out, or leave out --strict; tracks are {}",
                    known.join(", ")
                ),
            };
            return Err(Error::keys(self.idle(rule, tracks)).clause(CLAUSE).hint(hint));
        }
        let shown: Vec<_> = idle.iter().take(MAX_RULES_SHOWN).map(|rule| self.idle(rule, tracks)).collect();
        let more = idle.len().saturating_sub(shown.len());
        let more = if more > 0 { format!("; {more} more") } else { String::new() };
        warnings.push(format!("{}{more}", shown.join("; ")));
        Ok(())
    }

    fn idle(&self, rule: &ContentKeyUsageRule, tracks: &[Track]) -> String {
        let mut reasons: Vec<String> = Vec::new();
        for track in tracks {
            let reason =
                self.verdict(rule, track).err().map(|miss| format!("{}: it {}", track.name, miss.reason));
            reasons.extend(
                reason.filter(|reason| reasons.len() < MAX_REASONS_SHOWN && !reasons.contains(reason)),
            );
        }
        format!("usage rule {} is for no track: {}", named(rule), reasons.join("; "))
    }

    fn without_rules(&self, track: &Track, warnings: &mut Vec<String>) -> Result<Kid> {
        match self.document.content_keys.as_slice() {
            [only] if self.strictness != Strictness::Cpix => {
                warnings.push(format!(
                    "track {}: no usage rule in the document, its only key {} is used",
                    track.name, only.kid
                ));
                Ok(only.kid)
            }
            keys => Err(Error::keys(format!("no usage rule in the document, which has {} keys", keys.len()))
                .clause(CLAUSE)
                .hint("add a ContentKeyUsageRule for each key, or give the keys by label in a key file")),
        }
    }

    /// The key of one of several rules that match, with different keys. The type of a rule says what its filters
    /// leave open; beyond that the last rule wins.
    fn one_of(
        &self,
        matching: &[&ContentKeyUsageRule],
        track: &Track,
        warnings: &mut Vec<String>,
    ) -> Result<Kid> {
        let names: Vec<_> = matching.iter().take(MAX_RULES_SHOWN).map(|rule| named(rule)).collect();
        let names = names.join(", ");
        let remedy = match self.strictness {
            Strictness::Speke => None,
            Strictness::Cpix => Some(
                "narrow the filters so that one rule is left, or leave out --strict: then the last rule wins",
            ),
            Strictness::KeyFile => {
                Some("leave one of the lines out, or name the track in one of them, such as v1=")
            }
        };
        if let Some(remedy) = remedy {
            return Err(Error::keys(format!(
                "ambiguous: {} usage rules with different keys match {}: {names}",
                matching.len(),
                facts(track)
            ))
            .clause(CLAUSE)
            .hint(remedy));
        }
        let by_type: HashSet<Kid> = matching
            .iter()
            .filter(|rule| rule.intended_track_type.is_some() && self.track_type(rule, track).is_ok())
            .map(|rule| rule.kid)
            .collect();
        if let (1, Some(kid)) = (by_type.len(), by_type.into_iter().next()) {
            return Ok(kid);
        }
        warnings.push(format!(
            "track {}: {} usage rules match ({names}); the last one wins",
            track.name,
            matching.len()
        ));
        matching.last().map(|rule| rule.kid).ok_or_else(|| self.no_match(track))
    }

    /// No rule is for a track.
    fn no_match(&self, track: &Track) -> Error {
        let rules = &self.document.usage_rules;
        let reasons: Vec<_> = rules
            .iter()
            .take(MAX_RULES_SHOWN)
            .map(|rule| {
                let reason = self.verdict(rule, track).err().map(|miss| miss.reason).unwrap_or_default();
                format!("{} ({reason})", named(rule))
            })
            .collect();
        let is_undecided =
            rules.iter().any(|rule| self.verdict(rule, track).is_err_and(|miss| !miss.is_known));
        Error::keys(format!(
            "none of the {} usage rules matches {}: {}",
            rules.len(),
            facts(track),
            reasons.join(", ")
        ))
        .clause(CLAUSE)
        .hint(if is_undecided {
            SAY_IT
        } else {
            "add a rule for the track to the document, or leave the track out"
        })
    }

    /// Filters of one type are alternatives; each type must be satisfied.
    fn verdict(&self, rule: &ContentKeyUsageRule, track: &Track) -> Verdict {
        period(self.document, rule, track)?;
        if let Some(name) = rule.other_filters.first() {
            return no(format!("has a filter that is not known, {}", short_word(name)));
        }
        if !rule.label_filters.is_empty()
            && !rule.label_filters.iter().any(|label| track.labels.contains(label))
        {
            let labels =
                rule.label_filters.iter().map(|label| short_word(label)).collect::<Vec<_>>().join(", ");
            return no(format!("has other labels: {labels}"));
        }
        let in_megabits = self.document.version.is_none();
        all([
            self.media(rule, track),
            any(&rule.bitrate_filters, |filter| bitrate(filter, track, in_megabits)),
        ])
    }

    fn media(&self, rule: &ContentKeyUsageRule, track: &Track) -> Verdict {
        let (has_video, has_audio) = (!rule.video_filters.is_empty(), !rule.audio_filters.is_empty());
        if has_video && has_audio && self.strictness == Strictness::Cpix {
            return no("asks for video and audio at once");
        }
        if !has_video && !has_audio {
            // Labels and bit rates are filters too: the type says nothing that they leave open.
            let has_filter = !rule.label_filters.is_empty() || !rule.bitrate_filters.is_empty();
            return match self.strictness {
                Strictness::Cpix => Ok(()),
                _ if has_filter => self.side(rule, track),
                _ => self.track_type(rule, track),
            };
        }
        match &track.media {
            Media::Video { .. } if has_video => any(&rule.video_filters, |filter| video(filter, track)),
            Media::Audio { channels } if has_audio => {
                any(&rule.audio_filters, |filter| audio(filter, *channels))
            }
            _ if has_video && has_audio => no("is for video or audio"),
            _ if has_video => no("is for video"),
            _ => no("is for audio"),
        }
    }

    /// Whether a track is of the class that a rule's type names; a type that is not known is a label.
    fn track_type(&self, rule: &ContentKeyUsageRule, track: &Track) -> Verdict {
        let Some(name) = &rule.intended_track_type else { return Ok(()) };
        let (part, size, what) = match (self.classes.class(name), &track.media) {
            (Some(Class::All), _) => return Ok(()),
            (Some(Class::Video(part)), Media::Video { pixels, .. }) => (part, *pixels, "pixels"),
            (Some(Class::Audio(part)), Media::Audio { channels }) => (part, *channels, "channels"),
            (Some(_), _) => return no("is for other tracks by its type"),
            (None, _) if track.labels.iter().any(|label| label.eq_ignore_ascii_case(name)) => return Ok(()),
            (None, _) => return no("has a type that is no class and no label of the track"),
        };
        range(what, size, part.min, part.max)
    }

    /// Whether a rule is for video or audio as the track is, by its type if that says so.
    fn side(&self, rule: &ContentKeyUsageRule, track: &Track) -> Verdict {
        let class = rule.intended_track_type.as_ref().and_then(|name| self.classes.class(name));
        match (class, &track.media) {
            (Some(Class::Video(_)), Media::Audio { .. } | Media::Other)
            | (Some(Class::Audio(_)), Media::Video { .. } | Media::Other) => {
                no("is for other tracks by its type")
            }
            _ => Ok(()),
        }
    }
}

/// A rule in messages.
fn named(rule: &ContentKeyUsageRule) -> String {
    let id = rule.id.as_deref().map(|id| format!(" ({})", short_word(id))).unwrap_or_default();
    let name = rule.intended_track_type.as_ref().or_else(|| rule.label_filters.first());
    match name {
        Some(name) => format!("{} of key {}{id}", short_word(name), rule.kid),
        None => format!("(no type) of key {}{id}", rule.kid),
    }
}

/// A track in messages.
fn facts(track: &Track) -> String {
    let count = |count: &Option<u32>, what: &str| {
        count.map_or_else(String::new, |count| format!(" of {count} {what}"))
    };
    let mut text = match &track.media {
        Media::Video { pixels, hdr, .. } => {
            let range = if *hdr == Some(true) { "HDR video" } else { "video" };
            format!("{range}{}", count(pixels, "pixels"))
        }
        Media::Audio { channels } => format!("audio{}", count(channels, "channels")),
        Media::Other => "a track that is neither video nor audio".to_owned(),
    };
    if let Some(bitrate) = track.bitrate {
        text.push_str(&format!(" at {bitrate} b/s"));
    }
    text
}

/// What is to be done where a filter cannot be told.
const SAY_IT: &str = "say it in the manifest (VIDEO-RANGE and FRAME-RATE of HLS; CICP properties and @frameRate of DASH), in the \
                      media (colr), or by --track ID:bandwidth=; or take the filter out of the rule";

/// Why a rule does not match.
struct Miss {
    /// In words.
    reason: String,
    /// Whether it is known that it does not.
    is_known: bool,
}

/// Whether a rule matches.
type Verdict = std::result::Result<(), Miss>;

/// It does not.
fn no(reason: impl Into<String>) -> Verdict {
    Err(Miss { reason: reason.into(), is_known: true })
}

/// It cannot be told.
fn unknown(reason: impl Into<String>) -> Verdict {
    Err(Miss { reason: reason.into(), is_known: false })
}

/// All of it is asked for: what is known not to match decides before what is not known.
fn all(verdicts: impl IntoIterator<Item = Verdict>) -> Verdict {
    let mut result = Ok(());
    for miss in verdicts.into_iter().filter_map(Verdict::err) {
        if miss.is_known {
            return Err(miss);
        }
        result = Err(miss);
    }
    result
}

/// Nothing is asked for, or one of the filters is satisfied; else the reason of the last, of one that cannot be told if
/// there is one.
fn any<T>(filters: &[T], verdict: impl Fn(&T) -> Verdict) -> Verdict {
    let mut result = Ok(());
    for filter in filters {
        match (verdict(filter), &result) {
            (Ok(()), _) => return Ok(()),
            (Err(Miss { is_known: true, .. }), Err(Miss { is_known: false, .. })) => {}
            (miss, _) => result = miss,
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
        Some(_) => no("is for another key period"),
        None => no("is for one of several key periods"),
    }
}

fn video(filter: &VideoFilter, track: &Track) -> Verdict {
    let Media::Video { pixels, hdr, wcg, fps } = &track.media else { return no("is for video") };
    let of_two = |name: &str, asked: Option<bool>, known: Option<bool>| match (asked, known) {
        (None, _) => Ok(()),
        (Some(_), None) => unknown(format!("asks for the {name}, which is not known")),
        (asked, known) if asked == known => Ok(()),
        _ => no(format!("is for another {name}")),
    };
    all([
        range("pixels", *pixels, filter.min_pixels, filter.max_pixels),
        of_two("dynamic range", filter.hdr, *hdr),
        of_two("color gamut", filter.wcg, *wcg),
        frame_rate(filter, *fps),
    ])
}

fn frame_rate(filter: &VideoFilter, fps: Option<f64>) -> Verdict {
    if filter.min_fps.is_none() && filter.max_fps.is_none() {
        return Ok(());
    }
    let Some(fps) = fps else { return unknown("asks for the frame rate, which is not known") };
    // The lower bound is exclusive, the upper one inclusive.
    let above = filter.min_fps.is_none_or(|min| fps > f64::from(min));
    let below = filter.max_fps.is_none_or(|max| fps <= f64::from(max));
    if above && below { Ok(()) } else { no("is for other frame rates") }
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
fn range<T: PartialOrd + Copy + Display>(
    name: &str,
    value: Option<T>,
    min: Option<T>,
    max: Option<T>,
) -> Verdict {
    if min.is_none() && max.is_none() {
        return Ok(());
    }
    let Some(value) = value else { return unknown(format!("asks for {name}, which are not known")) };
    if min.is_none_or(|min| value >= min) && max.is_none_or(|max| value <= max) {
        Ok(())
    } else {
        no(format!("is for other numbers of {name}: {}", bounds(min, max)))
    }
}

fn bounds<T: Display>(min: Option<T>, max: Option<T>) -> String {
    match (min, max) {
        (Some(min), Some(max)) => format!("{min} to {max}"),
        (Some(min), None) => format!("{min} and more"),
        (None, Some(max)) => format!("up to {max}"),
        (None, None) => "any".to_owned(),
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

    fn audio(byte: u8, min: Option<u32>, max: Option<u32>) -> ContentKeyUsageRule {
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

    /// The key of one track, whether or not the other rules are for anyone.
    fn one(document: &Document, track: Track, strictness: Strictness) -> std::result::Result<Kid, String> {
        Rules::of(document, strictness).kid_of(&track, &mut Vec::new()).map_err(|error| error.to_string())
    }

    #[test]
    fn each_track_gets_the_key_of_the_rule_that_matches() {
        let rules = document(vec![
            pixels(1, None, Some(589_824)),
            pixels(2, Some(589_825), None),
            audio(3, None, Some(2)),
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
                .contains("a filter that is not known, x")
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
        let found = resolve(&rules, &[picture(921_600), stereo()], Strictness::Speke).unwrap();
        assert_eq!(found, Resolution { kids: vec![kid(1), kid(2)], warnings: Vec::new() });
        let mut lone = document(vec![]);
        lone.content_keys.truncate(1);
        assert_eq!(one(&lone, stereo(), Strictness::Speke).unwrap(), kid(1));
        assert!(one(&lone, stereo(), Strictness::Cpix).is_err());
        let missing = document(vec![pixels(9, None, None)]);
        assert!(one(&missing, picture(1), Strictness::Speke).unwrap_err().contains("no content key"));
    }

    #[test]
    fn a_rule_that_may_match_as_well_is_not_passed_over() {
        let hdr = |byte: u8, hdr| ContentKeyUsageRule {
            video_filters: vec![VideoFilter { hdr, ..VideoFilter::default() }],
            ..ContentKeyUsageRule::new(kid(byte))
        };
        let video = |hdr| track(Media::Video { pixels: Some(9), hdr, wcg: None, fps: None });
        let rules = document(vec![hdr(1, None), hdr(2, Some(true))]);
        for strictness in [Strictness::Speke, Strictness::Cpix] {
            let error = one(&rules, video(None), strictness).unwrap_err();
            assert!(error.contains("cannot be told: it asks for the dynamic range"), "{error}");
            assert_eq!(one(&rules, video(Some(false)), strictness).unwrap(), kid(1));
        }
        assert_eq!(one(&rules, video(Some(true)), Strictness::Speke).unwrap(), kid(2));
        // What is known not to match is no question, and neither is another rule of the same key.
        let mut large = hdr(2, Some(true));
        large.video_filters[0].min_pixels = Some(10);
        for rule in [large, hdr(1, Some(true))] {
            let rules = document(vec![hdr(1, None), rule]);
            assert_eq!(one(&rules, video(None), Strictness::Cpix).unwrap(), kid(1));
        }
        let error = one(&document(vec![hdr(2, Some(true))]), video(None), Strictness::Speke).unwrap_err();
        assert!(error.contains("which is not known") && error.contains("VIDEO-RANGE"), "{error}");
    }

    #[test]
    fn a_rule_for_nobody_is_said_and_refused_where_it_is_a_mistake() {
        let named = |byte: u8, label: &str| ContentKeyUsageRule {
            label_filters: vec![label.to_owned()],
            ..ContentKeyUsageRule::new(kid(byte))
        };
        let of = |strictness, rules| resolve(&document(rules), &[picture(3)], strictness);
        let text = "R2 of key 02020202-0202-0202-0202-020202020202 is for no track: t: it is for other numbers of pixels: 9";
        for strictness in [Strictness::Speke, Strictness::KeyFile] {
            let found = of(strictness, vec![pixels(1, None, None), pixels(2, Some(9), None)]).unwrap();
            assert_eq!(found.kids, [kid(1)]);
            assert!(found.warnings[0].contains(text), "{:?}", found.warnings);
        }
        let strict = of(Strictness::Cpix, vec![pixels(1, None, None), pixels(2, Some(9), None)]);
        let error = strict.unwrap_err().to_string();
        assert!(error.contains(text) && error.contains("--strict"), "{error}");
        let lost = vec![pixels(1, None, None), named(2, "v7")];
        assert!(of(Strictness::Speke, lost.clone()).is_ok());
        let error = of(Strictness::KeyFile, lost).unwrap_err().to_string();
        assert!(error.contains("v7 of key") && error.contains("tracks are t"), "{error}");
    }

    #[test]
    fn the_line_that_names_a_track_wins_over_a_label_and_that_over_a_class() {
        let line = |byte: u8, label: &str| ContentKeyUsageRule {
            id: Some(format!("line-{byte}")),
            label_filters: vec![label.to_owned()],
            ..ContentKeyUsageRule::new(kid(byte))
        };
        let class = |byte: u8, name: &str| ContentKeyUsageRule {
            intended_track_type: Some(name.to_owned()),
            ..ContentKeyUsageRule::new(kid(byte))
        };
        let labels = vec!["t".to_owned(), "main".to_owned()];
        let track = Track { labels, ..picture(3) };
        let mut rules = vec![line(1, "t"), line(2, "main"), class(3, "SD")];
        while let Some(first) = rules.first() {
            let first = first.kid;
            for rules in [rules.clone(), rules.iter().rev().cloned().collect()] {
                assert_eq!(one(&document(rules), track.clone(), Strictness::KeyFile).unwrap(), first);
            }
            rules.remove(0);
        }
        for rules in [vec![line(1, "t"), line(2, "t")], vec![class(1, "SD"), class(2, "VIDEO")]] {
            let error = one(&document(rules), track.clone(), Strictness::KeyFile).unwrap_err();
            assert!(error.contains("ambiguous") && error.contains("leave one of the lines out"), "{error}");
        }
        let twice = document(vec![line(1, "t"), line(2, "t")]);
        let error = one(&twice, track, Strictness::KeyFile).unwrap_err();
        assert!(error.contains("(line-1)") && error.contains("(line-2)"), "{error}");
    }

    #[test]
    fn a_rule_for_a_period_that_is_not_there_is_named() {
        let mut rule = pixels(1, None, None);
        rule.key_period_filters = vec!["gone".to_owned()];
        let mut rules = document(vec![rule]);
        rules.periods = vec![ContentKeyPeriod { id: Some("here".to_owned()), ..ContentKeyPeriod::default() }];
        let error = resolve(&rules, &[picture(1)], Strictness::Speke).unwrap_err().to_string();
        assert!(error.contains("R1 of key") && error.contains("\"gone\""), "{error}");
    }

    #[test]
    fn types_without_filters_are_classes_of_size() {
        let named = |byte: u8, name: &str| ContentKeyUsageRule {
            intended_track_type: Some(name.to_owned()),
            ..ContentKeyUsageRule::new(kid(byte))
        };
        let mut list = vec![named(1, "SD"), named(2, "HD"), named(3, "AUDIO")];
        for _ in 0..2 {
            let rules = document(list.clone());
            for (track, byte) in
                [(picture(57_600), 1), (picture(921_600), 2), (picture(8_294_400), 2), (stereo(), 3)]
            {
                assert_eq!(one(&rules, track, Strictness::Speke).unwrap(), kid(byte));
            }
            list.reverse();
        }
        let lounge = document(vec![named(1, "LOUNGE"), named(3, "AUDIO")]);
        let error = one(&lounge, picture(1), Strictness::Speke).unwrap_err();
        assert!(error.contains("LOUNGE of key") && error.contains("no class and no label"), "{error}");
        let labeled = Track { labels: vec!["lounge".to_owned()], ..picture(1) };
        assert_eq!(one(&lounge, labeled, Strictness::Speke).unwrap(), kid(1));
    }

    #[test]
    fn a_type_decides_where_filters_leave_two_keys() {
        let typed = |byte: u8, name: &str| ContentKeyUsageRule {
            intended_track_type: Some(name.to_owned()),
            ..pixels(byte, None, None)
        };
        let rules = document(vec![typed(2, "HD"), typed(1, "SD")]);
        for (track, byte) in [(picture(57_600), 1), (picture(921_600), 2)] {
            let found = resolve(&rules, &[track], Strictness::Speke).unwrap();
            assert_eq!(found.kids, [kid(byte)]);
            assert!(found.warnings.iter().all(|warning| !warning.contains("wins")), "{:?}", found.warnings);
        }
    }
}
