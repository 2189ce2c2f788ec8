//! Sample entries — ISO/IEC 14496-12 §8.5.2: shape, codec and what protects it.

use crate::base::{FourCc, Result};
use crate::codec::{self, Config};
use crate::isobmff::BoxNode;
use crate::isobmff::boxes::SampleEntry;
use crate::protect::protected_entry;

use super::node::Node;

/// Adds the fields of an entry; returns how many bytes stand before its first box, header included, or
/// `None` when its boxes cannot be found.
pub(super) fn describe(bytes: &[u8], handler: FourCc, node: &mut Node) -> Result<Option<u64>> {
    let entry = BoxNode::parse_one(bytes)?;
    let is_media = matches!(&handler.0, b"vide" | b"soun");
    let entry = SampleEntry::parse(&entry, handler, 0)?;
    if handler.0 == *b"vide" {
        node.set("width", entry.width).set("height", entry.height);
    }
    if handler.0 == *b"soun" {
        node.set("channel_count", entry.channel_count).set("sample_rate", entry.sample_rate);
    }
    if let Some(codecs) = codecs(&entry) {
        node.set("codecs", codecs);
    }
    if let Some(codec) = codec::find(original_format(&entry)) {
        node.set("codec", codec.name);
    }
    Ok(is_media.then(|| entry.fields.len() as u64 + 8))
}

/// The type of the entry before it was protected.
pub(super) fn original_format(entry: &SampleEntry) -> FourCc {
    protected_entry(entry).ok().flatten().map_or(entry.format, |protected| protected.original_format)
}

/// The `codecs` parameter: RFC 6381. `None` when the codec is unknown or its configuration is damaged.
pub(super) fn codecs(entry: &SampleEntry) -> Option<String> {
    let format = original_format(entry);
    let boxes = entry.boxes.iter().map(|node| (node.kind, node.payload())).collect();
    (codec::find(format)?.rfc6381)(&Config { entry: format, boxes }).ok()
}
