//! Sample entries of the Sample Description box (`stsd`) — ISO/IEC 14496-12 §8.5.2, §12.1.3, §12.2.3.

use crate::base::bytes::Reader;
use crate::base::{FourCc, Result};
use crate::isobmff::{BoxNode, parse_file};

/// A sample entry: the fixed fields that matter and the boxes behind them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleEntry {
    /// Its type: the codec, or `encv` and its kin.
    pub format: FourCc,
    /// `width` of a visual entry, in pixels.
    pub width: u16,
    /// `height` of a visual entry, in pixels.
    pub height: u16,
    /// `channelcount` of an audio entry.
    pub channel_count: u16,
    /// `samplerate` of an audio entry, in Hz.
    pub sample_rate: u32,
    /// The bytes before the first box.
    pub fields: Vec<u8>,
    /// The boxes: codec configuration, `sinf`, and others.
    pub boxes: Vec<BoxNode>,
    /// Fewer than eight bytes after the last box.
    pub rest: Vec<u8>,
}

impl SampleEntry {
    /// Reads the entry `node`; the handler says what the fixed fields are.
    ///
    /// # Errors
    /// When it is cut off.
    pub fn parse(node: &BoxNode, handler_type: FourCc, stsd_version: u8) -> Result<Self> {
        let mut entry = Self {
            format: node.kind,
            width: 0,
            height: 0,
            channel_count: 0,
            sample_rate: 0,
            fields: Vec::new(),
            boxes: Vec::new(),
            rest: Vec::new(),
        };
        let payload = node.payload();
        let mut reader = Reader::new(payload);
        reader.take(8)?;
        match &handler_type.0 {
            b"vide" => {
                reader.take(16)?;
                entry.width = reader.u16()?;
                entry.height = reader.u16()?;
                reader.take(50)?;
            }
            b"soun" => {
                let version = reader.u16()?;
                reader.take(6)?;
                entry.channel_count = reader.u16()?;
                reader.take(6)?;
                entry.sample_rate = reader.u32()? >> 16;
                // QuickTime's audio descriptions of version 1 and 2 have more fields (stsd version 0); the second says
                // how many bytes it has, with the header of a box.
                reader.take(match version {
                    1 if stsd_version == 0 => 16,
                    2 => (reader.clone().u32()? as usize).saturating_sub(8 + reader.position()).max(36),
                    _ => 0,
                })?;
            }
            _ => {
                entry.fields = payload.to_vec();
                return Ok(entry);
            }
        }
        let end = reader.position();
        entry.fields = payload.get(..end).unwrap_or_default().to_vec();
        let (boxes, rest) = leading_boxes(reader.rest())?;
        (entry.boxes, entry.rest) = (boxes, rest.to_vec());
        Ok(entry)
    }

    /// The entry as a box.
    pub fn write(&self) -> BoxNode {
        let mut payload = self.fields.clone();
        self.boxes.iter().for_each(|node| node.write(&mut payload));
        payload.extend(&self.rest);
        BoxNode::data(&self.format.0, payload)
    }

    /// The first box of this type.
    pub fn find(&self, kind: &[u8; 4]) -> Option<&BoxNode> {
        self.boxes.iter().find(|node| node.is(kind))
    }
}

/// The boxes at the beginning, and the bytes behind them that are none.
///
/// # Errors
/// When a box is cut off.
pub fn leading_boxes(bytes: &[u8]) -> Result<(Vec<BoxNode>, &[u8])> {
    let (boxes, rest) = bytes.split_at_checked(whole_boxes(bytes)).unwrap_or((bytes, &[]));
    Ok((parse_file(boxes)?, rest))
}

/// How many leading bytes are boxes: some writers end a sample entry with a few zero bytes.
fn whole_boxes(bytes: &[u8]) -> usize {
    let mut position = 0;
    while let Some(Ok(size)) = bytes.get(position..).map(|rest| Reader::new(rest).u32()) {
        if bytes.len() - position < 8 || size == 0 {
            break;
        }
        position = position.saturating_add((size as usize).max(8));
        if position >= bytes.len() {
            return bytes.len();
        }
    }
    position
}
