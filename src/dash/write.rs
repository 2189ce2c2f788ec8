//! A new MPD — ISO/IEC 23009-1 §5.3 and §8: the live profile for segments, on-demand for whole files, both CMAF.

use std::ops::Range;
use std::time::Duration;

use super::mpd::NAMESPACE;
use super::{ContentType, Mpd, layout};
use crate::base::duration;
use crate::isobmff::user_data::ROLE_SCHEME;
use crate::xml::{Document, Element};

/// What an AdaptationSet of key frames alone is for: DASH-IF IOP, trick modes; its value is the id of the main one.
const TRICK_MODE: &str = "http://dashif.org/guidelines/trickmode";
/// Which images are grids of tiles: DASH-IF IOP, tiles of thumbnail images; its value is columns and rows.
const THUMBNAIL_TILE: &str = "http://dashif.org/guidelines/thumbnail_tile";
/// Segment lists are of this profile, and templates beside files with an index.
const MAIN_PROFILE: &str = "urn:mpeg:dash:profile:isoff-main:2011";
const LIVE_PROFILES: &str = "urn:mpeg:dash:profile:isoff-live:2011,urn:mpeg:dash:profile:cmaf:2019";
const ON_DEMAND_PROFILES: &str = "urn:mpeg:dash:profile:isoff-on-demand:2011,urn:mpeg:dash:profile:cmaf:2019";
/// Values are channel configuration indexes of ISO/IEC 23091-3.
const CHANNELS: &str = "urn:mpeg:mpegB:cicp:ChannelConfiguration";
/// ANSI/SCTE 214-1: what MPDs say of codecs over a base.
const SCTE_214: &str = "urn:scte:dash:scte214-extensions";
const STEP: &str = "  ";
/// What a track is for: ETSI TS 102 822-3-1.
const PURPOSE: &str = "urn:tva:metadata:cs:AudioPurposeCS:2007";
/// What a Role may be: §5.8.5.5.
pub const ROLES: &[&str] = &[
    "main",
    "alternate",
    "supplementary",
    "commentary",
    "dub",
    "caption",
    "subtitle",
    "forced-subtitle",
    "description",
    "sign",
    "metadata",
    "easyreader",
    "enhanced-audio-intelligibility",
    "emergency",
    "karaoke",
];

/// A static presentation of one Period.
#[derive(Clone, Debug)]
pub struct NewMpd {
    /// `@mediaPresentationDuration`.
    pub duration: Duration,
    /// `@maxSegmentDuration`; also `@minBufferTime`, so that `@bandwidth` may be an average over one segment.
    pub max_segment_duration: Duration,
    /// The AdaptationSets; they get the ids 1, 2 and so on.
    pub adaptation_sets: Vec<NewAdaptationSet>,
}

/// An AdaptationSet to be written.
#[derive(Clone, Debug)]
pub struct NewAdaptationSet {
    /// `@contentType`; not written for [`ContentType::Other`].
    pub content_type: ContentType,
    /// `@mimeType`.
    pub mime_type: String,
    /// `@lang`.
    pub lang: Option<String>,
    /// `Label`.
    pub label: Option<String>,
    /// Purposes of `Accessibility`.
    pub purposes: Vec<&'static str>,
    /// `Role`, one of [`ROLES`] each.
    pub roles: Vec<String>,
    /// The index of the AdaptationSet whose key frames this one has, for trick modes.
    pub trick_mode_of: Option<usize>,
    /// The Representations.
    pub representations: Vec<NewRepresentation>,
}

/// A Representation to be written.
#[derive(Clone, Debug, Default)]
pub struct NewRepresentation {
    /// `@id`.
    pub id: String,
    /// `@codecs`; not written when it is empty.
    pub codecs: String,
    /// `@bandwidth`, in bits per second.
    pub bandwidth: u64,
    /// `@width`, in pixels.
    pub width: Option<u32>,
    /// `@height`, in pixels.
    pub height: Option<u32>,
    /// `@frameRate`, such as `25` or `30000/1001`.
    pub frame_rate: Option<String>,
    /// `@audioSamplingRate`, in Hz.
    pub audio_sampling_rate: Option<u32>,
    /// `AudioChannelConfiguration`, as a ChannelConfiguration of ISO/IEC 23091-3.
    pub channel_configuration: Option<u32>,
    /// `@sar`: width and height of a pixel.
    pub sample_aspect_ratio: Option<(u32, u32)>,
    /// `@scte214:supplementalCodecs` and `@scte214:supplementalProfiles`: ANSI/SCTE 214-1.
    pub supplemental_codec: Option<(String, &'static str)>,
    /// The properties that the AdaptationSet has when all its Representations do, essential ones first.
    pub set_properties: Vec<SetProperty>,
    /// Properties: scheme and value of each `SupplementalProperty`.
    pub properties: Vec<(&'static str, String)>,
    /// Columns and rows of the tiles that each image is a grid of.
    pub tiles: Option<(u32, u32)>,
    /// `@timescale` of the segment information.
    pub timescale: u32,
    /// `@presentationTimeOffset` of the segment information.
    pub presentation_time_offset: u64,
    /// Where the segments are.
    pub addressing: NewAddressing,
    /// Start time and duration of each segment.
    pub timeline: Vec<(u64, u64)>,
}

/// A property of an AdaptationSet: §5.8.4.8, §5.8.4.9.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetProperty {
    /// Whether it is an `EssentialProperty`: who does not know it passes the AdaptationSet over.
    pub is_essential: bool,
    /// Its scheme.
    pub scheme: String,
    /// Its value.
    pub value: String,
}

/// Where the segments of a Representation are: §5.3.9.
#[derive(Clone, Debug)]
pub enum NewAddressing {
    /// `SegmentTemplate` with a `SegmentTimeline`.
    Template {
        /// `@initialization`, a template.
        initialization: String,
        /// `@media`, a template.
        media: String,
        /// `@startNumber`.
        start_number: u64,
    },
    /// `SegmentTemplate` with `@duration`, numbered from 1.
    Numbered {
        /// `@media`, a template.
        media: String,
        /// `@duration`.
        duration: u64,
        /// `@endNumber`, when there are fewer than the Period lasts.
        last: Option<u64>,
    },
    /// `SegmentList` with a `SegmentTimeline`: byte ranges.
    List {
        /// The file with the initialization segment.
        initialization: String,
        /// Where it is in the file, if it is not all of it.
        initialization_range: Option<Range<u64>>,
        /// The file of each segment, and where it is there.
        segments: Vec<(String, Range<u64>)>,
    },
    /// `SegmentBase`: one file with an index of its segments.
    Base {
        /// `BaseURL`.
        url: String,
        /// `Initialization/@range`.
        initialization: Range<u64>,
        /// `@indexRange`.
        index: Range<u64>,
        /// The greatest `SAP_type` that a segment starts with; 0 when one starts with none.
        sap_type: u8,
    },
    /// `BaseURL` alone: one file without segments.
    Sidecar {
        /// `BaseURL`.
        url: String,
    },
}

impl Default for NewAddressing {
    fn default() -> Self {
        Self::Sidecar { url: String::new() }
    }
}

/// Writes the MPD.
pub fn mpd(new: &NewMpd) -> Mpd {
    let mut period = Element::new("Period").with("id", "0").with("start", "PT0S");
    for (index, set) in new.adaptation_sets.iter().enumerate() {
        period = period.with_child(adaptation_set(index.saturating_add(1), set));
    }
    let mut main = new.adaptation_sets.iter().filter(|set| set.trick_mode_of.is_none());
    let is_on_demand = main.all(|set| are_indexed(set) || are_numbered(set));
    let mut profiles = if is_on_demand { ON_DEMAND_PROFILES } else { LIVE_PROFILES }.to_owned();
    let is_of_main =
        |set: &NewAdaptationSet| set.trick_mode_of.is_some() || is_on_demand && are_numbered(set);
    if new.adaptation_sets.iter().any(is_of_main) {
        profiles = format!("{profiles},{MAIN_PROFILE}");
    }
    let mut root = Element::new("MPD").with("xmlns", NAMESPACE);
    let mut representations = new.adaptation_sets.iter().flat_map(|set| &set.representations);
    if representations.any(|representation| representation.supplemental_codec.is_some()) {
        root.set_attribute("xmlns:scte214", SCTE_214);
    }
    let mut root = root
        .with("profiles", &profiles)
        .with("type", "static")
        .with("mediaPresentationDuration", &duration::write(new.duration))
        .with("maxSegmentDuration", &duration::write(new.max_segment_duration))
        .with("minBufferTime", &duration::write(new.max_segment_duration))
        .with_child(period);
    spread(&mut root, "\n");
    Mpd { document: Document::new(root), repairs: Vec::new() }
}

fn spread(element: &mut Element, before: &str) {
    layout::spread(element, before, STEP);
    let inner = format!("{before}{STEP}");
    element.elements_mut().for_each(|child| spread(child, &inner));
}

fn adaptation_set(id: usize, new: &NewAdaptationSet) -> Element {
    let mut set = Element::new("AdaptationSet").with("id", &id.to_string());
    let content_type = match new.content_type {
        ContentType::Video => "video",
        ContentType::Audio => "audio",
        ContentType::Text => "text",
        ContentType::Image => "image",
        ContentType::Other => "",
    };
    if !content_type.is_empty() {
        set.set_attribute("contentType", content_type);
    }
    set.set_attribute("mimeType", &new.mime_type);
    if let Some(lang) = &new.lang {
        set.set_attribute("lang", lang);
    }
    if are_aligned(&new.representations) {
        let name = if are_indexed(new) { "subsegmentAlignment" } else { "segmentAlignment" };
        set.set_attribute(name, "true");
    }
    if let Some(sap_type) = subsegment_sap_type(&new.representations) {
        set.set_attribute("subsegmentStartsWithSAP", &sap_type.to_string());
    }
    if let Some(main) = new.trick_mode_of {
        let value = main.saturating_add(1).to_string();
        let essential = Element::new("EssentialProperty").with("schemeIdUri", TRICK_MODE);
        set = set.with_child(essential.with("value", &value));
    }
    for SetProperty { is_essential, scheme, value } in shared_properties(&new.representations) {
        let name = if *is_essential { "EssentialProperty" } else { "SupplementalProperty" };
        set = set.with_child(Element::new(name).with("schemeIdUri", scheme).with("value", value));
    }
    if let Some(label) = &new.label {
        set = set.with_child(Element::new("Label").with_text(label));
    }
    let purposes = new.purposes.iter().map(|purpose| ("Accessibility", PURPOSE, *purpose));
    let roles = new.roles.iter().map(|role| ("Role", ROLE_SCHEME, role.as_str()));
    for (name, scheme, value) in purposes.chain(roles) {
        set = set.with_child(Element::new(name).with("schemeIdUri", scheme).with("value", value));
    }
    new.representations.iter().fold(set, |set, representation| {
        let mut representation = self::representation(representation);
        if new.trick_mode_of.is_some() {
            representation.set_attribute("codingDependency", "false");
        }
        set.with_child(representation)
    })
}

fn property(scheme: &str, value: &str) -> Element {
    Element::new("SupplementalProperty").with("schemeIdUri", scheme).with("value", value)
}

/// The properties of the AdaptationSet that all Representations have.
fn shared_properties(representations: &[NewRepresentation]) -> Vec<&SetProperty> {
    let Some((first, others)) = representations.split_first() else { return Vec::new() };
    let is_shared =
        |property: &&SetProperty| others.iter().all(|other| other.set_properties.contains(property));
    first.set_properties.iter().filter(is_shared).collect()
}

/// Whether every Representation is one file, indexed, so that its segments are subsegments, or text: §8.3.
fn are_indexed(set: &NewAdaptationSet) -> bool {
    set.representations
        .iter()
        .all(|new| matches!(new.addressing, NewAddressing::Base { .. } | NewAddressing::Sidecar { .. }))
}

/// Whether every Representation has numbered segments of one duration.
fn are_numbered(set: &NewAdaptationSet) -> bool {
    set.representations
        .iter()
        .all(|representation| matches!(representation.addressing, NewAddressing::Numbered { .. }))
}

/// The greatest `SAP_type` when every segment of every Representation starts with one.
fn subsegment_sap_type(representations: &[NewRepresentation]) -> Option<u8> {
    let types = representations.iter().map(|representation| match representation.addressing {
        NewAddressing::Base { sap_type, .. } if sap_type != 0 => Some(sap_type),
        _ => None,
    });
    types.collect::<Option<Vec<_>>>()?.into_iter().max()
}

/// Whether segments of all Representations have the same boundaries: §5.3.3.2, `@segmentAlignment`.
fn are_aligned(representations: &[NewRepresentation]) -> bool {
    let Some((first, others)) = representations.split_first() else { return false };
    if matches!(first.addressing, NewAddressing::Sidecar { .. } | NewAddressing::Numbered { .. }) {
        return false;
    }
    let presented = |representation: &NewRepresentation| -> Vec<i128> {
        let offset = i128::from(representation.presentation_time_offset);
        representation.timeline.iter().map(|(time, _)| i128::from(*time) - offset).collect()
    };
    let times = presented(first);
    others.iter().all(|other| {
        let (scale, other_scale) = (i128::from(first.timescale), i128::from(other.timescale));
        let other_times = presented(other);
        times.len() == other_times.len()
            && times.iter().zip(&other_times).all(|(time, other)| time * other_scale == other * scale)
    })
}

fn representation(new: &NewRepresentation) -> Element {
    let mut representation =
        Element::new("Representation").with("id", &new.id).with("bandwidth", &new.bandwidth.to_string());
    if !new.codecs.is_empty() {
        representation.set_attribute("codecs", &new.codecs);
    }
    let optional = [
        ("width", new.width.map(|width| width.to_string())),
        ("height", new.height.map(|height| height.to_string())),
        ("frameRate", new.frame_rate.clone()),
        ("audioSamplingRate", new.audio_sampling_rate.map(|rate| rate.to_string())),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            representation.set_attribute(name, &value);
        }
    }
    if let Some((width, height)) = new.sample_aspect_ratio {
        representation.set_attribute("sar", &format!("{width}:{height}"));
    }
    if let Some((codec, profile)) = &new.supplemental_codec {
        representation.set_attribute("scte214:supplementalCodecs", codec);
        representation.set_attribute("scte214:supplementalProfiles", profile);
    }
    if let Some(index) = new.channel_configuration {
        let configuration = Element::new("AudioChannelConfiguration")
            .with("schemeIdUri", CHANNELS)
            .with("value", &index.to_string());
        representation = representation.with_child(configuration);
    }
    if let Some((columns, rows)) = new.tiles {
        let essential = Element::new("EssentialProperty").with("schemeIdUri", THUMBNAIL_TILE);
        representation = representation.with_child(essential.with("value", &format!("{columns}x{rows}")));
    }
    for (scheme, value) in &new.properties {
        representation = representation.with_child(property(scheme, value));
    }
    match &new.addressing {
        NewAddressing::Template { initialization, media, start_number } => {
            let timeline =
                runs(&new.timeline).into_iter().fold(Element::new("SegmentTimeline"), Element::with_child);
            let template = segment_information("SegmentTemplate", new)
                .with("initialization", initialization)
                .with("media", media)
                .with("startNumber", &start_number.to_string())
                .with_child(timeline);
            representation.with_child(template)
        }
        NewAddressing::Numbered { media, duration, last } => {
            let mut template = segment_information("SegmentTemplate", new)
                .with("media", media)
                .with("duration", &duration.to_string())
                .with("startNumber", "1");
            if let Some(last) = last {
                template.set_attribute("endNumber", &last.to_string());
            }
            representation.with_child(template)
        }
        NewAddressing::List { initialization, initialization_range, segments } => {
            let mut first = Element::new("Initialization").with("sourceURL", initialization);
            if let Some(bytes) = initialization_range {
                first.set_attribute("range", &range(bytes));
            }
            let timeline =
                runs(&new.timeline).into_iter().fold(Element::new("SegmentTimeline"), Element::with_child);
            let list = segment_information("SegmentList", new).with_child(first).with_child(timeline);
            let url = |(file, bytes): &(String, Range<u64>)| {
                Element::new("SegmentURL").with("media", file).with("mediaRange", &range(bytes))
            };
            representation.with_child(segments.iter().map(url).fold(list, Element::with_child))
        }
        NewAddressing::Base { url, initialization, index, .. } => {
            let initialization = Element::new("Initialization").with("range", &range(initialization));
            let base = segment_information("SegmentBase", new)
                .with("indexRange", &range(index))
                .with_child(initialization);
            representation.with_child(Element::new("BaseURL").with_text(url)).with_child(base)
        }
        NewAddressing::Sidecar { url } => representation.with_child(Element::new("BaseURL").with_text(url)),
    }
}

/// A byte range as RFC 9110 §14.1.2 writes it: its last byte is part of it.
fn range(range: &Range<u64>) -> String {
    format!("{}-{}", range.start, range.end.saturating_sub(1))
}

fn segment_information(name: &str, new: &NewRepresentation) -> Element {
    let mut information = Element::new(name).with("timescale", &new.timescale.to_string());
    if new.presentation_time_offset != 0 {
        information.set_attribute("presentationTimeOffset", &new.presentation_time_offset.to_string());
    }
    information
}

/// The `S` elements: `@t` where a segment does not begin where the last one ended, `@r` for repeats.
fn runs(timeline: &[(u64, u64)]) -> Vec<Element> {
    let mut runs: Vec<(Option<u64>, u64, u64)> = Vec::new();
    let mut end = None;
    for &(time, duration) in timeline {
        let follows = end == Some(time);
        match runs.last_mut() {
            Some((_, same, repeats)) if follows && *same == duration => *repeats += 1,
            _ => runs.push(((!follows).then_some(time), duration, 0)),
        }
        end = time.checked_add(duration);
    }
    let element = |(time, duration, repeats): (Option<u64>, u64, u64)| {
        let mut s = Element::new("S");
        if let Some(time) = time {
            s.set_attribute("t", &time.to_string());
        }
        s.set_attribute("d", &duration.to_string());
        if repeats > 0 {
            s.set_attribute("r", &repeats.to_string());
        }
        s
    };
    runs.into_iter().map(element).collect()
}
