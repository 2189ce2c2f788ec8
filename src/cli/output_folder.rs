//! The folder of `--out`: it is replaced as a whole, so nothing that the job reads and nothing that is no output may lie
//! in it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::base::env::{Sink, Source, Store};
use crate::base::{Error, Result, is_http};
use crate::io::FileStore;
use crate::io::output::holds;
use crate::job::named_files;

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

/// Checks that a folder holds nothing but a package: manifests, what they name, and what `is_side_file` knows. Folders
/// without files are of no account.
pub(super) fn check_replaceable(out: &Path, is_side_file: &dyn Fn(&Path) -> bool) -> Result<()> {
    let mut files = Vec::new();
    list(out, "", &mut files).map_err(|error| Error::storage(error.to_string()).at(out.display()))?;
    files.sort();
    let kept = "--overwrite replaces a folder that holds nothing but a package";
    let named = named_files(&FileStore::new(out), &files).map_err(|error| {
        Error::usage(format!("{kept}, and what this one holds cannot be told: {error}"))
            .at(out.display())
            .hint("choose another --out, or remove the folder")
    })?;
    let is_foreign = |file: &&String| !named.contains(*file) && !is_side_file(&out.join(file));
    match files.iter().find(is_foreign) {
        Some(file) => Err(Error::usage(format!("no manifest of the folder names this file: {kept}"))
            .at(out.join(file).display())
            .hint("move the file away, or choose another --out")),
        None => Ok(()),
    }
}

/// All that is no folder, by names with `/`.
fn list(folder: &Path, prefix: &str, files: &mut Vec<String>) -> std::io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        match entry.file_type()?.is_dir() {
            true => list(&entry.path(), &format!("{name}/"), files)?,
            false => files.push(name),
        }
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
    open_input: impl Fn(&str) -> Result<(Box<dyn Store>, String)> + Sync + 'a,
) -> impl Fn(&str) -> Result<(Box<dyn Store>, String)> + Sync + 'a {
    move |input| {
        let (store, name) = open_input(input)?;
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

    fn exists(&self, name: &str) -> Result<bool> {
        self.store.exists(name)
    }

    fn resolve(&self, document: &str, reference: &str) -> Result<String> {
        self.store.resolve(document, reference)
    }

    fn length(&self, name: &str) -> Result<Option<u64>> {
        self.store.length(name)
    }

    fn create(&self, name: &str) -> Result<Box<dyn Sink>> {
        self.store.create(name)
    }
}
