//! The protection schemes — ISO/IEC 23001-7 clause 10, one row each.

use std::ops::Range;

use crate::base::{Error, FourCc, Result};

use super::cipher::BLOCK;

/// The block cipher mode of a scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// AES-CTR: the key stream runs on through the protected ranges of a sample.
    Ctr,
    /// AES-CBC: whole blocks only, a tail of less than 16 bytes stays clear.
    Cbc,
}

/// Which 16-byte blocks of a protected range are encrypted: §9.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// `crypt_byte_block`: encrypted blocks in a row; 0 with a skip of 0 means every block.
    pub crypt_byte_block: u8,
    /// `skip_byte_block`: clear blocks in a row.
    pub skip_byte_block: u8,
}

impl Pattern {
    /// 0:0, every block.
    pub const NONE: Self = Self { crypt_byte_block: 0, skip_byte_block: 0 };
}

/// Where a sample's IV comes from: §9.1, §9.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IvRule {
    /// Eight bytes written with each sample: the first half of the counter block.
    PerSample8,
    /// Sixteen bytes written with each sample.
    PerSample16,
    /// Sixteen bytes in `tenc`, applied anew to each subsample.
    Constant16,
}

/// What one chain of blocks or key stream runs through: §10.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chain {
    /// All protected ranges of a sample, as if they were one.
    Sample,
    /// One protected range; the next begins with the IV again.
    Subsample,
}

/// What becomes of the last bytes of a whole protected sample when they fill no block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastBytes {
    /// They are encrypted: full sample encryption, §9.4.
    Encrypted,
    /// They stay clear: whole-block full sample encryption, §9.7.
    Clear,
}

/// How a protected range is aligned to blocks: §9.5.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// The range as it is.
    None,
    /// A multiple of 16 bytes that ends with the range; the remainder goes to its front.
    BlocksAtEnd,
}

/// One protection scheme.
#[derive(Debug, PartialEq, Eq)]
pub struct Scheme {
    /// Its name in options, CPIX and MPD, and `scheme_type` of `schm`.
    pub name: &'static str,
    /// `scheme_type`.
    pub fourcc: FourCc,
    /// The cipher mode.
    pub mode: Mode,
    /// The pattern of video tracks; other tracks have none.
    pub video: Pattern,
    /// Where IVs come from.
    pub iv: IvRule,
    /// How far a chain runs.
    pub chain: Chain,
    /// Whether less than a block is encrypted.
    pub last_bytes: LastBytes,
    /// How ranges are aligned.
    pub align: Align,
    /// `version` of `tenc`: 1 when the scheme has patterns.
    pub tenc_version: u8,
    /// `METHOD` of `EXT-X-KEY`: RFC 8216bis §4.4.4.4; `None` when playlists have no word for the scheme.
    pub hls_method: Option<&'static str>,
}

/// The two schemes that together reach all players, old ones and new.
pub const BOTH: [&str; 2] = ["cenc", "cbcs"];

/// `scheme_type` of the Protected Interoperable File Format, from which Common Encryption was made; its `tenc`
/// names the algorithm.
const PIFF: FourCc = FourCc(*b"piff");
/// `AlgorithmID` of PIFF: AES-CTR is 1.
const PIFF_AES_CBC: u8 = 2;

/// Every scheme that can be written. The first that suits all DRM systems of a job is its default.
pub const SCHEMES: &[Scheme] = &[
    Scheme {
        name: "cenc",
        fourcc: FourCc(*b"cenc"),
        mode: Mode::Ctr,
        video: Pattern::NONE,
        iv: IvRule::PerSample8,
        chain: Chain::Sample,
        last_bytes: LastBytes::Encrypted,
        align: Align::BlocksAtEnd,
        tenc_version: 0,
        hls_method: Some("SAMPLE-AES-CTR"),
    },
    Scheme {
        name: "cbcs",
        fourcc: FourCc(*b"cbcs"),
        mode: Mode::Cbc,
        video: Pattern { crypt_byte_block: 1, skip_byte_block: 9 },
        iv: IvRule::Constant16,
        chain: Chain::Subsample,
        last_bytes: LastBytes::Clear,
        align: Align::None,
        tenc_version: 1,
        hls_method: Some("SAMPLE-AES"),
    },
    Scheme {
        name: "cens",
        fourcc: FourCc(*b"cens"),
        mode: Mode::Ctr,
        video: Pattern { crypt_byte_block: 1, skip_byte_block: 9 },
        iv: IvRule::PerSample8,
        chain: Chain::Sample,
        last_bytes: LastBytes::Clear,
        align: Align::BlocksAtEnd,
        tenc_version: 1,
        hls_method: None,
    },
    Scheme {
        name: "cbc1",
        fourcc: FourCc(*b"cbc1"),
        mode: Mode::Cbc,
        video: Pattern::NONE,
        iv: IvRule::PerSample16,
        chain: Chain::Sample,
        last_bytes: LastBytes::Clear,
        align: Align::BlocksAtEnd,
        tenc_version: 0,
        hls_method: None,
    },
];

impl Scheme {
    /// The scheme of a protected sample entry, by `scheme_type` of `schm` and `default_isProtected` of `tenc`.
    ///
    /// # Errors
    /// [`Kind::Unsupported`](crate::base::Kind::Unsupported) for another `scheme_type`.
    pub fn of_entry(scheme_type: FourCc, is_protected: u8) -> Result<&'static Self> {
        match (scheme_type, is_protected) {
            (PIFF, PIFF_AES_CBC) => Self::find("cbc1"),
            (PIFF, _) => Self::find("cenc"),
            _ => Self::find(&scheme_type.to_string()),
        }
    }

    /// The bytes of a range that are encrypted before the pattern is looked at.
    pub(super) fn encrypted(&self, range: Range<usize>) -> Range<usize> {
        match self.last_bytes {
            LastBytes::Encrypted => range,
            LastBytes::Clear => range.start..range.end - range.len() % BLOCK,
        }
    }

    /// Whether auxiliary information of this type belongs to a scheme: §7.1.
    pub fn is_aux_info_type(aux_info_type: FourCc) -> bool {
        aux_info_type == PIFF || SCHEMES.iter().any(|scheme| scheme.fourcc == aux_info_type)
    }

    /// The scheme of this name.
    ///
    /// # Errors
    /// [`Kind::Unsupported`](crate::base::Kind::Unsupported) for another name.
    pub fn find(name: &str) -> Result<&'static Self> {
        SCHEMES.iter().find(|scheme| scheme.name == name).ok_or_else(|| {
            let known: Vec<_> = SCHEMES.iter().map(|scheme| scheme.name).collect();
            Error::unsupported(format!("protection scheme {name:?}, supported are {}", known.join(", ")))
                .clause("ISO/IEC 23001-7 §10")
        })
    }
}
