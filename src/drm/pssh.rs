//! Protection System Specific Header box (`pssh`) — ISO/IEC 23001-7 §8.1.

use crate::base::bytes::Reader;
use crate::base::{Error, FourCc, Kid, Result, SystemId};

const CLAUSE: &str = "ISO/IEC 23001-7 §8.1";
const PSSH: FourCc = FourCc(*b"pssh");

/// The fields of a `pssh` box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pssh {
    /// `SystemID`.
    pub system_id: SystemId,
    /// `KID`s: `None` in a box of version 0, which has no list; `Some` in version 1.
    pub kids: Option<Vec<Kid>>,
    /// `Data`.
    pub data: Vec<u8>,
}

impl Pssh {
    /// Reads exactly one box.
    ///
    /// # Errors
    /// When the bytes are not one whole `pssh` box of version 0 or 1.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        Self::fields(&mut Reader::new(bytes)).map_err(|error| error.at("pssh"))
    }

    /// Reads whole boxes one after the other; there is at least one.
    ///
    /// # Errors
    /// As [`Pssh::parse`].
    pub fn parse_all(bytes: &[u8]) -> Result<Vec<Self>> {
        let mut boxes = Vec::new();
        let mut rest = bytes;
        loop {
            // A size that does not lead to another box is left to the parser to refuse.
            let size = rest.first_chunk().map(|size| u32::from_be_bytes(*size));
            let end = size.and_then(|size| usize::try_from(size).ok()).filter(|end| *end > 0);
            let (first, after) = end.and_then(|end| rest.split_at_checked(end)).unwrap_or((rest, &[]));
            boxes.push(Self::parse(first)?);
            rest = after;
            if rest.is_empty() {
                return Ok(boxes);
            }
        }
    }

    /// The box in a key URI whose key format is the URN of the system; `None` for another format.
    ///
    /// # Errors
    /// As [`Pssh::parse`].
    pub fn of_key_uri(system_id: Option<SystemId>, key_format: &str, data: &[u8]) -> Result<Option<Self>> {
        let own = system_id.filter(|id| key_format.eq_ignore_ascii_case(&format!("urn:uuid:{id}")));
        own.map(|_| Self::parse(data)).transpose()
    }

    /// The whole box.
    ///
    /// # Errors
    /// When it is longer than a 32-bit size can say.
    pub fn write(&self) -> Result<Vec<u8>> {
        let mut body = vec![u8::from(self.kids.is_some()), 0, 0, 0];
        body.extend_from_slice(self.system_id.bytes());
        if let Some(kids) = &self.kids {
            body.extend_from_slice(&size(kids.len())?.to_be_bytes());
            kids.iter().for_each(|kid| body.extend_from_slice(kid.bytes()));
        }
        body.extend_from_slice(&size(self.data.len())?.to_be_bytes());
        body.extend_from_slice(&self.data);
        let header = [size(body.len().saturating_add(8))?.to_be_bytes(), PSSH.0].concat();
        Ok([header, body].concat())
    }

    fn fields(reader: &mut Reader<'_>) -> Result<Self> {
        let length = reader.remaining();
        let size = reader.u32()?;
        if u32::try_from(length) != Ok(size) {
            return Err(Error::input(format!("box size {size} in {length} bytes, expected one whole box"))
                .clause(CLAUSE)
                .hint("give the whole box, its size and type included"));
        }
        let name = reader.fourcc()?;
        if name != PSSH {
            return Err(Error::input(format!("box type {name:?}, expected {PSSH:?}")).clause(CLAUSE));
        }
        let (version, flags) = (reader.u8()?, reader.u24()?);
        if version > 1 || flags != 0 {
            return Err(Error::unsupported(format!(
                "version {version} and flags {flags}, expected 0 or 1 and 0"
            ))
            .clause(CLAUSE));
        }
        let system_id = SystemId::new(reader.array()?);
        let kids = if version == 1 { Some(kids(reader)?) } else { None };
        let data_size = reader.u32()?;
        if u32::try_from(reader.remaining()) != Ok(data_size) {
            return Err(Error::input(format!("DataSize {data_size}, {} bytes are left", reader.remaining()))
                .clause(CLAUSE));
        }
        Ok(Self { system_id, kids, data: reader.rest().to_vec() })
    }
}

fn kids(reader: &mut Reader<'_>) -> Result<Vec<Kid>> {
    // The count sizes nothing: a count that the box cannot hold ends at its last byte.
    (0..reader.u32()?).map(|_| reader.array().map(Kid::new)).collect()
}

fn size(length: usize) -> Result<u32> {
    u32::try_from(length).map_err(|_| Error::unsupported(format!("pssh with a field of {length} bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{base64, from_base64};

    /// The worked example of the Encrypted Media Extensions' "cenc" format with one key id.
    const COMMON: &str = "AAAANHBzc2gBAAAAEHfv7MCyTQKs4zweUuL7SwAAAAExMjM0NTY3ODkwMTIzNDU2AAAAAA==";

    fn samples() -> Vec<Pssh> {
        let system_id = SystemId::from_u128(0x1077efec_c0b2_4d02_ace3_3c1e52e2fb4b);
        let kid = Kid::new(*b"1234567890123456");
        [None, Some(vec![]), Some(vec![kid]), Some(vec![kid, kid])]
            .into_iter()
            .flat_map(|kids| [vec![], vec![1, 2, 3]].map(|data| Pssh { system_id, kids: kids.clone(), data }))
            .collect()
    }

    #[test]
    fn the_common_box_of_52_bytes_is_written_as_published() {
        let bytes = from_base64(COMMON).unwrap();
        let pssh = Pssh::parse(&bytes).unwrap();
        assert_eq!(bytes.len(), 52);
        assert_eq!(pssh.kids.as_deref(), Some(&[Kid::new(*b"1234567890123456")][..]));
        assert_eq!(base64(&pssh.write().unwrap()), COMMON);
    }

    #[test]
    fn parsing_undoes_writing() {
        for pssh in samples() {
            assert_eq!(Pssh::parse(&pssh.write().unwrap()).unwrap(), pssh);
        }
    }

    #[test]
    fn every_truncation_is_an_error() {
        for pssh in samples() {
            let bytes = pssh.write().unwrap();
            for end in 0..bytes.len() {
                assert!(Pssh::parse(&bytes[..end]).is_err(), "{end} of {pssh:?}");
            }
        }
    }

    #[test]
    fn every_mutation_of_a_byte_is_read_or_refused_calmly() {
        for pssh in samples() {
            let bytes = pssh.write().unwrap();
            for position in 0..bytes.len() {
                for value in [0, 1, 2, 0x7f, 0x80, 0xff] {
                    let mut mutated = bytes.clone();
                    mutated[position] = value;
                    if let Ok(read) = Pssh::parse(&mutated) {
                        assert_eq!(read.write().unwrap(), mutated);
                    }
                }
            }
        }
    }

    #[test]
    fn boxes_one_after_the_other_are_read_in_order() {
        let all = samples();
        let bytes: Vec<u8> = all.iter().flat_map(|pssh| pssh.write().unwrap()).collect();
        assert_eq!(Pssh::parse_all(&bytes).unwrap(), all);
        for end in 1..32 {
            assert!(Pssh::parse_all(&bytes[..end]).is_err(), "{end}");
            assert!(Pssh::parse_all(&[&bytes[..], &bytes[..end]].concat()).is_err(), "{end}");
        }
        assert!(Pssh::parse_all(&[]).is_err());
    }

    #[test]
    fn a_payload_without_its_box_is_refused_with_advice() {
        let error = Pssh::parse(&[0x12, 0x10, 0, 0, 0, 0]).unwrap_err().to_string();
        assert!(error.contains("give the whole box"), "{error}");
    }
}
