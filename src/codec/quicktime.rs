//! Sound of QuickTime files under the names of ISO files — QuickTime File Format; ISO/IEC 14496-1 §7.2.6, ISO/IEC 14496-12
//! §12.2.3.

use super::Config;
use crate::base::FourCc;

/// MP3 under its own name and under its number in files of Windows.
const MP3: [FourCc; 2] = [FourCc(*b".mp3"), FourCc(*b"ms\0\x55")];
/// objectTypeIndication of MPEG-1 audio.
const MPEG_1_AUDIO: u8 = 0x6b;
/// streamType 5, audio, and the bit behind it that is 1.
const AUDIO_STREAM: u8 = 0x15;

/// The configurations without which sample entries of ISO files are not complete.
const CONFIGURATIONS: &[(&[u8; 4], &[u8; 4])] =
    &[(b"mp4a", b"esds"), (b"ac-3", b"dac3"), (b"ec-3", b"dec3"), (b"alac", b"alac")];

/// The sample entry of ISO files for a sound format that has another name in QuickTime; its configuration and the
/// payload of that.
pub fn iso_form(format: FourCc) -> Option<(FourCc, FourCc, Vec<u8>)> {
    MP3.contains(&format).then(|| (FourCc(*b"mp4a"), FourCc(*b"esds"), mp3_esds()))
}

/// The configuration that a sample entry lacks.
pub fn lacks(config: &Config<'_>) -> Option<FourCc> {
    let (_, wanted) = CONFIGURATIONS.iter().find(|(entry, _)| FourCc(**entry) == config.entry)?;
    let wanted = FourCc(**wanted);
    config.payload(wanted).is_err().then_some(wanted)
}

/// ES_Descriptor of MPEG audio, which needs no more than its name.
fn mp3_esds() -> Vec<u8> {
    let decoder = [&[4, 13, MPEG_1_AUDIO, AUDIO_STREAM][..], &[0; 11]].concat();
    let synchronization = [6, 1, 2];
    // ES_ID 0 and no flags stand before both.
    [&[0, 0, 0, 0, 3, 21, 0, 0, 0][..], &decoder, &synchronization].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::find;

    #[test]
    fn mp3_gets_an_entry_that_is_read_again() {
        for name in MP3 {
            let (entry, kind, payload) = iso_form(name).unwrap();
            let config = Config { entry, boxes: vec![(kind, &payload)] };
            let codec = find(entry).unwrap();
            assert_eq!((codec.rfc6381)(&config).unwrap(), "mp4a.6B");
            assert!((codec.marks)(&config).is_some());
            assert_eq!(lacks(&config), None);
            assert_eq!(lacks(&Config { entry, boxes: Vec::new() }), Some(FourCc(*b"esds")));
        }
        assert_eq!(iso_form(FourCc(*b"alac")), None);
    }
}
