//! AAC in LATM and LOAS — ISO/IEC 14496-3 §1.7: frames with a sync word, which have raw audio of any bit position.

use std::ops::Range;

use super::audio_specific_config::copy_audio_specific_config;
use super::bit_copy::BitCopy;
use crate::base::bits::BitReader;
use crate::base::{Error, Result, remedy};

/// syncword of AudioSyncStream(), and bytes up to audioMuxLengthBytes.
const SYNCWORD: u32 = 0x2b7;
const HEADER_BYTES: usize = 3;
const CLAUSE: &str = "ISO/IEC 14496-3 §1.7.3";

/// How the frames of a stream are to be read: what StreamMuxConfig() says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latm {
    /// AudioSpecificConfig.
    pub configuration: Vec<u8>,
}

impl Latm {
    /// Where the frame lies that begins at `start`; `None` when `stream` ends before it does.
    ///
    /// # Errors
    /// When no frame begins there.
    pub fn frame(stream: &[u8], start: usize) -> Result<Option<Range<usize>>> {
        let Some([first, second, third]) = stream.get(start..).and_then(<[u8]>::first_chunk::<HEADER_BYTES>)
        else {
            return Ok(None);
        };
        let head = u32::from_be_bytes([0, *first, *second, *third]);
        if head >> 13 != SYNCWORD {
            return Err(Error::input(format!("syncword {:#05x}, {SYNCWORD:#05x} expected", head >> 13))
                .clause("ISO/IEC 14496-3 §1.7.2")
                .at_byte(start as u64));
        }
        let length = usize::try_from(head & 0x1fff).unwrap_or(usize::MAX);
        let range = start..start + HEADER_BYTES + length;
        Ok((range.end <= stream.len()).then_some(range))
    }

    /// What a frame says of how frames are read; `None` when it leaves that to those before it.
    ///
    /// # Errors
    /// When it is cut off, or of a form that is not taken.
    pub fn of(frame: &[u8]) -> Result<Option<Self>> {
        let mut bits = element(frame);
        let use_same_stream_mux = bits.bit()?;
        if use_same_stream_mux { Ok(None) } else { stream_mux_config(&mut bits).map(Some) }
    }

    /// The raw audio of a frame.
    ///
    /// # Errors
    /// When it is cut off, or its configuration is another one.
    pub fn raw(&self, frame: &[u8]) -> Result<Vec<u8>> {
        let mut bits = element(frame);
        let use_same_stream_mux = bits.bit()?;
        if !use_same_stream_mux && stream_mux_config(&mut bits)? != *self {
            return Err(Error::unsupported("the configuration of AAC changes")
                .clause(CLAUSE)
                .hint("cut the file there and give the parts in calls of their own"));
        }
        let mut length = 0_usize;
        loop {
            let part = bits.bits(8)?;
            length = length.saturating_add(usize::try_from(part).unwrap_or(usize::MAX));
            if part != 255 {
                break;
            }
        }
        if length > frame.len() {
            return Err(
                Error::input(format!("audio of {length} bytes in a frame of {}", frame.len())).clause(CLAUSE)
            );
        }
        (0..length).map(|_| bits.bits(8).map(|byte| u8::try_from(byte).unwrap_or(0))).collect()
    }
}

/// AudioMuxElement() of a frame.
fn element(frame: &[u8]) -> BitReader<'_> {
    BitReader::plain(frame.get(HEADER_BYTES..).unwrap_or_default())
}

/// `LatmGetValue()`.
fn value(bits: &mut BitReader<'_>) -> Result<u32> {
    let more = bits.bits(2)?;
    (0..=more).try_fold(0_u32, |value, _| Ok(value << 8 | bits.bits(8)?))
}

/// `StreamMuxConfig()` of one program of one layer, a frame in each element.
fn stream_mux_config(bits: &mut BitReader<'_>) -> Result<Latm> {
    let refused = |what: &str| {
        let hint = format!("write it anew, such as with {}", remedy::copy(" -c:a aac", "ts"));
        Err(Error::unsupported(format!("LATM with {what}")).clause(CLAUSE).hint(hint))
    };
    let audio_mux_version = bits.bit()?;
    if audio_mux_version {
        if bits.bit()? {
            return refused("audioMuxVersionA 1");
        }
        value(bits)?; // taraBufferFullness
    }
    let all_streams_same_time_framing = bits.bit()?;
    let num_sub_frames = bits.bits(6)?;
    let (num_program, num_layer) = (bits.bits(4)?, bits.bits(3)?);
    if !all_streams_same_time_framing || num_sub_frames != 0 || num_program != 0 || num_layer != 0 {
        return refused("several frames, programs or layers in an element");
    }
    let configuration = if audio_mux_version {
        let length = value(bits)?;
        if length > 1 << 10 {
            return refused(&format!("an AudioSpecificConfig of {length} bits"));
        }
        let mut copy = BitCopy::default();
        (0..length).try_for_each(|_| copy.copy(bits, 1).map(drop))?;
        copy.into_bytes()
    } else {
        match copy_audio_specific_config(bits)? {
            Some(configuration) => configuration,
            None => {
                return refused("an AudioSpecificConfig of another codec, or with a program config element");
            }
        }
    };
    let frame_length_type = bits.bits(3)?;
    if frame_length_type != 0 {
        return refused(&format!("frameLengthType {frame_length_type}"));
    }
    bits.bits(8)?; // latmBufferFullness
    let other_data_present = bits.bit()?;
    if other_data_present && audio_mux_version {
        value(bits)?; // otherDataLenBits
    } else if other_data_present {
        while bits.bits(9)? >> 8 == 1 {} // otherDataLenEsc, otherDataLenTmp
    }
    let crc_check_present = bits.bit()?;
    bits.bits(if crc_check_present { 8 } else { 0 })?;
    Ok(Latm { configuration })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::bit_writer::BitWriter;

    /// A frame with this configuration, or without one, and audio.
    fn frame(configuration: Option<BitWriter>, audio: &[u8]) -> Vec<u8> {
        let mut element = match configuration {
            Some(configuration) => BitWriter::default().u(1, 0).then(&configuration),
            None => BitWriter::default().u(1, 1),
        };
        for _ in 0..audio.len() / 255 {
            element = element.u(8, 255);
        }
        element = element.u(8, u32::try_from(audio.len() % 255).unwrap());
        for byte in audio {
            element = element.u(8, (*byte).into());
        }
        let element = element.rbsp();
        let head = SYNCWORD << 13 | u32::try_from(element.len()).unwrap();
        [&head.to_be_bytes()[1..], &element].concat()
    }

    /// AAC LC of 48 kHz in stereo.
    fn config() -> BitWriter {
        let head = BitWriter::default().u(1, 0).u(1, 1).u(6, 0).u(4, 0).u(3, 0);
        head.u(5, 2).u(4, 3).u(4, 2).u(3, 0).u(3, 0).u(8, 0xff).u(1, 0).u(1, 0)
    }

    #[test]
    fn frames_are_found_and_their_audio_is_put_to_whole_bytes() {
        let audio: Vec<u8> = (0..=255).chain(0..=99).collect();
        let first = frame(Some(config()), &[0xde, 0xad]);
        let second = frame(None, &audio);
        let stream = [first.clone(), second.clone()].concat();
        let range = Latm::frame(&stream, 0).unwrap().unwrap();
        assert_eq!(range, 0..first.len());
        assert_eq!(Latm::frame(&stream, range.end).unwrap(), Some(range.end..stream.len()));
        assert_eq!(Latm::frame(&stream, 1).map_err(drop), Err(()));
        assert_eq!(Latm::frame(&stream[..stream.len() - 1], range.end).unwrap(), None);
        let latm = Latm::of(&first).unwrap().unwrap();
        assert_eq!(latm.configuration, [0x11, 0x90]);
        assert_eq!(latm.raw(&first).unwrap(), [0xde, 0xad]);
        assert_eq!(Latm::of(&second).unwrap(), None);
        assert_eq!(latm.raw(&second).unwrap(), audio);
    }

    #[test]
    fn what_has_more_than_one_frame_or_changes_is_refused() {
        let other = BitWriter::default().u(1, 0).u(1, 1).u(6, 1).u(4, 0).u(3, 0).u(32, 0);
        let error = Latm::of(&frame(Some(other), &[1])).unwrap_err().to_string();
        assert!(error.contains("several frames") && error.contains("ffmpeg"), "{error}");
        let latm = Latm { configuration: vec![0x12, 0x10] };
        assert!(latm.raw(&frame(Some(config()), &[1])).unwrap_err().to_string().contains("changes"));
        assert!(latm.raw(&[0x56, 0xe0, 2, 0xff, 0xff]).is_err());
    }
}
