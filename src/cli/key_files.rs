//! Keys that a job used, kept for what comes after it: files of 16 bytes for players, RFC 8216bis §5.3.

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::base::env::Http;
use crate::base::{Error, Result, Secret};
use crate::cpix::usage::Strictness;
use crate::cpix::{ContentKey, Document};
use crate::drm::template::{self, UriValues};
use crate::io::{OutputDirectory, write_secret_file};
use crate::job::{Job, Report};
use crate::keys::KeyServer;

/// A key server whose last answer is kept.
pub(super) struct RecordingKeyServer<'a> {
    pub(super) server: &'a dyn KeyServer,
    /// Where the keys are to be written: a conflict is found when they come, before any media is.
    files: Option<&'a KeyFiles<'a>>,
    document: Mutex<Option<Document>>,
}

impl<'a> RecordingKeyServer<'a> {
    pub(super) fn new(server: &'a dyn KeyServer) -> Self {
        Self { server, files: None, document: Mutex::new(None) }
    }

    pub(super) fn checked_by(self, files: Option<&'a KeyFiles<'a>>) -> Self {
        Self { files, ..self }
    }

    /// The last answer, under the content id that was asked for; an empty document when there was none.
    pub(super) fn into_document(self) -> Document {
        self.document.into_inner().ok().flatten().unwrap_or_default()
    }
}

impl KeyServer for RecordingKeyServer<'_> {
    fn rules(&self) -> Option<Strictness> {
        self.server.rules()
    }

    fn at_hand(&self) -> Option<&Document> {
        self.server.at_hand()
    }

    fn exchange(&self, http: &dyn Http, request: Document) -> Result<Document> {
        let content_id = request.content_id.clone();
        let answer = self.server.exchange(http, request)?;
        let kept = Document { content_id, ..answer.clone() };
        self.files.map_or(Ok(()), |files| files.check(&kept))?;
        if let Ok(mut document) = self.document.lock() {
            *document = Some(kept);
        }
        Ok(answer)
    }
}

/// Whether both paths are there and one file.
fn is_same(path: &Path, other: &Path) -> bool {
    path.canonicalize().is_ok_and(|path| other.canonicalize().is_ok_and(|other| path == other))
}

/// Where the keys of whole segments are written.
pub(super) struct KeyFiles<'a> {
    template: &'a str,
    replaces: bool,
}

impl<'a> KeyFiles<'a> {
    /// Files of this path, `{kid}` replaced. Players find a key by the file's name unless the job says how.
    pub(super) fn at(template: &'a str, replaces: bool, job: &mut Job) -> Result<Self> {
        template::check(template)?;
        let name = Path::new(template).file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| Error::usage(format!("{template} names no file")))?;
        if template.contains("{track}") || template.contains("{iv}") {
            return Err(Error::usage("{track} or {iv} in the path of a key file").hint("use {kid}"));
        }
        job.key_uri.get_or_insert_with(|| name.to_owned());
        Ok(Self { template, replaces })
    }

    /// Whether a file that is there may be one of these, of another run: 16 bytes at such a path.
    pub(super) fn may_have_written(&self, path: &Path) -> bool {
        let template = Path::new(self.template);
        let name = |path: &'_ Path| path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
        let (Some(pattern), Some(name)) = (name(template), name(path)) else { return false };
        // The words in braces stand for anything.
        let fixed = pattern.split(['{', '}']).step_by(2);
        let mut rest = Some(name.as_str());
        for (index, part) in fixed.enumerate() {
            rest = rest.and_then(|rest| match index {
                0 => rest.strip_prefix(part),
                _ => rest.find(part).and_then(|at| rest.get(at + part.len()..)),
            });
        }
        let folder =
            |path: &Path| path.parent().map(|folder| folder.join(".")).and_then(|f| f.canonicalize().ok());
        let is_key = fs::symlink_metadata(path).is_ok_and(|there| there.is_file() && there.len() == 16);
        rest.is_some() && is_key && folder(path).is_some() && folder(path) == folder(template)
    }

    /// A file that is there must hold one of the keys that may be written to it, or another key that may be replaced.
    fn check(&self, document: &Document) -> Result<()> {
        let files = self.files(document, |key| key.value.is_some())?;
        for (path, _) in &files {
            let failed = |error: std::io::Error| Error::storage(error.to_string()).at(path.display());
            let length = match fs::metadata(path) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                found => found.map_err(failed)?.len(),
            };
            if length != 16 {
                return Err(Error::usage(format!(
                    "the file is there already, with another content: {length} bytes, which are no key, 16 expected"
                ))
                .at(path.display())
                .hint("choose another path"));
            }
            let found = fs::read(path).map_err(failed)?;
            if !self.replaces
                && !files.iter().any(|(other, key)| other == path && key.expose().as_slice() == found)
            {
                return Err(Error::usage("the key file is there already, with another content")
                    .at(path.display())
                    .hint("choose another path, or say --overwrite"));
            }
        }
        Ok(())
    }

    /// Writes each key that the job used; only its owner may read it.
    pub(super) fn write(
        &self,
        document: &Document,
        report: &Report,
        output: &OutputDirectory<'_>,
    ) -> Result<()> {
        let used: HashSet<_> = report.tracks.iter().flat_map(|track| track.kids.iter().cloned()).collect();
        let files = self.files(document, |key| used.contains(&key.kid.to_string()))?;
        for (index, (path, key)) in files.iter().enumerate() {
            if files.iter().skip(index + 1).any(|(other, _)| other == path) {
                return Err(Error::usage("one file for several keys").at(path.display()).hint("use {kid}"));
            }
            let place = output.place_of(path)?;
            if let Some(file) = report.outputs.iter().find(|file| is_same(&place, &output.file(&file.path))) {
                return Err(Error::usage(format!(
                    "the key would replace {}, which this job writes",
                    file.path
                ))
                .at(path.display())
                .hint("choose another path"));
            }
            let folder = place.parent().unwrap_or_else(|| Path::new(""));
            fs::create_dir_all(folder)
                .map_err(|error| Error::storage(error.to_string()).at(folder.display()))?;
            write_secret_file(&place, key.expose())?;
        }
        Ok(())
    }

    /// These keys and their paths.
    fn files<'d>(
        &self,
        document: &'d Document,
        is_wanted: impl Fn(&ContentKey) -> bool,
    ) -> Result<Vec<(PathBuf, &'d Secret<16>)>> {
        let content_id = document.content_id.as_deref().unwrap_or_default();
        let keys = document.content_keys.iter().filter(|key| is_wanted(key));
        keys.map(|key| {
            let values = UriValues { kid: key.kid, iv: None, content_id, track: "" };
            let value = key.value.as_ref();
            let value = value.ok_or_else(|| Error::keys(format!("no value for key {}", key.kid)))?;
            Ok((template::expand(self.template, &values)?.into(), value))
        })
        .collect()
    }
}
