//! The identity law: what nobody edits is written as it was read.

use drm_pack::xml;

use crate::media::{assert_identical, media_files};

#[test]
fn a_parsed_mpd_is_written_as_it_was_read() {
    for (path, bytes) in media_files(&["mpd"]) {
        let document =
            xml::Document::parse(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_identical(&path, &bytes, &document.to_bytes());
    }
}
