//! Files of other containers read as if they were MP4 files — ISO/IEC 14496-12 §8: a `moov` with sample tables is made of
//! what they say, and samples lie where the file has them.
//!
//! So there is one road for all inputs. Nothing of the media is held: the tables are as large as those of an MP4 file.

mod file;
mod mastering;
mod matroska;
mod movie;
mod stripped;
mod ts;

pub use file::{DemuxStore, Demuxed};
use stripped::WholeFrames;

use crate::base::Result;
use crate::base::env::Source;

/// Reads a Matroska or WebM file or a transport stream as an MP4 file; any other file is left as it is.
///
/// # Errors
/// When it is damaged, encrypted, or has video or audio that ISO media are not made of.
pub fn opened(source: Box<dyn Source>) -> Result<Demuxed> {
    let mut start = [0; 4];
    let has_start = source.len() >= 4;
    start.get_mut(..).filter(|_| has_start).map_or(Ok(()), |start| source.read_at(0, start))?;
    match start {
        [0x1a, 0x45, 0xdf, 0xa3] => {
            let (mut tracks, first_bytes, left_out) = matroska::read(source.as_ref())?;
            if first_bytes.iter().all(Vec::is_empty) {
                return Demuxed::of(&tracks, source, left_out);
            }
            let media = WholeFrames::new(source, &mut tracks, first_bytes);
            Demuxed::of(&tracks, Box::new(media), left_out)
        }
        _ => match ts::Framing::of(source.as_ref())? {
            Some(framing) => ts::read(source, framing),
            None => Ok(Demuxed { source, left_out: Vec::new(), clock: None }),
        },
    }
}
