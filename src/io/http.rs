//! HTTP client — RFC 9110, over TLS with the platform's certificates.

use std::error::Error as StdError;
use std::io::Read as _;
use std::thread;
use std::time::Duration;

use reqwest::blocking::{Client, Response as Answer};
use reqwest::{Method, Url, redirect};

use crate::base::env::{Http, Request, Response};
use crate::base::{Error, Result};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For one whole exchange; key servers answer within a second or two.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest body: that of the largest CPIX document that is read.
const MAX_BODY_BYTES: u64 = 8 << 20;

/// Sends requests and waits; redirects are not followed.
pub struct HttpClient {
    client: Client,
}

impl HttpClient {
    /// A client with the proxy of the environment.
    ///
    /// # Errors
    /// [`Kind::Storage`](crate::base::Kind::Storage) when TLS cannot be set up.
    pub fn new() -> Result<Self> {
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TOTAL_TIMEOUT)
            .user_agent(concat!("drm-pack/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Error::storage(format!("HTTP client: {}", root_cause(&error.without_url()))))?;
        Ok(Self { client })
    }
}

impl Http for HttpClient {
    fn send(&self, request: &Request) -> Result<Response> {
        // Only the host is named in errors: query, user information and path may hold tickets.
        let url = Url::parse(&request.url).map_err(|error| Error::usage(format!("URL: {error}")))?;
        let host = url.host_str().unwrap_or("no host").to_owned();
        let method = Method::from_bytes(request.method.as_bytes())
            .map_err(|_| Error::usage(format!("HTTP method {:?}", request.method)))?;
        let mut builder = self.client.request(method, url);
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        if !request.body.is_empty() {
            builder = builder.body(request.body.clone());
        }
        let place = |error: Error| error.at(&host);
        let answer = builder.send().map_err(|error| place(transport(error)))?;
        read(answer).map_err(place)
    }

    fn wait(&self, milliseconds: u64) {
        thread::sleep(Duration::from_millis(milliseconds));
    }
}

fn read(answer: Answer) -> Result<Response> {
    let status = answer.status().as_u16();
    let header = |(name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue)| {
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let headers = answer.headers().iter().map(header).collect();
    let mut body = Vec::new();
    answer
        .take(MAX_BODY_BYTES + 1)
        .read_to_end(&mut body)
        .map_err(|error| Error::storage(format!("the answer broke off: {}", root_cause(&error))))?;
    if body.len() as u64 > MAX_BODY_BYTES {
        return Err(Error::storage(format!("the answer is longer than {MAX_BODY_BYTES} bytes")));
    }
    Ok(Response { status, headers, body })
}

/// What went wrong before an answer came, with the step in words.
fn transport(error: reqwest::Error) -> Error {
    let error = error.without_url();
    let cause = root_cause(&error);
    let is_tls = chain(&error).any(|part| {
        let text = part.to_string().to_lowercase();
        ["certificate", "tls", "handshake"].iter().any(|word| text.contains(word))
    });
    if error.is_dns() {
        Error::storage(format!("the host name was not resolved: {cause}")).hint("check the host name and DNS")
    } else if error.is_timeout() && error.is_connect() {
        Error::storage(format!("no connection within {} s", CONNECT_TIMEOUT.as_secs()))
            .hint("check that a firewall permits it")
    } else if error.is_timeout() {
        Error::storage(format!("no whole answer within {} s", TOTAL_TIMEOUT.as_secs()))
    } else if is_tls {
        Error::storage(format!("no TLS session: {cause}")).hint("check the server's certificate")
    } else if error.is_builder() {
        Error::usage(format!("the request cannot be sent: {cause}")).hint("check URL and headers")
    } else if error.is_connect() {
        Error::storage(format!("no connection: {cause}")).hint("check host, port and proxy")
    } else {
        Error::storage(format!("the exchange broke off: {cause}"))
    }
}

fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The innermost cause: the outer ones only say that a request was being sent.
fn root_cause(error: &(dyn StdError + 'static)) -> String {
    chain(error).last().map_or_else(String::new, ToString::to_string)
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
