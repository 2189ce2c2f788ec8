//! Cases of `fixtures`: a manifest written by hand, media of `fixtures/clip` under the names it uses, and what
//! must come of it.

use std::fs;
use std::path::PathBuf;

use drm_pack::isobmff::{parse_file, write_file};
use drm_pack::package::Preset;
use serde_json::Value;
use tempfile::TempDir;

use super::files::copy;
use crate::support::media::root;
use crate::support::ts::demux;

/// One folder with a `case.toml`.
///
/// Of TOML it needs strings and lists of strings, which JSON writes alike, and one table, `[media]`.
pub(crate) struct Case {
    /// The folder.
    pub(crate) folder: PathBuf,
    values: Vec<(String, Value)>,
    media: Vec<(String, String)>,
}

impl Case {
    /// The cases below a folder of `fixtures`, sorted.
    pub(crate) fn all(folder: &str) -> Vec<Self> {
        let folder = root().join("fixtures").join(folder);
        let mut folders: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        folders.sort();
        folders.into_iter().filter(|path| path.is_dir()).map(Self::read).collect()
    }

    fn read(folder: PathBuf) -> Self {
        let text = fs::read_to_string(folder.join("case.toml")).unwrap();
        let (mut values, mut media, mut in_media) = (Vec::new(), Vec::new(), false);
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if line == "[media]" {
                in_media = true;
                continue;
            }
            let pair = line.split_once(" = ");
            let pair = pair.and_then(|(key, value)| Some((key, serde_json::from_str(value).ok()?)));
            let (key, value): (&str, Value) = pair.unwrap_or_else(|| panic!("{}: {line}", folder.display()));
            if in_media {
                media.push((key.trim_matches('"').to_owned(), value.as_str().unwrap().to_owned()));
            } else {
                values.push((key.to_owned(), value));
            }
        }
        Self { folder, values, media }
    }

    /// The folder's name.
    pub(crate) fn name(&self) -> &str {
        self.folder.file_name().unwrap().to_str().unwrap()
    }

    /// One string or several; none when the key is absent.
    pub(crate) fn list(&self, key: &str) -> Vec<&str> {
        match self.values.iter().find(|(name, _)| name == key).map(|(_, value)| value) {
            Some(Value::Array(values)) => values.iter().map(|value| value.as_str().unwrap()).collect(),
            Some(value) => vec![value.as_str().unwrap()],
            None => Vec::new(),
        }
    }

    /// A string, or what it is when the key is absent.
    pub(crate) fn text<'a>(&'a self, key: &str, absent: &'a str) -> &'a str {
        self.list(key).first().copied().unwrap_or(absent)
    }

    /// The presets to try: both unless the case names one.
    pub(crate) fn presets(&self) -> Vec<Preset> {
        match self.text("preset", "") {
            "preset0" => vec![Preset::Preset0],
            "preset1" => vec![Preset::Preset1],
            _ => vec![Preset::Preset0, Preset::Preset1],
        }
    }

    /// A folder with the case's own files and its media.
    pub(crate) fn stage(&self) -> TempDir {
        let stage = tempfile::tempdir().unwrap();
        copy(&self.folder, stage.path());
        fs::remove_file(stage.path().join("case.toml")).unwrap();
        for (name, from) in &self.media {
            let (from, change) = from.split_once(" + ").unwrap_or((from, ""));
            let (from, to) = (root().join("fixtures/clip").join(from), stage.path().join(name));
            if from.is_dir() {
                copy(&from, &to);
            } else {
                fs::create_dir_all(to.parent().unwrap()).unwrap();
                fs::write(to, changed(&fs::read(from).unwrap(), change)).unwrap();
            }
        }
        stage
    }
}

/// A media file that no encoder at hand makes.
fn changed(bytes: &[u8], change: &str) -> Vec<u8> {
    match change {
        "" => bytes.to_vec(),
        "emsg" => with_event(bytes),
        "stpp" => as_subtitles(bytes),
        "aac" => packed_audio(bytes),
        "cut" => bytes[..bytes.len() - 100].to_vec(),
        _ => panic!("{change} is no change of a media file"),
    }
}

/// The sound of a transport stream as packed audio, with the time of its first sample: RFC 8216bis §3.1.3.
fn packed_audio(bytes: &[u8]) -> Vec<u8> {
    let owner = b"com.apple.streaming.transportStreamTimestamp\0";
    let is_adts = |data: &[u8]| data[0] == 0xff && data[1] & 0xf6 == 0xf0;
    let units = demux(bytes).into_values().find(|units| is_adts(&units[0].1)).unwrap();
    let time = units[0].0.pts.unwrap().to_be_bytes();
    let sound: Vec<u8> = units.into_iter().flat_map(|(_, data)| data).collect();
    let length = u8::try_from(owner.len() + time.len()).unwrap();
    // Lengths below 128 are the same in the seven-bit bytes of an ID3 tag.
    let header = [&b"ID3\x04\0\0\0\0\0"[..], &[length + 10], b"PRIV\0\0\0", &[length, 0, 0]].concat();
    [&header[..], owner, &time, &sound].concat()
}

/// With an event message before its fragments: ISO/IEC 23009-1 §5.10.3.3.
fn with_event(bytes: &[u8]) -> Vec<u8> {
    let (timescale, duration, id) = (12_800_u32, 12_800_u32, 1_u32);
    let payload = [
        &[1, 0, 0, 0][..],
        &timescale.to_be_bytes(),
        &0_u64.to_be_bytes(),
        &duration.to_be_bytes(),
        &id.to_be_bytes(),
        b"urn:example:events\x00",
        b"1\x00",
        b"message",
    ]
    .concat();
    let length = u32::try_from(payload.len() + 8).unwrap().to_be_bytes();
    let event = [&length[..], b"emsg", &payload].concat();
    let mut boxes = parse_file(bytes).unwrap();
    // Before the index as well, whose references count the bytes behind it.
    let first = boxes.iter().position(|node| node.is(b"sidx") || node.is(b"moof")).unwrap();
    boxes.splice(first..first, parse_file(&event).unwrap());
    write_file(&boxes)
}

/// An init segment of sound that says it is one of subtitles: ISO/IEC 14496-30 §7.
fn as_subtitles(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (from, to) in [(b"soun", b"subt"), (b"mp4a", b"stpp"), (b"smhd", b"sthd")] {
        let at = bytes.windows(4).position(|window| window == from).unwrap();
        bytes[at..at + 4].copy_from_slice(to);
    }
    bytes
}
