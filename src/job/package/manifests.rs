//! The manifests of a package: a playlist, an MPD, or both over the same segments — RFC 8216bis, ISO/IEC 23009-1,
//! ISO/IEC 23000-19 §9.

use crate::base::env::Store;
use crate::base::{Error, Result, shown_input};
use crate::drm::ManifestKind;
use crate::package::{Assignment, Plan};
use crate::presentation::{Presentation, kind_of_name};

use super::dash::{self, DashManifest};
use super::files::ProtectedPackage;
use super::hls::{self, HlsManifests};
use super::{InputState, Package};
use crate::job::env::{Env, OpenInput};
use crate::job::identity::Summary;
use crate::job::report::Report;

/// The kinds of manifest that the inputs are: none of MP4 files, one, or both of one presentation.
pub(in crate::job) fn manifest_kinds(inputs: &[String]) -> Result<Vec<ManifestKind>> {
    let kinds: Vec<_> = inputs.iter().map(|input| kind_of_name(input)).collect();
    match kinds.as_slice() {
        [] => Err(Error::usage("no input").hint("give an .mpd, an .m3u8, or MP4 files")),
        kinds if kinds.iter().all(Option::is_none) => Ok(Vec::new()),
        [Some(kind)] => Ok(vec![*kind]),
        [Some(one), Some(other)] if one != other => Ok(vec![*one, *other]),
        _ => Err(Error::usage(format!("{} inputs that are not one presentation", inputs.len()))
            .hint("give one MPD, one playlist, one of each over the same segments, or MP4 files")),
    }
}

/// The manifests of a package.
#[derive(Default)]
pub(in crate::job) struct Manifests {
    hls: Option<HlsManifests>,
    dash: Option<DashManifest>,
}

/// A package, where it was read, and its manifests.
pub(in crate::job) struct Input {
    pub(in crate::job) store: Box<dyn Store>,
    pub(in crate::job) package: Package,
    pub(in crate::job) manifests: Manifests,
}

impl Input {
    /// Takes what was read into a package: each file belongs to one rendition, whatever names it.
    pub(in crate::job) fn of(
        store: Box<dyn Store>,
        mut read: Presentation,
        expect: InputState,
    ) -> Result<Self> {
        let (mut package, mut manifests) = (Package::default(), Manifests::default());
        // Playlists come first: they have the names of tracks that go together, and count segments.
        if !read.playlists.is_empty() || !read.multivariants.is_empty() {
            manifests.hls = Some(hls::read(store.as_ref(), &mut read, expect, &mut package)?);
        }
        for document in read.mpds {
            manifests.dash = Some(dash::read(store.as_ref(), document, expect, &mut package)?);
        }
        Ok(Self { store, package, manifests })
    }
}

/// Reads the manifests of a presentation, playlists first.
pub(in crate::job) fn read(
    inputs: &[String],
    open_input: &OpenInput<'_>,
) -> Result<(Box<dyn Store>, Presentation)> {
    let (store, mut names) = locate_all(inputs, open_input)?;
    names.sort_by_key(|name| kind_of_name(name) != Some(ManifestKind::Hls));
    let read = Presentation::read(store.as_ref(), &names)?;
    Ok((store, read))
}

/// The one folder of all inputs, and their names in it.
fn locate_all(inputs: &[String], open_input: &OpenInput<'_>) -> Result<(Box<dyn Store>, Vec<String>)> {
    let mut found = None;
    let mut names = Vec::new();
    for input in inputs {
        let (store, name) = open_input(input)?;
        let path = shown_input(input);
        // A name has folders in it when the root of the presentation was given, and is decoded when it was fetched.
        let folder = || path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let root = path.strip_suffix(&name).map_or_else(folder, |root| root.trim_end_matches('/')).to_owned();
        match &found {
            Some((_, first)) if *first != root => {
                return Err(Error::usage(format!(
                    "the manifests lie in two folders: {first:?} and {root:?}"
                ))
                .hint("name the folder that holds both with --root"));
            }
            Some(_) => {}
            None => found = Some((store, root)),
        }
        names.push(name);
    }
    let none = || Error::usage("no input").hint("give an .mpd, an .m3u8, or MP4 files");
    let (store, _) = found.ok_or_else(none)?;
    Ok((store, names))
}

impl Manifests {
    /// Checks what depends on which encrypted track has which key, before any key is fetched.
    pub(in crate::job) fn check(&self, package: &Package, assignment: &Assignment) -> Result<()> {
        self.dash.as_ref().map_or(Ok(()), |dash| dash.check(package, assignment))
    }

    /// What they say.
    pub(in crate::job) fn summarize(&self, summary: &mut Summary) {
        self.hls.iter().for_each(|hls| hls.summarize(summary));
        self.dash.iter().for_each(|dash| dash.summarize(summary));
    }

    /// Signals the keys in all of them and writes them.
    pub(in crate::job) fn protect(
        self,
        package: &Package,
        plan: &Plan,
        done: (&ProtectedPackage, &dyn Store),
        env: &Env<'_>,
    ) -> Result<Report> {
        let mut report = Report::default();
        if let Some(hls) = self.hls {
            report.warnings.clone_from(&hls.warnings);
            report.outputs.extend(hls.protect(package, plan, done, env)?);
        }
        if let Some(dash) = self.dash {
            report.warnings.extend_from_slice(&dash.warnings);
            report.outputs.extend(dash.protect(package, plan, done, env)?);
        }
        Ok(named(report))
    }

    /// Removes every key from all of them and writes them.
    pub(in crate::job) fn unprotect(
        self,
        done: (&ProtectedPackage, &dyn Store),
        env: &Env<'_>,
    ) -> Result<Report> {
        let mut report = Report::default();
        if let Some(hls) = self.hls {
            report.warnings.clone_from(&hls.warnings);
            report.outputs.extend(hls.unprotect(done, env)?);
        }
        if let Some(dash) = self.dash {
            report.warnings.extend_from_slice(&dash.warnings);
            report.outputs.extend(dash.unprotect(done, env)?);
        }
        Ok(named(report))
    }
}

/// The report of a job whose only outputs so far are manifests.
fn named(mut report: Report) -> Report {
    report.manifests = report.outputs.iter().map(|output| output.path.clone()).collect();
    report
}
