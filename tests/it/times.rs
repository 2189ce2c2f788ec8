//! Times are kept: whatever gaps, overlaps, late starts and edit lists an MP4 file has, its samples are decoded and
//! presented when they were, and manifests end where the media ends.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use drm_pack::isobmff::boxes::{Edit, Elst, Mvhd, Tfdt, Tfhd, Trun, TrunSample};
use drm_pack::isobmff::file::moov;
use drm_pack::isobmff::samples::{Sample, samples};
use drm_pack::isobmff::track::{tracks, trexes};
use drm_pack::isobmff::{BoxNode, parse_file, write_file};
use drm_pack::job::{Job, Layout};
use drm_pack::xml::{Document, Element};
use proptest::prelude::*;

use crate::support::media::root;
use crate::support::pack::{SEED, job, pack, pack_without_keys};

/// What becomes of the times of one track.
#[derive(Clone, Debug)]
struct Track {
    /// Samples in each fragment.
    fragments: usize,
    /// Ticks between the end of each fragment and the next one; below 0 they overlap.
    gaps: Vec<i64>,
    /// The decode time of the first sample.
    start: u64,
    /// An empty edit before the media, in milliseconds, and the composition time that it begins with, in ticks.
    edits: Option<(u32, u32)>,
    /// Whether fragments say their time as Smooth Streaming does.
    is_smooth: bool,
}

fn track() -> impl Strategy<Value = Track> {
    let gap = prop_oneof![3 => Just(0), 1 => -300..0_i64, 1 => 1..300_i64, 1 => 5_000..100_000_i64];
    let start = prop_oneof![2 => Just(0), 1 => 1..200_000_u64, 1 => Just(1_760_000_000 * 48_000)];
    let edits = prop_oneof![
        1 => Just(None),
        1 => (prop_oneof![Just(0), 0..3000_u32], prop_oneof![Just(0), Just(1024), 0..60_000_u32]).prop_map(Some)
    ];
    (10..60_usize, prop::collection::vec(gap, 20), start, edits, prop::bool::weighted(0.3)).prop_map(
        |(fragments, gaps, start, edits, is_smooth)| Track { fragments, gaps, start, edits, is_smooth },
    )
}

/// A sample as a test made it, in ticks of its track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Time {
    decode: u64,
    offset: i32,
    duration: u32,
    size: u32,
}

fn time(sample: &Sample) -> Time {
    Time {
        decode: sample.decode_time,
        offset: sample.composition_time_offset,
        duration: sample.duration,
        size: sample.size,
    }
}

/// The clip of video and audio, fragmented anew; and the times of both tracks by their ids.
struct Retimed {
    bytes: Vec<u8>,
    times: BTreeMap<u32, Vec<Time>>,
    timescales: BTreeMap<u32, u32>,
    /// How long the empty edits are, in ticks of the movie.
    late: BTreeMap<u32, u64>,
}

fn clip() -> Vec<u8> {
    fs::read(root().join("fixtures/clip/mp4/av_frag.mp4")).unwrap()
}

fn retimed(wishes: &[Track]) -> Retimed {
    let source = clip();
    let moov = moov(&source).unwrap();
    let (trexes, found) = (trexes(&moov).unwrap(), tracks(&moov).unwrap());
    let mut output = moov.clone();
    let (mut timescales, mut lates) = (BTreeMap::new(), BTreeMap::new());
    let movie = Mvhd::parse(moov.find(&[b"mvhd"]).unwrap().payload()).unwrap().timescale;
    for ((trak, track), wish) in output.all_mut(b"trak").zip(&found).zip(wishes) {
        timescales.insert(track.track_id, track.timescale);
        trak.remove(|node| node.is(b"edts"));
        if let Some((late, media_time)) = wish.edits {
            let late = u64::from(late) * u64::from(movie) / 1000;
            trak.push(edit_list(late, media_time));
            lates.insert(track.track_id, late);
        }
    }
    let mut parts = vec![BoxNode::data(b"ftyp", b"iso6\0\0\0\0iso6".to_vec()), output];
    let mut times = BTreeMap::<u32, Vec<Time>>::new();
    let mut queues: Vec<(u32, &Track, Vec<Vec<Sample>>)> = Vec::new();
    for (track, wish) in found.iter().zip(wishes) {
        let all: Vec<_> =
            samples(&source, &moov, track.track_id, &trexes).unwrap().map(Result::unwrap).collect();
        let chunks = all.chunks(wish.fragments).map(<[Sample]>::to_vec).rev().collect();
        queues.push((track.track_id, wish, chunks));
    }
    let mut ends: BTreeMap<u32, u64> = BTreeMap::new();
    for number in 0.. {
        let before = parts.len();
        for (track_id, wish, chunks) in &mut queues {
            let Some(chunk) = chunks.pop() else { continue };
            let gap = if number == 0 { 0 } else { wish.gaps[number % wish.gaps.len()] };
            let end = ends.get(track_id).copied().unwrap_or(wish.start);
            let start = end.checked_add_signed(gap).unwrap();
            let mut decode = start;
            for sample in &chunk {
                times.entry(*track_id).or_default().push(Time { decode, ..time(sample) });
                decode += u64::from(sample.duration);
            }
            ends.insert(*track_id, decode);
            parts.extend(fragment(*track_id, (start, wish.is_smooth), &chunk, &source));
        }
        if parts.len() == before {
            break;
        }
    }
    Retimed { bytes: write_file(&parts), times, timescales, late: lates }
}

fn edit_list(late: u64, media_time: u32) -> BoxNode {
    let entry = |duration: u64, media_time: i32| {
        let duration = u32::try_from(duration).unwrap().to_be_bytes();
        [duration, media_time.to_be_bytes(), [0, 1, 0, 0]].concat()
    };
    let mut entries = vec![entry(0, media_time.try_into().unwrap())];
    if late > 0 {
        entries.insert(0, entry(late, -1));
    }
    let count = u32::try_from(entries.len()).unwrap().to_be_bytes();
    let payload = [vec![0; 4], count.to_vec(), entries.concat()].concat();
    BoxNode::container(b"edts", vec![BoxNode::data(b"elst", payload)])
}

/// The time of a fragment: ISO/IEC 14496-12 §8.8.12, or MS-SSTR §2.2.4.4.
fn time_box((start, is_smooth): (u64, bool)) -> BoxNode {
    if !is_smooth {
        return BoxNode::data(b"tfdt", Tfdt { base_media_decode_time: start }.write());
    }
    let usertype = 0x6d1d_9b05_42d5_44e6_80e2_141d_aff7_57b2_u128.to_be_bytes();
    BoxNode::data(b"uuid", [&usertype[..], &[1, 0, 0, 0], &start.to_be_bytes(), &[0; 8]].concat())
}

fn fragment(track_id: u32, start: (u64, bool), chunk: &[Sample], source: &[u8]) -> [BoxNode; 2] {
    let trun = |data_offset| Trun {
        data_offset: Some(data_offset),
        first_sample_flags: None,
        samples: chunk
            .iter()
            .map(|sample| TrunSample {
                duration: Some(sample.duration),
                size: Some(sample.size),
                flags: Some(sample.flags),
                composition_time_offset: Some(sample.composition_time_offset),
            })
            .collect(),
    };
    let tfhd = Tfhd { track_id, other_flags: Tfhd::DEFAULT_BASE_IS_MOOF, ..Tfhd::default() };
    let moof = |data_offset| {
        let boxes = vec![
            BoxNode::data(b"tfhd", tfhd.write()),
            time_box(start),
            BoxNode::data(b"trun", trun(data_offset).write()),
        ];
        let mfhd = BoxNode::data(b"mfhd", vec![0; 8]);
        BoxNode::container(b"moof", vec![mfhd, BoxNode::container(b"traf", boxes)])
    };
    let data = chunk.iter().flat_map(|sample| {
        let at = usize::try_from(sample.position).unwrap();
        source[at..at + sample.size as usize].to_vec()
    });
    [moof(i32::try_from(moof(0).len()).unwrap() + 8), BoxNode::data(b"mdat", data.collect())]
}

/// The samples of an output track, and its edits.
fn written(out: &Path, id: &str, layout: Layout) -> (Vec<Time>, Vec<(u64, i64)>) {
    let bytes = match layout {
        Layout::SingleFile => fs::read(out.join(format!("{id}.mp4"))).unwrap(),
        Layout::Segments => {
            let names = std::iter::once("init.mp4".into()).chain((1..).map(|n| format!("{n}.m4s")));
            names.map_while(|name| fs::read(out.join(id).join(name)).ok()).collect::<Vec<_>>().concat()
        }
    };
    let moov = moov(&bytes).unwrap();
    let trexes = trexes(&moov).unwrap();
    let edits = moov.find(&[b"trak", b"edts", b"elst"]);
    let edits = edits.map_or_else(Vec::new, |elst| Elst::parse(elst.payload()).unwrap().entries);
    let edits = edits.iter().map(|edit| (edit.duration, edit.media_time)).collect();
    (samples(&bytes, &moov, 1, &trexes).unwrap().map(|sample| time(&sample.unwrap())).collect(), edits)
}

/// The edits that are written of a movie with fragments, whose decode times stay what they are: an empty one where the track
/// begins so late, in ticks of the movie, and an offset.
fn entries(late: u64, media_time: u32) -> Vec<(u64, i64)> {
    let empty = (late > 0).then_some((late, -1));
    let media = (late > 0 || media_time > 0).then_some((0, media_time.into()));
    empty.into_iter().chain(media).collect()
}

/// When a track begins and ends in the presentation, in seconds; what is before time 0 is not presented.
fn bounds(times: &[Time], timescale: u32, wish: &Track) -> (f64, f64) {
    let (late, media_time) = wish.edits.unwrap_or_default();
    let seconds = |ticks: i128| {
        let ticks = ticks - i128::from(media_time);
        (ticks as f64 / f64::from(timescale) + f64::from(late) / 1000.0).max(0.0)
    };
    let begin = |time: &Time| i128::from(time.decode) + i128::from(time.offset);
    let starts = times.iter().map(begin).min().unwrap();
    let ends = times.iter().map(|time| begin(time) + i128::from(time.duration)).max().unwrap();
    (seconds(starts).max(f64::from(late) / 1000.0), seconds(ends))
}

fn duration_of(mpd: &Element) -> f64 {
    let text = mpd.attribute("mediaPresentationDuration").unwrap().unwrap();
    let text = text.trim_start_matches("PT").trim_end_matches('S');
    let (hours, rest) = text.split_once('H').unwrap_or(("0", text));
    let (minutes, seconds) = rest.split_once('M').unwrap_or(("0", rest));
    let number = |text: &str| if text.is_empty() { 0.0 } else { text.parse::<f64>().unwrap() };
    number(hours) * 3600.0 + number(minutes) * 60.0 + number(seconds)
}

/// When the last segment of a track ends by its index or its timeline, in seconds of the presentation, which begins at
/// `begins`.
fn indexed_end(out: &Path, id: &str, layout: Layout, mpd: &Element, begins: f64) -> f64 {
    if layout == Layout::SingleFile {
        let boxes = parse_file(&fs::read(out.join(format!("{id}.mp4"))).unwrap()).unwrap();
        let sidx = boxes.iter().find(|node| node.is(b"sidx")).unwrap().payload();
        let field = |at: usize| f64::from(u32::from_be_bytes(sidx[at..at + 4].try_into().unwrap()));
        let earliest = u64::from_be_bytes(sidx[12..20].try_into().unwrap()) as f64;
        let durations = (32..sidx.len()).step_by(12).map(|at| field(at + 4));
        return (earliest + durations.sum::<f64>()) / field(8) - begins;
    }
    let sets = mpd.named("Period").flat_map(|period| period.named("AdaptationSet"));
    let number = |element: &Element, name: &str| {
        element.attribute(name).unwrap().map(|text| text.parse::<i128>().unwrap())
    };
    for set in sets {
        let is_it = |one: &&Element| one.attribute("id").unwrap().as_deref() == Some(id);
        let Some(representation) = set.named("Representation").find(is_it) else { continue };
        let template =
            representation.child("SegmentTemplate").or_else(|| set.child("SegmentTemplate")).unwrap();
        let mut time = 0;
        for line in template.child("SegmentTimeline").unwrap().named("S") {
            time = number(line, "t").unwrap_or(time);
            time += number(line, "d").unwrap() * (1 + number(line, "r").unwrap_or(0));
        }
        let offset = number(template, "presentationTimeOffset").unwrap_or(0);
        return (time - offset) as f64 / number(template, "timescale").unwrap_or(1) as f64;
    }
    panic!("no Representation {id}");
}

fn check(wishes: &[Track], layout: Layout, scheme: &str) {
    let folder = tempfile::tempdir().unwrap();
    let (input, out) = (folder.path().join("in.mp4"), folder.path().join("out"));
    let made = retimed(wishes);
    fs::write(&input, &made.bytes).unwrap();
    let job = Job { layout: Some(layout), segment_duration: 1.0, ..job(&input, "widevine", scheme) };
    pack(&job, &out).unwrap();
    let ids = ["v1", "a1"];
    let mut begins = f64::INFINITY;
    let mut ends: f64 = 0.0;
    for (((track_id, times), id), wish) in made.times.iter().zip(ids).zip(wishes) {
        let (_, media_time) = wish.edits.unwrap_or_default();
        let late = made.late.get(track_id).copied().unwrap_or(0);
        assert_eq!(written(&out, id, layout), (times.clone(), entries(late, media_time)), "{id}");
        let (begin, end) = bounds(times, made.timescales[track_id], wish);
        begins = begins.min(begin);
        ends = ends.max(end);
    }
    let mpd = Document::parse(&fs::read(out.join("manifest.mpd")).unwrap()).unwrap();
    let said = duration_of(mpd.root());
    // Edits are in ticks of the movie, times of the MPD are written to the nanosecond.
    assert!((said - (ends - begins)).abs() < 0.002, "{said} s, {begins} to {ends} expected");
    for (((track_id, times), id), wish) in made.times.iter().zip(ids).zip(wishes) {
        let playlist = fs::read_to_string(out.join(format!("{id}.m3u8"))).unwrap();
        let listed = playlist.lines().filter_map(|line| line.strip_prefix("#EXTINF:"));
        let durations: Vec<f64> = listed.map(|line| line.trim_end_matches(',').parse().unwrap()).collect();
        assert!(durations.iter().all(|duration| *duration > 0.0), "{id} {durations:?}");
        let listed: f64 = durations.iter().sum();
        let end = bounds(times, made.timescales[track_id], wish).1 - begins;
        assert!((listed - end).abs() < 0.002, "{id}: {listed} s listed, {end} expected");
        let indexed = indexed_end(&out, id, layout, mpd.root(), begins);
        assert!((indexed - end).abs() < 0.002, "{id}: the index ends at {indexed} s, {end} expected");
    }
}

/// The edits of a track of tables, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Trim {
    /// An empty edit before the media.
    late: u32,
    /// The composition time that the other one begins with.
    begin: u32,
    /// How long it lasts.
    lasts: u32,
}

fn trim() -> impl Strategy<Value = Trim> {
    let late = prop_oneof![1 => Just(0), 1 => 0..3000_u32];
    let begin = prop_oneof![1 => Just(0), 3 => 0..4000_u32];
    (late, begin, 700..5000_u32).prop_map(|(late, begin, lasts)| Trim { late, begin, lasts })
}

/// What becomes of the samples of a track with these edits, and when the first begins and the last ends, in seconds: what
/// is over before the edit is where it was, what is presented so much later as it is empty, what is behind it is left out.
fn trimmed(all: &[Time], (late, media_time, end): (u64, u64, u64), tick: u64) -> (Vec<Time>, u64, u64) {
    let begin =
        |time: &Time| (time.decode + u64::from(time.offset.unsigned_abs()) + late, time.duration.into());
    let first =
        all.iter().position(|time| begin(time).0 + u64::from(time.duration) > media_time + late).unwrap();
    let edit_end = end + media_time;
    // Of the last one, more than what may be rounding.
    let is_shown = |time: &&Time| {
        let (begin, lasts): (u64, u64) = begin(time);
        let part = edit_end.saturating_sub(begin).min(lasts);
        part > tick + 1 || part > 0 && part * 2 >= lasts
    };
    let ends = |times: &[Time]| {
        times.iter().map(begin).map(|(begin, lasts)| begin + lasts).max().unwrap() - media_time
    };
    let last = all.iter().rposition(|time| is_shown(&time)).unwrap();
    let kept = if ends(all) > end + tick + 1 { &all[..=last] } else { all };
    let moved = |(index, time): (usize, &Time)| Time {
        decode: time.decode + if index < first { 0 } else { late },
        ..*time
    };
    let presented = all[first..].iter().map(begin).filter(|(begin, lasts)| begin + lasts > media_time);
    let begins = presented.map(|(begin, _)| begin).min().unwrap().saturating_sub(media_time);
    (kept.iter().enumerate().map(moved).collect(), begins, ends(kept))
}

/// Packs the clip with these edits.
fn check_trimmed(trims: [Trim; 2], layout: Layout) {
    let folder = tempfile::tempdir().unwrap();
    let (input, out) = (folder.path().join("in.mp4"), folder.path().join("out"));
    let source = fs::read(root().join("fixtures/clip/mp4/av.mp4")).unwrap();
    let mut boxes = parse_file(&source).unwrap();
    let moov = boxes.iter_mut().find(|node| node.is(b"moov")).unwrap();
    let found = tracks(moov).unwrap();
    let movie = u64::from(Mvhd::parse(moov.find(&[b"mvhd"]).unwrap().payload()).unwrap().timescale);
    let mut expected = Vec::new();
    for (track, Trim { late, begin, lasts }) in found.iter().zip(trims) {
        let all = samples(&source, moov, track.track_id, &[]).unwrap();
        let times: Vec<_> = all.map(|sample| time(&sample.unwrap())).collect();
        let ticks = u64::from(track.timescale);
        let in_movie = |milliseconds: u32| u64::from(milliseconds) * movie / 1000;
        let scaled = |duration: u64| (duration * ticks + movie / 2) / movie;
        let media_time = u64::from(begin) * ticks / 1000;
        let end = scaled(in_movie(late)) + scaled(in_movie(lasts));
        let (times, starts, ends) = trimmed(&times, (scaled(in_movie(late)), media_time, end), scaled(1));
        let seconds = |time: u64| time as f64 / ticks as f64;
        let media_time = u32::try_from(media_time).unwrap();
        expected.push(((times, entries(0, media_time)), seconds(starts), seconds(ends)));
        let trak = moov.all_mut(b"trak").nth(expected.len() - 1).unwrap();
        trak.remove(|node| node.is(b"edts"));
        let edit = |duration, media_time| Edit { duration, media_time, rate: Edit::RATE };
        let empty = (late > 0).then(|| edit(in_movie(late), -1));
        let edits = empty.into_iter().chain([edit(in_movie(lasts), media_time.into())]).collect();
        let elst = BoxNode::data(b"elst", Elst { entries: edits }.write());
        trak.push(BoxNode::container(b"edts", vec![elst]));
    }
    fs::write(&input, write_file(&boxes)).unwrap();
    let job = Job { layout: Some(layout), segment_duration: 1.0, ..job(&input, "widevine", "cenc") };
    pack(&job, &out).unwrap();
    let begins = expected.iter().map(|(_, starts, _)| *starts).fold(f64::INFINITY, f64::min);
    let ends = expected.iter().map(|(_, _, ends)| *ends).fold(0.0, f64::max);
    let mpd = Document::parse(&fs::read(out.join("manifest.mpd")).unwrap()).unwrap();
    let said = duration_of(mpd.root());
    assert!((said - (ends - begins)).abs() < 0.003, "{said} s, {begins} to {ends} expected");
    for ((times, _, end), id) in expected.iter().zip(["v1", "a1"]) {
        assert!(written(&out, id, layout) == *times, "{id}");
        let indexed = indexed_end(&out, id, layout, mpd.root(), begins);
        assert!(
            (indexed - (end - begins)).abs() < 0.003,
            "{id}: the index ends at {indexed} s, {end} expected"
        );
    }
    verify_times(&input, &out);
}

/// `verify` holds the output to the input and has nothing to say of its times.
fn verify_times(input: &Path, out: &Path) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drm-pack"));
    let command = command.arg("verify").arg(out).arg("--against").arg(input).args(["--dev-keys", SEED]);
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    let is_quiet =
        !["time-", "sidx-", "payload-", "-times", "-bandwidth"].iter().any(|rule| text.contains(rule));
    assert!(output.status.success() && is_quiet, "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn samples_keep_their_times_and_manifests_end_with_the_media(
        wishes in prop::collection::vec(track(), 2),
        layout in prop_oneof![Just(Layout::Segments), Just(Layout::SingleFile)],
        scheme in prop_oneof![Just("cenc"), Just("cbcs")],
    ) {
        // Sources of two clocks are no presentation.
        let mut wishes = wishes;
        if wishes.iter().any(|wish| wish.start > 1 << 32) {
            // 48 kHz and 12,800 Hz: the same time of day.
            (wishes[0].start, wishes[1].start) = (1_760_000_000 * 12_800, 1_760_000_000 * 48_000);
        }
        check(&wishes, layout, scheme);
    }

    #[test]
    fn edits_trim_the_presentation_at_both_ends_and_put_it_off(
        trims in [trim(), trim()],
        layout in prop_oneof![Just(Layout::Segments), Just(Layout::SingleFile)],
    ) {
        check_trimmed(trims, layout);
    }
}

#[test]
fn times_near_the_end_of_64_bits_are_kept_or_refused_at_once() {
    let quiet = |start| Track { fragments: 40, gaps: vec![0], start, edits: None, is_smooth: false };
    for layout in [Layout::Segments, Layout::SingleFile] {
        let both = [quiet(u64::MAX - (1 << 20)), quiet(u64::MAX - (1 << 20))];
        let folder = tempfile::tempdir().unwrap();
        let (input, out) = (folder.path().join("in.mp4"), folder.path().join("out"));
        let made = retimed(&both);
        // The sound alone: both tracks have clocks of their own.
        let mut boxes = parse_file(&made.bytes).unwrap();
        let is_video = |node: &BoxNode| {
            node.find(&[b"traf", b"tfhd"])
                .is_some_and(|tfhd| Tfhd::parse(tfhd.payload()).unwrap().track_id == 1)
        };
        let mut kept = Vec::new();
        while !boxes.is_empty() {
            let node = boxes.remove(0);
            if is_video(&node) {
                boxes.remove(0)
            } else {
                kept.push(node);
                continue;
            };
        }
        let moov = kept.iter_mut().find(|node| node.is(b"moov")).unwrap();
        let mut first = true;
        moov.remove(|node| node.is(b"trak") && std::mem::take(&mut first));
        fs::write(&input, write_file(&kept)).unwrap();
        let job = Job { layout: Some(layout), ..job(&input, "widevine", "cbcs") };
        pack(&job, &out).unwrap();
        assert_eq!(written(&out, "a1", layout).0, made.times[&2]);
        // A second more, and they pass the end.
        let tfdt = |node: &mut BoxNode| {
            if let Some(tfdt) = node.find_mut(&[b"traf", b"tfdt"]) {
                *tfdt = BoxNode::data(b"tfdt", Tfdt { base_media_decode_time: u64::MAX - 9 }.write());
            }
        };
        kept.iter_mut().for_each(tfdt);
        fs::write(&input, write_file(&kept)).unwrap();
        let error = pack_without_keys(&job, &folder.path().join("none")).unwrap_err();
        assert_eq!(error.kind().exit_code(), 3);
        let text = error.to_string();
        assert!(text.contains("in.mp4: track 2: byte") && text.contains("tfdt"), "{text}");
    }
}

/// An edit in milliseconds of a track that has so many ticks per second.
fn edit(lasts: u64, begins: Option<i64>, timescale: u32) -> Edit {
    let media_time = begins.map_or(-1, |begins| begins * i64::from(timescale) / 1000);
    Edit { duration: lasts, media_time, rate: Edit::RATE }
}

/// The clip with these edits of each track, which are said by its ticks per second, in a movie of 1000.
fn edited(path: &Path, edits: impl Fn(u32) -> Vec<Edit>) {
    let source = fs::read(root().join("fixtures/clip/mp4/av.mp4")).unwrap();
    let mut boxes = parse_file(&source).unwrap();
    let moov = boxes.iter_mut().find(|node| node.is(b"moov")).unwrap();
    assert_eq!(Mvhd::parse(moov.find(&[b"mvhd"]).unwrap().payload()).unwrap().timescale, 1000);
    let found = tracks(moov).unwrap();
    for (trak, track) in moov.all_mut(b"trak").zip(found) {
        trak.remove(|node| node.is(b"edts"));
        let elst = BoxNode::data(b"elst", Elst { entries: edits(track.timescale) }.write());
        trak.push(BoxNode::container(b"edts", vec![elst]));
        // Not enabled, as editors leave a track that is turned off: §8.3.2.
        let mut tkhd = trak.find(&[b"tkhd"]).unwrap().payload().to_vec();
        tkhd[3] = 2;
        *trak.find_mut(&[b"tkhd"]).unwrap() = BoxNode::data(b"tkhd", tkhd);
    }
    fs::write(path, write_file(&boxes)).unwrap();
}

#[test]
fn edits_that_one_edit_cannot_say_are_refused_before_keys() {
    let at_rate = |rate: i32| {
        move |ticks| {
            vec![Edit { rate, ..edit(2000, Some(0), ticks) }, Edit { rate, ..edit(2000, Some(2000), ticks) }]
        }
    };
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in.mp4");
    let encode = "-c:v libx264 -pix_fmt yuv420p -c:a aac";
    let refused = |edits: &dyn Fn(u32) -> Vec<Edit>, found: &str, remedy: &str| {
        edited(&input, edits);
        let error =
            pack_without_keys(&job(&input, "widevine", "cenc"), &folder.path().join("out")).unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind().exit_code(), 4, "{text}");
        let expected =
            ["in.mp4: track 1", "elst", found, "ISO/IEC 14496-12 §8.6.6", "ffmpeg", "in.new.mp4", remedy];
        assert!(expected.iter().all(|part| text.contains(part)), "{text}");
    };
    let cut = |ticks| vec![edit(2000, Some(0), ticks), edit(2000, Some(5000), ticks)];
    refused(&cut, "edit 2 has media_time", encode);
    let repeated = |ticks| vec![edit(2000, Some(1000), ticks), edit(2000, Some(1000), ticks)];
    refused(&repeated, "edit 2 has media_time", encode);
    let gap = |ticks| vec![edit(2000, Some(0), ticks), edit(500, None, ticks), edit(2000, Some(2000), ticks)];
    refused(&gap, "edit 2 has media_time -1", encode);
    refused(&at_rate(2 * Edit::RATE), "edit 1 has media_rate 2, 1 expected", "setpts=PTS/2");
    refused(&at_rate(0), "edit 1 has media_rate 0, 1 expected", encode);
    let differing =
        |ticks| vec![edit(2000, Some(0), ticks), Edit { rate: 1 << 15, ..edit(2000, Some(2000), ticks) }];
    refused(&differing, "edit 2 has media_rate 0.5, 1 expected", encode);
}

#[test]
fn edits_that_go_on_are_one_and_disabled_tracks_are_enabled() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in.mp4");
    // Behind the media an empty edit says nothing of it.
    let parts = |ticks| {
        let media = [edit(1000, Some(1000), ticks), edit(2000, Some(2000), ticks)];
        [edit(500, None, ticks)].into_iter().chain(media).chain([edit(500, None, ticks)]).collect()
    };
    let one = |ticks| vec![edit(500, None, ticks), edit(3000, Some(1000), ticks)];
    let mut outputs = Vec::new();
    for (name, edits) in [("parts", &parts as &dyn Fn(u32) -> Vec<Edit>), ("one", &one)] {
        edited(&input, edits);
        let out = folder.path().join(name);
        let report = pack(&job(&input, "widevine", "cenc"), &out).unwrap();
        let said = "track 1: 101 samples are left out: the edit list (elst) ends before they are shown";
        assert!(report.warnings.iter().any(|warning| warning.ends_with(said)), "{:?}", report.warnings);
        verify_times(&input, &out);
        let init = fs::read(out.join("v1/init.mp4")).unwrap();
        let moov = moov(&init).unwrap();
        assert_eq!(moov.find(&[b"trak", b"tkhd"]).unwrap().payload()[..4], [0, 0, 0, 3]);
        outputs.push(["v1", "a1"].map(|id| written(&out, id, Layout::Segments)));
    }
    assert_eq!(outputs[0], outputs[1]);
}
