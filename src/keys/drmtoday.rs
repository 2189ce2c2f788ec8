//! DRMtoday: sign-in with CAS tickets, then SPEKE at the organization's CPIX ingest configuration.

use std::fmt;

use secrecy::SecretString;
use url::Url;
use zeroize::Zeroize;

use super::address::path_segment;
use super::cas::Cas;
use super::request::refuse_several;
use super::speke;
use super::transport::{Telling, with_retries};
use crate::base::env::{Http, Request, Response};
use crate::base::{Error, Result};
use crate::cpix::Document;
use crate::cpix::usage::Strictness;
use crate::keys::{Dialect, IdRule, KeyServer, SpekeVersion};

/// The servers of one environment.
#[derive(Debug)]
pub struct Environment {
    /// Its name in options.
    pub name: &'static str,
    /// Where one signs in.
    pub auth_url: &'static str,
    /// Where keys are asked for.
    pub frontend_url: &'static str,
}

/// The environments that the vendor documents.
pub const ENVIRONMENTS: &[Environment] = &[
    Environment {
        name: "prod",
        auth_url: "https://auth.drmtoday.com",
        frontend_url: "https://fe.drmtoday.com",
    },
    Environment {
        name: "staging",
        auth_url: "https://auth.staging.drmtoday.com",
        frontend_url: "https://fe.staging.drmtoday.com",
    },
];

impl Environment {
    /// The environment of this name.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::base::Kind::Usage) for another name.
    pub fn find(name: &str) -> Result<&'static Self> {
        ENVIRONMENTS.iter().find(|environment| environment.name == name).ok_or_else(|| {
            let known: Vec<_> = ENVIRONMENTS.iter().map(|environment| environment.name).collect();
            Error::usage(format!("environment {name:?}, expected one of {}", known.join(", ")))
        })
    }
}

/// An API account and the configuration it uses.
pub struct Account {
    /// Where to sign in, such as `https://auth.drmtoday.com`.
    pub auth_url: String,
    /// Where to ask for keys, such as `https://fe.drmtoday.com`.
    pub frontend_url: String,
    /// The organization's UUID.
    pub organization: String,
    /// The id of the CPIX ingest configuration.
    pub cpix_config: String,
    /// The sign-in name, often `organization::name`.
    pub user: String,
    /// Its password.
    pub password: SecretString,
}

/// Who invents key ids and keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Endpoint {
    /// The caller proposes key ids and rules: POST of a request document.
    #[default]
    Process,
    /// The server makes a key for each stream type of its configuration: GET of an asset.
    Generate,
}

/// DRMtoday as a key server.
pub struct DrmToday {
    /// The process endpoint, without ticket.
    service: String,
    cas: Cas,
    dialect: Dialect,
    endpoint: Endpoint,
}

impl fmt::Debug for DrmToday {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DrmToday").field(&self.service).finish()
    }
}

impl DrmToday {
    /// This account; nothing is sent yet.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::base::Kind::Usage) when an address is not `http` or `https` with a host
    /// alone, or a part of the account is empty.
    pub fn new(account: Account) -> Result<Self> {
        let auth_url = server("sign-in", &account.auth_url)?;
        let frontend_url = server("frontend", &account.frontend_url)?;
        if account.user.is_empty() {
            return Err(Error::usage("the user name is empty"));
        }
        let service = format!(
            "{}/frontend/cpix/v1/{}/ingest/{}",
            frontend_url.as_str().trim_end_matches('/'),
            path_segment("organization", &account.organization)?,
            path_segment("CPIX configuration", &account.cpix_config)?
        );
        Ok(Self {
            service,
            cas: Cas::new(auth_url, &account.user, account.password),
            dialect: Dialect::default(),
            endpoint: Endpoint::default(),
        })
    }

    /// The same account with requests in another version or form of SPEKE.
    #[must_use]
    pub fn with_dialect(self, dialect: impl Into<Dialect>) -> Self {
        Self { dialect: dialect.into(), ..self }
    }

    /// The same account with keys from this endpoint.
    #[must_use]
    pub fn with_endpoint(self, endpoint: Endpoint) -> Self {
        Self { endpoint, ..self }
    }

    /// The address that tickets are bound to: of the process endpoint (POST a request document), or with
    /// an asset of the generate endpoint (GET).
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::base::Kind::Usage) when the asset id cannot be a path segment.
    pub fn service_url(&self, asset: Option<&str>) -> Result<String> {
        match asset {
            None => Ok(self.service.clone()),
            Some(asset) => Ok(format!("{}/{}", self.service, path_segment("asset id", asset)?)),
        }
    }

    /// Signs in and returns the service address with a fresh ticket: a secret that lasts a short time.
    ///
    /// # Errors
    /// [`Kind::Keys`](crate::base::Kind::Keys) when signing in fails.
    pub fn ticketed_url(&self, http: &dyn Http, asset: Option<&str>) -> Result<String> {
        let service = self.service_url(asset)?;
        Ok(self.cas.service_ticket(http, &service)?.append_to(&service))
    }
}

impl KeyServer for DrmToday {
    fn exchange(&self, http: &dyn Http, document: Document) -> Result<Document> {
        self.dialect
            .ids
            .unwrap_or(IdRule::USUAL)
            .check(document.content_id.as_deref().unwrap_or_default())?;
        match self.endpoint {
            Endpoint::Process => self.process(http, &document),
            Endpoint::Generate => self.generate(http, &document),
        }
    }

    fn asks(&self, document: &Document) -> Result<Option<String>> {
        let request = match self.endpoint {
            Endpoint::Process => speke::post(self.service.clone(), document, &self.dialect)?,
            Endpoint::Generate => {
                let (service, query) = self.generated(document)?;
                Request {
                    method: "GET",
                    url: format!("{service}{query}"),
                    headers: Vec::new(),
                    body: Vec::new(),
                }
            }
        };
        speke::shown_request(&self.telling(&request), &request).map(Some)
    }

    /// Generated keys are for the stream types of the ingest configuration.
    fn rules(&self) -> Option<Strictness> {
        (self.endpoint == Endpoint::Generate).then_some(Strictness::Speke)
    }
}

impl DrmToday {
    fn process(&self, http: &dyn Http, document: &Document) -> Result<Document> {
        let mut request = speke::post(self.service.clone(), document, &self.dialect)?;
        let response = self.call(http, &mut request, &self.service, "")?;
        speke::answer(document, &self.telling(&request), response, &self.dialect)
    }

    /// The answer is CPIX 2.3, whatever the version of SPEKE.
    fn generate(&self, http: &dyn Http, document: &Document) -> Result<Document> {
        let (service, query) = self.generated(document)?;
        let mut request =
            Request { method: "GET", url: service.clone(), headers: Vec::new(), body: Vec::new() };
        let response = self.call(http, &mut request, &service, &query)?;
        let telling = self.telling(&request);
        // The certificate goes with a request document, and there is none.
        speke::own_document(&telling, response, &SpekeVersion::V2_0.into())
    }

    /// The address of generated keys, and its query.
    fn generated(&self, document: &Document) -> Result<(String, String)> {
        refuse_several(document, "a server that makes keys for each stream type")?;
        let service = self.service_url(document.content_id.as_deref())?;
        let scheme = document.content_keys.iter().find_map(|key| key.common_encryption_scheme);
        let query = scheme.map_or_else(String::new, |scheme| format!("?x-signaling-alg={scheme}"));
        Ok((service, query))
    }

    fn telling<'a>(&self, request: &'a Request) -> Telling<'a> {
        self.cas.hiding(Telling::of(request))
    }

    /// Sends with a fresh ticket each time; a ticket is bound to the address without its query.
    fn call(&self, http: &dyn Http, request: &mut Request, service: &str, query: &str) -> Result<Response> {
        let address = format!("{service}{query}");
        let mut call = || {
            with_retries(http, || {
                request.url.zeroize();
                request.url = self.cas.service_ticket(http, service)?.append_to(&address);
                http.send(request)
            })
        };
        let mut result = call();
        if result.as_ref().is_ok_and(|response| matches!(response.status, 401 | 403)) {
            self.cas.forget();
            result = call();
        }
        result.map_err(|error| error.at(self.telling(request).place()))
    }
}

/// An address of a server: scheme and host alone, so that what is appended is a path on it.
fn server(what: &str, text: &str) -> Result<Url> {
    let refused = || {
        Error::usage(format!("the {what} URL is not an http or https address without user and query"))
            .clause("RFC 3986")
    };
    let url = Url::parse(text).map_err(|_| refused())?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if plain { Ok(url) } else { Err(refused()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Kind;
    use crate::keys::scripted::{Script, Step, answer, request_for_two, response_to, step};

    const LOGIN: &str = "https://auth.example/cas/v1/tickets";
    const TGT: &str = "https://auth.example/cas/v1/tickets/TGT-marked";
    const SERVICE: &str = "https://fe.example/frontend/cpix/v1/org/ingest/cfg";
    const FORM_SERVICE: &str = "service=https%3A%2F%2Ffe.example%2Ffrontend%2Fcpix%2Fv1%2Forg%2Fingest%2Fcfg";
    const FORM_LOGIN: &str = "username=acme%3A%3Apackager&password=marked%26%3D%2B%25+%22%3A%3A";

    fn server() -> DrmToday {
        DrmToday::new(Account {
            auth_url: "https://auth.example".to_owned(),
            frontend_url: "https://fe.example/".to_owned(),
            organization: "org".to_owned(),
            cpix_config: "cfg".to_owned(),
            user: "acme::packager".to_owned(),
            password: SecretString::from("marked&=+% \"::"),
        })
        .unwrap()
    }

    fn login() -> Step {
        step(LOGIN, FORM_LOGIN, answer(201, &[("location", &format!(" {TGT}\r"))], ""))
    }

    fn ticket(name: &str) -> Step {
        step(TGT, FORM_SERVICE, answer(200, &[], &format!("{name}\n")))
    }

    fn call(name: &str, status: u16) -> Step {
        let body = if status == 200 { response_to(&request_for_two()) } else { "no".to_owned() };
        step(&format!("{SERVICE}?ticket={name}"), "<cpix:CPIX", answer(status, &[], &body))
    }

    fn play(steps: Vec<Step>) -> Result<Document> {
        let script = Script::new(steps);
        let result = server().exchange(&script, request_for_two());
        assert!(script.is_done(), "the script is not at its end: {result:?}");
        result
    }

    fn fails(steps: Vec<Step>) -> String {
        let error = play(steps).unwrap_err();
        assert_eq!(error.kind(), Kind::Keys, "{error}");
        let text = format!("{error:?}");
        assert!(!text.contains("marked"), "{text}");
        text
    }

    #[test]
    fn signing_in_asking_for_a_ticket_and_calling_gives_keys() {
        play(vec![login(), ticket("ST-1"), call("ST-1", 200)]).unwrap();
    }

    #[test]
    fn the_sign_in_is_kept_and_each_call_has_its_own_ticket() {
        let script =
            Script::new(vec![login(), ticket("ST-1"), call("ST-1", 200), ticket("ST-2"), call("ST-2", 200)]);
        let server = server();
        server.exchange(&script, request_for_two()).unwrap();
        server.exchange(&script, request_for_two()).unwrap();
        assert!(script.is_done());
    }

    #[test]
    fn a_retry_takes_a_new_ticket() {
        for status in [500, 429] {
            let steps =
                vec![login(), ticket("ST-1"), call("ST-1", status), ticket("ST-2"), call("ST-2", 200)];
            play(steps).unwrap();
        }
    }

    #[test]
    fn an_expired_sign_in_is_renewed_once() {
        for status in [401, 403, 404] {
            let gone = || step(TGT, "", answer(status, &[], "TGT-marked has expired"));
            play(vec![login(), gone(), login(), ticket("ST-1"), call("ST-1", 200)]).unwrap();
            let text = fails(vec![login(), gone(), login(), gone()]);
            assert!(text.contains(&format!("service ticket: status {status}")), "{text}");
        }
    }

    #[test]
    fn a_refused_ticket_is_replaced_once_after_a_new_sign_in() {
        for status in [401, 403] {
            let first = || vec![login(), ticket("ST-1"), call("ST-1", status), login(), ticket("ST-2")];
            play([first(), vec![call("ST-2", 200)]].into_iter().flatten().collect()).unwrap();
            let text = fails([first(), vec![call("ST-2", status)]].into_iter().flatten().collect());
            assert!(text.contains(&format!("status {status}")), "{text}");
        }
    }

    #[test]
    fn a_refused_sign_in_tells_status_and_reason() {
        let refused = |status, headers: &[(&str, &str)], body: &str| {
            fails(vec![step(LOGIN, "", answer(status, headers, body))])
        };
        let echoed = refused(401, &[], "password marked&=+% \":: is wrong");
        assert!(echoed.contains("sign-in: status 401"), "{echoed}");
        assert!(refused(200, &[], "<html>").contains("expected 201"));
        assert!(refused(201, &[], "").contains("without a Location"));
        let elsewhere = [("Location", "https://evil.example/cas/v1/tickets/TGT-marked")];
        assert!(refused(201, &elsewhere, "").contains("leads to evil.example, expected auth.example"));
        for location in [
            "https://auth.example:8443/cas/v1/tickets/TGT-marked",
            "https://me@auth.example/cas/v1/tickets/TGT-marked",
            "file:///TGT-marked",
        ] {
            assert!(refused(201, &[("Location", location)], "").contains("Location"));
        }
    }

    #[test]
    fn a_ticket_address_in_clear_is_used_over_tls() {
        let location = TGT.replace("https", "http");
        let login = step(LOGIN, "", answer(201, &[("Location", &location)], ""));
        play(vec![login, ticket("ST-1"), call("ST-1", 200)]).unwrap();
    }

    #[test]
    fn a_ticket_is_a_bare_word() {
        for (body, found) in
            [("", "nothing"), ("<html>ST-marked", "an HTML page"), ("{\"ST-marked\":1}", "JSON")]
        {
            let text = fails(vec![login(), step(TGT, "", answer(200, &[], body))]);
            assert!(text.contains(&format!("status 200 with {found}, expected a ticket")), "{text}");
        }
    }

    #[test]
    fn a_broken_line_never_tells_a_ticket() {
        fails(vec![login(), step(TGT, "", None), step(TGT, "", None), step(TGT, "", None)]);
        fails(vec![step(LOGIN, "", None), step(LOGIN, "", None), step(LOGIN, "", None)]);
    }

    #[test]
    fn a_ticketed_url_is_for_the_process_or_the_generate_endpoint() {
        let odd = step(TGT, FORM_SERVICE, answer(200, &[], "ST/1+="));
        let script = Script::new(vec![login(), odd]);
        let url = server().ticketed_url(&script, None).unwrap();
        assert_eq!(url, format!("{SERVICE}?ticket=ST%2F1%2B%3D"));
        assert_eq!(server().service_url(Some("a b/c?ä")).unwrap(), format!("{SERVICE}/a%20b%2Fc%3F%C3%A4"));
        for asset in ["", ".", ".."] {
            assert_eq!(server().service_url(Some(asset)).unwrap_err().kind(), Kind::Usage);
        }
    }

    #[test]
    fn generated_keys_are_asked_for_by_asset_and_scheme_with_a_ticket_for_the_path() {
        let mut made = request_for_two();
        for key in &mut made.content_keys {
            key.kid = crate::base::Kid::new(key.kid.bytes().map(|byte| byte | 0x80));
        }
        for (rule, key) in made.usage_rules.iter_mut().zip(&made.content_keys) {
            rule.kid = key.kid;
        }
        let service =
            "service=https%3A%2F%2Ffe.example%2Ffrontend%2Fcpix%2Fv1%2Forg%2Fingest%2Fcfg%2Fcontent";
        let url = format!("{SERVICE}/content?x-signaling-alg=cbcs&ticket=ST-1");
        let script = Script::new(vec![
            login(),
            step(TGT, service, answer(200, &[], "ST-1")),
            Step { method: "GET", ..step(&url, "", answer(200, &[], &response_to(&made))) },
        ]);
        let server = server().with_endpoint(Endpoint::Generate);
        assert_eq!(server.rules(), Some(Strictness::Speke));
        let document = server.exchange(&script, request_for_two()).unwrap();
        assert!(script.is_done());
        let first: Vec<_> = document.content_keys.iter().map(|key| key.kid.bytes()[0]).collect();
        assert_eq!(first, [0x81, 0x82]);
    }

    #[test]
    fn nothing_secret_is_in_debug() {
        let shown = format!("{:?}", server());
        assert!(!shown.contains("marked"), "{shown}");
    }

    #[test]
    fn addresses_of_servers_are_checked() {
        for url in
            ["", "auth.example", "ftp://auth.example", "https://me:marked@auth.example", "https://h/?a"]
        {
            let error = server_url_error(url);
            assert!(error.contains("sign-in URL") && !error.contains("marked"), "{error}");
        }
        assert_eq!(Environment::find("staging").unwrap().frontend_url, "https://fe.staging.drmtoday.com");
        assert_eq!(Environment::find("test").unwrap_err().kind(), Kind::Usage);
    }

    fn server_url_error(url: &str) -> String {
        super::server("sign-in", url).unwrap_err().to_string()
    }
}
