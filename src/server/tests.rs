//! The whole server over loopback, with the least client that can speak to it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use secrecy::SecretString;

use super::*;
use crate::base::FourCc;
use crate::base::env::{Http, Request, Response};
use crate::cpix;
use crate::drm;
use crate::io::HttpClient;
use crate::keys::{Account, DrmToday, KeyServer, Wanted, request};

const FORM: &str = "application/x-www-form-urlencoded";
const SERVICE: &str = "/frontend/cpix/v1/organization/ingest/config";

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

fn post(server: &Running, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    ask(server, "POST", path, headers, body)
}

fn ask(server: &Running, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let address = server.address();
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

fn settings() -> Settings {
    let secret = |text: &str| SecretString::from(text);
    Settings::new(secret("seed"), "acme::packager", secret("p&ss w=rd%"))
}

fn sign_in(server: &Running) -> Answer {
    let body = "username=acme%3A%3Apackager&password=p%26ss+w%3Drd%25";
    post(server, "/cas/v1/tickets", &[("Content-Type", FORM)], body)
}

/// The path of a new ticket-granting ticket.
fn granting(server: &Running) -> String {
    let answer = sign_in(server);
    assert_eq!((answer.status, answer.body.as_str()), (201, ""));
    let location = answer.header("Location").unwrap();
    location.strip_prefix(&server.url()).unwrap().to_owned()
}

fn ticket(server: &Running, granting: &str) -> String {
    ticket_for(server, granting, SERVICE)
}

fn ticket_for(server: &Running, granting: &str, path: &str) -> String {
    let service = format!("service=http%3A%2F%2Flocalhost{}", path.replace('%', "%25").replace('/', "%2F"));
    let answer = post(server, granting, &[("Content-Type", FORM)], &service);
    assert_eq!(answer.status, 200);
    answer.body
}

fn speke(server: &Running, path: &str, ticket: &str, body: &str) -> Answer {
    let headers = [("Content-Type", "application/xml"), ("X-Speke-Version", "2.0")];
    post(server, &format!("{path}?ticket={ticket}"), &headers, body)
}

fn document() -> String {
    let kid = crate::base::Kid::new([0x11; 16]);
    let video = Some(cpix::VideoFilter::default());
    let wanted = Wanted { id: None, kid, explicit_iv: None, track_type: "VIDEO".into(), video, audio: None };
    let systems = drm::ALL.iter().map(|system| {
        let mut entry = cpix::DrmSystem::new(system.system_id(), kid);
        system.request(&mut entry, &[drm::ManifestKind::Hls]);
        entry
    });
    String::from_utf8(cpix::write(&request("asset-1", Some(FourCc(*b"cbcs")), &[wanted], systems.collect())))
        .unwrap()
}

/// Signs in and asks for keys.
fn whole_way(server: &Running) -> Answer {
    let ticket = ticket(server, &granting(server));
    speke(server, SERVICE, &ticket, &document())
}

#[test]
fn from_sign_in_to_keys() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&log);
    let server = start(Settings {
        log: Box::new(move |exchange| lines.lock().unwrap().push(exchange.clone())),
        ..settings()
    })
    .unwrap();
    let granting = granting(&server);
    let ticket = ticket(&server, &granting);
    let answer = speke(&server, SERVICE, &ticket, &document());
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("X-Speke-Version"), Some("2.0"));
    assert!(answer.header("X-Speke-User-Agent").is_some_and(|agent| !agent.is_empty()));
    assert!(answer.header("Content-Type").unwrap().starts_with("application/xml"));
    let read = cpix::read(answer.body.as_bytes()).unwrap();
    assert!(read.content_keys[0].value.is_some());

    let again = speke(&server, SERVICE, &ticket, &document());
    assert_eq!(again.status, 401);
    assert!(again.header("Content-Type").unwrap().starts_with("text/plain"));
    drop(server);
    let log = log.lock().unwrap();
    let statuses: Vec<_> = log.iter().map(|exchange| exchange.status).collect();
    assert_eq!(statuses, [201, 200, 200, 401]);
    let told = format!("{log:?}");
    for secret in ["TGT-", "ST-", "p&ss", "ticket="] {
        assert!(!told.contains(secret), "{told}");
    }
}

/// The client of the command, which does not wait here.
struct Impatient(HttpClient);

impl Http for Impatient {
    fn send(&self, request: &Request) -> Result<Response> {
        self.0.send(request)
    }

    fn wait(&self, _milliseconds: u64, _why: &str) {}
}

#[test]
fn the_client_of_the_command_gets_keys_and_tries_again_with_a_new_ticket() {
    for fault in [Fault::None, Fault::OneServerError, Fault::ReplacedKids] {
        let server = start(Settings { fault, ..settings() }).unwrap();
        let client = DrmToday::new(Account {
            auth_url: server.url(),
            frontend_url: server.url(),
            organization: "organization".into(),
            cpix_config: "config".into(),
            user: "acme::packager".into(),
            password: SecretString::from("p&ss w=rd%"),
        });
        let http = Impatient(HttpClient::new().unwrap());
        let request = cpix::read(document().as_bytes()).unwrap();
        let answer = client.unwrap().exchange(&http, request).unwrap();
        assert!(answer.content_keys[0].value.is_some(), "{fault:?}");
    }
}

#[test]
fn the_sign_in_refuses_what_it_must() {
    let server = start(settings()).unwrap();
    let sign_in = |media_type: &str, body: &str| {
        post(&server, "/cas/v1/tickets", &[("Content-Type", media_type)], body).status
    };
    assert_eq!(sign_in("application/json", "{}"), 415);
    assert_eq!(sign_in(FORM, "username=a"), 400);
    assert_eq!(sign_in(FORM, "password=a"), 400);
    assert_eq!(sign_in(FORM, "username=acme%3A%3Apackager&password=wrong"), 401);
    assert_eq!(sign_in(FORM, "username=acme&password=p%26ss+w%3Drd%25"), 401);
    let granting = granting(&server);
    let service = |path: &str, body: &str| post(&server, path, &[("Content-Type", FORM)], body).status;
    assert_eq!(service(&granting, ""), 400);
    assert_eq!(service(&granting, "service=no+url"), 400);
    assert_eq!(service("/cas/v1/tickets/TGT-x", "service=http%3A%2F%2Fh%2F"), 404);
}

#[test]
fn key_requests_refuse_what_they_must() {
    let server = start(settings()).unwrap();
    let granting = granting(&server);
    let fresh = || ticket(&server, &granting);
    assert_eq!(speke(&server, "/frontend/cpix/v1/other/ingest/config", &fresh(), &document()).status, 404);
    assert_eq!(speke(&server, SERVICE, "ST-x", &document()).status, 401);
    assert_eq!(post(&server, SERVICE, &[], "").status, 401);
    let with_ticket = |headers: &[(&str, &str)]| {
        post(&server, &format!("{SERVICE}?ticket={}", fresh()), headers, &document()).status
    };
    assert_eq!(with_ticket(&[("Content-Type", FORM), ("X-Speke-Version", "2.0")]), 415);
    assert_eq!(with_ticket(&[("Content-Type", "application/xml")]), 422);
    assert_eq!(with_ticket(&[("Content-Type", "application/xml"), ("X-Speke-Version", "1.0")]), 422);
    let broken = speke(&server, SERVICE, &fresh(), &document().replace(" contentId=\"asset-1\"", ""));
    assert_eq!((broken.status, broken.body.as_str()), (422, "Missing CPIX@contentId"));
    assert_eq!(speke(&server, SERVICE, &fresh(), "").status, 422);
}

#[test]
fn a_ticket_may_serve_again_when_the_settings_say_so() {
    let server = start(Settings { ticket_use: TicketUse::Again, ..settings() }).unwrap();
    let ticket = ticket(&server, &granting(&server));
    assert_eq!(speke(&server, SERVICE, &ticket, &document()).status, 200);
    assert_eq!(speke(&server, SERVICE, &ticket, &document()).status, 200);
}

#[test]
fn faults_are_shown_as_they_are_named() {
    for (fault, status, body) in [
        (Fault::Unauthorized, 401, "not signed in"),
        (Fault::ServerError, 500, "internal error"),
        (Fault::Html, 200, "<!DOCTYPE html>"),
        (Fault::Empty, 200, ""),
    ] {
        let server = start(Settings { fault, ..settings() }).unwrap();
        let answer = whole_way(&server);
        assert_eq!(answer.status, status, "{fault:?}");
        assert!(answer.body.starts_with(body), "{fault:?}");
    }
    let server = start(Settings { fault: Fault::OneServerError, ..settings() }).unwrap();
    assert_eq!(whole_way(&server).status, 500);
    assert_eq!(whole_way(&server).status, 200);
}

#[test]
fn a_network_address_is_refused_unless_it_is_allowed() {
    let address = SocketAddr::from(([0, 0, 0, 0], 0));
    assert!(start(Settings { address, ..settings() }).is_err());
    assert!(start(Settings { address, exposure: Exposure::Network, ..settings() }).is_ok());
}

#[test]
fn a_login_can_be_asked_about_and_ended() {
    let server = start(settings()).unwrap();
    let granting = granting(&server);
    let status = |method: &str| ask(&server, method, &granting, &[], "").status;
    assert_eq!(status("GET"), 200);
    assert_eq!(status("DELETE"), 200);
    assert_eq!(status("GET"), 404);
    let again = post(&server, &granting, &[("Content-Type", FORM)], "service=http%3A%2F%2Fh%2F");
    assert_eq!(again.status, 404);
}

#[test]
fn a_later_and_an_earlier_version_of_speke_are_answered_in_kind() {
    let server = start(settings()).unwrap();
    let granting = granting(&server);
    let ask = |headers: &[(&str, &str)], body: &str| {
        post(&server, &format!("{SERVICE}?ticket={}", ticket(&server, &granting)), headers, body)
    };
    let xml = ("Content-Type", "application/xml");
    let later = document().replace("version=\"2.3\"", "version=\"2.4\"");
    let answer = ask(&[xml, ("X-Speke-Version", "2.1")], &later);
    assert_eq!((answer.status, answer.header("X-Speke-Version")), (200, Some("2.1")), "{}", answer.body);
    assert!(answer.body.contains("version=\"2.4\"") && answer.body.contains("playlist=\"master\""));
    let mixed = ask(&[xml, ("X-Speke-Version", "2.1")], &document());
    assert_eq!(mixed.status, 422);
    assert!(mixed.body.starts_with("Unsupported CPIX@version"), "{}", mixed.body);

    let earlier = document()
        .replace(" version=\"2.3\"", "")
        .replace("contentId=", "id=")
        .replace(" commonEncryptionScheme=\"cbcs\"", "");
    let answer = ask(&[xml], &earlier);
    assert_eq!((answer.status, answer.header("X-Speke-Version")), (200, None), "{}", answer.body);
    assert!(answer.header("Speke-User-Agent").is_some());
    assert!(cpix::read(answer.body.as_bytes()).unwrap().content_keys[0].value.is_some());
}

#[test]
fn an_asset_has_the_same_keys_whenever_it_is_asked_for() {
    let server = start(settings()).unwrap();
    let granting = granting(&server);
    let get = |asset: &str, query: &str| {
        let path = format!("{SERVICE}/{asset}");
        let ticket = ticket_for(&server, &granting, &path);
        ask(&server, "GET", &format!("{path}?ticket={ticket}{query}"), &[], "")
    };
    let first = get("film-1", "");
    assert_eq!(first.status, 200, "{}", first.body);
    assert_eq!(first.body, get("film-1", "").body);
    assert_ne!(first.body, get("film-2", "").body);
    assert!(get("film-1", "&x-signaling-alg=cbcs").body.contains("commonEncryptionScheme=\"cbcs\""));
    assert_eq!(get("film-1", "&x-signaling-alg=none").status, 400);
    assert_eq!(get("film%00", "").status, 400);
    let other = ticket(&server, &granting);
    assert_eq!(ask(&server, "GET", &format!("{SERVICE}/film-1?ticket={other}"), &[], "").status, 401);
}
