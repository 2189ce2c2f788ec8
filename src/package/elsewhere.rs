//! Samples that lie in another file — ISO/IEC 14496-12 §8.7.1, §8.7.2.

use crate::base::{Error, Result};
use crate::isobmff::BoxNode;

/// Refuses samples that lie in another file: what stands in this one at their places is something else.
///
/// # Errors
/// When a sample entry refers to one.
pub(super) fn refuse_elsewhere(trak: &BoxNode) -> Result<()> {
    let path: [&[&[u8; 4]]; 2] =
        [&[b"mdia", b"minf", b"dinf", b"dref"], &[b"mdia", b"minf", b"stbl", b"stsd"]];
    let [Some(dref), Some(stsd)] = path.map(|path| trak.find(path)) else { return Ok(()) };
    for entry in stsd.boxes() {
        let index = entry.payload().get(6..8).and_then(|index| index.first_chunk().copied());
        let index = index.map_or(0, u16::from_be_bytes);
        let reference = dref.boxes().get(usize::from(index).wrapping_sub(1));
        // Bit 0 of the flags: the media is in this file. Some writers leave it out and name no file either.
        let is_elsewhere = |reference: &&BoxNode| {
            let (flags, location) = reference.payload().split_at_checked(4).unwrap_or_default();
            flags.last().is_none_or(|flags| flags & 1 == 0) && location.iter().any(|byte| *byte != 0)
        };
        if reference.filter(is_elsewhere).is_some() {
            return Err(Error::unsupported(format!("the samples of {} lie in another file", entry.kind))
                .clause("ISO/IEC 14496-12 §8.7.2")
                .at("dinf/dref")
                .hint("make one file of both"));
        }
    }
    Ok(())
}
