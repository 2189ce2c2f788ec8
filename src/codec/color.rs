//! Dynamic range and color gamut of video, by what its configuration says of color — ISO/IEC 23091-2 §8.1, §8.2, ISO/IEC
//! 14496-12 §12.1.5.

use super::{Config, av1, avc, dolby_vision, hevc, vp9};
use crate::base::bytes::Reader;
use crate::base::{FourCc, Result};

/// What stands for a color that is not said, in ColourPrimaries and TransferCharacteristics.
const UNSPECIFIED: u32 = 2;
/// TransferCharacteristics of Rec. ITU-R BT.2100: PQ and HLG.
const HDR: [u32; 2] = [16, 18];
/// ColourPrimaries wider than those of BT.709: BT.2020, and P3 with both of its white points.
const WIDE: [u32; 3] = [9, 11, 12];
/// The scheme of descriptors in an MPD for each of them: ISO/IEC 23091-2.
const CICP: &str = "urn:mpeg:mpegB:cicp:";

/// Dynamic range and color gamut; what is `None` is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ColorInfo {
    /// High dynamic range.
    pub hdr: Option<bool>,
    /// Wide color gamut.
    pub wcg: Option<bool>,
}

impl ColorInfo {
    /// What numbers of ISO/IEC 23091-2 say. Where they say nothing, eight bits are neither: Rec. ITU-R BT.2020 and BT.2100
    /// have ten and twelve.
    pub(super) fn of_numbers(primaries: u32, transfer: u32, bit_depth: Option<u32>) -> Self {
        let eight = (bit_depth == Some(8)).then_some(false);
        let known = |number: u32, yes: &[u32]| match number {
            0 | UNSPECIFIED | 3 => eight,
            number => Some(yes.contains(&number)),
        };
        Self { hdr: known(transfer, &HDR), wcg: known(primaries, &WIDE) }
    }

    /// What `VIDEO-RANGE` of a playlist says: RFC 8216bis §4.4.6.2.
    pub fn of_video_range(range: &str) -> Self {
        let hdr = match range {
            "SDR" => Some(false),
            "PQ" | "HLG" => Some(true),
            _ => None,
        };
        Self { hdr, wcg: None }
    }

    /// What an `EssentialProperty` or `SupplementalProperty` of an MPD says: ISO/IEC 23009-1 §5.8.5.
    pub fn of_property(scheme: &str, value: &str) -> Self {
        let number = || value.trim().parse().unwrap_or(UNSPECIFIED);
        match scheme.strip_prefix(CICP) {
            Some("ColourPrimaries") => Self::of_numbers(number(), UNSPECIFIED, None),
            Some("TransferCharacteristics") => Self::of_numbers(UNSPECIFIED, number(), None),
            _ => Self::default(),
        }
    }

    /// Both, of which one may say that there is more: HLG has a base that is played without it.
    #[must_use]
    pub fn or_more(self, other: Self) -> Self {
        let either = |one: Option<bool>, other: Option<bool>| match (one, other) {
            (Some(one), Some(other)) => Some(one || other),
            (one, other) => one.or(other),
        };
        Self { hdr: either(self.hdr, other.hdr), wcg: either(self.wcg, other.wcg) }
    }

    /// What is the same in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let same = |one: Option<bool>, other| one.filter(|_| one == other);
        Self { hdr: same(self.hdr, other.hdr), wcg: same(self.wcg, other.wcg) }
    }
}

/// Reads what a box of a sample entry says of color.
type Read = fn(&[u8]) -> Result<ColorInfo>;

/// The boxes that say it, those first that win over the others.
const BOXES: &[(&[u8; 4], Read)] = &[
    (b"colr", colr),
    (b"avcC", avc::color),
    (b"hvcC", hevc::color),
    (b"av1C", av1::color),
    (b"vpcC", vp9::color),
];

/// What a sample entry says of the color of video; what cannot be read says nothing.
pub fn color(config: &Config<'_>) -> ColorInfo {
    let mut found = ColorInfo::default();
    for (name, read) in BOXES {
        let Ok(payload) = config.payload(FourCc(**name)) else { continue };
        let said = read(payload).unwrap_or_default();
        found = ColorInfo { hdr: found.hdr.or(said.hdr), wcg: found.wcg.or(said.wcg) };
    }
    if dolby_vision::is_there(config) {
        // Its profile 5 says nothing of color in the stream.
        found = ColorInfo { hdr: found.hdr.or(Some(true)), wcg: found.wcg.or(Some(true)) };
    }
    found
}

/// `ColourInformationBox` of coded points; of a profile nothing is read.
fn colr(payload: &[u8]) -> Result<ColorInfo> {
    let mut reader = Reader::new(payload);
    match &reader.array()? {
        b"nclx" | b"nclc" => {
            let (primaries, transfer) = (reader.u16()?, reader.u16()?);
            Ok(ColorInfo::of_numbers(primaries.into(), transfer.into(), None))
        }
        _ => Ok(ColorInfo::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Configurations of x264 and x265: without a word of color, and with BT.2020 and PQ in their VUI.
    const AVC_8_BIT: &str =
        "0164000affe100186764000aacd9447b0110000003001000000300a0f122596001000668ebe3cb22c0fdf8f800";
    const AVC_PQ: &str =
        "0164000affe1001a6764000aacd9447b016a122012800000030080000005078912cb01000668ebe3cb22c0fdf8f800";
    const HEVC_10_BIT: &str = "0102200000009000000000001ef000fcfdfafa00000f03200001001840010c01ffff02200000030090000003000003001e95\
         9809210001002942010102200000030090000003000003001ea020831365959ae4caf0168080000003008000000302842200\
         0100064401c173d089";
    const HEVC_PQ: &str = "0102200000009000000000001ef000fcfdfafa00000f03200001001840010c01ffff02200000030090000003000003001e95\
         9809210001002c42010102200000030090000003000003001ea020831365959ae4caf016a122012080000003008000000302\
         8422000100064401c173d089";

    fn bytes(hex: &str) -> Vec<u8> {
        let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (0..hex.len()).step_by(2).map(digit).collect()
    }

    fn of(boxes: &[(&[u8; 4], &[u8])]) -> (Option<bool>, Option<bool>) {
        let boxes = boxes.iter().map(|(name, payload)| (FourCc(**name), *payload)).collect();
        let info = color(&Config { entry: FourCc(*b"xxxx"), boxes });
        (info.hdr, info.wcg)
    }

    fn nclx(primaries: u8, transfer: u8) -> Vec<u8> {
        [&b"nclx\0"[..], &[primaries, 0, transfer, 0, 1, 0]].concat()
    }

    #[test]
    fn numbers_of_color_decide_and_eight_bits_are_neither() {
        for (primaries, transfer, depth, hdr, wcg) in [
            (9, 16, Some(10), Some(true), Some(true)),
            (9, 18, None, Some(true), Some(true)),
            (1, 1, Some(8), Some(false), Some(false)),
            (12, 1, Some(8), Some(false), Some(true)),
            (2, 2, Some(8), Some(false), Some(false)),
            (2, 2, Some(10), None, None),
            (0, 3, None, None, None),
            (9, 14, Some(10), Some(false), Some(true)),
        ] {
            assert_eq!(
                ColorInfo::of_numbers(primaries, transfer, depth),
                ColorInfo { hdr, wcg },
                "{primaries}"
            );
        }
    }

    #[test]
    fn manifests_say_it_too() {
        let transfer = ColorInfo::of_property("urn:mpeg:mpegB:cicp:TransferCharacteristics", " 18 ");
        assert_eq!(transfer, ColorInfo { hdr: Some(true), wcg: None });
        let primaries = ColorInfo::of_property("urn:mpeg:mpegB:cicp:ColourPrimaries", "9");
        assert_eq!(primaries, ColorInfo { hdr: None, wcg: Some(true) });
        assert_eq!(
            ColorInfo::of_property("urn:mpeg:mpegB:cicp:MatrixCoefficients", "9"),
            ColorInfo::default()
        );
        let ranges = ["SDR", "PQ", "HLG", "HDR"].map(|range| ColorInfo::of_video_range(range).hdr);
        assert_eq!(ranges, [Some(false), Some(true), Some(true), None]);
        let base = ColorInfo::of_numbers(9, 14, None);
        assert_eq!(base.or_more(transfer), ColorInfo { hdr: Some(true), wcg: Some(true) });
        assert_eq!(base.and(transfer), ColorInfo { hdr: None, wcg: None });
    }

    #[test]
    fn boxes_of_sample_entries_are_read_and_colr_wins() {
        let (yes, no) = (Some(true), Some(false));
        let [avc_8_bit, avc_pq, hevc_10_bit, hevc_pq] = [AVC_8_BIT, AVC_PQ, HEVC_10_BIT, HEVC_PQ].map(bytes);
        assert_eq!(of(&[(b"colr", &nclx(9, 16))]), (yes, yes));
        assert_eq!(of(&[(b"colr", b"prof\0\0\0\0")]), (None, None));
        // VPCodecConfigurationRecord: profile, level, depth and color.
        assert_eq!(of(&[(b"vpcC", &[1, 0, 0, 0, 2, 10, 0xa2, 9, 16, 9, 0, 0])]), (yes, yes));
        assert_eq!(of(&[(b"vpcC", &[1, 0, 0, 0, 0, 10, 0x82, 2, 2, 2, 0, 0])]), (no, no));
        assert_eq!(of(&[(b"avcC", &avc_8_bit)]), (no, no));
        assert_eq!(of(&[(b"avcC", &avc_pq)]), (yes, yes));
        assert_eq!(of(&[(b"avcC", &avc_pq), (b"colr", &nclx(1, 1))]), (no, no));
        assert_eq!(of(&[(b"avcC", &[1, 2])]), (None, None));
        assert_eq!(of(&[(b"hvcC", &hevc_pq)]), (yes, yes));
        assert_eq!(of(&[(b"hvcC", &hevc_10_bit)]), (None, None));
        // Dolby Vision of profile 5 says nothing of its color.
        assert_eq!(of(&[(b"hvcC", &hevc_10_bit), (b"dvcC", &[1, 0, 0x0a, 0x35, 0])]), (yes, yes));
        assert_eq!(of(&[]), (None, None));
    }
}
