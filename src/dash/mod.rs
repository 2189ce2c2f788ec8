//! Media presentation descriptions, read, protected and written — ISO/IEC 23009-1, DASH-IF IOP.

mod addressing;
mod base_url;
mod byte_ranges;
mod codecs;
pub mod content_protection;
mod described;
mod elsewhere;
mod layout;
mod live;
mod mpd;
mod named;
mod switching;
mod template;
pub mod write;

pub use addressing::{Count, Location, MAX_SEGMENTS, Media, MediaTime, Reference, SegmentTiming};
pub use byte_ranges::{RangeMap, Visit};
pub use content_protection::{Protected, is_output_protection_of_keys, output_protections};
pub use live::last_there;
pub use mpd::{ContentType, Mpd, MpdPath, Period, Representation};
pub use named::OtherAddress;

#[cfg(test)]
mod tests;
