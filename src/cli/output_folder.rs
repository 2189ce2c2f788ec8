//! The folder of `--out`: it may be replaced as a whole, so nothing that the job reads may lie in it.

use std::path::{Path, PathBuf};

use crate::base::env::{Sink, Source, Store};
use crate::base::{Error, Result, is_http};
use crate::io::output::holds;

/// Checks that no input, file of keys or folder that is worked in would be lost.
pub(super) fn check(out: &Path, inputs: &[String], root: Option<&Path>, files: &[&Path]) -> Result<()> {
    let folders = inputs.iter().filter(|input| !is_http(input)).map(|input| folder(Path::new(input)));
    let needed = folders.chain(root).chain(files.iter().copied());
    let what = |path: &Path| match path.as_os_str().is_empty() {
        true => "the working directory".to_owned(),
        false => path.display().to_string(),
    };
    let here = Path::new("");
    let in_it = |path: &Path| holds(out, if path == here { Path::new(".") } else { path });
    if let Some(path) = needed.chain([here]).find(|path| in_it(path)) {
        return Err(Error::usage(format!(
            "the output folder is or holds {}, and would replace it",
            what(path)
        ))
        .at(out.display())
        .hint("choose another --out; one inside the input's folder will do"));
    }
    Ok(())
}

/// The folder of an input.
fn folder(input: &Path) -> &Path {
    if input.is_dir() { input } else { input.parent().unwrap_or(input) }
}

/// Inputs, none of whose media lie in `out`: a manifest may name files in any folder below its own.
pub(super) fn apart<'a>(
    out: &'a Path,
    root: Option<&'a Path>,
    locate: impl Fn(&str) -> Result<(Box<dyn Store>, String)> + Sync + 'a,
) -> impl Fn(&str) -> Result<(Box<dyn Store>, String)> + Sync + 'a {
    move |input| {
        let (store, name) = locate(input)?;
        if is_http(input) || !out.exists() {
            return Ok((store, name));
        }
        let folder = root.unwrap_or_else(|| folder(Path::new(input))).to_owned();
        Ok((Box::new(Apart { store, folder, out: out.to_owned() }), name))
    }
}

/// The files of `folder`, but none that lies in `out`.
struct Apart {
    store: Box<dyn Store>,
    folder: PathBuf,
    out: PathBuf,
}

impl Store for Apart {
    fn open(&self, name: &str) -> Result<Box<dyn Source>> {
        let path = self.folder.join(name);
        if holds(&self.out, &path) {
            return Err(Error::usage(format!(
                "is read by this job and lies in {}, which would be replaced",
                self.out.display()
            ))
            .at(path.display())
            .hint("choose another --out"));
        }
        self.store.open(name)
    }

    fn exists(&self, name: &str) -> bool {
        self.store.exists(name)
    }

    fn refer(&self, document: &str, reference: &str) -> Result<String> {
        self.store.refer(document, reference)
    }

    fn length(&self, name: &str) -> Result<Option<u64>> {
        self.store.length(name)
    }

    fn create(&self, name: &str) -> Result<Box<dyn Sink>> {
        self.store.create(name)
    }
}
