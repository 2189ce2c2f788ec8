//! The hot loops in bytes per second: AES-CTR, AES-CBC lanes, the digest of IVs, the ranges of pictures, segment surgery.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark may stop at once")]

use std::hint::black_box;
use std::ops::Range;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use drm_pack::base::{Kid, Secret};
use drm_pack::codec::TrackKind;
use drm_pack::isobmff::BoxNode;
use drm_pack::isobmff::file::moov;
use drm_pack::isobmff::samples::samples;
use drm_pack::isobmff::track::trexes;
use drm_pack::package::{ProtectedRendition, ProtectedTrack, media_tracks};
use drm_pack::protect::{Cipher, FragmentEncryptor, Iv, IvTrack, Pattern, Scheme, TrackProtection};

const NAL_UNITS: usize = 64;
const NAL_UNIT_BYTES: usize = 20_000;

fn ciphers(c: &mut Criterion) {
    let cipher = Cipher::new(&Secret::new([1; 16]));
    let mut data = vec![0; NAL_UNITS * NAL_UNIT_BYTES];
    let ranges: Vec<_> = (0..NAL_UNITS).map(|i| i * NAL_UNIT_BYTES + 37..(i + 1) * NAL_UNIT_BYTES).collect();
    let one_nine = Pattern { crypt_byte_block: 1, skip_byte_block: 9 };
    let mut group = c.benchmark_group("cipher");
    group.throughput(Throughput::Bytes(data.len() as u64));
    group.bench_function("copy", |b| {
        let source = vec![1; data.len()];
        b.iter(|| data.copy_from_slice(black_box(&source)));
    });
    group.bench_function("ctr", |b| {
        b.iter(|| cipher.ctr(&[2; 16], black_box(&mut data), ranges.iter().cloned()));
    });
    group.bench_function("cbc 1:9", |b| {
        b.iter(|| cipher.cbc_encrypt(&[2; 16], one_nine, black_box(&mut data), &ranges));
    });
    group.bench_function("cbc every block", |b| {
        b.iter(|| cipher.cbc_encrypt(&[2; 16], Pattern::NONE, black_box(&mut data), &ranges));
    });
    group.finish();
}

/// Whole fragments, digest and cipher, of samples as sound and pictures have them: what `ctr` leaves of it is the digest
/// that IVs follow from.
fn fragments(c: &mut Criterion) {
    let protection = protection("cenc");
    let track = IvTrack { kind: TrackKind::Audio, timescale: 48_000, sample_entry: vec![1; 100] };
    let mut data = vec![0; NAL_UNITS * NAL_UNIT_BYTES];
    let mut group = c.benchmark_group("fragment");
    group.throughput(Throughput::Bytes(data.len() as u64));
    for size in [400, NAL_UNIT_BYTES] {
        let samples: Vec<_> = (0..data.len() / size).map(|i| i * size..(i + 1) * size).collect();
        let mut encryptor = FragmentEncryptor::new(&protection, &track, None);
        group.bench_function(format!("cenc, samples of {size} bytes"), |b| {
            b.iter(|| {
                let mut senc = encryptor.senc();
                encryptor.encrypt(black_box(&mut data), samples.iter().cloned(), 0, &mut senc).unwrap();
            });
        });
    }
    group.finish();
}

struct Clip {
    init: BoxNode,
    segment: Vec<u8>,
}

fn clip(track: &str) -> Clip {
    let folder = format!("{}/fixtures/clip/dash/{track}", env!("CARGO_MANIFEST_DIR"));
    let init = moov(&std::fs::read(format!("{folder}/init.mp4")).unwrap()).unwrap();
    let segment = std::fs::read(format!("{folder}/2.m4s")).unwrap();
    Clip { init, segment }
}

fn protection(scheme: &str) -> TrackProtection {
    let scheme = Scheme::find(scheme).unwrap();
    let (kid, key) = (Kid::new([4; 16]), Secret::new([5; 16]));
    TrackProtection::new(scheme, kid, &key, scheme.video, Iv::of(scheme, kid, &key, None))
}

fn tracks(clip: &Clip, scheme: &str) -> Vec<ProtectedTrack> {
    let protection = protection(scheme);
    vec![ProtectedTrack::new(&media_tracks(&clip.init).unwrap()[0], Arc::new(protection)).unwrap()]
}

/// A codec and its samples, from a sync sample on.
struct Stream {
    name: &'static str,
    file: Vec<u8>,
    samples: Vec<Range<usize>>,
    track: ProtectedTrack,
}

/// The picture track of a file.
fn stream(name: &'static str, path: &str) -> Stream {
    let file = std::fs::read(format!("{}/fixtures/clip/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let moov = moov(&file).unwrap();
    let media = media_tracks(&moov).unwrap();
    let media = media.iter().find(|media| media.kind() == Some(TrackKind::Video)).unwrap();
    let trexes = trexes(&moov).unwrap();
    let found = samples(&file, &moov, media.track.track_id, &trexes).unwrap();
    let samples = found.map(|sample| {
        let sample = sample.unwrap();
        let start = usize::try_from(sample.position).unwrap();
        start..start + sample.size as usize
    });
    let samples = samples.collect();
    let protection = protection("cenc");
    Stream { name, samples, track: ProtectedTrack::new(media, Arc::new(protection)).unwrap(), file }
}

/// How fast what stays clear is found, in bytes of the samples.
fn ranges(c: &mut Criterion) {
    let streams = [
        stream("AVC", "mp4/video_360.mp4"),
        stream("HEVC", "codecs/hevc.mp4"),
        stream("AV1", "codecs/av1.mp4"),
        stream("VP9", "codecs/vp9.mp4"),
    ];
    let mut group = c.benchmark_group("ranges");
    for Stream { name, file, samples, track } in &streams {
        group.throughput(Throughput::Bytes(samples.iter().map(|sample| sample.len() as u64).sum()));
        group.bench_function(*name, |b| {
            let mut ranges = Vec::new();
            b.iter(|| {
                let mut parser = track.parser(1).unwrap().unwrap();
                for sample in samples {
                    ranges.clear();
                    parser.ranges(&file[sample.clone()], &mut ranges).unwrap();
                    black_box(&ranges);
                }
            });
        });
    }
    group.finish();
}

fn segments(c: &mut Criterion) {
    let clip = clip("0");
    let mut group = c.benchmark_group("segment");
    group.throughput(Throughput::Bytes(clip.segment.len() as u64));
    for scheme in ["cenc", "cbcs"] {
        let tracks = tracks(&clip, scheme);
        group.bench_function(format!("protect {scheme}"), |b| {
            let rendition = ProtectedRendition {
                tracks: tracks.clone(),
                clear: Vec::new(),
                pssh: Vec::new(),
                trexes: trexes(&clip.init).unwrap(),
                first_segment: 0,
            };
            b.iter(|| rendition.segment(&clip.segment, 0).unwrap());
        });
    }
    group.finish();
}

criterion_group!(kernels, ciphers, fragments, ranges, segments);
criterion_main!(kernels);
