//! What the first frame says of audio whose sample entry has no configuration: MPEG audio, AC-3 and DTS in `mp4a` or beside
//! — ISO/IEC 11172-3 §2.4.2.3, ETSI TS 102 366 §4.4, ETSI TS 102 114 §5.3.

use super::audio::MPEG_AUDIO_FRAME;
use super::audio_facts::AudioInfo;
use super::syncframe::Syncframe;
use crate::base::bits::BitReader;
use crate::base::{Error, Result};

/// Bytes of a sample that say all that is asked for here.
pub const FIRST_FRAME_BYTES: usize = 16;

/// Frequencies of MPEG-1 audio by sampling_frequency; MPEG-2 has half of them, MPEG-2.5 a quarter.
const MPEG_FREQUENCIES: [u32; 3] = [44_100, 48_000, 32_000];
/// Syncword of a core substream.
const DTS_CORE: u32 = 0x7ffe_8001;
/// Channels by AMODE: ETSI TS 102 114 table 5-4.
const DTS_CHANNELS: [u16; 16] = [1, 2, 2, 2, 2, 3, 3, 4, 4, 5, 6, 6, 6, 7, 8, 8];
/// Frequencies by SFREQ: table 5-5; 0 where it has none.
const DTS_FREQUENCIES: [u32; 16] =
    [0, 8_000, 16_000, 32_000, 0, 0, 11_025, 22_050, 44_100, 0, 0, 12_000, 24_000, 48_000, 0, 0];

/// What the first frame of a sample says; nothing when it is none of these.
pub fn first_frame(sample: &[u8]) -> AudioInfo {
    let found = match sample {
        [0x0b, 0x77, ..] => Syncframe::parse(sample).map(|frame| frame.map(Syncframe::audio_info)),
        [0x7f, 0xfe, ..] => dts_core(sample).map(Some),
        frame if (MPEG_AUDIO_FRAME.has)(frame) => {
            mpeg_audio(frame).map(|found| Some(AudioInfo::new(found.channels, Some(found.frequency))))
        }
        _ => Ok(None),
    };
    found.ok().flatten().unwrap_or_default()
}

/// A frame of MPEG audio.
pub(super) struct MpegAudio {
    /// MPEG-1; else MPEG-2 or MPEG-2.5.
    pub(super) is_mpeg_1: bool,
    pub(super) channels: u16,
    pub(super) frequency: u32,
    /// Of each channel.
    pub(super) samples: u32,
}

/// The header of MPEG audio.
///
/// # Errors
/// When no frame of it begins there.
pub(super) fn mpeg_audio(frame: &[u8]) -> Result<MpegAudio> {
    let wrong = || Error::input("a frame without a header of MPEG audio").clause("ISO/IEC 11172-3 §2.4.2.3");
    if !(MPEG_AUDIO_FRAME.has)(frame) {
        return Err(wrong());
    }
    let mut bits = BitReader::plain(frame);
    bits.bits(11)?; // syncword
    let halved = match bits.bits(2)? {
        3 => 0, // MPEG-1
        2 => 1,
        _ => 2,
    };
    let samples = match (bits.bits(2)?, halved) {
        (3, _) => 384,                    // layer I
        (1, halved) if halved > 0 => 576, // layer III of MPEG-2
        _ => 1152,
    };
    bits.bits(5)?; // protection_bit, bitrate_index
    let frequency = usize::try_from(bits.bits(2)?).ok().and_then(|index| MPEG_FREQUENCIES.get(index));
    bits.bits(2)?; // padding_bit, private_bit
    let channels = if bits.bits(2)? == 3 { 1 } else { 2 };
    let frequency = frequency.ok_or_else(wrong)? >> halved;
    Ok(MpegAudio { is_mpeg_1: halved == 0, channels, frequency, samples })
}

/// The frame header of a core substream.
fn dts_core(frame: &[u8]) -> Result<AudioInfo> {
    let mut bits = BitReader::plain(frame);
    if bits.bits(32)? != DTS_CORE {
        return Ok(AudioInfo::default());
    }
    bits.bits(28)?; // FTYPE, SHORT, CPF, NBLKS, FSIZE
    let of = |index: u32| usize::try_from(index).unwrap_or(usize::MAX);
    let channels = DTS_CHANNELS.get(of(bits.bits(6)?)).copied();
    let frequency = DTS_FREQUENCIES.get(of(bits.bits(4)?)).copied().filter(|frequency| *frequency > 0);
    bits.bits(15)?; // RATE to ASPF
    let low_frequency = matches!(bits.bits(2)?, 1 | 2); // LFF
    let channels = channels.map_or(0, |channels| channels + u16::from(low_frequency));
    Ok(AudioInfo::new(channels, frequency))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::bit_writer::BitWriter;

    #[test]
    fn frames_say_their_channels_and_sampling_frequency() {
        let of = |frame: &[u8]| {
            let info = first_frame(frame);
            (info.channels, info.sampling_frequency)
        };
        // Layer III of 48 kHz, joint stereo and one channel; MPEG-2 of 24 kHz.
        assert_eq!(of(&[0xff, 0xfb, 0x94, 0x64]), (Some(2), Some(48_000)));
        assert_eq!(of(&[0xff, 0xfb, 0x94, 0xc4]), (Some(1), Some(48_000)));
        assert_eq!(of(&[0xff, 0xf3, 0x84, 0xc4]), (Some(1), Some(24_000)));
        let core = BitWriter::default().u(32, DTS_CORE).u(28, 0).u(6, 9).u(4, 13).u(15, 0).u(2, 2).u(7, 0);
        assert_eq!(of(&core.rbsp()), (Some(6), Some(48_000)));
        let ac_3 = BitWriter::default().u(16, 0x0b77).u(16, 0).u(2, 0).u(6, 20).u(5, 8).u(3, 0).u(3, 7);
        // cmixlev, surmixlev, lfeon.
        assert_eq!(of(&ac_3.u(2, 0).u(2, 0).u(1, 1).u(8, 0).rbsp()), (Some(6), Some(48_000)));
        for frame in [&[][..], &[0x0b, 0x77], &[0x7f, 0xfe, 0x80, 0x01], &[1, 2, 3, 4]] {
            assert_eq!(first_frame(frame), AudioInfo::default());
        }
    }
}
