//! Dynamic range and color gamut of video, by what its configuration says of color — ISO/IEC 23091-2 §8.1, §8.2, ISO/IEC
//! 14496-12 §12.1.5.

/// What stands for a color that is not said, in ColourPrimaries and TransferCharacteristics.
const UNSPECIFIED: u32 = 2;
/// TransferCharacteristics of Rec. ITU-R BT.2100.
const PQ: u32 = 16;
/// The other of Rec. ITU-R BT.2100.
const HLG: u32 = 18;
/// Those of high dynamic range.
const HDR: [u32; 2] = [PQ, HLG];
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
            number if is_said(number) => Some(yes.contains(&number)),
            _ => eight,
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

/// Numbers of ISO/IEC 23091-2 that a stream or a box says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColorNumbers {
    /// ColourPrimaries, TransferCharacteristics, MatrixCoefficients; 2 where nothing is said.
    numbers: [u32; 3],
    bit_depth: Option<u32>,
}

impl Default for ColorNumbers {
    fn default() -> Self {
        Self { numbers: [UNSPECIFIED; 3], bit_depth: None }
    }
}

impl ColorNumbers {
    pub(super) fn new(numbers: [u32; 3], bit_depth: Option<u32>) -> Self {
        Self { numbers, bit_depth }
    }

    pub(super) fn of_depth(bit_depth: u32) -> Self {
        Self { bit_depth: Some(bit_depth), ..Self::default() }
    }

    /// Where this says nothing, what the other says.
    #[must_use]
    pub(super) fn or(self, other: Self) -> Self {
        let mut numbers = self.numbers;
        for (number, other) in numbers.iter_mut().zip(other.numbers) {
            *number = if is_said(*number) { *number } else { other };
        }
        Self { numbers, bit_depth: self.bit_depth.or(other.bit_depth) }
    }

    /// The same with other transfer characteristics.
    #[must_use]
    pub(super) fn with_transfer(mut self, transfer: u32) -> Self {
        self.numbers[1] = transfer;
        self
    }

    /// TransferCharacteristics, where they are said.
    pub(super) fn transfer(self) -> Option<u32> {
        Some(self.numbers[1]).filter(|transfer| is_said(*transfer))
    }

    /// Of these transfer characteristics those that say something else.
    pub(super) fn other_transfer(self, transfer: Option<u32>) -> Option<u32> {
        transfer.filter(|transfer| is_said(*transfer) && *transfer != self.numbers[1])
    }

    /// Dynamic range and gamut.
    pub(super) fn info(self) -> ColorInfo {
        let [primaries, transfer, _] = self.numbers;
        ColorInfo::of_numbers(primaries, transfer, self.bit_depth)
    }

    /// `VIDEO-RANGE`: RFC 8216bis §4.4.6.2.
    pub(super) fn video_range(self) -> Option<&'static str> {
        match self.numbers[1] {
            PQ => Some("PQ"),
            HLG => Some("HLG"),
            transfer => is_said(transfer).then_some("SDR"),
        }
    }

    /// Scheme and value of the descriptors of an MPD that say it: ISO/IEC 23091-2, DASH-IF IOP.
    pub fn properties(self) -> Vec<(String, String)> {
        let names = ["ColourPrimaries", "TransferCharacteristics", "MatrixCoefficients"];
        let said = names.into_iter().zip(self.numbers).filter(|(_, number)| is_said(*number));
        said.map(|(name, number)| (format!("{CICP}{name}"), number.to_string())).collect()
    }
}

fn is_said(number: u32) -> bool {
    !matches!(number, 0 | UNSPECIFIED | 3)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
