//! Targets that read documents: CPIX, answers of key servers, data of DRM systems, anything that `inspect` shows.

use std::collections::VecDeque;
use std::sync::Mutex;

use drm_pack::base::env::{Http, Request, Response};
use drm_pack::base::{Error, FourCc, Kid, Result};
use drm_pack::cpix::usage::{Media, Strictness, Track};
use drm_pack::cpix::{self, AudioFilter, Document, DrmSystem, VideoFilter};
use drm_pack::drm::{Pssh, System, recognize};
use drm_pack::inspect::{Samples, text};
use drm_pack::job::Job;
use drm_pack::keys::{
    Account, CencSigner, CpixFile, DrmToday, Endpoint, KeyFile, KeyServer, Speke, SpekeVersion, Wanted,
    request,
};

use super::oracle::{mdats, no_clear_mp4};
use super::seeds::fixture;
use super::world::{Folder, pack_with};
use super::{Outcome, refused};

/// A CPIX document: read, written and read again, resolved, and used as the source of keys.
pub(crate) fn cpix(data: &[u8]) -> Outcome {
    let Some((&options, bytes)) = data.split_first() else { return Outcome::Refused };
    let original = match cpix::Original::parse(bytes) {
        Ok(original) => original,
        Err(error) => return refused(&error),
    };
    assert!(original.to_bytes().as_slice() == bytes, "a document that was not edited is written as it was");
    let _ = original.findings(None).map_err(|error| refused(&error));
    let _ = cpix::verify_signatures(bytes, &[]).map_err(|error| refused(&error));
    let document = match cpix::read(bytes) {
        Ok(document) => document,
        Err(error) => return refused(&error),
    };
    let again = cpix::read(&cpix::write(&document)).expect("what was written is read");
    assert_eq!(again.content_keys.len(), document.content_keys.len());
    // Rules with filters that are not known are not written: they would reach other tracks.
    let known = document.usage_rules.iter().filter(|rule| rule.other_filters.is_empty()).count();
    assert_eq!(again.usage_rules.len(), known);
    let _ = cpix::recipients(&document).map_err(|error| refused(&error));
    let strictness = if options & 1 == 0 { Strictness::Speke } else { Strictness::Cpix };
    let video = Media::Video { pixels: Some(640 * 360), hdr: Some(false), wcg: None, fps: Some(25.0) };
    let tracks = [("v1", video), ("a1", Media::Audio { channels: Some(2) }), ("t1", Media::Other)];
    let tracks = tracks.map(|(name, media)| Track {
        name: name.into(),
        media,
        bitrate: Some(100_000),
        labels: vec!["SD".into()],
        period: document.periods.first().and_then(|period| period.id.clone()),
    });
    let _ = cpix::usage::resolve(&document, &tracks, strictness).map_err(|error| refused(&error));
    with_keys(&CpixFile::new(document, strictness))
}

/// Packs a segment with keys of any source.
fn with_keys(keys: &dyn KeyServer) -> Outcome {
    let playlist =
        b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:2,\n1.m4s\n#EXT-X-ENDLIST\n";
    let segment = fixture("clip/dash/2/5.m4s");
    let folder = Folder::of([
        ("index.m3u8", playlist.to_vec()),
        ("init.mp4", fixture("clip/dash/2/init.mp4")),
        ("1.m4s", segment.clone()),
    ]);
    let job = Job {
        inputs: vec!["index.m3u8".into()],
        drm: "widevine+playready".into(),
        scheme: Some("cenc".into()),
        ..Job::default()
    };
    match pack_with(&folder, &job, keys) {
        Ok((_, packed)) => {
            no_clear_mp4(&mdats(&segment), &packed, "cenc");
            Outcome::Taken
        }
        Err(error) => refused(&error),
    }
}

/// Answers of a key server, one behind the other; then it is gone.
struct Answers(Mutex<VecDeque<Response>>);

impl Http for Answers {
    fn send(&self, _: &Request) -> Result<Response> {
        self.0.lock().unwrap().pop_front().ok_or_else(|| Error::storage("no answer"))
    }

    fn wait(&self, _: u64, _: &str) {}
}

/// The request whose answers are fuzzed.
pub(crate) fn asked() -> Document {
    let wanted = [(1, "VIDEO"), (2, "AUDIO")].map(|(byte, track_type)| Wanted {
        id: None,
        kid: Kid::new([byte; 16]),
        explicit_iv: None,
        track_type: track_type.to_owned(),
        video: (byte == 1).then(VideoFilter::default),
        audio: (byte == 2).then(AudioFilter::default),
    });
    let widevine = drm_pack::drm::widevine::Widevine.system_id();
    let systems = wanted
        .each_ref()
        .map(|wanted| DrmSystem { pssh: Some(Vec::new()), ..DrmSystem::new(widevine, wanted.kid) });
    request("content", Some(FourCc(*b"cbcs")), &wanted, systems.to_vec())
}

/// Answers of key servers and sign-in servers, key files, keys of signers: parts end with a zero byte. The first
/// line of an answer is its status and `Location`.
pub(crate) fn answer(data: &[u8]) -> Outcome {
    let Some((&options, bytes)) = data.split_first() else { return Outcome::Refused };
    let answers = bytes.split(|byte| *byte == 0).map(|part| {
        let end = part.iter().position(|byte| *byte == b'\n').unwrap_or(part.len());
        let head = String::from_utf8_lossy(&part[..end]);
        let (status, location) = head.split_once(' ').unwrap_or((&head, ""));
        Response {
            status: status.parse().unwrap_or(200),
            headers: vec![("Location".into(), location.into()), ("Retry-After".into(), location.into())],
            body: part.get(end + 1..).unwrap_or_default().to_vec(),
        }
    });
    let http = Answers(Mutex::new(answers.collect()));
    let version = ["1", "2.0", "2.1"][usize::from(options & 3).min(2)];
    let version = SpekeVersion::find(version).expect("a version");
    let account = || Account {
        auth_url: "https://auth.example".into(),
        frontend_url: "https://fe.example".into(),
        organization: "org".into(),
        cpix_config: "config".into(),
        user: "user".into(),
        password: "secret-password".to_owned().into(),
    };
    let server: Box<dyn KeyServer> = match options >> 2 & 3 {
        0 => Box::new(Speke::new("https://keys.example/speke", Vec::new(), version).expect("an address")),
        1 => Box::new(DrmToday::new(account()).expect("an account").with_dialect(version)),
        2 => Box::new(DrmToday::new(account()).expect("an account").with_endpoint(Endpoint::Generate)),
        _ => {
            let text = String::from_utf8_lossy(bytes);
            let _ = CencSigner::parse(&text).map_err(|error| refused(&error));
            return match KeyFile::parse(&text) {
                Ok(file) => with_keys(&file),
                Err(error) => refused(&error),
            };
        }
    };
    match server.exchange(&http, asked()) {
        // Its rules choose among keys that were not asked for.
        Ok(answer) if server.rules().is_some() => with_keys(&CpixFile::new(answer, Strictness::Speke)),
        Ok(answer) => {
            let all = answer.content_keys.iter().all(|key| key.value.is_some());
            assert!(all && answer.content_keys.len() == 2, "keys are missing in what was taken");
            Outcome::Taken
        }
        Err(error) => {
            assert!(!error.to_string().contains("secret-password"), "the password is told");
            refused(&error)
        }
    }
}

/// `pssh` boxes, PlayReady objects, headers, Widevine data, in binary and in text.
pub(crate) fn pssh(data: &[u8]) -> Outcome {
    let Some((_, data)) = data.split_first() else { return Outcome::Refused };
    let found = Pssh::parse_all(data);
    if let Ok(found) = &found {
        let written: Vec<u8> = found.iter().flat_map(|pssh| pssh.write().expect("it was read")).collect();
        assert_eq!(Pssh::parse_all(&written).expect("it was written").len(), found.len());
    }
    let _ = recognize(data);
    for format in ["urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed", "com.microsoft.playready"] {
        let system = drm_pack::drm::find_key_format(format).map(|system| system.system_id());
        let _ = Pssh::of_key_uri(system, format, data).map_err(|error| refused(&error));
    }
    inspected(data)
}

/// Whatever `inspect` is given.
pub(crate) fn inspect(data: &[u8]) -> Outcome {
    data.split_first().map_or(Outcome::Refused, |(_, data)| inspected(data))
}

fn inspected(data: &[u8]) -> Outcome {
    let source = data.to_vec();
    match drm_pack::inspect::inspect(&source, Samples::Listed) {
        Ok(all) => {
            let shown = text(&all.node);
            let plain = |c: char| c == '\n' || !c.is_control();
            assert!(shown.chars().all(plain), "control characters reach a terminal");
            let _ = all.error.map(|error| refused(&error));
            Outcome::Taken
        }
        Err(error) => refused(&error),
    }
}
