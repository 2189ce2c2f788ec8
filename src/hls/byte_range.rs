//! Byte ranges of media segments and of media initialization sections — RFC 8216bis §4.4.4.2.

use std::fmt;
use std::ops::Range;

use super::attributes::decimal_integer;
use crate::base::{Error, Result};

/// `<n>[@<o>]` as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ByteRange {
    pub(super) length: u64,
    /// `None`: behind the sub-range before it.
    pub(super) offset: Option<u64>,
}

impl ByteRange {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let (length, offset) = match text.split_once('@') {
            Some((length, offset)) => (length, Some(decimal_integer(offset)?)),
            None => (text, None),
        };
        Ok(Self { length: decimal_integer(length)?, offset })
    }

    /// The range in bytes; `next` is where one without an offset begins.
    pub(super) fn resolve(self, next: Option<u64>) -> Result<Range<u64>> {
        let start = self.offset.or(next).ok_or_else(|| {
            Error::input(
                "byte range without an offset, and the segment before it is no byte range of the same URI",
            )
            .clause("RFC 8216bis §4.4.4.2")
        })?;
        let end = start.checked_add(self.length).ok_or_else(|| {
            Error::input(format!("byte range {self} ends beyond 2^64")).clause("RFC 8216bis §4.4.4.2")
        })?;
        Ok(start..end)
    }

    /// The same form for another range: an offset is left out if this had none and `next` still fits.
    pub(super) fn moved_to(self, range: &Range<u64>, next: Option<u64>) -> Result<Self> {
        let length = range
            .end
            .checked_sub(range.start)
            .ok_or_else(|| Error::usage(format!("byte range from {} to {}", range.start, range.end)))?;
        let implicit = self.offset.is_none() && next == Some(range.start);
        Ok(Self { length, offset: (!implicit).then_some(range.start) })
    }
}

impl From<&Range<u64>> for ByteRange {
    fn from(range: &Range<u64>) -> Self {
        Self { length: range.end.saturating_sub(range.start), offset: Some(range.start) }
    }
}

impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.length)?;
        self.offset.map_or(Ok(()), |offset| write!(f, "@{offset}"))
    }
}
