//! What key servers and what stands in front of them answer: secrets that they repeat, bytes that they withhold, statuses
//! and certificates, and what is said of them — RFC 9110 §15, RFC 5280.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::media::root;

/// A server that answers each request with the text that its rule makes of path, headers and body.
struct Server {
    url: String,
    requests: Arc<AtomicUsize>,
}

impl Server {
    fn new(rule: impl Fn(&Asked, &mut dyn Write) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::<AtomicUsize>::default();
        let (rule, count) = (Arc::new(rule), Arc::clone(&requests));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (rule, count) = (Arc::clone(&rule), Arc::clone(&count));
                thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    let asked = Asked::read(&stream);
                    count.fetch_add(1, Ordering::Relaxed);
                    rule(&asked, &mut stream);
                });
            }
        });
        Self { url, requests }
    }

    /// Answers everything with this head and body.
    fn saying(head: &'static str, body: &'static str) -> Self {
        Self::new(move |_, out| answer(out, head, body))
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

struct Asked {
    /// Path and headers.
    head: String,
    path: String,
    authorization: String,
    body: String,
}

impl Asked {
    fn read(stream: &TcpStream) -> Self {
        let mut reader = BufReader::new(stream);
        let mut lines = reader.by_ref().lines().map_while(|line| line.ok().filter(|line| !line.is_empty()));
        let path = lines.next().unwrap_or_default().split(' ').nth(1).unwrap_or_default().to_owned();
        let headers: Vec<String> = lines.collect();
        let header = |name: &str| {
            let found = headers.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            found.unwrap_or_default().to_owned()
        };
        let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
        reader.read_exact(&mut body).unwrap();
        let head = format!("{path} {}", headers.join(" "));
        Self { head, path, authorization: header("authorization"), body: String::from_utf8(body).unwrap() }
    }
}

fn answer(out: &mut dyn Write, head: &str, body: &str) {
    let text =
        format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    out.write_all(text.as_bytes()).unwrap();
}

const PASSWORD: &str = "S3cret&=+% \"::ü/<Zz9";

fn drm_pack(arguments: &[&str], server: &Server) -> Output {
    Command::new(env!("CARGO_BIN_EXE_drm-pack"))
        .args(arguments)
        .env("DRMTODAY_AUTH_URL", &server.url)
        .env("DRMTODAY_FRONTEND_URL", &server.url)
        .env("DRMTODAY_ORG", "org")
        .env("DRMTODAY_CPIX_CONFIG", "config")
        .env("DRMTODAY_USER", "demo::user")
        .env("DRMTODAY_PASSWORD", PASSWORD)
        .env("DRM_PACK_BASIC_PASSWORD", PASSWORD)
        .env_remove("DRM_PACK_KEY_SERVER_URL")
        .output()
        .unwrap()
}

/// `drm-pack keys` for one track, from the key server at `url`.
fn keys(url: &str, options: &[&str], server: &Server) -> Output {
    let input = root().join("fixtures/clip/mp4/audio.m4a");
    let arguments = ["keys", input.to_str().unwrap(), "--drm", "widevine", "--resource-id", "x"];
    drm_pack(&[&arguments, &["--key-server-url", url][..], options].concat(), server)
}

/// It ends with 5; everything that it says.
fn refused(output: &Output) -> String {
    let said = [&output.stdout[..], &output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert_eq!(output.status.code(), Some(5), "{said}");
    said
}

/// The password in the encodings in which gateways repeat it.
fn echoes() -> Vec<String> {
    use base64::Engine as _;
    let percent = |byte: u8| match byte {
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    let json = |c: char| match c {
        '"' => "\\\"".to_owned(),
        c if c.is_ascii() => c.to_string(),
        c => format!("\\u{:04x}", u32::from(c)),
    };
    let html = |c: char| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '"' => "&#34;".to_owned(),
        c => c.to_string(),
    };
    let quoted: String = PASSWORD.bytes().map(percent).collect();
    vec![
        PASSWORD.to_owned(),
        quoted.clone(),
        quoted.to_lowercase().replace("s3cret", "S3cret").replace("zz9", "Zz9"),
        quoted.replace("%20", "+"),
        PASSWORD.chars().map(json).collect(),
        PASSWORD.chars().map(html).collect(),
        base64::engine::general_purpose::STANDARD.encode(PASSWORD),
        PASSWORD.bytes().map(|byte| format!("{byte:02x}")).collect(),
    ]
}

#[test]
fn what_a_server_repeats_is_told_without_secrets() {
    for echo in echoes() {
        let repeated = echo.clone();
        let sign_in = Server::new(move |_, out| answer(out, "401 x", &format!("no {repeated} for me")));
        let repeated = echo.clone();
        let ticket = Server::new(move |asked, out| match asked.path.as_str() {
            "/cas/v1/tickets" => answer(out, "201 x\r\nLocation: /cas/v1/tickets/TGT-1", ""),
            _ => answer(out, "400 x", &format!("no {repeated} for me")),
        });
        let repeated = echo.clone();
        let basic = Server::new(move |asked, out| {
            answer(out, "403 x", &format!("no {repeated} or {} for me", asked.authorization));
        });
        for json in [&[][..], &["--json"]] {
            for server in [&sign_in, &ticket] {
                let said = refused(&drm_pack(&[&["key-url"], json].concat(), server));
                assert!(said.contains("no … for me"), "{said}");
            }
        }
        let url = format!("{}/k", basic.url);
        let said = refused(&keys(&url, &["--basic-user", "me"], &basic));
        assert!(said.contains("no … or Basic … for me"), "{said}");
    }
    // The form as it came.
    let server = Server::new(|asked, out| answer(out, "401 x", &asked.body));
    let said = refused(&drm_pack(&["key-url"], &server));
    assert!(said.contains("password=…\""), "{said}");
}

#[test]
fn a_server_that_sends_a_byte_now_and_then_is_given_up_in_time() {
    let server = Server::new(|_, out| {
        let _ = out.write_all(b"HTTP/1.1 200 x\r\nContent-Length: 1000\r\n\r\n");
        while out.write_all(b" ").is_ok() {
            thread::sleep(Duration::from_millis(100));
        }
    });
    let begun = Instant::now();
    let said = refused(&keys(&format!("{}/k", server.url), &["--timeout", "1"], &server));
    assert!(said.contains("127.0.0.1: no whole answer within 1 s"), "{said}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(server.requests(), 1, "the next try would last as long");
}

#[test]
fn a_wait_that_a_server_asks_for_is_said() {
    let server = Server::saying("429 x\r\nRetry-After: 1", "");
    let said = refused(&keys(&format!("{}/k", server.url), &[], &server));
    let waits = said.matches("the key server answers 429, too many requests; trying again in 1 s").count();
    assert_eq!((waits, server.requests()), (2, 3), "{said}");
}

#[test]
fn a_hint_fits_who_was_asked_and_how() {
    let sign_in: &[&str] = &["key-url"];
    for (head, options, says, never) in [
        ("401 x", &["--basic-user", "me"][..], "user or password is wrong", "ticket"),
        ("401 x", &[], "the server wants to know who asks", "ticket"),
        ("401 x", &["--header", "X-Key:$DRMTODAY_PASSWORD"], "check the values of --header", "ticket"),
        ("403 x", &["--basic-user", "me"], "status 403, not permitted", "ticket"),
        ("407 x", &[], "user and password of the proxy", "ticket"),
        ("404 x", &[], "organization, configuration or content id", "ticket"),
        ("401 x", sign_in, "user or password is wrong", "used up"),
        ("404 x", sign_in, "check the address of the sign-in server", "proxy"),
        ("407 x", sign_in, "user and password of the proxy", "check the address"),
        ("423 x", sign_in, "ask the vendor to unlock the account", "check the address"),
        ("201 x", sign_in, "without a Location header, expected the address of a ticket", "used up"),
        (
            "503 x\r\nRetry-After: 0",
            sign_in,
            "status 503, the server is not available now",
            "check the address",
        ),
        ("429 x\r\nRetry-After: 0", sign_in, "wait before the next call", "check the address"),
    ] {
        let server = Server::saying(head, "");
        let output = match options {
            ["key-url"] => drm_pack(options, &server),
            _ => keys(&format!("{}/k", server.url), options, &server),
        };
        let said = refused(&output);
        assert!(said.contains(says) && !said.contains(never), "{head:?} {options:?}: {said}");
    }
    let server = Server::saying("401 x", "");
    let said = refused(&keys(&format!("{}/k?ticket=ST-1", server.url), &[], &server));
    assert!(said.contains("the ticket is used up") && said.contains("get a new URL"), "{said}");
}

#[test]
fn plain_http_to_another_machine_is_warned_of() {
    let proxy = Server::saying("404 x", "");
    let warning = "warning: plain http to keys.example is not encrypted";
    for (url, options, is_warned) in [
        ("http://keys.example/k", &[][..], true),
        ("http://keys.example/k", &["--insecure-http"], false),
        (&format!("{}/k", proxy.url), &[], false),
    ] {
        let said = refused(&keys(url, &[options, &["--proxy", &proxy.url]].concat(), &proxy));
        assert_eq!(said.matches(warning).count(), usize::from(is_warned), "{url}: {said}");
    }
}

#[test]
fn a_certificate_that_is_not_good_is_told_in_words_and_not_tried_again() {
    use rustls::pki_types::PrivateKeyDer;
    let file = |name: &str| std::fs::read(root().join("fixtures/recipient").join(name)).unwrap();
    // Its own authority: CA:TRUE, for CPIX documents.
    let certificate = file("certificate.der");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let key = PrivateKeyDer::try_from(file("key.der")).unwrap();
    let config = Arc::new(config.with_single_cert(vec![certificate.clone().into()], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}/k", listener.local_addr().unwrap().port());
    let count = Arc::<AtomicUsize>::default();
    let connections = Arc::clone(&count);
    thread::spawn(move || {
        for stream in listener.incoming() {
            connections.fetch_add(1, Ordering::Relaxed);
            let mut session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let _ = session.complete_io(&mut stream.unwrap());
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("ca.pem");
    use base64::Engine as _;
    let pem = base64::engine::general_purpose::STANDARD.encode(&certificate);
    std::fs::write(&authority, format!("-----BEGIN CERTIFICATE-----\n{pem}\n-----END CERTIFICATE-----\n"))
        .unwrap();
    let nobody = Server::saying("500 x", "");
    let says = "localhost: no TLS session: the server shows the certificate of an authority (CA) as its own";
    for options in [&[][..], &["--cacert", authority.to_str().unwrap()]] {
        count.store(0, Ordering::Relaxed);
        let said = refused(&keys(&url, options, &nobody));
        assert!(said.contains(says) && said.contains("a certificate that this CA has signed"), "{said}");
        assert_eq!(count.load(Ordering::Relaxed), 1, "{said}");
    }
}

/// Every vendor's server repeats all that it was sent, and the command says none of what is secret in it.
#[test]
fn what_the_server_of_any_vendor_repeats_is_told_without_secrets() {
    use drm_pack::keys::{Auth, VENDORS, VendorUrl};
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "T0ken/of+a%Vendor==").unwrap();
    let server = Server::new(|asked, out| answer(out, "400 x", &format!("{} {}", asked.head, asked.body)));
    let input = root().join("fixtures/clip/mp4/audio.m4a");
    for vendor in VENDORS {
        let (VendorUrl::Of(address) | VendorUrl::Like(address)) = vendor.url;
        let path = address.splitn(4, '/').nth(3).unwrap().replace("TICKET", "ST-T0kenofaTicket0123456789");
        let url = format!("{}/{path}", server.url);
        let takes_token =
            matches!(vendor.auth, Auth::Bearer | Auth::Header(_)) || address.contains("{token}");
        let takes_user = vendor.auth == Auth::Basic || address.contains("{user}");
        let mut command = Command::new(env!("CARGO_BIN_EXE_drm-pack"));
        command.arg("pack").arg(&input).args(["--drm", "widevine", "--resource-id", "film", "--org", "org"]);
        command.args(["--vendor", vendor.name(), "--key-server-url", &url]).arg("--out");
        command.arg(folder.path().join(vendor.name())).args(["--json", "--preset", "preset0"]);
        if takes_token {
            command.arg("--vendor-token-file").arg(&token);
        }
        if takes_user {
            command.args(["--basic-user", "me"]);
        }
        let output = command
            .env("DRM_PACK_BASIC_PASSWORD", PASSWORD)
            .env("AWS_ACCESS_KEY_ID", "AKIDT0kenofaVendor")
            .env("AWS_SECRET_ACCESS_KEY", PASSWORD)
            .env("AWS_SESSION_TOKEN", "T0kenOfASessionThatIsLong")
            .env("AWS_REGION", "eu-west-1")
            .output()
            .unwrap();
        let said = refused(&output);
        assert!(said.contains("status 400"), "{}: {said}", vendor.name());
        for secret in ["S3cret", "T0ken", "Zz9", "Signature=", "c2VjcmV0"] {
            let part = said.replace("Signature=…", "");
            assert!(!part.contains(secret), "{} tells {secret}: {said}", vendor.name());
        }
        assert!(!folder.path().join(vendor.name()).exists(), "{}", vendor.name());
    }
}
