//! Keys that a playlist names — RFC 8216bis §4.4.4.4, §4.4.6.5.

use std::sync::Arc;

use super::attributes::Attributes;
use super::define::Variables;
use super::line::{Playlist, place};
use crate::base::{Error, Kid, Result};

/// `METHOD` of segments that are encrypted whole: §4.4.4.4.
pub const AES_128: &str = "AES-128";
/// The key format whose URI names the key itself, and whose IV is the media sequence number when none is given.
pub const IDENTITY: &str = "identity";
/// `METHOD` of sample encryption of streams, and of `cbcs` in fragmented MP4.
pub const SAMPLE_AES: &str = "SAMPLE-AES";

/// Hexadecimal digits of an IV.
const IV_DIGITS: usize = 32;

/// An `EXT-X-KEY` or `EXT-X-SESSION-KEY` tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Index of the tag's line.
    pub line: usize,
    /// `METHOD`.
    pub method: String,
    /// `URI`; absent only when the method is `NONE`.
    pub uri: Option<String>,
    /// `KEYFORMAT`; `identity` when absent.
    pub key_format: String,
    /// `KEYFORMATVERSIONS`; `1` when absent.
    pub key_format_versions: String,
    /// `KEYID`, which some key formats add.
    pub key_id: Option<Kid>,
    /// Every attribute, variables replaced.
    pub attributes: Attributes,
}

impl Key {
    /// Whether it says that what follows is encrypted: any method but `NONE`.
    pub fn encrypts(&self) -> bool {
        self.method != "NONE"
    }

    /// `IV`, a 128-bit number, with all of its digits.
    ///
    /// # Errors
    /// When it has fewer than 32 of them. As a number its leading zeros would be missing; those who write an IV of
    /// eight bytes mean the first half of a block, with zeros behind it. One reading garbles what the other means.
    pub fn iv(&self) -> Result<Option<[u8; 16]>> {
        let Some(iv) = self.attributes.hexadecimal_sequence("IV")? else { return Ok(None) };
        let digits = self.attributes.raw("IV").map_or(0, |raw| raw.len().saturating_sub(2));
        match digits {
            IV_DIGITS => Ok(Some(iv.to_be_bytes())),
            _ => Err(Error::input(format!("IV of {digits} hexadecimal digits, {IV_DIGITS} expected"))
                .clause("RFC 8216bis §4.4.4.4")
                .hint("write all digits of the IV that the segments were encrypted with: zeros in front of those that are there, or behind them")
                .at(format_args!("line {}", self.line + 1))),
        }
    }

    fn parse(line: usize, attributes: Attributes) -> Result<Self> {
        let method = attributes.enumerated_string("METHOD")?;
        let method = method.ok_or_else(|| Error::input("no METHOD").clause("RFC 8216bis §4.4.4.4"))?;
        let uri = attributes.quoted_string("URI")?;
        if uri.is_none() && method != "NONE" {
            return Err(Error::input(format!("METHOD={method} without URI")).clause("RFC 8216bis §4.4.4.4"));
        }
        attributes.hexadecimal_sequence("IV")?;
        Ok(Self {
            line,
            method: method.to_owned(),
            uri: uri.map(str::to_owned),
            key_format: attributes.quoted_string("KEYFORMAT")?.unwrap_or(IDENTITY).to_owned(),
            key_format_versions: attributes.quoted_string("KEYFORMATVERSIONS")?.unwrap_or("1").to_owned(),
            key_id: attributes.hexadecimal_sequence("KEYID")?.map(|id| Kid::new(id.to_be_bytes())),
            attributes,
        })
    }
}

/// The keys that are in force as a playlist is read line by line: §4.4.4.4.
pub struct KeysInForce<'a> {
    ahead: std::iter::Peekable<std::slice::Iter<'a, Key>>,
    now: Arc<[Key]>,
}

impl<'a> KeysInForce<'a> {
    /// Before the first line; `keys` are those of the playlist in order.
    pub fn new(keys: &'a [Key]) -> Self {
        Self { ahead: keys.iter().peekable(), now: Arc::new([]) }
    }

    /// The keys for what this line names: of each key format the last one before it, and none behind
    /// `METHOD=NONE`. Lines are asked for in order.
    pub fn at(&mut self, line: usize) -> Arc<[Key]> {
        while let Some(key) = self.ahead.next_if(|key| key.line < line) {
            let others = self.now.iter().filter(|known| key.encrypts() && known.key_format != key.key_format);
            self.now = others.chain(key.encrypts().then_some(key)).cloned().collect();
        }
        Arc::clone(&self.now)
    }
}

/// Every tag of this name.
pub(super) fn keys(playlist: &Playlist, name: &str) -> Result<Vec<Key>> {
    let mut variables = Variables::of(playlist)?;
    playlist
        .tags(name)
        .map(|(line, value)| {
            let attributes = variables.attributes(value);
            attributes
                .and_then(|attributes| Key::parse(line, attributes))
                .map_err(|error| error.at(name).at(place(line)))
        })
        .collect()
}

/// Splits finished key tags into lines and checks that each is a tag of this name that encrypts.
///
/// One text may hold several lines: key servers hand over all tags of a system at once.
pub(super) fn checked_lines(texts: &[String], name: &str) -> Result<Vec<String>> {
    let mut lines: Vec<String> = Vec::new();
    for text in texts.iter().flat_map(|text| text.split(['\r', '\n'])).map(str::trim_ascii) {
        if text.is_empty() || lines.iter().any(|line| line == text) {
            continue;
        }
        let value = text.strip_prefix('#').and_then(|tag| tag.strip_prefix(name)?.strip_prefix(':'));
        // The line is not repeated: a key may stand in its URI.
        let value =
            value.ok_or_else(|| Error::keys(format!("signaling for playlists that is no {name} tag")))?;
        let key = Attributes::parse(value).and_then(|attributes| Key::parse(0, attributes));
        let key = key.and_then(|key| key.iv().map(|_| key));
        if !key.map_err(|error| Error::keys(error.to_string()).at(name))?.encrypts() {
            return Err(Error::keys("METHOD=NONE among the keys of a protected playlist").at(name));
        }
        lines.push(text.to_owned());
    }
    Ok(lines)
}
