//! The content key that a line of a playlist means, found for decryption — RFC 8216bis §4.4.4.4.

use crate::base::env::Store;
use crate::base::id::parse_16;
use crate::base::{Error, Kid, Result, Secret};
use crate::hls::Key;
use crate::package::FindKey;
use crate::protect::{Aes128, SampleAes};

use super::decrypt::FindIv;
use super::streams::Segment;

/// `METHOD` of sample encryption.
const SAMPLE_AES: &str = "SAMPLE-AES";
/// The key format whose URI names the key itself, and whose IV is the media sequence number when none is given.
const IDENTITY: &str = "identity";

/// Where keys are found: by their ids, or in a file of 16 bytes that the URI names.
pub(super) struct LineKeys<'a> {
    pub(super) store: &'a dyn Store,
    pub(super) find_key: &'a FindKey<'a>,
    pub(super) find_iv: &'a FindIv<'a>,
}

impl LineKeys<'_> {
    /// The key and IV of a segment that is encrypted whole.
    pub(super) fn whole_segment(
        &self,
        playlist: &str,
        key: &Key,
        sequence: u64,
    ) -> Result<(Secret<16>, [u8; 16])> {
        let iv = key.iv.unwrap_or_else(|| Aes128::iv_of_media_sequence_number(sequence));
        Ok((self.value(playlist, key)?, iv))
    }

    /// The key and IV of a segment with sample encryption; `None` of a clear one.
    pub(super) fn sample_aes(&self, playlist: &str, segment: &Segment) -> Result<Option<SampleAes>> {
        let mut missing = None;
        for key in segment.keys.iter() {
            if key.method != SAMPLE_AES {
                return Err(Error::unsupported(format!("METHOD={} of {}", key.method, playlist))
                    .clause("RFC 8216bis §4.4.4.4"));
            }
            let iv = self.iv(key, segment.sequence);
            match self.value(playlist, key).and_then(|value| Ok(SampleAes::new(&value, iv?))) {
                Ok(sample_aes) => return Ok(Some(sample_aes)),
                Err(error) => missing = Some(error),
            }
        }
        missing.map_or(Ok(None), Err)
    }

    fn iv(&self, key: &Key, sequence: u64) -> Result<[u8; 16]> {
        let of_sequence =
            || (key.key_format == IDENTITY).then(|| Aes128::iv_of_media_sequence_number(sequence));
        let given = key.iv.or_else(|| kid(key).and_then(self.find_iv)).or_else(of_sequence);
        given.ok_or_else(|| {
            Error::keys(format!(
                "no IV for line {}: of KEYFORMAT={:?} it comes with the key",
                key.line + 1,
                key.key_format
            ))
            .clause("RFC 8216bis §4.4.4.4")
            .hint("give a key file with a line KID:KEY:IV, or a CPIX document with explicitIV")
        })
    }

    fn value(&self, playlist: &str, key: &Key) -> Result<Secret<16>> {
        if let Some(value) = kid(key).and_then(self.find_key) {
            return Ok(value);
        }
        let file = key.uri.as_deref().and_then(|uri| self.store.refer(playlist, uri).ok());
        let file = file.filter(|file| self.store.exists(file));
        let source = file.map(|file| self.store.open(&file)).transpose()?.filter(|source| source.len() == 16);
        let source = source.ok_or_else(|| {
            let kid = kid(key).map_or_else(String::new, |kid| format!(" {kid}"));
            Error::keys(format!("no key{kid} for line {}", key.line + 1))
                .hint("add a line KID:KEY for the key id in its URI, or put the key file where the URI says")
        })?;
        let mut value = [0; 16];
        source.read_at(0, &mut value)?;
        Ok(Secret::new(value))
    }
}

/// The key id that the line has, or that its URI has in it.
fn kid(key: &Key) -> Option<Kid> {
    let uri = key.uri.as_deref().unwrap_or_default();
    let named = || uri.split(|c: char| !c.is_ascii_hexdigit() && c != '-').find_map(parse_16).map(Kid::new);
    key.key_id.or_else(named)
}
