//! MPDs as they are found: every construct keeps its text, its media comes back, and what is wrong is refused.
//!
//! It is longer than 400 lines because the laws of an MPD are checked on its text, without the product's views.

use std::collections::BTreeMap;
use std::fs;
use std::panic::{RefUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use drm_pack::base::env::{Sink, Source, Store};
use drm_pack::base::{Error, Kid, Result};
use drm_pack::dash::{Location, Media, Mpd, MpdPath, Protected, Representation};
use drm_pack::io::FileStore;
use drm_pack::isobmff::file::moov;
use drm_pack::isobmff::track::tracks;
use drm_pack::isobmff::{BoxNode, parse_file};
use drm_pack::job::{Job, Report};
use drm_pack::package::{Preset, media_tracks};
use drm_pack::protect::protected_entry;
use drm_pack::verify::{Reference, VerifyJob, verify};
use drm_pack::xml::{Document, Element};
use rayon::prelude::*;
use tempfile::TempDir;

use crate::support::case::Case;
use crate::support::files::copied;
use crate::support::media::{assert_identical, shared};
use crate::support::pack::{job, key, pack, pack_without_keys, unpack};

const SCHEMES: [&str; 2] = ["cenc", "cbcs"];
const PRESETS: [Preset; 2] = [Preset::Preset0, Preset::Preset1];
const DRM: &str = "widevine+playready";

/// What an MPD that is protected may declare besides what it did: the prefixes of the descriptors.
const DECLARATIONS: [&str; 2] =
    [" xmlns:cenc=\"urn:mpeg:cenc:2013\"", " xmlns:mspr=\"urn:microsoft:playready\""];

/// The property that says between which AdaptationSets one may switch: ISO/IEC 23009-1 §5.3.3.5.
const SWITCHING: &str = "urn:mpeg:dash:adaptation-set-switching:2016";

/// Children of an AdaptationSet in their order: ISO/IEC 23009-1 Annex B.
const ORDER: &[&str] = &[
    "FramePacking",
    "AudioChannelConfiguration",
    "ContentProtection",
    "OutputProtection",
    "EssentialProperty",
    "SupplementalProperty",
    "InbandEventStream",
    "Switching",
    "RandomAccess",
    "GroupLabel",
    "Label",
    "ProducerReferenceTime",
    "ContentPopularityRate",
    "Resync",
    "Accessibility",
    "Role",
    "Rating",
    "Viewpoint",
    "ContentComponent",
    "BaseURL",
    "SegmentBase",
    "SegmentList",
    "SegmentTemplate",
    "Representation",
];

/// A folder that has two of three files.
struct SomeFiles;

impl Store for SomeFiles {
    fn open(&self, name: &str) -> Result<Box<dyn Source>> {
        Err(Error::input(name))
    }

    fn exists(&self, name: &str) -> Result<bool> {
        Ok(!name.len().is_multiple_of(3))
    }

    fn create(&self, name: &str) -> Result<Box<dyn Sink>> {
        Err(Error::storage(name))
    }
}

/// One run: an MPD in its folder, what it is packed with, and where it went.
struct Run {
    name: String,
    input: PathBuf,
    preset: Preset,
    out: TempDir,
    report: Report,
}

impl Run {
    fn new(input: &Path, drm: &str, scheme: &str, preset: Preset) -> Self {
        let out = tempfile::tempdir().unwrap();
        let name = format!("{} {scheme} {preset:?}", input.display());
        let job = Job { preset, ..job(input, drm, scheme) };
        let report = pack(&job, out.path()).unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { name, input: input.to_owned(), preset, out, report }
    }

    fn document(&self) -> &str {
        self.input.file_name().unwrap().to_str().unwrap()
    }

    /// A file as it was; the MPD well formed.
    fn source(&self, name: &str) -> Vec<u8> {
        let bytes = fs::read(self.input.with_file_name(name)).unwrap();
        if name == self.document() { Mpd::parse(&bytes).unwrap().to_bytes() } else { bytes }
    }

    fn output(&self, name: &str) -> Vec<u8> {
        fs::read(self.out.path().join(name)).unwrap_or_else(|_| panic!("{}: no {name}", self.name))
    }

    /// All laws.
    fn holds(&self) {
        self.only_protection_was_added();
        self.decrypts_to_its_source();
        self.signals_each_key_once();
        self.ranges_name_boxes();
        self.nothing_is_left_clear();
        self.verifies();
        self.is_as_valid_as_its_source();
    }

    /// The MPD without protection is the one it was, byte for byte; numbers of byte ranges may differ.
    fn only_protection_was_added(&self) {
        let source = self.source(self.document());
        let stripped = stripped(&source, &self.output(self.document()));
        let (source, stripped) = (without_ranges(&text(&source)), without_ranges(&stripped));
        if self.preset == Preset::Preset0 {
            assert_identical(Path::new(&self.name), source.as_bytes(), stripped.as_bytes());
            return;
        }
        let (source, stripped) = (Skeleton::of(&source), Skeleton::of(&stripped));
        assert_identical(Path::new(&self.name), source.around.as_bytes(), stripped.around.as_bytes());
        assert_eq!(source.representations, stripped.representations, "{}", self.name);
    }

    /// Every file that was written comes back byte for byte, and nothing else comes.
    fn decrypts_to_its_source(&self) {
        let back = tempfile::tempdir().unwrap();
        let report = unpack(&self.out.path().join(self.document()), back.path())
            .unwrap_or_else(|error| panic!("{}: {error}", self.name));
        let names = |report: &Report| {
            let mut names: Vec<_> = report.outputs.iter().map(|output| output.path.clone()).collect();
            names.sort();
            names
        };
        assert_eq!(names(&self.report), names(&report), "{}", self.name);
        let mut encrypted = 0;
        for name in names(&report) {
            let (source, decrypted) = (self.source(&name), fs::read(back.path().join(&name)).unwrap());
            if name == self.document() {
                let declared = stripped(&source, &decrypted);
                if self.preset == Preset::Preset0 {
                    assert_identical(Path::new(&self.name), text(&source).as_bytes(), declared.as_bytes());
                }
                continue;
            }
            assert_identical(&Path::new(&self.name).join(&name), &source, &decrypted);
            encrypted += usize::from(self.output(&name) != source);
        }
        assert!(encrypted > 0, "{}: nothing was encrypted", self.name);
    }

    /// Each AdaptationSet with protected media says so once, in schema order, with the key id of its media;
    /// a key id has the same descriptors everywhere; clear media has none.
    fn signals_each_key_once(&self) {
        let document = Document::parse(&self.output(self.document())).unwrap();
        let mpd = Mpd::parse(&self.output(self.document())).unwrap();
        let located = self.located(&mpd);
        let mut descriptors: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (p, period) in named(document.root(), "Period").enumerate() {
            assert!(named(period, "ContentProtection").next().is_none(), "{}", self.name);
            for (a, set) in named(period, "AdaptationSet").enumerate() {
                let ranks: Vec<_> = set
                    .elements()
                    .filter_map(|child| ORDER.iter().position(|name| *name == child.local_name()))
                    .collect();
                assert!(ranks.is_sorted(), "{}: {}", self.name, set.to_text());
                let inside =
                    |place: &Representation| (place.place.period, place.place.adaptation_set) == (p, a);
                let kids: Vec<_> = located.iter().filter(|r| inside(r)).map(|r| self.key_id(r)).collect();
                let found: Vec<_> = named(set, "ContentProtection").collect();
                let stated = found.iter().filter_map(|found| found.attribute("cenc:default_KID").unwrap());
                let stated: Vec<_> = stated.map(|kid| Kid::parse(&kid).unwrap()).collect();
                match kids.first().copied().flatten() {
                    Some(kid) => assert_eq!(stated, [kid], "{}: {}", self.name, set.to_text()),
                    None => assert!(found.is_empty(), "{}: {}", self.name, set.to_text()),
                }
                assert!(kids.iter().all(|kid| *kid == kids[0]), "{}: keys of one set", self.name);
                let Some(kid) = stated.first() else { continue };
                let texts: Vec<_> = found.iter().map(|found| squeezed(&found.to_text())).collect();
                assert_eq!(texts.len(), 3, "the scheme and two systems");
                let first = descriptors.entry(kid.to_string()).or_insert_with(|| texts.clone());
                assert_eq!(*first, texts, "{}: descriptors of {kid}", self.name);
            }
        }
        let reported = self.report.tracks.iter().map(|track| track.kid.clone());
        assert!(reported.into_iter().all(|kid| descriptors.contains_key(&kid)), "{}", self.name);
    }

    /// Representations in the written MPD; a dynamic one lists what is in the folder.
    fn located(&self, mpd: &Mpd) -> Vec<Representation> {
        let store = FileStore::new(self.out.path());
        mpd.representations(self.document(), &store).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    /// The key id in the boxes of a Representation's init segment, if it has one.
    fn key_id(&self, representation: &Representation) -> Option<Kid> {
        let init = match (&representation.initialization, &representation.media) {
            (Some(init), _) => init,
            (None, Media::SingleFile { file, .. }) => file,
            _ => return None,
        };
        let moov = moov(&self.output(&init.name)).ok()?;
        let kids = tracks(&moov)
            .unwrap()
            .into_iter()
            .filter_map(|track| Some(protected_entry(&track.sample_entries[0]).unwrap()?.tenc.default_kid));
        kids.into_iter().next()
    }

    /// Whatever the MPD calls a file: one that has video or audio is protected.
    fn nothing_is_left_clear(&self) {
        for output in self.report.outputs.iter().filter(|output| output.path != self.document()) {
            let (source, written) = (self.source(&output.path), self.output(&output.path));
            let Ok(clear) = moov(&source) else { continue };
            let protected = tracks(&moov(&written).unwrap()).unwrap();
            for (media, track) in media_tracks(&clear).unwrap().iter().zip(protected) {
                let is_protected = protected_entry(&track.sample_entries[0]).unwrap().is_some();
                assert_eq!(is_protected, media.is_protectable(), "{} {}", self.name, output.path);
            }
        }
    }

    /// The rules of `verify`, every sample compared with the source.
    fn verifies(&self) {
        let (store, clear) = (FileStore::new(self.out.path()), FileStore::new(self.input.parent().unwrap()));
        let key_store = |kid| Some(key(kid));
        let names = vec![self.document().to_owned()];
        let against = Reference { store: &clear, names: names.clone() };
        let job = VerifyJob {
            store: &store,
            names,
            key_store: Some(&key_store),
            against: Some(against),
            clear_tracks: &[],
            beside: &[],
        };
        let found = verify(&job).unwrap_or_else(|error| panic!("{}: {error}", self.name)).findings;
        // One key for all is what is asked for here, and labels are not those of the media that stands in for theirs.
        let is_as_asked = |rule: &str| rule == "key-shared" || rule.starts_with("label-");
        let is_as_asked = found.listed().iter().all(|finding| is_as_asked(finding.rule));
        assert!(found.passed() && is_as_asked, "{}: {:?}", self.name, found.listed());
    }

    /// With the schema of MPDs at hand: what was valid stays valid.
    fn is_as_valid_as_its_source(&self) {
        let Some(schema) = std::env::var_os("MPD_SCHEMA") else { return };
        let is_valid = |mpd: &Path| {
            let mut xmllint = Command::new("xmllint");
            xmllint.args(["--noout", "--nonet", "--schema"]).arg(&schema).arg(mpd);
            let output = xmllint.output().unwrap();
            (output.status.success(), String::from_utf8(output.stderr).unwrap())
        };
        if is_valid(&self.input).0 {
            let (is_valid, says) = is_valid(&self.out.path().join(self.document()));
            assert!(is_valid, "{}: {says}", self.name);
        }
    }

    /// Byte ranges begin and end at boxes; that of an index is the index.
    fn ranges_name_boxes(&self) {
        let mpd = Mpd::parse(&self.output(self.document())).unwrap();
        for representation in self.located(&mpd) {
            let (references, index) = match representation.media {
                Media::Segments { references, .. } => (references, None),
                Media::SingleFile { file, index_range } => (vec![file], index_range),
            };
            for reference in references.iter().chain(&representation.initialization) {
                let Some(range) = reference.range.clone().or_else(|| index.clone()) else { continue };
                let bytes = self.output(&reference.name);
                let boxes = parse_file(&bytes).unwrap();
                let starts = starts(&boxes);
                let at = |position| starts.iter().position(|start| *start == position);
                let name = format!("{} {} {range:?}", self.name, reference.name);
                assert!(at(range.start).is_some() && at(range.end).is_some(), "{name}: {starts:?}");
            }
            if let Some(range) = index {
                let boxes = parse_file(&self.output(&references[0].name)).unwrap();
                let at = starts(&boxes).iter().position(|start| *start == range.start).unwrap();
                assert!(boxes[at].is(b"sidx"), "{}: {range:?} is no index", self.name);
                assert_eq!(boxes[at].len() as u64, range.end - range.start, "{}", self.name);
            }
        }
    }
}

/// Where each box begins, and where the last one ends.
fn starts(boxes: &[BoxNode]) -> Vec<u64> {
    let mut starts = vec![0];
    for node in boxes {
        starts.push(starts[starts.len() - 1] + node.len() as u64);
    }
    starts
}

/// Child elements of this name in the namespace of their parent.
fn named<'a>(parent: &'a Element, name: &'a str) -> impl Iterator<Item = &'a Element> {
    parent.elements().filter(move |child| child.local_name() == name && child.prefix() == parent.prefix())
}

/// The characters of an MPD; its encoding is checked with its bytes.
fn text(bytes: &[u8]) -> String {
    match bytes {
        [0xff, 0xfe, rest @ ..] => {
            let units = rest.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
            char::decode_utf16(units).map(Result::unwrap).collect()
        }
        bytes => String::from_utf8(bytes.to_vec()).unwrap(),
    }
}

/// A strict parser refuses such an MPD: it is not handed on as it is.
#[test]
fn an_mpd_that_is_not_well_formed_is_repaired_and_that_is_said() {
    let input = copied("dash");
    let manifest = input.path().join("manifest.mpd");
    let title = "<ProgramInformation moreInformationURL=\"https://a.example/?a=1&b=2\"lang='en'>\
                 <Title>Tom & Jerry</Title>";
    let source = fs::read_to_string(&manifest).unwrap().replace("<ProgramInformation>", title);
    fs::write(&manifest, source).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let report = pack(&job(&manifest, "widevine", "cenc"), &out).unwrap();
    let said: Vec<_> = report.warnings.iter().filter(|warning| warning.contains("not well-formed")).collect();
    assert_eq!(said.len(), 2, "{:?}", report.warnings);
    let written = fs::read_to_string(out.join("manifest.mpd")).unwrap();
    assert!(written.contains("?a=1&amp;b=2\" lang='en'>"), "{written}");
    assert!(written.contains("Tom &amp; Jerry"), "{written}");
}

/// White space between tags left out: descriptors of one key may stand at different depths.
fn squeezed(text: &str) -> String {
    text.split('>').map(str::trim_start).collect::<Vec<_>>().join(">")
}

/// The written MPD without protection and without what it needs declared, unless the source declared it.
fn stripped(source: &[u8], written: &[u8]) -> String {
    assert_eq!(source.starts_with(b"\xff\xfe"), written.starts_with(b"\xff\xfe"), "encoding");
    let (source, mut written) = (text(source), text(written));
    for declaration in DECLARATIONS.iter().filter(|declaration| !source.contains(**declaration)) {
        written = written.replacen(declaration, "", 1);
    }
    let mut from = 0;
    while let Some((start, end)) = element(&written, "ContentProtection", from) {
        // What another namespace or a text calls so is not ours.
        let is_ours = written[start..end].contains(" schemeIdUri=\"urn:");
        if is_ours {
            written.replace_range(start..end, "");
        }
        from = if is_ours { start } else { end };
    }
    written
}

/// Where the first element of this name after `from` begins, with white space before it, and where it ends.
/// It must not hold another of its name.
fn element(text: &str, name: &str, from: usize) -> Option<(usize, usize)> {
    let is_name = |at: usize| {
        let rest = &text[at + 1..];
        let rest =
            rest.split_once(':').filter(|(prefix, _)| prefix.len() < 8).map_or(rest, |(prefix, after)| {
                if prefix.chars().all(char::is_alphanumeric) { after } else { rest }
            });
        rest.strip_prefix(name).is_some_and(|after| after.starts_with([' ', '>', '/', '\n', '\r', '\t']))
    };
    let start = text[from..].match_indices('<').map(|(at, _)| from + at).find(|at| is_name(*at))?;
    let tag_end = start + text[start..].find('>')? + 1;
    let end = if text[..tag_end].ends_with("/>") {
        tag_end
    } else {
        let close = text[tag_end..].find(&format!("{name}>"))?;
        tag_end + close + name.len() + 1
    };
    let before = text[..start].trim_end();
    let space = &text[before.len()..start];
    // Only a line of its own goes with the element.
    Some((if space.contains('\n') { before.len() } else { start }, end))
}

/// The text with `#` for the value of each byte range.
fn without_ranges(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("ange=\"") {
        let (before, after) = rest.split_at(at + 6);
        out.push_str(before);
        out.push('#');
        rest = after.trim_start_matches(|c: char| c.is_ascii_digit() || c == '-');
    }
    out + rest
}

/// An MPD taken apart, so that AdaptationSets that were split by key compare with the one they were.
struct Skeleton {
    /// Everything but Representations; of neighbors that differ in id and switching only, the first.
    around: String,
    /// Every Representation, sorted.
    representations: Vec<String>,
}

impl Skeleton {
    fn of(text: &str) -> Self {
        let (mut text, mut representations) = (text.to_owned(), Vec::new());
        while let Some((start, end)) = element(&text, "Representation", 0) {
            representations.push(text[start..end].trim().to_owned());
            text.replace_range(start..end, "");
        }
        representations.sort();
        let (mut around, mut last, mut rest) = (String::new(), String::new(), text.as_str());
        while let Some((start, end)) = element(rest, "AdaptationSet", 0) {
            let set = Self::set(&rest[start..end]);
            if start > 0 || set != last {
                around.push_str(&rest[..start]);
                around.push_str(&set);
            }
            last = set;
            rest = &rest[end..];
        }
        Self { around: around + rest, representations }
    }

    /// An AdaptationSet without its id and without the property that was added.
    fn set(text: &str) -> String {
        let mut text = text.to_owned();
        let tag = text.find('>').unwrap();
        if let Some(at) = text[..tag].find(" id=\"") {
            let end = at + 5 + text[at + 5..].find('"').unwrap() + 1;
            text.replace_range(at..end, "");
        }
        let mut from = 0;
        while let Some((start, end)) = element(&text, "SupplementalProperty", from) {
            if text[start..end].contains(SWITCHING) {
                text.replace_range(start..end, "");
            } else {
                from = end;
            }
        }
        text
    }
}

#[test]
fn every_published_mpd_packs_and_comes_back() {
    let Some(folder) = shared() else { return };
    let mut inputs = Vec::new();
    for folder in fs::read_dir(folder.join("dash")).unwrap() {
        let files = fs::read_dir(folder.unwrap().path()).unwrap().map(|entry| entry.unwrap().path());
        inputs.extend(files.filter(|path| path.extension().is_some_and(|extension| extension == "mpd")));
    }
    assert!(inputs.len() > 5, "{inputs:?}");
    let runs = inputs.iter().flat_map(|input| SCHEMES.map(|scheme| (input, scheme)));
    let runs: Vec<_> =
        runs.flat_map(|(input, scheme)| PRESETS.map(|preset| (input, scheme, preset))).collect();
    runs.into_par_iter().for_each(|(input, scheme, preset)| Run::new(input, DRM, scheme, preset).holds());
}

#[test]
fn every_construct_keeps_its_text_and_its_media_comes_back() {
    let cases = Case::all("dash");
    let cases: Vec<_> = cases.iter().filter(|case| case.text("expect", "") == "packs").collect();
    assert!(cases.len() > 30, "{} cases", cases.len());
    all_hold(&cases, |case| {
        let stage = case.stage();
        let input = stage.path().join(case.text("input", "manifest.mpd"));
        // What an MPD can say does not depend on the scheme.
        for (scheme, preset) in SCHEMES.into_iter().zip(PRESETS) {
            if case.presets().contains(&preset) {
                Run::new(&input, case.text("drm", DRM), scheme, preset).holds();
            }
        }
    });
}

#[test]
fn what_is_wrong_is_refused_before_anything_is_written() {
    let cases = Case::all("dash");
    let cases: Vec<_> = cases.iter().filter(|case| case.text("expect", "") == "refused").collect();
    assert!(cases.len() > 20, "{} cases", cases.len());
    all_hold(&cases, |case| {
        let stage = case.stage();
        let input = stage.path().join(case.text("input", "manifest.mpd"));
        for preset in case.presets() {
            let out = tempfile::tempdir().unwrap();
            let job = Job { preset, ..job(&input, case.text("drm", DRM), case.text("scheme", "cenc")) };
            // Where boxes begin shows while files are written; no manifest ever names what is left of them.
            let is_late = case.text("late", "") == "true";
            let pack = if is_late { pack } else { pack_without_keys };
            let error = pack(&job, out.path()).map(|_| ()).expect_err("is refused");
            assert_eq!(error.kind().name(), case.text("kind", "input"), "{error}");
            assert!(!case.list("says").is_empty(), "{error}");
            for words in case.list("says") {
                assert!(error.to_string().contains(words), "{words:?} in {error}");
            }
            assert!(!out.path().join("manifest.mpd").exists(), "{error}");
            assert!(is_late || fs::read_dir(out.path()).unwrap().count() == 0, "written before: {error}");
        }
    });
}

/// Another place has what was there before, until what was written is there as well.
#[test]
fn addresses_of_other_places_are_warned_of() {
    for (name, address) in
        [("locations", "https://"), ("base-url-alternatives", "https://"), ("base-url-cdn-first", "https://")]
    {
        let case = Case::all("dash").into_iter().find(|case| case.name() == name).unwrap();
        let (stage, out) = (case.stage(), tempfile::tempdir().unwrap());
        let report = pack(&job(&stage.path().join("manifest.mpd"), DRM, "cenc"), out.path()).unwrap();
        let warned = |warning: &String| warning.contains("goes on to name") && warning.contains(address);
        assert!(report.warnings.iter().any(warned), "{name}: {:?}", report.warnings);
    }
}

/// Tries every case, each of which panics when it does not hold, and names all that do not.
fn all_hold(cases: &[&Case], holds: impl Fn(&Case) + Sync + RefUnwindSafe) {
    let fails = |case: &&&Case| catch_unwind(|| holds(case)).is_err();
    let failed: Vec<_> = cases.par_iter().filter(fails).map(|case| case.name()).collect();
    assert!(failed.is_empty(), "of fixtures/dash: {failed:?}");
}

#[test]
fn the_schema_judges_too_where_it_is_at_hand() {
    if std::env::var_os("MPD_SCHEMA").is_none() {
        println!("skipped: MPD_SCHEMA does not name DASH-MPD.xsd, so no MPD was validated");
    }
}

#[test]
fn documents_made_to_exhaust_are_refused_at_once() {
    let head = "<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" mediaPresentationDuration=\"PT8S\">";
    let set = |inner: &str| format!("{head}<Period><AdaptationSet>{inner}</AdaptationSet></Period></MPD>");
    let deep = [head, &"<Period>".repeat(10_000), &"</Period>".repeat(10_000), "</MPD>"].concat();
    let entries = "<S d=\"1\" r=\"9\"/>".repeat(100_001);
    let entries = format!(
        "<SegmentTemplate media=\"$Time$\"><SegmentTimeline>{entries}</SegmentTimeline></SegmentTemplate>\
         <Representation id=\"v\"/>"
    );
    let bases = set(&"<BaseURL>aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/</BaseURL>".repeat(20_000));
    let missing = "<SegmentTemplate initialization=\"i\" media=\"$Number$\" duration=\"1\" timescale=\"10000\"/>\
                   <Representation id=\"v\"/>";
    for (document, says) in [
        (deep, "nest deeper than 64"),
        (set(&entries), "more than 1000000 segments"),
        (bases, "more than 256 elements"),
        (set(missing), "i: the file is missing"),
        (format!("{head}{}</MPD>", " ".repeat(9 << 20)), "at most 8388608 are read"),
    ] {
        let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let input = folder.path().join("manifest.mpd");
        fs::write(&input, document).unwrap();
        let begin = Instant::now();
        let error = pack(&job(&input, DRM, "cenc"), out.path()).map(|_| ()).unwrap_err();
        assert!(error.to_string().contains(says), "{says:?} in {error}");
        // An unoptimized build on a busy machine; what is quadratic takes hours.
        assert!(begin.elapsed().as_secs() < 60, "{says}: {:?}", begin.elapsed());
    }
}

#[test]
fn damaged_mpds_are_errors_and_never_panic() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    let tokens =
        ["0", "9", "99999999999999999999", "-1", "$", "%", "\"", "<", ">", "/", "", "..", ":", "P", "é"];
    for case in Case::all("dash") {
        let source = fs::read(case.folder.join("manifest.mpd")).unwrap();
        for _ in 0..40 {
            let mut bytes = source.clone();
            for _ in 0..=random(4) {
                let at = random(bytes.len());
                bytes.splice(at..=at, tokens[random(tokens.len())].bytes());
            }
            if random(4) == 0 {
                bytes.truncate(random(bytes.len()));
            }
            let Ok(mut mpd) = Mpd::parse(&bytes) else { continue };
            let Ok(representations) = mpd.representations("manifest.mpd", &SomeFiles) else {
                continue;
            };
            let location = Location { name: "manifest.mpd", store: &SomeFiles };
            let _ = mpd.map_byte_ranges(location, &mut |_, range| Ok(range.start..range.end + 7));
            let number = |place: MpdPath| u8::try_from(place.representation % 2).unwrap();
            let wished = representations.iter().map(|known| (known.place, number(known.place)));
            let can = mpd.can_protect(&wished.collect::<Vec<_>>());
            let protected = representations.iter().map(|representation| Protected {
                place: representation.place,
                kid: Kid::new([number(representation.place); 16]),
                descriptors: Vec::new(),
            });
            let done = mpd.protect(&protected.collect::<Vec<_>>());
            assert_eq!(can.is_ok(), done.is_ok(), "{}: {can:?}, {done:?}", case.name());
            mpd.unprotect();
            let _ = Mpd::parse(&mpd.to_bytes()).map_err(|error| panic!("{}: {error}", case.name()));
        }
    }
}

#[test]
fn every_case_says_what_must_come_of_it() {
    for case in Case::all("dash") {
        let expect = case.text("expect", "");
        assert!(["packs", "refused"].contains(&expect), "{}: {expect:?}", case.name());
        assert!(case.text("why", "").len() > 20, "{}", case.name());
    }
}
