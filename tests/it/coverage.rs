//! What would stay clear although nothing says so is refused — ISO/IEC 14496-12 §8.8, ISO/IEC 23001-7 §7, §9.

use std::fs;
use std::path::Path;

use drm_pack::base::{Error, Kind, Result};
use drm_pack::codec::TrackKind;
use drm_pack::drm::{self, ManifestKind};
use drm_pack::io::HttpClient;
use drm_pack::isobmff::boxes::{Piff, Saio, Senc, Sgpd, Tfhd, Trun};
use drm_pack::isobmff::file::moov;
use drm_pack::isobmff::fragment::track_fragments;
use drm_pack::isobmff::track::trexes;
use drm_pack::isobmff::{BoxNode, parse_file, write_file};
use drm_pack::job::Job;
use drm_pack::keys::{DevKeys, KeyServer};
use drm_pack::package::{
    EncryptedTrack, Intent, KeyRule, Plan, Preset, ProtectedRendition, Schedule, ServerSignaling, TrackId,
    Treatment,
};
use drm_pack::protect::Scheme;
use tempfile::TempDir;

use crate::support::files::copy;
use crate::support::media::root;
use crate::support::pack::{SEED, job, pack};

/// A copy of a folder of the clip.
fn staged(kind: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(&root().join("fixtures/clip").join(kind), folder.path());
    folder
}

fn clip(name: &str) -> Vec<u8> {
    fs::read(root().join("fixtures/clip").join(name)).unwrap()
}

/// A plan for tracks of these kinds under one key of the tests.
pub(crate) fn plan(scheme: &str, kinds: &[TrackKind]) -> Plan {
    let encrypted_tracks: Vec<_> =
        kinds.iter().map(|kind| EncryptedTrack::new(TrackId::new(*kind, 1))).collect();
    let schedule = Schedule::default();
    let intent = Intent {
        content_id: "clip",
        treatment: Treatment::Samples(Scheme::find(scheme).unwrap()),
        keys: &KeyRule::Preset(Preset::Preset0).assign(&encrypted_tracks).unwrap(),
        systems: &drm::parse_list("widevine").unwrap(),
        manifests: &[ManifestKind::Dash],
        vector: None,
        skd_template: "skd://{kid}",
        periods: schedule.periods(1).unwrap(),
        server_signaling: ServerSignaling::default(),
        license_urls: &[],
        session_keys: true,
        schedule,
    };
    let answer = DevKeys::new(SEED).exchange(&HttpClient::new().unwrap(), intent.request()).unwrap();
    Plan::resolve(&intent, answer).unwrap()
}

/// The rendition of an init segment with one track of pictures.
pub(crate) fn rendition(init: &[u8], scheme: &str) -> ProtectedRendition {
    let plan = plan(scheme, &[TrackKind::Video]);
    ProtectedRendition::new(&moov(&init.to_vec()).unwrap(), &plan, &[Some(TrackId::new(TrackKind::Video, 1))])
        .unwrap()
}

/// Changes the last fragment of a file: its `moof` and `mdat`.
fn edit_fragment(bytes: &[u8], change: &dyn Fn(&mut BoxNode, &mut Vec<u8>)) -> Vec<u8> {
    let mut boxes = parse_file(bytes).unwrap();
    let at = boxes.iter().rposition(|node| node.is(b"moof")).unwrap();
    let mdat = at + boxes[at..].iter().position(|node| node.is(b"mdat")).unwrap();
    let mut data = boxes[mdat].payload().to_vec();
    change(&mut boxes[at], &mut data);
    boxes[mdat] = BoxNode::data(b"mdat", data);
    write_file(&boxes)
}

fn edit_payload(node: &mut BoxNode, path: &[&[u8; 4]], change: impl Fn(&mut Vec<u8>)) {
    let node = node.find_mut(path).unwrap();
    let mut payload = node.payload().to_vec();
    change(&mut payload);
    *node = BoxNode::data(&node.kind.0, payload);
}

fn edit_trun(moof: &mut BoxNode, change: impl Fn(&mut Trun)) {
    edit_payload(moof, &[b"traf", b"trun"], |payload| {
        let mut trun = Trun::parse(payload).unwrap();
        change(&mut trun);
        *payload = trun.write();
    });
}

fn rename(moof: &mut BoxNode, path: &[&[u8; 4]], kind: &[u8; 4]) {
    let node = moof.find_mut(path).unwrap();
    *node = BoxNode::data(kind, node.to_bytes()[8..].to_vec());
}

/// How a fragment is damaged, and a word of the reason.
type Damage = (&'static str, &'static str, fn(&mut BoxNode, &mut Vec<u8>));

const DAMAGES: &[Damage] = &[
    ("no traf", "there is no traf", |moof, _| rename(moof, &[b"traf"], b"uraf")),
    ("no trun", "belong to no sample", |moof, _| rename(moof, &[b"traf", b"trun"], b"trum")),
    ("no tfhd", "box tfhd is missing", |moof, _| rename(moof, &[b"traf", b"tfhd"], b"tfhe")),
    ("another track", "the init segment has no trex of track", |moof, _| {
        edit_payload(moof, &[b"traf", b"tfhd"], |tfhd| tfhd[7] ^= 8);
    }),
    ("one sample", "belong to no sample", |moof, _| {
        edit_payload(moof, &[b"traf", b"trun"], |trun| trun[4..8].copy_from_slice(&[0, 0, 0, 1]));
    }),
    ("no sample", "belong to no sample", |moof, _| {
        edit_payload(moof, &[b"traf", b"trun"], |trun| trun[4..8].fill(0));
    }),
    ("one sample less, and its row", "belong to no sample", |moof, _| {
        let before = moof.len();
        edit_trun(moof, |trun| trun.samples.truncate(trun.samples.len() - 1));
        let shorter = i32::try_from(before - moof.len()).unwrap();
        edit_trun(moof, |trun| trun.data_offset = trun.data_offset.map(|offset| offset - shorter));
    }),
    ("bytes behind", "100 bytes of mdat belong to no sample", |_, data| data.extend([7; 100])),
    ("bytes in front", "belong to no sample", |moof, data| {
        data.splice(0..0, [7; 100]);
        edit_trun(moof, |trun| trun.data_offset = trun.data_offset.map(|offset| offset + 100));
    }),
];

#[test]
fn media_data_that_no_sample_names_is_refused_by_file_and_byte() {
    let packages = [
        ("hls", "master.m3u8", "v2/1.m4s"),
        ("dash", "manifest.mpd", "1/2.m4s"),
        ("hls-byterange", "master.m3u8", "v1/media.mp4"),
        ("dash-segment-base", "manifest.mpd", "video.mp4"),
    ];
    for (kind, manifest, name) in packages {
        let source = clip(&format!("{kind}/{name}"));
        for (what, expected, damage) in DAMAGES {
            let folder = staged(kind);
            fs::write(folder.path().join(name), edit_fragment(&source, damage)).unwrap();
            let job = job(&folder.path().join(manifest), "widevine", "cenc");
            let error = pack(&job, tempfile::tempdir().unwrap().path()).unwrap_err();
            let text = error.to_string();
            assert_eq!(error.kind(), Kind::Input, "{kind}: {what}: {text}");
            // Where a file is shorter now, its playlist is wrong first.
            let is_range = kind == "hls-byterange" && text.contains("lie outside the file v1/media.mp4");
            let holds =
                text.starts_with(&format!("{name}: moof at byte ")) && text.contains(expected) || is_range;
            assert!(holds, "{kind}: {what}: {text}");
        }
    }
}

#[test]
fn media_data_without_its_moof_or_in_other_boxes_is_refused() {
    let mut boxes = parse_file(&clip("hls/v1/1.m4s")).unwrap();
    // Its references would not be those of what is made here.
    boxes.retain(|node| !node.is(b"sidx"));
    let source = write_file(&boxes);
    let media = boxes.iter().find(|node| node.is(b"mdat")).unwrap().payload().repeat(5);
    assert!(media.len() > 70_000);
    let without_moof: Vec<_> = boxes.iter().filter(|node| !node.is(b"moof")).cloned().collect();
    let second = [boxes.clone(), vec![BoxNode::data(b"mdat", vec![7; 100])]].concat();
    for (bytes, kind, expected) in [
        (write_file(&without_moof), Kind::Input, "mdat without a moof before it"),
        (write_file(&second), Kind::Input, "mdat without a moof before it"),
        ([&[7; 50][..], &source].concat(), Kind::Input, "states"),
        ([&source[..], &[7; 50]].concat(), Kind::Input, "states"),
        (in_box(&source, b"free", &media), Kind::Unsupported, "box free of "),
        (in_box(&source, b"uuid", &media), Kind::Unsupported, "box uuid of "),
        (in_box(&source, b"imda", &media[..100]), Kind::Unsupported, "box imda of "),
        (edit_fragment(&source, &|moof, _| with_box(moof, &[7; 70_000])), Kind::Unsupported, "box skip of "),
    ] {
        let error = protect(&bytes).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    for padding in [&[7; 2_000][..], &[0; 70_000]] {
        let segment = protect(&in_box(&source, b"free", padding)).unwrap();
        assert!(segment.starts_with(&BoxNode::data(b"free", padding.to_vec()).to_bytes()));
        protect(&edit_fragment(&source, &|moof, _| with_box(moof, padding))).unwrap();
    }
}

fn protect(segment: &[u8]) -> Result<Vec<u8>> {
    rendition(&clip("hls/v1/init_0.mp4"), "cenc").segment(&segment.to_vec(), 1)
}

fn in_box(segment: &[u8], kind: &[u8; 4], payload: &[u8]) -> Vec<u8> {
    [&BoxNode::data(kind, payload.to_vec()).to_bytes()[..], segment].concat()
}

/// Puts a box into the `traf`; the data moves.
fn with_box(moof: &mut BoxNode, payload: &[u8]) {
    moof.find_mut(&[b"traf"]).unwrap().push(BoxNode::data(b"skip", payload.to_vec()));
    let length = i32::try_from(payload.len() + 8).unwrap();
    edit_trun(moof, |trun| trun.data_offset = trun.data_offset.map(|offset| offset + length));
}

#[test]
fn empty_segments_are_refused_in_every_treatment() {
    let whole = |manifest: &Path| Job {
        drm: "simpleaes".into(),
        scheme: None,
        key_uri: Some("https://keys.example/{kid}".into()),
        ..job(manifest, "", "")
    };
    let cenc = |manifest: &Path| job(manifest, "widevine", "cenc");
    let fairplay = |manifest: &Path| job(manifest, "fairplay", "cbcs");
    let styp = BoxNode::data(b"styp", b"msdh\0\0\0\0".to_vec()).to_bytes();
    type Treatment<'a> = &'a dyn Fn(&Path) -> Job;
    let cases: [(&str, &str, &str, Treatment<'_>, &[u8]); 10] = [
        ("hls", "master.m3u8", "v1/1.m4s", &cenc, &[]),
        ("hls", "master.m3u8", "v1/1.m4s", &cenc, &styp),
        ("hls", "master.m3u8", "v1/init_0.mp4", &cenc, &[]),
        ("hls-byterange", "master.m3u8", "v1/media.mp4", &cenc, &[]),
        ("dash", "manifest.mpd", "1/2.m4s", &cenc, &[]),
        ("dash", "manifest.mpd", "2/1.m4s", &cenc, &[]),
        ("hls-ts", "index.m3u8", "1.ts", &fairplay, &[]),
        ("hls-ts", "index.m3u8", "1.ts", &whole, &[]),
        ("hls", "master.m3u8", "v1/1.m4s", &whole, &[]),
        ("hls", "master.m3u8", "v1/init_0.mp4", &whole, &[]),
    ];
    for (kind, manifest, name, treatment, bytes) in cases {
        let folder = staged(kind);
        fs::write(folder.path().join(name), bytes).unwrap();
        let out = tempfile::tempdir().unwrap();
        let error = pack(&treatment(&folder.path().join(manifest)), out.path()).unwrap_err();
        assert!(matches!(error.kind(), Kind::Input | Kind::Unsupported), "{kind} {name}: {error}");
        assert!(error.to_string().contains(name), "{kind} {name}: {error}");
        assert!(!out.path().join(manifest).exists());
    }
}

#[test]
fn text_that_is_empty_is_refused_too() {
    let folder = staged("hls");
    fs::write(folder.path().join("0.vtt"), []).unwrap();
    let head = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n";
    fs::write(folder.path().join("t.m3u8"), format!("{head}#EXTINF:2,\n0.vtt\n#EXT-X-ENDLIST\n")).unwrap();
    let master = folder.path().join("master.m3u8");
    let text = fs::read_to_string(&master).unwrap();
    let subtitles = "#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"t\",NAME=\"t\",URI=\"t.m3u8\"\n";
    fs::write(&master, format!("{text}{subtitles}")).unwrap();
    let error = pack(&job(&master, "widevine", "cenc"), tempfile::tempdir().unwrap().path()).unwrap_err();
    assert!(error.to_string().starts_with("0.vtt: a segment of 0 bytes"), "{error}");
}

/// `tfhd` in each form; spare bytes behind its fields, and no `data_offset` where it is implied.
#[test]
fn saio_leads_to_senc_whatever_form_tfhd_has() {
    let (init, source) = (clip("dash/1/init.mp4"), clip("dash/1/1.m4s"));
    let position = |bytes: &[u8]| {
        let boxes = parse_file(bytes).unwrap();
        boxes.iter().take_while(|node| !node.is(b"moof")).map(BoxNode::len).sum::<usize>() as u64
    };
    let tfhd = |moof: &mut BoxNode, base: bool, from_moof: bool, spare: usize| {
        let before = moof.len();
        let start = position(&source);
        edit_payload(moof, &[b"traf", b"tfhd"], |payload| {
            let mut tfhd = Tfhd::parse(payload).unwrap();
            tfhd.base_data_offset = base.then_some(start);
            tfhd.other_flags &= !Tfhd::DEFAULT_BASE_IS_MOOF;
            tfhd.other_flags |= if from_moof { Tfhd::DEFAULT_BASE_IS_MOOF } else { 0 };
            *payload = tfhd.write();
            payload.resize(payload.len() + spare, 0);
        });
        let growth = i32::try_from(moof.len()).unwrap() - i32::try_from(before).unwrap();
        edit_trun(moof, |trun| trun.data_offset = trun.data_offset.map(|offset| offset + growth));
    };
    let large = |moof: &mut BoxNode| {
        let long = |node: &BoxNode| {
            let length = (node.len() as u64 + 8).to_be_bytes();
            let bytes = [&[0, 0, 0, 1], &node.kind.0[..], &length, &node.to_bytes()[8..]].concat();
            BoxNode::parse_one(&bytes).unwrap()
        };
        let traf = moof.find_mut(&[b"traf"]).unwrap();
        *traf = long(traf);
        *moof = long(moof);
        edit_trun(moof, |trun| trun.data_offset = trun.data_offset.map(|offset| offset + 16));
    };
    let implied = |moof: &mut BoxNode| {
        tfhd(moof, true, false, 0);
        let end = position(&source) + moof.len() as u64 + 8 - 4;
        edit_payload(moof, &[b"traf", b"tfhd"], |tfhd| tfhd[8..16].copy_from_slice(&end.to_be_bytes()));
        edit_trun(moof, |trun| trun.data_offset = None);
    };
    for scheme in ["cenc", "cbcs"] {
        let check = |change: &dyn Fn(&mut BoxNode)| {
            let mut segment = edit_fragment(&source, &|moof, _| change(moof));
            // The index has the lengths of before.
            let sidx = segment.windows(4).position(|kind| kind == b"sidx").unwrap();
            segment[sidx..sidx + 4].copy_from_slice(b"free");
            let done = rendition(&init, scheme).segment(&segment, 0).unwrap();
            let boxes = parse_file(&done).unwrap();
            let start = usize::try_from(position(&done)).unwrap();
            let moof = boxes.iter().find(|node| node.is(b"moof")).unwrap();
            let traf = moof.find(&[b"traf"]).unwrap();
            let saio = Saio::parse(traf.find(&[b"saio"]).unwrap().payload()).unwrap();
            let senc = traf.find(&[b"senc"]).unwrap().payload();
            let at = start + usize::try_from(saio.offsets[0]).unwrap();
            assert_eq!(done[at..at + senc.len() - 8], senc[8..], "{scheme}");
            assert_eq!(&done[at - 12..at - 8], b"senc");
            // The samples are where the fragment says: their bytes are those that are not in the source's order.
            let fragments =
                track_fragments(moof, start as u64, &trexes(&moov(&init).unwrap()).unwrap()).unwrap();
            let samples = &fragments[0].samples;
            assert_eq!(
                samples.iter().map(|sample| sample.size as usize).sum::<usize>(),
                done.len() - start - moof.len() - 8
            );
            assert_eq!(samples[0].position, (start + moof.len() + 8) as u64);
            Senc::parse(senc, if scheme == "cenc" { 8 } else { 0 }).unwrap();
        };
        for (base, from_moof, spare) in [
            (false, true, 0),
            (true, false, 0),
            (true, true, 0),
            (false, false, 0),
            (false, true, 8),
            (true, false, 3),
        ] {
            check(&|moof| tfhd(moof, base, from_moof, spare));
        }
        check(&implied);
        check(&large);
    }
}

/// The boxes that say that samples are encrypted.
fn signs() -> Vec<BoxNode> {
    let group = |version: u8| [&[version, 0, 0, 0][..], &Sgpd::SEIG.0, &[0; 8]].concat();
    vec![
        BoxNode::data(b"senc", vec![0; 8]),
        BoxNode::data(b"saiz", vec![0; 9]),
        BoxNode::data(b"saio", vec![0; 8]),
        Piff::SampleEncryption.write(&[0; 8]),
        BoxNode::data(b"sbgp", group(0)),
        BoxNode::data(b"sgpd", group(1)),
    ]
}

fn is_refused_as_encrypted(error: &Error) {
    assert_eq!(error.kind(), Kind::Input, "{error}");
    assert!(error.to_string().contains("the samples are encrypted already"), "{error}");
}

#[test]
fn fragments_and_tables_that_say_they_are_encrypted_are_no_input() {
    let rendition = rendition(&clip("hls/v1/init_0.mp4"), "cenc");
    for sign in signs() {
        let mark = |moof: &mut BoxNode| {
            for traf in moof.all_mut(b"traf") {
                traf.push(sign.clone());
            }
        };
        let length = i32::try_from(sign.len()).unwrap();
        let moved = |moof: &mut BoxNode, _: &mut Vec<u8>| {
            mark(moof);
            edit_trun(moof, |trun| trun.data_offset = trun.data_offset.map(|offset| offset + length));
        };
        let segment = edit_fragment(&clip("hls/v1/1.m4s"), &moved);
        is_refused_as_encrypted(&rendition.segment(&segment, 1).unwrap_err());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("av.mp4");
        let mut boxes = parse_file(&clip("mp4/av_frag.mp4")).unwrap();
        boxes.iter_mut().filter(|node| node.is(b"moof")).for_each(mark);
        fs::write(&path, write_file(&boxes)).unwrap();
        let out = tempfile::tempdir().unwrap();
        is_refused_as_encrypted(&pack(&job(&path, "widevine", "cenc"), out.path()).unwrap_err());
        let mut boxes = parse_file(&clip("mp4/av.mp4")).unwrap();
        let moov = boxes.iter_mut().find(|node| node.is(b"moov")).unwrap();
        moov.find_mut(&[b"trak", b"mdia", b"minf", b"stbl"]).unwrap().push(sign.clone());
        fs::write(&path, write_file(&boxes)).unwrap();
        is_refused_as_encrypted(&pack(&job(&path, "widevine", "cenc"), out.path()).unwrap_err());
    }
}

#[test]
fn segments_of_an_earlier_run_beside_a_clear_init_segment_are_refused() {
    for (kind, manifest) in [("dash", "manifest.mpd"), ("hls", "master.m3u8")] {
        for scheme in ["cenc", "cbcs"] {
            let source = staged(kind);
            let done = tempfile::tempdir().unwrap();
            pack(&job(&source.path().join(manifest), "widevine", scheme), done.path()).unwrap();
            let half = staged(kind);
            for (name, bytes) in crate::support::files::tree(done.path()) {
                if !name.contains("init") && !name.ends_with(".m3u8") && !name.ends_with(".mpd") {
                    fs::write(half.path().join(name), bytes).unwrap();
                }
            }
            let out = tempfile::tempdir().unwrap();
            let error = pack(&job(&half.path().join(manifest), "widevine", scheme), out.path()).unwrap_err();
            assert_eq!(error.kind(), Kind::Input, "{kind} {scheme}: {error}");
            assert!(error.to_string().contains("encrypted already"), "{kind} {scheme}: {error}");
            if kind == "hls" {
                let whole = Job {
                    drm: "simpleaes".into(),
                    scheme: None,
                    key_uri: Some("https://keys.example/{kid}".into()),
                    ..job(&half.path().join(manifest), "", "")
                };
                is_refused_as_encrypted(&pack(&whole, out.path()).unwrap_err());
            }
        }
    }
}

/// Each sample of a segment as one unit: `before`, and behind start codes the units that it has.
fn hidden(segment: &[u8], before: &[u8]) -> Vec<u8> {
    edit_fragment(segment, &|moof, data| {
        let sizes: Vec<usize> = Trun::parse(moof.find(&[b"traf", b"trun"]).unwrap().payload())
            .unwrap()
            .samples
            .iter()
            .map(|sample| sample.size.unwrap() as usize)
            .collect();
        let (mut out, mut grown, mut rest) = (Vec::new(), Vec::new(), data.as_slice());
        for size in sizes {
            let (mut sample, behind) = rest.split_at(size);
            rest = behind;
            let mut unit = before.to_vec();
            while !sample.is_empty() {
                let end = 4 + u32::from_be_bytes(sample[..4].try_into().unwrap()) as usize;
                unit.extend([0, 0, 0, 1]);
                unit.extend(&sample[4..end]);
                sample = &sample[end..];
            }
            let length = u32::try_from(unit.len()).unwrap();
            grown.push(length + 4);
            out.extend(length.to_be_bytes());
            out.extend(unit);
        }
        *data = out;
        edit_trun(moof, |trun| {
            trun.samples.iter_mut().zip(&grown).for_each(|(sample, size)| sample.size = Some(*size));
        });
    })
}

#[test]
fn slices_behind_start_codes_inside_a_length_are_refused_by_sample_and_byte() {
    let (init, source) = (clip("dash/1/init.mp4"), clip("dash/1/1.m4s"));
    for scheme in ["cenc", "cbcs"] {
        let rendition = rendition(&init, scheme);
        rendition.segment(&source, 0).unwrap();
        // A prefix NAL unit, an access unit delimiter, a message, and the first slice itself.
        let units: [&[u8]; 4] = [&[0x6e, 0xc0, 0x80, 0x0f], &[9, 0xf0], &[6, 5, 2, 0xaa, 0xbb, 0x80], &[]];
        for before in units {
            let error = rendition.segment(&hidden(&source, before), 0).unwrap_err();
            let text = error.to_string();
            assert_eq!(error.kind(), Kind::Input, "{text}");
            assert!(
                text.contains("sample 1: byte ") && text.contains("a start code inside a NAL unit"),
                "{text}"
            );
        }
        // Inside the data of a slice, where a pattern would leave nine blocks of ten clear.
        let inside = edit_fragment(&source, &|_, data| {
            let end = data.len();
            data[end - 40..end - 35].copy_from_slice(&[0, 0, 1, 0x41, 0x9a]);
        });
        let text = rendition.segment(&inside, 0).unwrap_err().to_string();
        assert!(text.contains("a start code inside a NAL unit"), "{text}");
    }
}

#[test]
fn pictures_of_which_no_byte_can_be_protected_are_refused() {
    // Every slice becomes a message: nal_unit_type 6.
    let mut source = clip("mp4/video_180.mp4");
    let moov = moov(&source).unwrap();
    let track = drm_pack::isobmff::track::tracks(&moov).unwrap()[0].track_id;
    let samples: Vec<_> = drm_pack::isobmff::samples::samples(&source, &moov, track, &[])
        .unwrap()
        .map(|sample| sample.unwrap())
        .collect();
    for sample in samples {
        let mut at = usize::try_from(sample.position).unwrap();
        let end = at + sample.size as usize;
        while at < end {
            let length = u32::from_be_bytes(source[at..at + 4].try_into().unwrap()) as usize;
            source[at + 4] = 6;
            at += 4 + length;
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("v.mp4");
    fs::write(&path, source).unwrap();
    let error = pack(&job(&path, "widevine", "cenc"), tempfile::tempdir().unwrap().path()).unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported, "{error}");
    assert!(error.to_string().contains("without a byte that can be protected"), "{error}");
}

#[test]
fn a_track_that_is_not_planned_is_an_error_and_does_not_stay_clear() {
    let (plan, init) = (plan("cenc", &[TrackKind::Video]), moov(&clip("dash/1/init.mp4")).unwrap());
    for ids in
        [&[][..], &[Some(TrackId::new(TrackKind::Video, 2))], &[Some(TrackId::new(TrackKind::Audio, 1))]]
    {
        let error = ProtectedRendition::new(&init, &plan, ids).map(drop).unwrap_err();
        assert_eq!(error.kind(), Kind::Internal, "{ids:?}: {error}");
    }
    let rendition = ProtectedRendition::new(&init, &plan, &[None]).unwrap();
    assert!(rendition.tracks.is_empty());
}
