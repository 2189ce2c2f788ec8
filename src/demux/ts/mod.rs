//! Transport streams as tracks of a movie — ISO/IEC 13818-1 §2.4.3, ISO/IEC 14496-15, ISO/IEC 14496-3 §1.A.3.
//!
//! A first pass finds where access units and frames begin. Their bytes are put together from packets when they are read.

mod audio;
mod framing;
mod media;
mod program;
mod stream;
mod video;

use super::file::Demuxed;
use super::movie::MovieTrack;
use crate::base::env::Source;
use crate::base::{Error, Result};
use crate::ts::{Packet, Packets};
pub(super) use framing::Framing;
use media::{Media, MediaTrack};
use program::Program;
use stream::{CLOCK, Stream, damaged_there};

/// Reads a stream.
pub(super) fn read(source: Box<dyn Source>, framing: Framing) -> Result<Demuxed> {
    let (source, no_packets) = framing.framed(source);
    let program = Program::read(source.as_ref(), framing)?;
    let mut streams: Vec<Stream> = program.streams.iter().map(|of| Stream::new(of, framing)).collect();
    let mut packets = Packets::new(source.as_ref())?;
    while let Some((position, packet)) = packets.next_packet()? {
        let at = |error: Error| error.at(format_args!("packet at byte {}", framing.place(position)));
        Packet::parse(&packet).map_err(|error| at(error.hint(damaged_there())))?;
        program.check(&packet).map_err(at)?;
        stream::packet(&mut streams, position, &packet).map_err(at)?;
    }
    let mut left_out = no_packets;
    left_out.extend(program.left_out);
    let (mut tracks, mut media): (Vec<MovieTrack>, Vec<MediaTrack>) = (Vec::new(), Vec::new());
    let mut begin = None;
    let mut base = 0;
    for stream in streams {
        let pid = stream.pid();
        let at = |error: Error| error.at(format_args!("PID {pid:#x}"));
        left_out.extend(stream.lacks().iter().map(|what| format!("PID {pid:#x}: {what}")));
        match stream.finish(base, &mut begin).map_err(at)? {
            Some((track, lies, notices)) => {
                left_out.extend(notices.iter().map(|notice| format!("PID {pid:#x}: {notice}")));
                base = lies.end();
                tracks.push(track);
                media.push(lies);
            }
            None => left_out.push(format!("PID {pid:#x} is left out: it has no access units")),
        }
    }
    if tracks.is_empty() {
        return Err(
            Error::input("a transport stream without video or audio").clause("ISO/IEC 13818-1 §2.4.4.9")
        );
    }
    let clock = tracks.iter().map(|track| track.begins_at(CLOCK)).min();
    let demuxed = Demuxed::of(&tracks, Box::new(Media { source, tracks: media }), left_out)?;
    Ok(Demuxed { clock, ..demuxed })
}
