//! A segment with sample encryption, whatever carries its elementary streams — RFC 8216bis §3.1.1, §3.1.3; Apple,
//! MPEG-2 Stream Encryption Format for HTTP Live Streaming.

use crate::base::env::{Sink, Source};
use crate::base::{Error, Result};
use crate::codec::{Elementary, Evidence, StreamInfo};
use crate::presentation::SegmentKind;
use crate::protect::{Operation, SampleAes};
use crate::ts::Packets;

use super::packed_audio::{decrypt_packed_audio, packed_audio_facts, protect_packed_audio};
use super::ts_program::TsProgram;
use super::ts_segment::{decrypt_ts_segment, protect_ts_segment};
use crate::package::fragmented::offsets::OffsetMap;
use crate::package::fragmented::protector::Totals;

/// An elementary stream that sample encryption is for.
#[derive(Clone, Debug)]
pub struct ElementaryStream {
    /// What it is.
    pub elementary: Elementary,
    /// What its first headers say; none when the segment has none of it.
    pub facts: Option<StreamInfo>,
}

/// A segment that was rewritten.
#[derive(Clone, Debug, Default)]
pub struct SampleAesSegment {
    /// What was rewritten of each stream.
    pub totals: Vec<(Elementary, Totals)>,
    /// Where its bytes went.
    pub offsets: OffsetMap,
    /// What each stream that was decrypted shows of the key.
    pub evidence: Vec<(Elementary, Evidence)>,
}

/// The streams of a clear segment that would be encrypted.
///
/// # Errors
/// When it is neither a transport stream nor packed audio, or has a stream that cannot be protected.
pub fn elementary_streams(source: &dyn Source) -> Result<Vec<ElementaryStream>> {
    match SegmentKind::of(source)? {
        SegmentKind::Ts => {
            let program = TsProgram::read(source, Operation::Encrypt)?;
            let streams = program.streams.into_iter();
            Ok(streams.map(|s| ElementaryStream { elementary: s.elementary, facts: s.facts }).collect())
        }
        SegmentKind::PackedAudio(_) | SegmentKind::MpegAudio => {
            let (elementary, facts) = packed_audio_facts(source)?;
            Ok(vec![ElementaryStream { elementary, facts: Some(facts) }])
        }
        kind => Err(not_for(source, kind)),
    }
}

/// Encrypts or decrypts a segment.
///
/// # Errors
/// As [`protect_ts_segment`] and [`protect_packed_audio`]; then what was written is worth nothing.
pub fn sample_aes_segment(
    source: &dyn Source,
    sink: &mut dyn Sink,
    sample_aes: &SampleAes,
    operation: Operation,
) -> Result<SampleAesSegment> {
    match SegmentKind::of(source)? {
        SegmentKind::Ts => {
            let segment = match operation {
                Operation::Encrypt => protect_ts_segment(source, sink, sample_aes)?,
                Operation::Decrypt => decrypt_ts_segment(source, sink, sample_aes)?,
            };
            let evidence = segment.streams.iter().map(|s| (s.stream.elementary, s.evidence)).collect();
            let totals = segment.streams.into_iter().map(|s| (s.stream.elementary, s.totals)).collect();
            Ok(SampleAesSegment { totals, offsets: segment.offsets, evidence })
        }
        SegmentKind::PackedAudio(_) | SegmentKind::MpegAudio => {
            let audio = match operation {
                Operation::Encrypt => protect_packed_audio(source, sink, sample_aes)?,
                Operation::Decrypt => decrypt_packed_audio(source, sink, sample_aes)?,
            };
            let evidence = vec![(audio.elementary, audio.evidence)];
            let totals = vec![(audio.elementary, audio.totals)];
            Ok(SampleAesSegment { totals, offsets: audio.offsets, evidence })
        }
        kind => Err(not_for(source, kind)),
    }
}

fn not_for(source: &dyn Source, kind: SegmentKind) -> Error {
    // Packets of other sizes have their own reason.
    if let (SegmentKind::Unknown, Err(error)) = (kind, Packets::new(source)) {
        return error;
    }
    let what = match kind {
        SegmentKind::Fmp4 => "fragmented MP4 without a media initialization section",
        SegmentKind::WebVtt => "WebVTT",
        _ => "neither a transport stream, packed audio nor fragmented MP4",
    };
    Error::unsupported(format!("the segment is {what}")).clause("RFC 8216bis §3.1")
}
