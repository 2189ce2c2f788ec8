//! The Common Encryption key API: signed requests for the keys of track types, in JSON over HTTP.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::base::env::{Http, Request, Response};
use crate::base::{Error, Kid, Result, Secret, SystemId, base64, from_base64};
use crate::cpix::{ContentKey, ContentKeyUsageRule, Document, DrmSystem};
use crate::keys::request::refuse_several;
use crate::keys::transport::{Telling, with_retries};
use crate::keys::{CencSigner, KeyServer};

/// Track types of video, and the most pixels of each.
const VIDEO_TYPES: &[(&str, u32)] =
    &[("SD", 589_824), ("HD", 2_073_600), ("UHD1", 8_847_360), ("UHD2", u32::MAX)];
/// The track type of audio.
const AUDIO_TYPE: &str = "AUDIO";
/// Statuses that refuse a request, in words.
const REFUSALS: &[(&str, &str, &str)] = &[
    ("ACCESS_DENIED", "the signer has no access", "check the signer's rights at the vendor"),
    ("CONTENT_ID_MISSING", "the content id is missing", "give --resource-id"),
    ("INTERNAL_ERROR", "the key server has an internal error", "try again later"),
    ("INVALID_PSSH", "the pssh is not one of the key server's", "ask by content id"),
    (
        "MALFORMED_REQUEST",
        "the key server does not understand the request",
        "check that the URL is that of the key API: license URLs answer like this",
    ),
    ("POLICY_UNKNOWN", "the policy is unknown", "check --policy"),
    ("SIGNATURE_FAILED", "the signature is wrong", "check --signer and --signer-key-file"),
    ("TRACK_TYPE_MISSING", "no track type was asked for", "report this"),
    ("TRACK_TYPE_UNKNOWN", "a track type is unknown to the key server", "use preset0"),
];
/// The one status after which the same request may succeed.
const TRY_AGAIN: &str = "INTERNAL_ERROR";
/// Waits between tries after [`TRY_AGAIN`], in milliseconds.
const WAITS: &[u64] = &[1_000, 2_000, 4_000, 8_000];

/// A server of the Common Encryption key API.
#[derive(Debug)]
pub struct CencApi {
    /// Where requests go.
    pub url: String,
    /// The signer's name and key; some servers want none.
    pub signer: Option<(String, CencSigner)>,
    /// The policy that licenses follow; may be empty.
    pub policy: String,
    /// The DRM system that is asked for, as the API names it.
    pub drm_type: String,
    /// The same system's id, to which the answer's `pssh` belongs.
    pub system_id: SystemId,
}

#[derive(Serialize)]
struct Inner<'a> {
    content_id: String,
    policy: &'a str,
    tracks: Vec<TrackType<'a>>,
    drm_types: [&'a str; 1],
    protection_scheme: u32,
}

#[derive(Serialize)]
struct TrackType<'a> {
    #[serde(rename = "type")]
    track_type: &'a str,
}

#[derive(Serialize)]
struct Outer<'a> {
    request: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signer: Option<&'a str>,
}

/// The answer, as far as it is read.
#[derive(Deserialize)]
struct Answer {
    status: String,
    #[serde(default)]
    tracks: Vec<AnsweredTrack>,
}

#[derive(Deserialize)]
struct AnsweredTrack {
    #[serde(rename = "type")]
    track_type: String,
    key_id: String,
    key: String,
    #[serde(default)]
    iv: Option<String>,
    #[serde(default)]
    pssh: Vec<AnsweredPssh>,
}

#[derive(Deserialize)]
struct AnsweredPssh {
    #[serde(default)]
    data: Option<String>,
    #[serde(default)]
    boxes: Option<String>,
}

impl Drop for AnsweredTrack {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.key);
    }
}

impl KeyServer for CencApi {
    fn exchange(&self, http: &dyn Http, request: Document) -> Result<Document> {
        refuse_several(&request, "this key API")?;
        let types = track_types(&request)?;
        let inner = self.inner(&request, &types)?;
        let answer = self.ask(http, inner.as_bytes())?;
        self.filled(request, &types, &answer)
    }
}

/// The track type of each requested key, unlike that of every other: the API has one key for a type.
fn track_types(request: &Document) -> Result<Vec<&'static str>> {
    let mut types: Vec<&'static str> = Vec::new();
    for key in &request.content_keys {
        let rule = request.usage_rules.iter().find(|rule| rule.kid == key.kid);
        let found = rule.map_or("SD", track_type);
        if types.contains(&found) {
            return Err(Error::usage(format!(
                "two keys are wanted for tracks of type {found}, this key API has one"
            ))
            .hint("use preset0, or --video-preset and --audio-preset, which give a key to each type"));
        }
        types.push(found);
    }
    Ok(types)
}

/// By its word when that is a type, else by its filters: audio alone is `AUDIO`, pictures go by their most pixels.
fn track_type(rule: &ContentKeyUsageRule) -> &'static str {
    let word = rule.intended_track_type.as_deref().unwrap_or_default();
    let known = VIDEO_TYPES.iter().map(|(name, _)| *name).chain([AUDIO_TYPE]).find(|name| *name == word);
    if let Some(known) = known {
        return known;
    }
    let Some(filter) = rule.video_filters.first() else {
        return if rule.audio_filters.is_empty() { "SD" } else { AUDIO_TYPE };
    };
    let pixels = filter.max_pixels.or(filter.min_pixels).unwrap_or(0);
    VIDEO_TYPES.iter().find(|(_, most)| pixels <= *most).map_or("UHD2", |(name, _)| *name)
}

impl CencApi {
    fn inner(&self, request: &Document, types: &[&str]) -> Result<String> {
        let scheme = request.content_keys.iter().find_map(|key| key.common_encryption_scheme);
        let scheme = scheme.ok_or_else(|| Error::keys("the request names no protection scheme"))?;
        let inner = Inner {
            content_id: base64(request.content_id.as_deref().unwrap_or_default().as_bytes()),
            policy: &self.policy,
            tracks: types.iter().map(|track_type| TrackType { track_type }).collect(),
            drm_types: [&self.drm_type],
            protection_scheme: u32::from_be_bytes(scheme.0),
        };
        serde_json::to_string(&inner)
            .map_err(|error| Error::keys(format!("the request cannot be written: {error}")))
    }

    /// Sends the signed request, again after an internal error of the server.
    fn ask(&self, http: &dyn Http, inner: &[u8]) -> Result<Answer> {
        let signature = self.signer.as_ref().map(|(_, signer)| signer.sign(inner)).transpose()?;
        let outer = Outer {
            request: base64(inner),
            signature: signature.as_deref().map(base64),
            signer: self.signer.as_ref().map(|(name, _)| name.as_str()),
        };
        let body = serde_json::to_vec(&outer).map_err(|_| Error::keys("the request cannot be written"))?;
        let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        let request = Request { method: "POST", url: self.url.clone(), headers, body };
        let telling = Telling::of(&request);
        let at = |error: Error| error.at(telling.place());
        let mut waits = WAITS.iter();
        loop {
            let response = with_retries(http, || http.send(&request)).map_err(at)?;
            let answer = answer(&telling, &response).map_err(at)?;
            match answer.status.as_str() {
                "OK" => return Ok(answer),
                TRY_AGAIN => match waits.next() {
                    Some(wait) => http.wait(*wait, "the key server has an internal error"),
                    None => return Err(at(refused(TRY_AGAIN))),
                },
                status => return Err(at(refused(status))),
            }
        }
    }

    fn filled(&self, request: Document, types: &[&str], answer: &Answer) -> Result<Document> {
        let mut kids: Vec<(Kid, Kid)> = Vec::new();
        let mut content_keys = Vec::new();
        let mut systems = Vec::new();
        for (wanted, track_type) in request.content_keys.iter().zip(types) {
            let at = |error: Error| error.at(format_args!("track type {track_type}"));
            let track = answer.tracks.iter().find(|track| track.track_type == *track_type);
            let track = track.ok_or_else(|| at(Error::keys("the answer has no key of this type")))?;
            let key = content_key(wanted, track).map_err(at)?;
            let mut system = DrmSystem::new(self.system_id, key.kid);
            let pssh = track.pssh.iter().find_map(|pssh| pssh.boxes.as_deref().or(pssh.data.as_deref()));
            system.pssh =
                pssh.map(from_base64).transpose().map_err(|_| at(Error::keys("the pssh is not base64")))?;
            systems.push(system);
            kids.push((wanted.kid, key.kid));
            content_keys.push(key);
        }
        let mut document = request;
        document.content_keys = content_keys;
        document.drm_systems = systems;
        for rule in &mut document.usage_rules {
            if let Some((_, new)) = kids.iter().find(|(old, _)| *old == rule.kid) {
                rule.kid = *new;
            }
        }
        Ok(document)
    }
}

fn content_key(wanted: &ContentKey, track: &AnsweredTrack) -> Result<ContentKey> {
    let sixteen = |text: &str, what: &str| -> Result<[u8; 16]> {
        let bytes = from_base64(text).map_err(|_| Error::keys(format!("the {what} is not base64")))?;
        let length = bytes.len();
        <[u8; 16]>::try_from(bytes)
            .map_err(|_| Error::keys(format!("the {what} has {length} bytes, expected 16")))
    };
    let mut key = ContentKey::new(Kid::new(sixteen(&track.key_id, "key id")?));
    key.id.clone_from(&wanted.id);
    key.common_encryption_scheme = wanted.common_encryption_scheme;
    key.explicit_iv = match track.iv.as_deref().filter(|iv| !iv.is_empty()) {
        Some(iv) => Some(sixteen(iv, "IV")?),
        None => wanted.explicit_iv,
    };
    key.value = Some(Secret::new(sixteen(&track.key, "key")?));
    Ok(key)
}

/// The answer is wrapped in `response`; errors are known to come bare, also with status 200.
fn answer(telling: &Telling<'_>, response: &Response) -> Result<Answer> {
    let wrong = |what: &str| {
        let error =
            Error::keys(format!("status {}, {what}: {:?}", response.status, telling.line(&response.body)));
        error.hint(match response.status {
            200 => "check that the URL is that of the key API",
            status => telling.refusal(status).1.unwrap_or("check that the URL is that of the key API"),
        })
    };
    let outer: Value = serde_json::from_slice(&response.body).map_err(|_| wrong("the answer is not JSON"))?;
    let inner = match outer.get("response").and_then(Value::as_str) {
        Some(text) => {
            let bytes =
                zeroize::Zeroizing::new(from_base64(text).map_err(|_| wrong("the answer is not base64"))?);
            serde_json::from_slice(&bytes)
        }
        None => serde_json::from_value(outer),
    };
    inner.map_err(|_| wrong("the answer lacks what it should say"))
}

fn refused(status: &str) -> Error {
    // The status about a box has the DRM system's name in its middle.
    let names_system = status.starts_with("INVALID_") && status.ends_with("_PSSH");
    let status = if names_system { "INVALID_PSSH" } else { status };
    match REFUSALS.iter().find(|(name, ..)| *name == status) {
        Some((name, words, hint)) => Error::keys(format!("{words} ({name})")).hint(*hint),
        None => Error::keys("the key server answers with a status that is not known"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{FourCc, Kind};
    use crate::cpix::{AudioFilter, VideoFilter};
    use crate::keys::scripted::{Script, answer, step};
    use crate::keys::{Wanted, check, request};

    const URL: &str = "https://keys.example/getcontentkey/acme";
    const SYSTEM: SystemId = SystemId::new([0xab; 16]);

    fn server() -> CencApi {
        let signer = CencSigner::Aes(Secret::new([0x5e; 32]), Secret::new([0x5f; 16]));
        CencApi {
            url: URL.into(),
            signer: Some(("acme".into(), signer)),
            policy: String::new(),
            drm_type: "TEST".into(),
            system_id: SYSTEM,
        }
    }

    fn wanted(track_type: &str, pixels: Option<u32>) -> Wanted {
        let video = VideoFilter { max_pixels: pixels, ..VideoFilter::default() };
        Wanted {
            id: None,
            kid: Kid::new([u8::try_from(track_type.len()).unwrap(); 16]),
            explicit_iv: None,
            track_type: track_type.into(),
            video: pixels.map(|_| video),
            audio: pixels.is_none().then(AudioFilter::default),
        }
    }

    fn two() -> Document {
        let wanted = [wanted("VIDEO_1", Some(640 * 360)), wanted("SOUND", None)];
        let systems = wanted.iter().map(|wanted| DrmSystem::new(SYSTEM, wanted.kid)).collect();
        request("drm-pack", Some(FourCc(*b"cbcs")), &wanted, systems)
    }

    fn good() -> String {
        let track = |track_type: &str, byte: u8| {
            let bytes = base64(&[byte; 16]);
            format!(
                "{{\"type\":\"{track_type}\",\"key_id\":\"{bytes}\",\"key\":\"{}\",\"pssh\":[{{\"drm_type\":\"TEST\",\"data\":\"AAEC\"}}]}}",
                base64(&[byte + 1; 16])
            )
        };
        let inner = format!("{{\"status\":\"OK\",\"tracks\":[{},{}]}}", track("SD", 7), track("AUDIO", 8));
        format!("{{\"response\":\"{}\"}}", base64(inner.as_bytes()))
    }

    #[test]
    fn keys_go_to_the_tracks_of_their_type() {
        let script = Script::new(vec![step(URL, "\"signer\":\"acme\"", answer(200, &[], &good()))]);
        let asked = two();
        let document = check(&asked, server().exchange(&script, asked.clone()).unwrap()).unwrap();
        let kids: Vec<_> = document.content_keys.iter().map(|key| key.kid).collect();
        assert_eq!(kids, [Kid::new([7; 16]), Kid::new([8; 16])]);
        assert_eq!(document.content_keys[1].value.as_ref().unwrap().expose(), &[9; 16]);
        let pssh = document.drm_systems[0].pssh.as_ref().unwrap();
        assert_eq!((&pssh[4..8], &pssh[32..]), (&b"pssh"[..], &[0, 1, 2][..]), "a payload gets its box");
        assert!(script.is_done());
    }

    #[test]
    fn the_request_has_the_form_of_the_api() {
        let inner = server().inner(&two(), &["SD", "AUDIO"]).unwrap();
        assert_eq!(
            inner,
            "{\"content_id\":\"ZHJtLXBhY2s=\",\"policy\":\"\",\"tracks\":[{\"type\":\"SD\"},{\"type\":\"AUDIO\"}],\
             \"drm_types\":[\"TEST\"],\"protection_scheme\":1667392371}"
        );
    }

    #[test]
    fn pictures_go_by_their_pixels_and_a_type_has_one_key() {
        for (pixels, name) in [(589_824, "SD"), (589_825, "HD"), (2_073_601, "UHD1"), (8_847_361, "UHD2")] {
            let asked = request("c", Some(FourCc(*b"cenc")), &[wanted("VIDEO_1", Some(pixels))], Vec::new());
            assert_eq!(track_types(&asked).unwrap(), [name]);
        }
        let same = [wanted("VIDEO_1", Some(1)), wanted("ANOTHER_2", Some(2))];
        let error = track_types(&request("c", Some(FourCc(*b"cenc")), &same, Vec::new())).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
    }

    #[test]
    fn each_refusal_is_said_in_words_bare_or_wrapped() {
        for (status, words, _) in REFUSALS.iter().filter(|(status, ..)| *status != TRY_AGAIN) {
            let bare = format!("{{\"status\":\"{status}\"}}");
            let wrapped = format!("{{\"response\":\"{}\"}}", base64(bare.as_bytes()));
            for body in [bare, wrapped] {
                let script = Script::new(vec![step(URL, "", answer(200, &[], &body))]);
                let error = server().exchange(&script, two()).unwrap_err();
                assert_eq!(error.kind(), Kind::Keys);
                assert!(error.to_string().contains(words), "{error}");
            }
        }
    }

    #[test]
    fn the_status_about_a_box_is_known_by_its_ends() {
        let script =
            Script::new(vec![step(URL, "", answer(200, &[], "{\"status\":\"INVALID_SYSTEM_PSSH\"}"))]);
        let error = server().exchange(&script, two()).unwrap_err().to_string();
        assert!(error.contains("the pssh is not one of the key server's"), "{error}");
    }

    #[test]
    fn an_internal_error_is_tried_again_and_nothing_else() {
        let internal = "{\"status\":\"INTERNAL_ERROR\"}";
        let script = Script::new(vec![
            step(URL, "", answer(200, &[], internal)),
            step(URL, "", answer(200, &[], &good())),
        ]);
        assert!(server().exchange(&script, two()).is_ok());
        assert_eq!(*script.waits.lock().unwrap(), [1_000]);
        let script = Script::new((0..5).map(|_| step(URL, "", answer(200, &[], internal))).collect());
        assert!(server().exchange(&script, two()).is_err());
        assert_eq!(script.waits.lock().unwrap().len(), 4);
    }

    #[test]
    fn other_answers_are_errors_without_secrets() {
        let short = good().replace("response", "wrong");
        for body in ["", "<html>", "{}", "[]", "{\"response\":\"!\"}", "{\"response\":\"e30=\"}", &short] {
            let script = Script::new(vec![step(URL, "", answer(200, &[], body))]);
            let error = server().exchange(&script, two()).unwrap_err();
            assert_eq!(error.kind(), Kind::Keys, "{body}");
            assert!(!error.to_string().contains("BwcHBwcH"), "{error}");
        }
        assert!(!format!("{:?}", server()).contains("94"), "a signer key is not printed");
    }
}
