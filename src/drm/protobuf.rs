//! Fields of a protocol buffer whose schema is not known in full — Protocol Buffers, Encoding.

use crate::base::bytes::Reader;
use crate::base::{Error, Result};

/// Most fields that are read: a box of a film with a key for each rendition has some dozens.
const MAX_FIELDS: usize = 4096;

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// A varint, or a fixed number of 32 or 64 bits.
    Number(u64),
    /// Bytes, text or a message.
    Bytes(&'a [u8]),
}

/// Numbers and values of the fields in order.
pub(super) fn fields(bytes: &[u8]) -> Result<Vec<(u64, Value<'_>)>> {
    let mut reader = Reader::new(bytes);
    let mut fields = Vec::new();
    while reader.remaining() > 0 {
        let position = reader.position() as u64;
        let tag = varint(&mut reader)?;
        let value = match tag & 7 {
            0 => Value::Number(varint(&mut reader)?),
            1 => Value::Number(u64::from_le_bytes(reader.array()?)),
            2 => {
                let length = usize::try_from(varint(&mut reader)?).unwrap_or(usize::MAX);
                Value::Bytes(reader.take(length)?)
            }
            5 => Value::Number(u64::from(u32::from_le_bytes(reader.array()?))),
            other => {
                return Err(
                    Error::input(format!("wire type {other}, expected 0, 1, 2 or 5")).at_byte(position)
                );
            }
        };
        if fields.len() == MAX_FIELDS {
            return Err(Error::input(format!("more than {MAX_FIELDS} fields")).at_byte(position));
        }
        fields.push((tag >> 3, value));
    }
    Ok(fields)
}

fn varint(reader: &mut Reader<'_>) -> Result<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = reader.u8()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Error::input("a varint of more than ten bytes").at_byte(reader.position() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wire_type_is_read_in_order() {
        let bytes = [0x08, 0x96, 0x01, 0x12, 2, b'a', b'b', 0x1d, 1, 0, 0, 0, 0x21, 2, 0, 0, 0, 0, 0, 0, 0];
        let read = fields(&bytes).unwrap();
        assert_eq!(
            read,
            [(1, Value::Number(150)), (2, Value::Bytes(b"ab")), (3, Value::Number(1)), (4, Value::Number(2))]
        );
        for end in 0..bytes.len() {
            let _ = fields(&bytes[..end]);
        }
        assert!(fields(&[0x0b]).is_err());
        assert!(fields(&[0xff; 11]).is_err());
    }
}
