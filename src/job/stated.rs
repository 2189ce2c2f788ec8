//! What manifests say of renditions — RFC 8216bis §4.4.6, ISO/IEC 23009-1 §5.3.5.

use crate::codec::channels_of_descriptor;
use crate::dash::Representation;
use crate::hls::multivariant::RenditionKind;
use crate::presentation::MediaPlaylist;

/// What a manifest says of a rendition, where its media says less.
#[derive(Clone, Debug, Default)]
pub(super) struct Stated {
    pub(super) channels: Option<u16>,
    /// Bits in a second.
    pub(super) bandwidth: Option<u64>,
    /// Pictures in a second.
    pub(super) frame_rate: Option<f64>,
    pub(super) labels: Vec<String>,
}

impl Stated {
    /// Adds what is said in another place. Of two bandwidths the higher one counts.
    pub(super) fn add(&mut self, other: Self) {
        self.channels = self.channels.or(other.channels);
        self.bandwidth = self.bandwidth.max(other.bandwidth);
        self.frame_rate = self.frame_rate.or(other.frame_rate);
        for label in other.labels {
            if !self.labels.contains(&label) {
                self.labels.push(label);
            }
        }
    }
}

/// What the MPD says of a Representation.
pub(super) fn of_representation(representation: &Representation) -> Stated {
    let configurations = representation.channel_configurations.iter();
    let rate = representation.frame_rate.as_deref().map(|text| text.split_once('/').unwrap_or((text, "1")));
    let rate = rate.and_then(|(pictures, seconds)| Some((pictures.parse().ok()?, seconds.parse().ok()?)));
    Stated {
        channels: configurations.filter_map(|(scheme, value)| channels_of_descriptor(scheme, value)).max(),
        bandwidth: representation.bandwidth,
        frame_rate: rate.map(|(pictures, seconds): (f64, f64)| pictures / seconds),
        labels: representation.labels.clone(),
    }
}

/// What multivariant playlists say of a media playlist: of a rendition its CHANNELS and its name, of a variant the rest
/// (RFC 8216bis §4.4.6.1, §4.4.6.2). An attribute that is malformed says nothing.
pub(super) fn of_playlist(media: &MediaPlaylist) -> Stated {
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
                bandwidth: attributes.decimal_integer("BANDWIDTH").ok().flatten(),
                frame_rate: attributes.decimal_floating_point("FRAME-RATE").ok().flatten(),
                ..Stated::default()
            },
            RenditionKind::IFrame | RenditionKind::Images => continue,
        });
    }
    all
}
