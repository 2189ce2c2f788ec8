//! What manifests say of renditions — RFC 8216bis §4.4.6, ISO/IEC 23009-1 §5.3.5.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::base::time;
use crate::codec::{ColorInfo, channels_of_descriptor};
use crate::dash::Representation;
use crate::hls::multivariant::RenditionKind;
use crate::presentation::{MediaPlaylist, Role};

use super::Package;

/// What a manifest says of a rendition, where its media says less.
#[derive(Clone, Debug, Default)]
pub(in crate::job) struct Stated {
    pub(in crate::job) channels: Option<u16>,
    /// Width × height of a picture.
    pub(in crate::job) pixels: Option<u32>,
    /// Bits in a second.
    pub(in crate::job) bandwidth: Option<u64>,
    /// Pictures in a second.
    pub(in crate::job) frame_rate: Option<f64>,
    /// Dynamic range and color gamut.
    pub(in crate::job) color: ColorInfo,
    pub(in crate::job) labels: BTreeSet<String>,
}

impl Stated {
    /// Adds what is said in another place. Of two bandwidths the higher one counts.
    pub(in crate::job) fn add(&mut self, other: Self) {
        self.channels = self.channels.or(other.channels);
        self.pixels = self.pixels.or(other.pixels);
        self.bandwidth = self.bandwidth.max(other.bandwidth);
        self.frame_rate = self.frame_rate.or(other.frame_rate);
        self.color = self.color.or_more(other.color);
        self.labels.extend(other.labels);
    }
}

/// What the MPD says of a Representation.
pub(in crate::job) fn of_representation(representation: &Representation) -> Stated {
    let configurations = representation.channel_configurations.iter();
    let color = representation.properties.iter().map(|(scheme, value)| ColorInfo::of_property(scheme, value));
    let rate = representation.frame_rate.as_deref().map(|text| text.split_once('/').unwrap_or((text, "1")));
    let rate = rate.and_then(|(pictures, seconds)| Some((pictures.parse().ok()?, seconds.parse().ok()?)));
    Stated {
        channels: configurations.filter_map(|(scheme, value)| channels_of_descriptor(scheme, value)).max(),
        bandwidth: representation.bandwidth,
        frame_rate: rate.map(|(pictures, seconds): (f64, f64)| pictures / seconds),
        color: color.fold(ColorInfo::default(), ColorInfo::or_more),
        labels: representation.labels.iter().cloned().collect(),
        ..Stated::default()
    }
}

/// What multivariant playlists say of a media playlist: of a rendition its CHANNELS and its name, of a variant the rest
/// (RFC 8216bis §4.4.6.1, §4.4.6.2). An attribute that is malformed says nothing.
pub(in crate::job) fn of_playlist(media: &MediaPlaylist) -> Stated {
    let mut all = Stated::default();
    for rendition in &media.named_by {
        let attributes = &rendition.attributes;
        let text = |name: &str| attributes.quoted_string(name).ok().flatten();
        all.add(match rendition.kind {
            RenditionKind::Media(_) => Stated {
                channels: text("CHANNELS").and_then(|text| text.split('/').next()?.trim().parse().ok()),
                labels: text("NAME").map(str::to_owned).into_iter().collect(),
                ..Stated::default()
            },
            RenditionKind::Variant => Stated {
                pixels: attributes
                    .decimal_resolution("RESOLUTION")
                    .ok()
                    .flatten()
                    .map(|(width, height)| width.saturating_mul(height)),
                bandwidth: attributes.decimal_integer("BANDWIDTH").ok().flatten(),
                color: attributes
                    .enumerated_string("VIDEO-RANGE")
                    .ok()
                    .flatten()
                    .map(ColorInfo::of_video_range)
                    .unwrap_or_default(),
                frame_rate: attributes.decimal_floating_point("FRAME-RATE").ok().flatten(),
                ..Stated::default()
            },
            RenditionKind::IFrame | RenditionKind::Images => continue,
        });
    }
    all
}

/// Notes how long the presentation lasts, and when it begins by the first EXT-X-PROGRAM-DATE-TIME of any playlist.
pub(in crate::job) fn add_times(package: &mut Package, media: &MediaPlaylist) {
    let segments = || media.resources.iter().filter(|resource| resource.role == Role::Segment);
    let after = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    let lasts = segments().next_back().map_or(0.0, |last| last.begins + last.duration);
    package.lasts = package.lasts.max(Some(after(lasts)));
    let dated = media.playlist.tags("EXT-X-PROGRAM-DATE-TIME").next().filter(|_| package.begins.is_none());
    if let Some((line, value)) = dated
        && let Some(segment) = segments().find(|segment| segment.line > line)
        && let Ok(dated) = time::parse(value)
    {
        let before = i128::try_from(after(segment.begins).as_nanos()).unwrap_or(i128::MAX);
        package.begins = Some(dated.saturating_sub(before));
    }
}
