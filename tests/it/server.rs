//! Habits of the development server: ranges, validators, content types, other origins, what stays inside, and
//! licenses only for keys that it issued.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use drm_pack::base::Kid;
use drm_pack::keys::DevKeys;
use drm_pack::server::{Running, Settings, start};
use secrecy::SecretString;
use tempfile::TempDir;

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value.trim())
    }

    fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

fn ask(server: &Running, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    // A server that refuses a body may close before all of it was sent: its answer is there all the same.
    let is_closed = |error: std::io::Error| {
        assert!(matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error}");
    };
    stream.write_all(text.as_bytes()).unwrap_or_else(is_closed);
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map(drop).unwrap_or_else(is_closed);
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body: answer[end + 4..].to_vec() }
}

fn get(server: &Running, path: &str, headers: &[(&str, &str)]) -> Answer {
    ask(server, "GET", path, headers, "")
}

const NAMED: [u8; 16] = [0xab; 16];

/// A server of a folder with a file of ten bytes, one of 300 kB, and manifests; a secret lies beside the folder.
fn server() -> (TempDir, Running) {
    let folder = tempfile::tempdir().unwrap();
    let media = folder.path().join("media");
    fs::create_dir_all(media.join("film")).unwrap();
    fs::write(folder.path().join("secret"), "secret").unwrap();
    fs::write(media.join("film/1.m4s"), "0123456789").unwrap();
    fs::write(media.join("film/empty.mp4"), "").unwrap();
    fs::write(media.join("film/big name.mp4"), vec![7; 300_000]).unwrap();
    let mpd = format!("<MPD cenc:default_KID=\"{}\"/>", Kid::new(NAMED));
    fs::write(media.join("film/manifest.mpd"), mpd).unwrap();
    fs::write(media.join("film/master.m3u8"), "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv\n").unwrap();
    let secret = |text: &str| SecretString::from(text);
    let mut settings = Settings::new(secret("seed"), "user", secret("password"));
    settings.media = Some(media);
    settings.players = Some(folder.path().join("players"));
    (folder, start(settings).unwrap())
}

#[test]
fn files_come_whole_or_in_ranges() {
    let (_folder, server) = server();
    let path = "/media/film/1.m4s";
    let whole = get(&server, path, &[]);
    assert_eq!((whole.status, whole.body.as_slice()), (200, &b"0123456789"[..]));
    assert_eq!(whole.header("content-type"), "video/iso.segment");
    assert_eq!(whole.header("accept-ranges"), "bytes");
    assert_eq!(whole.header("cache-control"), "no-cache");
    assert_eq!(whole.header("access-control-allow-origin"), "*");
    let part = get(&server, path, &[("Range", "bytes=2-4")]);
    assert_eq!((part.status, part.text().as_str()), (206, "234"));
    assert_eq!(part.header("content-range"), "bytes 2-4/10");
    assert_eq!(part.header("content-length"), "3");
    assert_eq!(get(&server, path, &[("Range", "bytes=-2")]).text(), "89");
    assert_eq!(get(&server, path, &[("Range", "bytes=7-99")]).text(), "789");
    let beyond = get(&server, path, &[("Range", "bytes=10-")]);
    assert_eq!((beyond.status, beyond.header("content-range")), (416, "bytes */10"));
    assert_eq!(get(&server, path, &[("Range", "bytes=0-1,4-5")]).body.len(), 10);
    let head = ask(&server, "HEAD", path, &[], "");
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, "10", 0));
    assert_eq!(get(&server, "/media/film/big%20name.mp4", &[]).body, vec![7; 300_000]);
    assert_eq!(get(&server, "/media/film/empty.mp4", &[]).status, 200);
    assert_eq!(ask(&server, "PUT", path, &[], "x").status, 405);
}

#[test]
fn what_a_client_has_is_not_sent_again() {
    let (folder, server) = server();
    let path = "/media/film/1.m4s";
    let first = get(&server, path, &[]);
    let (etag, date) = (first.header("etag"), first.header("last-modified"));
    assert!(etag.starts_with('"') && date.ends_with("GMT"), "{}", first.head);
    for header in [("If-None-Match", etag), ("If-None-Match", "*"), ("If-Modified-Since", date)] {
        let again = get(&server, path, &[header]);
        assert_eq!((again.status, again.body.len()), (304, 0), "{header:?}");
    }
    let range = ("Range", "bytes=0-0");
    assert_eq!(get(&server, path, &[range, ("If-Range", etag)]).status, 206);
    assert_eq!(get(&server, path, &[range, ("If-Range", date)]).status, 206);
    fs::write(folder.path().join("media/film/1.m4s"), "another").unwrap();
    assert_eq!(get(&server, path, &[range, ("If-Range", etag)]).text(), "another");
    assert_eq!(get(&server, path, &[("If-None-Match", etag)]).status, 200);
}

#[test]
fn manifests_with_the_address_that_a_package_is_to_have_name_what_lies_here() {
    let (folder, server) = server();
    let film = folder.path().join("media/film");
    fs::create_dir(film.join("lists")).unwrap();
    let master = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlists/v.m3u8\n";
    let list = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n../1.m4s\n#EXT-X-ENDLIST\n";
    let mpd = "<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\"><Period/></MPD>";
    let address = "https://cdn.example/films/film/";
    let manifests = [
        ("master.m3u8", master, master.replace("\nlists", &format!("\n{address}lists"))),
        ("lists/v.m3u8", list, list.replace("../", address)),
        ("x.mpd", mpd, mpd.replace("<Period", &format!("<BaseURL>{address}</BaseURL><Period"))),
    ];
    manifests.iter().for_each(|(name, _, based)| fs::write(film.join(name), based).unwrap());
    for (name, plain, _) in manifests {
        let answer = get(&server, &format!("/media/film/{name}"), &[]);
        assert_eq!((answer.status, String::from_utf8(answer.body).unwrap()), (200, plain.to_owned()));
    }
    // What names no file of the folder stays as it is.
    let other = master.replace("\nlists", "\nhttps://other.example/none");
    fs::write(film.join("master.m3u8"), &other).unwrap();
    assert_eq!(get(&server, "/media/film/master.m3u8", &[]).body, other.into_bytes());
}

#[test]
fn nothing_outside_the_folder_is_served() {
    let (folder, server) = server();
    #[cfg(unix)]
    std::os::unix::fs::symlink(folder.path().join("secret"), folder.path().join("media/link")).unwrap();
    let absolute = format!("/media/{}", folder.path().join("secret").display());
    for path in [
        "/media/../secret",
        "/media/film/../../secret",
        "/media/%2e%2e/secret",
        "/media/..%2fsecret",
        "/media/film/%2e%2e%2f%2e%2e%2fsecret",
        "/media/%252e%252e/secret",
        "/media/..%5csecret",
        "/media/film/1.m4s%00",
        "/media/film/1.m4s%00.mp4",
        "/media/link",
        "/media/film",
        "/media/film/",
        "/media/",
        "/media//film/1.m4s",
        "/media/%ff",
        &absolute,
        "/page/../http.rs",
        "/page/%2e%2e%2fhttp.rs",
        "/players/../secret",
        "/players/..%2fsecret",
        "/players/secret",
        "/secret",
        "/nothing",
    ] {
        let answer = get(&server, path, &[]);
        assert!(matches!(answer.status, 400 | 404), "{path}: {}", answer.status);
        assert!(!String::from_utf8_lossy(&answer.body).contains("secret"), "{path}");
    }
}

fn license(server: &Running, kid: [u8; 16]) -> Answer {
    let kid = URL_SAFE_NO_PAD.encode(kid);
    let body = format!("{{\"kids\":[\"{kid}\"],\"type\":\"temporary\"}}");
    ask(server, "POST", "/clearkey", &[("Content-Type", "application/json")], &body)
}

#[test]
fn a_license_is_for_keys_of_this_server_only() {
    let (_folder, server) = server();
    let known = license(&server, NAMED);
    assert_eq!((known.status, known.header("content-type")), (200, "application/json"));
    assert_eq!(known.header("cache-control"), "no-store");
    let key = DevKeys::new("seed").key(Kid::new(NAMED)).unwrap();
    assert!(known.text().contains(&URL_SAFE_NO_PAD.encode(key.expose())), "{}", known.text());
    let other = license(&server, [1; 16]);
    assert_eq!(other.status, 403);
    assert_eq!(other.text(), "this server did not issue the key 01010101-0101-0101-0101-010101010101");
    assert_eq!(ask(&server, "POST", "/clearkey", &[], "no license request").status, 400);
    assert_eq!(ask(&server, "POST", "/clearkey", &[], &" ".repeat(2 << 20)).status, 413);
    let events = get(&server, "/api/events", &[]).text();
    assert!(events.contains("\"path\":\"/clearkey\",\"status\":403"), "{events}");
}

#[test]
fn the_page_is_kept_to_its_origin_and_to_the_one_that_its_user_names() {
    let (_folder, server) = server();
    let policy = |path: &str| get(&server, path, &[]).header("content-security-policy").to_owned();
    let own = policy("/");
    assert!(own.contains("default-src 'self'") && !own.contains("http"), "{own}");
    assert!(!own.contains("unsafe"), "{own}");
    let other = policy("/?manifest=https%3A%2F%2Fcdn.example%3A8443%2Fa%20b%2Fx.mpd%3Fa%3Bb");
    assert!(other.contains("connect-src 'self' data: blob: https://cdn.example:8443;"), "{other}");
    for name in ["javascript:x", "data:,x", "x;%20script-src%20*", "https://a;script-src%20*/"] {
        assert_eq!(policy(&format!("/?manifest={name}")), own, "{name}");
    }
    let listed = get(&server, "/api/presentations", &[]).text();
    assert!(listed.contains("[\"film/manifest.mpd\",\"film/master.m3u8\"]"), "{listed}");
    assert!(listed.contains("\"players\":[]"), "{listed}");
    let missing = get(&server, "/players/shaka.js", &[]);
    assert_eq!(missing.text(), "this player is not here: scripts/players brings it");
    for (file, content_type) in
        [("page.js", "text/javascript"), ("page.css", "text/css"), ("icon.svg", "image/svg")]
    {
        let answer = get(&server, &format!("/page/{file}"), &[]);
        assert!(answer.status == 200 && answer.header("content-type").starts_with(content_type), "{file}");
    }
    let preflight = ask(&server, "OPTIONS", "/media/film/1.m4s", &[("Origin", "http://other.example")], "");
    assert_eq!(preflight.status, 204);
    assert!(preflight.header("access-control-allow-headers").contains("Range"));
}
