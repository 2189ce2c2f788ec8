//! Boxes of an MP4 file that are wrong or left out, while its samples are all there — ISO/IEC 14496-12 §8.1.1, §8.16.3.

use crate::base::Result;
use crate::base::env::Source;
use crate::isobmff::boxes::Sidx;
use crate::isobmff::file::BoxHeader;

/// Most boxes of a file whose borders an index is held to.
const MAX_BORDERS: usize = 1 << 20;

/// What of the boxes of a file has to be said.
///
/// # Errors
/// When a box cannot be read.
pub(super) fn said(name: &str, source: &dyn Source) -> Result<Vec<String>> {
    let mut said = Vec::new();
    let (mut borders, mut indexes) = (Vec::new(), Vec::new());
    let (mut position, mut has_events) = (0, false);
    while let Some((header, overstated)) = BoxHeader::read_overstated(source, position)? {
        if overstated > 0 {
            said.push(format!("{name}: the mdat at byte {position} states {overstated} bytes too many"));
        }
        if header.is(b"emsg") && !std::mem::replace(&mut has_events, true) {
            said.push(format!("{name}: event messages (emsg) are left out"));
        }
        if header.is(b"sidx") {
            indexes.push(header);
        }
        if borders.len() < MAX_BORDERS {
            borders.push(position);
        }
        position = header.end();
    }
    borders.push(position);
    for header in indexes.into_iter().filter(|_| borders.len() < MAX_BORDERS) {
        let bytes = header.read_bytes(source)?;
        let start = usize::try_from(header.header_length).unwrap_or(0);
        let is_border = |position: &u64| borders.binary_search(position).is_ok();
        let is_right = Sidx::parse(bytes.get(start..).unwrap_or_default()).is_ok_and(|sidx| {
            sidx.ranges(header.end()).iter().all(|range| is_border(&range.start) && is_border(&range.end))
        });
        if !is_right {
            let place = header.position;
            said.push(format!(
                "{name}: the sidx at byte {place} does not fit the boxes behind it; a new index is made"
            ));
        }
    }
    Ok(said)
}
