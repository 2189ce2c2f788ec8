//! Laws of DRM systems: what every row of the table keeps.

use super::{ALL, ManifestKind, Pssh, Signal, System, find, find_id, parse_list};
use crate::base::{Kid, Secret, base64};
use crate::cpix::{ContentKey, DrmSystem, HlsSignalingData};
use crate::protect::Scheme;
use crate::protect::scheme::SCHEMES;
use crate::xml::{Node, parse_fragment};

/// A key whose id is the text `1234567890123456`.
pub(super) fn key() -> ContentKey {
    ContentKey {
        explicit_iv: Some(std::array::from_fn(|index| u8::try_from(index).unwrap())),
        value: Some(Secret::new(*b"2345678901234567")),
        ..ContentKey::new(Kid::new(*b"1234567890123456"))
    }
}

pub(super) fn signal<'a>(key: &'a ContentKey, scheme: &str) -> Signal<'a> {
    Signal {
        key,
        scheme: Scheme::find(scheme).unwrap(),
        content_id: "asset-1",
        skd_template: "skd://{kid}",
        track: "v1",
        license_url: None,
    }
}

/// Every system with every scheme it allows, already signaled.
fn signaled() -> Vec<(&'static dyn super::System, &'static Scheme, DrmSystem)> {
    let key = key();
    let mut all = Vec::new();
    for system in ALL {
        for scheme in SCHEMES.iter().filter(|scheme| system.allows(scheme)) {
            let mut entry = DrmSystem::new(system.system_id(), key.kid);
            system.signal(&signal(&key, scheme.name), &mut entry).unwrap();
            all.push((*system, scheme, entry));
        }
    }
    assert!(all.len() > ALL.len());
    all
}

#[test]
fn a_box_parses_back_with_the_id_of_its_system_and_the_key_id() {
    for (system, _, entry) in signaled() {
        assert_eq!(entry.pssh.is_some(), system.pssh_system_id().is_some(), "{}", system.name());
        let Some(bytes) = entry.pssh else { continue };
        let pssh = Pssh::parse(&bytes).unwrap();
        assert_eq!(Some(pssh.system_id), system.pssh_system_id());
        assert_eq!(pssh.write().unwrap(), bytes);
        assert_eq!(system.kids(&pssh).unwrap(), [key().kid]);
    }
}

/// Players of ClearKey find the key id in `cenc:default_KID`, and misread a box.
fn has_box_in_mpd(system: &dyn System) -> bool {
    system.name() != "clearkey"
}

#[test]
fn both_manifests_say_what_the_box_says() {
    for (system, scheme, entry) in signaled() {
        let Some(method) = scheme.hls_method else {
            assert_eq!(entry.hls_signaling_data.media, None, "{} has no METHOD", scheme.name);
            continue;
        };
        let media = entry.hls_signaling_data.media.unwrap();
        let multivariant = entry.hls_signaling_data.multivariant.unwrap();
        assert!(media.contains(&format!("METHOD={method},")), "{media}");
        assert_eq!(multivariant, media.replace("#EXT-X-KEY:", "#EXT-X-SESSION-KEY:"));
        let data = entry.content_protection_data;
        assert_eq!(data.is_some(), system.signals_in(ManifestKind::Dash), "{}", system.name());
        let Some(bytes) = entry.pssh else { continue };
        let payload = Pssh::parse(&bytes).unwrap().data;
        assert!(
            media.contains(&base64(&bytes)) || (!payload.is_empty() && media.contains(&base64(&payload))),
            "{media}"
        );
        let nodes = parse_fragment(&data.unwrap()).unwrap();
        if !has_box_in_mpd(system) {
            assert!(nodes.is_empty(), "{}", system.name());
            continue;
        }
        let Some(Node::Element(first)) = nodes.first() else { panic!() };
        assert_eq!(first.name(), "cenc:pssh");
        assert_eq!(first.attribute("xmlns:cenc").unwrap().unwrap(), "urn:mpeg:cenc:2013");
        assert_eq!(first.text().unwrap(), base64(&bytes));
    }
}

#[test]
fn signaling_twice_changes_nothing() {
    for (system, scheme, entry) in signaled() {
        let mut again = entry.clone();
        system.signal(&signal(&key(), scheme.name), &mut again).unwrap();
        assert_eq!(format!("{again:?}"), format!("{entry:?}"), "{}", system.name());
    }
}

#[test]
fn nothing_of_the_key_server_is_overwritten() {
    for (system, scheme, ours) in signaled() {
        let pssh = system.pssh_system_id().map(|system_id| {
            let kids = Some(vec![Kid::new([7; 16])]);
            Pssh { system_id, kids, data: b"theirs".to_vec() }.write().unwrap()
        });
        let theirs = DrmSystem {
            pssh,
            content_protection_data: Some("<theirs/>".into()),
            hls_signaling_data: HlsSignalingData {
                media: Some("#EXT-X-KEY:THEIRS=1".into()),
                multivariant: Some("#EXT-X-SESSION-KEY:THEIRS=2".into()),
                ..HlsSignalingData::default()
            },
            smooth_streaming_protection_header_data: Some("theirs".into()),
            ..DrmSystem::new(ours.system_id, ours.kid)
        };
        let mut filled = theirs.clone();
        system.signal(&signal(&key(), scheme.name), &mut filled).unwrap();
        assert_eq!(format!("{filled:?}"), format!("{theirs:?}"), "{}", system.name());
    }
}

#[test]
fn manifests_carry_the_box_of_the_key_server() {
    for (system, scheme, ours) in signaled() {
        let Some(system_id) = system.pssh_system_id() else { continue };
        let theirs = Pssh { system_id, kids: None, data: b"of the key server".to_vec() };
        let bytes = theirs.write().unwrap();
        let mut entry = DrmSystem::new(ours.system_id, ours.kid);
        entry.pssh = Some(bytes.clone());
        system.signal(&signal(&key(), scheme.name), &mut entry).unwrap();
        let data = entry.content_protection_data.unwrap();
        assert_eq!(data.contains(&base64(&bytes)), has_box_in_mpd(system), "{}", system.name());
        let Some(media) = entry.hls_signaling_data.media.filter(|_| scheme.hls_method.is_some()) else {
            continue;
        };
        assert!(media.contains(&base64(&bytes)) || media.contains(&base64(&theirs.data)), "{media}");
    }
}

#[test]
fn one_line_of_the_key_server_gives_the_other() {
    for (system, scheme, ours) in signaled().into_iter().filter(|(_, scheme, _)| scheme.hls_method.is_some())
    {
        let mut entry = DrmSystem::new(ours.system_id, ours.kid);
        entry.hls_signaling_data.media = Some("#EXT-X-KEY:METHOD=X,URI=\"y\"\n".into());
        entry.hls_signaling_data.multivariant = Some(String::new());
        system.signal(&signal(&key(), scheme.name), &mut entry).unwrap();
        let hls = entry.hls_signaling_data;
        assert_eq!(hls.media.unwrap(), "#EXT-X-KEY:METHOD=X,URI=\"y\"\n");
        assert_eq!(hls.multivariant.unwrap(), "#EXT-X-SESSION-KEY:METHOD=X,URI=\"y\"");
    }
}

#[test]
fn a_box_of_another_system_is_refused() {
    for (system, scheme, ours) in signaled().into_iter().filter(|(_, _, entry)| entry.pssh.is_some()) {
        let mut entry = DrmSystem::new(ours.system_id, ours.kid);
        let foreign = Pssh { system_id: crate::base::SystemId::new([9; 16]), kids: None, data: vec![] };
        entry.pssh = Some(foreign.write().unwrap());
        assert!(system.signal(&signal(&key(), scheme.name), &mut entry).is_err(), "{}", system.name());
    }
}

#[test]
fn a_request_asks_only_for_what_signaling_fills() {
    for (system, _, filled) in signaled() {
        for manifests in
            [&[ManifestKind::Hls][..], &[ManifestKind::Dash], &[ManifestKind::Hls, ManifestKind::Dash]]
        {
            let mut entry = DrmSystem::new(system.system_id(), key().kid);
            system.request(&mut entry, manifests);
            let dash = manifests.contains(&ManifestKind::Dash);
            assert!(entry.pssh.is_none() || filled.pssh.is_some());
            assert!(
                entry.content_protection_data.is_none() || (dash && filled.content_protection_data.is_some())
            );
            let hls = entry.hls_signaling_data;
            assert_eq!(hls.media.is_some(), hls.multivariant.is_some());
            assert!(hls.media.is_none() || manifests.contains(&ManifestKind::Hls));
        }
    }
}

#[test]
fn a_list_is_read_with_either_separator_and_in_its_order() {
    let names =
        |list: &str| -> Vec<_> { parse_list(list).unwrap().iter().map(|system| system.name()).collect() };
    assert_eq!(names("widevine+playready,fairplay"), ["widevine", "playready", "fairplay"]);
    assert_eq!(names("clearkey, widevine"), ["clearkey", "widevine"]);
    for list in ["", "widevine+", "Widevine", "simpleaes", "widevine+widevine"] {
        assert!(parse_list(list).is_err(), "{list:?}");
    }
}

#[test]
fn names_and_ids_find_their_row() {
    for system in ALL {
        assert_eq!(find(system.name()).unwrap().system_id(), system.system_id());
        assert_eq!(find_id(system.system_id()).unwrap().name(), system.name());
    }
}
