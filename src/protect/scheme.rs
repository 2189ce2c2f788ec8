//! The protection schemes — ISO/IEC 23001-7 clause 10, one row each.

use crate::base::{Error, FourCc, Result};

/// The block cipher mode of a scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// AES-CTR: the key stream runs on through the protected ranges of a sample.
    Ctr,
    /// AES-CBC: whole blocks only, a tail of less than 16 bytes stays clear.
    Cbc,
}

/// Which 16-byte blocks of a protected range are enciphered: §9.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// `crypt_byte_block`: enciphered blocks in a row; 0 with a skip of 0 means every block.
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
    /// Eight bytes written with each sample.
    PerSample8,
    /// Sixteen bytes in `tenc`, applied anew to each subsample.
    Constant16,
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
    /// How ranges are aligned.
    pub align: Align,
    /// `version` of `tenc`: 1 when the scheme has patterns.
    pub tenc_version: u8,
    /// `METHOD` of `EXT-X-KEY`: RFC 8216bis §4.4.4.4.
    pub hls_method: &'static str,
}

/// Every scheme that can be written.
pub const SCHEMES: &[Scheme] = &[
    Scheme {
        name: "cenc",
        fourcc: FourCc(*b"cenc"),
        mode: Mode::Ctr,
        video: Pattern::NONE,
        iv: IvRule::PerSample8,
        align: Align::BlocksAtEnd,
        tenc_version: 0,
        hls_method: "SAMPLE-AES-CTR",
    },
    Scheme {
        name: "cbcs",
        fourcc: FourCc(*b"cbcs"),
        mode: Mode::Cbc,
        video: Pattern { crypt_byte_block: 1, skip_byte_block: 9 },
        iv: IvRule::Constant16,
        align: Align::None,
        tenc_version: 1,
        hls_method: "SAMPLE-AES",
    },
];

impl Scheme {
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
