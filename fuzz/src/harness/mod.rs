//! What fuzz targets share, for the fuzzer and for `cargo test`: targets, a world in memory, an oracle, mutations, seeds.

mod addresses;
pub(crate) mod documents;
pub(crate) mod media;
pub(crate) mod mutate;
pub(crate) mod oracle;
pub(crate) mod seeds;
pub(crate) mod subtitles;
pub(crate) mod world;

/// What became of an input that broke nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// An error in one line.
    Refused,
    /// It was read, or packed, verified and decrypted.
    Taken,
}

/// What an input is made of, for mutations that keep its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Boxes behind one byte of options.
    Boxes,
    /// Packets of 188 bytes behind one byte of options.
    Packets,
    /// Lines or elements behind one byte of options.
    Text,
    /// Anything.
    Bytes,
}

/// A fuzz target.
pub(crate) struct Target {
    /// Its name in `scripts/fuzz`.
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    /// Panics when the product does, or when it breaks a promise.
    pub(crate) run: fn(&[u8]) -> Outcome,
    /// Inputs to begin with, by name.
    pub(crate) seeds: fn() -> Vec<(String, Vec<u8>)>,
}

/// Every target. The first byte of an input chooses options, the others are the input.
pub(crate) const TARGETS: &[Target] = &[
    Target { name: "fragmented", shape: Shape::Boxes, run: media::fragmented, seeds: seeds::fragmented },
    Target { name: "mp4", shape: Shape::Boxes, run: media::mp4, seeds: seeds::mp4 },
    Target { name: "protected", shape: Shape::Boxes, run: media::protected, seeds: seeds::protected },
    Target { name: "matroska", shape: Shape::Bytes, run: media::demuxed, seeds: seeds::matroska },
    Target { name: "stream", shape: Shape::Packets, run: media::demuxed, seeds: seeds::stream },
    Target { name: "ts", shape: Shape::Packets, run: media::ts, seeds: seeds::ts },
    Target { name: "aes128", shape: Shape::Packets, run: media::aes128, seeds: seeds::aes128 },
    Target {
        name: "packed-audio",
        shape: Shape::Bytes,
        run: media::packed_audio,
        seeds: seeds::packed_audio,
    },
    Target { name: "playlist", shape: Shape::Text, run: media::playlist, seeds: seeds::playlist },
    Target { name: "mpd", shape: Shape::Text, run: media::mpd, seeds: seeds::mpd },
    Target { name: "cpix", shape: Shape::Text, run: documents::cpix, seeds: seeds::cpix },
    Target { name: "answer", shape: Shape::Text, run: documents::answer, seeds: seeds::answer },
    Target { name: "pssh", shape: Shape::Bytes, run: documents::pssh, seeds: seeds::pssh },
    Target { name: "subtitles", shape: Shape::Text, run: subtitles::subtitles, seeds: subtitles::seeds },
    Target { name: "inspect", shape: Shape::Boxes, run: documents::inspect, seeds: seeds::inspect },
];

/// An error as users see it: one line that says something.
pub(crate) fn refused(error: &drm_pack::base::Error) -> Outcome {
    let text = error.to_string();
    assert!(!text.is_empty() && !text.contains(['\n', '\r', '\u{1b}']), "no line for a terminal: {text:?}");
    Outcome::Refused
}
