//! The law of linear work: inputs of sizes that would take minutes if any reader looked at all of one for each of it.
//!
//! No time is taken here: whoever makes such a loop will wait.

use std::fmt::Write;

use drm_pack::cpix::usage::Strictness;
use drm_pack::cpix::{Original, read};
use drm_pack::inspect::{Samples, inspect};
use drm_pack::job::Job;
use drm_pack::keys::{CpixFile, KeyFile, KeyServer};

use crate::fuzz::harness::seeds::fixture;
use crate::fuzz::harness::world::{Folder, Nowhere, pack, prove};

/// A number as a UUID.
fn uuid(number: usize) -> String {
    format!("00000000-0000-0000-0000-{:012x}", number + 1)
}

/// A document of so many keys, each with a system, a period and a rule.
fn keys(count: usize) -> Vec<u8> {
    let mut text = String::from(
        "<CPIX xmlns=\"urn:dashif:org:cpix\" xmlns:p=\"urn:ietf:params:xml:ns:keyprov:pskc\" contentId=\"c\" version=\"2.3\">",
    );
    let mut list = |name: &str, item: &dyn Fn(usize) -> String| {
        write!(text, "<{name}>").unwrap();
        (0..count).for_each(|number| text.push_str(&item(number)));
        write!(text, "</{name}>").unwrap();
    };
    list("ContentKeyList", &|n| {
        let value = "<Data><p:Secret><p:PlainValue>AAAAAAAAAAAAAAAAAAAAAA==</p:PlainValue></p:Secret></Data>";
        format!("<ContentKey kid=\"{}\" commonEncryptionScheme=\"cenc\">{value}</ContentKey>", uuid(n))
    });
    list("DRMSystemList", &|n| {
        format!("<DRMSystem kid=\"{}\" systemId=\"edef8ba9-79d6-4ace-a3c8-27dcd51d21ed\"/>", uuid(n))
    });
    list("ContentKeyPeriodList", &|n| format!("<ContentKeyPeriod id=\"p{n}\" index=\"{n}\"/>"));
    list("ContentKeyUsageRuleList", &|n| {
        let filter = format!("<KeyPeriodFilter periodId=\"p{n}\"/>");
        format!(
            "<ContentKeyUsageRule kid=\"{}\" intendedTrackType=\"VIDEO\">{filter}</ContentKeyUsageRule>",
            uuid(n)
        )
    });
    text.push_str("</CPIX>");
    text.into_bytes()
}

#[test]
fn sixteen_thousand_keys_are_read_checked_shown_and_served() {
    let bytes = keys(16_000);
    assert_eq!(Original::parse(&bytes).unwrap().findings(None).unwrap(), [""; 0]);
    assert!(inspect(&bytes, Samples::Counted).unwrap().error.is_none());
    let document = read(&bytes).unwrap();
    let served = CpixFile::new(document.clone(), Strictness::Speke).exchange(&Nowhere, document.clone());
    assert_eq!(served.unwrap().content_keys.len(), 16_000);
    let lines: String = document
        .content_keys
        .iter()
        .enumerate()
        .map(|(n, key)| format!("VIDEO@{n}={}:{}\n", key.kid.hex(), "0".repeat(32)))
        .collect();
    let served = KeyFile::parse(&lines).unwrap().exchange(&Nowhere, document);
    assert_eq!(served.unwrap().content_keys.len(), 16_000);
}

#[test]
fn two_hundred_thousand_attributes_are_shown() {
    let attributes: String = (0..200_000).map(|n| format!(" a{n}=\"{n}\"")).collect();
    let shown = inspect(&format!("<x{attributes}/>").into_bytes(), Samples::Counted).unwrap();
    assert_eq!(shown.node.fields.len(), 200_000);
}

/// An MPD of these Periods, packed and verified; the media is one segment.
fn packs(periods: &str) {
    let text = format!(
        "<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" profiles=\"urn:mpeg:dash:profile:isoff-live:2011\" \
         type=\"static\" minBufferTime=\"PT2S\">{periods}</MPD>"
    );
    let folder = Folder::of([
        ("index.mpd", text.into_bytes()),
        ("init.mp4", fixture("clip/dash/2/init.mp4")),
        ("1.m4s", fixture("clip/dash/2/5.m4s")),
    ]);
    let job = Job { inputs: vec!["index.mpd".into()], drm: "widevine".into(), ..Job::default() };
    let (_, packed) = pack(&folder, &job).unwrap();
    let proof = prove(&Folder::new(packed), &["index.mpd"], Some((&folder, &["index.mpd"]))).unwrap();
    assert!(proof.findings.passed(), "{:?}", proof.findings.listed());
}

const TEMPLATE: &str =
    "<SegmentTemplate duration=\"2\" initialization=\"init.mp4\" media=\"$Number$.m4s\" startNumber=\"1\"/>";

fn set(representations: &str) -> String {
    format!(
        "<AdaptationSet contentType=\"audio\" mimeType=\"audio/mp4\">{TEMPLATE}{representations}</AdaptationSet>"
    )
}

fn representation(number: usize) -> String {
    format!("<Representation id=\"{number}\" bandwidth=\"1000\" codecs=\"mp4a.40.2\"/>")
}

#[test]
fn thousands_of_representations_adaptation_sets_and_periods_are_packed_and_verified() {
    let period = |inner: &str| format!("<Period duration=\"PT2S\">{inner}</Period>");
    packs(&period(&set(&(0..4_000).map(representation).collect::<String>())));
    packs(&period(&(0..2_000).map(|n| set(&representation(n))).collect::<String>()));
    packs(&(0..2_000).map(|n| period(&set(&representation(n)))).collect::<String>());
}

#[test]
fn thousands_of_tracks_are_refused() {
    let file = fixture("clip/dash/2/init.mp4");
    let mut boxes = drm_pack::isobmff::parse_file(&file).unwrap();
    let moov = boxes.iter_mut().find(|node| node.is(b"moov")).unwrap();
    let trak = moov.find(&[b"trak"]).unwrap().clone();
    (0..5_000).for_each(|_| moov.push(trak.clone()));
    let folder = Folder::of([("in.mp4", drm_pack::isobmff::write_file(&boxes))]);
    let job = Job { inputs: vec!["in.mp4".into()], drm: "widevine".into(), ..Job::default() };
    let error = pack(&folder, &job).unwrap_err().to_string();
    assert!(error.contains("more than 256 boxes trak"), "{error}");
}
