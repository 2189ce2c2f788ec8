//! The table of vendors: a server of each, made from its public description, which refuses everything else — SPEKE 2.0,
//! DASH-IF CPIX 2.3.

use std::process::Command;

use drm_pack::base::env::{Http, Request, Response};
use drm_pack::base::{Kid, Kind, Result};
use drm_pack::cpix::{self, AudioFilter, ContentKey, ContentKeyUsageRule, Document, VideoFilter};
use drm_pack::io::{AwsSigner, FileStore};
use drm_pack::job::{Env, Job, run};
use drm_pack::keys::{Account, DrmToday, KeyServer, Login, Method, Speke, VENDORS, Vendor, basic};
use drm_pack::package::Preset;
use secrecy::SecretString;

use crate::support::key_server::filled;
use crate::support::media::root;
use crate::support::pack::{SEED, key, open_input};

const TOKEN: &str = "to/ken+Marked==";
const PASSWORD: &str = "pass&Marked";

/// What a vendor's server wants, and what it says when that is not so.
struct Script {
    name: &'static str,
    /// The address that the operator gives, where each account has its own.
    given: Option<&'static str>,
    method: &'static str,
    url: &'static str,
    /// Headers that are there, whole or from their beginning on.
    headers: &'static [(&'static str, &'static str)],
    /// Whether the content id is in `CPIX/@id`.
    has_id: bool,
    most_keys: usize,
    /// What is said to the one who is wrong, with its status; in a header where the vendor has one.
    refusal: (u16, Option<&'static str>, &'static str),
}

const PLAIN: Script = Script {
    name: "",
    given: None,
    method: "POST",
    url: "",
    headers: &[("Content-Type", "application/xml"), ("X-Speke-Version", "2.0")],
    has_id: false,
    most_keys: 100,
    refusal: (401, None, "Authorization required"),
};

const SCRIPTS: &[Script] = &[
    Script {
        name: "castlabs",
        url: "https://fe.drmtoday.com/frontend/cpix/v1/org-1/ingest/cfg-1?ticket=ST-1",
        most_keys: 9,
        refusal: (403, None, "the account may not ingest keys"),
        ..PLAIN
    },
    Script {
        name: "pallycon",
        url: "https://kms.pallycon.com/v2/cpix/pallycon/getKey/to%2Fken%2BMarked%3D%3D",
        has_id: true,
        most_keys: 5,
        refusal: (200, None, "{\"error_code\":\"A1003\",\"error_message\":\"enc-token is invalid\"}"),
        ..PLAIN
    },
    Script {
        name: "ezdrm",
        method: "GET",
        url: "https://cpix.ezdrm.com/KeyGenerator/cpix.aspx?k=KID&u=me&p=pass%26Marked&c=film-7",
        headers: &[],
        refusal: (200, None, "<html><body>Invalid user</body></html>"),
        ..PLAIN
    },
    Script {
        name: "keyos",
        url: "https://cpix.keyos.com/api/v4/getKeysNoEncryption?auth-token=to%2Fken%2BMarked%3D%3D",
        headers: &[
            ("Content-Type", "text/xml; charset=utf-8"),
            ("SOAPAction", "http://tempuri.org/ISmoothPackager/RequestEncryptionInfo"),
        ],
        has_id: true,
        refusal: (400, None, "the token is not signed by a known certificate"),
        ..PLAIN
    },
    Script {
        name: "vudrm",
        method: "GET",
        url: "https://cpix.vudrm.tech/v1/cpix/org-1/film-7",
        headers: &[("API-KEY", TOKEN)],
        refusal: (403, None, "{\"message\":\"Forbidden client\"}"),
        ..PLAIN
    },
    Script {
        name: "axinom",
        url: "https://key-server-management.axprod.net/api/SpekeV2",
        headers: &[("Content-Type", "application/xml"), ("Authorization", "Basic bWU6cGFzcyZNYXJrZWQ=")],
        refusal: (400, Some("X-AxDRM-ErrorMessage"), "The tenant is not known"),
        ..PLAIN
    },
    Script {
        name: "irdeto",
        given: Some("https://acme.example/tkm/v2/acme/contents/{content_id}/copyProtectionData"),
        url: "https://acme.example/tkm/v2/acme/contents/film-7/copyProtectionData",
        headers: &[("Content-Type", "text/xml"), ("Authorization", "Basic bWU6cGFzcyZNYXJrZWQ=")],
        refusal: (404, None, "Content is not registered"),
        ..PLAIN
    },
    Script {
        name: "nagra",
        given: Some("https://acme.example/ssp/cpix"),
        url: "https://acme.example/ssp/cpix",
        headers: &[("nv-authorizations", TOKEN)],
        refusal: (401, None, "no CKM privilege"),
        ..PLAIN
    },
    Script {
        name: "verimatrix",
        given: Some("https://acme.example/cpix"),
        url: "https://acme.example/cpix",
        headers: &[("Authorization", "Bearer to/ken+Marked==")],
        refusal: (401, None, "JWT expired"),
        ..PLAIN
    },
    Script {
        name: "aws",
        given: Some("https://a1.execute-api.eu-west-1.amazonaws.com/prod/copyProtection"),
        url: "https://a1.execute-api.eu-west-1.amazonaws.com/prod/copyProtection",
        headers: &[("authorization", "AWS4-HMAC-SHA256 Credential=AKID/"), ("x-amz-date", "20")],
        refusal: (403, None, "{\"message\":\"The security token included in the request is invalid.\"}"),
        ..PLAIN
    },
    Script {
        name: "sdmc",
        given: Some("https://acme.example/speke"),
        url: "https://acme.example/speke",
        refusal: (422, None, "Missing CPIX encryption contract"),
        ..PLAIN
    },
    Script {
        name: "sigmadrm",
        given: Some("https://acme.example/assets/ingest/cpix/v2/{org}/app"),
        url: "https://acme.example/assets/ingest/cpix/v2/org-1/app",
        headers: &[("x-access-token", TOKEN)],
        refusal: (400, None, "access token is not valid"),
        ..PLAIN
    },
];

/// How the tracks of the ladder share keys.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sharing {
    One,
    Each,
    Contract,
}

impl Sharing {
    fn apply(self, job: Job) -> Job {
        let preset = |name: &str| Some(name.to_owned());
        match self {
            Self::One => Job { preset: Preset::Preset0, ..job },
            Self::Each => Job { preset: Preset::Preset1, ..job },
            Self::Contract => {
                Job { video_preset: preset("PRESET-VIDEO-4"), audio_preset: preset("PRESET-AUDIO-1"), ..job }
            }
        }
    }

    /// A document of the server's own, for those that are asked by GET.
    fn document(self) -> Document {
        let mut document = Document::default();
        let mut add = |byte: u8, rule: &dyn Fn(ContentKeyUsageRule) -> ContentKeyUsageRule| {
            let kid = Kid::new([byte; 16]);
            document.content_keys.push(ContentKey { value: Some(key(kid)), ..ContentKey::new(kid) });
            document.usage_rules.push(rule(ContentKeyUsageRule::new(kid)));
        };
        match self {
            Self::One => add(1, &|rule| rule),
            Self::Each => {
                for (byte, label) in (1..).zip(["v1", "v2", "v3", "a1", "a2"]) {
                    add(byte, &|rule| ContentKeyUsageRule { label_filters: vec![label.to_owned()], ..rule });
                }
            }
            Self::Contract => {
                add(1, &|rule| ContentKeyUsageRule { video_filters: vec![VideoFilter::default()], ..rule });
                add(2, &|rule| ContentKeyUsageRule { audio_filters: vec![AudioFilter::default()], ..rule });
            }
        }
        document
    }
}

/// A server that answers as its script says.
struct Server<'a> {
    script: &'a Script,
    sharing: Sharing,
    /// Whether the one who asks is known.
    is_known: bool,
}

impl Server<'_> {
    fn answer(&self, request: &Request) -> std::result::Result<Document, String> {
        let script = self.script;
        let expect = |what: &str, found: &str, expected: &str| {
            (found == expected)
                .then_some(())
                .ok_or_else(|| format!("{what} {found:?}, {expected:?} expected"))
        };
        expect("method", request.method, script.method)?;
        let kid = request.url.split(['?', '&']).find_map(|part| part.strip_prefix("k="));
        let url = kid.map_or_else(|| request.url.clone(), |kid| request.url.replace(kid, "KID"));
        expect("address", &url, script.url)?;
        for (name, expected) in script.headers {
            let mut headers = request.headers.iter().filter(|(found, _)| found == name);
            let value = headers.next().map_or("", |(_, value)| value);
            let shown = value.get(..expected.len()).unwrap_or(value);
            expect(name, if name.starts_with(char::is_lowercase) { shown } else { value }, expected)?;
        }
        if script.method == "GET" {
            return kid
                .is_none_or(|kid| Kid::parse(kid).is_ok())
                .then(|| self.sharing.document())
                .ok_or_else(|| "k".into());
        }
        let asked = cpix::read(&request.body).unwrap();
        expect(
            "CPIX/@id",
            asked.id.as_deref().unwrap_or_default(),
            if script.has_id { "film-7" } else { "" },
        )?;
        expect("CPIX/@contentId", asked.content_id.as_deref().unwrap_or_default(), "film-7")?;
        if asked.content_keys.len() > script.most_keys {
            return Err(format!("{} keys", asked.content_keys.len()));
        }
        Ok(filled(request))
    }
}

impl Http for Server<'_> {
    fn send(&self, request: &Request) -> Result<Response> {
        let (status, name, text) = self.script.refusal;
        let response =
            |status, headers, body: &str| Response { status, headers, body: body.as_bytes().to_vec() };
        if request.url.contains("/cas/v1/tickets") {
            let headers =
                vec![("Location".to_owned(), "https://auth.drmtoday.com/cas/v1/tickets/TGT-1".to_owned())];
            let is_sign_in = request.url.ends_with("/tickets");
            return Ok(if is_sign_in { response(201, headers, "") } else { response(200, headers, "ST-1") });
        }
        if !self.is_known {
            let header = name.map(|name| (name.to_owned(), text.to_owned()));
            return Ok(response(
                status,
                header.into_iter().collect(),
                if name.is_some() { "" } else { text },
            ));
        }
        Ok(match self.answer(request) {
            Ok(document) => Response { status: 200, headers: Vec::new(), body: cpix::write(&document) },
            Err(text) => response(418, Vec::new(), &text),
        })
    }

    fn wait(&self, _milliseconds: u64, _why: &str) {}
}

/// The key server of an account, as the command makes it of its options.
fn key_server(vendor: &Vendor, script: &Script) -> Box<dyn KeyServer> {
    use drm_pack::keys::Auth;
    let secret = |text: &str| SecretString::from(text);
    if vendor.auth == Auth::Ticket {
        let account = Account {
            auth_url: "https://auth.drmtoday.com".into(),
            frontend_url: "https://fe.drmtoday.com".into(),
            organization: "org-1".into(),
            cpix_config: "cfg-1".into(),
            user: "me".into(),
            password: secret(PASSWORD),
        };
        return Box::new(DrmToday::new(account).unwrap().with_dialect(vendor.dialect()));
    }
    let takes_token =
        matches!(vendor.auth, Auth::Bearer | Auth::Header(_)) || script.url.contains("Marked%3D");
    let login = Login {
        org: Some("org-1".into()),
        user: Some("me".into()),
        password: Some(secret(PASSWORD)),
        token: takes_token.then(|| secret(TOKEN)),
    };
    let headers = (vendor.auth == Auth::Basic).then(|| basic("me", &secret(PASSWORD)).unwrap());
    let server: Speke =
        vendor.server(script.given, login, headers.into_iter().collect(), vendor.dialect()).unwrap();
    if vendor.auth != Auth::Signature {
        return Box::new(server);
    }
    let signer = AwsSigner {
        access_key_id: "AKID".into(),
        secret_access_key: secret(PASSWORD),
        session_token: Some(secret(TOKEN)),
        region: "eu-west-1".into(),
    };
    Box::new(server.signed_by(Box::new(move |request| signer.sign(request))))
}

/// Three renditions of pictures and two of sound.
fn ladder() -> Job {
    let files =
        ["mp4/video_180.mp4", "mp4/video_360.mp4", "codecs/av1.mp4", "mp4/audio.m4a", "codecs/opus.mp4"];
    let path = |file: &str| root().join("fixtures/clip").join(file).to_str().unwrap().to_owned();
    Job {
        inputs: files.map(path).to_vec(),
        drm: "widevine+playready".into(),
        scheme: Some("cenc".into()),
        resource_id: Some("film-7".into()),
        ..Job::default()
    }
}

fn packed(job: &Job, keys: &dyn KeyServer, http: &dyn Http) -> Result<(usize, tempfile::TempDir)> {
    let out = tempfile::tempdir().unwrap();
    let store = FileStore::new(out.path());
    let env = Env { open_input: &open_input, output: &store, keys, http, journal: None, observe: &|_| {} };
    let report = run(job, &env)?;
    let mut kids: Vec<_> = report.tracks.iter().map(|track| track.kid.clone()).collect();
    kids.sort();
    kids.dedup();
    Ok((kids.len(), out))
}

#[test]
fn every_vendor_gives_keys_for_a_ladder_and_says_in_its_own_words_what_is_wrong() {
    for script in SCRIPTS {
        let vendor = Vendor::find(script.name).unwrap();
        let keys = key_server(vendor, script);
        assert_eq!(vendor.method == Method::Get, script.method == "GET");
        for (sharing, count) in [(Sharing::One, 1), (Sharing::Each, 5), (Sharing::Contract, 2)] {
            let server = Server { script, sharing, is_known: true };
            let job = Job { max_substreams: vendor.max_substreams, ..sharing.apply(ladder()) };
            let done = packed(&job, keys.as_ref(), &server);
            let (kids, out) = done.unwrap_or_else(|error| panic!("{} {sharing:?}: {error}", script.name));
            assert_eq!(kids, count, "{} {sharing:?}", script.name);
            let mut command = Command::new(env!("CARGO_BIN_EXE_drm-pack"));
            let output = command.arg("verify").arg(out.path()).args(["--dev-keys", SEED]).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{} {sharing:?}: {said}", script.name);
        }
        let server = Server { script, sharing: Sharing::One, is_known: false };
        let error = packed(&Sharing::One.apply(ladder()), keys.as_ref(), &server).unwrap_err();
        assert_eq!(error.kind(), Kind::Keys, "{}: {error}", script.name);
        let text = error.to_string();
        // Of a page nothing is repeated but that it is one.
        let words = if script.refusal.2.starts_with('<') { "an HTML page" } else { script.refusal.2 };
        let words = words.replace('"', "\\\"");
        assert!(text.contains(&words), "{}: {text}", script.name);
        assert!(!text.contains("Marked") && !text.contains("to%2Fken"), "{}: {text}", script.name);
    }
}

#[test]
fn every_row_of_the_table_has_a_server_here() {
    for vendor in VENDORS {
        assert!(SCRIPTS.iter().any(|script| script.name == vendor.name()), "{}", vendor.name());
    }
    for name in ["drmtoday", "doverunner", "buydrm", "jw"] {
        Vendor::find(name).unwrap();
    }
}

#[test]
fn ids_that_a_vendor_refuses_are_not_sent() {
    let script = SCRIPTS.iter().find(|script| script.name == "sdmc").unwrap();
    let keys = key_server(Vendor::find("sdmc").unwrap(), script);
    let server = Server { script, sharing: Sharing::One, is_known: true };
    let job = Job { resource_id: Some("film_7".into()), ..ladder() };
    let error = packed(&job, keys.as_ref(), &server).unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.to_string().contains("content id \"film_7\", the key server takes 1 to 128"), "{error}");
}

/// What the operator says stands in place of the row's own header, whatever the case of its name.
#[test]
fn a_header_of_the_operator_replaces_that_of_the_row() {
    for (name, header, login) in [
        ("keyos", "soapaction", Login::default()),
        ("nagra", "NV-Authorizations", Login { token: Some(TOKEN.into()), ..Login::default() }),
        ("verimatrix", "authorization", Login { token: Some(TOKEN.into()), ..Login::default() }),
        ("irdeto", "content-type", Login::default()),
    ] {
        let vendor = Vendor::find(name).unwrap();
        let own = vec![(header.to_owned(), SecretString::from("mine"))];
        let answers = |request: &Request| Ok(cpix::write(&filled(request)));
        let server = crate::support::key_server::Server::new(&answers);
        let keys = vendor.server(Some("https://k.example/{content_id}"), login, own, vendor.dialect());
        let job = Sharing::One.apply(ladder());
        server.pack(&job, &keys.unwrap()).unwrap();
        let requests = server.requests.lock().unwrap();
        let sent = requests[0].headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(header));
        assert_eq!(sent.map(|(_, value)| value.as_str()).collect::<Vec<_>>(), ["mine"], "{name}");
    }
}

#[test]
fn a_content_id_is_held_to_the_row_and_that_of_files_to_nothing() {
    let long = "x".repeat(200);
    let job = Job { resource_id: Some(long.clone()), ..Sharing::One.apply(ladder()) };
    let answers = |request: &Request| Ok(cpix::write(&filled(request)));
    let server = crate::support::key_server::Server::new(&answers);
    let server_of = |name: &str| {
        let vendor = Vendor::find(name).unwrap();
        vendor.server(Some("https://k.example"), Login::default(), Vec::new(), vendor.dialect()).unwrap()
    };
    server.pack(&job, &server_of("pallycon")).unwrap();
    let text = server.pack(&job, &server_of("axinom")).unwrap_err().to_string();
    assert!(text.contains("the key server takes 1 to 128"), "{text}");
    let spaced = Job { resource_id: Some("Film 7, part 2".into()), ..job };
    assert!(server.pack(&spaced, &drm_pack::keys::DevKeys::new(SEED)).is_ok());
}

/// Runs the command with a vendor.
fn command(verb: &str, options: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drm-pack"));
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION"] {
        command.env_remove(name);
    }
    command.arg(verb).args(&ladder().inputs).args(["--drm", "widevine", "--resource-id", "film-7"]);
    let output = command.args(options).env_remove("DRM_PACK_KEY_SERVER_URL").output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

#[test]
fn a_plan_shows_what_would_be_sent_to_a_vendor_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, TOKEN).unwrap();
    let token = ["--vendor-token-file", token.to_str().unwrap()];
    let (code, said) = command("plan", &["--vendor", "vudrm", "--org", "org-1"]);
    assert!(code == 0 && said.contains("GET https://cpix.vudrm.tech/v1/cpix/org-1/film-7"), "{said}");
    assert!(said.contains("rules of its own"), "{said}");
    let (code, said) = command("plan", &[&["--vendor", "ezdrm"], &token[..]].concat());
    assert!(code == 0 && said.contains("GET https://cpix.ezdrm.com/") && !said.contains("Marked"), "{said}");
    let (code, said) = command("plan", &["--vendor", "keyos"]);
    assert!(code == 0 && said.contains(" id=\"film-7\"") && said.contains("<cpix:ContentKeyList>"), "{said}");
    let (code, said) =
        command("plan", &["--method", "GET", "--key-server-url", "https://k.example/{content_id}?t=Marked"]);
    assert!(code == 0 && said.contains("GET https://k.example/film-7?t=…"), "{said}");
    let (code, said) = command("plan", &["--vendor", "sdmc", "--key-server-url", "https://k.example"]);
    assert!(code == 0 && said.contains("<cpix:CPIX"), "{said}");
}

#[test]
fn who_asks_is_said_once_and_as_the_operator_says() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), PASSWORD).unwrap();
    let path = file.path().to_str().unwrap();
    let aws = ["--vendor", "aws", "--key-server-url", "http://127.0.0.1:9/copyProtection"];
    let basic = ["--basic-user", "me", "--basic-password-file", path];
    let (_, said) = command("keys", &[&aws[..], &basic[..]].concat());
    assert!(said.contains("no answer") && !said.contains("AWS_"), "{said}");
    let twice = [&aws[..], &basic[..], &["--bearer-file", path]].concat();
    let (code, said) = command("keys", &twice);
    assert!(
        code == 2 && (said.contains("Authorization twice") || said.contains("cannot be used with")),
        "{said}"
    );
}

#[test]
fn what_a_vendor_needs_is_asked_for_before_anything_is_sent() {
    for (options, words) in [
        (&["--vendor", "irdeto"][..], "irdeto has an address for each account"),
        (&["--vendor", "pallycon"], "has {token}, which is not given; give it with --vendor-token-file"),
        (&["--vendor", "ezdrm"], "has {user}, which is not given; give it with --basic-user"),
        (&["--vendor", "vudrm"], "has {org}, which is not given; give it with --org"),
        (&["--vendor", "castlabs"], "the account is not whole; give --org (or DRMTODAY_ORG)"),
        (
            &["--vendor", "aws", "--key-server-url", "https://a.execute-api.eu-west-1.amazonaws.com/p"],
            "AWS_ACCESS_KEY_ID is not set",
        ),
        (&["--vendor", "nobody"], "known are castlabs, pallycon"),
    ] {
        let (code, said) = command("keys", options);
        assert!(code == 2 && said.contains(words), "{options:?}: {code} {said}");
    }
}
