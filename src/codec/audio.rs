//! Audio whose sample entry names it well enough — ETSI TS 102 366 annex F, ETSI TS 102 114 annex E, and others.

use super::audio_facts::{self, AudioInfo, AudioService};
use super::first_bytes::FirstBytes;
use super::opus::PacketDurations;
use super::{CipherModes, Codec, Config, Protection, TrackKind, syncframe};
use crate::base::bits::BitReader;
use crate::base::{FourCc, Result};

/// What all rows of this file have in common.
const AUDIO: Codec = Codec {
    name: "",
    kind: TrackKind::Audio,
    sample_entries: &[],
    protection: Protection::WholeSample,
    marks: |_| None,
    cipher_modes: CipherModes::All,
    rfc6381: entry_alone,
    audio: audio_facts::unknown,
};

/// AC-3: ETSI TS 102 366 §F.3.
pub(super) static AC_3: Codec = Codec {
    name: "AC-3",
    sample_entries: &[FourCc(*b"ac-3")],
    marks: |_| Some(SYNCFRAME.open()),
    audio: dac3,
    ..AUDIO
};

/// Enhanced AC-3: ETSI TS 102 366 §F.5.
pub(super) static E_AC_3: Codec = Codec {
    name: "E-AC-3",
    sample_entries: &[FourCc(*b"ec-3")],
    marks: |_| Some(SYNCFRAME.open()),
    audio: dec3,
    ..AUDIO
};

/// Opus: Encapsulation of Opus in ISO Base Media File Format §4.3.
pub(super) static OPUS: Codec = Codec {
    name: "Opus",
    sample_entries: &[FourCc(*b"Opus")],
    marks: |_| Some(Box::new(PacketDurations::default())),
    audio: dops,
    ..AUDIO
};

/// FLAC: Encapsulation of FLAC in ISO Base Media File Format §3.3.
pub(super) static FLAC: Codec = Codec {
    name: "FLAC",
    sample_entries: &[FourCc(*b"fLaC")],
    marks: |_| Some(FLAC_FRAME.open()),
    audio: dfla,
    ..AUDIO
};

/// Apple Lossless Audio Codec.
pub(super) static ALAC: Codec = Codec {
    name: "ALAC",
    sample_entries: &[FourCc(*b"alac")],
    marks: |_| Some(ALAC_ELEMENT.open()),
    audio: alac,
    ..AUDIO
};

/// DTS, DTS-HD and DTS-UHD: ETSI TS 102 114 §E.3, ETSI TS 103 491 §B.3.
pub(super) static DTS: Codec = Codec {
    name: "DTS",
    sample_entries: &[
        FourCc(*b"dtsc"),
        FourCc(*b"dtsh"),
        FourCc(*b"dtsl"),
        FourCc(*b"dtse"),
        FourCc(*b"dtsx"),
    ],
    marks: |_| Some(DTS_FRAME.open()),
    audio: dts,
    ..AUDIO
};

/// MP3 in an entry of its own, as QuickTime files have it; in `mp4a` it is a row with the rest of MPEG audio.
pub(super) static MP3: Codec = Codec {
    name: "MP3",
    sample_entries: &[FourCc(*b".mp3")],
    marks: |_| Some(MPEG_AUDIO_FRAME.open()),
    rfc6381: mp3,
    ..AUDIO
};

/// syncword of a syncframe: ETSI TS 102 366 §4.4.1.1.
pub(super) const SYNCFRAME: FirstBytes = FirstBytes {
    bytes: 2,
    chance: 1.0 / 65_536.0,
    has: |frame| frame.starts_with(&[0x0b, 0x77]),
    // Of the first syncframe, behind its syncword: §6.1.7.
    checked: Some(|sample| sample.get(2..syncframe::Syncframe::parse(sample).ok()??.bytes)),
};

/// Frame sync code and the bit behind it: RFC 9639 §9.1.
const FLAC_FRAME: FirstBytes = FirstBytes {
    bytes: 2,
    chance: 1.0 / 32_768.0,
    has: |frame| matches!(frame, [0xff, second, ..] if second & 0xfe == 0xf8),
    checked: Some(|sample| Some(sample)),
};

/// The first element of an ALAC frame is one channel, a pair, or low frequency effects; behind its tag and instance are
/// twelve bits of 0.
const ALAC_ELEMENT: FirstBytes = FirstBytes {
    bytes: 3,
    chance: 1.0 / 4096.0,
    checked: None,
    has: |frame| match frame {
        [a, b, c, ..] => matches!(a >> 5, 0 | 1 | 3) && a & 1 == 0 && *b == 0 && c >> 5 == 0,
        _ => false,
    },
};

/// Syncwords of the core, of its other word sizes, of extension substreams, and of DTS-UHD: ETSI TS 102 114 §5.3, §7.4,
/// annex C, ETSI TS 103 491 §6.4.
pub(super) const DTS_FRAME: FirstBytes = FirstBytes {
    bytes: 4,
    chance: 1e-8,
    checked: None,
    has: |frame| {
        let syncwords: [[u8; 4]; 7] = [
            [0x7f, 0xfe, 0x80, 0x01],
            [0xfe, 0x7f, 0x01, 0x80],
            [0x1f, 0xff, 0xe8, 0x00],
            [0xff, 0x1f, 0x00, 0xe8],
            [0x64, 0x58, 0x20, 0x25],
            [0x40, 0x41, 0x1b, 0xf2],
            [0x71, 0xc4, 0x42, 0xe8],
        ];
        frame.first_chunk().is_some_and(|word| syncwords.contains(word))
    },
};

/// syncword of MPEG audio, and fields that have no values: ISO/IEC 11172-3 §2.4.2.3.
pub(super) const MPEG_AUDIO_FRAME: FirstBytes = FirstBytes {
    bytes: 3,
    chance: 1.0 / 2048.0,
    checked: None,
    has: |frame| match frame {
        [0xff, b, c, ..] => {
            b >> 5 == 7 && b >> 3 & 3 != 1 && b >> 1 & 3 != 0 && c >> 4 != 15 && c >> 2 & 3 != 3
        }
        _ => false,
    },
};

/// RFC 6381 §3.3: the first element is the sample entry's type, which says enough.
fn entry_alone(config: &Config<'_>) -> Result<String> {
    Ok(config.entry.to_string())
}

/// The entry's type has the separator of RFC 6381 in it, so that the name of the same audio in `mp4a` is used:
/// objectTypeIndication 0x6B of ISO/IEC 14496-1, which players take for either MPEG-1 or MPEG-2 layer III.
fn mp3(_: &Config<'_>) -> Result<String> {
    Ok("mp4a.6B".to_owned())
}

/// Reads the box of this type by `read`; where there is none nothing is said.
fn read(
    config: &Config<'_>,
    name: &[u8; 4],
    read: fn(&mut BitReader<'_>) -> Result<AudioInfo>,
) -> Result<AudioInfo> {
    let name = FourCc(*name);
    let Ok(payload) = config.payload(name) else { return Ok(AudioInfo::default()) };
    read(&mut BitReader::plain(payload)).map_err(|error| error.at(name).at(config.entry))
}

/// A sampling frequency by fscod; 3 says nothing.
fn frequency(fscod: u32) -> Option<u32> {
    usize::try_from(fscod).ok().and_then(|fscod| syncframe::FREQUENCIES.get(fscod)).copied()
}

/// AC3SpecificBox: ETSI TS 102 366 §F.4.
fn dac3(config: &Config<'_>) -> Result<AudioInfo> {
    read(config, b"dac3", |bits| {
        let fscod = bits.bits(2)?;
        bits.bits(5)?; // bsid
        let service = AudioService::of_bsmod(bits.bits(3)?);
        let (acmod, lfeon) = (bits.bits(3)?, bits.bits(1)?);
        let channels = syncframe::channels(acmod, lfeon).unwrap_or(0);
        let facts = AudioInfo::new(channels.into(), frequency(fscod));
        Ok(AudioInfo { service, ..facts.heard(syncframe::configuration(acmod, lfeon)) })
    })
}

/// Channels of each location of chan_loc, from its lowest bit on: ETSI TS 102 366 table F.6.1.
const CHANNELS_OF_LOCATIONS: [u16; 9] = [2, 2, 1, 1, 2, 2, 2, 1, 1];

/// The `ChannelConfiguration` of an independent substream with what a dependent one adds at these locations.
fn located_configuration(acmod: u32, lfeon: u32, chan_loc: u32) -> Option<u32> {
    let [front, surround, low_frequency] = syncframe::layout(acmod, lfeon)?;
    match chan_loc {
        0 => syncframe::configuration(acmod, lfeon),
        0b001 => Some(audio_facts::configuration_of_layout(front + 2, surround, low_frequency)), // Lc, Rc
        0b010 => Some(audio_facts::configuration_of_layout(front, surround + 2, low_frequency)), // Lrs, Rrs
        0b100 => Some(audio_facts::configuration_of_layout(front, surround + 1, low_frequency)), // Cs
        _ => Some(0),
    }
}

/// EC3SpecificBox: ETSI TS 102 366 §F.6. The first independent substream and those that depend on it are what is
/// heard; objects beside are told behind the substreams: ETSI TS 103 420 §8.3.
fn dec3(config: &Config<'_>) -> Result<AudioInfo> {
    read(config, b"dec3", |bits| {
        bits.bits(13)?; // data_rate
        let num_ind_sub = bits.bits(3)?;
        let mut facts = AudioInfo::default();
        for substream in 0..=num_ind_sub {
            let fscod = bits.bits(2)?;
            bits.bits(7)?; // bsid, reserved, asvc
            let service = AudioService::of_bsmod(bits.bits(3)?);
            let (acmod, lfeon) = (bits.bits(3)?, bits.bits(1)?);
            let mut channels = u16::from(syncframe::channels(acmod, lfeon).unwrap_or(0));
            bits.bits(3)?; // reserved
            let num_dep_sub = bits.bits(4)?;
            let mut chan_loc = 0;
            if num_dep_sub > 0 {
                chan_loc = bits.bits(9)?;
                let located = (0..).zip(CHANNELS_OF_LOCATIONS);
                channels += located.map(|(bit, n)| if chan_loc >> bit & 1 == 1 { n } else { 0 }).sum::<u16>();
            } else {
                bits.bits(1)?; // reserved
            }
            if substream == 0 {
                let heard = located_configuration(acmod, lfeon, chan_loc);
                facts = AudioInfo { service, ..AudioInfo::new(channels, frequency(fscod)).heard(heard) };
            }
        }
        let has_objects = bits.bits(8).is_ok_and(|field| field & 1 == 1); // flag_ec3_extension_type_a
        if has_objects {
            facts.joint_objects = bits.bits(8).ok().and_then(|index| u8::try_from(index).ok());
        }
        Ok(facts)
    })
}

/// The `ChannelConfiguration` of so many channels of Vorbis, whose order Opus and FLAC have: RFC 7845 §5.1.1.2, RFC 9639
/// §9.1.3. Four of them are at the corners.
fn xiph_configuration(channels: u16) -> Option<u32> {
    if channels == 4 { Some(10) } else { audio_facts::configuration_of_channels(channels) }
}

/// OpusSpecificBox: Encapsulation of Opus in ISO Base Media File Format §4.3.2.
fn dops(config: &Config<'_>) -> Result<AudioInfo> {
    read(config, b"dOps", |bits| {
        bits.bits(8)?; // Version
        let channels = u16::try_from(bits.bits(8)?).unwrap_or(0);
        let mut family = || {
            bits.bits(16)?; // PreSkip
            bits.bits(32)?; // InputSampleRate
            bits.bits(16)?; // OutputGain
            bits.bits(8)
        };
        let heard = match family() {
            Ok(0 | 1) => xiph_configuration(channels),
            Ok(_) => Some(0),
            Err(_) => None,
        };
        // A decoder gives 48 kHz, whatever went in.
        Ok(AudioInfo::new(channels, Some(48_000)).heard(heard))
    })
}

/// FLACSpecificBox, whose first block is STREAMINFO: RFC 9639 §8.2.
fn dfla(config: &Config<'_>) -> Result<AudioInfo> {
    read(config, b"dfLa", |bits| {
        bits.bits(32)?; // version, flags
        bits.bits(32)?; // METADATA_BLOCK_HEADER
        bits.bits(32)?; // least and most samples in a block
        bits.bits(24)?; // least bytes in a frame
        bits.bits(24)?; // most bytes in a frame
        let frequency = bits.bits(20)?;
        let channels = u16::try_from(bits.bits(3)? + 1).unwrap_or(0);
        let frequency = Some(frequency).filter(|frequency| *frequency > 0);
        Ok(AudioInfo::new(channels, frequency).heard(xiph_configuration(channels)))
    })
}

/// ALACSpecificConfig: the magic cookie in a full box inside the sample entry.
fn alac(config: &Config<'_>) -> Result<AudioInfo> {
    read(config, b"alac", |bits| {
        bits.bits(32)?; // version, flags
        bits.bits(32)?; // frameLength
        bits.bits(8)?; // compatibleVersion
        bits.bits(32)?; // bitDepth, pb, mb, kb
        let channels = u16::try_from(bits.bits(8)?).unwrap_or(0);
        bits.bits(16)?; // maxRun
        bits.bits(32)?; // maxFrameBytes
        bits.bits(32)?; // avgBitRate
        // Eight channels are two more in front.
        let heard = if channels == 8 { Some(7) } else { None };
        Ok(AudioInfo::new(channels, Some(bits.bits(32)?)).heard(heard))
    })
}

/// Channels of each bit of ChannelLayout, from the lowest on: ETSI TS 102 114 table E-5.
const CHANNELS_OF_LAYOUT: [u16; 16] = [1, 2, 2, 1, 1, 2, 2, 1, 1, 2, 2, 2, 1, 2, 1, 2];

/// Its bits of channels in front (C, L R, Lc Rc), at the sides and behind (Ls Rs, Cs, Lsr Rsr, Lss Rss), and of low
/// frequency effects.
const FRONT: [u32; 3] = [0, 1, 9];
const SURROUND: [u32; 4] = [2, 4, 6, 11];
const LFE: u32 = 3;

/// DTSSpecificBox: ETSI TS 102 114 §E.2.2.3; that of DTS-UHD: ETSI TS 103 491 §B.3.3.
fn dts(config: &Config<'_>) -> Result<AudioInfo> {
    if config.payload(FourCc(*b"udts")).is_ok() {
        return read(config, b"udts", |bits| {
            bits.bits(16)?; // DecoderProfileCode, FrameDurationCode, MaxPayloadCode, NumPresentationsCode
            let channels = u16::try_from(bits.bits(32)?.count_ones()).unwrap_or(0); // ChannelMask
            // BaseSamplingFrequencyCode, SampleRateMod: it may be cut off behind the mask.
            let base = bits.bit().map(|is_48| if is_48 { 48_000 } else { 44_100_u32 });
            let frequency = base.and_then(|base| Ok(base << bits.bits(2)?));
            Ok(AudioInfo::new(channels, frequency.ok()))
        });
    }
    read(config, b"ddts", |bits| {
        let frequency = bits.bits(32)?;
        bits.bits(32)?; // maxBitrate
        bits.bits(32)?; // avgBitrate
        bits.bits(8)?; // pcmSampleDepth
        bits.bits(32)?; // FrameDuration to RepresentationType
        let layout = bits.bits(16)?;
        let all = || (0..).zip(CHANNELS_OF_LAYOUT).filter(|(bit, _)| layout >> bit & 1 == 1);
        let at = |bits: &[u32]| all().filter(|(bit, _)| bits.contains(bit)).map(|(_, n)| u32::from(n)).sum();
        let has_others =
            all().any(|(bit, _)| !(FRONT.contains(&bit) || SURROUND.contains(&bit) || bit == LFE));
        let index = audio_facts::configuration_of_layout(at(&FRONT), at(&SURROUND), at(&[LFE]));
        let facts =
            AudioInfo::new(all().map(|(_, n)| n).sum(), Some(frequency).filter(|frequency| *frequency > 0));
        Ok(facts.heard(Some(if has_others { 0 } else { index })))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::bit_writer::BitWriter;
    use crate::codec::find;

    fn facts(entry: &[u8; 4], name: &[u8; 4], payload: &[u8]) -> Result<AudioInfo> {
        let entry = FourCc(*entry);
        (find(entry).unwrap().audio)(&Config { entry, boxes: vec![(FourCc(*name), payload)] })
    }

    #[test]
    fn each_configuration_says_its_channels() {
        let w = BitWriter::default;
        let five_one = || w().u(2, 0).u(5, 16).u(1, 0).u(1, 0).u(3, 0).u(3, 7).u(1, 1).u(3, 0);
        let dec3 = || w().u(13, 192).u(3, 0).then(&five_one());
        let flac = w().u(32, 0).u(32, 0x8000_0022).u(32, 0).u(32, 0).u(16, 0).u(20, 96_000).u(3, 5);
        let alac = w().u(32, 0).u(32, 4096).u(8, 0).u(32, 0).u(8, 2).u(16, 0).u(32, 0).u(32, 0).u(32, 44_100);
        let dts = w().u(32, 48_000).u(32, 0).u(32, 0).u(8, 24);
        let dts = dts.u(2, 0).u(5, 0).u(1, 0).u(6, 0).u(14, 0).u(1, 0).u(3, 0).u(16, 0x0f).u(8, 0);
        for (entry, name, written, expected) in [
            (b"ac-3", b"dac3", w().u(2, 0).u(8, 64).u(3, 7).u(1, 1).u(10, 0), (6, 48_000)),
            (b"ac-3", b"dac3", w().u(2, 1).u(8, 64).u(3, 1).u(1, 0).u(10, 0), (1, 44_100)),
            (b"ec-3", b"dec3", dec3().u(4, 0).u(1, 0), (6, 48_000)),
            (b"ec-3", b"dec3", dec3().u(4, 1).u(9, 2), (8, 48_000)),
            (b"Opus", b"dOps", w().u(8, 0).u(8, 6).u(16, 0), (6, 48_000)),
            (b"fLaC", b"dfLa", flac, (6, 96_000)),
            (b"alac", b"alac", alac, (2, 44_100)),
            (b"dtsc", b"ddts", dts, (6, 48_000)),
        ] {
            let found = facts(entry, name, &written.rbsp()).unwrap();
            let found = (found.channels.unwrap(), found.sampling_frequency.unwrap());
            assert_eq!(found, expected, "{entry:?}");
            assert!(facts(entry, name, &[0]).is_err(), "{entry:?}");
            assert_eq!(facts(entry, b"free", &[]).unwrap(), AudioInfo::default());
        }
        for (last, frequency) in [(0x80, 48_000), (0xa0, 96_000), (0x00, 44_100), (0xc0, 192_000)] {
            let found = facts(b"dtsx", b"udts", &[0, 0, 0, 0, 0, 0x3f, last]).unwrap();
            assert_eq!((found.channels, found.sampling_frequency), (Some(6), Some(frequency)));
        }
        assert_eq!(facts(b"dtsx", b"udts", &[0, 0, 0, 0, 0, 0x3f]).unwrap().channels, Some(6));
    }

    #[test]
    fn each_configuration_says_where_its_channels_are_heard() {
        let of = |entry, name, payload: &[u8]| facts(entry, name, payload).unwrap().configuration;
        // acmod and lfeon behind fscod, bsid and bsmod.
        let dac3 = |acmod: u32, lfeon| {
            let bits = BitWriter::default().u(2, 0).u(5, 8).u(3, 0).u(3, acmod).u(1, lfeon).u(10, 0);
            of(b"ac-3", b"dac3", &bits.rbsp())
        };
        let plain = [8, 1, 2, 3, 9, 4, 10, 5];
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 7].map(|acmod| dac3(acmod, 0)), plain.map(Some));
        assert_eq!([0, 2, 7].map(|acmod| dac3(acmod, 1)), [0, 0, 6].map(Some));
        let dec3 = |chan_loc| {
            let start = BitWriter::default().u(13, 0).u(3, 0).u(2, 0).u(7, 0).u(3, 0).u(3, 7).u(1, 1);
            of(b"ec-3", b"dec3", &start.u(3, 0).u(4, 1).u(9, chan_loc).u(8, 0).rbsp())
        };
        assert_eq!([0, 1, 2, 4, 64].map(dec3), [6, 7, 12, 11, 0].map(Some));
        let dops =
            |channels, family| of(b"Opus", b"dOps", &[0, channels, 0, 0, 0, 0, 0xbb, 0x80, 0, 0, family]);
        assert_eq!((dops(4, 1), dops(6, 1), dops(4, 255)), (Some(10), Some(6), Some(0)));
        let ddts = |layout: u32| {
            let start = BitWriter::default().u(32, 48_000).u(32, 0).u(32, 0).u(8, 24).u(32, 0);
            of(b"dtsc", b"ddts", &start.u(16, layout).rbsp())
        };
        assert_eq!(
            [0b1, 0b10, 0b1111, 0b100_1111, 0b110, 0b10_0010].map(ddts),
            [1, 2, 6, 12, 10, 0].map(Some)
        );
    }

    #[test]
    fn objects_and_further_programs_are_no_channels() {
        let w = BitWriter::default;
        let five_one =
            || w().u(2, 0).u(5, 16).u(1, 0).u(1, 0).u(3, 0).u(3, 7).u(1, 1).u(3, 0).u(4, 0).u(1, 0);
        let with_objects = w().u(13, 448).u(3, 0).then(&five_one()).u(7, 0).u(1, 1).u(8, 16);
        let found = facts(b"ec-3", b"dec3", &with_objects.rbsp()).unwrap();
        assert_eq!((found.channels, found.joint_objects), (Some(6), Some(16)));
        assert_eq!(found.service, None);
        for (bsmod, service) in [
            (0, None),
            (2, Some(AudioService::VisuallyImpaired)),
            (3, Some(AudioService::HearingImpaired)),
            (5, Some(AudioService::Commentary)),
        ] {
            let ac_3 = w().u(2, 0).u(5, 8).u(3, bsmod).u(3, 2).u(1, 0).u(10, 0);
            let e_ac_3 = w().u(13, 192).u(3, 0).u(2, 0).u(5, 16).u(2, 0).u(3, bsmod).u(3, 2).u(1, 0).u(8, 0);
            for (entry, name, written) in [(b"ac-3", b"dac3", ac_3), (b"ec-3", b"dec3", e_ac_3)] {
                assert_eq!(facts(entry, name, &written.rbsp()).unwrap().service, service);
            }
        }
        let two = w().u(13, 448).u(3, 1).then(&five_one()).then(&five_one());
        let found = facts(b"ec-3", b"dec3", &two.rbsp()).unwrap();
        assert_eq!((found.channels, found.joint_objects), (Some(6), None));
    }

    fn codecs(entry: [u8; 4]) -> String {
        let entry = FourCc(entry);
        (find(entry).unwrap().rfc6381)(&Config { entry, boxes: Vec::new() }).unwrap()
    }

    #[test]
    fn the_codecs_parameter_is_the_entry_unless_that_has_a_dot() {
        for entry in
            [b"ac-3", b"ec-3", b"Opus", b"fLaC", b"alac", b"dtsc", b"dtsh", b"dtsl", b"dtse", b"dtsx"]
        {
            assert_eq!(codecs(*entry).as_bytes(), entry);
        }
        assert_eq!(codecs(*b".mp3"), "mp4a.6B");
    }
}
