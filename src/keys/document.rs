//! Keys from a CPIX document: its usage rules decide which key a track gets — DASH-IF CPIX 2.3 §4.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use crate::base::env::Http;
use crate::base::{Error, Kid, Result};
use crate::cpix::usage::{Media, Strictness, Track, resolve};
use crate::cpix::{ContentKey, ContentKeyPeriod, ContentKeyUsageRule, Document, DrmSystem, Index};
use crate::keys::{KeyServer, check};

/// The keys, rules and signaling of a document that is at hand.
#[derive(Debug)]
pub struct CpixFile {
    document: Document,
    strictness: Strictness,
    warnings: Mutex<Vec<String>>,
}

impl CpixFile {
    /// The keys of this document.
    pub fn new(mut document: Document, strictness: Strictness) -> Self {
        document.drop_empty();
        Self { document, strictness, warnings: Mutex::default() }
    }

    /// The key of this document that serves a requested one.
    fn serves(&self, parts: &Parts<'_>, wanted: &ContentKey) -> Result<Kid> {
        if parts.known.content_key(wanted.kid).is_some() {
            return Ok(wanted.kid);
        }
        let rules = parts.rules(wanted.kid);
        let mut tracks: Vec<_> = rules.iter().flat_map(|rule| tracks(rule, wanted)).collect();
        if let Some(number) = rules.iter().find_map(|rule| parts.requested.period_index(rule)) {
            let period = self.period(number)?;
            tracks.iter_mut().for_each(|track| track.period = Some(period.clone()));
        }
        let found = resolve(&self.document, &tracks, self.strictness)?;
        self.warn(found.warnings);
        let kids = found.kids;
        let first = kids.first().copied().ok_or_else(|| {
            Error::keys(format!("the document has no key {}, and no track is under it", wanted.kid))
        })?;
        if kids.iter().any(|kid| *kid != first) {
            return Err(Error::keys(
                "the document has several keys for the tracks, asked for was one for all",
            )
            .hint("--preset preset1 gives each track the key of its rule"));
        }
        Ok(first)
    }

    /// The id of the key period of this number, counted from the first.
    fn period(&self, number: i64) -> Result<String> {
        let mut periods: Vec<_> = self.document.periods.iter().collect();
        periods.sort_by_key(|period| period.index);
        let found = usize::try_from(number).ok().and_then(|number| periods.get(number));
        found.and_then(|period| period.id.clone()).ok_or_else(|| {
            Error::keys(format!(
                "no key for crypto period {number}: the document has {} periods",
                periods.len()
            ))
            .clause("DASH-IF CPIX 2.3 §4, ContentKeyPeriodList")
        })
    }

    /// Keeps what is new: the rules are looked through once for each requested key.
    fn warn(&self, new: Vec<String>) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        for warning in new {
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
    }

    /// The answer to the request for one key.
    fn answer(&self, request: &Document, parts: &Parts<'_>, wanted: &ContentKey) -> Result<Document> {
        let kid = self.serves(parts, wanted)?;
        let rules = parts.rules(wanted.kid);
        let periods = rules.iter().flat_map(|rule| &rule.key_period_filters);
        let asked = Document {
            content_id: request.content_id.clone(),
            version: request.version.clone(),
            periods: periods
                .filter_map(|id| parts.periods.get(id.as_str()))
                .map(|one| (*one).clone())
                .collect(),
            content_keys: vec![wanted.clone()],
            drm_systems: Parts::systems(&parts.wanted_systems, wanted.kid),
            usage_rules: rules.iter().map(|rule| (*rule).clone()).collect(),
            ..Document::default()
        };
        let answer = Document {
            content_keys: parts.known.content_key(kid).cloned().into_iter().collect(),
            drm_systems: Parts::systems(&parts.known_systems, kid),
            usage_rules: rules.iter().map(|rule| ContentKeyUsageRule { kid, ..(*rule).clone() }).collect(),
            ..asked.clone()
        };
        check(&asked, answer)
    }
}

/// What is looked up for each key of a request, in it and in the document that answers it.
struct Parts<'a> {
    requested: Index<'a>,
    known: Index<'a>,
    rules: HashMap<Kid, Vec<&'a ContentKeyUsageRule>>,
    periods: HashMap<&'a str, &'a ContentKeyPeriod>,
    wanted_systems: HashMap<Kid, Vec<&'a DrmSystem>>,
    known_systems: HashMap<Kid, Vec<&'a DrmSystem>>,
}

impl<'a> Parts<'a> {
    fn of(request: &'a Document, document: &'a Document) -> Self {
        let mut rules: HashMap<_, Vec<_>> = HashMap::new();
        for rule in &request.usage_rules {
            rules.entry(rule.kid).or_default().push(rule);
        }
        let by_kid = |systems: &'a [DrmSystem]| {
            let mut found: HashMap<_, Vec<_>> = HashMap::new();
            for system in systems {
                found.entry(system.kid).or_default().push(system);
            }
            found
        };
        let named = request.periods.iter().filter_map(|period| Some((period.id.as_deref()?, period)));
        Self {
            requested: request.index(),
            known: document.index(),
            rules,
            periods: named.collect(),
            wanted_systems: by_kid(&request.drm_systems),
            known_systems: by_kid(&document.drm_systems),
        }
    }

    /// The rules of a requested key.
    fn rules(&self, kid: Kid) -> &[&'a ContentKeyUsageRule] {
        self.rules.get(&kid).map_or(&[], Vec::as_slice)
    }

    fn systems(by_kid: &HashMap<Kid, Vec<&DrmSystem>>, kid: Kid) -> Vec<DrmSystem> {
        by_kid.get(&kid).into_iter().flatten().map(|system| (*system).clone()).collect()
    }
}

/// The tracks that a rule of a request is for: it states their exact properties, or none.
fn tracks(rule: &ContentKeyUsageRule, wanted: &ContentKey) -> Vec<Track> {
    let name = wanted.id.clone().or_else(|| rule.intended_track_type.clone()).unwrap_or_default();
    let track = |media| Track { name: name.clone(), media, bitrate: None, labels: Vec::new(), period: None };
    let video = rule.video_filters.iter().map(|filter| {
        let pixels = filter.max_pixels.or(filter.min_pixels);
        track(Media::Video { pixels, hdr: filter.hdr, wcg: filter.wcg, fps: filter.max_fps.map(f64::from) })
    });
    let audio = rule
        .audio_filters
        .iter()
        .map(|filter| track(Media::Audio { channels: filter.max_channels.or(filter.min_channels) }));
    video.chain(audio).collect()
}

impl KeyServer for CpixFile {
    fn warnings(&self) -> Vec<String> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn exchange(&self, _http: &dyn Http, request: Document) -> Result<Document> {
        let mut whole = Document {
            content_keys: Vec::new(),
            drm_systems: Vec::new(),
            usage_rules: Vec::new(),
            ..request.clone()
        };
        let parts = Parts::of(&request, &self.document);
        let mut said = HashSet::new();
        for wanted in &request.content_keys {
            let answer = self.answer(&request, &parts, wanted).map_err(|error| error.at("CPIX document"))?;
            whole.content_keys.extend(answer.content_keys);
            // Several tracks may share a key: what is said about it is said once.
            for system in answer.drm_systems {
                if said.insert((system.system_id, system.kid)) {
                    whole.drm_systems.push(system);
                }
            }
            whole.usage_rules.extend(answer.usage_rules);
        }
        Ok(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{FourCc, Secret};
    use crate::cpix::{AudioFilter, VideoFilter};
    use crate::keys::scripted::Script;
    use crate::keys::{Wanted, request};

    fn kid(byte: u8) -> Kid {
        Kid::new([byte; 16])
    }

    /// A document with a key for pictures, 0xa0, and one for sound, 0xb0.
    fn file() -> CpixFile {
        CpixFile::new(document(), Strictness::Speke)
    }

    fn document() -> Document {
        let key = |byte| ContentKey { value: Some(Secret::new([byte; 16])), ..ContentKey::new(kid(byte)) };
        let video = ContentKeyUsageRule {
            video_filters: vec![VideoFilter { min_pixels: Some(10), ..VideoFilter::default() }],
            ..ContentKeyUsageRule::new(kid(0xa0))
        };
        let audio = ContentKeyUsageRule {
            audio_filters: vec![AudioFilter::default()],
            ..ContentKeyUsageRule::new(kid(0xb0))
        };
        Document {
            content_keys: vec![key(0xb0), key(0xa0)],
            usage_rules: vec![video, audio],
            ..Document::default()
        }
    }

    fn wanted(byte: u8, name: &str, pixels: Option<u32>, channels: Option<u32>) -> Wanted {
        Wanted {
            id: Some(name.to_owned()),
            kid: kid(byte),
            explicit_iv: None,
            track_type: name.to_owned(),
            video: pixels.map(|pixels| VideoFilter {
                min_pixels: Some(pixels),
                max_pixels: Some(pixels),
                ..VideoFilter::default()
            }),
            audio: channels.map(|_| AudioFilter { min_channels: channels, max_channels: channels }),
        }
    }

    fn kids(wanted: &[Wanted]) -> Result<Vec<u8>> {
        let request = request("c", Some(FourCc(*b"cenc")), wanted, Vec::new());
        let answer = file().exchange(&Script::new(Vec::new()), request)?;
        assert!(answer.content_keys.iter().all(|key| key.value.is_some()));
        Ok(answer.content_keys.iter().map(|key| key.kid.bytes()[0]).collect())
    }

    #[test]
    fn each_track_gets_the_key_of_its_rule() {
        let tracks =
            [wanted(1, "v1", Some(10), None), wanted(2, "a1", None, Some(2)), wanted(3, "a2", None, Some(6))];
        assert_eq!(kids(&tracks).unwrap(), [0xa0, 0xb0, 0xb0]);
        assert_eq!(kids(&[wanted(0xb0, "v1", Some(10), None)]).unwrap(), [0xb0]);
    }

    #[test]
    fn of_two_rules_the_last_wins_with_a_warning_or_strictly_none() {
        let mut document = document();
        document.usage_rules.push(ContentKeyUsageRule {
            video_filters: vec![VideoFilter::default()],
            ..ContentKeyUsageRule::new(kid(0xb0))
        });
        let tracks = [wanted(1, "v1", Some(10), None), wanted(2, "a1", None, Some(2))];
        let request = || request("c", Some(FourCc(*b"cenc")), &tracks, Vec::new());
        let script = Script::new(Vec::new());
        let lax = CpixFile::new(document.clone(), Strictness::Speke);
        let answer = lax.exchange(&script, request()).unwrap();
        assert_eq!(answer.content_keys[0].kid, kid(0xb0));
        lax.exchange(&script, request()).unwrap();
        assert_eq!(lax.warnings().len(), 1, "{:?}", lax.warnings());
        assert!(lax.warnings()[0].starts_with("track v1: 2 usage rules match"), "{:?}", lax.warnings());
        let strict = CpixFile::new(document, Strictness::Cpix);
        let error = strict.exchange(&script, request()).unwrap_err().to_string();
        assert!(error.contains("track v1: ambiguous: 2 usage rules"), "{error}");
        assert!(strict.warnings().is_empty());
    }

    #[test]
    fn tracks_without_one_key_are_an_error_that_names_them() {
        let error = kids(&[wanted(1, "v1", Some(9), None)]).unwrap_err().to_string();
        assert!(error.contains("track v1: none of the 2 usage rules matches video of 9 pixels"), "{error}");
        let error = kids(&[wanted(1, "all", Some(10), Some(2))]).unwrap_err().to_string();
        assert!(error.contains("several keys"), "{error}");
    }
}
