//! ADTS frames of AAC — ISO/IEC 14496-3 §1.A.3.2.

use super::audio_facts::channels_of_configuration;
use super::audio_specific_config::{SAMPLING_FREQUENCIES, of_program_config, program_config_element};
use super::elementary::StreamInfo;
use crate::base::bits::BitReader;
use crate::base::{Error, Result};

/// Bytes of a header without and with a CRC.
const HEADER_BYTES: usize = 7;
const HEADER_AND_CRC_BYTES: usize = 9;
/// id_syn_ele of a program config element: table 4.85.
const ID_PCE: u32 = 5;

/// The header of an ADTS frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AdtsHeader {
    /// 7, or 9 with a CRC.
    pub header_bytes: usize,
    /// `aac_frame_length`, header included.
    pub frame_bytes: usize,
    /// `profile_ObjectType` + 1.
    audio_object_type: u8,
    sampling_frequency_index: u8,
    channel_configuration: u8,
}

impl AdtsHeader {
    /// The header that begins with `bytes`; `None` when they are too few to tell.
    ///
    /// # Errors
    /// When no ADTS header begins there.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<Self>> {
        let Some(header) = bytes.get(..HEADER_BYTES) else {
            return Ok(None);
        };
        let mut bits = BitReader::plain(header);
        let mut field = |count| bits.bits(count);
        let syncword = field(12)?;
        field(1)?; // ID
        let layer = field(2)?;
        if syncword != 0xfff || layer != 0 {
            return Err(Error::input(format!(
                "syncword {syncword:#05x} and layer {layer}, 0xfff and 0 expected: no ADTS frame"
            ))
            .clause("ISO/IEC 14496-3 §1.A.3.2.1"));
        }
        let protection_absent = field(1)?;
        let audio_object_type = small(field(2)? + 1);
        let sampling_frequency_index = small(field(4)?);
        field(1)?; // private_bit
        let channel_configuration = small(field(3)?);
        field(4)?; // original_copy, home and the copyright bits
        let frame_bytes = usize::try_from(field(13)?).unwrap_or(0);
        field(11)?; // adts_buffer_fullness
        let blocks = field(2)?;
        let header_bytes = if protection_absent == 1 { HEADER_BYTES } else { HEADER_AND_CRC_BYTES };
        if frame_bytes < header_bytes {
            return Err(Error::input(format!(
                "aac_frame_length is {frame_bytes}, the header alone has {header_bytes} bytes"
            ))
            .clause("ISO/IEC 14496-3 §1.A.3.2.1"));
        }
        if usize::from(sampling_frequency_index) >= SAMPLING_FREQUENCIES.len() {
            return Err(Error::input(format!(
                "sampling_frequency_index is {sampling_frequency_index}, 0 to 12 expected"
            ))
            .clause("ISO/IEC 14496-3 §1.6.3.4"));
        }
        if blocks != 0 {
            return Err(Error::unsupported(format!(
                "{} raw data blocks in an ADTS frame, one expected",
                blocks + 1
            ))
            .clause("ISO/IEC 14496-3 §1.A.3.2.1"));
        }
        Ok(Some(Self {
            header_bytes,
            frame_bytes,
            audio_object_type,
            sampling_frequency_index,
            channel_configuration,
        }))
    }

    /// `sampling_frequency_index`.
    pub(super) fn sampling_frequency_index(self) -> u8 {
        self.sampling_frequency_index
    }

    /// AudioSpecificConfig and what else is said by the header of `frame`, and by its first element where the header
    /// leaves the channels to that: §1.6.2.1, §1.6.3.5.
    pub(super) fn facts(self, frame: &[u8]) -> StreamInfo {
        let plain = u16::from(self.audio_object_type) << 11
            | u16::from(self.sampling_frequency_index) << 7
            | u16::from(self.channel_configuration) << 3;
        let (mut channels, mut config) =
            (channels_of_configuration(self.channel_configuration.into()), plain.to_be_bytes().to_vec());
        if let Some((of_element, with_element)) =
            self.program_config(frame).filter(|_| self.channel_configuration == 0)
        {
            (channels, config) = (Some(of_element), with_element);
        }
        StreamInfo {
            rfc6381: format!("mp4a.40.{}", self.audio_object_type),
            channels: channels.and_then(|channels| u8::try_from(channels).ok()),
            sampling_frequency: SAMPLING_FREQUENCIES.get(usize::from(self.sampling_frequency_index)).copied(),
            setup_data: config,
            ..StreamInfo::default()
        }
    }

    /// The channels of the program config element that a frame begins with, if it does, and an AudioSpecificConfig with
    /// it.
    fn program_config(self, frame: &[u8]) -> Option<(u16, Vec<u8>)> {
        let mut bits = BitReader::plain(frame.get(self.header_bytes..)?);
        if bits.bits(3).ok()? != ID_PCE {
            return None;
        }
        let mut again = bits.clone();
        let (channels, _) = program_config_element(&mut bits).ok()?;
        let (object, index) = (self.audio_object_type, self.sampling_frequency_index);
        Some((channels, of_program_config(object, index, &mut again).ok()?))
    }
}

/// A field of at most eight bits.
fn small(field: u32) -> u8 {
    u8::try_from(field).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::bit_writer::BitWriter;

    #[test]
    fn a_header_says_its_length_and_the_decoder_configuration() {
        let header = AdtsHeader::parse(&[0xff, 0xf1, 0x4c, 0x80, 0x2e, 0x7f, 0xfc]).unwrap().unwrap();
        assert_eq!((header.header_bytes, header.frame_bytes), (7, 371));
        let facts = header.facts(&[]);
        assert_eq!(facts.rfc6381, "mp4a.40.2");
        assert_eq!((facts.channels, facts.sampling_frequency), (Some(2), Some(48_000)));
        assert_eq!(facts.setup_data, [0x11, 0x90]);
    }

    #[test]
    fn channels_that_the_header_does_not_say_are_in_the_first_element() {
        let header = [0xff, 0xf1, 0x4c, 0, 0x02, 0x1f, 0xfc];
        let counts = BitWriter::default().u(3, ID_PCE).u(10, 0).u(4, 1).u(4, 0).u(4, 0).u(2, 0).u(7, 0);
        let element = counts.u(3, 0).u(1, 1).u(4, 0).rbsp();
        let frame = [&header[..], &element].concat();
        let parsed = AdtsHeader::parse(&frame).unwrap().unwrap();
        assert_eq!(parsed.facts(&frame).channels, Some(2));
        // The element is in the configuration, which says the same.
        let config = parsed.facts(&frame).setup_data;
        assert_eq!((config.len(), &config[..2]), (8, &[0x11, 0x80][..]));
        let facts = crate::codec::audio_specific_config::facts(&config).unwrap();
        assert_eq!((facts.channels, facts.sampling_frequency), (Some(2), Some(48_000)));
        assert_eq!(parsed.facts(&header).channels, None);
    }

    #[test]
    fn what_is_no_header_is_an_error_and_too_few_bytes_are_not() {
        assert!(AdtsHeader::parse(&[0xff, 0xfb, 0x90, 0, 0, 0, 0]).is_err(), "layer III");
        assert!(AdtsHeader::parse(&[0xff, 0xf1, 0x4c, 0x80, 0, 0x1f, 0xfc]).is_err(), "no length");
        assert_eq!(AdtsHeader::parse(&[0xff; 6]).unwrap(), None);
    }
}
