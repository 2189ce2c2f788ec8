//! A manifest that is written with the address of its folder, and read with it, names the files that it named.

use drm_pack::base::env::Store;
use drm_pack::base::{BaseUrl, uri};
use drm_pack::hls::{Playlist, map_file_uris};
use drm_pack::presentation::{AtBase, Presentation, read_manifest};

use super::world::{Files, Folder};

/// What cannot be read or written is refused alike, and is no matter here.
pub(crate) fn keep_their_files(folder: &Folder, name: &str) {
    let base = BaseUrl::parse("https://cdn.example/films/42").expect("an address");
    let written = Folder::new(Files::new());
    let write = || {
        let mut sink = AtBase { store: &written as &dyn Store, base: base.clone() }.create(name)?;
        sink.write(&read_manifest(folder, name)?)?;
        sink.commit()
    };
    if write().is_err() {
        return;
    }
    let mut there = Folder::new(written.into_written());
    there.others = folder.others;
    let read = AtBase { store: &there as &dyn Store, base };
    if name.ends_with(".mpd") {
        if let Ok(before) = Presentation::read(folder, &[name.to_owned()]) {
            let after =
                Presentation::read(&read, &[name.to_owned()]).expect("a manifest with an address is read");
            assert_eq!(files(&after), files(&before));
        }
        return;
    }
    let bytes = read_manifest(&read, name).expect("a playlist with an address is read");
    assert_eq!(named(name, &bytes), named(name, &read_manifest(folder, name).expect("it was read before")));
}

fn files(presentation: &Presentation) -> Vec<&str> {
    let tracks = presentation.mpds.iter().flat_map(|mpd| &mpd.tracks);
    tracks.flat_map(|track| &track.resources).map(|resource| resource.file.as_str()).collect()
}

fn named(name: &str, bytes: &[u8]) -> Vec<Option<String>> {
    let mut found = Vec::new();
    let mut playlist = Playlist::parse(bytes).expect("it was read before");
    let mut note = |uri: &str| {
        found.push(uri::resolve(name, uri).ok());
        Ok(None)
    };
    map_file_uris(&mut playlist, &mut note).expect("nothing is changed");
    found
}
