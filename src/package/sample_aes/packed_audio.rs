//! Packed audio with sample encryption — RFC 8216bis §3.1.3; Apple, MPEG-2 Stream Encryption Format for HTTP Live
//! Streaming §2.3.4: frames of audio behind an ID3 tag that says how they are to be decoded.

use crate::base::env::{Sink, Source};
use crate::base::{Error, Result};
use crate::codec::{AudioFrame, Elementary, Evidence, StreamInfo, StreamMarks};
use crate::hls::id3;
use crate::presentation::{MAX_ID3_BYTES, SegmentKind, audio_position};
use crate::protect::{Operation, SampleAes, audio_setup_information, encrypted_bytes};

use crate::package::fragmented::offsets::OffsetMap;
use crate::package::fragmented::protector::Totals;

/// Bytes in memory at a time: more than a frame of any codec, or a tag between frames.
const WINDOW_BYTES: usize = MAX_ID3_BYTES;

/// What was protected of packed audio.
#[derive(Clone, Debug, PartialEq)]
pub struct PackedAudioTotals {
    /// The codec.
    pub elementary: Elementary,
    /// What the first frame says.
    pub facts: StreamInfo,
    /// Frames.
    pub totals: Totals,
    /// Where its bytes went: the first tag changes its length.
    pub offsets: OffsetMap,
    /// What is shown of the key by what was decrypted.
    pub evidence: Evidence,
}

/// Encrypts the frames of a segment; its first ID3 tag gets the audio setup information.
///
/// # Errors
/// When the segment is not packed audio of a codec that sample encryption knows, or is encrypted already.
pub fn protect_packed_audio(
    source: &dyn Source,
    sink: &mut dyn Sink,
    sample_aes: &SampleAes,
) -> Result<PackedAudioTotals> {
    rewrite(source, sink, sample_aes, Operation::Encrypt)
}

/// The inverse of [`protect_packed_audio`].
///
/// # Errors
/// When the segment is not packed audio of a codec that sample encryption knows.
pub fn decrypt_packed_audio(
    source: &dyn Source,
    sink: &mut dyn Sink,
    sample_aes: &SampleAes,
) -> Result<PackedAudioTotals> {
    rewrite(source, sink, sample_aes, Operation::Decrypt)
}

/// The codec of packed audio and what its first frame says, without a key.
///
/// # Errors
/// When the segment is not packed audio of a codec that sample encryption knows.
pub fn packed_audio_facts(source: &dyn Source) -> Result<(Elementary, StreamInfo)> {
    let elementary = match SegmentKind::of(source)? {
        SegmentKind::PackedAudio(elementary) => elementary,
        SegmentKind::MpegAudio => {
            return Err(Error::unsupported(
                "MPEG audio, which sample encryption does not know; AAC, AC-3 or E-AC-3 expected",
            )
            .clause("MPEG-2 Stream Encryption Format for HTTP Live Streaming §2.3")
            .hint("encrypt whole segments, or encode the audio as AAC"));
        }
        _ => return Err(Error::input("no frame of packed audio at its start").clause("RFC 8216bis §3.1.3")),
    };
    let mut window = Vec::new();
    read_window(source, audio_position(source)?, &mut window)?;
    let facts = elementary.facts(&window)?;
    Ok((elementary, facts.ok_or_else(|| Error::input("the first frame is cut off"))?))
}

/// Where the audio of packed audio begins, and the audio setup information in the first tag before it; none when
/// the segment is not encrypted.
///
/// # Errors
/// When the tags cannot be read.
pub fn audio_description(source: &dyn Source) -> Result<(u64, Option<Vec<u8>>)> {
    let position = audio_position(source)?;
    let mut window = Vec::new();
    read_window(source, 0, &mut window)?;
    let Some(length) = id3::tag_bytes(&window) else { return Ok((position, None)) };
    let tag = window.get(..length).ok_or_else(|| Error::input("the ID3 tag is cut off"))?;
    let frame = id3::private_frame(tag, id3::AUDIO_DESCRIPTION).map_err(|e| e.at("ID3 tag"))?;
    // The owner ends with a zero byte: Native Frames §4.27.
    let owner = id3::HEADER_BYTES + id3::AUDIO_DESCRIPTION.len() + 1;
    let data = frame.and_then(|frame| tag.get(frame)?.get(owner..));
    Ok((position, data.map(<[u8]>::to_vec)))
}

fn rewrite(
    source: &dyn Source,
    sink: &mut dyn Sink,
    sample_aes: &SampleAes,
    operation: Operation,
) -> Result<PackedAudioTotals> {
    let (elementary, facts) = packed_audio_facts(source)?;
    let mut window = Vec::new();
    let (mut position, tag_bytes) = leading_tag(source, sink, operation, elementary, &facts)?;
    let mut offsets = OffsetMap::default();
    offsets.changed(0, 0);
    offsets.kept(position, tag_bytes);
    let mut totals = Totals::default();
    let (mut marks, mut evidence) = (StreamMarks::new(elementary), Evidence::default());
    let mut look = |frame: &AudioFrame, window: &[u8]| {
        if operation == Operation::Decrypt {
            let bytes = window.get(frame.range.clone()).unwrap_or_default();
            marks.frame(bytes, encrypted_bytes(frame), &mut evidence);
        }
    };
    while position < source.len() {
        read_window(source, position, &mut window)?;
        let whole = frames(&mut window, (sample_aes, operation), elementary, &mut totals, &mut look)
            .map_err(|e| e.at(format_args!("frames at byte {position}")))?;
        if whole == 0 {
            return Err(Error::input("the last frame is cut off").at_byte(position));
        }
        sink.write(window.get(..whole).ok_or_else(|| Error::internal("a frame behind its window"))?)?;
        position += whole as u64;
    }
    Ok(PackedAudioTotals { elementary, facts, totals, offsets, evidence })
}

/// Writes the first tag with its private frame added or removed; returns how long it was and is.
fn leading_tag(
    source: &dyn Source,
    sink: &mut dyn Sink,
    operation: Operation,
    elementary: Elementary,
    facts: &StreamInfo,
) -> Result<(u64, u64)> {
    let mut window = Vec::new();
    read_window(source, 0, &mut window)?;
    let length = id3::tag_bytes(&window).unwrap_or(0);
    let tag = window.get(..length).ok_or_else(|| Error::input("the ID3 tag is cut off"))?;
    let at = |e: Error| e.at("ID3 tag");
    let found =
        if tag.is_empty() { None } else { id3::private_frame(tag, id3::AUDIO_DESCRIPTION).map_err(at)? };
    let tag = match (operation, found) {
        (Operation::Encrypt, Some(_)) => {
            return Err(Error::input(format!(
                "a private frame of {}: the segment is encrypted already",
                id3::AUDIO_DESCRIPTION
            ))
            .hint("give the clear segments"));
        }
        // Decrypting takes the tag out when ours was its only frame.
        (Operation::Encrypt, None) if length == id3::HEADER_BYTES => {
            return Err(at(Error::input("it has no frame").clause("ID3v2.4.0 §3").hint("leave the tag out")));
        }
        (Operation::Encrypt, None) => {
            let information = audio_setup_information(elementary, &facts.setup_data)?;
            id3::with_private_frame(tag, id3::AUDIO_DESCRIPTION, &information).map_err(at)?
        }
        (Operation::Decrypt, Some(frame)) => id3::without_frame(tag, &frame).map_err(at)?,
        (Operation::Decrypt, None) => tag.to_vec(),
    };
    sink.write(&tag)?;
    Ok((length as u64, tag.len() as u64))
}

/// Runs over the whole frames and tags of a window; returns where the last of them ends.
fn frames(
    window: &mut [u8],
    (sample_aes, operation): (&SampleAes, Operation),
    elementary: Elementary,
    totals: &mut Totals,
    look: &mut dyn FnMut(&AudioFrame, &[u8]),
) -> Result<usize> {
    let mut end = 0;
    while end < window.len() {
        // Timed metadata may stand between frames, and its header may begin where the window ends.
        let rest = window.get(end..).unwrap_or_default();
        if rest.len() < id3::HEADER_BYTES && rest.iter().zip(b"ID3").all(|(byte, tag)| byte == tag) {
            break;
        }
        if let Some(length) = id3::tag_bytes(rest) {
            if window.len() - end < length {
                break;
            }
            end += length;
            continue;
        }
        let Some(frame) = elementary.audio_frame(window, end)? else { break };
        totals.protected += sample_aes.audio_frame(operation, window, &frame)?;
        look(&frame, window);
        totals.samples += 1;
        totals.bytes += frame.range.len() as u64;
        end = frame.range.end;
    }
    Ok(end)
}

fn read_window(source: &dyn Source, position: u64, window: &mut Vec<u8>) -> Result<()> {
    let left = source.len().saturating_sub(position);
    window.resize(usize::try_from(left).unwrap_or(usize::MAX).min(WINDOW_BYTES), 0);
    source.read_at(position, window)
}
