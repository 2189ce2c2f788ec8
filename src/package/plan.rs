//! The plan: which substream gets which key, scheme, IV and signaling — SPEKE 2.0, DASH-IF CPIX 2.3 §4.

use crate::base::env::Random;
use crate::base::{Error, Kid, Result, Secret};
use crate::codec::TrackKind;
use crate::cpix::{ContentKey, Document, DrmSystem};
use crate::drm::{ManifestKind, Signal, System};
use crate::keys::{Wanted, request};
use crate::protect::scheme::IvRule;
use crate::protect::{Iv, Pattern, SampleIvs, Scheme, TrackProtection};

use super::assignment::{Assignment, Substream};

/// What is decided before any key is fetched.
pub struct Intent<'a> {
    /// `CPIX/@contentId`.
    pub content_id: &'a str,
    /// The scheme of every track.
    pub scheme: &'static Scheme,
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
}

impl Intent<'_> {
    /// The request document: one content key and rule for each key, what each system wants filled.
    ///
    /// Key ids follow from content id, scheme and track (RFC 9562 §5.5), so that a repeated job asks for the
    /// same keys and two schemes never share one.
    pub fn request(&self) -> Document {
        let wanted: Vec<_> = self
            .keys
            .keys
            .iter()
            .map(|key| Wanted {
                id: key.id.clone(),
                kid: self.kid(key.id.as_deref().unwrap_or(&key.track_type)),
                explicit_iv: self.vector,
                track_type: key.track_type.clone(),
                video: key.video.clone(),
                audio: key.audio.clone(),
            })
            .collect();
        let mut systems = Vec::new();
        for key in &wanted {
            for system in self.systems {
                let mut entry = DrmSystem::new(system.system_id(), key.kid);
                system.request(&mut entry, self.manifests);
                systems.push(entry);
            }
        }
        request(self.content_id, self.scheme.fourcc, &wanted, systems)
    }

    fn kid(&self, track: &str) -> Kid {
        let name = format!("drm-pack:{}:{}:{track}", self.content_id, self.scheme.name);
        Kid::new(*uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, name.as_bytes()).as_bytes())
    }
}

/// What protects each substream and what is signaled about each key.
pub struct Plan {
    /// The scheme of every track.
    pub scheme: &'static Scheme,
    keys: Vec<PlannedKey>,
    key_of: Vec<usize>,
    patterns: Vec<Pattern>,
}

/// A key and what is signaled about it.
pub struct PlannedKey {
    /// Its id.
    pub kid: Kid,
    value: Secret<16>,
    vector: [u8; 16],
    /// Each DRM system and what it is told, in the order of the request.
    pub systems: Vec<(&'static dyn System, DrmSystem)>,
}

impl Plan {
    /// Combines the checked answer of a key source with what was asked: IVs are fixed, signaling is completed.
    ///
    /// # Errors
    /// When a system needs the IV from the key source and there is none, or an IV differs from the one asked for.
    pub fn resolve(
        intent: &Intent<'_>,
        substreams: &[Substream],
        mut document: Document,
        random: &dyn Random,
    ) -> Result<Self> {
        let mut keys = Vec::new();
        let mut key_of = intent.keys.key_of.clone();
        for (index, mut key) in std::mem::take(&mut document.content_keys).into_iter().enumerate() {
            // A key of a contract that no substream needs is not signaled.
            let Some(track) = intent.keys.substreams_of(index, substreams).next() else { continue };
            let number = keys.len();
            let wanted = intent.keys.key_of.iter().zip(&mut key_of).filter(|(key, _)| **key == index);
            wanted.for_each(|(_, slot)| *slot = number);
            let vector = vector(intent, &key, random)?;
            key.explicit_iv = Some(vector);
            let signal = Signal {
                key: &key,
                scheme: intent.scheme,
                content_id: intent.content_id,
                skd_template: intent.skd_template,
                track: &track.id,
                license_url: None,
            };
            let systems = signaling(intent, &signal, &document)
                .map_err(|error| error.at(format_args!("key {}", key.kid)))?;
            let value = key.value.clone().ok_or_else(|| no_key(index))?;
            keys.push(PlannedKey { kid: key.kid, value, vector, systems });
        }
        let patterns = substreams
            .iter()
            .map(|substream| match substream.kind {
                TrackKind::Video => intent.scheme.video,
                _ => Pattern::NONE,
            })
            .collect();
        Ok(Self { scheme: intent.scheme, keys, key_of, patterns })
    }

    /// What protects a track of this substream. `track` is the number of the track in the job, unlike that
    /// of every other track: IVs depend on it.
    ///
    /// # Errors
    /// When there is no substream of this number, or there are too many tracks.
    pub fn protection(&self, substream: usize, track: usize) -> Result<TrackProtection> {
        let key = self.key(substream)?;
        let pattern = self.patterns.get(substream).copied().ok_or_else(|| no_key(substream))?;
        let iv = match self.scheme.iv {
            IvRule::Constant16 => Iv::Constant(key.vector),
            IvRule::PerSample8 | IvRule::PerSample16 => {
                Iv::PerSample(SampleIvs::new(&key.vector, u32::try_from(track).unwrap_or(u32::MAX))?)
            }
        };
        Ok(TrackProtection::new(self.scheme, key.kid, &key.value, pattern, iv))
    }

    /// The key of this substream.
    ///
    /// # Errors
    /// When there is no substream of this number.
    pub fn key(&self, substream: usize) -> Result<&PlannedKey> {
        self.key_of.get(substream).and_then(|key| self.keys.get(*key)).ok_or_else(|| no_key(substream))
    }

    /// Every key.
    pub fn keys(&self) -> &[PlannedKey] {
        &self.keys
    }

    /// The whole `pssh` boxes for a file with these substreams, each once, in the order of the systems.
    ///
    /// # Errors
    /// When there is no substream of such a number.
    pub fn pssh(&self, substreams: &[usize]) -> Result<Vec<Vec<u8>>> {
        let mut boxes: Vec<Vec<u8>> = Vec::new();
        for substream in substreams {
            for (_, system) in &self.key(*substream)?.systems {
                boxes.extend(
                    system.pssh.iter().filter(|pssh| !boxes.contains(pssh)).cloned().collect::<Vec<_>>(),
                );
            }
        }
        Ok(boxes)
    }
}

fn no_key(substream: usize) -> Error {
    Error::keys(format!("no key for substream {}", substream + 1))
}

/// The 16-byte IV of a key: what its source said, else what the operator fixed, else a random one.
fn vector(intent: &Intent<'_>, key: &ContentKey, random: &dyn Random) -> Result<[u8; 16]> {
    if let (Some(theirs), Some(ours)) = (key.explicit_iv, intent.vector)
        && theirs != ours
    {
        return Err(Error::keys(format!(
            "the key source fixed another IV for key {} than the vector",
            key.kid
        ))
        .hint("leave out --vector: a license may carry the key source's IV"));
    }
    if let Some(vector) = key.explicit_iv.or(intent.vector) {
        return Ok(vector);
    }
    if let Some(system) = intent.systems.iter().find(|system| system.iv_from_key_source()) {
        return Err(Error::keys(format!(
            "no IV for key {}: {} licenses carry the IV, so it must come from the key source",
            key.kid,
            system.name()
        ))
        .hint("give KID:KEY:IV lines, --vector, or let the key server send explicitIV"));
    }
    let mut vector = [0; 16];
    random.fill(&mut vector)?;
    Ok(vector)
}

/// What each system is told about a key: the key source's words first, the rest made here.
fn signaling(
    intent: &Intent<'_>,
    signal: &Signal<'_>,
    document: &Document,
) -> Result<Vec<(&'static dyn System, DrmSystem)>> {
    intent
        .systems
        .iter()
        .map(|system| {
            let known = document.drm_system(system.system_id(), signal.key.kid).cloned();
            let mut entry = known.unwrap_or_else(|| DrmSystem::new(system.system_id(), signal.key.kid));
            system.signal(signal, &mut entry).map_err(|error| error.at(system.name()))?;
            Ok((*system, entry))
        })
        .collect()
}
