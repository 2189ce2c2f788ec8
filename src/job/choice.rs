//! Who has which key: rules of a document decide where a key source has them, presets ask for keys where it has none.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::base::env::Http;
use crate::base::{Error, Kid, Result, short_word};
use crate::cpix::Document;
use crate::cpix::periods::{Order, TimedPeriod, order};
use crate::cpix::usage::Strictness;
use crate::drm::{self, System};
use crate::keys::{Contract, KeyServer, check};
use crate::package::{
    Assignment, EncryptedTrack, KeyRule, Keyed, Kids, MAX_PERIODS, Period, PeriodTime, Preset, Schedule,
    TrackId, Wants, choose,
};
use crate::protect::Scheme;

use super::rules::Job;
use super::track_facts::{self, TrackFacts};

/// Most key periods that an error names.
const MAX_PERIODS_SHOWN: usize = 4;

/// A key source, and what it has before anything is asked for by key.
pub(super) struct Source<'a> {
    keys: &'a dyn KeyServer,
    /// What the operator says of tracks.
    facts: Vec<TrackFacts>,
    ruled: Option<Ruled>,
}

/// A document whose rules choose.
struct Ruled {
    document: Document,
    strictness: Strictness,
    order: Order,
}

/// Who has which key.
pub(super) struct Choice {
    pub(super) assignment: Assignment,
    pub(super) warnings: Vec<String>,
    /// Who has which key id, where rules chose.
    kids: Option<Kids>,
}

impl<'a> Source<'a> {
    /// Asks a source for its document, if it has one whose rules choose; `request` is what it is asked for.
    /// `begins` is the time of day at which the presentation begins, if that is known.
    pub(super) fn of(
        job: &Job,
        (keys, http): (&'a dyn KeyServer, &dyn Http),
        request: &dyn Fn() -> Document,
        begins: Option<i128>,
    ) -> Result<Self> {
        let facts = job.tracks.clone();
        let Some(strictness) = keys.rules() else { return Ok(Self { keys, facts, ruled: None }) };
        let document = match keys.at_hand() {
            Some(document) => document.clone(),
            None => keys.exchange(http, request())?,
        };
        let order = order(&document, begins)?;
        if let (Some(every), Order::Timed(timed)) = (job.rotate_every, &order) {
            let first = timed.first().map(|period| short_word(&period.id)).unwrap_or_default();
            return Err(Error::usage(format!(
                "--rotate-every {every}, the document has key periods with times, the first is {first:?}"
            ))
            .clause("DASH-IF CPIX 2.3 §4, ContentKeyPeriod")
            .hint("leave out --rotate-every: keys change when the document says"));
        }
        Ok(Self { keys, facts, ruled: Some(Ruled { document, strictness, order }) })
    }

    /// A schedule whose crypto periods are those of the document, when that gives them times.
    pub(super) fn schedule(&self, schedule: &Schedule) -> Schedule {
        let time = |period: &TimedPeriod| PeriodTime { start: period.start, end: period.end };
        let times = self.timed().map(|periods| periods.iter().map(time).collect::<Arc<[_]>>());
        Schedule { times, ..schedule.clone() }
    }

    fn timed(&self) -> Option<&[TimedPeriod]> {
        match &self.ruled.as_ref()?.order {
            Order::Timed(periods) => Some(periods),
            Order::Counted(_) => None,
        }
    }

    /// When keys change, since the presentation began.
    pub(super) fn changes(&self) -> Vec<Duration> {
        self.timed().unwrap_or_default().iter().map(|period| period.start).collect()
    }

    /// Whether rules ask for bit rates or frame rates, which take a look at all of the media.
    pub(super) fn asks_for_rates(&self) -> bool {
        self.ruled.as_ref().is_some_and(|ruled| {
            let mut rules = ruled.document.usage_rules.iter();
            rules.any(|rule| {
                let mut pictures = rule.video_filters.iter();
                !rule.bitrate_filters.is_empty()
                    || pictures.any(|filter| filter.min_fps.is_some() || filter.max_fps.is_some())
            })
        })
    }

    /// The key of each encrypted track in so many crypto periods: that of its rule, or one of those that `rule` asks for.
    /// `asked` is whether the operator named the rule: then the document must not contradict it.
    pub(super) fn choose(
        &self,
        (rule, asked): (KeyRule, bool),
        encrypted_tracks: &[EncryptedTrack],
        periods: usize,
        rotates: bool,
    ) -> Result<Choice> {
        let mut encrypted_tracks = encrypted_tracks.to_vec();
        track_facts::apply(&self.facts, &mut encrypted_tracks);
        let Some(ruled) = &self.ruled else {
            let assignment = rule.assign(&encrypted_tracks)?;
            return Ok(Choice { assignment, warnings: Vec::new(), kids: None });
        };
        let periods = ruled.periods(periods, rotates)?;
        let (kids, mut warnings) = choose(&ruled.document, ruled.strictness, &encrypted_tracks, &periods)?;
        warnings.extend(ruled.idle_periods(&periods)?);
        let assignment = Assignment::of(&kids, &encrypted_tracks);
        if asked {
            contradiction(rule, &encrypted_tracks, &assignment, &kids)?;
        }
        Ok(Choice { assignment, warnings, kids: Some(kids) })
    }

    /// The keys themselves: those of the document, or those that the source gives for the request.
    pub(super) fn keys(
        &self,
        choice: &Choice,
        http: &dyn Http,
        (request, periods): (&dyn Fn() -> Document, usize),
        wanted: &Wants<'_>,
    ) -> Result<Keyed> {
        match (&self.ruled, &choice.kids) {
            (Some(ruled), Some(kids)) => Keyed::chosen(&ruled.document, kids.clone(), wanted),
            _ => {
                let request = request();
                let answer = self.keys.exchange(http, request.clone())?;
                Keyed::asked(&request, check(&request, answer)?, &choice.assignment, periods)
            }
        }
    }

    /// The systems of the keys in use that the document has signaling for and a job does not pass on.
    pub(super) fn left_out(&self, choice: &Choice, systems: &[&'static dyn System]) -> Option<String> {
        let document = self.document(choice)?;
        let mut names: Vec<String> = Vec::new();
        for found in &document.drm_systems {
            let is_passed_on = systems.iter().any(|system| system.system_id() == found.system_id);
            let name = drm::of_id(found.system_id).name().to_owned();
            if !is_passed_on && !names.contains(&name) {
                names.push(name);
            }
        }
        (!names.is_empty()).then(|| {
            format!(
                "the document has signaling for {}, which is not passed on: --drm does not name it",
                names.join(", ")
            )
        })
    }

    /// The document whose rules chose, with the keys that are used.
    pub(super) fn document(&self, choice: &Choice) -> Option<Document> {
        let ruled = self.ruled.as_ref()?;
        let used: HashSet<Kid> = choice.kids.iter().flatten().map(|(_, kid)| *kid).collect();
        let is_used = |kid: &Kid| used.contains(kid);
        let mut document = ruled.document.clone();
        document.content_keys.retain(|key| is_used(&key.kid));
        document.drm_systems.retain(|system| is_used(&system.kid));
        document.usage_rules.retain(|rule| is_used(&rule.kid));
        Some(document)
    }
}

impl Choice {
    /// The key id of a track in a crypto period, where rules chose it.
    pub(super) fn kid(&self, period: Period, track: TrackId) -> Option<Kid> {
        self.kids.as_ref()?.get(&(period, track)).copied()
    }
}

/// Rules of keys that one track has name it: nothing else may tell it from another.
pub(super) fn labelled(mut document: Document, encrypted_tracks: &[EncryptedTrack]) -> Document {
    for key in &document.content_keys {
        let Some(id) = &key.id else { continue };
        // The id of a key of one period ends with that of the period.
        let is_of = |track: &&EncryptedTrack| {
            id.strip_prefix(&track.id.to_string())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
        };
        let Some(track) = encrypted_tracks.iter().find(is_of) else { continue };
        for rule in document.usage_rules.iter_mut().filter(|rule| rule.kid == key.kid) {
            rule.label_filters = vec![track.id.to_string()];
        }
    }
    document
}

impl Ruled {
    /// The key periods of so many crypto periods; `None` when the document has none.
    fn periods(&self, periods: usize, rotates: bool) -> Result<Vec<Option<String>>> {
        let clause = "DASH-IF CPIX 2.3 §4, ContentKeyPeriodList";
        let ids: Vec<&String> = match &self.order {
            Order::Counted(ids) => ids.iter().collect(),
            Order::Timed(timed) => timed.iter().map(|period| &period.id).collect(),
        };
        if ids.len() > 1 && !rotates {
            return Err(Error::keys(format!(
                "the document has {} key periods without times, keys are to change when?",
                ids.len()
            ))
            .clause(clause)
            .hint("say after how many segments with --rotate-every"));
        }
        if ids.is_empty() && periods <= 1 {
            return Ok(vec![None]);
        }
        let period = |number: usize| {
            ids.get(number).map(|id| Some((*id).clone())).ok_or_else(|| {
                Error::keys(format!(
                    "no key for crypto period {number}: the document has {} periods",
                    ids.len()
                ))
                .clause(clause)
            })
        };
        (0..periods.max(1)).map(period).collect()
    }

    /// What is done about key periods in which no segment begins. A key file may have more than a job needs.
    fn idle_periods(&self, used: &[Option<String>]) -> Result<Option<String>> {
        let used: HashSet<&str> = used.iter().flatten().map(String::as_str).collect();
        let all = self.document.periods.iter().filter_map(|period| period.id.as_deref());
        let idle: Vec<_> = all.filter(|id| !used.contains(id)).collect();
        if idle.is_empty() || used.is_empty() || self.strictness == Strictness::KeyFile {
            return Ok(None);
        }
        let shown: Vec<_> =
            idle.iter().take(MAX_PERIODS_SHOWN).map(|id| format!("{:?}", short_word(id))).collect();
        let more = if idle.len() > shown.len() {
            format!(" and {} more", idle.len() - shown.len())
        } else {
            String::new()
        };
        let said =
            format!("no segment is in key period {}{more}: the presentation is in others", shown.join(", "));
        if self.strictness == Strictness::Cpix {
            return Err(Error::keys(said)
                .clause("DASH-IF CPIX 2.3 §4, ContentKeyPeriod")
                .hint("correct its times, take it out of the document, or leave out --strict"));
        }
        Ok(Some(said))
    }
}

/// The scheme that every content key of a document is for, when they state one.
pub(super) fn stated_scheme(document: &Document) -> Result<Option<&'static Scheme>> {
    let mut stated = document.content_keys.iter().filter_map(|key| key.common_encryption_scheme);
    let Some(first) = stated.next() else { return Ok(None) };
    if let Some(other) = stated.find(|other| *other != first) {
        return Err(Error::unsupported(format!(
            "the document has keys for two schemes, {first} and {other}"
        ))
        .clause("DASH-IF CPIX 2.3 §4, ContentKey@commonEncryptionScheme"));
    }
    Scheme::find(&first.to_string()).map(Some)
}

/// How many of some crypto periods begin before the end of a presentation.
///
/// # Errors
/// When there are more than [`MAX_PERIODS`], or the last one ends before the presentation does.
pub(super) fn periods_until(times: &[PeriodTime], end: Duration) -> Result<usize> {
    let count = times.partition_point(|period| period.start < end).max(1);
    if count > usize::try_from(MAX_PERIODS).unwrap_or(usize::MAX) {
        return Err(Error::usage(format!("{count} crypto periods, at most {MAX_PERIODS} are done")));
    }
    Ok(count)
}

/// A preset that the operator named asks for what the document has, or it is an error that names both.
fn contradiction(
    rule: KeyRule,
    encrypted_tracks: &[EncryptedTrack],
    assignment: &Assignment,
    kids: &Kids,
) -> Result<()> {
    let asked = rule.assign(encrypted_tracks)?;
    let shares = |assignment: &Assignment, (one, two): (TrackId, TrackId)| {
        Ok(assignment.key_of(one)? == assignment.key_of(two)?)
    };
    let mut pairs = Vec::new();
    for (number, one) in (1..).zip(encrypted_tracks) {
        for two in encrypted_tracks.iter().skip(number) {
            let pair = (one.id, two.id);
            if shares(&asked, pair)? != shares(assignment, pair)? {
                pairs.push((pair, shares(&asked, pair)?));
            }
        }
    }
    let Some(((one, two), is_shared)) = pairs.into_iter().next() else { return Ok(()) };
    let kid = |track| kids.get(&(Period::FIRST, track)).map(Kid::to_string).unwrap_or_default();
    let (first, second, name) = (kid(one), kid(two), named(rule));
    Err(Error::usage(if is_shared {
        format!(
            "{name} puts {one} and {two} under one key, the rules of the document under {first} and {second}"
        )
    } else {
        format!("{name} gives {one} and {two} a key each, the rules of the document give both {first}")
    })
    .clause("DASH-IF CPIX 2.3 §4, ContentKeyUsageRule")
    .hint("leave the preset out: each track gets the key of its rule"))
}

fn named(rule: KeyRule) -> String {
    match rule {
        KeyRule::Preset(Preset::Auto | Preset::Preset0) => "--preset preset0".into(),
        KeyRule::Preset(Preset::Preset1) => "--preset preset1".into(),
        KeyRule::Contract(Contract::Shared) => "SHARED".into(),
        KeyRule::Contract(Contract::Apart { video, audio }) => {
            let names: Vec<_> = [video, audio].into_iter().flatten().map(|preset| preset.name).collect();
            names.join(" with ")
        }
    }
}
