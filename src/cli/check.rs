//! `drm-pack keys --check`: a connection test that says which step of a key exchange fails.

use std::sync::{Mutex, PoisonError};

use url::Url;

use crate::base::env::{Http, Request, Response};
use crate::base::{Error, Kid, Result};
use crate::cpix::{AudioFilter, Document, DrmSystem, VideoFilter};
use crate::drm::{self, ManifestKind};
use crate::io::{HttpClient, Phase};
use crate::keys::{KeyServer, Wanted, request};
use crate::protect::Scheme;
use crate::protect::scheme::SCHEMES;

use super::args::KeysArgs;
use super::keys::{account, http_client, key_server, key_server_url, signs_in};
use super::output::line;

/// Path of ticket requests — CAS REST protocol.
const TICKETS: &str = "/cas/v1/tickets";
/// Asset of the test when there is no --resource-id.
const ASSET: &str = "drm-pack-check";

/// A step of a key exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    SignIn,
    Ticket,
    Endpoint,
    Document,
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Self::SignIn => "sign-in",
            Self::Ticket => "ticket",
            Self::Endpoint => "endpoint",
            Self::Document => "document",
        }
    }
}

/// Notes how far an exchange came.
struct Watched<'a> {
    http: &'a dyn Http,
    /// Steps that were taken, and whether they went well; the last word on a step counts.
    steps: Mutex<Vec<(Step, bool)>>,
}

impl Http for Watched<'_> {
    fn send(&self, request: &Request) -> Result<Response> {
        let path = Url::parse(&request.url).map(|url| url.path().to_owned()).unwrap_or_default();
        let (step, expected) = match path.rfind(TICKETS).and_then(|at| path.get(at + TICKETS.len()..)) {
            Some("") => (Step::SignIn, 201),
            Some(_) => (Step::Ticket, 200),
            None => (Step::Endpoint, 200),
        };
        let answer = self.http.send(request);
        let is_well = answer.as_ref().is_ok_and(|answer| {
            let starts = |byte: &u8| matches!(byte, b'<' | 0xef | 0xfe | 0xff);
            let is_page = || answer.header("Content-Type").is_some_and(|kind| kind.contains("html"));
            let is_document =
                step != Step::Endpoint || (answer.body.first().is_some_and(starts) && !is_page());
            answer.status == expected && is_document
        });
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        steps.retain(|(known, _)| *known != step);
        steps.push((step, is_well));
        answer
    }

    fn wait(&self, milliseconds: u64, why: &str) {
        self.http.wait(milliseconds, why);
    }
}

/// Tests the connection; the first step that fails is the error.
pub(super) fn run(args: &KeysArgs) -> Result<()> {
    let http = http_client(&args.keys.http)?;
    let (keys, _) = key_server(&args.keys)?;
    let systems = args.drm.as_deref().unwrap_or("widevine");
    let document = test_request(args, systems)?;
    for url in servers(args)? {
        reach(&http, &url)?;
    }
    exchange(keys.as_ref(), &http, document)
}

/// The servers of these options.
fn servers(args: &KeysArgs) -> Result<Vec<String>> {
    if args.keys.key_file.is_some() || args.keys.dev_keys.is_some() {
        return Err(Error::usage("--check tests a key server, these keys come from none"));
    }
    if signs_in(&args.keys)? {
        let account = account(&args.keys.account)?;
        return Ok(vec![account.auth_url, account.frontend_url]);
    }
    if let Some(url) = &args.keys.widevine_key_url {
        return Ok(vec![url.clone()]);
    }
    key_server_url(&args.keys).map(|url| vec![url])
}

/// Looks the server up, connects to it, and opens a TLS session.
fn reach(http: &HttpClient, url: &str) -> Result<()> {
    let url = Url::parse(url).map_err(|error| Error::usage(format!("URL: {error}")))?;
    let host = url.host_str().unwrap_or("no host").to_owned();
    let mut origin = url;
    origin.set_path("/");
    origin.set_query(None);
    origin.set_fragment(None);
    let _ = origin.set_username("");
    let _ = origin.set_password(None);
    let phases: &[(Phase, &str)] =
        &[(Phase::Dns, "name lookup"), (Phase::Connect, "connection"), (Phase::Tls, "TLS")];
    let phases = if origin.scheme() == "https" { phases } else { phases.get(..2).unwrap_or_default() };
    let failure = http.probe(origin.as_str());
    let failed = failure.as_ref().map(|(phase, _)| match phase {
        Phase::Certificate => Phase::Tls,
        phase => *phase,
    });
    for (phase, name) in phases {
        if failed == Some(*phase) {
            break;
        }
        said(name, "ok", &host)?;
    }
    let Some((_, error)) = failure else { return Ok(()) };
    let name = phases.iter().find(|(known, _)| Some(*known) == failed).map_or("answer", |(_, name)| name);
    said(name, "FAILED", &host)?;
    Err(error.at(format_args!("connection test, {name}")))
}

/// Asks for a key as `pack` would, and says how far it came.
fn exchange(keys: &dyn KeyServer, http: &dyn Http, document: Document) -> Result<()> {
    let watched = Watched { http, steps: Mutex::default() };
    let result = keys.exchange(&watched, document);
    let mut steps = watched.steps.into_inner().unwrap_or_else(PoisonError::into_inner);
    if steps.iter().all(|(_, is_well)| *is_well) {
        steps.push((Step::Document, result.is_ok()));
    }
    for (step, is_well) in &steps {
        said(step.name(), if *is_well { "ok" } else { "FAILED" }, "")?;
    }
    let failed = steps.iter().find(|(_, is_well)| !is_well).map_or(Step::Document, |(step, _)| *step);
    result.map(|_| ()).map_err(|error| error.at(format_args!("connection test, {}", failed.name())))
}

fn said(step: &str, outcome: &str, detail: &str) -> Result<()> {
    line(format!("{step:12} {outcome:7} {detail}").trim_end())
}

/// A request for one key.
fn test_request(args: &KeysArgs, systems: &str) -> Result<Document> {
    let systems = drm::parse_list(systems)?;
    let scheme = match &args.job.scheme {
        Some(name) => Scheme::find(name)?,
        None => SCHEMES
            .iter()
            .find(|scheme| systems.iter().all(|system| system.allows(scheme)))
            .ok_or_else(|| Error::usage("no protection scheme suits all these DRM systems"))?,
    };
    let asset = args.job.resource_id.as_deref().unwrap_or(ASSET);
    let name = format!("drm-pack:{asset}:{}:ALL", scheme.name);
    let kid = Kid::new(*uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_URL, name.as_bytes()).as_bytes());
    let wanted = Wanted {
        id: None,
        kid,
        explicit_iv: None,
        track_type: "ALL".to_owned(),
        video: Some(VideoFilter::default()),
        audio: Some(AudioFilter::default()),
    };
    let entries = systems.iter().map(|system| {
        let kinds = [ManifestKind::Hls, ManifestKind::Dash];
        let kinds: Vec<_> = kinds.into_iter().filter(|kind| system.signals_in(*kind)).collect();
        let mut entry = DrmSystem::new(system.system_id(), kid);
        system.request(&mut entry, &kinds);
        entry
    });
    Ok(request(asset, Some(scheme.fourcc), &[wanted], entries.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::FourCc;
    use crate::keys::{Speke, SpekeVersion};

    /// Answers everything with this status and body.
    struct Says(u16, &'static str);

    impl Http for Says {
        fn send(&self, _request: &Request) -> Result<Response> {
            Ok(Response { status: self.0, headers: Vec::new(), body: self.1.as_bytes().to_vec() })
        }

        fn wait(&self, _milliseconds: u64, _why: &str) {}
    }

    #[test]
    fn the_step_that_fails_is_named() {
        let wanted = Wanted {
            id: None,
            kid: Kid::new([1; 16]),
            explicit_iv: None,
            track_type: "ALL".to_owned(),
            video: None,
            audio: None,
        };
        let document = request("a", Some(FourCc(*b"cbcs")), &[wanted], Vec::new());
        let server =
            Speke::new("https://keys.example/?ticket=marked", Vec::new(), SpekeVersion::V2_0).unwrap();
        for (says, step) in
            [(Says(404, "<a/>"), "endpoint"), (Says(200, "{}"), "endpoint"), (Says(200, "<a/>"), "document")]
        {
            let error = exchange(&server, &says, document.clone()).unwrap_err().to_string();
            assert!(error.starts_with(&format!("connection test, {step}: ")), "{error}");
            assert!(!error.contains("marked"), "{error}");
        }
    }
}
