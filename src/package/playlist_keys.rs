//! The content key that a line of a playlist means, found for decryption — RFC 8216bis §4.4.4.4.

use crate::base::env::Store;
use crate::base::id::parse_16;
use crate::base::{Error, KeyStore, Kid, Result, Secret, from_base64};
use crate::hls::{AES_128, IDENTITY, Key, SAMPLE_AES};
use crate::protect::{Aes128, SampleAes};

/// What decrypts sample encryption, and the id of the key if it is known.
pub(crate) type KeyOfLine = (SampleAes, Option<Kid>);

/// Where keys are found: by their ids, or in a file of 16 bytes that the URI names.
pub struct PlaylistKeyResolver<'a> {
    /// Where such files are.
    pub store: &'a dyn Store,
    /// The keys.
    pub key_store: &'a dyn KeyStore,
}

impl PlaylistKeyResolver<'_> {
    /// The key and IV of a segment that is encrypted whole, by the keys in force; `None` of a clear one.
    ///
    /// # Errors
    /// [`Kind::Keys`](crate::base::Kind::Keys) when the key is not there.
    pub fn whole_segment(
        &self,
        playlist: &str,
        keys: &[Key],
        sequence: u64,
    ) -> Result<Option<(Secret<16>, [u8; 16])>> {
        self.first(playlist, (keys, AES_128), |key, _, value| {
            Ok((value, key.iv()?.unwrap_or_else(|| Aes128::iv_of_media_sequence_number(sequence))))
        })
    }

    /// The key and IV of a segment with sample encryption under these keys, and the id of the key if it is known; `None`
    /// of a clear one. `sequence` is its media sequence number.
    ///
    /// # Errors
    /// [`Kind::Keys`](crate::base::Kind::Keys) when the key or its IV is not there.
    pub fn sample_aes(&self, playlist: &str, keys: &[Key], sequence: u64) -> Result<Option<KeyOfLine>> {
        self.first(playlist, (keys, SAMPLE_AES), |key, kid, value| {
            Ok((SampleAes::new(&value, self.iv(key, kid, sequence)?), kid))
        })
    }

    /// What is made of the first key that is known. Keys of several formats are one and the same.
    fn first<T>(
        &self,
        playlist: &str,
        (keys, method): (&[Key], &str),
        make: impl Fn(&Key, Option<Kid>, Secret<16>) -> Result<T>,
    ) -> Result<Option<T>> {
        let mut missing = None;
        for key in keys {
            if key.method != method {
                return Err(Error::unsupported(format!("METHOD={}, {method} expected", key.method))
                    .clause("RFC 8216bis §4.4.4.4")
                    .at(format_args!("line {}", key.line + 1))
                    .at(playlist));
            }
            match self.value(playlist, key).and_then(|(kid, value)| make(key, kid, value)) {
                Ok(made) => return Ok(Some(made)),
                Err(error) => missing = Some(error),
            }
        }
        missing.map_or(Ok(None), Err)
    }

    fn iv(&self, key: &Key, kid: Option<Kid>, sequence: u64) -> Result<[u8; 16]> {
        let of_sequence =
            || (key.key_format == IDENTITY).then(|| Aes128::iv_of_media_sequence_number(sequence));
        let given = key.iv()?.or_else(|| kid.and_then(|kid| self.key_store.iv(kid))).or_else(of_sequence);
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

    /// What is wrong with the file that the URI of a key names, if there is one: players fetch the key there.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn file_fault(&self, playlist: &str, key: &Key) -> Result<Option<String>> {
        let uri = key.uri.as_deref().unwrap_or_default();
        let Some(file) = self.named(playlist, uri)? else { return Ok(None) };
        let length = self.store.open(&file)?.len();
        let known = self.known(key);
        Ok(match (self.file(playlist, uri)?, known) {
            (None, _) => Some(format!("{file} with {length} bytes")),
            (Some(value), Some((_, known))) if value.expose() != known.expose() => {
                Some(format!("another key in {file}"))
            }
            _ => None,
        })
    }

    /// The key of an id that the line has, or that its URI has in it.
    fn known(&self, key: &Key) -> Option<(Kid, Secret<16>)> {
        let ids = key.key_id.into_iter().chain(kids(key.uri.as_deref().unwrap_or_default()));
        ids.into_iter().find_map(|kid| Some((kid, self.key_store.key(kid)?)))
    }

    /// A key, and its id unless it is a file.
    fn value(&self, playlist: &str, key: &Key) -> Result<(Option<Kid>, Secret<16>)> {
        let uri = key.uri.as_deref().unwrap_or_default();
        if let Some((kid, value)) = self.known(key) {
            return Ok((Some(kid), value));
        }
        if let Some(value) = self.file(playlist, uri)? {
            return Ok((None, value));
        }
        if let Some(value) = data(uri).filter(|_| key.key_format == IDENTITY) {
            return Ok((None, Secret::new(value)));
        }
        let named = key.key_id.or_else(|| kids(uri).next());
        let only = self.key_store.only().filter(|_| named.is_none());
        only.and_then(|kid| Some((Some(kid), self.key_store.key(kid)?))).ok_or_else(|| {
            let kid = named.map_or_else(String::new, |kid| format!(" {kid}"));
            Error::keys(format!("no key{kid} for line {}", key.line + 1))
                .hint("add a line KID:KEY for the key id in its URI, or put the key file where the URI says")
        })
    }

    /// The file that the URI names, if there is one.
    fn named(&self, playlist: &str, uri: &str) -> Result<Option<String>> {
        let Ok(file) = self.store.resolve(playlist, uri) else { return Ok(None) };
        Ok(self.store.exists(&file)?.then_some(file))
    }

    /// The file of 16 bytes that the URI names.
    fn file(&self, playlist: &str, uri: &str) -> Result<Option<Secret<16>>> {
        let Some(file) = self.named(playlist, uri)? else { return Ok(None) };
        let source = self.store.open(&file)?;
        if source.len() != 16 {
            return Ok(None);
        }
        let mut value = [0; 16];
        source.read_at(0, &mut value)?;
        Ok(Some(Secret::new(value)))
    }
}

/// The 16 bytes that a `data:` URI holds: RFC 2397. To players they are the key; some packagers write its id there.
fn data(uri: &str) -> Option<[u8; 16]> {
    let scheme = uri.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("data:"))?;
    let (media_type, data) = uri.get(scheme.len()..)?.split_once(',')?;
    let is_base64 = media_type.rsplit(';').next().is_some_and(|last| last.eq_ignore_ascii_case("base64"));
    is_base64.then(|| from_base64(data).ok()).flatten()?.try_into().ok()
}

/// Everything in a URI that may be a key id: 32 hex digits, or those of a UUID, or 16 bytes of data.
fn kids(uri: &str) -> impl Iterator<Item = Kid> {
    let is_uuid = |text: &str| {
        let hyphens: Vec<usize> = text.match_indices('-').map(|(at, _)| at).collect();
        hyphens == [8, 13, 18, 23]
    };
    let uuids = (0..uri.len()).filter_map(move |at| uri.get(at..at + 36).filter(|text| is_uuid(text)));
    let plain = (0..uri.len()).filter_map(|at| uri.get(at..at + 32).filter(|text| !text.contains('-')));
    uuids.chain(plain).filter_map(parse_16).chain(data(uri)).map(Kid::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_ids_are_found_wherever_they_stand_in_a_uri() {
        let id = "0123456789abcdef0123456789abcdef";
        let kid = Kid::parse(id).unwrap();
        for uri in [
            format!("skd://{id}"),
            format!("https://k/movie-{id}.key"),
            format!("https://k/b{id}"),
            format!("skd://00112233445566778899aabbccddeeff/{id}"),
            "https://k/-01234567-89ab-cdef-0123-456789abcdef?x".to_owned(),
        ] {
            assert!(kids(&uri).any(|found| found == kid), "{uri}");
        }
        let uri = "data:text/plain;charset=UTF-8;base64,ASNFZ4mrze8BI0VniavN7w==";
        assert!(kids(uri).any(|found| found == kid), "{uri}");
        for uri in ["data:text/plain,0123456789abcdef", "data:;base64,ASNFZ4mr", "data:;base64,%"] {
            assert_eq!(kids(uri).next(), None, "{uri}");
        }
        assert_eq!(kids("https://k/movie.key").next(), None);
        assert_eq!(kids("ä0123").next(), None);
    }
}
