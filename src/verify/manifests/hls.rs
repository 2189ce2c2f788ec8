//! What playlists say of keys — RFC 8216bis §4.4.4.4, §4.4.6.5, §8.

use std::collections::BTreeSet;

use crate::base::{Kid, Result};
use crate::drm::{BOX_RULES, TAG_RULES, tag_faults};
use crate::hls::Key;
use crate::hls::multivariant::RenditionKind;
use crate::presentation::{MediaPlaylist, Resource};
use crate::protect::Scheme;

use super::agreement::Agreement;
use super::hls_keys::{
    Covered, InForce, Systems, check_iv, check_key, check_period, check_version, same_systems,
};
use super::info::PresentationInfo;
use super::{Mp4Playlist, Presentation};
use super::{both, labels, lists, names, times};
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
    labels::check_playlists(presentation, facts, findings);
    lists::check(presentation, findings);
    both::check(presentation, facts, findings);
    let mut all = Vec::new();
    let mut systems = None;
    let start = times::start(&presentation.playlists, facts);
    for playlist in &presentation.playlists {
        let (media, keys) = (playlist.media, &playlist.media.keys);
        names::check_playlist(&media.name, &media.playlist, findings);
        i_frames(media, findings);
        check_version(&media.name, (&media.playlist, keys), findings)?;
        for key in keys.iter().filter(|key| key.encrypts()) {
            check_key(key, &media.name, findings);
        }
        segments(playlist, (facts, agreement), &mut systems, findings)?;
        times::check(playlist, start, facts, findings);
        times::check_i_frames(playlist, facts, findings);
        all.extend(keys.iter().filter(|key| key.encrypts()).cloned());
    }
    times::check_starts(&presentation.playlists, start, facts, findings);
    all.extend(segments::check(&presentation.segments, findings)?);
    let session = presentation.multivariants.iter().flat_map(|found| &found.session_keys);
    agreement.playlists(&session.cloned().collect::<Vec<_>>(), findings);
    let is_whole = is_whole(presentation);
    let mp4 = presentation.playlists.iter().map(|playlist| playlist.media);
    let media = mp4.chain(presentation.segments.iter().map(|playlist| playlist.media));
    let begin: Vec<_> = media.flat_map(first_keys).collect();
    for media in presentation.segments.iter().map(|playlist| playlist.media) {
        names::check_playlist(&media.name, &media.playlist, findings);
        i_frames(media, findings);
    }
    for multivariant in presentation.multivariants {
        names::check_playlist(&multivariant.name, &multivariant.playlist, findings);
        check_version(&multivariant.name, (&multivariant.playlist, &multivariant.session_keys), findings)?;
        session_keys(&multivariant.name, &multivariant.session_keys, (&all, is_whole), findings);
        session_absent(&multivariant.name, &multivariant.session_keys, &begin, findings);
    }
    Ok(())
}

/// Holds what is named as a playlist of I-frames to be one.
fn i_frames(media: &MediaPlaylist, findings: &mut Findings) {
    for tag in media.named_by.iter().filter(|tag| tag.kind == RenditionKind::IFrame) {
        let place = format!("{}: line {} of its multivariant playlist", media.name, tag.line + 1);
        let (found, expected) = ("no EXT-X-I-FRAMES-ONLY", "a playlist of I-frames");
        findings.check("hls-i-frames", media.is_i_frames, &place, &found, &expected);
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
    let mut covered = Covered::new();
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
        let ivs = facts.constant_ivs(&segment.file, segment.range.as_ref());
        for key in in_force.values() {
            check_iv(key, &ivs, &place, findings);
            check_period(key, &kids, &mut covered, &place, findings);
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

/// §4.4.6.5: session keys and the keys of media playlists.
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
}

/// The keys with which a playlist begins, one of each format. Those that follow when keys rotate are named where they begin:
/// as session keys all of them would be asked for before the first picture.
fn first_keys(media: &MediaPlaylist) -> impl Iterator<Item = &Key> {
    let mut formats = BTreeSet::new();
    media.keys.iter().filter(|key| key.encrypts()).filter(move |key| formats.insert(&key.key_format))
}

/// §4.4.6.5: what playlists begin with can be asked for before they are read, all of it or nothing.
fn session_absent(name: &str, session: &[Key], begin: &[&Key], findings: &mut Findings) {
    if session.is_empty() {
        return;
    }
    for key in begin {
        let holds = session.iter().any(|known| known.uri == key.uri && known.key_format == key.key_format);
        let kid = key.key_id.map_or_else(String::new, |kid| format!(" of key {kid}"));
        let found = format!("no EXT-X-SESSION-KEY for {}{kid}", key.key_format);
        findings.check("hls-session-absent", holds, &name, &found, &"one for every key");
    }
}
