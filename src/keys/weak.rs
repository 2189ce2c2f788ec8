//! Keys that protect nothing, whoever sent them — SPEKE 2.0, ContentKey; NIST SP 800-133 §4.

use std::collections::HashMap;

use crate::cpix::Document;

/// What is wrong with the keys of a document: values that anyone would try, and one value for several ids. No value is
/// repeated.
pub fn weaknesses(document: &Document) -> Vec<String> {
    let (mut found, mut known) = (Vec::new(), HashMap::new());
    let keys = document.content_keys.iter().filter_map(|key| Some((key.kid, key.value.as_ref()?.expose())));
    for (kid, value) in keys {
        if *value == [0; 16] {
            found.push(format!("key {kid} is sixteen zero bytes"));
        }
        if value == kid.bytes() {
            found.push(format!("key {kid} has its key id as its value"));
        }
        if let Some(other) = known.insert(value, kid).filter(|other| *other != kid) {
            found.push(format!("one key under two key ids, {other} and {kid}: who has one has both"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Kid, Secret};
    use crate::cpix::ContentKey;

    fn document(keys: &[(u8, u8)]) -> Document {
        let key = |(kid, value): &(u8, u8)| ContentKey {
            value: Some(Secret::new([*value; 16])),
            ..ContentKey::new(Kid::new([*kid; 16]))
        };
        Document { content_keys: keys.iter().map(key).collect(), ..Document::default() }
    }

    #[test]
    fn zeros_key_ids_and_one_value_for_two_are_found() {
        assert!(weaknesses(&document(&[(1, 2), (2, 3)])).is_empty());
        for (keys, words) in [
            (&[(1, 0), (2, 3)][..], "zero bytes"),
            (&[(1, 1)], "has its key id"),
            (&[(1, 5), (2, 5)], "one key under two key ids"),
        ] {
            let found = weaknesses(&document(keys));
            assert!(found.len() == 1 && found[0].contains(words), "{found:?}");
        }
    }
}
