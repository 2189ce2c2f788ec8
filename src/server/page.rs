//! The player page: plain HTML, CSS and JavaScript, players from npm, and what the page asks about — W3C Content
//! Security Policy Level 3 keeps it to this server.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::events::Events;
use super::files;
use super::folder::Folder;

const INDEX: &str = include_str!("page/index.html");
/// The files of the page besides its HTML.
const FILES: &[(&str, &str)] = &[
    ("page.css", include_str!("page/page.css")),
    ("page.js", include_str!("page/page.js")),
    ("players.js", include_str!("page/players.js")),
    ("manifests.js", include_str!("page/manifests.js")),
    ("errors.js", include_str!("page/errors.js")),
    ("icon.svg", include_str!("page/icon.svg")),
];
/// The players: name in the page, file in the folder of players.
const PLAYERS: &[(&str, &str)] = &[
    ("shaka", "node_modules/shaka-player/dist/shaka-player.compiled.js"),
    ("dashjs", "node_modules/dashjs/dist/modern/umd/dash.all.min.js"),
    ("hlsjs", "node_modules/hls.js/dist/hls.min.js"),
];
/// What brings the players.
const HOW_TO_GET_PLAYERS: &str = "scripts/players";

/// What the page is about.
pub(super) struct Page {
    /// The presentations.
    pub(super) media: Option<Folder>,
    /// The players.
    pub(super) players: Option<PathBuf>,
    /// The last requests.
    pub(super) events: Events,
}

type Shared = State<Arc<Page>>;

/// The routes of the page.
pub(super) fn router(page: Arc<Page>) -> Router {
    let files = get(media).options(async || files::preflight("GET, HEAD, OPTIONS"));
    Router::new()
        .route("/", get(index))
        .route("/page/{file}", get(file))
        .route("/players/{name}", get(player))
        .route("/media/{*name}", files)
        .route("/api/presentations", get(presentations))
        .route("/api/events", get(events))
        .with_state(page)
}

#[derive(Deserialize)]
struct IndexQuery {
    manifest: Option<String>,
}

/// `GET /?manifest=`: the page, which may load from its own origin and from that of the manifest that the user
/// gave.
async fn index(Query(query): Query<IndexQuery>) -> Response {
    let url = query.manifest.and_then(|manifest| Url::parse(&manifest).ok());
    let origin = url.filter(|url| matches!(url.scheme(), "http" | "https")).map(|url| url.origin());
    let origin = origin.map(|origin| origin.ascii_serialization()).unwrap_or_default();
    let policy = format!(
        "default-src 'self'; connect-src 'self' data: blob: {origin}; media-src 'self' blob: {origin}; \
         worker-src 'self' blob:; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; \
         frame-ancestors 'none'"
    );
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-cache"),
        (HeaderName::from_static("content-security-policy"), policy.as_str()),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
        (HeaderName::from_static("referrer-policy"), "no-referrer"),
    ];
    (headers, INDEX).into_response()
}

/// `GET /page/{file}`: a part of the page.
async fn file(Path(file): Path<String>) -> Response {
    let Some((name, text)) = FILES.iter().find(|(name, _)| *name == file) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let content_type = if name.ends_with(".svg") { "image/svg+xml" } else { files::content_type(name) };
    ([(CONTENT_TYPE, content_type), (CACHE_CONTROL, "no-cache")], *text).into_response()
}

/// `GET /players/{name}.js`: a player.
async fn player(State(page): Shared, Path(name): Path<String>, headers: HeaderMap) -> Response {
    let row = PLAYERS.iter().find(|(known, _)| name.strip_suffix(".js") == Some(known));
    let path = row.zip(page.players.as_ref()).map(|((_, file), folder)| folder.join(file));
    let answer = path.and_then(|path| files::answer(&path, &name, &headers).ok());
    answer.unwrap_or_else(|| {
        let text = format!("this player is not here: {HOW_TO_GET_PLAYERS} brings it");
        (StatusCode::NOT_FOUND, text).into_response()
    })
}

/// `GET /media/{name}`: a file of a presentation.
async fn media(State(page): Shared, Path(name): Path<String>, headers: HeaderMap) -> Response {
    let path = page.media.as_ref().and_then(|folder| folder.find(&name));
    let relative = path.as_ref().zip(page.media.as_ref());
    if let Some(manifest) = relative.and_then(|(path, folder)| folder.relative_manifest(path)) {
        return files::small(&name, manifest);
    }
    let answer = path.and_then(|path| files::answer(&path, &name, &headers).ok());
    answer.unwrap_or_else(|| {
        let mut headers = HeaderMap::new();
        files::allow_others(&mut headers);
        (StatusCode::NOT_FOUND, headers, "no such file").into_response()
    })
}

/// `GET /api/presentations`: what can be played, and with what.
async fn presentations(State(page): Shared) -> Response {
    let manifests = page.media.as_ref().map(Folder::manifests).unwrap_or_default();
    let is_here = |file: &&str| page.players.as_ref().is_some_and(|folder| folder.join(file).is_file());
    let players: Vec<_> = PLAYERS.iter().filter(|(_, file)| is_here(file)).map(|(name, _)| name).collect();
    answer(&json!({
        "manifests": manifests,
        "has_media": page.media.is_some(),
        "players": players,
        "how_to_get_players": HOW_TO_GET_PLAYERS,
        "version": env!("CARGO_PKG_VERSION"),
    }))
}

#[derive(Deserialize)]
struct EventsQuery {
    from: Option<u64>,
}

/// `GET /api/events?from=`: the requests with this number and later ones.
async fn events(State(page): Shared, Query(query): Query<EventsQuery>) -> Response {
    answer(&json!({ "events": page.events.from(query.from.unwrap_or(0)) }))
}

fn answer(value: &Value) -> Response {
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], value.to_string()).into_response()
}
