//! The CPIX document: content keys, DRM systems, usage rules — DASH-IF CPIX 2.3 §4.

use crate::base::{FourCc, Kid, Secret, SystemId};

/// A CPIX document, the one home of keys and of what is signaled about them.
#[derive(Clone, Debug, Default)]
pub struct Document {
    /// `CPIX/@contentId`.
    pub content_id: Option<String>,
    /// `CPIX/@version`, such as `2.3`.
    pub version: Option<String>,
    /// `ContentKeyList`.
    pub content_keys: Vec<ContentKey>,
    /// `DRMSystemList`.
    pub drm_systems: Vec<DrmSystem>,
    /// `ContentKeyUsageRuleList`.
    pub usage_rules: Vec<ContentKeyUsageRule>,
}

/// `ContentKey`.
#[derive(Clone, Debug)]
pub struct ContentKey {
    /// `@kid`.
    pub kid: Kid,
    /// `@explicitIV`, 16 bytes.
    pub explicit_iv: Option<[u8; 16]>,
    /// `@commonEncryptionScheme`.
    pub common_encryption_scheme: Option<FourCc>,
    /// `Data/Secret/PlainValue`; absent in a request.
    pub value: Option<Secret<16>>,
}

/// `DRMSystem`: what one DRM system is told about one key.
///
/// In a request, an empty value means "please fill"; `None` means "not wanted".
/// In an answer, empty values are read as `None`.
#[derive(Clone, Debug)]
pub struct DrmSystem {
    /// `@systemId`.
    pub system_id: SystemId,
    /// `@kid`.
    pub kid: Kid,
    /// `PSSH`: the whole box, decoded.
    pub pssh: Option<Vec<u8>>,
    /// `ContentProtectionData`: the XML to place inside `ContentProtection`, decoded.
    pub content_protection_data: Option<String>,
    /// `HLSSignalingData`, decoded.
    pub hls_signaling_data: HlsSignalingData,
    /// `SmoothStreamingProtectionHeaderData`: the base64 text as it stands.
    pub smooth_streaming_protection_header_data: Option<String>,
}

/// `HLSSignalingData` for both kinds of playlist: whole tag lines, decoded.
#[derive(Clone, Debug, Default)]
pub struct HlsSignalingData {
    /// `@playlist="media"`: `#EXT-X-KEY:…`.
    pub media: Option<String>,
    /// `@playlist="master"`: `#EXT-X-SESSION-KEY:…`.
    pub multivariant: Option<String>,
}

/// `ContentKeyUsageRule`.
#[derive(Clone, Debug)]
pub struct ContentKeyUsageRule {
    /// `@kid`.
    pub kid: Kid,
    /// `@intendedTrackType`.
    pub intended_track_type: Option<String>,
    /// `VideoFilter` elements.
    pub video_filters: Vec<VideoFilter>,
    /// `AudioFilter` elements.
    pub audio_filters: Vec<AudioFilter>,
    /// Names of filters and of their attributes that are not read, such as `KeyPeriodFilter` or
    /// `VideoFilter/@hdr`. A rule that has one cannot be decided: its key must not be used — CPIX 2.3 §4.
    pub other_filters: Vec<String>,
}

/// `VideoFilter`; bounds are inclusive counts of width × height, in pixels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VideoFilter {
    /// `@minPixels`.
    pub min_pixels: Option<u32>,
    /// `@maxPixels`.
    pub max_pixels: Option<u32>,
}

/// `AudioFilter`; bounds are inclusive counts of channels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AudioFilter {
    /// `@minChannels`.
    pub min_channels: Option<u32>,
    /// `@maxChannels`.
    pub max_channels: Option<u32>,
}

impl DrmSystem {
    /// An entry that says nothing yet.
    pub fn new(system_id: SystemId, kid: Kid) -> Self {
        Self {
            system_id,
            kid,
            pssh: None,
            content_protection_data: None,
            hls_signaling_data: HlsSignalingData::default(),
            smooth_streaming_protection_header_data: None,
        }
    }
}

impl Document {
    /// Makes empty values `None`: an answer that leaves a child empty signals nothing there.
    pub fn drop_empty(&mut self) {
        for system in &mut self.drm_systems {
            system.pssh.take_if(|bytes| bytes.is_empty());
            for text in [
                &mut system.content_protection_data,
                &mut system.hls_signaling_data.media,
                &mut system.hls_signaling_data.multivariant,
                &mut system.smooth_streaming_protection_header_data,
            ] {
                text.take_if(|text| text.trim().is_empty());
            }
        }
    }

    /// The content key of this id.
    pub fn content_key(&self, kid: Kid) -> Option<&ContentKey> {
        self.content_keys.iter().find(|key| key.kid == kid)
    }

    /// What this system is told about this key.
    pub fn drm_system(&self, system_id: SystemId, kid: Kid) -> Option<&DrmSystem> {
        self.drm_systems.iter().find(|system| system.system_id == system_id && system.kid == kid)
    }
}
