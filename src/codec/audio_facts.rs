//! What the configuration of a codec says of audio: channels and sampling frequency — ISO/IEC 23091-3 §6.2.
//!
//! Sample entries have both as well, but as template values: `channelcount` is 2 in most files of six channels
//! (ISO/IEC 14496-12 §12.2.3.2), and a frequency over 65,535 Hz does not fit.

use super::Config;
use crate::base::Result;

/// What a configuration says of audio; what is `None` it does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AudioInfo {
    /// Channels, of low frequency effects too.
    pub channels: Option<u16>,
    /// Where they are heard, as a `ChannelConfiguration`; 0 when it is known and none of these.
    pub configuration: Option<u32>,
    /// Samples in a second, as they are heard.
    pub sampling_frequency: Option<u32>,
    /// Objects beside the channels, when there are: `complexity_index_type_a` of ETSI TS 103 420 §8.3.
    pub joint_objects: Option<u8>,
    /// What it is for, where it is not the main thing.
    pub service: Option<AudioService>,
}

/// What a service of audio is for: `bsmod` of ETSI TS 102 366 table 4.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudioService {
    /// For the visually impaired.
    VisuallyImpaired,
    /// For the hearing impaired.
    HearingImpaired,
    /// Commentary.
    Commentary,
}

impl AudioService {
    /// By `bsmod`; most values are of the main service.
    pub(super) fn of_bsmod(bsmod: u32) -> Option<Self> {
        match bsmod {
            2 => Some(Self::VisuallyImpaired),
            3 => Some(Self::HearingImpaired),
            5 => Some(Self::Commentary),
            _ => None,
        }
    }
}

impl AudioInfo {
    /// The facts of `channels` channels; 0 says nothing.
    pub(super) fn new(channels: u16, sampling_frequency: Option<u32>) -> Self {
        Self { channels: (channels > 0).then_some(channels), sampling_frequency, ..Self::default() }
    }

    /// The same with a `ChannelConfiguration`, where it is known.
    pub(super) fn heard(self, configuration: Option<u32>) -> Self {
        Self { configuration, ..self }
    }
}

/// Nothing is said: what has no configuration, and what is no audio.
pub(super) fn unknown(_: &Config<'_>) -> Result<AudioInfo> {
    Ok(AudioInfo::default())
}

/// Channels by `ChannelConfiguration`: ISO/IEC 23091-3 table 5.
const CHANNELS: [u16; 21] = [0, 1, 2, 3, 4, 5, 6, 8, 2, 3, 4, 7, 8, 24, 8, 12, 10, 12, 14, 12, 14];

/// How many channels a `ChannelConfiguration` has; 0, which means that it is told elsewhere, and unknown ones have
/// none.
pub(super) fn channels_of_configuration(index: u32) -> Option<u16> {
    let index = usize::try_from(index).ok()?;
    CHANNELS.get(index).copied().filter(|channels| *channels > 0)
}

/// The `ChannelConfiguration` of channels in front, at the sides and behind together, and of low frequency effects:
/// ISO/IEC 23091-3 table 5. 0, which means that it is told elsewhere, where there is none, as of 2.1.
pub(super) fn configuration_of_layout(front: u32, surround: u32, low_frequency: u32) -> u32 {
    match (front, surround, low_frequency) {
        (1..=3, 0, 0) => front,
        (3, 1, 0) => 4,
        (3, 2, 0) => 5,
        (3, 2, 1) => 6,
        (5, 2, 1) => 7,
        (2, 1, 0) => 9,
        (2, 2, 0) => 10,
        (3, 3, 1) => 11,
        (3, 4, 1) => 12,
        _ => 0,
    }
}

/// The usual `ChannelConfiguration` of so many channels.
pub fn configuration_of_channels(channels: u16) -> Option<u32> {
    match channels {
        1..=6 => Some(channels.into()),
        7 => Some(11),
        8 => Some(12),
        10 => Some(16),
        12 => Some(19),
        14 => Some(20),
        24 => Some(13),
        _ => None,
    }
}

/// Channels of each bit of a mask of E-AC-3 channel locations, from the highest on: ETSI TS 102 366 table E.1.4.
const CHANNELS_OF_CHANMAP: [u16; 16] = [1, 1, 1, 1, 1, 2, 2, 1, 1, 2, 2, 2, 1, 2, 1, 1];

/// The channels that an AudioChannelConfiguration of an MPD states: ISO/IEC 23009-1 §5.8.5.4.
pub fn channels_of_descriptor(scheme: &str, value: &str) -> Option<u16> {
    let (value, number) = (value.trim(), value.trim().parse::<u32>().ok());
    match scheme {
        "urn:mpeg:mpegB:cicp:ChannelConfiguration" => channels_of_configuration(number?),
        // ISO/IEC 23003-3 has the same numbers; many write a number of channels, which is another only from 7 on.
        "urn:mpeg:dash:23003:3:audio_channel_configuration:2011" => match number? {
            8 => Some(8),
            index => channels_of_configuration(index),
        },
        "tag:dts.com,2014:dash:audio_channel_configuration:2012" => u16::try_from(number?).ok(),
        "tag:dolby.com,2014:dash:audio_channel_configuration:2011"
        | "urn:dolby:dash:audio_channel_configuration:2011" => {
            let mask = u16::from_str_radix(value, 16).ok()?;
            let of_bit = |(bit, n): (u32, u16)| if mask << bit & 0x8000 != 0 { n } else { 0 };
            Some((0..).zip(CHANNELS_OF_CHANMAP).map(of_bit).sum()).filter(|channels| *channels > 0)
        }
        "tag:dolby.com,2015:dash:audio_channel_configuration:2015" => {
            let mask = u32::from_str_radix(value, 16).ok()?;
            Some(super::ac4::channels_of_groups(mask)).filter(|channels| *channels > 0)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_configuration_has_as_many_channels() {
        let configured: Vec<_> = (0..=32).filter_map(|n| Some((n, configuration_of_channels(n)?))).collect();
        assert_eq!(configured.len(), 12);
        for (channels, index) in configured {
            assert_eq!(channels_of_configuration(index), Some(channels));
        }
        assert_eq!([0, 7, 21, u32::MAX].map(channels_of_configuration), [None, Some(8), None, None]);
    }

    #[test]
    fn layouts_are_configurations_of_as_many_channels() {
        for front in 0..8 {
            for surround in 0..8 {
                for low_frequency in 0..3 {
                    let index = configuration_of_layout(front, surround, low_frequency);
                    let channels = channels_of_configuration(index).map(u32::from);
                    assert!(index == 0 || channels == Some(front + surround + low_frequency));
                }
            }
        }
        assert_eq!(configuration_of_layout(2, 0, 1), 0, "2.1");
    }

    #[test]
    fn descriptors_of_manifests_have_channels_in_many_words() {
        for (scheme, value, channels) in [
            ("urn:mpeg:mpegB:cicp:ChannelConfiguration", "7", Some(8)),
            ("urn:mpeg:mpegB:cicp:ChannelConfiguration", "0", None),
            ("urn:mpeg:dash:23003:3:audio_channel_configuration:2011", "6", Some(6)),
            ("urn:mpeg:dash:23003:3:audio_channel_configuration:2011", "8", Some(8)),
            ("tag:dolby.com,2014:dash:audio_channel_configuration:2011", "F801", Some(6)),
            ("urn:dolby:dash:audio_channel_configuration:2011", "FA01", Some(8)),
            ("tag:dolby.com,2015:dash:audio_channel_configuration:2015", "000047", Some(6)),
            ("tag:dts.com,2014:dash:audio_channel_configuration:2012", "5", Some(5)),
            ("urn:example:other", "2", None),
        ] {
            assert_eq!(channels_of_descriptor(scheme, value), channels, "{scheme} {value}");
        }
    }
}
