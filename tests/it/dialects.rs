//! The ways in which key servers differ: GET, one key period at a time, encrypted answers, ids and keys of one vendor —
//! SPEKE 2.0, DASH-IF CPIX 2.3.

use std::fs;
use std::sync::Arc;

use drm_pack::base::Kid;
use drm_pack::base::env::Request;
use drm_pack::cpix::{
    self, AudioFilter, Certificate, ContentKey, ContentKeyUsageRule, Document, Original, RecipientKey,
    VideoFilter,
};
use drm_pack::io::SystemRandom;
use drm_pack::job::Job;
use drm_pack::keys::{Dialect, Method, OnePeriod, Recipient, Speke, SpekeVersion, VENDORS};

use crate::support::key_server::{Server, filled};
use crate::support::media::root;
use crate::support::pack::{job, key, unpack};

fn clip() -> Job {
    Job {
        resource_id: Some("film-7".into()),
        ..job(&root().join("fixtures/clip/dash/manifest.mpd"), "widevine", "cenc")
    }
}

fn speke(url: &str, dialect: impl Into<Dialect>) -> Speke {
    Speke::new(url, Vec::new(), dialect).unwrap()
}

/// Two keys of the server's own, for pictures and for sound.
fn own_document() -> Vec<u8> {
    let kids = [1, 2].map(|byte| Kid::new([byte; 16]));
    let keys = kids.map(|kid| ContentKey { value: Some(key(kid)), ..ContentKey::new(kid) });
    let rule = ContentKeyUsageRule::new;
    let rules = vec![
        ContentKeyUsageRule { video_filters: vec![VideoFilter::default()], ..rule(kids[0]) },
        ContentKeyUsageRule { audio_filters: vec![AudioFilter::default()], ..rule(kids[1]) },
    ];
    cpix::write(&Document { content_keys: keys.to_vec(), usage_rules: rules, ..Document::default() })
}

#[test]
fn one_get_of_the_templates_address_brings_a_document_whose_rules_decide() {
    let rule = |_: &Request| Ok(own_document());
    let server = Server::new(&rule);
    let url = "https://keys.example/v1/{content_id}/multikey?c={content_id}";
    let keys = speke(url, SpekeVersion::V2_0).with_method(Method::Get);
    let (report, _) = server.pack(&clip(), &keys).unwrap();
    let requests = server.requests.lock().unwrap();
    let [request] = requests.as_slice() else { panic!("{} requests", requests.len()) };
    assert_eq!(request.method, "GET");
    assert_eq!(request.url, "https://keys.example/v1/film-7/multikey?c=film-7");
    assert!(request.body.is_empty() && request.headers.is_empty());
    for track in &report.tracks {
        let byte = if track.kind == "video" { 1 } else { 2 };
        assert_eq!(track.kid, Kid::new([byte; 16]).to_string());
    }
}

#[test]
fn key_periods_are_asked_for_one_by_one_on_request() {
    let one_period = |request: &Request| match cpix::read(&request.body).unwrap().periods.len() {
        1 => Ok(cpix::write(&filled(request))),
        _ => Err("more than one ContentKeyPeriod"),
    };
    let server = Server::new(&one_period);
    let job = Job { rotate_every: Some(1), ..clip() };
    let all = speke("https://keys.example", SpekeVersion::V2_0);
    assert!(server.pack(&job, &all).unwrap_err().to_string().contains("more than one ContentKeyPeriod"));
    server.requests.lock().unwrap().clear();
    let (report, out) = server.pack(&job, &OnePeriod(Box::new(all))).unwrap();
    let asked: Vec<_> =
        server.documents().iter().map(|document| document.content_keys[0].kid.to_string()).collect();
    assert!(asked.len() > 1, "{asked:?}");
    for (number, document) in server.documents().iter().enumerate() {
        assert_eq!(document.periods[0].index, i64::try_from(number).ok());
        assert_eq!((document.content_keys.len(), document.usage_rules.len()), (1, 1));
        assert_eq!(document.drm_systems.len(), 1);
    }
    assert!(report.tracks.iter().all(|track| track.kids == asked), "{asked:?}");
    unpack(&out.path().join("manifest.mpd"), tempfile::tempdir().unwrap().path()).unwrap();
}

fn fixture(name: &str) -> Vec<u8> {
    fs::read(root().join("fixtures/recipient").join(name)).unwrap()
}

fn recipient() -> Recipient {
    let certificate = Certificate::parse(&fixture("certificate.der")).unwrap();
    Recipient::new(certificate, vec![RecipientKey::parse(&fixture("key.der")).unwrap()]).unwrap()
}

#[test]
fn an_answer_is_encrypted_for_the_certificate_in_the_request() {
    let encrypt = |request: &Request| {
        let recipients = cpix::recipients(&cpix::read(&request.body).unwrap()).unwrap();
        let mut answer = Original::parse(&cpix::write(&filled(request))).unwrap();
        let certificate = recipients.first().ok_or("no certificate")?;
        answer.encrypt(std::slice::from_ref(certificate), &SystemRandom).unwrap();
        Ok(answer.to_bytes().to_vec())
    };
    let server = Server::new(&encrypt);
    let recipient = Arc::new(recipient());
    for version in [SpekeVersion::V1, SpekeVersion::V2_0, SpekeVersion::V2_1] {
        let dialect = Dialect { version, recipient: Some(Arc::clone(&recipient)), ..Dialect::default() };
        let (_, out) = server.pack(&clip(), &speke("https://keys.example", dialect)).unwrap();
        unpack(&out.path().join("manifest.mpd"), tempfile::tempdir().unwrap().path()).unwrap();
        let error = server.pack(&clip(), &speke("https://keys.example", version)).unwrap_err().to_string();
        assert!(error.contains("no certificate"), "{error}");
    }
}

#[test]
fn keys_in_plain_text_are_not_what_a_certificate_asks_for() {
    let plain = |request: &Request| Ok(cpix::write(&filled(request)));
    let server = Server::new(&plain);
    let dialect = Dialect { recipient: Some(Arc::new(recipient())), ..Dialect::default() };
    let error = server.pack(&clip(), &speke("https://keys.example", dialect)).unwrap_err().to_string();
    assert!(error.contains("1 content keys in plain text"), "{error}");
    let certificate = Certificate::parse(&fixture("certificate.der")).unwrap();
    let error = Recipient::new(certificate, Vec::new()).unwrap_err().to_string();
    assert!(error.contains("no private key is that of the recipient's certificate"), "{error}");
}

#[test]
fn a_vendor_of_classes_is_asked_by_its_id_and_for_its_classes() {
    let rule = |request: &Request| match cpix::read(&request.body).unwrap().id.as_deref() {
        Some("film-7") => Ok(cpix::write(&filled(request))),
        _ => Err("content id is empty"),
    };
    let server = Server::new(&rule);
    let vendor = VENDORS.iter().find(|vendor| vendor.has_id).unwrap();
    let [video, audio] = vendor.presets.unwrap().map(|preset| Some(preset.to_owned()));
    let job = Job { video_preset: video, audio_preset: audio, ..clip() };
    for version in [SpekeVersion::V2_0, SpekeVersion::V2_1] {
        let with_id = Dialect { version, has_id: true, ..Dialect::default() };
        server.pack(&job, &speke("https://keys.example", with_id)).unwrap();
        assert!(server.pack(&job, &speke("https://keys.example", version)).is_err());
    }
    let asked = &server.documents()[0];
    let types: Vec<_> =
        asked.usage_rules.iter().filter_map(|rule| rule.intended_track_type.as_deref()).collect();
    assert_eq!(types, ["SD", "HD", "UHD1", "UHD2", "AUDIO"]);
    assert_eq!(asked.content_id.as_deref(), Some("film-7"));
}
