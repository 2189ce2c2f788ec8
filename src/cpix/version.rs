//! The versions of CPIX and what each can say — DASH-IF CPIX 2.1 to 2.4.

use crate::base::{Error, Result};

/// A version that is written. All have one namespace; `CPIX/@version` tells them apart from 2.3 on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 2.1 of 2018.
    V2_1,
    /// 2.2 of 2019.
    V2_2,
    /// 2.3 of 2020, with 2.3.1: what SPEKE 2.0 prescribes.
    #[default]
    V2_3,
    /// 2.4 of 2024.
    V2_4,
}

impl Version {
    /// Every version, the oldest first.
    pub const ALL: [Self; 4] = [Self::V2_1, Self::V2_2, Self::V2_3, Self::V2_4];

    /// The version of this name, such as `2.3`.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::base::Kind::Usage) for any other.
    pub fn find(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|version| version.name() == name)
            .ok_or_else(|| Error::usage(format!("CPIX version {name:?}, expected one of 2.1, 2.2, 2.3, 2.4")))
    }

    /// The version that a document names: `2.3.1` is `2.3`, none and others are the default.
    pub(super) fn of(name: Option<&str>) -> Self {
        let name = name.unwrap_or_default();
        let short = name.get(..3).unwrap_or_default();
        Self::ALL.into_iter().find(|version| version.name() == short).unwrap_or_default()
    }

    /// Its name, such as `2.3`.
    pub fn name(self) -> &'static str {
        match self {
            Self::V2_1 => "2.1",
            Self::V2_2 => "2.2",
            Self::V2_3 => "2.3",
            Self::V2_4 => "2.4",
        }
    }

    /// `HLSSignalingData/@playlist` of a media playlist.
    pub(super) fn media(self) -> &'static str {
        if self == Self::V2_1 { "variant" } else { "media" }
    }

    /// `HLSSignalingData/@playlist` of the multivariant playlist.
    pub(super) fn multivariant(self) -> &'static str {
        if self == Self::V2_4 { "multiVariant" } else { "master" }
    }

    /// Whether `CPIX/@version` and `ContentKey/@commonEncryptionScheme` are in the schema.
    pub(super) fn names_schemes(self) -> bool {
        self >= Self::V2_3
    }

    /// Why this version cannot say a thing, or `None` when it can. `name` is that of [`SAYINGS`].
    pub(super) fn lacks(self, name: &str) -> bool {
        SAYINGS.iter().any(|(found, first, last)| *found == name && (self < *first || self > *last))
    }
}

/// Elements and attributes that are not in every schema: the first and the last version that have them.
pub(super) const SAYINGS: &[(&str, Version, Version)] = &[
    ("CPIX/@version", Version::V2_3, Version::V2_4),
    ("ContentKey/@commonEncryptionScheme", Version::V2_3, Version::V2_4),
    ("ContentKey/@Algorithm", Version::V2_1, Version::V2_3),
    ("ContentKey/@contentId", Version::V2_4, Version::V2_4),
    ("ContentKey/HDCPData", Version::V2_4, Version::V2_4),
    ("ContentKeyPeriod/@duration", Version::V2_4, Version::V2_4),
    ("ContentKeyPeriod/@endOffset", Version::V2_4, Version::V2_4),
    ("ContentKeyPeriod/@label", Version::V2_4, Version::V2_4),
    ("ContentKeyPeriod/@startOffset", Version::V2_4, Version::V2_4),
    ("ContentProtectionData/@robustness", Version::V2_4, Version::V2_4),
    ("DRMSystem/@HLSAllowedCPC", Version::V2_4, Version::V2_4),
    ("DRMSystem/HDSSignalingData", Version::V2_1, Version::V2_3),
    ("DRMSystem/URIExtXKey", Version::V2_1, Version::V2_3),
    ("DocumentKey/@Algorithm", Version::V2_1, Version::V2_3),
    ("DocumentKey/@encryptsKey", Version::V2_4, Version::V2_4),
    ("HLSSignalingData/@allowedCPC", Version::V2_4, Version::V2_4),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_by_its_name_or_by_that_of_its_revision() {
        assert_eq!(Version::find("2.4").unwrap(), Version::V2_4);
        assert!(Version::find("2.0").is_err());
        assert_eq!(Version::of(Some("2.3.1")), Version::V2_3);
        assert_eq!(Version::of(None), Version::V2_3);
        assert!(Version::V2_4.lacks("DRMSystem/URIExtXKey") && !Version::V2_4.lacks("CPIX/@version"));
    }
}
