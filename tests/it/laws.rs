//! The laws of protection over whole jobs: inverse, coverage, footprint, agreement, calm.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use drm_pack::base::Kid;
use drm_pack::isobmff::boxes::{Saio, Saiz, Senc, SencEntry, Tenc};
use drm_pack::isobmff::fragment::track_fragments;
use drm_pack::isobmff::samples::Sample;
use drm_pack::isobmff::track::{Track, tracks, trexes};
use drm_pack::isobmff::{BoxNode, parse_file};
use drm_pack::package::{Changed, FragmentEdit, Preset, rewrite};
use drm_pack::protect::protected_entry;

use crate::support::files::{random, tree};
use crate::support::media::media_files;
use crate::support::pack::{codec_files, files, job, pack, packages, unpack};

const SCHEMES: [&str; 4] = ["cenc", "cbcs", "cens", "cbc1"];
const PRESETS: [Preset; 2] = [Preset::Preset0, Preset::Preset1];

/// Every case: input, DRM systems, scheme, preset.
fn cases() -> Vec<(PathBuf, &'static str, &'static str, Preset)> {
    let inputs = files().into_iter().chain(codec_files()).map(|file| (file, "widevine+playready"));
    let inputs = packages().into_iter().chain(inputs);
    inputs
        .flat_map(|(input, drm)| SCHEMES.map(|scheme| (input.clone(), drm, scheme)))
        .filter_map(|(input, drm, scheme)| {
            // Playlists have no word for these two, and one DRM system alone knows them.
            let is_rare = scheme == "cens" || scheme == "cbc1";
            let is_hls = input.extension().unwrap() == "m3u8";
            // Its binding allows counter mode only.
            let is_counter_only = input.ends_with("vp9.mp4") && (scheme == "cbcs" || scheme == "cbc1");
            if is_counter_only {
                return None;
            }
            (!is_rare || !is_hls).then_some((input, if is_rare { "widevine" } else { drm }, scheme))
        })
        .flat_map(|(input, drm, scheme)| PRESETS.map(|preset| (input.clone(), drm, scheme, preset)))
        .collect()
}

fn packed(input: &Path, drm: &str, scheme: &str, preset: Preset) -> tempfile::TempDir {
    let out = tempfile::tempdir().unwrap();
    let mut job = job(input, drm, scheme);
    job.preset = preset;
    pack(&job, out.path())
        .map_err(|error| format!("{} {scheme} {preset:?}: {error}", input.display()))
        .unwrap();
    out
}

fn media_data(bytes: &[u8]) -> Vec<u8> {
    let boxes = parse_file(bytes).unwrap();
    boxes.iter().filter(|node| node.is(b"mdat")).flat_map(|node| node.payload().to_vec()).collect()
}

fn is_media(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "mp4" || extension == "m4s")
}

#[test]
fn decrypting_undoes_packing() {
    for (input, drm, scheme, preset) in cases() {
        let out = packed(&input, drm, scheme, preset);
        let manifest = match input.extension().unwrap().to_str().unwrap() {
            "mp4" => "manifest.mpd".into(),
            _ => input.file_name().unwrap().to_str().unwrap().to_owned(),
        };
        let back = tempfile::tempdir().unwrap();
        unpack(&out.path().join(&manifest), back.path()).unwrap();
        let (protected, decrypted) = (tree(out.path()), tree(back.path()));
        let mut compared = 0;
        for (name, bytes) in decrypted.iter().filter(|(name, _)| is_media(name)) {
            let clear = media_data(bytes);
            if input.extension().unwrap() != "mp4" {
                let source = fs::read(input.parent().unwrap().join(name)).unwrap();
                assert!(media_data(&source) == clear, "{} {name} {scheme}: another payload", input.display());
                let boxes =
                    |bytes| parse_file(bytes).unwrap().iter().map(|node| node.kind).collect::<Vec<_>>();
                assert_eq!(boxes(&source), boxes(bytes), "{name}");
            }
            if !clear.is_empty() {
                assert!(media_data(&protected[name]) != clear, "{name} was not encrypted");
                compared += 1;
            }
        }
        assert!(compared > 0, "{}", input.display());
    }
}

/// One protected fragment: the track, its samples and what is said about them, and its media data.
struct Fragment {
    tenc: Tenc,
    samples: Vec<Sample>,
    entries: Vec<SencEntry>,
    data: Vec<u8>,
    data_position: u64,
}

/// Collects the fragments of a file and changes nothing.
struct Collect<'a> {
    tracks: Vec<Track>,
    out: &'a mut Vec<Fragment>,
}

impl FragmentEdit for Collect<'_> {
    fn moov(&mut self, moov: &mut BoxNode) -> drm_pack::base::Result<()> {
        self.tracks = tracks(moov)?;
        Ok(())
    }

    fn fragment(
        &mut self,
        moof: &mut BoxNode,
        fragments: &[drm_pack::isobmff::fragment::TrackFragment],
        data: &mut [u8],
        data_position: u64,
    ) -> drm_pack::base::Result<Changed> {
        let bytes = moof.to_bytes();
        for (traf, fragment) in moof.all(b"traf").zip(fragments) {
            let track = self.tracks.iter().find(|track| track.track_id == fragment.track_id).unwrap();
            let Some(protected) = protected_entry(&track.sample_entries[0])? else { continue };
            let senc = Senc::parse(
                traf.find(&[b"senc"]).unwrap().payload(),
                protected.tenc.default_per_sample_iv_size,
            )?;
            if let Some(saio) = traf.find(&[b"saio"]) {
                check_auxiliary(&bytes, traf, &Saio::parse(saio.payload())?, fragment.samples.len());
            }
            self.out.push(Fragment {
                tenc: protected.tenc,
                samples: fragment.samples.clone(),
                entries: senc.entries,
                data: data.to_vec(),
                data_position,
            });
        }
        Ok(Changed::No)
    }
}

/// `saio` has one offset, which leads to the entries of `senc`; `saiz` has their sizes.
fn check_auxiliary(moof: &[u8], traf: &BoxNode, saio: &Saio, samples: usize) {
    let sizes = Saiz::parse(traf.find(&[b"saiz"]).unwrap().payload()).unwrap().sizes;
    let senc = traf.find(&[b"senc"]).unwrap().payload();
    let start = usize::try_from(saio.offsets[0]).unwrap();
    let length: usize = sizes.iter().map(|size| usize::from(*size)).sum();
    assert_eq!((saio.offsets.len(), sizes.len()), (1, samples));
    assert_eq!(&moof[start..start + length], &senc[8..], "saio and senc");
}

/// The protected fragments of a written presentation, by media file.
fn fragments(out: &Path) -> Vec<(String, Vec<Fragment>)> {
    let files = tree(out);
    let inits: Vec<(&String, Vec<BoxNode>)> = files
        .iter()
        .filter(|(name, _)| is_media(name))
        .map(|(name, bytes)| (name, parse_file(bytes).unwrap()))
        .filter(|(_, boxes)| boxes.iter().any(|node| node.is(b"moov")))
        .collect();
    let folder = |name: &str| name.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
    let mut found = Vec::new();
    for (name, bytes) in files.iter().filter(|(name, _)| is_media(name)) {
        let boxes = parse_file(bytes).unwrap();
        let own = boxes.iter().find(|node| node.is(b"moov"));
        let beside = inits.iter().find(|(init, _)| folder(init) == folder(name)).map(|(_, boxes)| boxes);
        let moov = own.or_else(|| beside?.iter().find(|node| node.is(b"moov"))).unwrap();
        let mut out = Vec::new();
        let mut collect = Collect { tracks: tracks(moov).unwrap(), out: &mut out };
        rewrite(bytes, &mut Vec::new(), &trexes(moov).unwrap(), &mut collect).unwrap();
        found.push((name.clone(), out));
    }
    found
}

#[test]
fn subsamples_cover_samples_and_only_protected_bytes_differ() {
    for (input, drm, scheme, preset) in cases() {
        let out = packed(&input, drm, scheme, preset);
        let back = tempfile::tempdir().unwrap();
        let is_mp4 = input.extension().unwrap() == "mp4";
        let name = if is_mp4 { "manifest.mpd" } else { input.file_name().unwrap().to_str().unwrap() };
        unpack(&out.path().join(name), back.path()).unwrap();
        let clear = tree(back.path());
        for (name, fragments) in fragments(out.path()) {
            let clear = media_data(&clear[&name]);
            let protected: Vec<u8> = fragments.iter().flat_map(|fragment| fragment.data.clone()).collect();
            if fragments.is_empty() {
                continue;
            }
            assert_eq!(clear.len(), protected.len(), "{name}: sizes stay");
            let mut may_differ = vec![false; protected.len()];
            let mut base = 0;
            for fragment in &fragments {
                mark(fragment, scheme, base, &mut may_differ);
                base += fragment.data.len();
            }
            for (index, (a, b)) in clear.iter().zip(&protected).enumerate() {
                assert!(
                    a == b || may_differ[index],
                    "{name}: byte {index} of the payload differs and is clear"
                );
            }
        }
    }
}

/// Marks the protected bytes of a fragment's samples, and checks what is said about each sample.
fn mark(fragment: &Fragment, scheme: &str, base: usize, may_differ: &mut [bool]) {
    assert!(fragment.entries.is_empty() || fragment.entries.len() == fragment.samples.len());
    for (index, sample) in fragment.samples.iter().enumerate() {
        let start = base + usize::try_from(sample.position - fragment.data_position).unwrap();
        let subsamples = fragment.entries.get(index).map_or(&[][..], |entry| &entry.subsamples);
        if subsamples.is_empty() {
            may_differ[start..start + sample.size as usize].fill(true);
            continue;
        }
        let mut position = start;
        for subsample in subsamples {
            let protected = subsample.bytes_of_protected_data as usize;
            position += usize::from(subsample.bytes_of_clear_data);
            may_differ[position..position + protected].fill(true);
            position += protected;
            assert!(scheme == "cbcs" || protected.is_multiple_of(16), "whole blocks");
        }
        assert_eq!(position - start, sample.size as usize, "subsamples add up to the sample");
    }
}

#[test]
fn under_one_key_no_iv_is_used_twice_also_with_a_fixed_vector() {
    for (input, drm, scheme, _) in cases().into_iter().filter(|(_, _, scheme, _)| *scheme != "cbcs") {
        let out = tempfile::tempdir().unwrap();
        let mut job = job(&input, drm, scheme);
        job.vector = Some("00112233445566778899aabbccddeeff".into());
        pack(&job, out.path()).unwrap();
        let mut seen: HashSet<(Kid, Vec<u8>)> = HashSet::new();
        let mut samples = 0;
        for (name, fragments) in fragments(out.path()) {
            for fragment in fragments {
                let iv_size = usize::from(fragment.tenc.default_per_sample_iv_size);
                assert_eq!(iv_size, if scheme == "cbc1" { 16 } else { 8 });
                for entry in fragment.entries {
                    assert_eq!(entry.initialization_vector.len(), iv_size);
                    assert!(
                        seen.insert((fragment.tenc.default_kid, entry.initialization_vector)),
                        "{name}: an IV is used twice"
                    );
                    samples += 1;
                }
            }
        }
        // A second of a codec has eleven samples at least, of FLAC.
        let least = if input.parent().unwrap().ends_with("codecs") { 11 } else { 200 };
        assert!(samples >= least, "{}", input.display());
        assert_eq!(seen.iter().map(|(kid, _)| kid).collect::<HashSet<_>>().len(), 1, "preset0 has one key");
    }
}

#[test]
fn manifests_boxes_and_report_agree_on_key_ids() {
    for (input, drm, scheme, preset) in cases() {
        let out = tempfile::tempdir().unwrap();
        let mut job = job(&input, drm, scheme);
        job.preset = preset;
        let report = pack(&job, out.path()).unwrap();
        let reported: HashSet<String> = report.tracks.iter().map(|track| track.kid.clone()).collect();
        let in_boxes: HashSet<String> = fragments(out.path())
            .iter()
            .flat_map(|(_, fragments)| fragments.iter().map(|fragment| fragment.tenc.default_kid.to_string()))
            .collect();
        assert_eq!(reported, in_boxes, "{}", input.display());
        let manifests: String =
            report.manifests.iter().map(|name| fs::read_to_string(out.path().join(name)).unwrap()).collect();
        for kid in &reported {
            let in_mpd = format!("cenc:default_KID=\"{kid}\"");
            let in_playlist = format!("KEYID=0x{}", kid.replace('-', ""));
            let stated =
                manifests.contains(&in_mpd) || manifests.to_lowercase().contains(&in_playlist.to_lowercase());
            assert!(stated, "{}: {kid} is in no manifest", input.display());
        }
        assert!(report.tracks.iter().all(|track| track.scheme == scheme && track.samples > 0));
    }
}

#[test]
fn damaged_files_are_errors_and_never_panic() {
    let small = |(_, bytes): &(PathBuf, Vec<u8>)| bytes.len() < 30_000;
    let mut random = random();
    for (_, bytes) in media_files(&["mp4", "m4s"]).into_iter().filter(small) {
        for _ in 0..150 {
            let mut damaged = bytes.clone();
            for _ in 0..1 + random() % 4 {
                let at = random() % damaged.len();
                damaged[at] = u8::try_from(random() % 256).unwrap();
            }
            if random().is_multiple_of(4) {
                damaged.truncate(random() % damaged.len());
            }
            if let Ok(boxes) = parse_file(&damaged) {
                for moof in boxes.iter().filter(|node| node.is(b"moof")) {
                    let _ = track_fragments(moof, 0, &[]);
                }
                if let Some(moov) = boxes.iter().find(|node| node.is(b"moov")) {
                    let _ = drm_pack::package::media_tracks(moov);
                    for track in tracks(moov).unwrap_or_default() {
                        let trexes = trexes(moov).unwrap_or_default();
                        let samples =
                            drm_pack::isobmff::samples::samples(&damaged, moov, track.track_id, &trexes);
                        if let Ok(samples) = samples {
                            samples.take(10_000).for_each(drop);
                        }
                    }
                }
            }
            let mut collect = Vec::new();
            let mut edit = Ignore(&mut collect);
            let _ = rewrite(&damaged, &mut Vec::new(), &[], &mut edit);
        }
    }
}

/// An edit that says that everything changed, so that all offsets are made again.
struct Ignore<'a>(&'a mut Vec<usize>);

impl FragmentEdit for Ignore<'_> {
    fn moov(&mut self, _: &mut BoxNode) -> drm_pack::base::Result<()> {
        Ok(())
    }

    fn fragment(
        &mut self,
        _: &mut BoxNode,
        _: &[drm_pack::isobmff::fragment::TrackFragment],
        data: &mut [u8],
        _: u64,
    ) -> drm_pack::base::Result<Changed> {
        self.0.push(data.len());
        Ok(Changed::Yes)
    }
}
