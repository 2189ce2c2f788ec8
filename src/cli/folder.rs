//! A folder as input: the presentation in it, RFC 8216bis §2 and ISO/IEC 23009-1 §5.1.

use std::fs;
use std::path::{Path, PathBuf};

use crate::base::{Error, ManifestKind, Result, is_http};
use crate::io::FileStore;
use crate::job::Thumbnails;
use crate::presentation::{is_multivariant, kind_of_name, may_be_manifest, read_manifest};
use crate::subtitles::Format;

/// Extensions of MP4 and QuickTime files.
const MP4: &[&str] = &["mp4", "m4v", "m4a", "mov", "qt", "cmfv", "cmfa"];

/// The inputs with each folder replaced by its presentation: one MPD, one playlist, one of each, or its MP4 files.
/// Below a root all of them are whole paths.
///
/// # Errors
/// [`Kind::Input`](crate::base::Kind::Input) when a folder has none, or several of a kind, `Usage` when a file does
/// not lie below the root.
pub(super) fn presentations(inputs: &[String], root: Option<&Path>) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for input in inputs {
        let path = Path::new(input);
        if path.is_dir() {
            let files = presentation(path)?;
            found.extend(files.iter().map(|file| file.to_string_lossy().into_owned()));
        } else {
            found.push(input.clone());
        }
    }
    let Some(root) = root else { return Ok(found) };
    let whole = |input: &String| {
        if is_http(input) {
            return Ok(input.clone());
        }
        let (store, name) = FileStore::of_file_below(root, input)?;
        Ok(store.path(&name).to_string_lossy().into_owned())
    };
    found.iter().map(whole).collect()
}

/// The thumbnails of an option; a folder is the JPEG images in it, in the order of the numbers in their names.
///
/// # Errors
/// As [`Thumbnails::parse`], and when the folder has no image.
pub(super) fn thumbnails(text: &str) -> Result<Thumbnails> {
    let mut thumbnails = Thumbnails::parse(text)?;
    let [folder] = thumbnails.files.as_slice() else { return Ok(thumbnails) };
    let folder = Path::new(folder);
    if !folder.is_dir() {
        return Ok(thumbnails);
    }
    let is_jpeg = |path: &PathBuf| {
        let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default().to_ascii_lowercase();
        matches!(end.as_str(), "jpg" | "jpeg")
    };
    let mut files: Vec<String> = entries(folder)?
        .into_iter()
        .filter(is_jpeg)
        .map(|path| path.to_string_lossy().into_owned())
        .collect();
    if files.is_empty() {
        return Err(Error::input("no .jpg or .jpeg file in this folder").at(folder.display()));
    }
    files.sort_by_cached_key(|name| with_wide_numbers(name));
    thumbnails.files = files;
    Ok(thumbnails)
}

/// A name whose numbers sort as numbers do.
fn with_wide_numbers(name: &str) -> String {
    let (mut wide, mut number) = (String::new(), String::new());
    for c in name.chars().chain(['\0']) {
        if c.is_ascii_digit() {
            number.push(c);
            continue;
        }
        if !number.is_empty() {
            wide += &format!("{:0>20}", std::mem::take(&mut number));
        }
        wide.push(c);
    }
    wide
}

fn presentation(folder: &Path) -> Result<Vec<PathBuf>> {
    let files = presentation_files(folder)?;
    let of = |wanted| files.iter().filter(move |path| kind(path) == Some(wanted));
    let (mpds, playlists): (Vec<_>, Vec<_>) =
        (of(ManifestKind::Dash).collect(), of(ManifestKind::Hls).collect());
    if mpds.is_empty() && playlists.is_empty() {
        // An .xml may be anything.
        let is_text = |path: &PathBuf| {
            Format::of_name(&path.to_string_lossy()).is_some()
                && path.extension().is_some_and(|end| end != "xml")
        };
        return Ok(files.into_iter().chain(entries(folder)?.into_iter().filter(is_text)).collect());
    }
    let multivariant: Vec<_> = playlists.iter().copied().filter(|path| lists_playlists(path)).collect();
    let playlists = if multivariant.is_empty() { playlists } else { multivariant };
    if let Some(several) = [&mpds, &playlists].into_iter().find(|found| found.len() > 1) {
        let names = several.iter().filter_map(|path| path.file_name()).map(|name| name.to_string_lossy());
        return Err(Error::input(format!(
            "{} manifests: {}",
            several.len(),
            names.collect::<Vec<_>>().join(", ")
        ))
        .at(folder.display())
        .hint("give one by its name"));
    }
    Ok(playlists.into_iter().chain(mpds).cloned().collect())
}

fn kind(path: &Path) -> Option<ManifestKind> {
    kind_of_name(&path.to_string_lossy())
}

fn lists_playlists(path: &Path) -> bool {
    kind(path) == Some(ManifestKind::Hls) && text(path).is_ok_and(|text| is_multivariant(&text))
}

fn is_manifest(path: &Path) -> bool {
    let name = path.to_string_lossy();
    // What cannot be read is refused where it is opened, by its name.
    kind_of_name(&name).is_some() && text(path).map_or(true, |text| may_be_manifest(&name, &text))
}

/// The text of a manifest; a pipe is none, and nobody waits for it.
fn text(path: &Path) -> Result<String> {
    let (store, name) = FileStore::of_file(&path.to_string_lossy())?;
    String::from_utf8(read_manifest(&store, &name)?).map_err(|_| Error::input("not UTF-8").at(path.display()))
}

/// The manifests of a folder, multivariant playlists first as they name the others; else its MP4 files.
pub(super) fn presentation_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let paths = entries(folder)?;
    let mut found: Vec<PathBuf> = paths.iter().filter(|path| is_manifest(path)).cloned().collect();
    found.sort_by_cached_key(|path| !lists_playlists(path));
    if found.is_empty() {
        let is_mp4 = |path: &&PathBuf| {
            let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
            MP4.iter().any(|known| known.eq_ignore_ascii_case(extension))
        };
        found = paths.iter().filter(is_mp4).cloned().collect();
    }
    if found.is_empty() {
        return Err(Error::input("no manifest and no MP4 file").at(folder.display()));
    }
    Ok(found)
}

/// The same, or the manifests of the folders below one that has neither, or that has the media playlists of a
/// multivariant playlist below: `--root` and `--name-manifest` put them there.
pub(super) fn presentation_files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let is_whole = |path: &PathBuf| kind(path) != Some(ManifestKind::Hls) || lists_playlists(path);
    let here = presentation_files(folder);
    if here.as_ref().is_ok_and(|files| files.iter().any(is_whole)) {
        return here;
    }
    let mut found = files_below(folder)?;
    found.retain(|path| is_manifest(path));
    found.sort_by_cached_key(|path| (!lists_playlists(path), path.clone()));
    if found.is_empty() || here.is_ok() && !found.iter().any(is_whole) { here } else { Ok(found) }
}

/// What is in a folder and in those below it, folders left out; a link to one is not followed.
pub(super) fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for path in entries(&folder)? {
            let is_folder = path.is_dir();
            if is_folder && !path.is_symlink() {
                folders.push(path);
            } else if !is_folder {
                found.push(path);
            }
        }
    }
    Ok(found)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error: std::io::Error| Error::storage(error.to_string()).at(folder.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    Ok(paths)
}
