//! Files of text as translators and programs write them — WebVTT, TTML, SubRip.

use super::*;

fn cues(format: Format, text: &str) -> Vec<(u64, u64, String)> {
    let subtitles = Subtitles::read(format, text.as_bytes()).unwrap();
    subtitles.cues.into_iter().map(|cue| (cue.start, cue.end, cue.text)).collect()
}

fn cue(start: u64, end: u64, text: &str) -> (u64, u64, String) {
    (start, end, text.to_owned())
}

#[test]
fn webvtt_is_read_and_cut() {
    let text = "\u{feff}WEBVTT - a film\r\nLanguage: eng\r\n\r\nSTYLE\r\n::cue { color: red }\r\n\r\nNOTE no cue\r\n\r\n\
                one\r\n00:01.000 --> 00:05.500 line:0 align:start\r\nTwo lines\r\nof <i>text</i>\r\n\r\n\
                01:00:07.250 --> 01:00:08.000\r\nLate\r\n";
    let subtitles = Subtitles::read(Format::WebVtt, text.as_bytes()).unwrap();
    assert_eq!(subtitles.language.as_deref(), Some("en"));
    assert_eq!(subtitles.blocks, ["STYLE\n::cue { color: red }"]);
    assert_eq!(
        (subtitles.cues[0].id.as_deref(), subtitles.cues[0].settings.as_str()),
        (Some("one"), "line:0 align:start")
    );
    // What was written is read back, and every segment has what is shown in it.
    let again = Subtitles::read(Format::WebVtt, subtitles.to_webvtt().as_bytes()).unwrap();
    assert_eq!((&again.cues, &again.blocks), (&subtitles.cues, &subtitles.blocks));
    let segments = subtitles.segments(&[0, 2000, 5500, 7000], 90).unwrap();
    let shown: Vec<_> =
        segments.iter().map(|text| (text.contains("Two lines"), text.contains("Late"))).collect();
    assert_eq!(shown, [(true, false), (true, false), (false, false), (false, true)]);
    assert!(
        segments[2].starts_with("WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:90,LOCAL:00:00:00.000\n\nSTYLE"),
        "{}",
        segments[2]
    );
}

#[test]
fn what_is_no_webvtt_is_named_with_its_line() {
    for (text, says) in [
        ("1\n00:00:00,500 --> 00:00:01,500\nx\n", "not WEBVTT"),
        ("WEBVTT\n\n00:01 --> 00:0x\nx\n", "line 3"),
        ("WEBVTT\n\n00:05.000 --> 00:01.000\nx\n", "ends before it begins"),
        ("WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000\n\n", "X-TIMESTAMP-MAP"),
    ] {
        let error = Subtitles::read(Format::WebVtt, text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn subrip_has_numbers_tags_and_marks_that_are_left_out() {
    let text = "1\n00:00:00,500 --> 00:00:01,500 X1:0\n<font color=\"red\">Good</font> <I>evening</I> & <3\n\n\
                2\n00:00:02,000 --> 00:00:03,500\n{\\an8}Rain\n\nagain\n3\n00:00:04,000 --> 00:00:05,000\n2024\n\n";
    assert_eq!(
        cues(Format::SubRip, text),
        [
            cue(500, 1500, "Good <i>evening</i> &amp; &lt;3"),
            cue(2000, 3500, "Rain\nagain"),
            cue(4000, 5000, "2024")
        ]
    );
    assert!(Subtitles::read(Format::SubRip, b"no times").is_err());
    let wide: Vec<u8> =
        "\u{feff}1\n00:00:01,000 --> 00:00:02,000\nä\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(Subtitles::read(Format::SubRip, &wide).unwrap().cues[0].text, "ä");
    assert!(
        Subtitles::read(Format::SubRip, b"1\n00:00:01,000 --> 00:00:02,000\n\xe4\n")
            .unwrap_err()
            .to_string()
            .contains("iconv")
    );
}

#[test]
fn ttml_says_when_by_nested_times() {
    let text = r#"<tt:tt xmlns:tt="http://www.w3.org/ns/ttml" xmlns:tts="urn:s" xmlns:ttp="urn:p" xml:lang="deu" ttp:frameRate="25" ttp:tickRate="10">
      <tt:head><tt:styling><tt:style xml:id="i" tts:fontStyle="italic"/></tt:styling>
        <tt:layout><tt:region xml:id="top" tts:displayAlign="before"/></tt:layout></tt:head>
      <tt:body><tt:div begin="1s">
        <tt:p begin="500ms" end="00:00:01.500">Guten
           Abend.<tt:br/>Ja &amp; <tt:span style="i">nein</tt:span></tt:p>
        <tt:p begin="00:00:02:05" dur="10t" region="top">Oben<tt:metadata>nicht</tt:metadata></tt:p>
        <tt:p begin="5s" end="7s">Eins<tt:span begin="1s"> zwei</tt:span></tt:p>
      </tt:div></tt:body></tt:tt>"#;
    assert_eq!(
        cues(Format::Ttml, text),
        [
            cue(1500, 2500, "Guten Abend.\nJa &amp; <i>nein</i>"),
            cue(3200, 4200, "Oben"),
            cue(6000, 7000, "Eins"),
            cue(7000, 8000, "Eins zwei"),
        ]
    );
    let subtitles = Subtitles::read(Format::Ttml, text.as_bytes()).unwrap();
    assert_eq!((subtitles.language.as_deref(), subtitles.cues[1].settings.as_str()), (Some("de"), "line:0"));
    let sequence = r#"<tt xmlns="http://www.w3.org/ns/ttml"><body><div timeContainer="seq"><p dur="1s">a</p><p begin="1s" dur="2s">b</p></div></body></tt>"#;
    assert_eq!(cues(Format::Ttml, sequence), [cue(0, 1000, "a"), cue(2000, 4000, "b")]);
    for wrong in
        ["<html/>", r#"<tt xmlns="http://www.w3.org/ns/ttml"><body><p begin="soon">a</p></body></tt>"#, "<tt"]
    {
        assert!(Subtitles::read(Format::Ttml, wrong.as_bytes()).is_err(), "{wrong}");
    }
}

#[test]
fn cues_of_samples_go_on_and_keep_their_faces() {
    let boxed = |kind: &[u8; 4], payload: &[u8]| {
        let mut bytes = u32::try_from(payload.len() + 8).unwrap().to_be_bytes().to_vec();
        bytes.extend(kind);
        bytes.extend(payload);
        bytes
    };
    let cue_box = boxed(b"vttc", &boxed(b"payl", b"Hello"));
    let sample = |start, end, data: Vec<u8>| Ok(TextSample { start, end, data });
    let samples = [
        sample(0, 10, cue_box.clone()),
        sample(10, 20, cue_box.clone()),
        sample(20, 30, boxed(b"vtte", b"")),
        sample(30, 40, cue_box),
    ];
    let config = boxed(b"vttC", b"WEBVTT\n\nSTYLE\nx");
    let subtitles = webvtt_samples(&config, samples.into_iter()).unwrap();
    assert_eq!(
        subtitles.cues.iter().map(|cue| (cue.start, cue.end)).collect::<Vec<_>>(),
        [(0, 20), (30, 40)]
    );
    assert_eq!(subtitles.blocks, ["STYLE\nx"]);
    let mut data = b"\0\x05ab<cd".to_vec();
    data.extend(boxed(b"styl", &[0, 1, 0, 1, 0, 3, 0, 1, 2, 18, 255, 255, 255, 255]));
    let subtitles = timed_text([sample(0, 5, data), sample(5, 5, vec![0, 0])].into_iter()).unwrap();
    assert_eq!(subtitles.cues.iter().map(|cue| cue.text.as_str()).collect::<Vec<_>>(), ["a<i>b&lt;</i>cd"]);
}

/// What takes longer than in proportion to its length is refused, or read at once.
#[test]
fn long_texts_are_read_in_time_or_refused() {
    for mark in ["<", "{\\", "<b", "{"] {
        let text = format!("00:00:00,000 --> 00:00:01,000\n{}\n", mark.repeat(50_000));
        assert_eq!(cues(Format::SubRip, &text).len(), 1, "{mark}");
    }
    let spans: String = (0..500).map(|i| format!("<span begin='{i}s' dur='1s'>x{i}</span>")).collect();
    let paragraph = |text: &str| {
        format!("<tt xml:lang='en'><body><div><p begin='0s' end='600s'>{text}{spans}</p></div></body></tt>")
    };
    assert!(cues(Format::Ttml, &paragraph("a song")).len() > 400);
    let error = Subtitles::read(Format::Ttml, paragraph(&"word ".repeat(100_000)).as_bytes()).unwrap_err();
    assert!(error.to_string().contains("divide it into paragraphs"), "{error}");
    let text = format!("WEBVTT\n\n00:00.000 --> 10:00:00.000\n{}\n", "x".repeat(100_000));
    let all = Subtitles::read(Format::WebVtt, text.as_bytes()).unwrap();
    let starts: Vec<u64> = (0..6000).map(|number| number * 6000).collect();
    assert!(all.segments(&starts, 0).unwrap_err().to_string().contains("give longer segments"));
    assert_eq!(all.segments(&starts[..100], 0).unwrap().len(), 100);
}

/// A carriage return ends a line of WebVTT, and an empty line a cue; an arrow would begin one.
#[test]
fn nothing_in_a_cue_ends_it_or_begins_another() {
    let text = "<tt xml:lang='en'><body><div><p begin='0s' end='2s' xml:space='preserve'>a&#13;&#13;b</p></div></body></tt>";
    assert_eq!(cues(Format::Ttml, text), [cue(0, 2000, "a\nb")]);
    let boxed = |kind: &[u8; 4], payload: &[u8]| {
        [&(8 + u32::try_from(payload.len()).unwrap()).to_be_bytes()[..], kind, payload].concat()
    };
    let data = boxed(b"vttc", &[boxed(b"iden", b"a ---->> b"), boxed(b"payl", b"text")].concat());
    let found = webvtt_samples(&[], [Ok(TextSample { start: 0, end: 9, data })].into_iter()).unwrap();
    assert!(!found.cues[0].id.as_deref().unwrap().contains("-->"), "{found:?}");
    let again = Subtitles::read(Format::WebVtt, found.to_webvtt().as_bytes()).unwrap();
    assert_eq!(again.cues, found.cues);
}
