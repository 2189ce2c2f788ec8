//! Every single bit of a `moof`, or of sample tables, flipped: nothing of what is written is clear — ISO/IEC 14496-12 §8.6 to §8.8.

use std::fs;

use drm_pack::base::Result;
use drm_pack::codec::TrackKind;
use drm_pack::isobmff::boxes::{Sbgp, Senc, Sgpd, Tfhd, Trun};
use drm_pack::isobmff::file::moov;
use drm_pack::isobmff::fragment::track_fragments;
use drm_pack::isobmff::samples::{Sample, samples};
use drm_pack::isobmff::track::{tracks, trexes};
use drm_pack::isobmff::{BoxNode, parse_file, write_file};
use drm_pack::package::{
    Boundaries, Cmaf, EditList, Plan, ProtectedRendition, ProtectedTrack, Segments, TrackId, media_tracks,
    rewrite,
};
use drm_pack::protect::protected_entry;

use crate::coverage::plan;
use crate::support::media::root;

fn clip(name: &str) -> Vec<u8> {
    fs::read(root().join("fixtures/clip").join(name)).unwrap()
}

/// What is said of each sample, in the order of the file: its size, and the clear and protected bytes in turn; none of
/// a sample that is protected whole.
pub(crate) type Layout = Vec<(u32, Vec<(u16, u32)>)>;

/// What is protected of the fragments of `bytes`, whose tracks are those of `init`. Every byte of each `mdat` is that
/// of a sample, and every sample is protected.
pub(crate) fn layout(init: &[u8], bytes: &[u8]) -> Layout {
    let moov = moov(&init.to_vec()).unwrap();
    let (tracks, trexes) = (tracks(&moov).unwrap(), trexes(&moov).unwrap());
    let (mut found, mut position, mut unnamed) = (Layout::new(), 0, 0);
    for node in parse_file(bytes).unwrap() {
        if node.is(b"moof") {
            assert_eq!(unnamed, 0, "bytes that no sample names");
            let fragments = track_fragments(&node, position, &trexes).unwrap();
            for (traf, fragment) in node.all(b"traf").zip(&fragments) {
                let track = tracks.iter().find(|track| track.track_id == fragment.track_id).unwrap();
                let entry = fragment.samples.first().map_or(1, |sample| sample.sample_description_index);
                let protected = protected_entry(&track.sample_entries[entry as usize - 1]).unwrap();
                let iv_size = protected.expect("a protected entry").tenc.default_per_sample_iv_size;
                assert!(Sbgp::of(traf, Sgpd::SEIG).unwrap().is_none());
                let senc = Senc::parse(traf.find(&[b"senc"]).unwrap().payload(), iv_size).unwrap();
                assert!(senc.entries.is_empty() || senc.entries.len() == fragment.samples.len());
                for (index, sample) in fragment.samples.iter().enumerate() {
                    let runs = senc.entries.get(index).map_or(&[][..], |entry| &entry.subsamples);
                    let runs = runs.iter().map(|run| (run.bytes_of_clear_data, run.bytes_of_protected_data));
                    found.push((sample.size, runs.collect()));
                    unnamed += u64::from(sample.size);
                }
            }
        }
        if node.is(b"mdat") {
            assert_eq!(node.payload().len() as u64, unnamed, "bytes that no sample names");
            unnamed = 0;
        }
        position += node.len() as u64;
    }
    found
}

/// Samples that a fragment keeps, so that all bits of a `moof` are tried in seconds.
const SAMPLES: usize = 8;

/// Cuts each fragment down to its first samples, and writes its offsets anew.
fn shorten(boxes: &mut [BoxNode]) {
    let bytes = write_file(boxes);
    let trexes = trexes(&moov(&bytes).unwrap_or_else(|_| BoxNode::container(b"moov", Vec::new()))).unwrap();
    let lengths: Vec<u64> = boxes.iter().map(|node| node.len() as u64).collect();
    let mut position = 0;
    for (index, length) in lengths.into_iter().enumerate() {
        if boxes[index].is(b"moof") {
            let fragments = track_fragments(&boxes[index], position, &trexes).unwrap();
            let (mut data, mut starts) = (Vec::new(), Vec::new());
            for (traf, fragment) in boxes[index].all_mut(b"traf").zip(&fragments) {
                starts.push(data.len());
                for sample in fragment.samples.iter().take(SAMPLES) {
                    let start = usize::try_from(sample.position).unwrap();
                    data.extend(&bytes[start..start + sample.size as usize]);
                }
                edit(traf, b"tfhd", |payload| {
                    let mut tfhd = Tfhd::parse(payload).unwrap();
                    tfhd.base_data_offset = None;
                    tfhd.other_flags |= Tfhd::DEFAULT_BASE_IS_MOOF;
                    tfhd.write()
                });
                edit(traf, b"trun", |payload| {
                    let mut trun = Trun::parse(payload).unwrap();
                    trun.samples.truncate(SAMPLES);
                    trun.data_offset = Some(0);
                    trun.write()
                });
            }
            let behind = boxes[index].len() + 8;
            for (traf, start) in boxes[index].all_mut(b"traf").zip(starts) {
                edit(traf, b"trun", |payload| {
                    let mut trun = Trun::parse(payload).unwrap();
                    trun.data_offset = Some(i32::try_from(behind + start).unwrap());
                    trun.write()
                });
            }
            boxes[index + 1] = BoxNode::data(b"mdat", data);
        }
        position += length;
    }
}

fn edit(parent: &mut BoxNode, kind: &[u8; 4], change: impl Fn(&[u8]) -> Vec<u8>) {
    let node = parent.find_mut(&[kind]).unwrap();
    *node = BoxNode::data(kind, change(node.payload()));
}

/// A file and where the bits begin and end that are flipped, in bytes.
struct Flipped {
    name: &'static str,
    bytes: Vec<u8>,
    range: std::ops::Range<usize>,
}

impl Flipped {
    /// The first `count` fragments of a file, without an index, of which the last is damaged.
    fn new(name: &'static str, bytes: &[u8], count: usize) -> Self {
        let mut boxes = parse_file(bytes).unwrap();
        boxes.retain(|node| !node.is(b"sidx") && !node.is(b"mfra"));
        let ends = boxes.iter().enumerate().filter(|(_, node)| node.is(b"mdat"));
        let end = ends.map(|(index, _)| index + 1).nth(count - 1).unwrap();
        boxes.truncate(end);
        shorten(&mut boxes);
        let moof = boxes.iter().rposition(|node| node.is(b"moof")).unwrap();
        let start: usize = boxes[..moof].iter().map(BoxNode::len).sum();
        // The header of mdat is damaged as well.
        let range = start..start + boxes[moof].len() + 8;
        Self { name, bytes: write_file(&boxes), range }
    }

    /// Flips every bit, one at a time; returns how many were refused and how many made no difference.
    fn check(&self, init: &[u8], protect: &dyn Fn(&Vec<u8>) -> Result<Vec<u8>>) -> (usize, usize) {
        let expected = layout(init, &protect(&self.bytes).unwrap());
        assert!(expected.len() >= SAMPLES, "{}", self.name);
        let (mut refused, mut kept, mut bytes) = (0, 0, self.bytes.clone());
        for bit in self.range.start * 8..self.range.end * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            match protect(&bytes) {
                Ok(done) => {
                    let found = layout(init, &done);
                    assert!(found == expected, "{}: bit {} of byte {}", self.name, bit % 8, bit / 8);
                    kept += 1;
                }
                Err(_) => refused += 1,
            }
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        println!(
            "{}: of {} bits {refused} are refused, {kept} make no difference",
            self.name,
            refused + kept
        );
        assert!(refused > kept / 2);
        (refused, kept)
    }
}

fn rendition(init: &[u8], scheme: &str, kinds: &[TrackKind]) -> ProtectedRendition {
    let ids: Vec<_> = kinds.iter().map(|kind| Some(TrackId::new(*kind, 1))).collect();
    ProtectedRendition::new(&moov(&init.to_vec()).unwrap(), &plan(scheme, kinds), &ids).unwrap()
}

#[test]
fn a_flipped_bit_of_a_segment_leaves_nothing_clear() {
    for (name, init, segment, kind) in [
        ("DASH, pictures", "dash/1/init.mp4", "dash/1/1.m4s", TrackKind::Video),
        ("DASH, sound", "dash/2/init.mp4", "dash/2/1.m4s", TrackKind::Audio),
        ("HLS, pictures", "hls/v2/init_1.mp4", "hls/v2/0.m4s", TrackKind::Video),
    ] {
        let init = clip(init);
        let flipped = Flipped::new(name, &clip(segment), 1);
        let scheme = if name.starts_with("HLS") { "cbcs" } else { "cenc" };
        let rendition = rendition(&init, scheme, &[kind]);
        let protected_init = rendition.init(&init).unwrap();
        flipped.check(&protected_init, &|bytes| rendition.segment(bytes, 0));
    }
}

#[test]
fn a_flipped_bit_of_a_file_of_all_segments_leaves_nothing_clear() {
    let both = [TrackKind::Video, TrackKind::Audio];
    for (name, file, kinds) in [
        ("HLS, byte ranges", "hls-byterange/v1/media.mp4", &both[..1]),
        ("DASH, an indexed file", "dash-segment-base/video.mp4", &both[..1]),
        ("video and audio in one moof", "mp4/av_frag.mp4", &both),
    ] {
        let flipped = Flipped::new(name, &clip(file), 2);
        let rendition = rendition(&flipped.bytes, "cenc", kinds);
        let protect = |bytes: &Vec<u8>| {
            let mut out = Vec::new();
            rewrite(bytes, &mut out, &rendition.trexes, &mut rendition.single_file(&[]))?;
            Ok(out)
        };
        let done = protect(&flipped.bytes).unwrap();
        flipped.check(&done, &protect);
    }
}

/// Cuts an MP4 file into segments: of each track with samples the init segment and what is behind it.
fn cut(bytes: &Vec<u8>, plan: &Plan) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let moov = moov(bytes)?;
    let (found, trexes) = (media_tracks(&moov)?, trexes(&moov)?);
    let mut done = Vec::new();
    for media in &found {
        let (id, timescale) = (media.track.track_id, media.track.timescale);
        let edits = EditList::of(&moov, id, timescale)?;
        let all = || Ok::<_, drm_pack::base::Error>(edits.samples(samples(bytes, &moov, id, &trexes)?));
        let boundaries = Boundaries::of(all()?, &edits, (0, timescale), (0.2, &[]))?;
        let protected = ProtectedTrack::planned(media, plan, TrackId::new(media.kind().unwrap(), 1))?;
        let cmaf = Cmaf::new(bytes, &moov, media, Some(&protected))?;
        let (init, mut out) = (cmaf.init(&[])?, Vec::new());
        for segment in Segments::new(all()?, &boundaries, &edits, timescale) {
            cmaf.write_subsegment(&segment?, &mut Vec::new(), &mut out)?;
        }
        done.push((init, out));
    }
    Ok(done)
}

/// Flips every bit of what says where samples lie in a file that is cut into segments. Samples may be missing then, or
/// be at other times; of each that is there as much is protected as before.
fn check_cut(name: &str, bytes: &[u8], range: std::ops::Range<usize>) {
    let plan = plan("cenc", &[TrackKind::Video, TrackKind::Audio]);
    let layouts = |bytes: &Vec<u8>| {
        let tracks = cut(bytes, &plan)?;
        let layouts = tracks.iter().map(|(init, media)| layout(init, media));
        Ok::<_, drm_pack::base::Error>(layouts.collect::<Vec<_>>())
    };
    let mut bytes = bytes.to_vec();
    let expected = layouts(&bytes).unwrap();
    assert!(expected.iter().all(|samples| samples.len() >= SAMPLES), "{name}");
    let (mut refused, mut kept) = (0, 0);
    for bit in range.start * 8..range.end * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        match layouts(&bytes) {
            Ok(found) => {
                for (samples, known) in found.iter().zip(&expected) {
                    // A sample of sound is protected whole, whatever its size.
                    let holds = |sample: &(u32, Vec<_>)| sample.1.is_empty() || known.contains(sample);
                    assert!(samples.iter().all(holds), "{name}: bit {} of byte {}", bit % 8, bit / 8);
                }
                kept += 1;
            }
            Err(_) => refused += 1,
        }
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    println!("{name}: of {} bits {refused} are refused, {kept} leave nothing clear", refused + kept);
    assert!(refused > 0);
}

#[test]
fn a_flipped_bit_of_a_file_that_is_cut_leaves_nothing_clear() {
    let flipped = Flipped::new("fragmented MP4", &clip("mp4/av_frag.mp4"), 2);
    check_cut(flipped.name, &flipped.bytes, flipped.range);
}

/// A progressive file with the first samples of each track of the clip, and where the tables of its tracks lie.
fn progressive() -> (Vec<u8>, Vec<std::ops::Range<usize>>) {
    let source = clip("mp4/av_faststart.mp4");
    let boxes = parse_file(&source).unwrap();
    let [ftyp, mut moov] =
        ["ftyp", "moov"].map(|kind| boxes.iter().find(|node| node.kind.to_string() == kind).unwrap().clone());
    let described = moov.clone();
    let (mut data, mut starts) = (Vec::new(), Vec::new());
    for (trak, track) in moov.all_mut(b"trak").zip(tracks(&described).unwrap()) {
        let all = samples(&source, &described, track.track_id, &[]).unwrap();
        let all: Vec<Sample> = all.take(SAMPLES).map(|sample| sample.unwrap()).collect();
        starts.push(data.len());
        for sample in &all {
            let start = usize::try_from(sample.position).unwrap();
            data.extend(&source[start..start + sample.size as usize]);
        }
        let table = |fields: &[u32], rows: Vec<u32>| {
            let fields = [&[0], fields, &rows[..]].concat();
            fields.into_iter().flat_map(u32::to_be_bytes).collect::<Vec<_>>()
        };
        let count = u32::try_from(all.len()).unwrap();
        let times = all.iter().flat_map(|sample| [1, sample.duration]).collect();
        let offsets =
            all.iter().flat_map(|sample| [1, sample.composition_time_offset.cast_unsigned()]).collect();
        let sync: Vec<u32> = (1..).zip(&all).filter(|(_, sample)| sample.is_sync()).map(|(n, _)| n).collect();
        let stbl = trak.find_mut(&[b"mdia", b"minf", b"stbl"]).unwrap();
        stbl.remove(|node| !node.is(b"stsd"));
        stbl.push(BoxNode::data(b"stts", table(&[count], times)));
        stbl.push(BoxNode::data(b"ctts", table(&[count], offsets)));
        stbl.push(BoxNode::data(b"stss", table(&[u32::try_from(sync.len()).unwrap()], sync)));
        stbl.push(BoxNode::data(b"stsc", table(&[1], vec![1, count / 2, 1])));
        stbl.push(BoxNode::data(b"stsz", table(&[0, count], all.iter().map(|sample| sample.size).collect())));
        stbl.push(BoxNode::data(b"stco", table(&[2], vec![0, 0])));
    }
    let before = ftyp.len() + moov.len() + 8;
    let mut ranges = Vec::new();
    for (trak, start) in moov.all_mut(b"trak").zip(starts) {
        let stbl = trak.find_mut(&[b"mdia", b"minf", b"stbl"]).unwrap();
        let sizes = stbl.find(&[b"stsz"]).unwrap().payload()[12..].chunks(4);
        let sizes = sizes.map(|size| u32::from_be_bytes(size.try_into().unwrap()) as usize);
        let second = sizes.take(SAMPLES / 2).sum::<usize>();
        edit(stbl, b"stco", |payload| {
            let offsets = [before + start, before + start + second];
            let offsets = offsets.map(|offset| u32::try_from(offset).unwrap().to_be_bytes()).concat();
            [&payload[..8], &offsets].concat()
        });
        let tables: Vec<u8> = stbl.boxes()[1..].iter().flat_map(BoxNode::to_bytes).collect();
        ranges.push(tables);
    }
    let bytes = write_file(&[ftyp, moov, BoxNode::data(b"mdat", data)]);
    let place = |tables: Vec<u8>| {
        let start = bytes.windows(tables.len()).position(|window| window == tables).unwrap();
        start..start + tables.len()
    };
    let ranges = ranges.into_iter().map(place).collect();
    (bytes, ranges)
}

#[test]
fn a_flipped_bit_of_a_sample_table_leaves_nothing_clear() {
    let (bytes, tables) = progressive();
    for (name, range) in ["tables of pictures", "tables of sound"].into_iter().zip(tables) {
        check_cut(name, &bytes, range);
    }
}
