//! Keys from a CPIX document: its usage rules decide which key a track gets — DASH-IF CPIX 2.3 §4.

use crate::base::Result;
use crate::base::env::Http;
use crate::cpix::Document;
use crate::cpix::usage::Strictness;
use crate::keys::KeyServer;

/// The keys, rules and signaling of a document that is at hand.
#[derive(Debug)]
pub struct CpixFile {
    document: Document,
    strictness: Strictness,
}

impl CpixFile {
    /// The keys of this document.
    pub fn new(mut document: Document, strictness: Strictness) -> Self {
        document.drop_empty();
        Self { document, strictness }
    }
}

impl KeyServer for CpixFile {
    fn exchange(&self, _http: &dyn Http, _request: Document) -> Result<Document> {
        Ok(self.document.clone())
    }

    fn rules(&self) -> Option<Strictness> {
        Some(self.strictness)
    }

    fn at_hand(&self) -> Option<&Document> {
        Some(&self.document)
    }
}
