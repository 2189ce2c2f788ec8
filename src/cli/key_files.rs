//! Keys that a job used, kept for what comes after it: files of 16 bytes for players, RFC 8216bis §5.3.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Mutex;

use crate::base::env::Http;
use crate::base::{Error, Result};
use crate::cpix::Document;
use crate::drm::template::{self, UriValues};
use crate::io::Overwrite;
use crate::job::{Job, Report};
use crate::keys::KeyServer;

/// A key server whose last answer is kept.
pub(super) struct Remember<'a> {
    pub(super) server: &'a dyn KeyServer,
    document: Mutex<Option<Document>>,
}

impl<'a> Remember<'a> {
    pub(super) fn new(server: &'a dyn KeyServer) -> Self {
        Self { server, document: Mutex::new(None) }
    }

    /// The last answer; an empty document when there was none.
    pub(super) fn into_document(self) -> Document {
        self.document.into_inner().ok().flatten().unwrap_or_default()
    }
}

impl KeyServer for Remember<'_> {
    fn exchange(&self, http: &dyn Http, request: Document) -> Result<Document> {
        let answer = self.server.exchange(http, request)?;
        if let Ok(mut document) = self.document.lock() {
            *document = Some(answer.clone());
        }
        Ok(answer)
    }
}

/// Where the keys of whole segments are written.
pub(super) struct KeyFiles<'a> {
    template: &'a str,
    content_id: String,
}

impl<'a> KeyFiles<'a> {
    /// Files of this path, `{kid}` replaced. Players find a key by the file's name unless the job says how.
    pub(super) fn at(template: &'a str, job: &mut Job) -> Result<Self> {
        template::check(template)?;
        let name = Path::new(template).file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| Error::usage(format!("{template} names no file")))?;
        if template.contains("{track}") || template.contains("{iv}") {
            return Err(Error::usage("{track} or {iv} in the path of a key file").hint("use {kid}"));
        }
        job.key_uri.get_or_insert_with(|| name.to_owned());
        Ok(Self { template, content_id: job.resource_id.clone().unwrap_or_default() })
    }

    /// Writes each key that the job used; only its owner may read it.
    pub(super) fn write(&self, document: &Document, report: &Report, overwrite: Overwrite) -> Result<()> {
        let is_used = |kid: &str| report.tracks.iter().any(|track| track.kids.iter().any(|used| used == kid));
        for key in document.content_keys.iter().filter(|key| is_used(&key.kid.to_string())) {
            let values = UriValues { kid: key.kid, iv: None, content_id: &self.content_id, track: "" };
            let path = template::expand(self.template, &values)?;
            let value =
                key.value.as_ref().ok_or_else(|| Error::keys(format!("no value for key {}", key.kid)))?;
            let failed = |error: std::io::Error| match error.kind() {
                ErrorKind::AlreadyExists => Error::usage("the key file is there already")
                    .at(path.clone())
                    .hint("choose another path, or say --overwrite"),
                _ => Error::storage(error.to_string()).at(path.clone()),
            };
            let mut options = File::options();
            match overwrite {
                Overwrite::Refuse => options.create_new(true),
                Overwrite::Replace => options.create(true).truncate(true),
            };
            let mut file = options.write(true).mode(0o600).open(&path).map_err(failed)?;
            file.write_all(value.expose()).and_then(|()| file.sync_all()).map_err(failed)?;
        }
        Ok(())
    }
}
