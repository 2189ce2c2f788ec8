//! The contract of every codec: ranges are sorted, disjoint and inside, whatever the bytes say.

use std::ops::Range;

use super::{ALL, Config, Evidence, Marks, Protection, Ranges, TrackKind, av1, avc, find, hevc, vp9};
use crate::base::{FourCc, Result};

/// The row whose parser is an error.
const REFUSED: &str = "VVC";
const MUTATIONS: u64 = 2_000;

/// A codec that is protected by ranges, with a track of it: sample entry, configuration box, samples.
struct Specimen {
    entry: FourCc,
    config: (FourCc, Vec<u8>),
    samples: Vec<Vec<u8>>,
}

fn specimens() -> Vec<Specimen> {
    let (avcc, avc_samples) = avc::tests::specimen();
    let (hvcc, hevc_samples) = hevc::tests::specimen();
    let (vpcc, vp9_samples) = vp9::tests::specimen();
    let (av1c, av1_samples) = av1::tests::specimen();
    [
        (b"avc1", b"avcC", &avcc, &avc_samples),
        (b"dva1", b"avcC", &avcc, &avc_samples),
        (b"hvc1", b"hvcC", &hvcc, &hevc_samples),
        (b"dvh1", b"hvcC", &hvcc, &hevc_samples),
        (b"vp09", b"vpcC", &vpcc, &vp9_samples),
        (b"av01", b"av1C", &av1c, &av1_samples),
        (b"dav1", b"av1C", &av1c, &av1_samples),
    ]
    .map(|(entry, name, config, samples)| Specimen {
        entry: FourCc(*entry),
        config: (FourCc(*name), config.clone()),
        samples: samples.clone(),
    })
    .into()
}

impl Specimen {
    fn parser(&self, config: &[u8]) -> Result<Box<dyn Ranges>> {
        let Protection::Ranges(parser) = find(self.entry).unwrap().protection else {
            panic!("{} is not protected by ranges", self.entry)
        };
        parser(&Config { entry: self.entry, boxes: vec![(self.config.0, config)] })
    }
}

fn check(parser: &mut dyn Ranges, sample: &[u8]) -> Result<Vec<Range<usize>>> {
    let mut out = Vec::new();
    let result = parser.ranges(sample, &mut out);
    let mut end = 0;
    for range in &out {
        assert!(range.start >= end && range.end > range.start && range.end <= sample.len(), "{out:?}");
        end = range.end;
    }
    result.map(|()| out)
}

/// xorshift64*, so that a failure can be repeated.
fn random(state: &mut u64) -> usize {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    usize::try_from(state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap()
}

fn mutate(bytes: &[u8], state: &mut u64) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random(state) % 4 {
        let at = random(state) % bytes.len();
        bytes[at] = match random(state) % 4 {
            0 => 0,
            1 => 0xff,
            _ => bytes[at] ^ (1 << (random(state) % 8)),
        };
    }
    bytes
}

#[test]
fn every_row_with_ranges_has_a_specimen_and_every_entry_one_row() {
    let mut entries = Vec::new();
    for codec in ALL {
        assert_eq!(matches!(codec.protection, Protection::Never), codec.kind == TrackKind::Text);
        let ranged = matches!(codec.protection, Protection::Ranges(_)) && codec.name != REFUSED;
        let seen = specimens().iter().any(|specimen| codec.sample_entries.contains(&specimen.entry));
        assert_eq!(ranged, seen, "{}", codec.name);
        entries.extend(codec.sample_entries);
    }
    for entry in &entries {
        assert_eq!(entries.iter().filter(|other| *other == entry).count(), 1, "{entry}");
        assert!(find(*entry).is_some());
    }
    assert!(find(FourCc(*b"encv")).is_none());
}

#[test]
fn samples_of_every_codec_have_ranges() {
    for specimen in specimens() {
        let mut parser = specimen.parser(&specimen.config.1).unwrap();
        for sample in &specimen.samples {
            assert!(!check(&mut *parser, sample).unwrap().is_empty(), "{}", specimen.entry);
        }
    }
}

#[test]
fn every_truncation_of_a_sample_gives_ranges_or_an_error() {
    for specimen in specimens() {
        for sample in &specimen.samples {
            for end in 0..sample.len() {
                let _ = check(&mut *specimen.parser(&specimen.config.1).unwrap(), &sample[..end]);
            }
        }
    }
}

#[test]
fn every_mutation_of_samples_and_configuration_gives_ranges_or_an_error() {
    let mut state = 0x9e37_79b9_7f4a_7c15;
    for specimen in specimens() {
        for _ in 0..MUTATIONS {
            let mut parser = specimen.parser(&specimen.config.1).unwrap();
            for sample in &specimen.samples {
                let _ = check(&mut *parser, &mutate(sample, &mut state));
            }
            let Ok(mut parser) = specimen.parser(&mutate(&specimen.config.1, &mut state)) else { continue };
            for sample in &specimen.samples {
                let _ = check(&mut *parser, sample);
            }
        }
    }
}

#[test]
fn the_codecs_parameter_is_total_and_text_is_named_by_its_entry() {
    for codec in ALL {
        for entry in codec.sample_entries {
            let parameter = (codec.rfc6381)(&Config { entry: *entry, boxes: Vec::new() });
            match codec.kind {
                // Of TTML the profile is said too: RFC 6381, W3C IMSC1 §5.3.
                TrackKind::Text => {
                    let parameter = parameter.unwrap();
                    assert_eq!(parameter.split('.').next(), Some(entry.to_string().as_str()));
                }
                // Only a parser needs a configuration; a codec protected whole may be named by its entry.
                _ => assert!(
                    parameter.is_err() || matches!(codec.protection, Protection::WholeSample),
                    "{entry}"
                ),
            }
        }
    }
}

/// Random bytes in place of these ranges.
fn randomize(sample: &mut [u8], ranges: &[Range<usize>], state: &mut u64) {
    for byte in ranges.iter().cloned().flatten() {
        sample[byte] = random(state).to_le_bytes()[0];
    }
}

/// How many marks a thousand and more looks at random bytes find missed, and how many of them they are stated to miss.
fn missed_at_random(
    marks: &mut dyn Marks,
    samples: &[(Vec<u8>, Vec<Range<usize>>)],
    state: &mut u64,
) -> (u64, u64, f64) {
    let mut evidence = Evidence::default();
    for round in 0..20_000 {
        let (mut sample, ranges) = samples[round % samples.len()].clone();
        randomize(&mut sample, &ranges, state);
        marks.look(&sample, &ranges, &mut evidence);
    }
    evidence.counts()
}

/// The share of random bytes that have a mark is no greater than its row says: else another key would pass for right.
#[test]
fn random_bytes_have_marks_no_more_often_than_is_stated() {
    let mut state = 0x1234_5678_9abc_def1;
    let check = |name: &str, (marks, missed, expected): (u64, u64, f64)| {
        // Three standard deviations, and some.
        let least = expected - 4.0 * expected.sqrt() - 1.0;
        assert!(
            marks > 1000 && missed as f64 >= least,
            "{name}: {missed} of {marks}, {expected:.1} expected"
        );
    };
    for specimen in specimens() {
        let config = Config { entry: specimen.entry, boxes: vec![(specimen.config.0, &specimen.config.1)] };
        let mut parser = specimen.parser(&specimen.config.1).unwrap();
        let with_ranges = |sample: &Vec<u8>| (sample.clone(), self::check(&mut *parser, sample).unwrap());
        let samples: Vec<_> = specimen.samples.iter().map(with_ranges).collect();
        let open = find(specimen.entry).unwrap().marks;
        let mut marks = open(&config).unwrap();
        check(&specimen.entry.to_string(), missed_at_random(&mut *marks, &samples, &mut state));
    }
    let dac4 = [0x20, 0x8a, 0x80];
    let esds = |object_type: u8| {
        [&[0; 4][..], &[3, 22, 0, 1, 0, 4, 17, object_type, 0x15], &[0; 11], &[5, 2, 0x12, 0x10]].concat()
    };
    let (aac, mp3) = (esds(0x40), esds(0x6b));
    for (entry, boxes) in [
        (b"ac-3", vec![]),
        (b"ec-3", vec![]),
        (b"Opus", vec![]),
        (b"fLaC", vec![]),
        (b"alac", vec![]),
        (b".mp3", vec![]),
        (b"dtsc", vec![]),
        (b"vp08", vec![]),
        (b"mhm1", vec![]),
        (b"iamf", vec![]),
        (b"ac-4", vec![(FourCc(*b"dac4"), &dac4[..])]),
        (b"mp4a", vec![(FourCc(*b"esds"), &aac[..])]),
        (b"mp4a", vec![(FourCc(*b"esds"), &mp3[..])]),
    ] {
        let config = Config { entry: FourCc(*entry), boxes };
        for length in [16, 40, 200, 700] {
            let mut marks = (find(config.entry).unwrap().marks)(&config).unwrap();
            let all = std::iter::once(0..length).collect();
            let found = missed_at_random(&mut *marks, &[(vec![0; length], all)], &mut state);
            check(&format!("{} {length}", config.entry), found);
        }
    }
}
