//! The bytes of samples, taken out of a file one behind the other — ISO/IEC 14496-12 §8.7.

use std::ops::Range;

use crate::base::env::Source;
use crate::base::{Error, Result};
use crate::isobmff::samples::Sample;

/// Reads samples one behind the other; neighbors in the file are read at once. Sizes that the file has not size nothing.
pub(in crate::package) fn read_samples(
    source: &dyn Source,
    samples: &[Sample],
    buffer: &mut Vec<u8>,
) -> Result<()> {
    let end = |sample: &Sample| sample.position.saturating_add(sample.size.into());
    if let Some(sample) = samples.iter().find(|sample| end(sample) > source.len()) {
        return Err(Error::input(format!(
            "a sample at bytes {}..{}, the file has {}",
            sample.position,
            end(sample),
            source.len()
        ))
        .clause("ISO/IEC 14496-12 §8.7"));
    }
    buffer.resize(samples.iter().map(|sample| sample.size as usize).sum(), 0);
    let mut filled = 0;
    let mut rest = samples;
    while let Some(first) = rest.first() {
        let mut end = first.position;
        let together = rest.iter().take_while(|sample| {
            let follows = sample.position == end;
            end = end.saturating_add(if follows { u64::from(sample.size) } else { 0 });
            follows
        });
        let count = together.count();
        let length = usize::try_from(end - first.position).unwrap_or(usize::MAX);
        let place = buffer.get_mut(filled..filled + length);
        let place = place.ok_or_else(|| Error::internal("samples of more bytes than they have"))?;
        source.read_at(first.position, place).map_err(|error| {
            error
                .at(format_args!("samples at bytes {}..{end}", first.position))
                .clause("ISO/IEC 14496-12 §8.7")
        })?;
        filled += length;
        rest = rest.get(count..).unwrap_or_default();
    }
    Ok(())
}

/// Where the samples lie in media data that holds nothing else.
pub(in crate::package) fn ranges(samples: &[Sample]) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut position = 0;
    samples.iter().map(move |sample| {
        let start = position;
        position += sample.size as usize;
        start..position
    })
}
