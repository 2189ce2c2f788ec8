//! MPEG audio in `mp4a` sample entries — ISO/IEC 14496-14 §6.7, ISO/IEC 14496-1 §7.2.6, ISO/IEC 14496-3 §1.6.

use super::audio::{DTS_FRAME, MPEG_AUDIO_FRAME, SYNCFRAME};
use super::audio_facts::AudioInfo;
use super::raw_data_block::RawDataBlock;
use super::{CipherModes, Codec, Config, Marks, Protection, TrackKind, audio_specific_config};
use crate::base::bits::BitReader;
use crate::base::bytes::Reader;
use crate::base::{Error, FourCc, Result};

/// AAC, and what else ISO/IEC 14496-1 registers an objectTypeIndication for.
pub(super) static CODEC: Codec = Codec {
    name: "AAC",
    kind: TrackKind::Audio,
    sample_entries: &[FourCc(*b"mp4a")],
    protection: Protection::WholeSample,
    marks,
    cipher_modes: CipherModes::All,
    rfc6381,
    audio,
};

const ESDS: FourCc = FourCc(*b"esds");
const ES_DESCR_TAG: u8 = 0x03;
const DECODER_CONFIG_DESCR_TAG: u8 = 0x04;
const DEC_SPECIFIC_INFO_TAG: u8 = 0x05;
/// objectTypeIndication of ISO/IEC 14496-3 audio.
const AUDIO_ISO_14496_3: u8 = 0x40;
/// Those of MPEG audio, and of AC-3 and DTS as some writers put them here.
const MPEG_2_AUDIO: u8 = 0x69;
const MPEG_1_AUDIO: u8 = 0x6b;
const AC_3: u8 = 0xa5;
const E_AC_3: u8 = 0xa6;
const DTS: u8 = 0xa9;
const DTS_EXPRESS: u8 = 0xac;

/// RFC 6381 §3.3: `mp4a`, the objectTypeIndication in hex, and for 0x40 the audio object type in decimal.
fn rfc6381(config: &Config<'_>) -> Result<String> {
    let esds = config.payload(ESDS)?;
    let element = object_type(esds).map_err(|e| e.at(ESDS).at(config.entry))?;
    Ok(format!("{}.{element}", config.entry))
}

/// Other audio than that of ISO/IEC 14496-3 is told by its own headers.
fn audio(config: &Config<'_>) -> Result<AudioInfo> {
    let Ok(esds) = config.payload(ESDS) else { return Ok(AudioInfo::default()) };
    let facts = match decoder_config(esds) {
        Ok((_, Some(specific))) => audio_specific_config::facts(specific),
        Ok((_, None)) => Ok(AudioInfo::default()),
        Err(error) => Err(error),
    };
    facts.map_err(|error| error.at(ESDS).at(config.entry))
}

fn object_type(esds: &[u8]) -> Result<String> {
    let (object_type_indication, specific) = decoder_config(esds)?;
    let Some(specific) = specific else { return Ok(format!("{object_type_indication:02X}")) };
    let truncated = |_| Error::input("AudioSpecificConfig ends inside audioObjectType");
    let object =
        audio_specific_config::audio_object_type(&mut BitReader::plain(specific)).map_err(truncated)?;
    Ok(format!("{object_type_indication:02X}.{object}"))
}

/// The marks of what is in `esds`.
fn marks(config: &Config<'_>) -> Option<Box<dyn Marks>> {
    match decoder_config(config.payload(ESDS).ok()?).ok()? {
        (_, Some(specific)) => {
            let index = audio_specific_config::plain_frames(specific).ok()??;
            Some(Box::new(RawDataBlock::new(index)?))
        }
        (MPEG_2_AUDIO | MPEG_1_AUDIO, _) => Some(MPEG_AUDIO_FRAME.open()),
        (AC_3 | E_AC_3, _) => Some(SYNCFRAME.open()),
        (DTS..=DTS_EXPRESS, _) => Some(DTS_FRAME.open()),
        _ => None,
    }
}

/// objectTypeIndication, and AudioSpecificConfig of what has one.
fn decoder_config(esds: &[u8]) -> Result<(u8, Option<&[u8]>)> {
    let mut reader = Reader::new(esds);
    reader.u32()?; // version and flags of the FullBox
    let mut es = Reader::new(descriptor(&mut reader, ES_DESCR_TAG)?);
    es.u16()?; // ES_ID
    let flags = es.u8()?;
    if flags & 0x80 != 0 {
        es.u16()?; // dependsOn_ES_ID
    }
    if flags & 0x40 != 0 {
        let url_length = es.u8()?;
        es.take(usize::from(url_length))?;
    }
    if flags & 0x20 != 0 {
        es.u16()?; // OCR_ES_Id
    }
    let mut decoder_config = Reader::new(descriptor(&mut es, DECODER_CONFIG_DESCR_TAG)?);
    let object_type_indication = decoder_config.u8()?;
    if object_type_indication != AUDIO_ISO_14496_3 {
        return Ok((object_type_indication, None));
    }
    decoder_config.take(12)?; // streamType, bufferSizeDB, maxBitrate, avgBitrate
    Ok((object_type_indication, Some(descriptor(&mut decoder_config, DEC_SPECIFIC_INFO_TAG)?)))
}

/// The payload of the next descriptor, which is to have this tag: ISO/IEC 14496-1 §8.3.3.
fn descriptor<'a>(reader: &mut Reader<'a>, tag: u8) -> Result<&'a [u8]> {
    let found = reader.u8()?;
    if found != tag {
        return Err(Error::input(format!("descriptor tag {found:#04x}, {tag:#04x} expected"))
            .clause("ISO/IEC 14496-1 §7.2.6")
            .at_byte(reader.position() as u64 - 1));
    }
    let mut size = 0;
    for _ in 0..4 {
        let byte = reader.u8()?;
        size = (size << 7) | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return reader.take(size);
        }
    }
    Err(Error::input("descriptor size of more than 4 bytes").clause("ISO/IEC 14496-1 §8.3.3"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An `esds` payload with sizes in the four-byte form.
    fn esds(object_type_indication: u8, audio_specific_config: &[u8]) -> Vec<u8> {
        let long = |tag: u8, body: Vec<u8>| {
            let size = u8::try_from(body.len()).unwrap();
            [vec![tag, 0x80, 0x80, 0x80, size], body].concat()
        };
        let specific = match audio_specific_config {
            [] => Vec::new(),
            config => long(5, config.to_vec()),
        };
        let config = [vec![object_type_indication, 0x15], vec![0; 11], specific].concat();
        let es = [vec![0, 1, 0], long(4, config), vec![6, 1, 2]].concat();
        [vec![0; 4], long(3, es)].concat()
    }

    fn codecs(esds: &[u8]) -> Result<String> {
        let entry = FourCc(*b"mp4a");
        rfc6381(&Config { entry, boxes: vec![(FourCc(*b"esds"), esds)] })
    }

    #[test]
    fn the_audio_object_type_is_named_in_decimal() {
        assert_eq!(codecs(&esds(0x40, &[0x12, 0x10])).unwrap(), "mp4a.40.2");
        assert_eq!(codecs(&esds(0x40, &[0x2b, 0x11, 0x88, 0x00])).unwrap(), "mp4a.40.5");
        assert_eq!(codecs(&esds(0x40, &[0xeb, 0x8a])).unwrap(), "mp4a.40.29");
        // 11111 001010: the escape, then 10.
        assert_eq!(codecs(&esds(0x40, &[0b1111_1001, 0b0100_0000])).unwrap(), "mp4a.40.42");
    }

    #[test]
    fn channels_come_from_the_specific_config_when_there_is_one() {
        let channels = |esds: &[u8]| {
            let boxes = vec![(ESDS, esds)];
            audio(&Config { entry: FourCc(*b"mp4a"), boxes }).map(|facts| facts.channels)
        };
        assert_eq!(channels(&esds(0x40, &[0x11, 0xb0])).unwrap(), Some(6));
        assert_eq!(channels(&esds(0x6b, &[])).unwrap(), None);
        assert!(channels(&esds(0x40, &[0x11])).is_err());
    }

    #[test]
    fn another_object_type_indication_stands_alone() {
        assert_eq!(codecs(&esds(0x6b, &[])).unwrap(), "mp4a.6B");
        assert_eq!(codecs(&esds(0x67, &[0x12, 0x10])).unwrap(), "mp4a.67");
    }

    #[test]
    fn optional_fields_of_the_es_descriptor_are_passed_over() {
        let decoder_config = [&[4, 17, 0x40, 0x15][..], &[0; 11], &[5, 2, 0x12, 0x10]].concat();
        let es = [&[0, 1, 0xe0, 0, 9, 3, b'u', b'r', b'l', 0, 7][..], &decoder_config].concat();
        let esds = [&[0, 0, 0, 0, 3, u8::try_from(es.len()).unwrap()][..], &es].concat();
        assert_eq!(codecs(&esds).unwrap(), "mp4a.40.2");
    }

    #[test]
    fn every_truncation_of_esds_is_an_error() {
        let whole = esds(0x40, &[0xf9, 0x40]);
        for end in 0..whole.len() {
            assert!(codecs(&whole[..end]).is_err(), "{end}");
        }
        let error = rfc6381(&Config { entry: FourCc(*b"mp4a"), boxes: Vec::new() }).unwrap_err();
        assert_eq!(error.to_string(), "mp4a: the sample entry has no 'esds' box");
    }
}
