//! Sample Group Description box (`sgpd`) — ISO/IEC 14496-12 §8.9.3, and its `seig` entry — ISO/IEC 23001-7 §6.

use crate::base::bytes::Reader;
use crate::base::{Error, FourCc, Kid, Result};

use super::tenc::{Tenc, check_iv_size};
use super::{check_count, full_box, write_full_box};
use crate::isobmff::BoxNode;

/// `sgpd` of grouping type `seig`: the protection of groups of samples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sgpd {
    /// `default_group_description_index` of version 2: the group of samples that no `sbgp` names.
    pub default_group_description_index: Option<u32>,
    /// The groups, counted from 1.
    pub entries: Vec<CencSampleEncryptionInformationGroupEntry>,
}

/// What protects the samples of a group, in place of `tenc`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CencSampleEncryptionInformationGroupEntry {
    /// `crypt_byte_block`, in 16-byte blocks.
    pub crypt_byte_block: u8,
    /// `skip_byte_block`, in 16-byte blocks.
    pub skip_byte_block: u8,
    /// `isProtected`.
    pub is_protected: u8,
    /// `Per_Sample_IV_Size`: 0, 8 or 16 bytes.
    pub per_sample_iv_size: u8,
    /// `KID`.
    pub kid: Kid,
    /// `constant_IV`: 8 or 16 bytes, when samples have none of their own.
    pub constant_iv: Option<Vec<u8>>,
}

/// Whether the length of each entry is written, in the box or before the entry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lengths {
    Stated,
    Absent,
}

impl Sgpd {
    /// `grouping_type` of these groups.
    pub const SEIG: FourCc = FourCc(*b"seig");

    /// Reads the payload; `None` when it is of another grouping type.
    ///
    /// Version 2 has no lengths in the edition that brought it and `default_length` in later ones: the form
    /// that fills the box is the one that was written.
    ///
    /// # Errors
    /// When it is cut off.
    pub fn parse(payload: &[u8]) -> Result<Option<Self>> {
        let mut reader = Reader::new(payload);
        let (version, _) = full_box(&mut reader)?;
        if reader.fourcc()? != Self::SEIG {
            return Ok(None);
        }
        if version >= 2
            && let Ok((sgpd, 0)) = Self::parse_form(version, Lengths::Absent, reader.clone())
        {
            return Ok(Some(sgpd));
        }
        let lengths = if version == 0 { Lengths::Absent } else { Lengths::Stated };
        Ok(Some(Self::parse_form(version, lengths, reader)?.0))
    }

    /// The groups of keys that a `traf` or `stbl` describes.
    ///
    /// # Errors
    /// When the box is cut off.
    pub fn of(parent: &BoxNode) -> Result<Option<Self>> {
        // Groups of other types are not ours to read.
        let of_type = parent.all(b"sgpd").filter(|node| node.payload().get(4..8) == Some(&Self::SEIG.0));
        let found = of_type.map(|node| Self::parse(node.payload())).find_map(Result::transpose);
        found.transpose().map_err(|error| error.at("sgpd"))
    }

    /// Reads what follows `grouping_type`; also says how many bytes are left.
    fn parse_form(version: u8, lengths: Lengths, mut reader: Reader<'_>) -> Result<(Self, usize)> {
        let default_length = (lengths == Lengths::Stated).then(|| reader.u32()).transpose()?;
        let default_group_description_index = (version >= 2).then(|| reader.u32()).transpose()?;
        let entry_count = reader.u32()?;
        check_count(&reader, entry_count, 20)?;
        let mut entries = Vec::new();
        for _ in 0..entry_count {
            let length = match default_length {
                Some(0) => Some(reader.u32()?),
                length => length,
            };
            entries.push(match length {
                Some(length) => {
                    let mut entry = Reader::new(reader.take(length as usize)?);
                    CencSampleEncryptionInformationGroupEntry::parse(&mut entry)?
                }
                None => CencSampleEncryptionInformationGroupEntry::parse(&mut reader)?,
            });
        }
        Ok((Self { default_group_description_index, entries }, reader.remaining()))
    }

    /// The payload: version 1, with one `default_length` when all entries have it; version 2 when there is a
    /// default group.
    pub fn write(&self) -> Vec<u8> {
        let entries: Vec<Vec<u8>> = self.entries.iter().map(|entry| entry.write()).collect();
        let mut out = Vec::new();
        let version = if self.default_group_description_index.is_some() { 2 } else { 1 };
        write_full_box(version, 0, &mut out);
        out.extend(Self::SEIG.0);
        let lengths: Vec<u32> =
            entries.iter().map(|entry| u32::try_from(entry.len()).unwrap_or(u32::MAX)).collect();
        let first = lengths.first().copied().unwrap_or(0);
        let default_length = if lengths.iter().all(|length| *length == first) { first } else { 0 };
        out.extend(default_length.to_be_bytes());
        out.extend(self.default_group_description_index.iter().flat_map(|index| index.to_be_bytes()));
        out.extend(u32::try_from(entries.len()).unwrap_or(u32::MAX).to_be_bytes());
        for (entry, length) in entries.iter().zip(lengths) {
            if default_length == 0 {
                out.extend(length.to_be_bytes());
            }
            out.extend(entry);
        }
        out
    }
}

impl CencSampleEncryptionInformationGroupEntry {
    /// Reads one entry.
    ///
    /// # Errors
    /// When it is cut off or an IV size is not 0, 8 or 16.
    pub fn parse(reader: &mut Reader<'_>) -> Result<Self> {
        reader.u8()?;
        let pattern = reader.u8()?;
        let is_protected = reader.u8()?;
        let per_sample_iv_size = reader.u8()?;
        let kid = Kid::new(reader.array()?);
        let constant_iv = if is_protected == 1 && per_sample_iv_size == 0 {
            let size = reader.u8()?;
            check_iv_size(size)?;
            Some(reader.take(usize::from(size))?.to_vec())
        } else {
            None
        };
        if per_sample_iv_size != 0 {
            check_iv_size(per_sample_iv_size)?;
        }
        Ok(Self {
            crypt_byte_block: pattern >> 4,
            skip_byte_block: pattern & 15,
            is_protected,
            per_sample_iv_size,
            kid,
            constant_iv,
        })
    }

    /// The same parameters as those of a track; `version` is that of the track's `tenc`.
    pub fn tenc(&self, version: u8) -> Tenc {
        Tenc {
            version,
            default_crypt_byte_block: self.crypt_byte_block,
            default_skip_byte_block: self.skip_byte_block,
            default_is_protected: self.is_protected,
            default_per_sample_iv_size: self.per_sample_iv_size,
            default_kid: self.kid,
            default_constant_iv: self.constant_iv.clone(),
        }
    }

    /// The entry's bytes.
    pub fn write(&self) -> Vec<u8> {
        let mut out = vec![
            0,
            self.crypt_byte_block << 4 | self.skip_byte_block & 15,
            self.is_protected,
            self.per_sample_iv_size,
        ];
        out.extend(self.kid.bytes());
        if let Some(iv) = &self.constant_iv {
            out.push(u8::try_from(iv.len()).unwrap_or_default());
            out.extend(iv);
        }
        out
    }
}

/// The protection of the group of this `group_description_index`, looked up where its number says: in the
/// track fragment's own `sgpd` or in the track's; `None` for index 0, whose samples `tenc` describes.
///
/// # Errors
/// When there is no such group.
pub fn seig_group<'a>(
    index: u32,
    of_track: Option<&'a Sgpd>,
    of_fragment: Option<&'a Sgpd>,
) -> Result<Option<&'a CencSampleEncryptionInformationGroupEntry>> {
    let (table, number) = match index.checked_sub(super::Sbgp::FRAGMENT_LOCAL) {
        _ if index == 0 => return Ok(None),
        Some(number) => (of_fragment, number),
        None => (of_track, index),
    };
    let entry = table.and_then(|sgpd| sgpd.entries.get((number as usize).checked_sub(1)?));
    entry.map(Some).ok_or_else(|| {
        let known = table.map_or(0, |sgpd| sgpd.entries.len());
        Error::input(format!("group_description_index {index:#x}, sgpd describes {known} groups"))
            .clause("ISO/IEC 14496-12 §8.9.4")
            .at("sbgp")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(constant_iv: Option<Vec<u8>>) -> CencSampleEncryptionInformationGroupEntry {
        CencSampleEncryptionInformationGroupEntry {
            crypt_byte_block: 1,
            skip_byte_block: 9,
            is_protected: 1,
            per_sample_iv_size: if constant_iv.is_some() { 0 } else { 8 },
            kid: Kid::new([7; 16]),
            constant_iv,
        }
    }

    #[test]
    fn every_form_of_length_is_read() {
        let constant = Some(vec![3; 16]);
        for entries in
            [vec![entry(None); 2], vec![entry(constant.clone())], vec![entry(None), entry(constant)]]
        {
            for default_group_description_index in [None, Some(1)] {
                let sgpd = Sgpd { default_group_description_index, entries: entries.clone() };
                let payload = sgpd.write();
                assert_eq!(Sgpd::parse(&payload).unwrap().unwrap(), sgpd);
                assert!((0..payload.len()).all(|end| Sgpd::parse(&payload[..end]).is_err()));
            }
            // Version 0 states no length at all, nor does version 2 of the first edition that has it.
            let bare: Vec<u8> = entries.iter().flat_map(|entry| entry.write()).collect();
            let count = u32::try_from(entries.len()).unwrap().to_be_bytes();
            for head in [&b"\0\0\0\0seig"[..], b"\x02\0\0\0seig\0\0\0\x01"] {
                let payload = [head, &count, &bare].concat();
                assert_eq!(Sgpd::parse(&payload).unwrap().unwrap().entries, entries);
            }
        }
        assert_eq!(
            Sgpd { entries: vec![entry(None)], ..Sgpd::default() }.write()[8..12],
            20_u32.to_be_bytes()
        );
        assert_eq!(Sgpd::parse(b"\x01\0\0\0roll\0\0\0\x02\0\0\0\0").unwrap(), None);
    }

    #[test]
    fn a_group_is_found_where_its_index_says() {
        let table = |kid| Sgpd {
            entries: vec![CencSampleEncryptionInformationGroupEntry { kid, ..entry(None) }],
            ..Sgpd::default()
        };
        let (track, fragment) = (table(Kid::new([1; 16])), table(Kid::new([2; 16])));
        let kid = |index| Some(seig_group(index, Some(&track), Some(&fragment)).ok()??.kid);
        assert_eq!(kid(0), None);
        assert_eq!(kid(1), Some(Kid::new([1; 16])));
        assert_eq!(kid(0x1_0001), Some(Kid::new([2; 16])));
        for index in [2, 0x1_0000, 0x1_0002] {
            assert!(seig_group(index, Some(&track), Some(&fragment)).is_err());
        }
        assert!(seig_group(1, None, None).is_err());
    }
}
