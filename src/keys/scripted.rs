//! A scripted outside world for tests: what is expected to be sent, and what comes back.

use std::collections::VecDeque;
use std::sync::Mutex;

use crate::base::env::{Http, Request, Response};
use crate::base::{Error, FourCc, Kid, Result, Secret};
use crate::cpix::{self, AudioFilter, Document, VideoFilter};
use crate::keys::{Wanted, request};

/// An expected request and its answer; `None` stands for a connection that breaks.
pub(crate) struct Step {
    pub(crate) method: &'static str,
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
        assert_eq!(request.method, step.method);
        assert_eq!(request.url, step.url);
        let body = String::from_utf8_lossy(&request.body);
        assert!(body.contains(&step.body_has), "{body} lacks {}", step.body_has);
        step.answer.ok_or_else(|| Error::storage(format!("{}: the connection broke", step.url)))
    }

    fn wait(&self, milliseconds: u64, _why: &str) {
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
    Step { method: "POST", url: url.to_owned(), body_has: body_has.to_owned(), answer }
}

/// A request for a key for video and one for audio.
pub(crate) fn request_for_two() -> Document {
    let wanted = [(1, "VIDEO"), (2, "AUDIO")].map(|(byte, track_type)| Wanted {
        id: None,
        kid: Kid::new([byte; 16]),
        explicit_iv: None,
        track_type: track_type.to_owned(),
        video: (byte == 1).then(VideoFilter::default),
        audio: (byte == 2).then(AudioFilter::default),
    });
    request("content", Some(FourCc(*b"cbcs")), &wanted, Vec::new())
}

/// The answer of a server whose keys are the bytes of the key ids.
pub(crate) fn response_to(request: &Document) -> String {
    let mut answer = request.clone();
    for key in &mut answer.content_keys {
        key.value = Some(Secret::new(*key.kid.bytes()));
    }
    String::from_utf8(cpix::write(&answer)).unwrap()
}
