//! The identity law: what nobody edits is written as it was read.

use drm_pack::{dash, hls, isobmff};

use crate::support::media::{assert_identical, media_files};

#[test]
fn a_parsed_mpd_is_written_as_it_was_read() {
    for (path, bytes) in media_files(&["mpd"]) {
        let mpd = dash::Mpd::parse(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        // What is not well formed is not handed on as it was.
        if mpd.repairs().is_empty() {
            assert_identical(&path, &bytes, &mpd.to_bytes());
        }
    }
}

#[test]
fn a_parsed_playlist_is_written_as_it_was_read() {
    for (path, bytes) in media_files(&["m3u8"]) {
        let playlist =
            hls::Playlist::parse(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_identical(&path, &bytes, &playlist.to_bytes());
    }
}

#[test]
fn parsed_boxes_are_written_as_they_were_read() {
    for (path, bytes) in media_files(&["mp4", "m4s", "m4a"]) {
        let boxes = isobmff::parse_file(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_identical(&path, &bytes, &isobmff::write_file(&boxes));
    }
}
