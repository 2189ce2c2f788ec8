//! What a sample entry says of pictures: color, aspect ratio of a pixel, Dolby Vision — ISO/IEC 14496-12 §12.1.4, §12.1.5.

use super::color::{ColorInfo, ColorNumbers};
use super::dolby_vision::{self, DolbyVision};
use super::{Config, av1, avc, hevc, transfer_of_messages, vp9};
use crate::base::bytes::Reader;
use crate::base::{FourCc, Result, ratio};

/// What is known of pictures beside their size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VideoInfo {
    /// Their color.
    pub color: ColorNumbers,
    /// Transfer characteristics that a message of the stream prefers to those of its color.
    pub preferred_transfer: Option<u32>,
    /// Width and height of a pixel; square ones may be said or not.
    pub sample_aspect_ratio: Option<(u32, u32)>,
    /// Dolby Vision, over a base of this codec or alone.
    pub dolby_vision: Option<DolbyVision>,
    /// Two views, one for each eye.
    pub is_stereo: bool,
    /// Whether the stream says that its samples use the full range of their bits.
    pub is_full_range: bool,
}

/// Reads what a box of a sample entry says.
type Read = fn(&[u8]) -> Result<VideoInfo>;

/// The boxes that say it, those first that win over the others.
const BOXES: &[(&[u8; 4], Read)] = &[
    (b"colr", colr),
    (b"pasp", pasp),
    (b"avcC", avc::video),
    (b"hvcC", hevc::video),
    (b"av1C", av1::video),
    (b"vpcC", vp9::video),
];

/// What a sample entry says; what cannot be read says nothing.
pub fn video(config: &Config<'_>) -> VideoInfo {
    let mut found = VideoInfo::default();
    for (name, read) in BOXES {
        let Ok(payload) = config.payload(FourCc(**name)) else { continue };
        let said = read(payload).unwrap_or_default();
        found.color = found.color.or(said.color);
        found.sample_aspect_ratio = found.sample_aspect_ratio.or(said.sample_aspect_ratio);
        found.is_full_range |= said.is_full_range;
    }
    found.prefer(transfer_of_messages(config, &[]));
    found.dolby_vision = dolby_vision::find(config);
    found.is_stereo = config.payload(FourCc(*b"vexu")).is_ok_and(|vexu| has_both_eyes(vexu).unwrap_or(false));
    found
}

impl VideoInfo {
    /// Of pictures of which only the bit depth is known.
    pub(super) fn of_depth(bit_depth: u32) -> Self {
        Self { color: ColorNumbers::of_depth(bit_depth), ..Self::default() }
    }

    /// Of pictures of which only the color is known.
    pub(super) fn of_color(color: ColorNumbers) -> Self {
        Self { color, ..Self::default() }
    }

    /// Takes in what a message prefers as transfer characteristics.
    pub fn prefer(&mut self, transfer: Option<u32>) {
        self.preferred_transfer = self.color.other_transfer(transfer).or(self.preferred_transfer);
    }

    /// The color that is to be shown.
    fn shown(&self) -> ColorNumbers {
        self.preferred_transfer.map_or(self.color, |transfer| self.color.with_transfer(transfer))
    }

    /// TransferCharacteristics of what is to be shown, where they are said.
    pub fn transfer(&self) -> Option<u32> {
        self.shown().transfer()
    }

    /// Dynamic range and gamut. Profile 5 of Dolby Vision says nothing of color in the stream.
    pub fn color_info(&self) -> ColorInfo {
        let said = self.shown().info();
        let more = self.dolby_vision.is_some().then_some(true);
        ColorInfo { hdr: said.hdr.or(more), wcg: said.wcg.or(more) }
    }

    /// `VIDEO-RANGE`: RFC 8216bis §4.4.6.2; none when nothing tells it.
    pub fn video_range(&self) -> Option<&'static str> {
        let base = self.dolby_vision.as_ref().and_then(DolbyVision::video_range);
        let alone = self.dolby_vision.as_ref().map(|_| "PQ");
        base.or_else(|| self.shown().video_range()).or(alone)
    }

    /// The Dolby Vision over a base that plays alone: codec and brand.
    pub fn supplemental_codec(&self) -> Option<(String, &'static str)> {
        self.dolby_vision.as_ref()?.supplement(self.color.video_range() == Some("SDR"))
    }

    /// Width and height of a pixel that is not square, in lowest terms.
    pub fn oblong_pixel(&self) -> Option<(u32, u32)> {
        let (width, height) = self.sample_aspect_ratio?;
        let (width, height) = ratio::reduced(width.into(), height.into());
        let lowest = (u32::try_from(width).ok()?, u32::try_from(height).ok()?);
        (lowest.0 != lowest.1).then_some(lowest)
    }
}

/// The payload of the first box of a type.
fn child(boxes: &[u8], kind: [u8; 4]) -> Result<Option<&[u8]>> {
    let mut reader = Reader::new(boxes);
    while reader.remaining() > 0 {
        let size = usize::try_from(reader.u32()?).unwrap_or(usize::MAX);
        let found = reader.array::<4>()?;
        let payload = reader.take(size.saturating_sub(8))?;
        if found == kind {
            return Ok(Some(payload));
        }
    }
    Ok(None)
}

/// `stri` of `eyes` in `vexu`: Apple, QuickTime and ISO Base Media File Formats and Spatial and Immersive Media.
fn has_both_eyes(vexu: &[u8]) -> Result<bool> {
    let Some(eyes) = child(vexu, *b"eyes")? else { return Ok(false) };
    let Some(stri) = child(eyes, *b"stri")? else { return Ok(false) };
    let mut reader = Reader::new(stri);
    reader.u32()?; // version, flags
    Ok(reader.u8()? & 3 == 3) // has_left_eye_view, has_right_eye_view
}

/// `ColourInformationBox` of coded points; of a profile nothing is read.
fn colr(payload: &[u8]) -> Result<VideoInfo> {
    let mut reader = Reader::new(payload);
    match &reader.array()? {
        b"nclx" | b"nclc" => {
            let numbers = [reader.u16()?, reader.u16()?, reader.u16()?].map(u32::from);
            Ok(VideoInfo::of_color(ColorNumbers::new(numbers, None)))
        }
        _ => Ok(VideoInfo::default()),
    }
}

/// `PixelAspectRatioBox`.
fn pasp(payload: &[u8]) -> Result<VideoInfo> {
    let mut reader = Reader::new(payload);
    let ratio = (reader.u32()?, reader.u32()?);
    let is_ratio = ratio.0 > 0 && ratio.1 > 0;
    Ok(VideoInfo { sample_aspect_ratio: is_ratio.then_some(ratio), ..VideoInfo::default() })
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
        let info = video(&Config { entry: FourCc(*b"hvc1"), boxes }).color_info();
        (info.hdr, info.wcg)
    }

    fn nclx(primaries: u8, transfer: u8) -> Vec<u8> {
        [&b"nclx\0"[..], &[primaries, 0, transfer, 0, 1, 0]].concat()
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
    #[test]
    fn dolby_vision_over_a_base_is_a_supplement_that_names_the_base() {
        let of = |entry: &[u8; 4], boxes: &[(&[u8; 4], &[u8])]| {
            let boxes = boxes.iter().map(|(name, payload)| (FourCc(**name), *payload)).collect();
            video(&Config { entry: FourCc(*entry), boxes })
        };
        // Profile 8, level 9; dv_bl_signal_compatibility_id in the high bits of the fifth byte.
        let dvvc = |compatibility: u8| [1, 0, 0x10, 0x4d, compatibility << 4];
        for (compatibility, transfer, range, brand) in [
            (1, 16, "PQ", Some("db1p")),
            (2, 1, "SDR", Some("db2g")),
            (4, 18, "HLG", Some("db4h")),
            (4, 14, "HLG", Some("db4g")),
            (0, 2, "PQ", None),
        ] {
            let boxes: &[(&[u8; 4], &[u8])] =
                &[(b"colr", &nclx(9, transfer)), (b"dvvC", &dvvc(compatibility))];
            let over = of(b"hvc1", boxes);
            assert_eq!(over.video_range(), Some(range), "{compatibility}");
            assert_eq!(over.supplemental_codec(), brand.map(|brand| ("dvh1.08.09".to_owned(), brand)));
            assert_eq!(of(b"dvh1", boxes).supplemental_codec(), None);
        }
        assert_eq!(
            of(b"av01", &[(b"dvvC", &[1, 0, 0x14, 0x4d, 0x10])]).supplemental_codec().unwrap().0,
            "dav1.10.09"
        );
        // Profile 5 says nothing in the stream.
        let five = of(b"dvh1", &[(b"dvcC", &[1, 0, 0x0a, 0x35, 0])]);
        assert_eq!((five.video_range(), five.supplemental_codec()), (Some("PQ"), None));
    }

    #[test]
    fn ranges_and_pixels_are_what_the_first_box_says() {
        let of = |boxes: &[(&[u8; 4], &[u8])]| {
            let boxes = boxes.iter().map(|(name, payload)| (FourCc(**name), *payload)).collect();
            video(&Config { entry: FourCc(*b"avc1"), boxes })
        };
        let ranges = [1, 6, 13, 16, 18, 2].map(|transfer| of(&[(b"colr", &nclx(1, transfer))]).video_range());
        assert_eq!(ranges, [Some("SDR"), Some("SDR"), Some("SDR"), Some("PQ"), Some("HLG"), None]);
        let pasp = |width: u32, height: u32| [width.to_be_bytes(), height.to_be_bytes()].concat();
        for (width, height, expected) in
            [(64, 45, Some((64, 45))), (8, 6, Some((4, 3))), (3, 3, None), (0, 1, None)]
        {
            assert_eq!(of(&[(b"pasp", &pasp(width, height))]).oblong_pixel(), expected);
        }
        // The VUI of this one says 1:1.
        let avc = bytes(AVC_8_BIT);
        assert_eq!(of(&[(b"avcC", &avc)]).sample_aspect_ratio, Some((1, 1)));
        assert_eq!(of(&[(b"avcC", &avc), (b"pasp", &pasp(4, 3))]).oblong_pixel(), Some((4, 3)));
    }
}
