//! Two trees for two kinds of players, `cenc` and `cbcs`, from one exchange of keys — ISO/IEC 23001-7 §10.
//!
//! Each tree is a job of its own, with the DRM systems that its scheme goes with, and with keys that the other has not:
//! what both ask for is asked for together.

use crate::base::env::Http;
use crate::base::{Error, FourCc, Result};
use crate::cpix::Document;
use crate::drm;
use crate::keys::{Answered, KeyServer, SpekeVersion, together};
use crate::protect::Scheme;
use crate::protect::scheme::BOTH;

use super::env::{Env, Event, OpenInput};
use super::journal::Journal;
use super::plan::{PlanReport, Unasked, asked, fetch_keys_of_tree, plan_tree, request_of};
use super::report::Report;
use super::rules::Job;
use super::run::run_tree;
use super::subfolder::Subfolder;

/// One of the two; its folder has the name of its scheme.
pub(super) struct Tree {
    folder: &'static str,
    scheme: FourCc,
    job: Job,
}

/// The trees of a job for two schemes; `None` when it is for one.
///
/// # Errors
/// [`Kind::Usage`](crate::base::Kind::Usage) for two others, for a list without a system for one of them, and with what
/// cannot be combined.
pub(super) fn trees(job: &Job) -> Result<Option<[Tree; 2]>> {
    let Some(asked) = job.scheme.as_deref().filter(|scheme| scheme.contains(['+', ','])) else {
        return Ok(None);
    };
    let mut names: Vec<_> = asked.split(['+', ',']).map(str::trim).collect();
    names.sort_unstable_by(|one, other| other.cmp(one));
    if names != BOTH {
        return Err(Error::usage(format!("--scheme {asked}, of two at a time {} are done", BOTH.join("+")))
            .hint("pack each scheme in a call of its own"));
    }
    if words(job).any(|word| word == drm::aes128::NAME) {
        return Err(Error::usage(format!("--drm {} with --scheme {asked}", drm::aes128::NAME))
            .hint("leave out --scheme: whole segments have none"));
    }
    if job.rotate_every.is_some() {
        return Err(Error::usage(format!("--rotate-every with --scheme {asked}"))
            .hint("pack each scheme in a call of its own, or leave out --rotate-every"));
    }
    let [one, other] = BOTH;
    Ok(Some([tree(job, one)?, tree(job, other)?]))
}

fn words(job: &Job) -> impl Iterator<Item = &str> {
    job.drm.split(['+', ',']).map(str::trim)
}

/// The job of one tree: with those DRM systems whose players decrypt the scheme.
fn tree(job: &Job, folder: &'static str) -> Result<Tree> {
    let scheme = Scheme::find(folder)?;
    let mut drm = Vec::new();
    for word in words(job) {
        if word == drm::OTHER || drm::find(word)?.allows(scheme) {
            drm.push(word);
        }
    }
    if drm.is_empty() {
        let others = drm::ALL.iter().filter(|system| system.allows(scheme));
        let others: Vec<_> = others.map(|system| system.name()).collect();
        return Err(Error::usage(format!("--drm {} has no system for the tree of {folder}", job.drm))
            .clause("ISO/IEC 23001-7 §10")
            .hint(format!("add one of {}, or ask for one scheme alone", others.join(", "))));
    }
    let mut license_urls = job.license_urls.clone();
    // What is for the other tree alone is left out; an address for a system of no tree is refused as ever.
    license_urls
        .retain(|url| drm.contains(&url.system.as_str()) || !words(job).any(|word| word == url.system));
    let (drm, scheme_name) = (drm.join("+"), Some(folder.to_owned()));
    let base_url = job.base_url.as_ref().map(|base| base.folder(folder));
    let job = Job { drm, scheme: scheme_name, license_urls, base_url, ..job.clone() };
    Ok(Tree { folder, scheme: scheme.fourcc, job })
}

/// The key source of each tree.
fn sources(
    trees: &[Tree; 2],
    open_input: &OpenInput<'_>,
    (keys, http): (&dyn KeyServer, &dyn Http),
) -> Result<[Answered; 2]> {
    let schemes = trees.each_ref().map(|tree| tree.scheme);
    Answered::for_each(schemes, (keys, http), &|| requests(trees, open_input))
}

fn requests([one, other]: &[Tree; 2], open_input: &OpenInput<'_>) -> Result<[Document; 2]> {
    let request = |tree: &Tree| request_of(&tree.job, open_input).map_err(|error| error.at(tree.folder));
    Ok([request(one)?, request(other)?])
}

/// Packs both trees, each into a folder of its own.
pub(super) fn run(job: &Job, trees: &[Tree; 2], env: &Env<'_>) -> Result<Report> {
    env.check_job(job, |_| ())?;
    (env.observe)(Event::Step("exchanging keys"));
    let sources = sources(trees, env.open_input, (env.keys, env.http))?;
    env.check_keys(|_| Ok(()))?;
    let mut whole = Report::default();
    for (tree, keys) in trees.iter().zip(&sources) {
        let output = Subfolder { store: env.output, folder: tree.folder };
        let notes = env.journal.map(|whole| Subfolder { store: whole.notes(), folder: tree.folder });
        let journal = notes.as_ref().map(|notes| Journal::open(notes)).transpose()?;
        let observe = |event: Event<'_>| match event {
            Event::Warning(text) => (env.observe)(Event::Warning(&of_tree(tree, text))),
            other => (env.observe)(other),
        };
        let env = Env { output: &output, keys, journal: journal.as_ref(), observe: &observe, ..*env };
        let report = run_tree(&tree.job, &env).map_err(|error| error.at(tree.folder))?;
        add(&mut whole, report, tree, &output);
    }
    Ok(whole)
}

/// A warning about one tree.
fn of_tree(tree: &Tree, text: &str) -> String {
    format!("{}: {text}", tree.folder)
}

/// Adds what happened in a tree: paths are those below the whole folder.
fn add(whole: &mut Report, report: Report, tree: &Tree, output: &Subfolder<'_>) {
    whole.tracks.extend(report.tracks);
    whole.clear_tracks.extend(report.clear_tracks.into_iter().map(|mut track| {
        track.left_clear = track.left_clear.map(|file| output.whole(&file));
        track
    }));
    whole.outputs.extend(report.outputs.into_iter().map(|mut file| {
        file.path = output.whole(&file.path);
        file
    }));
    whole.manifests.extend(report.manifests.iter().map(|name| output.whole(name)));
    for system in report.drm {
        if !whole.drm.contains(&system) {
            whole.drm.push(system);
        }
    }
    whole.warnings.extend(report.warnings.iter().map(|text| of_tree(tree, text)));
    whole.not_proven.extend(report.not_proven.iter().map(|text| of_tree(tree, text)));
    whole.clear_lead = report.clear_lead;
    whole.key_rotation = report.key_rotation.or_else(|| whole.key_rotation.take());
    whole.finished_before = match (whole.finished_before, report.finished_before) {
        (Some(one), Some(other)) => Some(one + other),
        (one, other) => one.or(other),
    };
    whole.elapsed_ms += report.elapsed_ms;
}

/// What both trees would be, and the request for both.
pub(super) fn plan(
    trees: &[Tree; 2],
    open_input: &OpenInput<'_>,
    version: SpekeVersion,
    keys: Option<&dyn KeyServer>,
) -> Result<PlanReport> {
    let local = keys.filter(|keys| keys.is_local());
    let [one, other] = trees;
    let plan = |tree: &Tree, keys: Option<&dyn KeyServer>| {
        let mut report =
            plan_tree(&tree.job, open_input, version, keys).map_err(|error| error.at(tree.folder))?;
        report.warnings.iter_mut().for_each(|text| *text = of_tree(tree, text));
        Ok::<_, Error>(report)
    };
    let (mut whole, second, request) = match local {
        Some(keys) => {
            let [first, second] = sources(trees, open_input, (keys, &Unasked))?;
            (plan(one, Some(&first))?, plan(other, Some(&second))?, String::new())
        }
        None => {
            let request = asked(keys, version, &together(requests(trees, open_input)?))?;
            (plan(one, keys)?, plan(other, keys)?, request)
        }
    };
    whole.scheme = BOTH.join("+");
    whole.request = request;
    whole.tracks.extend(second.tracks);
    whole.keys.extend(second.keys);
    whole.warnings.extend(second.warnings);
    Ok(whole)
}

/// The keys of both trees as one document.
pub(super) fn fetch_keys(
    trees: &[Tree; 2],
    open_input: &OpenInput<'_>,
    keys: &dyn KeyServer,
    http: &dyn Http,
) -> Result<(Document, Vec<String>)> {
    let [first, second] = sources(trees, open_input, (keys, http))?;
    let mut warnings = Vec::new();
    let mut fetch = |tree: &Tree, keys: &Answered| {
        let fetched = fetch_keys_of_tree(&tree.job, open_input, keys, http);
        let (document, said) = fetched.map_err(|error| error.at(tree.folder))?;
        warnings.extend(said.iter().map(|text| of_tree(tree, text)));
        Ok::<_, Error>(document)
    };
    let [one, other] = trees;
    let document = together([fetch(one, &first)?, fetch(other, &second)?]);
    Ok((document, warnings))
}
