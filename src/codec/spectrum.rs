//! Codebooks and scalefactor bands of AAC — ISO/IEC 14496-3 §4.A.1, §4.5.4.
//!
//! Of a codeword no more is kept than its length and what follows it. The codewords of each codebook, in ascending order,
//! have ascending lengths, so that the number of those of each length says which they are.

use crate::base::bits::BitReader;
use crate::base::{Error, Result};

/// The codewords of one length: the length, how many there are, and for each of them a digit that says how many bits of
/// signs, and in the last codebook escapes, follow. Without digits none do.
type OfLength = (u8, u8, &'static str);

/// A Huffman codebook.
pub(super) struct Codebook {
    /// Spectral coefficients of a codeword.
    pub(super) dimension: u16,
    lengths: &'static [OfLength],
}

impl Codebook {
    /// Reads a codeword; the digit of what follows it.
    pub(super) fn codeword(&self, reader: &mut BitReader<'_>) -> Result<u32> {
        let (mut code, mut first, mut read) = (0_u32, 0_u32, 0_u8);
        for (length, count, digits) in self.lengths {
            let more = u32::from(length - read);
            code = code << more | reader.bits(more)?;
            first <<= more;
            read = *length;
            let number = code.wrapping_sub(first);
            if number < u32::from(*count) {
                let digit = usize::try_from(number).ok().and_then(|number| digits.as_bytes().get(number));
                return Ok(digit.map_or(0, |digit| u32::from(digit.saturating_sub(b'0'))));
            }
            first += u32::from(*count);
        }
        Err(Error::input("a codeword that no codebook has").clause("ISO/IEC 14496-3 §4.A.1"))
    }
}

/// Differences of scalefactors: table 4.A.1.
#[rustfmt::skip]
pub(super) static SCALEFACTORS: Codebook = Codebook {
    dimension: 1,
    lengths: &[
        (1, 1, ""), (3, 1, ""), (4, 3, ""), (5, 2, ""), (6, 4, ""), (7, 3, ""), (8, 5, ""), (9, 4, ""), (10, 6, ""),
        (11, 6, ""), (12, 6, ""), (13, 5, ""), (14, 8, ""), (15, 4, ""), (16, 7, ""), (17, 3, ""), (18, 7, ""), (19, 46, ""),
    ],
};

/// Spectral coefficients, codebooks 1 to 11: tables 4.A.2 to 4.A.12. In the last one a digit is the number of signs and
/// three times that of escapes.
#[rustfmt::skip]
pub(super) static SPECTRUM: [Codebook; 11] = [
    Codebook { dimension: 4, lengths: &[(1, 1, ""), (5, 8, ""), (7, 24, ""), (9, 24, ""), (10, 8, ""), (11, 16, "")] },
    Codebook { dimension: 4, lengths: &[
        (3, 1, ""), (4, 1, ""), (5, 7, ""), (6, 24, ""), (7, 15, ""), (8, 19, ""), (9, 14, ""),
    ] },
    Codebook { dimension: 4, lengths: &[
        (1, 1, "0"), (4, 4, "1111"), (5, 2, "22"), (6, 6, "222323"), (7, 3, "433"), (8, 5, "11223"),
        (9, 15, "232331221224334"), (10, 15, "323244332333223"), (11, 8, "24334423"), (12, 9, "333334444"),
        (13, 3, "223"), (14, 3, "343"), (15, 5, "44432"), (16, 2, "33"),
    ] },
    Codebook { dimension: 4, lengths: &[
        (4, 10, "4333312022"), (5, 6, "221211"), (7, 9, "444433333"), (8, 21, "333333322222222222211"),
        (9, 8, "11444444"), (10, 14, "33333333343334"), (11, 11, "44222222433"), (12, 2, "33"),
    ] },
    Codebook { dimension: 2, lengths: &[
        (1, 1, ""), (4, 4, ""), (5, 4, ""), (7, 4, ""), (8, 12, ""), (9, 12, ""), (10, 12, ""), (11, 18, ""),
        (12, 10, ""), (13, 4, ""),
    ] },
    Codebook { dimension: 2, lengths: &[
        (4, 9, ""), (6, 16, ""), (7, 13, ""), (8, 8, ""), (9, 23, ""), (10, 8, ""), (11, 4, ""),
    ] },
    Codebook { dimension: 2, lengths: &[
        (1, 1, "0"), (3, 2, "11"), (4, 1, "2"), (6, 4, "2211"), (7, 5, "22211"), (8, 10, "2222222211"),
        (9, 14, "22212122222222"), (10, 15, "211222222222222"), (11, 8, "11222222"), (12, 4, "2222"),
    ] },
    Codebook { dimension: 2, lengths: &[
        (3, 1, "2"), (4, 5, "21212"), (5, 7, "0112222"), (6, 10, "2222211222"), (7, 14, "22222221212222"),
        (8, 15, "222121222222222"), (9, 8, "22121222"), (10, 4, "2112"),
    ] },
    Codebook { dimension: 2, lengths: &[
        (1, 1, "0"), (3, 2, "11"), (4, 1, "2"), (6, 4, "2211"), (7, 3, "222"), (8, 8, "11222222"),
        (9, 11, "22112222222"), (10, 20, "12122222222122222222"), (11, 31, "1222122221222211222222222222212"),
        (12, 38, "22122222222222222222222122122222221222"), (13, 32, "22222222222212212222122222222222"),
        (14, 14, "22222222222222"), (15, 4, "2222"),
    ] },
    Codebook { dimension: 2, lengths: &[
        (4, 3, "222"), (5, 8, "21122222"), (6, 14, "11222202211222"), (7, 17, "22222222212122222"),
        (8, 25, "2222222121222222222222222"), (9, 31, "2221222221222222222222222221212"),
        (10, 41, "22222212222221222222222222222221212122222"), (11, 22, "2222222222121222122212"),
        (12, 8, "22222122"),
    ] },
    Codebook { dimension: 2, lengths: &[
        (4, 2, "02"), (5, 6, "811222"), (6, 7, "2221212"), (7, 16, "2222221122222222"),
        (8, 59, "22222225555525121525555222225522555225255525225522215522221"),
        (9, 55, "2552252522222225221222222122222222222222122222222222422"),
        (10, 95, "22224212222222222222222222222222222221222222222222222222122222222222222222222222222211222222222"),
        (11, 43, "2222222222222222212212122212222211222212212"), (12, 6, "112112"),
    ] },
];

/// Scalefactor bands as runs: how many there are in a row, and how many coefficients each has.
type Runs = &'static [(u16, u16)];

const LONG_96: Runs = &[(14, 4), (5, 8), (5, 12), (2, 16), (1, 24), (1, 28), (1, 36), (1, 44), (11, 64)];
const LONG_64: Runs = &[(14, 4), (4, 8), (3, 12), (3, 16), (1, 20), (2, 24), (1, 28), (1, 36), (18, 40)];
const LONG_48: Runs = &[(10, 4), (7, 8), (4, 12), (2, 16), (2, 20), (2, 24), (2, 28), (19, 32), (1, 96)];
const LONG_32: Runs = &[(10, 4), (7, 8), (4, 12), (2, 16), (2, 20), (2, 24), (2, 28), (22, 32)];
#[rustfmt::skip]
const LONG_24: Runs = &[
    (11, 4), (10, 8), (4, 12), (3, 16), (2, 20), (2, 24), (2, 28), (1, 32), (2, 36), (1, 40), (1, 44), (1, 48), (2, 52),
    (5, 64),
];
#[rustfmt::skip]
const LONG_16: Runs = &[
    (11, 8), (9, 12), (4, 16), (3, 20), (2, 24), (2, 28), (1, 32), (1, 36), (2, 40), (1, 44), (1, 48), (1, 52), (1, 56),
    (1, 60), (3, 64),
];
#[rustfmt::skip]
const LONG_8: Runs = &[
    (13, 12), (7, 16), (4, 20), (3, 24), (2, 28), (1, 32), (2, 36), (1, 40), (1, 44), (1, 48), (1, 52), (1, 56), (1, 60),
    (1, 64), (1, 80),
];
const SHORT_96: Runs = &[(6, 4), (3, 8), (1, 16), (1, 28), (1, 36)];
const SHORT_48: Runs = &[(5, 4), (3, 8), (3, 12), (3, 16)];
const SHORT_24: Runs = &[(7, 4), (3, 8), (2, 12), (2, 16), (1, 20)];
const SHORT_16: Runs = &[(8, 4), (2, 8), (2, 12), (1, 16), (2, 20)];
const SHORT_8: Runs = &[(7, 4), (4, 8), (1, 12), (1, 16), (2, 20)];

/// Bands of long windows, of 1024 coefficients, and of short ones, of 128, by sampling_frequency_index: tables 4.129 to
/// 4.147.
const BANDS: [(Runs, Runs); 13] = [
    (LONG_96, SHORT_96),
    (LONG_96, SHORT_96),
    (LONG_64, SHORT_96),
    (LONG_48, SHORT_48),
    (LONG_48, SHORT_48),
    (LONG_32, SHORT_48),
    (LONG_24, SHORT_24),
    (LONG_24, SHORT_24),
    (LONG_16, SHORT_16),
    (LONG_16, SHORT_16),
    (LONG_16, SHORT_16),
    (LONG_8, SHORT_8),
    (LONG_8, SHORT_8),
];

/// The number of coefficients of each scalefactor band, of long and of short windows.
pub(super) fn bands(sampling_frequency_index: u32) -> Option<(Vec<u16>, Vec<u16>)> {
    let (long, short) = BANDS.get(usize::try_from(sampling_frequency_index).ok()?)?;
    let widths = |runs: &Runs| runs.iter().flat_map(|(count, width)| (0..*count).map(|_| *width)).collect();
    Some((widths(long), widths(short)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_codebook_is_a_complete_code_with_a_digit_for_each_codeword() {
        let entries = [81, 81, 81, 81, 81, 81, 64, 64, 169, 169, 289];
        for (codebook, entries) in SPECTRUM.iter().zip(entries).chain([(&SCALEFACTORS, 121)]) {
            let space: u32 =
                codebook.lengths.iter().map(|(length, n, _)| u32::from(*n) << (19 - length)).sum();
            assert_eq!(space, 1 << 19);
            assert_eq!(codebook.lengths.iter().map(|(_, count, _)| u32::from(*count)).sum::<u32>(), entries);
            for (length, count, digits) in codebook.lengths {
                assert!(
                    digits.is_empty() || digits.len() == usize::from(*count),
                    "{length}: {count} {digits}"
                );
            }
        }
    }

    #[test]
    fn every_frequency_has_bands_of_all_coefficients() {
        for index in 0..13 {
            let (long, short) = bands(index).unwrap();
            assert_eq!((long.iter().sum::<u16>(), short.iter().sum::<u16>()), (1024, 128), "{index}");
        }
        assert!(bands(13).is_none());
    }
}
