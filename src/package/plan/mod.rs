//! The plan: which encrypted track gets which key, scheme, IV and signaling — SPEKE 2.0, DASH-IF CPIX 2.3 §4.
//!
//! For an encrypted track and a segment the plan has one answer: clear, or the key of one crypto period
//! ([`SegmentKey`]). What a segment gets depends on the init segment, the plan, and the segment's
//! number and decode time, and on nothing else, so that any segment can be protected anywhere, in any order.
//! The loop that encrypts samples gets a key and knows neither of leads nor of periods.
//!
//! `default_KID` of `tenc` is that of the first period: a reader that knows no sample groups plays that
//! period, and the first license is asked for as without rotation. Fragments of every later period say in a
//! `seig` group of their own what is new (ISO/IEC 23001-7 §6) and carry its `pssh` boxes in `moof`.
//!
//! A clear lead has two sample entries, the protected one first, since readers configure decoders from the
//! first; clear fragments name the second in `tfhd` and carry no auxiliary information.
//!
//! It is longer than 400 lines because it holds the plan and how it is resolved: both know the order of keys.

pub(super) mod assignment;
pub(super) mod key_address;
pub(super) mod keyed;
pub(super) mod license_url;
pub(super) mod schedule;
pub(super) mod server_signaling;
mod stored;

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::base::id::hex;
use crate::base::{Error, FourCc, Kid, Result, Secret, from_base64};
use crate::codec::TrackKind;
use crate::cpix::{ContentKey, ContentKeyPeriod, Document, DrmSystem, Index, whole_segments};
use crate::dash::output_protections;
use crate::drm::template::UriValues;
use crate::drm::{ManifestKind, Signal, System};
use crate::hls::multivariant::Limits;
use crate::keys::{Wanted, request};
use crate::protect::{Aes128, Iv, Pattern, SampleAes, Scheme, TrackProtection, constant_iv};
use crate::xml::Element;

use assignment::{Assignment, TrackId};
use key_address::{KeyAddress, key_tag};
use keyed::{Keyed, Kids};
use license_url::{LicenseUrl, find_license_url};
use schedule::{Period, Schedule, SegmentKey};
use server_signaling::{KeysOfAnswer, ServerSignaling, checked};

/// What becomes of tracks.
#[derive(Clone, Debug)]
pub enum Treatment {
    /// Samples are encrypted in a scheme: Common Encryption, and SAMPLE-AES in elementary streams.
    Samples(&'static Scheme),
    /// Every segment is encrypted as a whole: AES-128 of RFC 8216bis §4.4.4.4.
    Aes128 {
        /// Template of the addresses of keys, for those of which the key source says none.
        key_uri: Option<String>,
        /// Whether media initialization sections are under the key of the segment behind them; else they are clear,
        /// so that no key may be in force where one is named.
        encrypts_maps: bool,
    },
}

impl Treatment {
    /// What requests, key ids and reports call it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Samples(scheme) => scheme.name,
            Self::Aes128 { .. } => "aes-128",
        }
    }

    /// Whether media initialization sections are encrypted.
    pub fn encrypts_maps(&self) -> bool {
        matches!(self, Self::Aes128 { encrypts_maps: true, .. })
    }

    fn fourcc(&self) -> Option<FourCc> {
        match self {
            Self::Samples(scheme) => Some(scheme.fourcc),
            Self::Aes128 { .. } => Some(whole_segments::SCHEME),
        }
    }
}

/// What is decided before any key is fetched.
pub struct Intent<'a> {
    /// `CPIX/@contentId`.
    pub content_id: &'a str,
    /// What becomes of every track.
    pub treatment: Treatment,
    /// The keys that are wanted.
    pub keys: &'a Assignment,
    /// The DRM systems.
    pub systems: &'a [&'static dyn System],
    /// The manifests that will be written.
    pub manifests: &'a [ManifestKind],
    /// The IV that the operator fixed.
    pub vector: Option<[u8; 16]>,
    /// Template of key URIs.
    pub skd_template: &'a str,
    /// Clear lead and crypto periods.
    pub schedule: Schedule,
    /// How many crypto periods there are.
    pub periods: usize,
    /// What becomes of a key server's signaling that contradicts what is packed.
    pub server_signaling: ServerSignaling,
    /// Where the licenses of systems are, for our own signaling.
    pub license_urls: &'a [LicenseUrl],
    /// Whether the multivariant playlist names the keys.
    pub session_keys: bool,
}

impl Intent<'_> {
    /// The request document: one content key and rule for each key and period, what each system wants filled.
    ///
    /// Key ids follow from content id, scheme, track and period (RFC 9562 §5.5), so that a repeated job asks
    /// for the same keys and two schemes never share one. When keys change, periods have an index and every
    /// rule a filter for its own (SPEKE 2.0, key rotation); the keys of one period stand together.
    pub fn request(&self) -> Document {
        let periods = if self.schedule.rotates() { self.periods } else { 0 };
        let scheme = (self.treatment.name(), self.treatment.fourcc());
        let mut document = key_request(self.content_id, scheme, self.keys, self.vector, periods);
        document.drm_systems = document.content_keys.iter().flat_map(|key| self.wanted(key.kid).1).collect();
        document
    }

    /// What is asked for of a key, and what each system is to be told about it.
    pub fn wanted(&self, kid: Kid) -> (ContentKey, Vec<DrmSystem>) {
        let key = ContentKey {
            explicit_iv: self.vector,
            common_encryption_scheme: self.treatment.fourcc(),
            ..ContentKey::new(kid)
        };
        let systems = self.systems.iter().map(|system| {
            let mut entry = DrmSystem::new(system.system_id(), kid);
            system.request(&mut entry, self.manifests);
            entry
        });
        (key, systems.collect())
    }
}

/// Asks for the keys of an assignment: `name` is what key ids depend on; `periods` is 0 when keys do not change.
fn key_request(
    content_id: &str,
    (name, scheme): (&str, Option<FourCc>),
    keys: &Assignment,
    vector: Option<[u8; 16]>,
    periods: usize,
) -> Document {
    let rotates = periods > 0;
    let of_key = |period| rotates.then_some(period);
    let wanted: Vec<_> = keys
        .of_periods(periods.max(1))
        .map(|(period, _, key)| Wanted {
            id: key.id.as_ref().map(|id| match of_key(period) {
                Some(period) => format!("{id}_{}", period_id(period)),
                None => id.clone(),
            }),
            kid: kid(content_id, name, key.id.as_deref().unwrap_or(&key.track_type), of_key(period)),
            explicit_iv: vector,
            track_type: key.track_type.clone(),
            video: key.video.clone(),
            audio: key.audio.clone(),
        })
        .collect();
    let mut document = request(content_id, scheme, &wanted, Vec::new());
    for ((period, ..), rule) in keys.of_periods(periods).zip(&mut document.usage_rules) {
        rule.key_period_filters = vec![period_id(period)];
    }
    document.periods = Period::all(periods)
        .map(|period| ContentKeyPeriod {
            id: Some(period_id(period)),
            index: i64::try_from(period.number()).ok(),
            ..ContentKeyPeriod::default()
        })
        .collect();
    document
}

fn kid(content_id: &str, scheme: &str, track: &str, period: Option<Period>) -> Kid {
    let period = period.map(|period| format!("@{period}")).unwrap_or_default();
    let name = format!("drm-pack:{content_id}:{scheme}:{track}{period}");
    Kid::new(*uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, name.as_bytes()).as_bytes())
}

/// `ContentKeyPeriod/@id`.
fn period_id(period: Period) -> String {
    format!("p{period}")
}

/// What protects each encrypted track and what is signaled about each key.
pub struct Plan {
    /// What becomes of every track.
    pub treatment: Treatment,
    /// Clear lead and crypto periods.
    pub schedule: Schedule,
    keys: Vec<PlannedKey>,
    key_of: BTreeMap<(Period, TrackId), KeyId>,
    /// How many crypto periods there are.
    periods: usize,
    /// What the operator should know of the signaling.
    pub warnings: Vec<String>,
}

/// Which of the keys of a plan it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct KeyId(usize);

/// A key and what is signaled about it.
pub struct PlannedKey {
    /// Its id.
    pub kid: Kid,
    value: Secret<16>,
    /// What its source or the operator gave.
    vector: Option<[u8; 16]>,
    iv: Iv,
    /// Where a key of AES-128 is.
    address: Option<KeyAddress>,
    /// Each DRM system and what it is told, in the order of the request.
    pub systems: Vec<(&'static dyn System, DrmSystem)>,
    hdcp_level: Option<String>,
    /// `OutputProtection` descriptors for an MPD.
    pub output_protection: Vec<Element>,
}

impl PlannedKey {
    /// The key.
    pub(crate) fn value(&self) -> &Secret<16> {
        &self.value
    }

    /// What players must be able to do, as multivariant playlists say it: CPIX 2.4 `HDCPData`, `@allowedCPC`.
    pub fn limits(&self) -> Limits {
        let mut allowed: Vec<&str> = Vec::new();
        for (_, data) in &self.systems {
            let hls = &data.hls_signaling_data;
            let all = [&hls.multivariant_allowed_cpc, &hls.media_allowed_cpc, &data.hls_allowed_cpc];
            let first = all.into_iter().flatten().map(|text| text.trim()).find(|text| !text.is_empty());
            allowed.extend(first.filter(|text| !allowed.contains(text)));
        }
        Limits {
            hdcp_level: self.hdcp_level.clone(),
            allowed_cpc: (!allowed.is_empty()).then(|| allowed.join(",")),
        }
    }

    /// Where a key of AES-128 is.
    ///
    /// # Errors
    /// When it has no address: it was planned for another treatment.
    pub(crate) fn address(&self) -> Result<&KeyAddress> {
        self.address.as_ref().ok_or_else(|| Error::internal(format!("no address of key {}", self.kid)))
    }

    /// The IV that its source or the operator gave.
    pub(crate) fn vector(&self) -> Option<&[u8; 16]> {
        self.vector.as_ref()
    }
}

impl Plan {
    /// Combines the checked answer of a key source with what was asked: IVs are fixed, signaling is completed. The
    /// same answer gives the same plan on every machine.
    ///
    /// # Errors
    /// As [`Plan::of`], and when the document is not the answer to what was asked.
    pub fn resolve(intent: &Intent<'_>, document: Document) -> Result<Self> {
        let keyed = Keyed::asked(&intent.request(), document, intent.keys, intent.periods)?;
        Self::of(intent, keyed)
    }

    /// Combines keys, and who has them, with what was asked for.
    ///
    /// # Errors
    /// When a system needs the IV from the key source and there is none, or an IV differs from the one asked for.
    pub fn of(intent: &Intent<'_>, keyed: Keyed) -> Result<Self> {
        let Keyed { mut document, kids, mut warnings } = keyed;
        // The first track under each key names it. A key of a contract that no encrypted track needs is not signaled.
        let mut first: HashMap<Kid, TrackId> = HashMap::new();
        for ((_, track), kid) in &kids {
            first.entry(*kid).or_insert(*track);
        }
        let mut keys: Vec<PlannedKey> = Vec::new();
        let values = document.content_keys.iter().filter_map(|key| Some((key.kid, key.value.clone()?)));
        let values = values.collect();
        let content_keys = std::mem::take(&mut document.content_keys);
        let answered = document.index();
        let mut numbers: HashMap<Kid, KeyId> = HashMap::new();
        for mut key in content_keys {
            let Some(track) = first.get(&key.kid) else { continue };
            numbers.insert(key.kid, KeyId(keys.len()));
            let value =
                key.value.clone().ok_or_else(|| Error::keys(format!("key {} has no value", key.kid)))?;
            let mut vector = vector(intent, &key)?;
            let (iv, address, systems) = match &intent.treatment {
                Treatment::Samples(scheme) => {
                    let iv = Iv::of(scheme, key.kid, &value, vector);
                    key.explicit_iv = match &iv {
                        Iv::Constant(iv) => Some(*iv),
                        Iv::PerSample(_) => vector,
                    };
                    let signal = Signal {
                        key: &key,
                        scheme,
                        content_id: intent.content_id,
                        skd_template: intent.skd_template,
                        track: &track.to_string(),
                        license_url: None,
                    };
                    let systems = signaling(intent, (&signal, &values), &answered, &mut warnings)
                        .map_err(|error| error.at(format_args!("key {}", key.kid)))?;
                    (iv, None, systems)
                }
                Treatment::Aes128 { key_uri, encrypts_maps } => {
                    let answer = answered.drm_system(whole_segments::SYSTEM_ID, key.kid);
                    let tag = key_tag(intent, (&key, &values), answer, &mut warnings)
                        .map_err(|error| error.at(format_args!("key {}", key.kid)))?;
                    vector = vector.or_else(|| tag.as_ref()?.iv);
                    let constant = vector.unwrap_or_else(|| constant_iv(key.kid, &value));
                    // An encrypted map must have its IV written: RFC 8216bis §4.4.4.4. Some players take one key tag
                    // for both. Everything else has the media sequence number by default.
                    vector = vector.or_else(|| encrypts_maps.then_some(constant));
                    let track = only_track(key.kid, &kids, intent.keys);
                    let (track, content_id) = (track.as_str(), intent.content_id);
                    let values = UriValues { kid: key.kid, iv: vector, content_id, track };
                    let address = KeyAddress::of(tag, (key_uri.as_deref(), &values), &mut warnings)?;
                    (Iv::Constant(constant), Some(address), Vec::new())
                }
            };
            let known = keys.iter().find(|known| known.value.expose() == value.expose());
            let iv = match known {
                Some(known) => iv.counted_with(&known.iv),
                None => iv,
            };
            let output_protection = output_protection(&key)
                .map_err(|error| error.at("HDCPOutputProtectionData").at(format_args!("key {}", key.kid)))?;
            let (kid, hdcp_level) = (key.kid, key.hls_hdcp_level.take());
            let planned =
                PlannedKey { kid, value, vector, iv, address, systems, hdcp_level, output_protection };
            planned.limits().check().map_err(|error| error.at(format_args!("key {kid}")))?;
            keys.push(planned);
        }
        let number = |kid: &Kid| {
            numbers.get(kid).copied().ok_or_else(|| Error::internal(format!("no key {kid} in the plan")))
        };
        let key_of = kids.iter().map(|(place, kid)| Ok((*place, number(kid)?))).collect::<Result<_>>()?;
        let (treatment, schedule) = (intent.treatment.clone(), intent.schedule.clone());
        let plan = Self { treatment, schedule, keys, key_of, periods: intent.periods.max(1), warnings };
        plan.check_uris()?;
        Ok(plan)
    }

    /// A player takes two keys with one address for one key: it would not ask again when keys change.
    fn check_uris(&self) -> Result<()> {
        let mut addresses: HashMap<&str, &PlannedKey> = HashMap::new();
        for key in &self.keys {
            let Some(address) = &key.address else { continue };
            let known = addresses.insert(&address.uri, key);
            if let Some(other) = known.filter(|other| other.value.expose() != key.value.expose()) {
                return Err(Error::keys(format!("one key URI for the keys {} and {}", other.kid, key.kid))
                    .clause("RFC 8216bis §4.4.4.4")
                    .hint(
                        "use {kid} in --key-uri, or let the key source give each key an address of its own",
                    ));
            }
        }
        if !self.schedule.rotates() {
            return Ok(());
        }
        let mut known: HashMap<&str, Kid> = HashMap::new();
        for key in &self.keys {
            for (system, data) in &key.systems {
                let Some(line) = data.hls_signaling_data.media.as_deref() else { continue };
                if let Some(other) = known.insert(line, key.kid).filter(|other| *other != key.kid) {
                    return Err(Error::usage(format!(
                        "{} has one EXT-X-KEY for the keys {other} and {}, expected a URI for each key",
                        system.name(),
                        key.kid
                    ))
                    .hint("use {kid}, {kid_guid} or {iv} in the key URI template"));
                }
            }
        }
        Ok(())
    }

    /// What protects a track in a crypto period.
    ///
    /// # Errors
    /// As [`Plan::key_in`].
    pub fn protection(&self, period: Period, track: TrackId) -> Result<TrackProtection> {
        let key = self.key_in(period, track)?;
        let Treatment::Samples(scheme) = self.treatment else {
            return Err(Error::internal("no scheme for samples in a plan of AES-128"));
        };
        let pattern = if track.kind == TrackKind::Video { scheme.video } else { Pattern::NONE };
        Ok(TrackProtection::new(scheme, key.kid, &key.value, pattern, key.iv.clone()))
    }

    /// What encrypts the elementary streams of a track in a crypto period: the IV of a key is that of every
    /// sample.
    ///
    /// # Errors
    /// As [`Plan::key_in`].
    pub fn sample_aes(&self, period: Period, track: TrackId) -> Result<SampleAes> {
        let key = self.key_in(period, track)?;
        let iv = key.vector.unwrap_or_else(|| constant_iv(key.kid, &key.value));
        Ok(SampleAes::new(&key.value, iv))
    }

    /// What encrypts a file or a range of one in AES-128; the media sequence number is the IV unless the key has one:
    /// RFC 8216bis §5.2.
    ///
    /// # Errors
    /// As [`Plan::key_in`].
    pub fn aes128(&self, period: Period, track: TrackId, sequence: u64) -> Result<Aes128> {
        let key = self.key_in(period, track)?;
        Ok(Aes128::new(
            &key.value,
            key.vector.unwrap_or_else(|| Aes128::iv_of_media_sequence_number(sequence)),
        ))
    }

    /// The key of this track; in the first crypto period when keys change.
    ///
    /// # Errors
    /// As [`Plan::key_in`].
    pub fn key(&self, track: TrackId) -> Result<&PlannedKey> {
        self.key_in(Period::FIRST, track)
    }

    /// The key of this track in a crypto period. Which is which cannot be mistaken:
    ///
    /// ```compile_fail,E0308
    /// # use drm_pack::package::{Period, Plan, TrackId};
    /// fn swapped(plan: &Plan, period: Period, track: TrackId) {
    ///     let _ = plan.key_in(track, period);
    /// }
    /// ```
    ///
    /// # Errors
    /// When there is no such track or period.
    pub fn key_in(&self, period: Period, track: TrackId) -> Result<&PlannedKey> {
        SegmentKey::Period(period).check_key()?;
        if period.number() >= self.periods {
            return Err(Error::keys(format!(
                "no key for crypto period {period}, there are {}",
                self.periods
            )));
        }
        let key = self.key_of.get(&(period, track)).and_then(|key| self.keys.get(key.0));
        key.ok_or_else(|| Error::internal(format!("no key is planned for track {track}")))
    }

    /// The crypto periods, in order.
    pub fn periods(&self) -> impl Iterator<Item = Period> + Clone + use<> {
        Period::all(self.periods)
    }

    /// Whether so much was encrypted under one key that IVs may repeat: to be asked by a run that encrypts each
    /// fragment once.
    ///
    /// # Errors
    /// As [`SampleIvs::check`](crate::protect::SampleIvs::check).
    pub fn check_ivs(&self) -> Result<()> {
        self.keys.iter().try_for_each(|key| match &key.iv {
            Iv::Constant(_) => Ok(()),
            Iv::PerSample(ivs) => ivs.check().map_err(|error| error.at(format_args!("key {}", key.kid))),
        })
    }

    /// Every key.
    pub fn keys(&self) -> &[PlannedKey] {
        &self.keys
    }

    /// The keys of a crypto period: all, when keys do not change.
    pub fn keys_of_period(&self, period: Period) -> impl Iterator<Item = &PlannedKey> {
        let of_period = self.key_of.iter().filter(move |((of, _), _)| *of == period);
        let of_period: HashSet<KeyId> = of_period.map(|(_, key)| *key).collect();
        let keys = self.keys.iter().enumerate();
        keys.filter(move |(number, _)| of_period.contains(&KeyId(*number))).map(|(_, key)| key)
    }

    /// The whole `pssh` boxes of a crypto period for a file with these tracks, each once, in the order of the systems.
    ///
    /// # Errors
    /// As [`Plan::key_in`].
    pub fn pssh(&self, period: Period, tracks: &[TrackId]) -> Result<Vec<Vec<u8>>> {
        let mut boxes: Vec<Vec<u8>> = Vec::new();
        for track in tracks {
            for (_, system) in &self.key_in(period, *track)?.systems {
                boxes.extend(
                    system.pssh.iter().filter(|pssh| !boxes.contains(pssh)).cloned().collect::<Vec<_>>(),
                );
            }
        }
        Ok(boxes)
    }
}

/// The descriptors for an MPD that come with a key: CPIX 2.4 §4, `HDCPData`.
fn output_protection(key: &ContentKey) -> Result<Vec<Element>> {
    let Some(text) = key.hdcp_output_protection_data.as_deref().filter(|text| !text.trim().is_empty()) else {
        return Ok(Vec::new());
    };
    let text = String::from_utf8(from_base64(text)?)
        .map_err(|_| Error::keys("bytes that are not UTF-8, OutputProtection elements expected"))?;
    output_protections(&text)
}

/// What `{track}` of a key's address is: a key of several tracks has none of their names.
fn only_track(kid: Kid, kids: &Kids, keys: &Assignment) -> String {
    let tracks: HashSet<TrackId> =
        kids.iter().filter(|(_, of)| **of == kid).map(|((_, track), _)| *track).collect();
    match (tracks.iter().next(), tracks.len()) {
        (Some(only), 1) if keys.count() > 1 => only.to_string(),
        _ => "all".to_owned(),
    }
}

/// The 16-byte IV that came with a key, or that the operator fixed.
fn vector(intent: &Intent<'_>, key: &ContentKey) -> Result<Option<[u8; 16]>> {
    if let (Some(theirs), Some(ours)) = (key.explicit_iv, intent.vector)
        && theirs != ours
    {
        return Err(Error::keys(format!(
            "explicitIV {} of key {}, --vector is {}",
            hex(&theirs),
            key.kid,
            hex(&ours)
        ))
        .hint("leave out --vector: a license may carry the key source's IV"));
    }
    let vector = key.explicit_iv.or(intent.vector);
    let system = intent.systems.iter().find(|system| system.iv_from_key_source());
    if let Some(system) = system.filter(|_| vector.is_none()) {
        return Err(Error::keys(format!(
            "no IV for key {}: {} licenses carry the IV, so it must come from the key source",
            key.kid,
            system.name()
        ))
        .hint("give KID:KEY:IV lines, --vector, or let the key server send explicitIV"));
    }
    Ok(vector)
}

/// What each system is told about a key: the key source's words first, the rest made here.
fn signaling(
    intent: &Intent<'_>,
    (signal, keys): (&Signal<'_>, &KeysOfAnswer),
    answered: &Index<'_>,
    warnings: &mut Vec<String>,
) -> Result<Vec<(&'static dyn System, DrmSystem)>> {
    let mut systems = Vec::new();
    for system in intent.systems {
        let known = answered.drm_system(system.system_id(), signal.key.kid).cloned();
        let known = known.unwrap_or_else(|| DrmSystem::new(system.system_id(), signal.key.kid));
        let mut entry = checked(intent, (signal, keys), (*system, known), warnings)?;
        let license_url = find_license_url(intent.license_urls, *system, &entry, warnings);
        let signal = Signal { license_url, ..*signal };
        system.signal(&signal, &mut entry).map_err(|error| error.at(system.name()))?;
        entry.hls_signaling_data.multivariant.take_if(|_| !intent.session_keys);
        systems.push((*system, entry));
    }
    // Of a system that is passed on there may be no line, and a playlist without one says that its media is clear.
    let has_line = systems.iter().any(|(_, entry)| entry.hls_signaling_data.media.is_some());
    if intent.manifests.contains(&ManifestKind::Hls) && !has_line {
        return Err(Error::keys("no DRM system has an EXT-X-KEY line, playlists need one")
            .clause("RFC 8216bis §4.4.4.4")
            .hint("add a system to --drm, leave HLS out, or let the key source send HLSSignalingData"));
    }
    Ok(systems)
}
