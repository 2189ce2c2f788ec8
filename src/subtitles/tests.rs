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
    let segments: Vec<_> = subtitles.segments(&[0, 2000, 5500, 7000], 9000, 90).unwrap().collect();
    let shown: Vec<_> =
        segments.iter().map(|text| (text.contains("Two lines"), text.contains("Late"))).collect();
    assert_eq!(shown, [(true, false), (true, false), (false, false), (false, true)]);
    assert!(
        segments[2].starts_with("WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:90,LOCAL:00:00:00.000\n\nSTYLE"),
        "{}",
        segments[2]
    );
}

/// WebVTT §6.3, "collect a WebVTT block".
#[test]
fn times_in_the_third_line_of_a_block_begin_another_one() {
    let text = "WEBVTT\n\nNOTE made by x\nfor y\n00:01.000 --> 00:02.000\none\n\n\
                id\n00:05.000 --> 00:06.000\ntwo\n00:07.000 --> 00:08.000\nthree\nid\n00:08.000 --> 00:09.000\nfour\n";
    let expected = [
        cue(1000, 2000, "one"),
        cue(5000, 6000, "two"),
        cue(7000, 8000, "three\nid"),
        cue(8000, 9000, "four"),
    ];
    assert_eq!(cues(Format::WebVtt, text), expected);
    let text = "WEBVTT\n\nSTYLE\n::cue { color: red }\n00:03.000 --> 00:04.000\nfive\n\nSTYLE\nlate\n";
    let subtitles = Subtitles::read(Format::WebVtt, text.as_bytes()).unwrap();
    assert_eq!(subtitles.blocks, ["STYLE\n::cue { color: red }"]);
    assert_eq!(cues(Format::WebVtt, text), [cue(3000, 4000, "five")]);
}

#[test]
fn segments_are_made_one_by_one_and_have_an_end() {
    let long =
        |seconds: u64| format!("WEBVTT\n\n00:00.000 --> {seconds:02}:00:00.000\n{}\n", "x".repeat(1 << 20));
    let read = |text: &str| Subtitles::read(Format::WebVtt, text.as_bytes()).unwrap();
    let starts: Vec<u64> = (0..1100).map(|number| number * 1000).collect();
    let error = read(&long(1)).segments(&starts, 1_100_000, 0).err().unwrap().to_string();
    assert!(error.contains("1100 segments") && error.contains("longer segments"), "{error}");
    let styled = format!("WEBVTT\n\nSTYLE\n{}\n\n00:00.000 --> 00:01.000\nx\n", "s".repeat(1 << 20));
    assert!(read(&styled).segments(&starts, 1_100_000, 0).is_err());
    assert_eq!(read(&styled).segments(&starts[..239], 239_000, 0).unwrap().count(), 239);
}

#[test]
fn work_grows_as_the_text_does() {
    // Elements without times change nothing, however many there are; of those with times only what is shown is work.
    let of = |inside: &str| format!("<tt><body><p begin='0s' end='9999s'>{inside}</p></body></tt>");
    assert_eq!(cues(Format::Ttml, &of(&format!("{}x", "<br/>".repeat(3000)))), [cue(0, 9_999_000, "x")]);
    let spans = |end: &dyn Fn(u32) -> String| {
        let spans = (0..5000).map(|at| format!("<span begin='{at}s'{}>x</span>", end(at)));
        of(&spans.collect::<String>())
    };
    let apart = spans(&|at| format!(" end='{at}.5s'"));
    assert_eq!(cues(Format::Ttml, &apart).len(), 5000);
    assert_eq!(cues(Format::Ttml, &apart.replace("<span", "\n        <span")).len(), 5000);
    let error = Subtitles::read(Format::Ttml, spans(&|_| String::new()).replace(">x<", ">xxxx<").as_bytes());
    assert!(error.unwrap_err().to_string().contains("changes so often"));
    // Cues of samples that go on.
    let boxed = |kind: &[u8; 4], payload: &[u8]| {
        let length = u32::try_from(payload.len() + 8).unwrap().to_be_bytes();
        [&length[..], kind, payload].concat()
    };
    let cues = (0..4000).flat_map(|n| boxed(b"vttc", &boxed(b"payl", format!("{n}").as_bytes())));
    let data: Vec<u8> = cues.collect();
    let samples = (0..5).map(|at| Ok(TextSample { start: at, end: at + 1, data: data.clone() }));
    let subtitles = webvtt_samples(&boxed(b"vttC", b"WEBVTT"), samples).unwrap();
    assert_eq!(subtitles.cues.len(), 4000);
    assert!(
        (0..).zip(&subtitles.cues).all(|(n, cue)| (cue.start, cue.end, &cue.text) == (0, 5, &format!("{n}")))
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
    let text = "1\n00:00:00,000 --> 00:00:01,000\nif a <3 and <b>b</b> > {2 {\\an8}\n";
    assert_eq!(cues(Format::SubRip, text), [cue(0, 1000, "if a &lt;3 and <b>b</b> &gt; {2")]);
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
    let apart = "<tt><body><p begin='0s' end='3s'> <span>a</span> <span begin='1s' end='2s'>b</span>\n <span>c</span> </p></body></tt>";
    assert_eq!(
        cues(Format::Ttml, apart),
        [cue(0, 1000, "a c"), cue(1000, 2000, "a b c"), cue(2000, 3000, "a c")]
    );
}

#[test]
fn ttml_hands_down_what_is_said_of_outer_elements() {
    let of = |attributes: &str, head: &str, body: &str| {
        format!("<tt xmlns:tts='s' xmlns:ttp='p' {attributes}><head>{head}</head>{body}</tt>")
    };
    let head = "<styling><style xml:id='i' tts:fontStyle='italic'/><style xml:id='rt' tts:ruby='text'/>\
                <style xml:id='no' tts:display='none'/><style xml:id='up' tts:displayAlign='before'/></styling>\
                <layout><region xml:id='top' style='up' tts:origin='10% 10%'/>\
                <region xml:id='low' tts:displayAlign='before' tts:origin='10% 80%'/>\
                <region xml:id='off' style='no'/><region xml:id='b'><style tts:fontWeight='bold'/></region></layout>";
    let at = |second: u32| format!("begin='{second}s' end='{}s'", second + 1);
    let body = [
        format!("<body style='i'><div region='top'><p {}>a <span tts:fontStyle='normal'>b</span></p>", at(1)),
        format!("<p region='low' {}>c</p></div><div region='off'><p {}>gone</p></div>", at(2), at(3)),
        format!("<div style='no'><p {}>gone</p></div><div region='b'><p {}>d</p></div>", at(4), at(5)),
        format!("<div tts:visibility='hidden'><p {}>gone<span tts:visibility='visible'>e</span></p>", at(6)),
        format!("</div><div tts:fontStyle='normal'><p {}><span tts:ruby='container'> ", at(7)),
        "<span tts:ruby='base'>漢</span> <span tts:ruby='delimiter'>(</span>".to_owned(),
        "<span style='rt'>かん</span></span>字<span tts:display='none'>gone</span></p>".to_owned(),
        format!("<p xml:space='preserve' {}>f\n  g</p><p begin='9s'>h</p></div></body>", at(8)),
    ];
    let text = of("", head, &body.concat());
    let subtitles = Subtitles::read(Format::Ttml, text.as_bytes()).unwrap();
    let found: Vec<_> = subtitles.cues.iter().map(|cue| (cue.text.as_str(), cue.settings.as_str())).collect();
    let expected = [
        ("<i>a </i>b", "line:0"),
        ("<i>c</i>", ""),
        ("<b><i>d</i></b>", ""),
        ("<i>e</i>", ""),
        ("<ruby>漢<rt>かん</rt></ruby>字", ""),
        ("f\ng", ""),
        ("h", ""),
    ];
    assert_eq!(found, expected);
    // What has no end is shown until that of everything.
    assert_eq!(subtitles.cues.last().unwrap().end, NEVER);
    let segments: Vec<_> = subtitles.segments(&[0, 8000, 10_000], 12_345, 0).unwrap().collect();
    assert!(segments[2].contains("00:00:09.000 --> 00:00:12.345\nh"), "{}", segments[2]);
    // Time codes count frames.
    let at = |parameters: &str, time: &str| {
        let body = format!("<body><p begin='{time}' end='02:00:00:00'>x</p></body>");
        Subtitles::read(Format::Ttml, of(parameters, "", &body).as_bytes()).map(|read| read.cues[0].start)
    };
    let rate = "ttp:frameRate='30' ttp:frameRateMultiplier='1000 1001'";
    for (more, time, expected) in [
        ("", "01:00:00:06", 3_600_200),
        ("ttp:timeBase='media'", "01:00:00:06", 3_600_200),
        ("ttp:timeBase='smpte'", "01:00:00:06", 3_603_800),
        ("ttp:timeBase='smpte' ttp:dropMode='dropNTSC'", "01:00:00:00", 3_599_996),
        ("ttp:timeBase='smpte' ttp:dropMode='dropNTSC'", "00:01:00:02", 60_060),
        ("ttp:timeBase='smpte' ttp:dropMode='dropNTSC'", "00:10:00:00", 600_000 - 1),
    ] {
        assert_eq!(at(&format!("{rate} {more}"), time).unwrap(), expected, "{more} {time}");
    }
    for wrong in
        ["ttp:timeBase='clock'", "ttp:dropMode='x' ttp:timeBase='smpte'", "ttp:frameRateMultiplier='1 0'"]
    {
        assert!(at(wrong, "1s").is_err(), "{wrong}");
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
    let starts: Vec<u64> = (0..12_000).map(|number| number * 3000).collect();
    let error = all.segments(&starts, 36_000_000, 0).err().unwrap();
    assert!(error.to_string().contains("give longer segments"), "{error}");
    assert_eq!(all.segments(&starts[..100], 300_000, 0).unwrap().count(), 100);
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
