//! A scripted outside world for tests: what is expected to be sent, and what comes back.

use std::collections::VecDeque;
use std::sync::Mutex;

use crate::base::env::{Http, Request, Response};
use crate::base::{Error, Result};

/// An expected request and its answer; `None` stands for a connection that breaks.
pub(crate) struct Step {
    pub(crate) url: String,
    pub(crate) body_has: String,
    pub(crate) answer: Option<Response>,
}

/// Plays its steps in order, and keeps the waits.
pub(crate) struct Script {
    steps: Mutex<VecDeque<Step>>,
    pub(crate) waits: Mutex<Vec<u64>>,
}

impl Script {
    pub(crate) fn new(steps: Vec<Step>) -> Self {
        Self { steps: Mutex::new(steps.into()), waits: Mutex::default() }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.steps.lock().unwrap().is_empty()
    }
}

impl Http for Script {
    fn send(&self, request: &Request) -> Result<Response> {
        let step = self.steps.lock().unwrap().pop_front();
        let step = step.unwrap_or_else(|| panic!("a request that nobody expects: {}", request.url));
        assert_eq!(request.method, "POST");
        assert_eq!(request.url, step.url);
        let body = String::from_utf8_lossy(&request.body);
        assert!(body.contains(&step.body_has), "{body} lacks {}", step.body_has);
        step.answer.ok_or_else(|| Error::storage(format!("{}: the connection broke", step.url)))
    }

    fn wait(&self, milliseconds: u64) {
        self.waits.lock().unwrap().push(milliseconds);
    }
}

/// An answer with this status and body.
pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Option<Response> {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Some(Response { status, headers, body: body.as_bytes().to_vec() })
}

/// A step that expects a request to `url`, whose body has `body_has`.
pub(crate) fn step(url: &str, body_has: &str, answer: Option<Response>) -> Step {
    Step { url: url.to_owned(), body_has: body_has.to_owned(), answer }
}
