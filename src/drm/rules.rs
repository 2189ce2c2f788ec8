//! The rules that the signaling of a key is held to, in packages and in the answers of key servers — ISO/IEC 23001-7 §8.1,
//! §11.2, RFC 8216bis §4.4.4.4, vendor specifications.

use crate::base::id::{hex, parse_16};
use crate::base::{KeyStore, Kid, ManifestKind, Result, from_base64};
use crate::cpix::DrmSystem;
use crate::hls::{self, Key, Playlist, media, multivariant};
use crate::protect::{Mode, Scheme};
use crate::xml::{self, Element, Node};

use super::clearkey;
use super::fault::Fault;
use super::pssh::Pssh;
use super::system::{Signal, System};
use super::{ALL, find_key_format, recognize};

/// A key and the scheme of the tracks under it.
pub type KeyUse<'a> = (Kid, &'a Scheme);

/// The rules of boxes, by their names in [`Fault`].
pub const BOX_RULES: [&str; 7] =
    ["pssh-data", "kid-byte-order", "pssh-kid", "pssh-scheme", "wrm-version", "wrm-algid", "wrm-checksum"];
/// The rules of key tags besides those of the boxes in them.
pub const TAG_RULES: [&str; 3] = ["hls-method", "hls-key-id", "hls-pssh"];

/// What is wrong with the boxes of one system that stand together, for tracks under these keys.
pub fn box_faults(
    system: &dyn System,
    boxes: &[&Pssh],
    keys: &[KeyUse<'_>],
    key_store: &dyn KeyStore,
) -> Vec<Fault> {
    let (mut faults, mut named, mut listed) = (Vec::new(), Vec::new(), Vec::new());
    for pssh in boxes {
        listed.extend(pssh.kids.iter().flatten().copied());
        match system.kids(pssh) {
            Ok(kids) => named.extend(kids),
            Err(error) => faults.push(fault("pssh-data", error, "data of the system")),
        }
        if let Some((_, scheme)) = keys.first() {
            faults.extend(system.faults(pssh, scheme, key_store));
        }
    }
    // The data and the list of a box of version 1, each by itself: players look at one or the other.
    for (kid, _) in keys {
        faults.extend([&named, &listed].into_iter().find_map(|kids| not_named(kids, *kid)));
    }
    faults
}

/// What is wrong with these key ids when this one is not among them. A list without any says nothing.
fn not_named(kids: &[Kid], kid: Kid) -> Option<Fault> {
    if kids.is_empty() || kids.contains(&kid) {
        return None;
    }
    let swapped = Kid::new(kid.to_guid_le());
    if kids.contains(&swapped) {
        return Some(fault("kid-byte-order", swapped, kid));
    }
    let found: Vec<_> = kids.iter().map(ToString::to_string).collect();
    Some(fault("pssh-kid", found.join(", "), kid))
}

/// Whether the data of a system has a checksum of the key of this id, and it is that of another key.
pub fn is_refuted(boxes: &[Pssh], (kid, scheme): KeyUse<'_>, key_store: &dyn KeyStore) -> bool {
    let only = |other: Kid| key_store.key(other).filter(|_| other == kid);
    // With block chaining there is to be no checksum, whatever it says.
    let mut faults = boxes.iter().filter(|_| scheme.mode == Mode::Ctr).flat_map(|pssh| {
        let system = ALL.iter().find(|system| system.pssh_system_id() == Some(pssh.system_id));
        system.map_or_else(Vec::new, |system| system.faults(pssh, scheme, &only))
    });
    faults.any(|fault| fault.rule == "wrm-checksum")
}

/// What is wrong with a key tag that says of no system whose it is: players look for the key itself behind its URI.
pub fn identity_faults(key: &Key) -> Vec<Fault> {
    let uri = key.uri.as_deref().unwrap_or_default();
    if key.key_format != hls::IDENTITY {
        return Vec::new();
    }
    if uri.starts_with("skd://") {
        return vec![fault("hls-pssh", "skd:// with KEYFORMAT identity", "the KEYFORMAT of FairPlay")];
    }
    let data = uri.strip_prefix("data:").and_then(|data| data.split_once("base64,"));
    // The key, or its id.
    let other = data.and_then(|(_, data)| from_base64(data.trim()).ok()).filter(|data| data.len() != 16);
    let found = other.map(|data| match Pssh::parse(&data) {
        Ok(pssh) => pssh.system_id.to_string(),
        Err(_) => recognize(&data)
            .map_or_else(|| format!("{} bytes", data.len()), |system| system.name().to_owned()),
    });
    let found =
        found.map(|found| fault("hls-pssh", format!("data of {found} with KEYFORMAT identity"), "a key"));
    found.into_iter().collect()
}

/// What is wrong with a key tag, for media of this key and scheme.
pub fn tag_faults(key: &Key, (kid, scheme): KeyUse<'_>, key_store: &dyn KeyStore) -> Vec<Fault> {
    let mut faults = Vec::new();
    let method = scheme.hls_method.unwrap_or("a scheme that HLS can signal");
    if key.method != method {
        faults.push(fault("hls-method", &key.method, format_args!("{method} for {}", scheme.name)));
    }
    if let Some(found) = key.key_id.filter(|found| *found != kid) {
        faults.push(fault("hls-key-id", found, kid));
    }
    let uri = key.uri.as_deref().unwrap_or_default();
    if let Some((found, _)) = kid_and_iv(&uri.to_ascii_lowercase()).filter(|(found, _)| *found != kid) {
        faults.push(fault("hls-key-id", format_args!("a URI of key {found}"), kid));
    }
    faults.extend(identity_faults(key));
    let Some((_, data)) = uri.strip_prefix("data:").and_then(|data| data.split_once("base64,")) else {
        return faults;
    };
    let Ok(bytes) = from_base64(data.trim()) else {
        faults.push(fault("hls-pssh", "a data URI that is not base64", "base64"));
        return faults;
    };
    for system in ALL {
        match system.key_uri_pssh(&key.key_format, &bytes) {
            Ok(None) => {}
            Ok(Some(found)) if Some(found.system_id) != system.pssh_system_id() => {
                faults.push(fault("hls-pssh", found.system_id, system.name()));
            }
            Ok(Some(found)) => faults.extend(box_faults(*system, &[&found], &[(kid, scheme)], key_store)),
            Err(error) => faults.push(fault("hls-pssh", error, system.name())),
        }
    }
    faults
}

/// The boxes in elements of a `ContentProtection` descriptor, and the data of the system that stands there without a
/// box.
///
/// # Errors
/// Of each that cannot be read.
pub fn descriptor_boxes<'a>(
    system: Option<&'static dyn System>,
    elements: impl Iterator<Item = &'a Element>,
) -> Vec<Result<Pssh>> {
    let boxes = elements.filter_map(|element| match element.local_name() {
        "pssh" => Some(element.text().and_then(|text| Pssh::parse(&from_base64(text.trim())?))),
        _ => system?.descriptor_data(element).transpose(),
    });
    boxes.collect()
}

/// Where a key server's answer says something about a key that contradicts what is packed, and what.
pub fn contradictions(
    system: &'static dyn System,
    answer: &DrmSystem,
    (signal, others): (&Signal<'_>, &[Kid]),
    manifests: &[ManifestKind],
    key_store: &dyn KeyStore,
) -> Vec<(&'static str, Fault)> {
    let key = (signal.key.kid, signal.scheme);
    let mut found: Vec<(&'static str, Fault)> = Vec::new();
    let mut add = |place, faults: Vec<Fault>| found.extend(faults.into_iter().map(|fault| (place, fault)));
    let boxes_of = |boxes: &[Pssh]| {
        let boxes: Vec<&Pssh> = boxes.iter().collect();
        box_faults(system, &boxes, &[key], key_store)
    };
    let boxes = answer.pssh.as_deref().filter(|bytes| !bytes.is_empty()).map(Pssh::parse_all);
    let header = answer.smooth_streaming_protection_header_data.as_deref();
    match (boxes, header.filter(|text| !text.trim().is_empty())) {
        (Some(Ok(boxes)), _) => {
            let is_own = |pssh: &&Pssh| {
                let known = [answer.system_id, clearkey::COMMON_SYSTEM_ID];
                known.contains(&pssh.system_id) || system.pssh_system_id() == Some(pssh.system_id)
            };
            let others = boxes.iter().filter(|pssh| !is_own(pssh));
            let other = |pssh: &Pssh| {
                fault("pssh-system", format!("a box of system {}", pssh.system_id), answer.system_id)
            };
            add("PSSH", others.map(other).collect());
            add("PSSH", boxes_of(&boxes));
        }
        // Where there is no box, one is made of it.
        (None, Some(text)) => {
            let element = Element::new("pro").with_text(text);
            let (boxes, faults) = readable(system.descriptor_data(&element).transpose().into_iter());
            add("the protection header", [faults, boxes_of(&boxes)].concat());
        }
        _ => {}
    }
    if let Some(text) = answer.content_protection_data.as_deref()
        && manifests.contains(&ManifestKind::Dash)
    {
        let nodes = xml::parse_fragment(text).unwrap_or_default();
        if !is_elements(text) {
            add("ContentProtectionData", vec![fault(NOT_ELEMENTS, beginning(text), "XML elements")]);
        }
        let elements = nodes.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            _ => None,
        });
        let (boxes, faults) = readable(descriptor_boxes(Some(system), elements).into_iter());
        add("ContentProtectionData", [faults, boxes_of(&boxes)].concat());
    }
    if manifests.contains(&ManifestKind::Hls) && signal.scheme.hls_method.is_some() {
        let hls = &answer.hls_signaling_data;
        for (place, text) in [
            ("HLSSignalingData of media playlists", &hls.media),
            ("HLSSignalingData of the multivariant playlist", &hls.multivariant),
        ] {
            for key in text.as_deref().map(tags).unwrap_or_default() {
                let mut faults = tag_faults(&key, (signal.key.kid, signal.scheme), key_store);
                faults.extend(own_tag_faults(system, &key, signal, others));
                add(place, faults);
            }
        }
    }
    found
}

/// The rule that `ContentProtectionData` breaks which cannot stand in an MPD.
const NOT_ELEMENTS: &str = "cpd-xml";

/// Whether a text of a key source is elements, which can stand in a `ContentProtection` descriptor: DASH-IF CPIX 2.3 §4.
pub fn is_elements(text: &str) -> bool {
    let Ok(nodes) = xml::parse_fragment(text) else { return false };
    let is_text =
        |node: &Node| matches!(node, Node::Raw(raw) if !raw.starts_with('<') && !raw.trim().is_empty());
    nodes.iter().any(|node| matches!(node, Node::Element(_))) && !nodes.iter().any(is_text)
}

/// The first characters of a text in quotes, and how long it is.
fn beginning(text: &str) -> String {
    const SHOWN: usize = 24;
    let first: String = text.chars().take(SHOWN).collect();
    let more = if first.len() < text.len() { "…" } else { "" };
    format!("{:?}{more} of {} bytes", first, text.len())
}

/// The boxes that can be read, and a fault for each other.
fn readable(all: impl Iterator<Item = Result<Pssh>>) -> (Vec<Pssh>, Vec<Fault>) {
    let (mut boxes, mut faults) = (Vec::new(), Vec::new());
    for read in all {
        match read {
            Ok(pssh) => boxes.push(pssh),
            Err(error) => faults.push(fault("pssh-box", error, "one whole box")),
        }
    }
    (boxes, faults)
}

/// The key tags in lines of a key server; what is none is found where playlists are written.
fn tags(lines: &str) -> Vec<Key> {
    let read = Playlist::parse(format!("#EXTM3U\n{lines}\n").as_bytes()).and_then(|playlist| {
        let mut keys = media::keys(&playlist)?;
        keys.extend(multivariant::session_keys(&playlist)?);
        Ok(keys)
    });
    read.unwrap_or_default()
}

/// What is wrong with a key tag of a system, by what the job knows: its key format, the IV, and whose key its URI names.
fn own_tag_faults(system: &'static dyn System, key: &Key, signal: &Signal<'_>, others: &[Kid]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let is_other = match find_key_format(&key.key_format) {
        Some(found) => found.name() != system.name(),
        // Of a system that is passed on the key format is not known.
        None => key.key_format == hls::IDENTITY || ALL.iter().any(|known| known.name() == system.name()),
    };
    if is_other {
        faults.push(fault("hls-key-format", &key.key_format, format_args!("that of {}", system.name())));
    }
    if let (Ok(Some(found)), Some(expected)) = (key.iv(), signal.key.explicit_iv)
        && found != expected
    {
        faults.push(fault("hls-iv", format_args!("IV {}", hex(&found)), hex(&expected)));
    }
    let uri = key.uri.as_deref().unwrap_or_default().to_ascii_lowercase();
    if let Some((_, iv)) = kid_and_iv(&uri) {
        // Whose key it names is held to the segments.
        if let Some(expected) = signal.key.explicit_iv.filter(|expected| *expected != iv) {
            faults.push(fault("hls-iv", format_args!("a URI with IV {}", hex(&iv)), hex(&expected)));
        }
        return faults;
    }
    let names = |kid: &Kid| uri.contains(&kid.hex()) || uri.contains(&kid.to_string());
    if let Some(other) = others.iter().find(|other| **other != signal.key.kid && names(other))
        && !names(&signal.key.kid)
    {
        faults.push(fault("hls-key-uri", format_args!("a URI of key {other}"), signal.key.kid));
    }
    faults
}

/// Key id and IV of a `skd://KID:IV`, which is how some license servers of FairPlay want both.
fn kid_and_iv(uri: &str) -> Option<(Kid, [u8; 16])> {
    let (kid, iv) = uri.strip_prefix("skd://")?.split_once(':')?;
    Some((Kid::parse(kid).ok()?, parse_16(iv)?))
}

fn fault(rule: &'static str, found: impl ToString, expected: impl ToString) -> Fault {
    Fault { rule, found: found.to_string(), expected: expected.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protect::Scheme;

    #[test]
    fn the_list_of_a_box_names_the_key_as_its_data_does() {
        let (kid, other) = (Kid::new([1; 16]), Kid::new([2; 16]));
        let widevine = crate::drm::find("widevine").unwrap();
        let system_id = widevine.system_id();
        // WidevinePsshData has key_id as field 2.
        let data = |kid: Kid| [&[0x12, 16], &kid.bytes()[..]].concat();
        let scheme = Scheme::find("cenc").unwrap();
        for (kids, named, is_wrong) in [
            (None, kid, false),
            (Some(vec![kid]), kid, false),
            (Some(vec![other, kid]), kid, false),
            (Some(vec![other]), kid, true),
            (Some(vec![kid]), other, true),
            (Some(Vec::new()), kid, false),
        ] {
            let pssh = Pssh { system_id, kids: kids.clone(), data: data(named) };
            let faults = box_faults(widevine, &[&pssh], &[(kid, scheme)], &|_| None);
            let rules: Vec<_> = faults.iter().map(|fault| fault.rule).collect();
            assert_eq!(rules, if is_wrong { vec!["pssh-kid"] } else { vec![] }, "{kids:?} {named}");
        }
    }
}
