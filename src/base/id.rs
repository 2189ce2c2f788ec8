//! Identifiers of 16 and 4 bytes: key ids, DRM system ids (RFC 9562 text form), four-character codes.

use std::fmt;

use super::error::{Error, Result};

/// A key id: 16 bytes in written (network) order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kid([u8; 16]);

/// A DRM system id: 16 bytes in written (network) order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SystemId([u8; 16]);

impl Kid {
    /// The key id with these bytes.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Reads 32 hex digits of either case; hyphens are passed over.
    ///
    /// # Errors
    /// [`Kind::Input`](super::error::Kind::Input) for anything else.
    pub fn parse(text: &str) -> Result<Self> {
        parse_16(text).map(Self).ok_or_else(|| Error::input(format!("key id {text:?} is not 32 hex digits")))
    }

    /// The bytes in written order.
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The bytes as a little-endian GUID: PlayReady Header Specification, VALUE of KID.
    pub fn to_guid_le(self) -> [u8; 16] {
        uuid::Uuid::from_bytes(self.0).to_bytes_le()
    }

    /// 32 lower-case hex digits.
    pub fn hex(self) -> String {
        hex(&self.0)
    }
}

impl SystemId {
    /// The system id with these bytes.
    pub const fn new(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The system id with this value: `0xedef8ba9_79d6_…` reads as the UUID is written.
    pub const fn from_u128(value: u128) -> Self {
        Self(value.to_be_bytes())
    }

    /// Reads 32 hex digits of either case; hyphens are passed over.
    ///
    /// # Errors
    /// [`Kind::Input`](super::error::Kind::Input) for anything else.
    pub fn parse(text: &str) -> Result<Self> {
        parse_16(text).map(Self).ok_or_else(|| Error::input(format!("DRM system id {text:?} is not a UUID")))
    }

    /// The bytes in written order.
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

macro_rules! display_as_uuid {
    ($($name:ident)*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                uuid::Uuid::from_bytes(self.0).hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    )*};
}

display_as_uuid!(Kid SystemId);

macro_rules! stored_as_uuid {
    ($($name:ident)*) => {$(
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                parse_16(&text).map(Self).ok_or_else(|| serde::de::Error::custom("no UUID"))
            }
        }
    )*};
}

stored_as_uuid!(Kid SystemId);

/// A four-character code: box types, sample entries, schemes, handlers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FourCc(pub [u8; 4]);

impl fmt::Display for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{self}'")
    }
}

/// Lower-case hex digits of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| DIGITS.get(usize::from(digit)))
        .map(|digit| char::from(*digit))
        .collect()
}

/// Exactly 16 bytes from 32 hex digits of either case; hyphens are passed over. `None` for anything else.
pub fn parse_16(text: &str) -> Option<[u8; 16]> {
    let mut value: u128 = 0;
    let mut digits = 0;
    for digit in text.chars().filter(|c| *c != '-') {
        value = (value << 4) | u128::from(digit.to_digit(16)?);
        digits += 1;
    }
    (digits == 32).then(|| value.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_id_has_one_written_form_and_one_swapped_form() {
        // MS-DASH table 2: the UUID f81d4fae-… in little-endian GUID order.
        let kid = Kid::parse("F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6").unwrap();
        assert_eq!(kid.to_string(), "f81d4fae-7dec-11d0-a765-00a0c91e6bf6");
        assert_eq!(hex(&kid.to_guid_le()), "ae4f1df8ec7dd011a76500a0c91e6bf6");
        assert_eq!(Kid::parse(&kid.hex()).unwrap(), kid);
    }

    #[test]
    fn wrong_ids_are_errors() {
        for text in ["", "00", "g0000000000000000000000000000000", "000000000000000000000000000000000"] {
            assert!(Kid::parse(text).is_err(), "{text}");
            assert!(SystemId::parse(text).is_err(), "{text}");
        }
    }
}
