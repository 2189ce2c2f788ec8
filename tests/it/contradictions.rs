//! Signaling of a key source that contradicts what is packed: refused, passed on, or replaced by our own.

use std::fs;
use std::path::Path;
use std::process::Command;

use drm_pack::base::env::Http;
use drm_pack::base::{Kid, Kind, Result, Secret};
use drm_pack::cpix::{ContentKey, Document, DrmSystem};
use drm_pack::drm::{self, Signal};
use drm_pack::job::{Job, Report};
use drm_pack::keys::{DevKeys, KeyServer};
use drm_pack::package::ServerSignaling;
use drm_pack::protect::Scheme;

use crate::support::media::root;
use crate::support::pack::{SEED, job, pack_with};

/// A key source that signals everything itself, as if the key had another id, value, scheme or IV.
struct Signals {
    kid: Option<Kid>,
    value: Option<[u8; 16]>,
    scheme: &'static str,
    skd: &'static str,
    edit: fn(&mut DrmSystem),
}

const FITS: Signals = Signals { kid: None, value: None, scheme: "", skd: "skd://{kid}", edit: |_| {} };

impl Signals {
    fn of(&self, system: &DrmSystem, key: &ContentKey, scheme: &str) -> DrmSystem {
        let mut said = DrmSystem::new(system.system_id, key.kid);
        let mut key = key.clone();
        let kid = key.kid;
        key.kid = self.kid.unwrap_or(kid);
        key.value = self.value.map(Secret::new).or(key.value);
        let signal = Signal {
            key: &key,
            scheme: Scheme::find(if self.scheme.is_empty() { scheme } else { self.scheme }).unwrap(),
            content_id: "clip",
            skd_template: self.skd,
            track: "v1",
            license_url: None,
        };
        drm::find_id(system.system_id).unwrap().signal(&signal, &mut said).unwrap();
        (self.edit)(&mut said);
        said
    }
}

impl KeyServer for Signals {
    fn exchange(&self, http: &dyn Http, request: Document) -> Result<Document> {
        let mut answer = DevKeys::new(SEED).exchange(http, request)?;
        let keys = answer.content_keys.clone();
        for system in &mut answer.drm_systems {
            let key = keys.iter().find(|key| key.kid == system.kid).unwrap();
            let scheme = key.common_encryption_scheme.unwrap().to_string();
            *system = self.of(system, key, &scheme);
        }
        Ok(answer)
    }
}

fn packed(job: &Job, signals: &Signals, signaling: ServerSignaling, out: &Path) -> Result<Report> {
    pack_with(&Job { server_signaling: signaling, ..job.clone() }, out, signals)
}

fn verify(out: &Path) -> i32 {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drm-pack"));
    let output = command.arg("verify").arg(out).args(["--dev-keys", SEED]).output().unwrap();
    output.status.code().unwrap()
}

/// What contradicts: the input, systems and scheme, what the key source does, and both sides as the error quotes them.
type Contradiction = (&'static str, &'static str, &'static str, Signals, [&'static str; 2]);

fn contradictions() -> Vec<Contradiction> {
    let other = Some(Kid::new([0x5a; 16]));
    let other_text = "5a5a5a5a-5a5a-5a5a-5a5a-5a5a5a5a5a5a";
    let own = "-";
    vec![
        ("hls/master.m3u8", "widevine", "cenc", Signals { kid: other, ..FITS }, [other_text, own]),
        ("dash/manifest.mpd", "playready", "cenc", Signals { kid: other, ..FITS }, [other_text, own]),
        (
            "hls/master.m3u8",
            "widevine",
            "cbcs",
            Signals { scheme: "cenc", ..FITS },
            ["protection_scheme cenc", "cbcs"],
        ),
        ("hls/master.m3u8", "playready", "cenc", Signals { scheme: "cbcs", ..FITS }, ["AESCBC", "AESCTR"]),
        ("dash/manifest.mpd", "playready", "cbcs", Signals { scheme: "cenc", ..FITS }, ["AESCTR", "AESCBC"]),
        (
            "dash/manifest.mpd",
            "playready",
            "cenc",
            Signals { value: Some([7; 16]), ..FITS },
            ["wrm-checksum", "expected"],
        ),
        (
            "hls/master.m3u8",
            "widevine",
            "cenc",
            Signals { edit: |said| replace(said, "SAMPLE-AES-CTR", "SAMPLE-AES"), ..FITS },
            ["found SAMPLE-AES,", "SAMPLE-AES-CTR for cenc"],
        ),
    ]
}

/// The same, of key lines of FairPlay and of what is no line at all.
fn more_contradictions() -> Vec<Contradiction> {
    vec![
        (
            "hls/master.m3u8",
            "fairplay",
            "cbcs",
            Signals {
                edit: |said| replace(said, "KEYFORMAT=", "IV=0x000102030405060708090a0b0c0d0e0f,KEYFORMAT="),
                ..FITS
            },
            ["IV 000102030405060708090a0b0c0d0e0f", "hls-iv"],
        ),
        (
            "hls/master.m3u8",
            "fairplay",
            "cbcs",
            Signals {
                edit: |said| replace(said, "com.apple.streamingkeydelivery", "com.microsoft.playready"),
                ..FITS
            },
            ["com.microsoft.playready", "that of fairplay"],
        ),
        (
            "hls/master.m3u8",
            "fairplay",
            "cbcs",
            Signals { edit: |said| replace(said, "METHOD=SAMPLE-AES", "METHOD=AES-128"), ..FITS },
            ["AES-128", "SAMPLE-AES for cbcs"],
        ),
        (
            "hls/master.m3u8",
            "fairplay",
            "cbcs",
            Signals {
                edit: |said| replace(said, &hex(said), &format!("{}:{}", said.kid, "5a".repeat(16))),
                ..FITS
            },
            ["a URI with IV 5a5a", "hls-iv"],
        ),
        (
            "hls/master.m3u8",
            "fairplay",
            "cbcs",
            Signals {
                edit: |said| replace(said, &hex(said), &["5A".repeat(16), "5a".repeat(16)].join(":")),
                ..FITS
            },
            ["a URI of key 5a5a5a5a-5a5a", "hls-key-id"],
        ),
        (
            "hls/master.m3u8",
            "widevine",
            "cenc",
            Signals { edit: |said| replace(said, "urn:uuid:edef8ba9", "urn:uuid:edef8baa"), ..FITS },
            ["urn:uuid:edef8baa", "that of widevine"],
        ),
        (
            "dash/manifest.mpd",
            "playready",
            "cenc",
            Signals { edit: |said| said.content_protection_data = Some("UEsDBBQ=".into()), ..FITS },
            ["\"UEsDBBQ=\" of 8 bytes", "XML elements expected"],
        ),
        (
            "dash/manifest.mpd",
            "widevine",
            "cenc",
            Signals { edit: |said| said.content_protection_data = Some("<a><b></a>".into()), ..FITS },
            ["\"<a><b></a>\"", "XML elements expected"],
        ),
    ]
}

fn hex(said: &DrmSystem) -> String {
    said.kid.to_string().replace('-', "")
}

fn replace(said: &mut DrmSystem, from: &str, to: &str) {
    for line in [&mut said.hls_signaling_data.media, &mut said.hls_signaling_data.multivariant] {
        *line = line.as_ref().map(|line| line.replace(from, to));
    }
}

#[test]
fn signaling_that_contradicts_is_an_error_that_quotes_both_or_is_passed_on_or_replaced() {
    for (input, drm, scheme, signals, words) in contradictions().into_iter().chain(more_contradictions()) {
        let input = root().join("fixtures/clip").join(input);
        let job = job(&input, drm, scheme);
        let out = tempfile::tempdir().unwrap();
        let error = packed(&job, &signals, ServerSignaling::Error, out.path()).unwrap_err();
        assert_eq!(error.kind(), Kind::Keys, "{error}");
        let text = error.to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{words:?}: {text}");
        assert!(text.contains(drm) && text.contains("--server-signaling replace"), "{text}");
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0, "{text}");

        let report = packed(&job, &signals, ServerSignaling::Replace, out.path()).unwrap();
        assert!(report.warnings.iter().any(|warning| warning.contains("replaced by our own")), "{text}");
        assert_eq!(verify(out.path()), 0, "{text}");

        let passed_on = tempfile::tempdir().unwrap();
        let report = packed(&job, &signals, ServerSignaling::Warn, passed_on.path()).unwrap();
        assert!(report.warnings.iter().any(|warning| warning.contains("is passed on")), "{text}");
    }
}

/// What is passed on is held to the same by verify.
#[test]
fn a_line_of_no_system_is_found_again() {
    let input = root().join("fixtures/clip/hls/master.m3u8");
    let widevine: fn(&mut DrmSystem) =
        |said| replace(said, "urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed", "identity");
    let fairplay: fn(&mut DrmSystem) = |said| replace(said, "com.apple.streamingkeydelivery", "identity");
    for (drm, scheme, edit) in [("widevine", "cenc", widevine), ("fairplay", "cbcs", fairplay)] {
        let identity = Signals { edit, ..FITS };
        let out = tempfile::tempdir().unwrap();
        packed(&job(&input, drm, scheme), &identity, ServerSignaling::Warn, out.path()).unwrap();
        assert_ne!(verify(out.path()), 0, "{drm}");
    }
}

/// A player would take the media for clear.
#[test]
fn a_line_that_says_that_the_media_is_clear_is_never_passed_on() {
    let input = root().join("fixtures/clip/hls/master.m3u8");
    let none = Signals { edit: |said| replace(said, "METHOD=SAMPLE-AES", "METHOD=NONE"), ..FITS };
    let job = job(&input, "fairplay", "cbcs");
    for signaling in [ServerSignaling::Error, ServerSignaling::Warn] {
        let text =
            packed(&job, &none, signaling, tempfile::tempdir().unwrap().path()).unwrap_err().to_string();
        assert!(text.contains("found NONE") && text.contains("--server-signaling replace"), "{text}");
    }
    let out = tempfile::tempdir().unwrap();
    packed(&job, &none, ServerSignaling::Replace, out.path()).unwrap();
    assert_eq!(verify(out.path()), 0);
}

/// The object of PlayReady instead of elements: it stands for the box.
#[test]
fn data_of_a_system_where_elements_belong_is_used() {
    for without_box in [false, true] {
        let bare: fn(&mut DrmSystem) = |said| {
            said.content_protection_data.clone_from(&said.smooth_streaming_protection_header_data);
        };
        let alone: fn(&mut DrmSystem) = |said| {
            said.content_protection_data = said.smooth_streaming_protection_header_data.take();
            said.pssh = None;
        };
        let signals = Signals { edit: if without_box { alone } else { bare }, ..FITS };
        let job = job(&root().join("fixtures/clip/dash/manifest.mpd"), "playready", "cenc");
        let out = tempfile::tempdir().unwrap();
        let report = packed(&job, &signals, ServerSignaling::Error, out.path()).unwrap();
        assert!(report.warnings.is_empty(), "{:?}", report.warnings);
        assert_eq!(verify(out.path()), 0);
    }
}

#[test]
fn a_key_uri_with_its_own_key_id_and_iv_fits() {
    let signals = Signals { skd: "skd://{kid}:{iv}", ..FITS };
    let input = root().join("fixtures/clip/hls/master.m3u8");
    let out = tempfile::tempdir().unwrap();
    let report =
        packed(&job(&input, "fairplay", "cbcs"), &signals, ServerSignaling::Error, out.path()).unwrap();
    assert!(report.warnings.is_empty(), "{:?}", report.warnings);
}

#[test]
fn signaling_that_fits_is_packed_without_a_word() {
    for (input, drm, scheme) in [
        ("hls/master.m3u8", "widevine+playready", "cenc"),
        ("dash/manifest.mpd", "widevine+playready", "cbcs"),
        ("hls/master.m3u8", "widevine+playready+fairplay", "cbcs"),
    ] {
        let input = root().join("fixtures/clip").join(input);
        let out = tempfile::tempdir().unwrap();
        let report = packed(&job(&input, drm, scheme), &FITS, ServerSignaling::Error, out.path()).unwrap();
        assert!(report.warnings.is_empty(), "{:?}", report.warnings);
        assert_eq!(verify(out.path()), 0, "{drm} {scheme}");
    }
}

/// A URI that names the key of another rendition.
#[test]
fn a_key_uri_of_another_key_is_found() {
    struct Swapped;
    impl KeyServer for Swapped {
        fn exchange(&self, http: &dyn Http, request: Document) -> Result<Document> {
            let mut answer = FITS.exchange(http, request)?;
            let lines: Vec<_> =
                answer.drm_systems.iter().map(|system| system.hls_signaling_data.clone()).collect();
            for (system, line) in answer.drm_systems.iter_mut().zip(lines.into_iter().rev()) {
                system.hls_signaling_data = line;
            }
            Ok(answer)
        }
    }
    let input = root().join("fixtures/clip/hls/master.m3u8");
    let mut job = job(&input, "fairplay", "cbcs");
    job.preset = drm_pack::package::Preset::Preset1;
    let error = pack_with(&job, tempfile::tempdir().unwrap().path(), &Swapped).unwrap_err().to_string();
    assert!(error.contains("a URI of key"), "{error}");
}
