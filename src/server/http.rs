//! HTTP of the development key server — RFC 9110: routes, forms, statuses.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, LOCATION, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::ExposeSecret;
use sha2::Sha256;
use tokio::sync::Notify;
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use crate::base::{Error, Kid, Kind, Result};
use crate::keys::DevKeys;
use crate::protect::Scheme;
use crate::protect::scheme::SCHEMES;

use super::clearkey::{self, Issued};
use super::events::Events;
use super::folder::Folder;
use super::page::{self, Page};
use super::tickets::Tickets;
use super::{Answers, Exchange, Fault, Settings, files, generate, speke, speke1};

/// Largest body of a request; one with a hundred keys has some 100 kB.
const MAX_BODY_BYTES: usize = 1 << 20;
/// Longest asset id.
const MAX_ASSET_BYTES: usize = 256;
/// Where the keys of whole segments are.
const KEY_PATH: &str = "/aes128/";
const XML: &str = "application/xml; charset=utf-8";
const TICKETS_PATH: &str = "/cas/v1/tickets";
/// What the page asks about, which is no news to anybody.
const API_PATH: &str = "/api/";
const USER_AGENT: &str = concat!("drm-pack/", env!("CARGO_PKG_VERSION"));

struct Server {
    settings: Settings,
    keys: DevKeys,
    /// A key of this run, so that credentials are compared as digests and in constant time.
    compare_key: [u8; 32],
    tickets: Mutex<Tickets>,
    issued: Issued,
    page: Arc<Page>,
    has_failed: AtomicBool,
    /// Ends the server.
    death: Arc<Notify>,
}

type Shared = State<Arc<Server>>;

/// What is answered instead of what was wanted.
type Refusal = (StatusCode, String);

/// The routes of the server, which says through `death` when it has to end.
///
/// # Errors
/// When the system gives no random bytes, or the folder of presentations is not there.
pub(super) fn router(settings: Settings, death: Arc<Notify>) -> Result<Router> {
    let mut compare_key = [0; 32];
    getrandom::fill(&mut compare_key).map_err(|error| Error::storage(format!("random bytes: {error}")))?;
    let page = Arc::new(Page {
        media: settings.media.as_deref().map(Folder::open).transpose()?,
        players: settings.players.clone(),
        events: Events::new(),
    });
    let server = Arc::new(Server {
        page: Arc::clone(&page),
        issued: Issued::default(),
        keys: DevKeys::new(settings.seed.expose_secret()),
        compare_key,
        tickets: Mutex::new(Tickets::new(
            match settings.fault {
                Fault::ExpiredTickets => Duration::ZERO,
                _ => settings.service_ticket_lifetime,
            },
            settings.granting_ticket_lifetime,
            settings.ticket_use,
        )),
        has_failed: AtomicBool::new(false),
        death,
        settings,
    });
    let licenses = post(license).options(async || files::preflight("POST, OPTIONS"));
    Ok(Router::new()
        .route("/clearkey", licenses)
        .route(&format!("{KEY_PATH}{{kid}}"), get(key_file))
        .route(TICKETS_PATH, post(sign_in))
        .route("/cas/v1/tickets/{granting}", post(service_ticket).get(ticket_status).delete(sign_out))
        .route("/frontend/cpix/v1/{organization}/ingest/{config}", post(process_document))
        .route("/frontend/cpix/v1/{organization}/ingest/{config}/{asset}", get(generate_document))
        .with_state(Arc::clone(&server))
        .merge(page::router(page))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn_with_state(server, log)))
}

/// `POST /cas/v1/tickets`: the account's name and password give a ticket-granting ticket.
async fn sign_in(State(server): Shared, headers: HeaderMap, body: Bytes) -> Result<Response, Refusal> {
    let fields = form(&headers, &body)?;
    let user = field(&fields, "username")?;
    let password = field(&fields, "password")?;
    if !server.is_account(user, password) {
        return Err((StatusCode::UNAUTHORIZED, "user or password is wrong".into()));
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.ok_or_else(|| (StatusCode::BAD_REQUEST, "no Host header".to_owned()))?;
    let ticket = server.tickets().sign_in(Instant::now()).map_err(unavailable)?;
    let location = format!("http://{host}{TICKETS_PATH}/{ticket}");
    Ok((StatusCode::CREATED, [(LOCATION, location)]).into_response())
}

/// `POST /cas/v1/tickets/{granting}`: a ticket for one call of the service at a URL.
async fn service_ticket(
    State(server): Shared,
    Path(granting): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<String, Refusal> {
    let now = Instant::now();
    if !server.tickets().is_signed_in(&granting, now) {
        return Err((StatusCode::NOT_FOUND, "unknown or expired ticket-granting ticket".into()));
    }
    let fields = form(&headers, &body)?;
    let service = Url::parse(field(&fields, "service")?)
        .map_err(|_| (StatusCode::BAD_REQUEST, "service is not a URL".to_owned()))?;
    server.tickets().issue(service.path(), now).map_err(unavailable)
}

/// `GET /cas/v1/tickets/{granting}`: whether a ticket-granting ticket serves.
async fn ticket_status(State(server): Shared, Path(granting): Path<String>) -> Result<StatusCode, Refusal> {
    match server.tickets().is_signed_in(&granting, Instant::now()) {
        true => Ok(StatusCode::OK),
        false => Err((StatusCode::NOT_FOUND, "unknown or expired ticket-granting ticket".into())),
    }
}

/// `DELETE /cas/v1/tickets/{granting}`: ends a login, if there is one.
async fn sign_out(State(server): Shared, Path(granting): Path<String>) -> StatusCode {
    server.tickets().sign_out(&granting);
    StatusCode::OK
}

/// `POST /frontend/cpix/v1/{organization}/ingest/{config}?ticket=`: SPEKE 2.0 and 2.1, or 1.0 when no header
/// says the version.
async fn process_document(
    State(server): Shared,
    Path((organization, config)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    server.admit(&organization, &config, &uri)?;
    if let Some(response) = server.faulty().await {
        return response;
    }
    if !matches!(media_type(&headers).as_str(), "application/xml" | "text/xml") {
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "expected application/xml".into()));
    }
    let key_uri = key_uri(&headers);
    let version = headers.get("X-Speke-Version").and_then(|version| version.to_str().ok());
    if version.is_none() && speke1::is_request(&body) {
        let document = speke1::answer(&server.answers(&key_uri), &body).map_err(refused)?;
        server.issued.remember(&document);
        return Ok(([("Content-Type", XML), ("Speke-User-Agent", USER_AGENT)], document).into_response());
    }
    let version = speke::Version::find(version.unwrap_or_default()).map_err(refused)?;
    let document = speke::answer(&server.answers(&key_uri), version, &body).map_err(refused)?;
    server.issued.remember(&document);
    let headers =
        [("Content-Type", XML), ("X-Speke-Version", version.speke), ("X-Speke-User-Agent", USER_AGENT)];
    Ok((headers, document).into_response())
}

/// `GET /frontend/cpix/v1/{organization}/ingest/{config}/{asset}?ticket=&x-signaling-alg=`: keys for an asset.
async fn generate_document(
    State(server): Shared,
    Path((organization, config, asset)): Path<(String, String, String)>,
    uri: Uri,
) -> Result<Response, Refusal> {
    server.admit(&organization, &config, &uri)?;
    if let Some(response) = server.faulty().await {
        return response;
    }
    let bad = |text: String| (StatusCode::BAD_REQUEST, text);
    if asset.len() > MAX_ASSET_BYTES || asset.chars().any(char::is_control) {
        return Err(bad(format!("expected an asset id of at most {MAX_ASSET_BYTES} bytes")));
    }
    let scheme = match query(&uri, "x-signaling-alg") {
        Some(name) => Scheme::find(&name).map_err(|error| bad(error.to_string()))?,
        None => SCHEMES.first().ok_or_else(|| bad("no protection scheme".into()))?,
    };
    let (seed, answers) = (server.settings.seed.expose_secret(), server.answers(""));
    let document = generate::document(seed, &asset, (scheme, &answers));
    let document = document.and_then(|document| server.settings.fault.write(document)).map_err(refused)?;
    server.issued.remember(&document);
    Ok(([("Content-Type", XML)], document).into_response())
}

/// `POST /clearkey`: a license for keys that this server issued.
async fn license(State(server): Shared, body: Bytes) -> Response {
    let mut response = match clearkey::license(&server.keys, |kid| server.knows(kid), &body) {
        Ok(license) => ([(CONTENT_TYPE, "application/json")], license).into_response(),
        Err(error) if error.kind() == Kind::Input => {
            (StatusCode::BAD_REQUEST, error.to_string()).into_response()
        }
        Err(error) => (StatusCode::FORBIDDEN, error.to_string()).into_response(),
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    files::allow_others(response.headers_mut());
    response
}

/// Tells the settings' log and the page about each exchange.
async fn log(State(server): Shared, request: Request, next: Next) -> Response {
    let method = request.method().to_string();
    // What follows the path of the tickets is a ticket.
    let path = match request.uri().path().strip_prefix(TICKETS_PATH) {
        Some(rest) if rest.len() > 1 => format!("{TICKETS_PATH}/…"),
        _ => request.uri().path().to_owned(),
    };
    let response = next.run(request).await;
    if !path.starts_with(API_PATH) {
        let exchange = Exchange { method, path, status: response.status().as_u16() };
        server.page.events.add(&exchange);
        (server.settings.log)(&exchange);
    }
    response
}

/// `GET /aes128/{kid}`: the bytes of a key that this server issued, as players of whole segments fetch them.
async fn key_file(State(server): Shared, Path(kid): Path<String>) -> Response {
    let kid = Kid::parse(&kid).ok().filter(|kid| server.knows(*kid));
    let mut response = match kid.map(|kid| server.keys.key(kid)) {
        Some(Ok(key)) => {
            ([(CONTENT_TYPE, "application/octet-stream")], key.expose().to_vec()).into_response()
        }
        _ => (StatusCode::NOT_FOUND, "this server did not issue such a key").into_response(),
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    files::allow_others(response.headers_mut());
    response
}

impl Server {
    /// What keys are answered with; keys of whole segments are at `key_uri`.
    fn answers<'a>(&'a self, key_uri: &'a str) -> Answers<'a> {
        Answers { keys: &self.keys, says: &self.settings.says, key_uri, fault: self.settings.fault }
    }

    /// Whether this server issued a key, in this run or, as a manifest that it serves says, in an earlier one.
    fn knows(&self, kid: Kid) -> bool {
        self.issued.contains(kid) || self.page.media.as_ref().is_some_and(|folder| folder.names(kid))
    }

    fn tickets(&self) -> MutexGuard<'_, Tickets> {
        self.tickets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether these are the credentials; how long it takes does not tell how far they are right.
    fn is_account(&self, user: &str, password: &str) -> bool {
        let digest = |user: &str, password: &str| {
            let mut mac = Hmac::<Sha256>::new_from_slice(&self.compare_key).ok()?;
            mac.update(&(user.len() as u64).to_be_bytes());
            mac.update(user.as_bytes());
            mac.update(password.as_bytes());
            Some(mac)
        };
        let found = digest(user, password);
        let expected = digest(&self.settings.user, self.settings.password.expose_secret());
        let (Some(found), Some(expected)) = (found, expected) else { return false };
        expected.verify(&found.finalize().into_bytes()).is_ok()
    }

    /// Whether a key request is for this organization and has a ticket, which is used up.
    fn admit(&self, organization: &str, config: &str, uri: &Uri) -> Result<(), Refusal> {
        if organization != self.settings.organization || config != self.settings.cpix_config {
            return Err((StatusCode::NOT_FOUND, "unknown organization or ingest configuration".into()));
        }
        let ticket =
            query(uri, "ticket").ok_or_else(|| (StatusCode::UNAUTHORIZED, "no ticket".to_owned()))?;
        if !self.tickets().redeem(&ticket, uri.path(), Instant::now()) {
            let text = "the ticket is unknown, expired, used or for another service";
            return Err((StatusCode::UNAUTHORIZED, text.into()));
        }
        Ok(())
    }

    /// The answer to a key request that the fault of the settings wants, if it is one of HTTP.
    async fn faulty(&self) -> Option<Result<Response, Refusal>> {
        let text = |status, text: &str| Some(Err((status, text.to_owned())));
        let page = |kind, page: &'static str| Some(Ok(([("Content-Type", kind)], page).into_response()));
        let is_first = !self.has_failed.swap(true, Ordering::Relaxed);
        match self.settings.fault {
            Fault::Unauthorized => text(StatusCode::UNAUTHORIZED, "not signed in"),
            Fault::ServerError => text(StatusCode::INTERNAL_SERVER_ERROR, "internal error"),
            Fault::OneServerError if is_first => text(StatusCode::INTERNAL_SERVER_ERROR, "internal error"),
            Fault::RevokedLogin if is_first => {
                self.tickets().sign_out_all();
                text(StatusCode::INTERNAL_SERVER_ERROR, "internal error")
            }
            Fault::TooManyRequests if is_first => {
                let status = StatusCode::TOO_MANY_REQUESTS;
                Some(Ok((status, [(RETRY_AFTER, "3")], "too many requests").into_response()))
            }
            Fault::Slow => {
                tokio::time::sleep(self.settings.slow_answer).await;
                None
            }
            Fault::Dies => {
                self.death.notify_one();
                std::future::pending().await
            }
            Fault::Html => {
                page("text/html; charset=utf-8", "<!DOCTYPE html><html><body>Please sign in.</body></html>")
            }
            Fault::Json => {
                page("application/json", "{\"error_code\":\"A1001\",\"error_message\":\"no such content\"}")
            }
            Fault::Empty => Some(Ok(StatusCode::OK.into_response())),
            _ => None,
        }
    }
}

/// Template of the addresses of keys of whole segments, under the name by which the server was called.
fn key_uri(headers: &HeaderMap) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    format!("http://{host}{KEY_PATH}{{kid}}")
}

/// A parameter of a query.
fn query(uri: &Uri, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    pairs.find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
}

/// The fields of a form; they may hold a password.
fn form(headers: &HeaderMap, body: &[u8]) -> Result<Vec<(String, Zeroizing<String>)>, Refusal> {
    const FORM: &str = "application/x-www-form-urlencoded";
    if media_type(headers) != FORM {
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("expected {FORM}")));
    }
    let fields = form_urlencoded::parse(body);
    Ok(fields.map(|(name, value)| (name.into_owned(), Zeroizing::new(value.into_owned()))).collect())
}

fn field<'a>(fields: &'a [(String, Zeroizing<String>)], name: &str) -> Result<&'a str, Refusal> {
    let found = fields.iter().find(|(found, value)| found == name && !value.is_empty());
    found
        .map(|(_, value)| value.as_str())
        .ok_or_else(|| (StatusCode::BAD_REQUEST, format!("the form has no {name}")))
}

/// The media type without its parameters, in lower case: RFC 9110 §8.3.1.
fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn refused(error: Error) -> Refusal {
    (StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
}

fn unavailable(error: Error) -> Refusal {
    (StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}
