//! FLAC and ALAC of other containers as sample entries have them — RFC 9639 §8, §9.1, Encapsulation of FLAC in ISO Base
//! Media File Format §3.3.2: configuration, and how many samples a frame has.

use crate::base::bits::BitReader;
use crate::base::{Error, Result};

/// Bytes of STREAMINFO.
const STREAM_INFO_BYTES: usize = 34;
/// Bytes of ALACSpecificConfig.
const ALAC_BYTES: usize = 24;

/// A configuration box, bits of a sample, channels and sampling frequency.
pub(super) struct Lossless {
    pub(super) payload: Vec<u8>,
    pub(super) bits: u16,
    pub(super) channels: u16,
    pub(super) frequency: u32,
}

/// FLACSpecificBox of what a FLAC file begins with: the signature, and metadata blocks of which the first is STREAMINFO.
///
/// # Errors
/// When it is no such beginning.
pub(super) fn dfla(start: &[u8]) -> Result<Lossless> {
    let info = start.strip_prefix(b"fLaC").and_then(|rest| match rest {
        [kind, 0, 0, 34, info @ ..] if kind & 0x7f == 0 => info.get(..STREAM_INFO_BYTES),
        _ => None,
    });
    let info = info.ok_or_else(|| {
        Error::input("a configuration that does not begin with fLaC and STREAMINFO")
            .clause("RFC 9639 §8.1, RFC 9559 §5.1.4.1.23")
    })?;
    let mut bits = BitReader::plain(info);
    bits.bits(32)?; // least and most samples in a block
    bits.bits(24)?; // least bytes in a frame
    bits.bits(24)?; // most bytes in a frame
    let frequency = bits.bits(20)?;
    let (channels, depth) = (bits.bits(3)? + 1, bits.bits(5)? + 1);
    if frequency == 0 {
        return Err(Error::input("STREAMINFO with a sampling frequency of 0").clause("RFC 9639 §8.2"));
    }
    // The last block of metadata, and its length.
    let payload = [&[0, 0, 0, 0, 0x80, 0, 0, 34][..], info].concat();
    Ok(Lossless { payload, bits: small(depth), channels: small(channels), frequency })
}

/// The samples of a FLAC frame of which these are the first bytes.
///
/// # Errors
/// When no frame begins there.
pub(super) fn flac_samples(frame: &[u8]) -> Result<u32> {
    let mut bits = BitReader::plain(frame);
    if bits.bits(15)? != 0x7ffc {
        return Err(Error::input("a frame without the frame sync code of FLAC").clause("RFC 9639 §9.1"));
    }
    bits.bits(1)?; // blocking strategy
    let code = bits.bits(4)?;
    bits.bits(12)?; // sampling frequency, channels, depth, reserved
    let first = bits.bits(8)?;
    // The coded number, with as many bytes behind its first one as that has ones at its start, less one.
    let more = u8::try_from(first).unwrap_or(0).leading_ones().saturating_sub(1);
    for _ in 0..more {
        bits.bits(8)?;
    }
    match code {
        1 => Ok(192),
        2..=5 => Ok(144 << code),
        6 => Ok(bits.bits(8)? + 1),
        7 => Ok(bits.bits(16)? + 1),
        8..=15 => Ok(1 << code),
        _ => Err(Error::input("a frame of FLAC with the reserved block size 0").clause("RFC 9639 §9.1.1")),
    }
}

/// The box of ALACSpecificConfig.
///
/// # Errors
/// When it is cut off.
pub(super) fn alac(config: &[u8]) -> Result<Lossless> {
    let config = config.get(..ALAC_BYTES).ok_or_else(|| {
        Error::input(format!("ALACSpecificConfig of {} bytes, {ALAC_BYTES} expected", config.len()))
    })?;
    let mut bits = BitReader::plain(config);
    bits.bits(32)?; // frameLength
    bits.bits(8)?; // compatibleVersion
    let depth = bits.bits(8)?;
    bits.bits(24)?; // pb, mb, kb
    let channels = bits.bits(8)?;
    bits.bits(16)?; // maxRun
    bits.bits(32)?; // maxFrameBytes
    bits.bits(32)?; // avgBitRate
    let frequency = bits.bits(32)?;
    if frequency == 0 {
        return Err(Error::input("ALACSpecificConfig with a sampling frequency of 0"));
    }
    let payload = [&[0; 4][..], config].concat();
    Ok(Lossless { payload, bits: small(depth), channels: small(channels), frequency })
}

/// The samples of an ALAC frame of which these are the first bytes: as many as the configuration says, or as it says.
///
/// # Errors
/// When either is cut off.
pub(super) fn alac_samples(config: &[u8], frame: &[u8]) -> Result<u32> {
    let whole = BitReader::plain(config).bits(32)?;
    let mut bits = BitReader::plain(frame);
    bits.bits(19)?; // tag, instance, unused
    let has_size = bits.bit()?;
    bits.bits(3)?; // bytes shifted, not compressed
    Ok(if has_size { bits.bits(32)?.min(whole) } else { whole })
}

fn small(field: u32) -> u16 {
    u16::try_from(field).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::bit_writer::BitWriter;

    #[test]
    fn the_blocks_of_flac_have_the_sizes_of_the_standard() {
        let of = |code: u32, behind: u32| {
            let head = BitWriter::default().u(15, 0x7ffc).u(1, 0).u(4, code).u(12, 0).u(8, 5);
            flac_samples(&head.u(16, behind).rbsp())
        };
        let sizes = [1, 2, 5, 7, 8, 12, 15].map(|code| of(code, 4607).unwrap());
        assert_eq!(sizes, [192, 576, 4608, 4608, 256, 4096, 32_768]);
        assert_eq!(of(6, 0x1f00).unwrap(), 32);
        assert!(of(0, 0).is_err() && flac_samples(&[0xff, 0xfb, 0x90, 0]).is_err());
        // A number of two bytes.
        let long = BitWriter::default().u(15, 0x7ffc).u(1, 0).u(4, 7).u(12, 0).u(16, 0xc280).u(16, 99);
        assert_eq!(flac_samples(&long.rbsp()).unwrap(), 100);
    }

    #[test]
    fn configurations_become_boxes() {
        let info = BitWriter::default().u(32, 0x1000_1000).u(24, 0).u(24, 0).u(20, 44_100).u(3, 1).u(5, 15);
        let mut start = b"fLaC\0\0\0\x22".to_vec();
        start.extend(&info.rbsp()[..14]);
        start.resize(8 + STREAM_INFO_BYTES, 0);
        let found = dfla(&start).unwrap();
        assert_eq!((found.channels, found.frequency, found.bits), (2, 44_100, 16));
        assert_eq!((found.payload.len(), found.payload[4]), (42, 0x80));
        assert!(dfla(&start[..40]).is_err() && dfla(b"OggS").is_err());
        let config = BitWriter::default().u(32, 4096).u(8, 0).u(8, 24).u(24, 0).u(8, 2).u(16, 0);
        let config = config.u(32, 0).u(32, 0).u(32, 48_000).rbsp();
        let found = alac(&config).unwrap();
        assert_eq!((found.channels, found.frequency, found.bits), (2, 48_000, 24));
        assert_eq!(alac_samples(&config, &[0x20, 0, 0, 0]).unwrap(), 4096);
        let short = BitWriter::default().u(19, 1 << 16).u(1, 1).u(3, 0).u(32, 77).u(8, 0);
        assert_eq!(alac_samples(&config, &short.rbsp()).unwrap(), 77);
    }
}
