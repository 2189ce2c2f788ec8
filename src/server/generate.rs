//! The generate endpoint: a CPIX 2.3 document with keys for an asset, of which nothing but its id is known.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::base::{Error, Kid, Result};
use crate::cpix::{AudioFilter, Document, DrmSystem, VideoFilter};
use crate::drm::{self, ManifestKind};
use crate::keys::{Wanted, request};
use crate::protect::Scheme;

use super::{Answers, speke};

/// The stream type of audio.
const AUDIO: &str = "AUDIO";
/// The stream types of video by their pixels: up to 1024 × 576, up to 1920 × 1080, and more.
const VIDEO: &[(&str, Option<u32>, Option<u32>)] =
    &[("SD", None, Some(589_824)), ("HD", Some(589_825), Some(2_073_600)), ("UHD", Some(2_073_601), None)];

/// One key for each stream type; key ids and keys follow from the seed, the asset and the stream type.
///
/// # Errors
/// When a system cannot say something about a key.
pub(super) fn document(
    seed: &str,
    asset: &str,
    (scheme, answers): (&Scheme, &Answers<'_>),
) -> Result<Document> {
    let key = |track_type: &str, video, audio| -> Result<Wanted> {
        let kid = kid(seed, asset, track_type)?;
        Ok(Wanted { id: None, kid, explicit_iv: None, track_type: track_type.to_owned(), video, audio })
    };
    let mut wanted = vec![key(AUDIO, None, Some(AudioFilter::default()))?];
    for (track_type, min_pixels, max_pixels) in VIDEO.iter().copied() {
        let video = VideoFilter { min_pixels, max_pixels, ..VideoFilter::default() };
        wanted.push(key(track_type, Some(video), None)?);
    }
    let mut systems = Vec::new();
    for (system, key) in drm::ALL.iter().flat_map(|system| wanted.iter().map(move |key| (system, key))) {
        let mut entry = DrmSystem::new(system.system_id(), key.kid);
        system.request(&mut entry, &[ManifestKind::Hls, ManifestKind::Dash]);
        let asks = entry.pssh.is_some() || entry.hls_signaling_data.media.is_some();
        if system.allows(scheme) && asks {
            systems.push(entry);
        }
    }
    let mut document = request(asset, Some(scheme.fourcc), &wanted, systems);
    speke::fill(answers, &mut document, scheme)?;
    Ok(document)
}

/// A random UUID in form (RFC 9562 §5.4): HMAC-SHA-256(seed, `kid` ‖ length of the asset's id ‖ id ‖ type).
fn kid(seed: &str, asset: &str, track_type: &str) -> Result<Kid> {
    let mut mac = Hmac::<Sha256>::new_from_slice(seed.as_bytes())
        .map_err(|_| Error::keys("the seed is not fit for HMAC"))?;
    mac.update(b"kid");
    mac.update(&(asset.len() as u64).to_be_bytes());
    mac.update(asset.as_bytes());
    mac.update(track_type.as_bytes());
    let bytes: [u8; 32] = mac.finalize().into_bytes().into();
    let bytes = bytes.first_chunk().ok_or_else(|| Error::keys("the digest has less than 16 bytes"))?;
    Ok(Kid::new(*uuid::Builder::from_random_bytes(*bytes).into_uuid().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::DevKeys;
    use crate::protect::scheme::SCHEMES;
    use crate::server::{Fault, Says};

    fn made(seed: &str, asset: &str, scheme: &Scheme) -> Document {
        let (keys, says) = (&DevKeys::new(seed), &Says::default());
        let answers = Answers { keys, says, key_uri: "", fault: Fault::None };
        document(seed, asset, (scheme, &answers)).unwrap()
    }

    #[test]
    fn key_ids_and_keys_follow_from_seed_asset_and_stream_type() {
        let scheme = &SCHEMES[0];
        let ids = |seed: &str, asset: &str| -> Vec<_> {
            let document = made(seed, asset, scheme);
            document.content_keys.iter().map(|key| (key.kid, *key.value.as_ref().unwrap().expose())).collect()
        };
        let first = ids("seed", "a");
        assert_eq!(first, ids("seed", "a"));
        assert_eq!(first.len(), 1 + VIDEO.len());
        for other in [ids("seed", "b"), ids("other", "a")] {
            assert!(first.iter().zip(&other).all(|(one, two)| one.0 != two.0 && one.1 != two.1));
        }
        for (index, (kid, _)) in first.iter().enumerate() {
            assert_eq!((kid.bytes()[6] >> 4, kid.bytes()[8] >> 6), (4, 2));
            assert!(first[..index].iter().all(|(other, _)| other != kid));
        }
    }

    #[test]
    fn every_system_of_the_scheme_is_told_about_every_key() {
        for scheme in SCHEMES {
            let document = made("seed", "a", scheme);
            assert_eq!(document.version.as_deref(), Some("2.3"));
            for key in &document.content_keys {
                assert!(key.explicit_iv.is_some());
                // The first of them have a box of their own, which is what a request asks for.
                let told = if scheme.hls_method.is_some() { 2 } else { 1 };
                for system in drm::ALL.iter().filter(|system| system.allows(scheme)).take(told) {
                    let entry = document.drm_system(system.system_id(), key.kid).unwrap();
                    let line = entry.hls_signaling_data.media.as_ref();
                    assert_eq!(line.is_some_and(|line| !line.is_empty()), scheme.hls_method.is_some());
                }
            }
        }
    }
}
