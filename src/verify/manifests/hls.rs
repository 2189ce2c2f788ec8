//! What playlists say of keys — RFC 8216bis §4.4.4.4, §4.4.6.5, §8.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::slice::Iter;

use crate::base::{Kid, Result};
use crate::drm::{self, BOX_RULES, TAG_RULES, tag_faults};
use crate::hls::{IDENTITY, Key, Playlist, required_version};
use crate::presentation::Resource;
use crate::protect::Scheme;

use super::agreement::Agreement;
use super::info::PresentationInfo;
use super::times;
use super::{Mp4Playlist, Presentation};
use crate::verify::findings::Findings;
use crate::verify::fragmented::pssh;
use crate::verify::segments::hls as segments;

/// Checks every playlist, and then the session keys.
pub(in crate::verify) fn check(
    presentation: &Presentation<'_>,
    facts: &PresentationInfo<'_>,
    agreement: &mut Agreement,
    findings: &mut Findings,
) -> Result<()> {
    let mut all = Vec::new();
    let mut systems = None;
    for playlist in &presentation.playlists {
        let (media, keys) = (playlist.media, &playlist.media.keys);
        check_version(&media.name, (&media.playlist, keys), findings)?;
        for key in keys.iter().filter(|key| key.encrypts()) {
            check_key(key, &media.name, findings);
        }
        segments(playlist, (facts, agreement), &mut systems, findings)?;
        times::check(playlist, facts, findings);
        all.extend(keys.iter().filter(|key| key.encrypts()).cloned());
    }
    times::check_starts(&presentation.playlists, facts, findings);
    all.extend(segments::check(&presentation.segments, findings)?);
    let session = presentation.multivariants.iter().flat_map(|found| &found.session_keys);
    agreement.playlists(&session.cloned().collect::<Vec<_>>(), findings);
    let is_whole = is_whole(presentation);
    for multivariant in presentation.multivariants {
        check_version(&multivariant.name, (&multivariant.playlist, &multivariant.session_keys), findings)?;
        session_keys(&multivariant.name, &multivariant.session_keys, (&all, is_whole), findings);
    }
    Ok(())
}

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

/// Each segment against the keys in force.
fn segments(
    playlist: &Mp4Playlist<'_>,
    (facts, agreement): (&PresentationInfo<'_>, &mut Agreement),
    systems: &mut Option<Systems>,
    findings: &mut Findings,
) -> Result<()> {
    let media = playlist.media;
    let mut in_force = InForce::new(&media.keys);
    let mut checked: BTreeSet<(usize, Kid)> = BTreeSet::new();
    for (segment, rendition) in &playlist.segments {
        let place = format!("{}: line {}", media.name, segment.line + 1);
        let in_force = in_force.at(segment.line, &media.name, findings);
        addresses(segment, media.is_i_frames, facts, &place, findings);
        let Some((scheme, kids)) = facts.segment(*rendition, &segment.file, segment.range.as_ref()) else {
            let found = format!("{} keys", in_force.len());
            findings.check("hls-key-clear", in_force.is_empty(), &place, &found, &"METHOD=NONE");
            continue;
        };
        let method = scheme.hls_method.unwrap_or("a scheme that HLS can signal");
        findings.check("hls-key-missing", !in_force.is_empty(), &place, &"no EXT-X-KEY", &method);
        same_systems(in_force, systems, &place, findings);
        for key in in_force.values() {
            for kid in &kids {
                if checked.insert((key.line, *kid)) {
                    check_match(key, scheme, *kid, facts, &media.name, findings);
                    agreement.key(key, *kid, &media.name, findings);
                }
            }
        }
    }
    Ok(())
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

fn addresses(
    segment: &Resource,
    i_frames: bool,
    facts: &PresentationInfo<'_>,
    place: &str,
    findings: &mut Findings,
) {
    let file = segment.file.as_str();
    if let Some(range) = &segment.range {
        let range = if i_frames {
            // The end may lie inside an mdat: RFC 8216bis §4.4.3.6.
            let end = facts.file(file).map_or(range.end, |facts| facts.length.max(range.start));
            if range.end > end { range.clone() } else { range.start..end }
        } else {
            range.clone()
        };
        facts.check_range(file, &range, place, findings);
    }
}

/// A key against a segment under it.
fn check_match(
    key: &Key,
    scheme: &'static Scheme,
    kid: Kid,
    facts: &PresentationInfo<'_>,
    name: &str,
    findings: &mut Findings,
) {
    let place = format!("{name}: line {}", key.line + 1);
    let find = |kid: Kid| facts.key_store.and_then(|key_store| key_store.key(kid));
    let rules: Vec<_> = TAG_RULES.into_iter().chain(BOX_RULES).collect();
    pssh::hold(&rules, tag_faults(key, (kid, scheme), &find), &place, findings);
}

/// Whether all media playlists are there with all their segments: a live one may name keys no more, or not yet.
fn is_whole(presentation: &Presentation<'_>) -> bool {
    let mp4 = presentation.playlists.iter().map(|playlist| playlist.media);
    let mut media = mp4.chain(presentation.segments.iter().map(|playlist| playlist.media));
    media.all(|media| media.playlist.tags("EXT-X-ENDLIST").next().is_some())
}

/// §4.4.6.5: session keys and the keys of media playlists, which are all there are or not.
fn session_keys(name: &str, session: &[Key], (media, is_whole): (&[Key], bool), findings: &mut Findings) {
    let facts = |key: &Key| (key.method.clone(), key.key_format.clone(), key.key_format_versions.clone());
    let mut seen = BTreeSet::new();
    for key in session {
        let place = format!("{name}: line {}", key.line + 1);
        findings.check("hls-session-key", key.encrypts(), &place, &key.method, &"a METHOD other than NONE");
        let once = seen.insert((
            key.uri.clone(),
            facts(key),
            key.attributes.raw("IV").map(str::to_owned),
            key.key_id,
        ));
        findings.check("hls-session-key", once, &place, &"the same key again", &"each key once");
        let is_same = |other: &&Key| {
            let iv = key.iv().unwrap_or_default().is_none_or(|iv| other.iv().ok().flatten() == Some(iv));
            iv && key.key_id.is_none_or(|kid| other.key_id == Some(kid))
        };
        let mut of_uri =
            media.iter().filter(|other| other.uri == key.uri && other.key_format == key.key_format);
        let holds = !is_whole || !key.encrypts() || of_uri.any(|other| is_same(&other));
        let found = format!("a key of {} that no media playlist has", key.key_format);
        findings.check("hls-session-key", holds, &place, &found, &"a key of a media playlist");
        for other in media.iter().filter(|other| other.uri == key.uri) {
            let (found, expected) = (format!("{:?}", facts(key)), format!("{:?}", facts(other)));
            findings.check("hls-session-key", found == expected, &place, &found, &expected);
        }
    }
    if session.is_empty() {
        return;
    }
    for key in media {
        let holds = session.iter().any(|known| known.uri == key.uri && known.key_format == key.key_format);
        let kid = key.key_id.map_or_else(String::new, |kid| format!(" of key {kid}"));
        let found = format!("no EXT-X-SESSION-KEY for {}{kid}", key.key_format);
        findings.check("hls-session-absent", holds, &name, &found, &"one for every key");
    }
}
