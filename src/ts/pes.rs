//! PES packet headers — ISO/IEC 13818-1 §2.4.3.6, §2.4.3.7.

use crate::base::bytes::Reader;
use crate::base::{Error, Result};

/// The bytes of `packet_start_code_prefix`, `stream_id` and `PES_packet_length`.
const FIXED_BYTES: usize = 6;
/// `stream_id` of PES packets without a header: maps, padding, private_stream_2, ECM, EMM, DSM-CC, H.222.1 type E and
/// directories, table 2-22.
const WITHOUT_HEADER: [u8; 8] = [0xbc, 0xbe, 0xbf, 0xf0, 0xf1, 0xf2, 0xf8, 0xff];

/// The header of a PES packet that carries an elementary stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PesHeader {
    /// `stream_id`.
    pub stream_id: u8,
    /// `PES_packet_length`: bytes behind that field, or 0 where it is not said (video only).
    pub pes_packet_length: u16,
    /// `PES_scrambling_control`: 0 for clear.
    pub pes_scrambling_control: u8,
    /// Whether `previous_PES_packet_CRC` is there, which is of the data of the packet before.
    pub has_crc: bool,
    /// `PTS` in units of 90 kHz.
    pub pts: Option<u64>,
    /// `DTS` in units of 90 kHz.
    pub dts: Option<u64>,
    /// Where the elementary stream begins in the PES packet.
    pub data_position: usize,
}

impl PesHeader {
    /// Reads the header of the PES packet that begins with `bytes`.
    ///
    /// # Errors
    /// When it is no PES packet of an elementary stream, or ends inside its header.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        let prefix = reader.u24()?;
        if prefix != 1 {
            return Err(Error::input(format!(
                "packet_start_code_prefix is {prefix:#08x}, 0x000001 expected"
            ))
            .clause("ISO/IEC 13818-1 §2.4.3.7"));
        }
        let stream_id = reader.u8()?;
        let pes_packet_length = reader.u16()?;
        let flags = reader.u8()?;
        if flags & 0xc0 != 0x80 || WITHOUT_HEADER.contains(&stream_id) {
            return Err(Error::input(format!(
                "stream_id {stream_id:#04x} has no PES header, one of audio or video expected"
            ))
            .clause("ISO/IEC 13818-1 §2.4.3.7"));
        }
        let optional = reader.u8()?;
        let header_data_length = usize::from(reader.u8()?);
        let mut fields = Reader::new(reader.take(header_data_length)?);
        let pts = if optional & 0x80 != 0 { Some(time_stamp(&mut fields)?) } else { None };
        let dts = if optional & 0xc0 == 0xc0 { Some(time_stamp(&mut fields)?) } else { None };
        let data_position = reader.position();
        let end = FIXED_BYTES + usize::from(pes_packet_length);
        if pes_packet_length != 0 && end < data_position {
            return Err(Error::input(format!(
                "PES_packet_length is {pes_packet_length}, the header alone is longer"
            ))
            .clause("ISO/IEC 13818-1 §2.4.3.7"));
        }
        Ok(Self {
            stream_id,
            pes_packet_length,
            pes_scrambling_control: (flags >> 4) & 3,
            has_crc: optional & 0x02 != 0,
            pts,
            dts,
            data_position,
        })
    }

    /// The length of the whole PES packet, if its header says it.
    pub fn packet_bytes(&self) -> Option<usize> {
        (self.pes_packet_length != 0).then(|| FIXED_BYTES + usize::from(self.pes_packet_length))
    }

    /// Writes the length of a PES packet into its header. One that does not fit becomes 0, "not said", which
    /// §2.4.3.7 allows for video in transport streams; a length of 0 stays 0.
    pub fn write_length(pes_packet: &mut [u8]) {
        let length = u16::try_from(pes_packet.len().saturating_sub(FIXED_BYTES)).unwrap_or(0);
        if let [_, _, _, _, high, low, ..] = pes_packet
            && (*high, *low) != (0, 0)
        {
            [*high, *low] = length.to_be_bytes();
        }
    }
}

/// `PTS` or `DTS`: 33 bits between marker bits.
fn time_stamp(reader: &mut Reader<'_>) -> Result<u64> {
    let [a, b, c, d, e] = reader.array()?.map(u64::from);
    Ok(((a >> 1) & 7) << 30 | b << 22 | (c >> 1) << 15 | d << 7 | e >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PES: [u8; 20] =
        [0, 0, 1, 0xe0, 0, 14, 0x80, 0xc0, 10, 0x31, 0, 7, 0xd8, 0x61, 0x11, 0, 7, 0xd8, 0x61, 9];

    #[test]
    fn time_stamps_are_33_bits_of_90_khz() {
        let header = PesHeader::parse(&PES).unwrap();
        assert_eq!((header.pts, header.dts), (Some(126_000), Some(126_000)));
        assert_eq!((header.data_position, header.packet_bytes()), (19, Some(20)));
    }

    #[test]
    fn a_header_that_ends_early_is_an_error() {
        for end in 0..19 {
            assert!(PesHeader::parse(&PES[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn a_length_that_was_not_said_stays_unsaid() {
        let mut pes = PES.to_vec();
        pes.push(1);
        PesHeader::write_length(&mut pes);
        assert_eq!(pes[4..6], [0, 15]);
        pes[5] = 0;
        PesHeader::write_length(&mut pes);
        assert_eq!(pes[4..6], [0, 0]);
        pes[5] = 1;
        pes.resize(70_000, 0);
        PesHeader::write_length(&mut pes);
        assert_eq!(pes[4..6], [0, 0]);
    }
}
