//! Packed audio — RFC 8216bis §3.1.3: ID3 tags with their private frames, and frames of audio counted.

use crate::base::env::Source;
use crate::base::id::hex;
use crate::base::{Error, Result};
use crate::codec::Elementary;
use crate::hls::id3;

use super::node::{Budget, Node};
use super::{Inspected, read};

/// Bytes in memory at a time, and most of a tag that is read.
const WINDOW_BYTES: u64 = 1 << 20;
/// Bytes that tell a tag from a frame of audio.
const START_BYTES: usize = 10;

/// Whether an ID3 tag or a frame of audio begins here.
pub(super) fn is_packed_audio(head: &[u8]) -> bool {
    let is_frame = |elementary: Elementary| matches!(elementary.facts(head), Ok(Some(_)));
    id3::tag_bytes(head).is_some() || Elementary::of_audio(head).is_some_and(is_frame)
}

/// The tags and what the frames say.
pub(super) fn describe(source: &dyn Source) -> Result<Inspected> {
    let node = Node { range: Some(0..source.len()), ..Node::new("packed audio") };
    let mut walk = Walk { node, budget: Budget::default(), elementary: None, frames: 0 };
    let mut position = 0;
    let mut error = None;
    while error.is_none() && position < source.len() {
        let left = source.len() - position;
        let window = read(source, position, left.min(WINDOW_BYTES))?;
        let at = |error: Error| error.at(format_args!("frames at byte {position}"));
        match walk.window(&window, position, left > WINDOW_BYTES) {
            Ok(0) => error = Some(Error::input("the last frame is cut off").at_byte(position)),
            Ok(whole) => position += whole as u64,
            Err(wrong) => error = Some(at(wrong)),
        }
    }
    walk.node.set("frames", walk.frames);
    Ok(Inspected { node: walk.node, error })
}

struct Walk {
    node: Node,
    budget: Budget,
    elementary: Option<Elementary>,
    frames: u64,
}

impl Walk {
    /// Runs over the whole tags and frames of a window; returns where the last of them ends.
    fn window(&mut self, window: &[u8], position: u64, has_more: bool) -> Result<usize> {
        let mut end = 0;
        while let Some(rest @ [_, ..]) = window.get(end..) {
            if has_more && rest.len() < START_BYTES {
                break;
            }
            if let Some(length) = id3::tag_bytes(rest) {
                let Some(tag) = rest.get(..length) else { break };
                self.tag(tag, position + end as u64)?;
                end += length;
                continue;
            }
            let Some(elementary) = self.elementary(rest)? else { return Ok(window.len()) };
            let Some(frame) = elementary.audio_frame(window, end)? else { break };
            self.frames += 1;
            end = frame.range.end;
        }
        Ok(end)
    }

    /// The codec, and at the first frame what it says; none for audio whose frames are not read here.
    fn elementary(&mut self, frame: &[u8]) -> Result<Option<Elementary>> {
        if self.elementary.is_some() {
            return Ok(self.elementary);
        }
        self.elementary = Elementary::of_audio(frame);
        let Some(elementary) = self.elementary else {
            let is_mpeg_audio = matches!(frame, [0xff, second, ..] if second & 0xe0 == 0xe0);
            self.node.set("format", if is_mpeg_audio { "MPEG audio" } else { "unknown" });
            return Ok(None);
        };
        self.node.set("format", elementary.name());
        if let Some(facts) = elementary.facts(frame)? {
            self.node.set("codecs", facts.rfc6381);
            self.node.set_some("channels", facts.channels);
            self.node.set_some("sampling_frequency", facts.sampling_frequency);
        }
        Ok(Some(elementary))
    }

    fn tag(&mut self, tag: &[u8], position: u64) -> Result<()> {
        let range = position..position + tag.len() as u64;
        let mut node = Node { range: Some(range), ..Node::new("ID3") };
        for (id, body) in id3::contents(tag)? {
            let mut frame = Node::new(String::from_utf8_lossy(id).into_owned());
            let (owner, data) = match body.iter().position(|byte| *byte == 0) {
                Some(end) if id == b"PRIV" => body.split_at(end),
                _ => (&[][..], body),
            };
            let owner = String::from_utf8_lossy(owner).into_owned();
            let data = if owner.is_empty() { data } else { data.get(1..).unwrap_or_default() };
            if !owner.is_empty() {
                frame.set("owner", owner.as_str());
            }
            match (owner.as_str(), data.first_chunk()) {
                (id3::TIMESTAMP, Some(bytes)) => {
                    frame.set("timestamp", u64::from_be_bytes(*bytes));
                }
                (id3::AUDIO_DESCRIPTION, _) => audio_setup(data, &mut frame),
                _ => {
                    frame.set("bytes", data.len());
                }
            }
            node.push(frame, &mut self.budget);
        }
        self.node.push(node, &mut self.budget);
        Ok(())
    }
}

/// `audio_setup_information()` — Apple, MPEG-2 Stream Encryption Format for HTTP Live Streaming, listing 1-4.
pub(super) fn audio_setup(information: &[u8], node: &mut Node) {
    let [a, b, c, d, priming_high, priming_low, version, length, data @ ..] = information else {
        node.set("data", hex(information));
        return;
    };
    node.set("audio_type", String::from_utf8_lossy(&[*a, *b, *c, *d]).into_owned());
    node.set("priming", u16::from_be_bytes([*priming_high, *priming_low]));
    node.set("version", *version);
    node.set("setup_data", hex(data.get(..usize::from(*length)).unwrap_or(data)));
}
