//! Key tags by themselves and as they follow each other — RFC 8216bis §4.4.4.4, §8.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::slice::Iter;

use crate::base::{Kid, Result};
use crate::drm;
use crate::hls::{IDENTITY, Key, Playlist, required_version};
use crate::verify::findings::Findings;

/// A playlist without a key is as it was before there were any.
pub(in crate::verify) fn check_version(
    name: &str,
    (playlist, keys): (&Playlist, &[Key]),
    findings: &mut Findings,
) -> Result<()> {
    if !keys.iter().any(Key::encrypts) {
        return Ok(());
    }
    let stated =
        playlist.tags("EXT-X-VERSION").next().and_then(|(_, value)| value.trim().parse::<u64>().ok());
    let (stated, needed) = (stated.unwrap_or(1), required_version(playlist)?);
    findings.check("hls-version", stated >= needed, &name, &stated, &format_args!("{needed} or more"));
    Ok(())
}

/// What can be said about a key by itself.
pub(in crate::verify) fn check_key(key: &Key, name: &str, findings: &mut Findings) {
    let place = format!("{name}: line {}", key.line + 1);
    let has_iv = key.attributes.raw("IV").is_some();
    if key.method == "SAMPLE-AES-CTR" {
        findings.check("hls-iv", !has_iv, &place, &"an IV", &"none with SAMPLE-AES-CTR");
    } else if let Err(error) = key.iv() {
        findings.check("hls-iv", false, &place, &error, &"all digits of the IV");
    }
    if key.attributes.raw("KEYFORMAT").is_some() {
        let has_versions = key.attributes.raw("KEYFORMATVERSIONS").is_some();
        findings.check("hls-format-versions", has_versions, &place, &"no KEYFORMATVERSIONS", &"1");
    }
    // No system that is known has another version.
    if drm::find_key_format(&key.key_format).is_some() {
        let holds = key.key_format_versions.split('/').any(|version| version == "1");
        let found = format!("KEYFORMATVERSIONS {:?} of {}", key.key_format_versions, key.key_format);
        findings.check("hls-format-known", holds, &place, &found, &"1 among them");
    } else if key.key_format != IDENTITY {
        findings.unchecked(format!(
            "keys of KEYFORMAT {:?}, which is of no system that is known",
            key.key_format
        ));
    }
}

/// The IV of a key is that of the samples under it, in `tenc` or a group of `seig`: players take one or the other.
pub(in crate::verify) fn check_iv(key: &Key, ivs: &[[u8; 16]], place: &str, findings: &mut Findings) {
    // One that cannot be read was found already.
    let (Ok(Some(iv)), Some(first)) = (key.iv(), ivs.first()) else { return };
    let text = |iv: &[u8; 16]| format!("IV 0x{:032x}", u128::from_be_bytes(*iv));
    let expected = format!("{}, default_constant_IV of the media", text(first));
    findings.check("hls-iv-media", ivs.contains(&iv), &place, &text(&iv), &expected);
}

/// What keys were first seen above, by the lines of their tags.
pub(in crate::verify) type Covered = BTreeMap<usize, BTreeSet<[u8; 16]>>;

/// A key that names no key id is one key: it does not stay in force when the key of the media changes. Data of a system
/// names the ids that it is for, which is looked at there.
pub(in crate::verify) fn check_period(
    key: &Key,
    kids: &[Kid],
    covered: &mut Covered,
    place: &str,
    findings: &mut Findings,
) {
    if key.uri.as_deref().is_none_or(|uri| uri.starts_with("data:")) {
        return;
    }
    let own = kids.iter().map(|kid| *kid.bytes()).collect::<BTreeSet<_>>();
    let first = covered.entry(key.line).or_insert_with(|| own.clone());
    let found =
        format!("a key of {} from line {}, where the media had another key", key.key_format, key.line + 1);
    let kid = kids.first().map(ToString::to_string).unwrap_or_default();
    let expected = format!("one for key {kid}");
    findings.check("hls-key-period", !first.is_disjoint(&own), &place, &found, &expected);
}

/// The keys in force by key format, as a playlist is read.
pub(in crate::verify) struct InForce<'k> {
    next: Peekable<Iter<'k, Key>>,
    keys: BTreeMap<&'k str, &'k Key>,
}

impl<'k> InForce<'k> {
    /// Before the first line; `keys` are those of the playlist.
    pub(in crate::verify) fn new(keys: &'k [Key]) -> Self {
        Self { next: keys.iter().peekable(), keys: BTreeMap::new() }
    }

    /// The keys for what this line names; lines are asked for in order.
    pub(in crate::verify) fn at(
        &mut self,
        line: usize,
        name: &str,
        findings: &mut Findings,
    ) -> &BTreeMap<&'k str, &'k Key> {
        let mut since = BTreeSet::new();
        while let Some(key) = self.next.next_if(|key| key.line < line) {
            if !key.encrypts() {
                self.keys.clear();
                since.clear();
                continue;
            }
            let fresh = since.insert(key.key_format.as_str());
            let at = format!("{name}: line {}", key.line + 1);
            findings.check("hls-key-twice", fresh, &at, &key.key_format, &"one key of this KEYFORMAT");
            self.keys.insert(&key.key_format, key);
        }
        &self.keys
    }
}

/// The key formats of the first protected segment, and where it is.
pub(in crate::verify) type Systems = (BTreeSet<String>, String);

/// A protected segment is under keys of the systems that the first one has.
pub(in crate::verify) fn same_systems(
    in_force: &BTreeMap<&str, &Key>,
    systems: &mut Option<Systems>,
    place: &str,
    findings: &mut Findings,
) {
    let names: BTreeSet<String> = in_force.keys().map(|format| (*format).to_owned()).collect();
    let (expected, first) = systems.get_or_insert_with(|| (names.clone(), place.to_owned()));
    let holds = names == *expected || names.is_empty();
    let wanted = format!("{expected:?}, as at {first}");
    findings.check("hls-systems", holds, &place, &format_args!("{names:?}"), &wanted);
}
