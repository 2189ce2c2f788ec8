//! `drm-pack pack`: options become a job.

use std::path::Path;
use std::sync::Arc;

use crate::base::env::Store;
use crate::base::{BaseUrl, Error, Result, is_http, shown_input};
use crate::io::{FileStore, HttpClient, HttpFiles, Links, OutputDirectory, Overwrite};
use crate::job::{
    Env, Format, Job, Journal, Layout, NameTemplates, TrackFacts, check_drm, parse_clear, run as run_job,
};
use crate::package::{LicenseUrl, Preset, ServerSignaling};

use super::args::{JobArgs, LayoutArg, PackArgs, PresetArg, ServerSignalingArg};
use super::folder::{self, presentations};
use super::key_files::{KeyFiles, RecordingKeyServer};
use super::keys::{apply_vendor, http_client, key_server};
use super::no_effect;
use super::output::{Progress, finish, note};
use super::output_folder;
use super::title;

/// What is said whenever keys come from a seed.
pub(super) const DEV_KEYS_WARNING: &str =
    "warning: --dev-keys derives keys from a seed that stands on the command line: for tests only";

pub(super) fn run(args: &PackArgs) -> Result<()> {
    check_drm(&args.drm)?;
    let (keys, limit) = key_server(&args.keys)?;
    if args.keys.dev_keys.is_some() {
        note(DEV_KEYS_WARNING);
    }
    let mut job = job(&args.inputs, &args.drm, &args.job, limit)?;
    job.strict_keys = args.keys.strict;
    job.digests = args.digests;
    apply_vendor(&args.keys, &mut job)?;
    let key_file = args.write_key_file.as_deref();
    let key_file = key_file.map(|path| KeyFiles::at(path, args.overwrite, &mut job)).transpose()?;
    title::check(&job, &args.keys)?;
    let root = args.job.root.as_deref();
    output_folder::check(&args.out, &args.inputs, root, &args.keys.files())?;
    let begin = if args.resume { OutputDirectory::resume } else { OutputDirectory::begin };
    let is_key = |path: &Path| key_file.as_ref().is_some_and(|files| files.may_have_written(path));
    let check = |out: &Path| output_folder::check_replaceable(out, &is_key);
    let output = begin(&args.out, overwrite(args.overwrite, &check))?;
    let notes = output.journal();
    let journal = notes.as_ref().map(|notes| Journal::open(notes)).transpose()?;
    let progress = Progress::new();
    let http = Arc::new(http_client(&args.keys.http)?);
    let inputs = Inputs::of(&args.inputs, &args.job, &http);
    let keys = RecordingKeyServer::new(keys.as_ref()).checked_by(key_file.as_ref());
    let report = run_job(
        &job,
        &Env {
            open_input: &output_folder::apart(&args.out, root, |input| inputs.open_input(input)),
            output: &output.store(),
            keys: &keys,
            http: http.as_ref(),
            journal: journal.as_ref(),
            observe: &|event| progress.observe(event),
        },
    );
    let report = report?;
    // Before the output is there: with keys from a server, nobody might ever decrypt it otherwise.
    if let Some(files) = &key_file {
        files.write(&keys.into_document(), &report, &output)?;
    }
    output.publish()?;
    finish(&report, &args.out, args.json)
}

pub(super) fn overwrite(overwrite: bool, check: &dyn Fn(&Path) -> Result<()>) -> Overwrite<'_> {
    if overwrite { Overwrite::ReplaceIf(check) } else { Overwrite::Refuse }
}

/// Where inputs are: folders and servers.
pub(super) struct Inputs<'a> {
    files: HttpFiles,
    /// The folder of the whole presentation, if one is given.
    pub(super) root: Option<&'a Path>,
    pub(super) links: Links,
    /// As the user named them: those may be links.
    pub(super) given: &'a [String],
}

impl<'a> Inputs<'a> {
    /// The inputs of a job.
    pub(super) fn of(given: &'a [String], args: &'a JobArgs, http: &Arc<HttpClient>) -> Self {
        Self::new(given, args.root.as_deref(), args.follow_links, http)
    }

    pub(super) fn new(
        given: &'a [String],
        root: Option<&'a Path>,
        follow_links: bool,
        http: &Arc<HttpClient>,
    ) -> Self {
        let links = if follow_links { Links::Anywhere } else { Links::Inside };
        Self { files: HttpFiles::new(Arc::clone(http)), root, links, given }
    }

    /// Others, reached in the same way.
    pub(super) fn others<'b>(&self, given: &'b [String], root: Option<&'b Path>) -> Inputs<'b> {
        Inputs { files: self.files.clone(), root, links: self.links, given }
    }

    /// The folder of an input, or that of the whole presentation, and the input's name in it.
    pub(super) fn open_input(&self, input: &str) -> Result<(Box<dyn Store>, String)> {
        if is_http(input) {
            let (store, name) = self.files.locate_below(self.root_url(input)?, input)?;
            return Ok((Box::new(store), name));
        }
        let ((store, name), is_given) = match self.root {
            Some(root) => (FileStore::of_file_below(root, input)?, false),
            None => (FileStore::of_file(input)?, self.given.iter().any(|given| given == input)),
        };
        Ok((Box::new(store.with_links(self.links, is_given.then(|| name.clone()))), name))
    }

    fn root_url(&self, input: &str) -> Result<Option<&str>> {
        let Some(root) = self.root else { return Ok(None) };
        let root = root.to_str().filter(|root| is_http(root));
        let none = || {
            Error::usage("--root names a folder, a URL expected as the input is one").at(shown_input(input))
        };
        root.ok_or_else(none).map(Some)
    }
}

/// The license addresses of these options; keys of whole segments have no licenses.
fn license_urls(drm: &str, texts: &[String]) -> Result<Vec<LicenseUrl>> {
    if drm == "simpleaes" && !texts.is_empty() {
        return Err(Error::usage("--la-url with --drm simpleaes, whose players fetch the key itself")
            .hint("give its address with --key-uri"));
    }
    texts.iter().map(|text| LicenseUrl::parse(text)).collect()
}

/// The job of these options.
pub(super) fn job(inputs: &[String], drm: &str, args: &JobArgs, limit: Option<usize>) -> Result<Job> {
    let formats = args
        .format
        .as_deref()
        .map(|list| {
            list.split(['+', ','])
                .map(|word| match word.trim() {
                    "hls" => Ok(Format::Hls),
                    "dash" => Ok(Format::Dash),
                    other => Err(Error::usage(format!("--format {other:?}, expected hls, dash or both"))),
                })
                .collect::<Result<Vec<_>>>()
        })
        .transpose()?;
    let inputs = presentations(inputs, args.root.as_deref())?;
    no_effect::check(&inputs, drm, args)?;
    let defaults = Job::default();
    Ok(Job {
        inputs,
        drm: drm.to_owned(),
        scheme: args.scheme.clone(),
        preset: match args.preset {
            None => Preset::Auto,
            Some(PresetArg::Preset0) => Preset::Preset0,
            Some(PresetArg::Preset1) => Preset::Preset1,
        },
        video_preset: args.video_preset.clone(),
        audio_preset: args.audio_preset.clone(),
        resource_id: args.resource_id.clone(),
        vector: args.vector.clone(),
        formats,
        layout: args.layout.map(|layout| match layout {
            LayoutArg::Segments => Layout::Segments,
            LayoutArg::SingleFile => Layout::SingleFile,
        }),
        segment_duration: args.segment_duration.unwrap_or(defaults.segment_duration),
        skd_template: args.skd_template.clone().unwrap_or(defaults.skd_template),
        key_uri: args.key_uri.clone(),
        encrypt_init: args.encrypt_init,
        allow_full_sample: args.allow_full_sample,
        max_substreams: args.max_substreams.or(limit),
        clear_lead: args.clear_lead,
        trick_play: args.trick_play,
        thumbnails: args.thumbnails.as_deref().map(folder::thumbnails).transpose()?,
        clear: args.clear.iter().map(|text| parse_clear(text)).collect::<Result<_>>()?,
        rotate_every: args.rotate_every,
        server_signaling: match args.server_signaling {
            ServerSignalingArg::Error => ServerSignaling::Error,
            ServerSignalingArg::Warn => ServerSignaling::Warn,
            ServerSignalingArg::Replace => ServerSignaling::Replace,
        },
        strict_keys: false,
        license_urls: license_urls(drm, &args.la_url)?,
        no_session_keys: args.no_session_keys,
        digests: false,
        names: NameTemplates {
            manifest: args.name_manifest.clone(),
            stream: args.name_stream.clone(),
            segment: args.name_segment.clone(),
            definition: None,
        },
        base_url: args.base_url.as_deref().map(BaseUrl::parse).transpose()?,
        tracks: args.track.iter().map(|text| TrackFacts::parse(text)).collect::<Result<_>>()?,
    })
}
