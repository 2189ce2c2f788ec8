//! The CPIX document: content keys, DRM systems, usage rules — DASH-IF CPIX 2.3 §4.

use std::collections::HashMap;

use crate::base::{FourCc, Kid, Secret, SystemId};

/// A CPIX document, the one home of keys and of what is signaled about them.
#[derive(Clone, Debug, Default)]
pub struct Document {
    /// `CPIX/@id`.
    pub id: Option<String>,
    /// `CPIX/@contentId`.
    pub content_id: Option<String>,
    /// `CPIX/@name`.
    pub name: Option<String>,
    /// `CPIX/@version`, such as `2.3`.
    pub version: Option<String>,
    /// `DeliveryDataList`: for whom the content keys are encrypted.
    pub delivery_data: Vec<DeliveryData>,
    /// `ContentKeyList`.
    pub content_keys: Vec<ContentKey>,
    /// `DRMSystemList`.
    pub drm_systems: Vec<DrmSystem>,
    /// `ContentKeyPeriodList`.
    pub periods: Vec<ContentKeyPeriod>,
    /// `ContentKeyUsageRuleList`.
    pub usage_rules: Vec<ContentKeyUsageRule>,
    /// `UpdateHistoryItemList`.
    pub update_history: Vec<UpdateHistoryItem>,
}

/// `DeliveryData`: one recipient of encrypted content keys. The keys that are wrapped for the recipient are
/// not part of it: they are made anew whenever a document is encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryData {
    /// `@id`.
    pub id: Option<String>,
    /// `@name`.
    pub name: Option<String>,
    /// `DeliveryKey/X509Data/X509Certificate`: the recipient's certificate, DER.
    pub certificate: Vec<u8>,
    /// `Description`.
    pub description: Option<String>,
    /// `SendingEntity`.
    pub sending_entity: Option<String>,
    /// `SenderPointOfContact`.
    pub sender_point_of_contact: Option<String>,
    /// `ReceivingEntity`.
    pub receiving_entity: Option<String>,
}

/// `ContentKey`.
#[derive(Clone, Debug)]
pub struct ContentKey {
    /// `@id`.
    pub id: Option<String>,
    /// `@kid`.
    pub kid: Kid,
    /// `@explicitIV`, 16 bytes.
    pub explicit_iv: Option<[u8; 16]>,
    /// `@commonEncryptionScheme`.
    pub common_encryption_scheme: Option<FourCc>,
    /// `@dependsOnKey`: the root key of a leaf key.
    pub depends_on_key: Option<Kid>,
    /// `@contentId`, from CPIX 2.4 on.
    pub content_id: Option<String>,
    /// `HDCPData/@HLSHDCPLevel`, from CPIX 2.4 on.
    pub hls_hdcp_level: Option<String>,
    /// `HDCPData/HDCPOutputProtectionData`: the base64 text as it stands, from CPIX 2.4 on.
    pub hdcp_output_protection_data: Option<String>,
    /// `Data/Secret`: `PlainValue`, or `EncryptedValue` that was decrypted; absent in a request.
    pub value: Option<Secret<16>>,
}

/// `DRMSystem`: what one DRM system is told about one key.
///
/// In a request, an empty value means "please fill"; `None` means "not wanted".
/// In an answer, empty values are read as `None`.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct DrmSystem {
    /// `@systemId`.
    pub system_id: SystemId,
    /// `@kid`.
    pub kid: Kid,
    /// `@id`.
    pub id: Option<String>,
    /// `@name`.
    pub name: Option<String>,
    /// `@HLSAllowedCPC`, from CPIX 2.4 on.
    pub hls_allowed_cpc: Option<String>,
    /// `PSSH`: the whole box, decoded.
    pub pssh: Option<Vec<u8>>,
    /// `ContentProtectionData`: the XML to place inside `ContentProtection`, decoded.
    pub content_protection_data: Option<String>,
    /// `ContentProtectionData/@robustness`, from CPIX 2.4 on.
    pub robustness: Option<String>,
    /// `URIExtXKey`, decoded; up to CPIX 2.3.
    pub uri_ext_x_key: Option<String>,
    /// `HLSSignalingData`, decoded.
    pub hls_signaling_data: HlsSignalingData,
    /// `SmoothStreamingProtectionHeaderData`: the base64 text as it stands.
    pub smooth_streaming_protection_header_data: Option<String>,
    /// `HDSSignalingData`: the base64 text as it stands; up to CPIX 2.3.
    pub hds_signaling_data: Option<String>,
}

/// `HLSSignalingData` for both kinds of playlist: whole tag lines, decoded.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct HlsSignalingData {
    /// `@playlist="media"`: `#EXT-X-KEY:…`.
    pub media: Option<String>,
    /// `@playlist="master"`: `#EXT-X-SESSION-KEY:…`.
    pub multivariant: Option<String>,
    /// `@allowedCPC` of the element for media playlists, from CPIX 2.4 on.
    pub media_allowed_cpc: Option<String>,
    /// `@allowedCPC` of the element for the multivariant playlist, from CPIX 2.4 on.
    pub multivariant_allowed_cpc: Option<String>,
}

/// `ContentKeyPeriod`. Times and durations are kept as the text of their XML Schema types.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContentKeyPeriod {
    /// `@id`.
    pub id: Option<String>,
    /// `@index`.
    pub index: Option<i64>,
    /// `@label`, from CPIX 2.4 on.
    pub label: Option<String>,
    /// `@start`: `xs:dateTime`.
    pub start: Option<String>,
    /// `@end`: `xs:dateTime`; the period ends before it.
    pub end: Option<String>,
    /// `@startOffset`: `xs:duration`, from CPIX 2.4 on.
    pub start_offset: Option<String>,
    /// `@endOffset`: `xs:duration`, from CPIX 2.4 on.
    pub end_offset: Option<String>,
    /// `@duration`: `xs:duration`, from CPIX 2.4 on.
    pub duration: Option<String>,
}

/// `UpdateHistoryItem`, every attribute as it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpdateHistoryItem {
    /// `@id`.
    pub id: Option<String>,
    /// `@updateVersion`.
    pub update_version: String,
    /// `@index`.
    pub index: String,
    /// `@source`.
    pub source: String,
    /// `@date`.
    pub date: String,
}

/// `ContentKeyUsageRule`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentKeyUsageRule {
    /// `@id`.
    pub id: Option<String>,
    /// `@kid`.
    pub kid: Kid,
    /// `@intendedTrackType`.
    pub intended_track_type: Option<String>,
    /// `KeyPeriodFilter/@periodId` of each.
    pub key_period_filters: Vec<String>,
    /// `LabelFilter/@label` of each.
    pub label_filters: Vec<String>,
    /// `VideoFilter` elements.
    pub video_filters: Vec<VideoFilter>,
    /// `AudioFilter` elements.
    pub audio_filters: Vec<AudioFilter>,
    /// `BitrateFilter` elements.
    pub bitrate_filters: Vec<BitrateFilter>,
    /// Names of filters and of their attributes that are unknown. A rule that has one cannot be decided: its
    /// key must not be used — CPIX 2.3 §4.
    pub other_filters: Vec<String>,
}

/// `VideoFilter`; what is `None` is not asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VideoFilter {
    /// `@minPixels`: least width × height.
    pub min_pixels: Option<u32>,
    /// `@maxPixels`: greatest width × height.
    pub max_pixels: Option<u32>,
    /// `@hdr`: high dynamic range.
    pub hdr: Option<bool>,
    /// `@wcg`: wide color gamut.
    pub wcg: Option<bool>,
    /// `@minFps`: the frame rate is greater than this.
    pub min_fps: Option<u32>,
    /// `@maxFps`: greatest frame rate.
    pub max_fps: Option<u32>,
}

/// `AudioFilter`; bounds are inclusive counts of channels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AudioFilter {
    /// `@minChannels`.
    pub min_channels: Option<u32>,
    /// `@maxChannels`.
    pub max_channels: Option<u32>,
}

/// `BitrateFilter`; bounds are inclusive, in bits per second (megabits before CPIX 2.3).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BitrateFilter {
    /// `@minBitrate`.
    pub min_bitrate: Option<u64>,
    /// `@maxBitrate`.
    pub max_bitrate: Option<u64>,
}

impl ContentKey {
    /// An entry that asks for a value.
    pub fn new(kid: Kid) -> Self {
        Self {
            id: None,
            kid,
            explicit_iv: None,
            common_encryption_scheme: None,
            depends_on_key: None,
            content_id: None,
            hls_hdcp_level: None,
            hdcp_output_protection_data: None,
            value: None,
        }
    }
}

/// The name of the filter that ties a usage rule to key periods.
pub const KEY_PERIOD_FILTER: &str = "KeyPeriodFilter";

impl ContentKeyUsageRule {
    /// A rule without a filter.
    pub fn new(kid: Kid) -> Self {
        Self {
            id: None,
            kid,
            intended_track_type: None,
            key_period_filters: Vec::new(),
            label_filters: Vec::new(),
            video_filters: Vec::new(),
            audio_filters: Vec::new(),
            bitrate_filters: Vec::new(),
            other_filters: Vec::new(),
        }
    }

    /// The first filter, or attribute of one, that asks for more than a number of pixels or channels.
    pub fn finer_filter(&self) -> Option<&str> {
        let video = self.video_filters.iter().find_map(|filter| {
            let asked = [
                (filter.hdr.is_some(), "VideoFilter/@hdr"),
                (filter.wcg.is_some(), "VideoFilter/@wcg"),
                (filter.min_fps.is_some(), "VideoFilter/@minFps"),
                (filter.max_fps.is_some(), "VideoFilter/@maxFps"),
            ];
            asked.into_iter().find(|(asked, _)| *asked).map(|(_, name)| name)
        });
        let named = [
            (!self.label_filters.is_empty(), "LabelFilter"),
            (!self.bitrate_filters.is_empty(), "BitrateFilter"),
            (!self.key_period_filters.is_empty(), KEY_PERIOD_FILTER),
        ];
        let named = named.into_iter().find(|(there, _)| *there).map(|(_, name)| name);
        self.other_filters.first().map(String::as_str).or(video).or(named)
    }
}

impl DrmSystem {
    /// An entry that says nothing yet.
    pub fn new(system_id: SystemId, kid: Kid) -> Self {
        Self {
            system_id,
            kid,
            id: None,
            name: None,
            hls_allowed_cpc: None,
            pssh: None,
            content_protection_data: None,
            robustness: None,
            uri_ext_x_key: None,
            hls_signaling_data: HlsSignalingData::default(),
            smooth_streaming_protection_header_data: None,
            hds_signaling_data: None,
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
                &mut system.uri_ext_x_key,
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

    /// The number of the key period that a rule is for; `None` when it is for all.
    pub fn period_index(&self, rule: &ContentKeyUsageRule) -> Option<i64> {
        let id = rule.key_period_filters.first()?;
        let place = self.periods.iter().position(|period| period.id.as_ref() == Some(id))?;
        self.periods.get(place)?.index.or_else(|| i64::try_from(place).ok())
    }

    /// The same look-ups for whoever makes many: each takes the same time in a document of any size.
    pub(crate) fn index(&self) -> Index<'_> {
        let mut index = Index::default();
        for key in &self.content_keys {
            index.content_keys.entry(key.kid).or_insert(key);
        }
        for system in &self.drm_systems {
            index.drm_systems.entry((system.system_id, system.kid)).or_insert(system);
        }
        for rule in &self.usage_rules {
            index.usage_rules.entry(rule.kid).or_insert(rule);
        }
        for (place, period) in self.periods.iter().enumerate() {
            let Some(id) = &period.id else { continue };
            index.periods.entry(id).or_insert_with(|| period.index.or_else(|| i64::try_from(place).ok()));
        }
        index
    }

    /// What this system is told about this key.
    pub fn drm_system(&self, system_id: SystemId, kid: Kid) -> Option<&DrmSystem> {
        self.drm_systems.iter().find(|system| system.system_id == system_id && system.kid == kid)
    }
}

/// Parts of a document by what they are for; of several the first.
#[derive(Default)]
pub(crate) struct Index<'a> {
    content_keys: HashMap<Kid, &'a ContentKey>,
    drm_systems: HashMap<(SystemId, Kid), &'a DrmSystem>,
    usage_rules: HashMap<Kid, &'a ContentKeyUsageRule>,
    periods: HashMap<&'a str, Option<i64>>,
}

impl<'a> Index<'a> {
    /// As [`Document::content_key`].
    pub(crate) fn content_key(&self, kid: Kid) -> Option<&'a ContentKey> {
        self.content_keys.get(&kid).copied()
    }

    /// As [`Document::drm_system`].
    pub(crate) fn drm_system(&self, system_id: SystemId, kid: Kid) -> Option<&'a DrmSystem> {
        self.drm_systems.get(&(system_id, kid)).copied()
    }

    /// The first usage rule of a key.
    pub(crate) fn usage_rule(&self, kid: Kid) -> Option<&'a ContentKeyUsageRule> {
        self.usage_rules.get(&kid).copied()
    }

    /// Whether there is a key period of this id.
    pub(crate) fn has_period(&self, id: &str) -> bool {
        self.periods.contains_key(id)
    }

    /// As [`Document::period_index`].
    pub(crate) fn period_index(&self, rule: &ContentKeyUsageRule) -> Option<i64> {
        self.periods.get(rule.key_period_filters.first()?.as_str()).copied().flatten()
    }
}
