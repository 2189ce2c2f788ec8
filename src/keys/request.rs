//! Key requests — SPEKE 2.0: one content key and one usage rule for each key that is wanted.

use crate::base::{Error, FourCc, Kid, Result};
use crate::cpix::{AudioFilter, ContentKey, ContentKeyUsageRule, Document, DrmSystem, VideoFilter};

/// The CPIX version that SPEKE 2.0 prescribes.
const CPIX_VERSION: &str = "2.3";

/// A key that is wanted, and for which tracks.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// `ContentKey/@id`: the id of the one track under this key, for key files with labels.
    pub id: Option<String>,
    /// The key id to propose.
    pub kid: Kid,
    /// `explicitIV` to propose, when the caller has one.
    pub explicit_iv: Option<[u8; 16]>,
    /// `intendedTrackType`, unlike that of every other key.
    pub track_type: String,
    /// `VideoFilter`, when video tracks are under this key.
    pub video: Option<VideoFilter>,
    /// `AudioFilter`, when audio tracks are under this key.
    pub audio: Option<AudioFilter>,
}

/// Builds the request for these keys; all are of one scheme, or of none when whole segments are encrypted.
///
/// `drm_systems` says what each DRM system wants to be told about each key: an empty value asks for it.
pub fn request(
    content_id: &str,
    scheme: Option<FourCc>,
    wanted: &[Wanted],
    drm_systems: Vec<DrmSystem>,
) -> Document {
    let content_keys = wanted.iter().map(|wanted| ContentKey {
        id: wanted.id.clone(),
        explicit_iv: wanted.explicit_iv,
        common_encryption_scheme: scheme,
        ..ContentKey::new(wanted.kid)
    });
    let usage_rules = wanted.iter().map(|wanted| ContentKeyUsageRule {
        intended_track_type: Some(wanted.track_type.clone()),
        video_filters: wanted.video.clone().into_iter().collect(),
        audio_filters: wanted.audio.clone().into_iter().collect(),
        ..ContentKeyUsageRule::new(wanted.kid)
    });
    Document {
        content_id: Some(content_id.to_owned()),
        version: Some(CPIX_VERSION.to_owned()),
        content_keys: content_keys.collect(),
        drm_systems,
        usage_rules: usage_rules.collect(),
        ..Document::default()
    }
}

/// Refuses keys that change, and keys for two schemes, for a source that cannot be asked for them.
///
/// # Errors
/// [`Kind::Usage`](crate::base::Kind::Usage) when the request has key periods, or several schemes.
pub(super) fn refuse_several(request: &Document, source: &str) -> Result<()> {
    let mut schemes = request.content_keys.iter().map(|key| key.common_encryption_scheme);
    let first = schemes.next();
    if schemes.any(|scheme| Some(scheme) != first) {
        return Err(Error::usage(format!("keys for two schemes, {source} is asked for one"))
            .hint("pack each scheme in a call of its own"));
    }
    match request.periods.len() {
        0 => Ok(()),
        count => Err(Error::usage(format!("{count} key periods, {source} is asked for one")).hint(
            "leave out --rotate-every, or take keys from SPEKE 2.0 or 2.1, a key file or a CPIX document",
        )),
    }
}
