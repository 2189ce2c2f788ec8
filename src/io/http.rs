//! HTTP client — RFC 9110, over TLS with the platform's certificates.

use std::collections::HashSet;
use std::io::Read as _;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use reqwest::blocking::{Client, Response as Answer};
use reqwest::header::HeaderName;
use reqwest::{Certificate, Identity, Method, Proxy, Url, redirect};
use secrecy::{ExposeSecret, SecretString};
use url::Host;

use crate::base::env::{Http, Request, Response};
use crate::base::{Error, Result};

use super::http_fault::{CONNECT_TIMEOUT, Phase, broken_off, root_cause, transport};

/// For one whole exchange; key servers answer within a second or two.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest body: that of the largest CPIX document that is read.
const MAX_BODY_BYTES: u64 = 8 << 20;

/// Waits of so many milliseconds and more are told.
const LONG_WAIT: u64 = 1_000;

/// Who is told what happens between requests.
pub type Notice = Box<dyn Fn(&str) + Send + Sync>;

/// How servers are reached.
#[derive(Default)]
pub struct HttpOptions {
    /// The proxy, instead of that of the environment; it may carry user information.
    pub proxy: Option<SecretString>,
    /// Certificates in PEM that are trusted besides those of the platform.
    pub ca_certificates: Option<Vec<u8>>,
    /// A certificate and its private key in PEM: who the client is.
    pub client_identity: Option<SecretString>,
    /// Longest time for one whole exchange.
    pub timeout: Option<Duration>,
    /// Whether plain http to other hosts goes without a warning.
    pub insecure_http: bool,
    /// Who is told of waits and of plain http.
    pub notice: Option<Notice>,
}

/// Sends requests and waits; redirects are not followed. A job that asks nobody has no use for certificates, threads
/// and descriptors: they come with the first request.
pub struct HttpClient {
    client: OnceLock<Client>,
    /// For loopback addresses, which no proxy reaches.
    direct: OnceLock<Client>,
    proxy: Option<Proxy>,
    certificates: Vec<Certificate>,
    identity: Option<Identity>,
    pub(super) timeout: Duration,
    insecure_http: bool,
    notice: Option<Notice>,
    /// Hosts that were warned of.
    warned: Mutex<HashSet<String>>,
}

impl HttpClient {
    /// A client with the proxy of the environment.
    ///
    /// # Errors
    /// None so far: as [`HttpClient::with`].
    pub fn new() -> Result<Self> {
        Self::with(HttpOptions::default())
    }

    /// A client with these options.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::base::Kind::Usage) when proxy or certificates cannot be read.
    pub fn with(options: HttpOptions) -> Result<Self> {
        // The text of the error would repeat the user information of the proxy.
        let proxy = options.proxy.as_ref().map(|proxy| {
            Proxy::all(proxy.expose_secret())
                .map_err(|_| Error::usage("the proxy is not an address that can be used"))
        });
        Ok(Self {
            client: OnceLock::new(),
            direct: OnceLock::new(),
            proxy: proxy.transpose()?,
            certificates: options.ca_certificates.as_deref().map_or(Ok(Vec::new()), certificates)?,
            identity: options.client_identity.as_ref().map(identity).transpose()?,
            timeout: options.timeout.unwrap_or(TOTAL_TIMEOUT),
            insecure_http: options.insecure_http,
            notice: options.notice,
            warned: Mutex::default(),
        })
    }

    /// Connects to the server of `url`; `None` when it answers, whatever it says.
    pub fn probe(&self, url: &str) -> Option<(Phase, Error)> {
        let request = Request { method: "GET", url: url.to_owned(), headers: Vec::new(), body: Vec::new() };
        self.answer(&request).err()
    }

    fn answer(&self, request: &Request) -> Result<Answer, (Phase, Error)> {
        // Only the host is named in errors: query, user information and path may hold tickets.
        let wrong = |error: Error| (Phase::Request, error);
        let url = Url::parse(&request.url).map_err(|error| wrong(Error::usage(format!("URL: {error}"))))?;
        let host = url.host_str().unwrap_or("no host").to_owned();
        let method = Method::from_bytes(request.method.as_bytes())
            .map_err(|_| wrong(Error::usage(format!("HTTP method {:?}", request.method))))?;
        self.warn_of_plain(&url);
        // Of the request, not of the client: that one begins anew with each byte.
        let client = self.client_for(&url).map_err(wrong)?;
        let mut builder = client.request(method, url).timeout(self.timeout);
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        if !request.body.is_empty() {
            builder = builder.body(request.body.clone());
        }
        builder.send().map_err(|error| {
            let (phase, error) = transport(error, self.timeout);
            (phase, error.at(host))
        })
    }

    /// What goes to a key server, and what comes from it, is a secret.
    fn warn_of_plain(&self, url: &Url) {
        let host = url.host_str().unwrap_or_default();
        if url.scheme() != "http" || is_loopback(url) || self.insecure_http {
            return;
        }
        if self.warned.lock().unwrap_or_else(PoisonError::into_inner).insert(host.to_owned()) {
            self.say(&format!(
                "warning: plain http to {host} is not encrypted: keys, passwords and tickets can be read on the way; \
                 use https, or say --insecure-http"
            ));
        }
    }

    fn say(&self, text: &str) {
        if let Some(notice) = &self.notice {
            notice(text);
        }
    }

    /// Asks for a file. The body is still to be read, each time it stalls within the time of the options.
    pub(super) fn get(&self, url: &Url, headers: &[(HeaderName, String)]) -> Result<Answer, (Phase, Error)> {
        let client = self.client_for(url).map_err(|error| (Phase::Request, error))?;
        let mut builder = client.get(url.clone());
        for (name, value) in headers {
            builder = builder.header(name, value);
        }
        builder.send().map_err(|error| transport(error, self.timeout))
    }

    fn client_for(&self, url: &Url) -> Result<&Client> {
        let (made, proxy) = match is_loopback(url) {
            true => (&self.direct, None),
            false => (&self.client, self.proxy.as_ref()),
        };
        if let Some(client) = made.get() {
            return Ok(client);
        }
        let mut builder = Client::builder()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT.min(self.timeout))
            .timeout(self.timeout)
            .user_agent(concat!("drm-pack/", env!("CARGO_PKG_VERSION")));
        if !self.certificates.is_empty() {
            builder = builder.tls_certs_merge(self.certificates.iter().cloned());
        }
        if let Some(identity) = &self.identity {
            builder = builder.identity(identity.clone());
        }
        if let Some(proxy) = proxy {
            builder = builder.proxy(proxy.clone());
        } else if is_loopback(url) {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| {
            Error::storage(format!("HTTP client: {}", root_cause(&error.without_url())))
                .hint("see how many files and threads a process may have")
        })?;
        Ok(made.get_or_init(|| client))
    }
}

/// Whether the host is this machine: RFC 6761 §6.3, RFC 5735 §3, RFC 4291 §2.5.3.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate>> {
    let found = Certificate::from_pem_bundle(pem).ok().filter(|found| !found.is_empty());
    found.ok_or_else(|| Error::usage("the CA file has no certificate in PEM").clause("RFC 7468 §5"))
}

fn identity(pem: &SecretString) -> Result<Identity> {
    Identity::from_pem(pem.expose_secret().as_bytes()).map_err(|_| {
        Error::usage("the client certificate file has no certificate with its private key in PEM")
            .clause("RFC 7468 §5, §10")
    })
}

impl Http for HttpClient {
    fn send(&self, request: &Request) -> Result<Response> {
        let lasting = |(phase, error): (Phase, Error)| match phase {
            // The next try would end in the same way, or last as long again.
            Phase::Certificate | Phase::Late => Error::keys(error.to_string()),
            _ => error,
        };
        let answer = self.answer(request).map_err(lasting)?;
        let host = answer.url().host_str().unwrap_or("no host").to_owned();
        self.read(answer).map_err(|fault| lasting(fault).at(host))
    }

    fn wait(&self, milliseconds: u64, why: &str) {
        // A server that asks for more is not waited for longer than for its answer.
        let wait = Duration::from_millis(milliseconds).min(self.timeout);
        if milliseconds >= LONG_WAIT {
            self.say(&format!("{why}; trying again in {} s", wait.as_millis().div_ceil(1_000)));
        }
        thread::sleep(wait);
    }
}

impl HttpClient {
    fn read(&self, answer: Answer) -> Result<Response, (Phase, Error)> {
        let status = answer.status().as_u16();
        let header = |(name, value): (&HeaderName, &reqwest::header::HeaderValue)| {
            (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let headers = answer.headers().iter().map(header).collect();
        let mut body = Vec::new();
        let read = answer.take(MAX_BODY_BYTES + 1).read_to_end(&mut body);
        if let Err(error) = read {
            return Err(broken_off(&error, self.timeout));
        }
        if body.len() as u64 > MAX_BODY_BYTES {
            let error = Error::storage(format!("the answer is longer than {MAX_BODY_BYTES} bytes"));
            return Err((Phase::Answer, error));
        }
        Ok(Response { status, headers, body })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpListener;

    use super::*;
    use crate::base::Kind;

    fn request(url: String) -> Request {
        let headers = vec![("Content-Type".to_owned(), "application/xml".to_owned())];
        Request { method: "POST", url, headers, body: b"hello".to_vec() }
    }

    /// Answers one request with `answer` and returns what was received up to the body's end.
    fn serve(answer: Vec<u8>) -> (String, thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut received = Vec::new();
            let mut buffer = [0; 4096];
            while !received.ends_with(b"hello") {
                let count = stream.read(&mut buffer).unwrap();
                received.extend_from_slice(&buffer[..count]);
            }
            let _ = stream.write_all(&answer);
            String::from_utf8(received).unwrap()
        });
        (address, server)
    }

    #[test]
    fn an_answer_comes_back_whole_and_a_redirect_is_an_answer() {
        let answer = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/x\r\nContent-Length: 2\r\n\r\nno";
        let (address, server) = serve(answer.to_vec());
        let response = HttpClient::new().unwrap().send(&request(format!("{address}/a?b=c"))).unwrap();
        assert_eq!((response.status, response.body.as_slice()), (302, b"no".as_slice()));
        assert_eq!(response.header("location"), Some("http://127.0.0.1:1/x"));
        let received = server.join().unwrap();
        assert!(received.starts_with("POST /a?b=c HTTP/1.1\r\n"), "{received}");
        assert!(received.contains("content-type: application/xml"), "{received}");
        assert!(received.contains("user-agent: drm-pack/"), "{received}");
    }

    #[test]
    fn a_client_that_asks_nobody_needs_nothing() {
        let (address, server) = serve(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec());
        let client = HttpClient::new().unwrap();
        client.wait(1, "a test");
        assert!(client.client.get().is_none() && client.direct.get().is_none());
        client.send(&request(address)).unwrap();
        assert!(client.client.get().is_none() && client.direct.get().is_some());
        server.join().unwrap();
    }

    #[test]
    fn a_body_over_the_cap_is_refused() {
        let length = usize::try_from(MAX_BODY_BYTES).unwrap() + 1;
        let mut answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes();
        answer.resize(answer.len() + length, b'x');
        let (address, server) = serve(answer);
        let error = HttpClient::new().unwrap().send(&request(address)).err().unwrap();
        assert!(error.to_string().contains("longer than 8388608 bytes"), "{error}");
        server.join().unwrap();
    }

    #[test]
    fn a_loopback_address_is_not_reached_through_a_proxy() {
        let (address, server) = serve(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec());
        let options = HttpOptions {
            proxy: Some(SecretString::from("http://me:marked@192.0.2.1:1")),
            timeout: Some(Duration::from_secs(5)),
            ..HttpOptions::default()
        };
        assert_eq!(HttpClient::with(options).unwrap().send(&request(address)).unwrap().status, 204);
        server.join().unwrap();
        for (url, expected) in [
            ("http://localhost/", true),
            ("http://a.localhost/", true),
            ("http://127.8.9.1/", true),
            ("http://[::1]:80/", true),
            ("http://localhost.example/", false),
            ("http://192.0.2.1/", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }

    #[test]
    fn options_that_cannot_be_used_are_told_without_what_they_hold() {
        let marked = || Some(SecretString::from("marked"));
        for options in [
            HttpOptions { proxy: Some(SecretString::from("http://me:marked@[")), ..HttpOptions::default() },
            HttpOptions { client_identity: marked(), ..HttpOptions::default() },
            HttpOptions { ca_certificates: Some(b"marked".to_vec()), ..HttpOptions::default() },
        ] {
            let error = HttpClient::with(options).err().unwrap();
            assert_eq!(error.kind(), Kind::Usage);
            assert!(!format!("{error:?}").contains("marked"), "{error}");
        }
    }

    #[test]
    fn a_probe_tells_the_step_that_failed() {
        let client = HttpClient::new().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (phase, _) = client.probe(&format!("http://127.0.0.1:{port}/")).unwrap();
        assert_eq!(phase, Phase::Connect);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        });
        let (phase, error) = client.probe(&format!("https://127.0.0.1:{port}/")).unwrap();
        assert_eq!(phase, Phase::Tls, "{error}");
        server.join().unwrap();
    }

    #[test]
    fn a_refused_connection_is_told_without_the_ticket() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = format!("http://127.0.0.1:{port}/tickets/TGT-marked?ticket=ST-marked");
        let error = HttpClient::new().unwrap().send(&request(url)).err().unwrap();
        assert_eq!(error.kind(), Kind::Storage);
        let text = format!("{error:?}");
        assert!(text.contains("127.0.0.1: no connection"), "{text}");
        assert!(!text.contains("marked"), "{text}");
    }
}
