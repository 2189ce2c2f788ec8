//! `drm-pack verify`: checks a protected presentation and says what it found.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::env::Store;
use crate::base::{BaseUrl, Error, Result, is_http, shown_input};
use crate::io::FileStore;
use crate::verify::{Reference, Severity, Verification, VerifyJob, rule, verify, verify_all};

use super::args::VerifyArgs;
use super::base_url;
use super::decryption_keys::key_store;
use super::folder::{files_below, presentation_files_below};
use super::keys::http_client;
use super::output::{clear_stretches, counted, json, line};
use super::pack::Inputs;

pub(super) fn run(args: &VerifyArgs) -> Result<()> {
    let (key_file, cpix) = (args.key_file.as_deref(), args.cpix.as_deref());
    let keys = key_store(key_file, cpix, &args.recipient_key, args.dev_keys.as_deref())?;
    let http = Arc::new(http_client(&args.http)?);
    let given = Inputs::new(&args.inputs, args.root.as_deref(), args.follow_links, &http);
    let base = base_url::parse(args.base_url.as_deref())?;
    let presentations = presentations(&args.inputs);
    if base.is_some() && given.root.is_none() && presentations.len() > 1 {
        return Err(Error::usage("--base-url is the address of one folder")
            .hint("give the folder that holds all of these with --root"));
    }
    let named: Vec<Named> = presentations
        .iter()
        .map(|inputs| Named::of(&given.others(inputs, given.root), base.as_ref(), &args.against))
        .collect::<Result<_>>()?;
    let mut jobs = Vec::new();
    for Named { folder, store, names, beside, against } in &named {
        let against = against.as_ref();
        jobs.push((
            folder.clone(),
            VerifyJob {
                store: store.as_ref(),
                names: names.clone(),
                key_store: keys.as_deref(),
                against: against
                    .map(|(store, names)| Reference { store: store.as_ref(), names: names.clone() }),
                clear_tracks: &args.clear_track,
                beside,
            },
        ));
    }
    let advise = |error| {
        let advise =
            |error, one: &Named| base_url::advise(error, base.as_ref(), one.store.as_ref(), &one.names);
        named.iter().fold(error, advise)
    };
    let results = match jobs.as_slice() {
        [(_, job)] => verify(job).map(|result| vec![result]),
        jobs => verify_all(jobs),
    };
    let results = results.map_err(advise)?;
    let folders = named.iter().map(|named| named.folder.as_str());
    if args.json {
        json(&value(&results, folders))?
    } else {
        line(&text(&results, folders, args.verbose))?
    }
    let failed = results.iter().map(|result| &result.findings).filter(|findings| !findings.passed());
    let (mut found, mut rules) = (0, BTreeSet::new());
    for findings in failed {
        found += findings.errors() + findings.advice();
        rules.extend(findings.counts().iter().filter(|(_, count)| count.broken > 0).map(|(rule, _)| *rule));
    }
    let not_proven: usize = results.iter().map(|result| result.findings.not_checked().count()).sum();
    if rules.is_empty() && args.strict && not_proven > 0 {
        return Err(Error::verification(format!(
            "not proven: {}, which --strict does not allow",
            counted(not_proven as u64, "thing")
        )));
    }
    if rules.is_empty() {
        return Ok(());
    }
    let verb = if found == 1 { "breaks" } else { "break" };
    let (found, rules) = (counted(found, "finding"), counted(rules.len() as u64, "rule"));
    Err(advise(Error::verification(format!("{found} {verb} {rules}"))))
}

/// Each folder is a presentation, when there are several; files are one together.
fn presentations(inputs: &[String]) -> Vec<Vec<String>> {
    let (folders, files): (Vec<_>, Vec<_>) =
        inputs.iter().cloned().partition(|input| Path::new(input).is_dir());
    if folders.len() < 2 {
        return vec![inputs.to_vec()];
    }
    let files = Some(files).filter(|files| !files.is_empty());
    folders.into_iter().map(|folder| vec![folder]).chain(files).collect()
}

/// A presentation and where it is.
struct Named {
    folder: String,
    store: Box<dyn Store>,
    names: Vec<String>,
    /// The files of folders that are given.
    beside: Vec<String>,
    against: Option<(Box<dyn Store>, Vec<String>)>,
}

impl Named {
    fn of(given: &Inputs<'_>, base: Option<&BaseUrl>, against: &[String]) -> Result<Self> {
        let (root, store, names, beside) = inputs(given)?;
        let against = Some(against).filter(|sources| !sources.is_empty());
        let against = against.map(|sources| clear(&given.others(sources, None), &names)).transpose()?;
        let store = base_url::at(Box::new(store), base);
        Ok(Self { folder: root.to_string_lossy().into_owned(), store, names, beside, against })
    }
}

/// Where the clear source is, and its names there. It may have its folders where the protected manifests of these
/// names have them.
fn clear(sources: &Inputs<'_>, protected: &[String]) -> Result<(Box<dyn Store>, Vec<String>)> {
    if let [source] = sources.given
        && is_http(source)
    {
        let (store, name) = sources.open_input(source)?;
        return Ok((store, vec![name]));
    }
    let root_of = |source: &String| {
        let strip = |name: &String| match source.strip_suffix(name.as_str())? {
            "" => Some(PathBuf::from(".")),
            root => root.strip_suffix('/').map(PathBuf::from),
        };
        protected.iter().filter(|name| name.contains('/')).find_map(strip)
    };
    let root = sources.given.first().and_then(root_of);
    let (_, store, names, _) = inputs(&sources.others(sources.given, root.as_deref()))?;
    Ok((Box::new(store), names))
}

/// A folder, and names of files in it.
type InFolder = (PathBuf, FileStore, Vec<String>, Vec<String>);

/// The folder that holds all inputs, or the one that is given, and their names in it; a folder stands for the
/// manifests in it. Behind them the names of all files of such folders.
fn inputs(inputs: &Inputs<'_>) -> Result<InFolder> {
    let (mut paths, mut folders, mut files, mut beside) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for input in inputs.given {
        if is_http(input) {
            return Err(Error::usage("a URL, a path expected").at(shown_input(input)));
        }
        let path = Path::new(input);
        if path.is_dir() {
            folders.push(path.to_owned());
            paths.extend(presentation_files_below(path)?);
            let is_plain = |path: &PathBuf| path.is_file() && !path.is_symlink();
            beside.extend(files_below(path)?.into_iter().filter(is_plain));
        } else {
            folders.push(path.parent().map(Path::to_owned).unwrap_or_default());
            paths.push(path.to_owned());
            files.push(path);
        }
    }
    if let Some(root) = inputs.root {
        let name = |path: &PathBuf| Ok(FileStore::of_file_below(root, &path.to_string_lossy())?.1);
        let names = |paths: &[PathBuf]| paths.iter().map(name).collect::<Result<Vec<_>>>();
        let store = FileStore::new(root).with_links(inputs.links, []);
        return Ok((root.to_owned(), store, names(&paths)?, names(&beside)?));
    }
    let mut root = folders.first().cloned().unwrap_or_default();
    while !paths.iter().all(|path| path.starts_with(&root)) {
        root = root.parent().map(Path::to_owned).unwrap_or_default();
    }
    let name = |path: &Path| {
        path.strip_prefix(&root).unwrap_or(path).to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/")
    };
    let names = paths.iter().map(|path| name(path)).collect();
    let beside = beside.iter().map(|path| name(path)).collect();
    let given: Vec<_> = files.into_iter().map(name).collect();
    let root = if root.as_os_str().is_empty() { PathBuf::from(".") } else { root };
    let store = FileStore::new(&root).with_links(inputs.links, given);
    Ok((root, store, names, beside))
}

fn text<'a>(results: &[Verification], folders: impl Iterator<Item = &'a str>, is_verbose: bool) -> String {
    match results {
        [one] => text_of(one, is_verbose),
        all => {
            let of = |one| text_of(one, is_verbose);
            let each = all.iter().zip(folders).map(|(one, folder)| format!("{folder}:\n{}", of(one)));
            each.collect::<Vec<_>>().join("\n")
        }
    }
}

/// Errors place by place; advice that repeats is one line with a count.
fn text_of(result: &Verification, is_verbose: bool) -> String {
    let findings = &result.findings;
    let mut lines: Vec<String> = Vec::new();
    let is_advice = |id: &str| rule(id).is_some_and(|rule| rule.severity == Severity::Advice);
    let mut listed = BTreeMap::<&str, u64>::new();
    for finding in findings.listed() {
        let count = listed.entry(finding.rule).or_default();
        *count += 1;
        if *count > 1 && is_advice(finding.rule) {
            continue;
        }
        lines.push(format!(
            "{:6} {}: {}: found {}, expected {} ({})",
            finding.severity, finding.rule, finding.place, finding.found, finding.expected, finding.clause
        ));
    }
    for (id, count) in findings.counts().iter().filter(|(_, count)| count.broken > 0) {
        let shown = if is_advice(id) { 1 } else { listed.get(id).copied().unwrap_or_default() };
        if count.broken > shown {
            lines.push(format!("       {id}: {} more", count.broken - shown));
        }
    }
    lines.extend(result.tracks.iter().filter_map(|track| clear_stretches(&track.source, &track.clear)));
    lines.extend(findings.not_checked().map(|what| format!("not proven: {what}")));
    if is_verbose {
        let counts = findings.counts().iter().map(|(rule, count)| format!("{rule} {}", count.checked));
        lines.push(format!("checked: {}", counts.collect::<Vec<_>>().join(", ")));
    }
    lines.push(format!(
        "{}: {}, {} ({} protected), {}, {} advice",
        verdict(result),
        counted(result.files, "file"),
        counted(result.samples, "sample"),
        result.protected_samples,
        counted(findings.errors(), "error"),
        findings.advice()
    ));
    lines.join("\n")
}

/// "passed" alone is said of what was proven.
fn verdict(result: &Verification) -> String {
    let not_proven: Vec<_> = result.findings.not_checked().collect();
    match not_proven.as_slice() {
        _ if !result.findings.passed() => "FAILED".to_owned(),
        [] => "passed".to_owned(),
        [only] => format!("passed, not proven: {only}"),
        [first, others @ ..] => format!("passed, not proven: {first}; and {} more", others.len()),
    }
}

fn value<'a>(results: &[Verification], folders: impl Iterator<Item = &'a str>) -> serde_json::Value {
    match results {
        [one] => value_of(one),
        all => {
            let each = all.iter().zip(folders).map(|(one, folder)| {
                let mut value = value_of(one);
                value.as_object_mut().map(|value| value.insert("folder".into(), folder.into()));
                value
            });
            serde_json::json!({
                "passed": all.iter().all(|one| one.findings.passed()),
                "presentations": each.collect::<Vec<_>>(),
            })
        }
    }
}

fn value_of(result: &Verification) -> serde_json::Value {
    let findings = &result.findings;
    serde_json::json!({
        "passed": findings.passed(),
        "tracks": result.tracks,
        "proven": findings.passed() && findings.not_checked().next().is_none(),
        "files": result.files,
        "samples": result.samples,
        "protected_samples": result.protected_samples,
        "errors": findings.errors(),
        "advice": findings.advice(),
        "findings": findings.listed(),
        "checks": findings.counts(),
        "not_checked": findings.not_checked().collect::<Vec<_>>(),
    })
}
