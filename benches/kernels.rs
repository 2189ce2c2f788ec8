//! The hot loops in bytes per second: AES-CTR, AES-CBC lanes, AVC ranges, segment surgery.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark may stop at once")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use drm_pack::base::{Kid, Secret};
use drm_pack::isobmff::BoxNode;
use drm_pack::isobmff::file::moov;
use drm_pack::isobmff::fragment::{TrackFragment, track_fragments};
use drm_pack::isobmff::track::trexes;
use drm_pack::package::{ProtectedRendition, ProtectedTrack, media_tracks};
use drm_pack::protect::{Cipher, Iv, Pattern, SampleIvs, Scheme, TrackProtection};

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

struct Clip {
    init: BoxNode,
    segment: Vec<u8>,
    fragments: Vec<TrackFragment>,
}

fn clip(track: &str) -> Clip {
    let folder = format!("{}/fixtures/clip/dash/{track}", env!("CARGO_MANIFEST_DIR"));
    let init = moov(&std::fs::read(format!("{folder}/init.mp4")).unwrap()).unwrap();
    let segment = std::fs::read(format!("{folder}/2.m4s")).unwrap();
    let boxes = drm_pack::isobmff::parse_file(&segment).unwrap();
    let before: usize = boxes.iter().take_while(|node| !node.is(b"moof")).map(BoxNode::len).sum();
    let moof = boxes.iter().find(|node| node.is(b"moof")).unwrap();
    let fragments = track_fragments(moof, before as u64, &trexes(&init).unwrap()).unwrap();
    Clip { init, segment, fragments }
}

fn tracks(clip: &Clip, scheme: &str) -> Vec<ProtectedTrack> {
    let scheme = Scheme::find(scheme).unwrap();
    let iv = match scheme.name {
        "cbcs" => Iv::Constant([3; 16]),
        _ => Iv::PerSample(SampleIvs::new(&[3; 16], 0).unwrap()),
    };
    let protection = TrackProtection::new(scheme, Kid::new([4; 16]), &Secret::new([5; 16]), scheme.video, iv);
    vec![ProtectedTrack::new(&media_tracks(&clip.init).unwrap()[0], Arc::new(protection)).unwrap()]
}

fn segments(c: &mut Criterion) {
    let clip = clip("0");
    let mut group = c.benchmark_group("segment");
    group.throughput(Throughput::Bytes(clip.segment.len() as u64));
    group.bench_function("AVC ranges", |b| {
        let tracks = tracks(&clip, "cbcs");
        let mut parser = tracks[0].parser(1).unwrap().unwrap();
        let mut ranges = Vec::new();
        b.iter(|| {
            for sample in &clip.fragments[0].samples {
                let start = usize::try_from(sample.position).unwrap();
                ranges.clear();
                parser.ranges(&clip.segment[start..start + sample.size as usize], &mut ranges).unwrap();
                black_box(&ranges);
            }
        });
    });
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

criterion_group!(kernels, ciphers, segments);
criterion_main!(kernels);
