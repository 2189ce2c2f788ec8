//! MPEG-H 3D audio — ISO/IEC 23008-3 clause 20.

use super::audio_facts::{AudioFacts, channels_of_configuration};
use super::{CipherModes, Codec, Config, Protection, TrackKind};
use crate::base::bytes::Reader;
use crate::base::{FourCc, Result};

/// MPEG-H 3D audio as raw frames (`mha1`, `mha2`) or as MHAS packets (`mhm1`, `mhm2`).
pub(super) static CODEC: Codec = Codec {
    name: "MPEG-H",
    kind: TrackKind::Audio,
    sample_entries: &[FourCc(*b"mha1"), FourCc(*b"mha2"), FourCc(*b"mhm1"), FourCc(*b"mhm2")],
    protection: Protection::WholeSample,
    cipher_modes: CipherModes::All,
    rfc6381,
    audio,
};

const MHAC: FourCc = FourCc(*b"mhaC");

/// ISO/IEC 23008-3 §21: mpegh3daProfileLevelIndication in hex.
fn rfc6381(config: &Config<'_>) -> Result<String> {
    // MHAS packets bring their configuration along, and `mhaC` may be absent: §20.6.
    let is_mhas = matches!(&config.entry.0, b"mhm1" | b"mhm2");
    if is_mhas && config.payload(MHAC).is_err() {
        return Ok(config.entry.to_string());
    }
    let mut reader = Reader::new(config.payload(MHAC)?);
    let mut profile_level = || {
        reader.u8()?; // configurationVersion
        reader.u8()
    };
    let profile_level = profile_level().map_err(|e| e.at(MHAC).at(config.entry))?;
    Ok(format!("{}.0x{profile_level:02X}", config.entry))
}

/// §20.5: referenceChannelLayout, a ChannelConfiguration; the sound has objects beside.
fn audio(config: &Config<'_>) -> Result<AudioFacts> {
    let Ok(mhac) = config.payload(MHAC) else { return Ok(AudioFacts::default()) };
    let mut reader = Reader::new(mhac);
    let mut layout = || {
        reader.u16()?; // configurationVersion, mpegh3daProfileLevelIndication
        reader.u8()
    };
    let layout = layout().map_err(|e| e.at(MHAC).at(config.entry))?;
    Ok(AudioFacts::new(channels_of_configuration(layout.into()).unwrap_or(0), None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_and_level_are_named_when_they_are_known() {
        let of = |entry: &[u8; 4], boxes| rfc6381(&Config { entry: FourCc(*entry), boxes });
        assert_eq!(of(b"mhm1", vec![(MHAC, &[1, 0x0d, 6, 0, 0])]).unwrap(), "mhm1.0x0D");
        assert_eq!(of(b"mha1", vec![(MHAC, &[1, 0x0c, 6, 0, 0])]).unwrap(), "mha1.0x0C");
        assert_eq!(of(b"mhm2", Vec::new()).unwrap(), "mhm2");
        assert!(of(b"mha2", Vec::new()).is_err());
        assert!(of(b"mhm1", vec![(MHAC, &[1])]).is_err());
    }

    #[test]
    fn the_channels_are_those_of_the_reference_layout() {
        let of = |boxes| audio(&Config { entry: FourCc(*b"mhm1"), boxes }).map(|facts| facts.channels);
        assert_eq!(of(vec![(MHAC, &[1, 0x0d, 6, 0, 0])]).unwrap(), Some(6));
        assert_eq!(of(vec![(MHAC, &[1, 0x0d, 0, 0, 0])]).unwrap(), None);
        assert_eq!(of(Vec::new()).unwrap(), None);
        assert!(of(vec![(MHAC, &[1, 0x0d])]).is_err());
    }
}
