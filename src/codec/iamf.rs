//! Immersive Audio Model and Formats — AOM IAMF §3, §6.

use std::ops::Range;

use super::marks::is_in;
use super::{CipherModes, Codec, Config, Evidence, Marks, Protection, TrackKind, audio_facts};
use crate::base::bytes::Reader;
use crate::base::{Error, FourCc, Result};

/// IAMF; its descriptors stand in the sample entry and are not part of samples: §6.2.
pub(super) static CODEC: Codec = Codec {
    name: "IAMF",
    kind: TrackKind::Audio,
    sample_entries: &[FourCc(*b"iamf")],
    protection: Protection::WholeSample,
    marks,
    cipher_modes: CipherModes::All,
    rfc6381,
    audio: audio_facts::unknown,
};

const IACB: FourCc = FourCc(*b"iacb");

/// obu_type: §3.2.
mod obu_type {
    pub(super) const CODEC_CONFIG: u8 = 0;
    pub(super) const SEQUENCE_HEADER: u8 = 31;
}

/// The share of random bytes, at most, that are whole OBUs.
const CHANCE: f64 = 1.0 / 8.0;

fn marks(_: &Config<'_>) -> Option<Box<dyn Marks>> {
    Some(Box::new(Obus))
}

/// Samples are whole OBUs: §6.2.
struct Obus;

impl Marks for Obus {
    fn look(&mut self, sample: &[u8], encrypted: &[Range<usize>], evidence: &mut Evidence) {
        if sample.len() >= 16 && is_in(encrypted, &(0..16)) {
            let mut reader = Reader::new(sample);
            let mut is_whole = true;
            while is_whole && reader.remaining() > 0 {
                is_whole = obu(&mut reader).is_ok();
            }
            evidence.mark(is_whole, CHANCE);
        }
    }
}

/// §6.3: primary_profile and additional_profile in three digits, then the codec of the substreams.
fn rfc6381(config: &Config<'_>) -> Result<String> {
    let iacb = config.payload(IACB)?;
    let parameter = profiles_and_codec(iacb).map_err(|e| e.at(IACB).at(config.entry))?;
    Ok(format!("{}.{parameter}", config.entry))
}

fn profiles_and_codec(iacb: &[u8]) -> Result<String> {
    let mut reader = Reader::new(iacb);
    reader.u8()?; // configurationVersion
    let config_obus_size = leb128(&mut reader)?;
    let mut obus = Reader::new(reader.take(config_obus_size)?);
    let mut profiles = None;
    let mut codec = None;
    while obus.remaining() > 0 && (profiles.is_none() || codec.is_none()) {
        let (obu_type, mut payload) = obu(&mut obus)?;
        match obu_type {
            obu_type::SEQUENCE_HEADER => {
                payload.u32()?; // ia_code
                profiles = Some((payload.u8()?, payload.u8()?));
            }
            obu_type::CODEC_CONFIG => {
                leb128(&mut payload)?; // codec_config_id
                codec = Some(payload.fourcc()?);
            }
            _ => {}
        }
    }
    let (Some((primary, additional)), Some(codec)) = (profiles, codec) else {
        return Err(
            Error::input("configOBUs without a sequence header or a codec config").clause("IAMF §6.2.3")
        );
    };
    // AAC in IAMF is AAC-LC: §3.11.2.
    let element = if codec == FourCc(*b"mp4a") { ".40.2" } else { "" };
    Ok(format!("{primary:03}.{additional:03}.{codec}{element}"))
}

/// The type and payload of the next OBU: §3.2.
fn obu<'a>(obus: &mut Reader<'a>) -> Result<(u8, Reader<'a>)> {
    let header = obus.u8()?;
    let obu_size = leb128(obus)?;
    let mut payload = Reader::new(obus.take(obu_size)?);
    let (obu_trimming_status_flag, obu_extension_flag) = (header & 2 != 0, header & 1 != 0);
    if obu_trimming_status_flag {
        leb128(&mut payload)?; // num_samples_to_trim_at_end
        leb128(&mut payload)?; // num_samples_to_trim_at_start
    }
    if obu_extension_flag {
        let extension_header_size = leb128(&mut payload)?;
        payload.take(extension_header_size)?;
    }
    Ok((header >> 3, payload))
}

/// `leb128()`: §3.1.
fn leb128(reader: &mut Reader<'_>) -> Result<usize> {
    let mut value: u64 = 0;
    for byte in 0..8 {
        let bits = reader.u8()?;
        value |= u64::from(bits & 0x7f) << (7 * byte);
        if bits & 0x80 == 0 {
            return usize::try_from(value).map_err(|_| Error::input("leb128() over the address space"));
        }
    }
    Err(Error::input("leb128() of more than 8 bytes").clause("IAMF §3.1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codecs(iacb: &[u8]) -> Result<String> {
        rfc6381(&Config { entry: FourCc(*b"iamf"), boxes: vec![(IACB, iacb)] })
    }

    fn iacb(codec: &[u8; 4]) -> Vec<u8> {
        let sequence_header = [&[31 << 3 | 1, 8, 1, 0xff][..], b"iamf", &[1, 2]].concat();
        let codec_config = [&[0, 6, 0x81, 0][..], codec].concat();
        let obus = [sequence_header, codec_config].concat();
        [&[1, 0x80 | u8::try_from(obus.len()).unwrap(), 0][..], &obus].concat()
    }

    #[test]
    fn profiles_and_the_codec_of_the_substreams_are_named() {
        assert_eq!(codecs(&iacb(b"Opus")).unwrap(), "iamf.001.002.Opus");
        assert_eq!(codecs(&iacb(b"mp4a")).unwrap(), "iamf.001.002.mp4a.40.2");
        let whole = iacb(b"ipcm");
        for end in 0..whole.len() {
            assert!(codecs(&whole[..end]).is_err(), "{end}");
        }
        assert!(codecs(&[1, 0]).is_err());
    }
}
