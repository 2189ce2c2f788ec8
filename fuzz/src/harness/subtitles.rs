//! The target that reads text beside video: files of three formats, samples of two.

use drm_pack::base::Result;
use drm_pack::subtitles::{Cue, Format, NEVER, Subtitles, TextSample, timed_text, webvtt_samples};

use super::seeds::{Seeds, fixture, with_options};
use super::{Outcome, refused};

/// Where segments begin, in milliseconds.
const STARTS: [u64; 4] = [0, 1000, 4000, 60_000];
/// When the presentation ends.
const END: u64 = 90_000;

/// Text: read, written as WebVTT and read again; each segment has the cues that are shown in it and no other.
pub(crate) fn subtitles(data: &[u8]) -> Outcome {
    let Some((&options, bytes)) = data.split_first() else { return Outcome::Refused };
    let read = match options % 5 {
        0 => Subtitles::read(Format::WebVtt, bytes),
        1 => Subtitles::read(Format::SubRip, bytes),
        2 => Subtitles::read(Format::Ttml, bytes),
        3 => timed_text(samples(bytes)),
        _ => webvtt_samples(&[], samples(bytes)),
    };
    let subtitles = match read {
        Ok(subtitles) => subtitles,
        Err(error) => return refused(&error),
    };
    let again = file(&subtitles.to_webvtt());
    assert_eq!(
        (&again.cues, &again.blocks),
        (&subtitles.cues, &subtitles.blocks),
        "what was written is read"
    );
    let segments: Vec<String> = match subtitles.segments(&STARTS, END, 90_000) {
        Ok(segments) => segments.collect(),
        Err(error) => return refused(&error),
    };
    for (index, segment) in segments.iter().enumerate() {
        let (begin, end) = (STARTS[index], STARTS.get(index + 1).copied().unwrap_or(u64::MAX));
        let is_shown = |cue: &&Cue| cue.start < end && cue.end > begin;
        let mut shown: Vec<_> = subtitles.cues.iter().filter(is_shown).cloned().collect();
        for cue in shown.iter_mut().filter(|cue| cue.end == NEVER) {
            cue.end = END.max(cue.start + 1);
        }
        // Cues of a file count from its begin: the line that says otherwise is for segments.
        let map = "X-TIMESTAMP-MAP=MPEGTS:90000,LOCAL:00:00:00.000\n";
        assert!(segment.contains(map), "{segment}");
        assert_eq!(file(&segment.replacen(map, "", 1)).cues, shown, "segment {index}");
    }
    Outcome::Taken
}

fn file(text: &str) -> Subtitles {
    Subtitles::read(Format::WebVtt, text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The same sample twice, one behind the other, and once for no time.
fn samples(bytes: &[u8]) -> impl Iterator<Item = Result<TextSample>> {
    let times = [(0, 1500), (1500, 3000), (9000, 9000)];
    times.into_iter().map(|(start, end)| Ok(TextSample { start, end, data: bytes.to_vec() }))
}

fn boxed(kind: &[u8; 4], payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len() + 8).unwrap();
    [&length.to_be_bytes(), &kind[..], payload].concat()
}

pub(crate) fn seeds() -> Seeds {
    let webvtt = b"WEBVTT\nLanguage: de\n\nSTYLE\n::cue { color: lime }\n\nfirst\n00:00.500 --> 00:02.000 line:0\n<b>a</b> &amp; b\n\n\
                   NOTE none\n\n00:01.500 --> 01:00:09.000\nc\nd\n";
    let srt = b"1\r\n00:00:00,500 --> 00:00:02,000\r\n{\\an8}<i>a</i> < b\r\n\r\n2\r\n00:00:01,000 --> 00:00:05,000 X1:1\r\nc\r\n";
    let ttml = br#"<tt xmlns="http://www.w3.org/ns/ttml" xmlns:tts="http://www.w3.org/ns/ttml#styling" xml:lang="fr" frameRate="25">
<head><styling><style xml:id="s" tts:fontWeight="bold"/></styling>
<layout><region xml:id="r" tts:displayAlign="before" tts:origin="0% 10%"/></layout></head>
<body begin="1s"><div timeContainer="seq"><p region="r" begin="00:00:00:05" end="00:00:03">a<br/><span style="s" begin="500ms" dur="1s">b &lt;</span></p>
<p xml:space="preserve" dur="50f">c
d</p><p region="none"><span ruby="container"><span ruby="base" textDecoration="underline">e</span><span ruby="text">f</span></span></p></div></body></tt>"#;
    let styl =
        boxed(b"styl", &[&1_u16.to_be_bytes()[..], &[0, 0, 0, 1, 0, 1, 3, 18, 255, 255, 255, 255]].concat());
    let timed = [&[0, 3][..], b"a<b", &styl].concat();
    let cue = [boxed(b"iden", b"1"), boxed(b"sttg", b"line:0"), boxed(b"payl", b"a --> b\n\nc")].concat();
    [
        with_options(&[0], "webvtt", webvtt),
        with_options(&[0], "fixture-webvtt", &fixture("dash/text-webvtt/subs.vtt")),
        with_options(&[1], "srt", srt),
        with_options(&[2], "ttml", ttml),
        with_options(&[2], "fixture-ttml", &fixture("dash/text-ttml/subs.ttml")),
        with_options(&[3], "tx3g", &timed),
        with_options(&[4], "wvtt", &[boxed(b"vttc", &cue), boxed(b"vtte", &[])].concat()),
    ]
    .concat()
}
