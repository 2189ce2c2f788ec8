//! A key server in memory: it fills what a request asks for, and keeps what it was sent.

use std::sync::Mutex;

use drm_pack::base::Result;
use drm_pack::base::env::{Http, Request, Response};
use drm_pack::cpix::{self, Document};
use drm_pack::io::FileStore;
use drm_pack::job::{Env, Job, Report, run};
use drm_pack::keys::{DevKeys, KeyServer};

use super::pack::{SEED, open_input};

/// What becomes of a request: the answer's document, or a text of refusal.
pub(crate) type Rule = dyn Fn(&Request) -> std::result::Result<Vec<u8>, &'static str> + Sync;

pub(crate) struct Server<'a> {
    rule: &'a Rule,
    pub(crate) requests: Mutex<Vec<Request>>,
}

impl<'a> Server<'a> {
    pub(crate) fn new(rule: &'a Rule) -> Self {
        Self { rule, requests: Mutex::default() }
    }

    /// The documents that it was sent.
    pub(crate) fn documents(&self) -> Vec<Document> {
        let requests = self.requests.lock().unwrap();
        requests.iter().map(|request| cpix::read(&request.body).unwrap()).collect()
    }

    /// Packs with what it answers.
    pub(crate) fn pack(&self, job: &Job, keys: &dyn KeyServer) -> Result<(Report, tempfile::TempDir)> {
        let out = tempfile::tempdir().unwrap();
        let store = FileStore::new(out.path());
        let env = Env {
            open_input: &open_input,
            output: &store,
            keys,
            http: self,
            journal: None,
            observe: &|_| {},
        };
        run(job, &env).map(|report| (report, out))
    }
}

impl Http for Server<'_> {
    fn send(&self, request: &Request) -> Result<Response> {
        self.requests.lock().unwrap().push(request.clone());
        let (status, body) = match (self.rule)(request) {
            Ok(body) => (200, body),
            Err(text) => (422, text.as_bytes().to_vec()),
        };
        Ok(Response { status, headers: Vec::new(), body })
    }

    fn wait(&self, _milliseconds: u64, _why: &str) {}
}

/// The document of a request with the keys of [`SEED`].
pub(crate) fn filled(request: &Request) -> Document {
    let mut document = cpix::read(&request.body).unwrap();
    for key in &mut document.content_keys {
        key.value = Some(DevKeys::new(SEED).key(key.kid).unwrap());
    }
    document.delivery_data.clear();
    document
}

/// The account at a development server of this user and password.
#[cfg(feature = "server")]
pub(crate) fn account(
    server: &drm_pack::server::Running,
    user: &str,
    password: &str,
) -> drm_pack::keys::Account {
    drm_pack::keys::Account {
        auth_url: server.url(),
        frontend_url: server.url(),
        organization: "organization".into(),
        cpix_config: "config".into(),
        user: user.into(),
        password: secrecy::SecretString::from(password),
    }
}
