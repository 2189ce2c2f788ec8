//! A segment that stands under no key: it is one in the clear, or its key is missing — RFC 8216bis §3.1, §4.4.4.4.

use crate::base::env::Source;
use crate::base::{Error, Result};
use crate::isobmff::file::BoxHeader;
use crate::isobmff::track::tracks;
use crate::presentation::SegmentKind;
use crate::protect::Operation;
use crate::ts::{PACKET_BYTES, SYNC_BYTE};

use super::aes128::{Beginning, SEGMENT_KINDS, SegmentHead};
use super::fragmented::coverage::check_clear_fragments;
use super::sample_aes::packed_audio::audio_description;
use super::sample_aes::ts_program::TsProgram;

/// Bytes that are looked at.
const LOOKED_AT: usize = 4096;
/// Bytes in an AES block: what is encrypted whole is a number of them.
const BLOCK: u64 = 16;

/// Checks that a segment is in the clear: that it begins as one, and does not say itself that it is encrypted. Text and
/// images may be of any kind, but not such that they can be encrypted bytes. The operation is what the job does with others.
///
/// # Errors
/// When it is not, or cannot be read.
pub fn check_clear_segment(part: &dyn Source, is_media: bool, operation: Operation) -> Result<()> {
    let mut start = vec![0; usize::try_from(part.len()).unwrap_or(usize::MAX).min(LOOKED_AT)];
    part.read_at(0, &mut start)?;
    let kind = SegmentKind::of(part)?;
    if says_encrypted(part, kind)? {
        return Err(not_clear(
            "its samples are encrypted, as it says itself, and it stands under no key",
            operation,
        ));
    }
    let may_be_encrypted = is_media || part.len().is_multiple_of(BLOCK);
    let begins = match kind {
        // One byte alone is what one in 256 encrypted segments begins with.
        SegmentKind::Ts => are_packets(&start),
        _ => {
            // Behind ID3 tags of any length the kind is known already.
            let mut head = SegmentHead::default();
            head.take(&start);
            matches!(head.beginning(), Ok(Beginning::Segment | Beginning::FirstBlockOpen))
                || matches!(kind, SegmentKind::PackedAudio(_) | SegmentKind::MpegAudio)
        }
    };
    match begins || !may_be_encrypted || is_image(&start) || is_text(&start) {
        true => Ok(()),
        false => Err(not_clear(
            &format!("a segment under no key begins as nothing that is known: {SEGMENT_KINDS} expected"),
            operation,
        )),
    }
}

fn not_clear(what: &str, operation: Operation) -> Error {
    let error = match operation {
        Operation::Encrypt => Error::input(what).hint("it is damaged, or encrypted already: make it again"),
        Operation::Decrypt => Error::verification(what)
            .hint("its EXT-X-KEY line may be missing, or stand behind it: put it before the segment"),
    };
    error.clause("RFC 8216bis §3.1, §4.4.4.4")
}

/// Whether a container says itself that what is in it is encrypted.
fn says_encrypted(part: &dyn Source, kind: SegmentKind) -> Result<bool> {
    Ok(match kind {
        SegmentKind::Ts => {
            TsProgram::read(part, Operation::Decrypt).is_ok_and(|program| !program.streams.is_empty())
        }
        SegmentKind::PackedAudio(_) => audio_description(part).is_ok_and(|(_, setup)| setup.is_some()),
        SegmentKind::Fmp4 => check_clear_fragments(part).is_err() || has_protected_tracks(part)?,
        _ => false,
    })
}

fn has_protected_tracks(part: &dyn Source) -> Result<bool> {
    let mut position = 0;
    while let Ok(Some(header)) = BoxHeader::read(part, position) {
        if header.is(b"moov") {
            let tracks = tracks(&header.read_node(part)?).unwrap_or_default();
            let mut entries = tracks.iter().flat_map(|track| &track.sample_entries);
            return Ok(entries.any(|entry| entry.boxes.iter().any(|node| node.is(b"sinf"))));
        }
        position = header.end();
    }
    Ok(false)
}

/// Whether most packets begin as packets do: of a damaged stream some do not.
fn are_packets(start: &[u8]) -> bool {
    let next = start.iter().skip(PACKET_BYTES).step_by(PACKET_BYTES);
    let count = next.clone().count();
    2 * next.filter(|byte| **byte == SYNC_BYTE).count() >= count
}

/// Whether bytes begin as an image of a kind that browsers show.
fn is_image(start: &[u8]) -> bool {
    let signatures: [&[u8]; 5] = [b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"\0\0\0\x0cJXL "];
    signatures.iter().any(|signature| start.starts_with(signature))
}

/// Whether bytes are text; encrypted ones are no UTF-8, and have control characters.
fn is_text(start: &[u8]) -> bool {
    let text = match str::from_utf8(start) {
        Ok(text) => text,
        // A character may be cut off.
        Err(error) if error.error_len().is_none() && start.len() == LOOKED_AT => {
            start.get(..error.valid_up_to()).and_then(|start| str::from_utf8(start).ok()).unwrap_or("\0")
        }
        Err(_) => return false,
    };
    text.chars().all(|letter| !letter.is_control() || letter.is_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_encrypted_bytes_is_not_taken_for_clear() {
        let check = |bytes: &[u8], is_media| {
            check_clear_segment(&bytes.to_vec(), is_media, Operation::Decrypt).is_ok()
        };
        let mut sync = vec![0x9e; 1600];
        sync[0] = 0x47;
        for (bytes, as_media, as_other) in [
            (&[0x9e; 32][..], false, false),
            (&[0x9e; 33], false, true),
            (&sync, false, false),
            (b"WEBVTT\n\n0:00.", true, true),
            ("<?xml äöü?>\n\t".as_bytes(), true, true),
            (b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01", true, true),
            (b"\0\0\0\x10styp\0\0\0\0\0\0\0\0", true, true),
            (b"", true, true),
        ] {
            let found = (check(bytes, true), check(bytes, false));
            assert_eq!(found, (as_media, as_other), "{}", bytes.escape_ascii());
        }
    }
}
