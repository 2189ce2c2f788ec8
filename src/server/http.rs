//! HTTP of the development key server — RFC 9110: routes, forms, statuses.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::header::{CONTENT_TYPE, HOST, LOCATION};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::ExposeSecret;
use sha2::Sha256;
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use crate::base::{Error, Result};
use crate::keys::DevKeys;

use super::tickets::Tickets;
use super::{Exchange, Fault, Settings, speke};

/// Largest body of a request; one with a hundred keys has some 100 kB.
const MAX_BODY_BYTES: usize = 1 << 20;
const TICKETS_PATH: &str = "/cas/v1/tickets";
const USER_AGENT: &str = concat!("drm-pack/", env!("CARGO_PKG_VERSION"));

struct Server {
    settings: Settings,
    keys: DevKeys,
    /// A key of this run, so that credentials are compared as digests and in constant time.
    compare_key: [u8; 32],
    tickets: Mutex<Tickets>,
    has_failed: AtomicBool,
}

type Shared = State<Arc<Server>>;

/// What is answered instead of what was wanted.
type Refusal = (StatusCode, String);

/// The routes of the server.
///
/// # Errors
/// When the system gives no random bytes.
pub(super) fn router(settings: Settings) -> Result<Router> {
    let mut compare_key = [0; 32];
    getrandom::fill(&mut compare_key).map_err(|error| Error::storage(format!("random bytes: {error}")))?;
    let server = Arc::new(Server {
        keys: DevKeys::new(settings.seed.expose_secret()),
        compare_key,
        tickets: Mutex::new(Tickets::new(
            settings.service_ticket_lifetime,
            settings.granting_ticket_lifetime,
            settings.ticket_use,
        )),
        has_failed: AtomicBool::new(false),
        settings,
    });
    Ok(Router::new()
        .route(TICKETS_PATH, post(sign_in))
        .route("/cas/v1/tickets/{granting}", post(service_ticket))
        .route("/frontend/cpix/v1/{organization}/ingest/{config}", post(process_document))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn_with_state(Arc::clone(&server), log))
        .with_state(server))
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

/// `POST /frontend/cpix/v1/{organization}/ingest/{config}?ticket=`: SPEKE 2.0.
async fn process_document(
    State(server): Shared,
    Path((organization, config)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    if organization != server.settings.organization || config != server.settings.cpix_config {
        return Err((StatusCode::NOT_FOUND, "unknown organization or ingest configuration".into()));
    }
    let query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let ticket = query.into_iter().find(|(name, _)| name == "ticket").map(|(_, value)| value);
    let ticket = ticket.ok_or_else(|| (StatusCode::UNAUTHORIZED, "no ticket".to_owned()))?;
    if !server.tickets().redeem(&ticket, uri.path(), Instant::now()) {
        let text = "the ticket is unknown, expired, used or for another service";
        return Err((StatusCode::UNAUTHORIZED, text.into()));
    }
    if let Some(response) = server.faulty() {
        return response;
    }
    if !matches!(media_type(&headers).as_str(), "application/xml" | "text/xml") {
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, "expected application/xml".into()));
    }
    let version = headers.get("X-Speke-Version").and_then(|version| version.to_str().ok());
    if version != Some(speke::VERSION) {
        let text = format!("Unsupported SPEKE version, expected X-Speke-Version: {}", speke::VERSION);
        return Err((StatusCode::UNPROCESSABLE_ENTITY, text));
    }
    let document = speke::answer(&server.keys, server.settings.fault, &body)
        .map_err(|error| (StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))?;
    let headers = [
        ("Content-Type", "application/xml; charset=utf-8"),
        ("X-Speke-Version", speke::VERSION),
        ("X-Speke-User-Agent", USER_AGENT),
    ];
    Ok((headers, document).into_response())
}

/// Tells the settings' log about each exchange.
async fn log(State(server): Shared, request: Request, next: Next) -> Response {
    let method = request.method().to_string();
    // What follows the path of the tickets is a ticket.
    let path = match request.uri().path().strip_prefix(TICKETS_PATH) {
        Some(rest) if rest.len() > 1 => format!("{TICKETS_PATH}/…"),
        _ => request.uri().path().to_owned(),
    };
    let response = next.run(request).await;
    (server.settings.log)(&Exchange { method, path, status: response.status().as_u16() });
    response
}

impl Server {
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

    /// The answer to a key request that the fault of the settings wants, if it is one of HTTP.
    fn faulty(&self) -> Option<Result<Response, Refusal>> {
        let html = [("Content-Type", "text/html; charset=utf-8")];
        let failure = Some(Err((StatusCode::INTERNAL_SERVER_ERROR, "internal error".to_owned())));
        match self.settings.fault {
            Fault::None | Fault::ReplacedKids | Fault::WrongKid | Fault::ShortKey => None,
            Fault::Unauthorized => Some(Err((StatusCode::UNAUTHORIZED, "not signed in".into()))),
            Fault::ServerError => failure,
            Fault::OneServerError if self.has_failed.swap(true, Ordering::Relaxed) => None,
            Fault::OneServerError => failure,
            Fault::Html => {
                let page = "<!DOCTYPE html><html><body>Please sign in.</body></html>";
                Some(Ok((html, page).into_response()))
            }
            Fault::Empty => Some(Ok(StatusCode::OK.into_response())),
        }
    }
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

fn unavailable(error: Error) -> Refusal {
    (StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}
