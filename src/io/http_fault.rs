//! Why there is no answer of a server, in words — RFC 9110 §15, RFC 5280 §6.1.

use std::error::Error as StdError;
use std::time::Duration;

use crate::base::Error;

/// Longest time for a connection.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The step of an exchange that went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The request itself.
    Request,
    /// The host name.
    Dns,
    /// The connection.
    Connect,
    /// The TLS session.
    Tls,
    /// The server's certificate: it will be the same the next time.
    Certificate,
    /// The answer.
    Answer,
    /// The whole answer, in time.
    Late,
}

/// Why an answer did not come to its end.
pub(super) fn broken_off(error: &std::io::Error, timeout: Duration) -> (Phase, Error) {
    let is_late = error.kind() == std::io::ErrorKind::TimedOut
        || chain(error)
            .any(|part| part.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_timeout));
    match is_late {
        true => late(timeout),
        false => (Phase::Answer, Error::storage(format!("the answer broke off: {}", root_cause(error)))),
    }
}

fn late(timeout: Duration) -> (Phase, Error) {
    let error = Error::storage(format!("no whole answer within {} s", timeout.as_secs()));
    (Phase::Late, error.hint("try again, or give it more time with --timeout"))
}

/// What went wrong before an answer came, with the step in words.
pub(super) fn transport(error: reqwest::Error, timeout: Duration) -> (Phase, Error) {
    let error = error.without_url();
    let cause = root_cause(&error);
    let says = |words: &[&str]| {
        chain(&error).any(|part| {
            let text = part.to_string().to_lowercase();
            words.iter().any(|word| text.contains(word))
        })
    };
    let (phase, text, hint) = if error.is_dns() {
        let text = format!("the host name was not resolved: {cause}");
        (Phase::Dns, text, "check the host name and DNS")
    } else if error.is_timeout() && error.is_connect() {
        let text = format!("no connection within {} s", CONNECT_TIMEOUT.min(timeout).as_secs());
        (Phase::Connect, text, "check that a firewall permits it")
    } else if error.is_timeout() {
        return late(timeout);
    } else if says(&["certificate"]) {
        let known = CERTIFICATE_FAULTS.iter().find(|(name, ..)| says(&[name]));
        let (_, words, hint) = known.unwrap_or(&OTHER_CERTIFICATE_FAULT);
        (Phase::Certificate, format!("no TLS session: {words} ({cause})"), *hint)
    } else if says(&["tls", "handshake", "corrupt message", "fatal alert"]) {
        let text = format!("no TLS session: {cause}");
        (Phase::Tls, text, "check that the server speaks TLS 1.2 or 1.3 at this address")
    } else if error.is_builder() {
        let error = Error::usage(format!("the request cannot be sent: {cause}"));
        return (Phase::Request, error.hint("check URL and headers"));
    } else if says(&["proxy authentication", "proxy authorization"]) {
        let text = format!("no connection: {cause}");
        (Phase::Connect, text, "give user and password of the proxy with --proxy @FILE")
    } else if error.is_connect() {
        (Phase::Connect, format!("no connection: {cause}"), "check host, port and proxy")
    } else {
        return (Phase::Answer, Error::storage(format!("the exchange broke off: {cause}")));
    };
    (phase, Error::storage(text).hint(hint))
}

/// What a certificate may lack, by a word of the TLS library: RFC 5280 §4.2.1.9, §6.1; and what to do.
const CERTIFICATE_FAULTS: &[(&str, &str, &str)] = &[
    (
        "causedasendentity",
        "the server shows the certificate of an authority (CA) as its own",
        "give the server a certificate that this CA has signed, and name the CA with --cacert",
    ),
    (
        "unknownissuer",
        "the server's certificate is signed by nobody who is trusted here",
        "name the CA that signed it with --cacert",
    ),
    (
        "not valid for name",
        "the server's certificate is for another name",
        "check the host name in the address",
    ),
    ("notvalidforname", "the server's certificate is for another name", "check the host name in the address"),
    ("expired", "the server's certificate has expired", "have it renewed, or set the clock of this machine"),
    ("not valid yet", "the server's certificate is not valid yet", "set the clock of this machine"),
    ("notvalidyet", "the server's certificate is not valid yet", "set the clock of this machine"),
    ("revoked", "the server's certificate was revoked", "ask the vendor"),
];
const OTHER_CERTIFICATE_FAULT: (&str, &str, &str) =
    ("", "the server's certificate is not valid", "check it, or name its CA with --cacert");

fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The innermost cause: the outer ones only say that a request was being sent.
pub(super) fn root_cause(error: &(dyn StdError + 'static)) -> String {
    chain(error).last().map_or_else(String::new, ToString::to_string)
}
