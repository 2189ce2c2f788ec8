//! Laws of playlists — RFC 8216bis.

use std::ops::Range;

use super::media::{MediaPlaylist, Resource, map_byte_ranges, segments};
use super::multivariant::{
    MultivariantPlaylist, NewRendition, RenditionKind, RenditionType, Variant, renditions,
};
use super::{Playlist, PlaylistKind, media, multivariant, partial_segments};
use crate::base::Kind;

const MEDIA: &str = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:6\n# by hand\n\n#EXT-X-UNKNOWN:A=\"b,c\"\n\
#EXT-X-MAP:URI=\"init.mp4\",X-OTHER=1\n#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00Z\n#EXTINF:6.006,a title\n1.m4s\n\
#EXT-X-PART:DURATION=1.0,URI=\"p.m4s\"\n#EXT-X-DATERANGE:ID=\"d\",START-DATE=\"2026-01-01T00:00:00Z\"\n\
#EXTINF:5,\n#EXT-X-GAP\n2.m4s\n#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"init2.mp4\"\n#EXTINF:0.5\n  3.m4s?a=b  \n#EXT-X-ENDLIST\n";

const RANGES: &str = "#EXTM3U\n#EXT-X-VERSION:4\n#EXT-X-TARGETDURATION:2\n#EXT-X-I-FRAMES-ONLY\n\
#EXT-X-MAP: URI=\"a.mp4\", BYTERANGE=\"700@0\",X=1 \n#EXTINF:2,\n#EXT-X-BYTERANGE:100@700\na.mp4\n\
#EXTINF:2,\n#EXT-X-BYTERANGE:50 \na.mp4\n#EXTINF:2,\n#EXT-X-BYTERANGE:50\na.mp4\n\
#EXTINF:1,\n#EXT-X-BYTERANGE:10@5\nb.mp4\n#EXTINF:1,\nc.mp4\n#EXT-X-ENDLIST\n";

const MULTIVARIANT: &str = "#EXTM3U\n#EXT-X-INDEPENDENT-SEGMENTS\n\n# audio\n\
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"English, US\",LANGUAGE=\"en\",URI=\"en.m3u8\"\n\
#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"c\",NAME=\"CC\",INSTREAM-ID=\"CC1\"\n\
#EXT-X-STREAM-INF:BANDWIDTH=800000,CODECS=\"avc1.640028,mp4a.40.2\",RESOLUTION=1280x720,AUDIO=\"a\"\n\n# here\nv.m3u8\n\
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"i.m3u8\"\n#EXT-X-SESSION-DATA:DATA-ID=\"x\",VALUE=\"y\"\n";

const KEY_A: &str = "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://a\",KEYFORMAT=\"k.a\",KEYFORMATVERSIONS=\"1\"";
const KEY_B: &str =
    "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"data:,b\",KEYID=0x000102030405060708090A0B0C0D0E0F,KEYFORMAT=\"k.b\"";

fn parse(text: &str) -> Playlist {
    Playlist::parse(text.as_bytes()).unwrap()
}

fn text(playlist: &Playlist) -> String {
    String::from_utf8(playlist.to_bytes()).unwrap()
}

fn key_lines() -> Vec<String> {
    vec![KEY_A.to_owned(), KEY_B.to_owned()]
}

/// The forms in which the same lines may be written.
fn forms(playlist: &str) -> Vec<String> {
    vec![
        playlist.to_owned(),
        playlist.replace('\n', "\r\n"),
        format!("\u{feff}{playlist}"),
        playlist.trim_end().to_owned(),
        playlist.replace('\n', "\r\n").trim_end().to_owned(),
        format!("{playlist}\n\n \n"),
        playlist.replace('\n', " \t\n"),
        playlist.replacen('\n', "\r\n", 3),
    ]
}

#[test]
fn a_tag_has_nothing_in_front_of_it() {
    let key = "#EXT-X-KEY:METHOD=NONE";
    for (before, code) in [
        (" ", "0020"),
        ("\t", "0009"),
        ("\u{feff}", "FEFF"),
        (" \u{200b}", "200B"),
        ("\r", "000D"),
        ("x\u{2028}", "2028"),
    ] {
        for ending in ["\n", "\r\n", " \n"] {
            let text = format!("#EXTM3U{ending}#EXTINF:2,{ending}{before}{key}{ending}1.m4s");
            let error = Playlist::parse(text.as_bytes()).unwrap_err().to_string();
            let expected = format!("line 3: #EXT-X-KEY behind U+{code}, expected # as the first character");
            assert!(error.starts_with(&expected), "{before:?}: {error}");
        }
    }
    let error = Playlist::parse(b" #EXTM3U\n").unwrap_err().to_string();
    assert!(error.starts_with("line 1: #EXTM3U behind U+0020"), "{error}");
    // White space elsewhere hides nothing.
    let text =
        format!("\u{feff}#EXTM3U \n\t\n \u{a0}\n#EXTINF:2,a #EXT title\n  1.m4s \n{key}\t\n # no tag\n");
    assert_eq!(self::text(&parse(&text)), text);
}

#[test]
fn what_is_not_edited_is_written_as_it_was_read() {
    for playlist in [MEDIA, RANGES, MULTIVARIANT, "#EXTM3U", "#EXTM3U\n", "#EXTM3U\n\r\r\n\r"] {
        for form in forms(playlist) {
            assert_eq!(text(&parse(&form)), form);
        }
    }
}

#[test]
fn what_is_no_playlist_is_refused() {
    for bytes in
        [&b""[..], b"\n#EXTM3U\n", b"EXTM3U", b"#EXTM3U8\n", b"#EXTM3U\n\xff", b"#EXTM3U\r#EXTINF:1,\r"]
    {
        assert_eq!(Playlist::parse(bytes).unwrap_err().kind(), Kind::Input);
    }
    let many = format!("#EXTM3U{}", "\n".repeat(super::MAX_LINES + 1));
    assert!(Playlist::parse(many.as_bytes()).is_err());
    assert!(Playlist::parse(&vec![b'#'; crate::base::MAX_DOCUMENT_BYTES + 1]).is_err());
}

#[test]
fn the_kind_follows_from_the_tags() {
    assert_eq!(parse(MEDIA).kind().unwrap(), PlaylistKind::Media);
    assert_eq!(parse(MULTIVARIANT).kind().unwrap(), PlaylistKind::Multivariant);
    assert!(parse("#EXTM3U\n#EXT-X-VERSION:3\na\n").kind().is_err());
    let both = parse("#EXTM3U\n#EXTINF:1,\na\n#EXT-X-STREAM-INF:BANDWIDTH=1\nb\n").kind().unwrap_err();
    assert!(both.to_string().starts_with("line 4: EXT-X-STREAM-INF"), "{both}");
}

#[test]
fn segments_have_their_duration_map_and_gap() {
    for form in forms(MEDIA) {
        let found = segments(&parse(&form)).unwrap();
        let brief: Vec<_> = found
            .iter()
            .map(|s| (s.uri.as_str(), s.duration, s.gap, s.map.as_ref().unwrap().uri.as_str()))
            .collect();
        assert_eq!(
            brief,
            [
                ("1.m4s", 6.006, false, "init.mp4"),
                ("2.m4s", 5.0, true, "init.mp4"),
                ("3.m4s?a=b", 0.5, false, "init2.mp4")
            ]
        );
        assert_eq!((found[0].line, found[0].map.as_ref().unwrap().line), (9, 6));
    }
}

#[test]
fn byte_ranges_without_an_offset_continue_the_segment_before() {
    let found = segments(&parse(RANGES)).unwrap();
    let ranges: Vec<_> = found.iter().map(|s| s.byte_range.clone()).collect();
    assert_eq!(ranges, [Some(700..800), Some(800..850), Some(850..900), Some(5..15), None]);
    assert_eq!(found[0].map.as_ref().unwrap().byte_range, Some(0..700));
    for broken in [
        "#EXTINF:1,\n#EXT-X-BYTERANGE:10\na\n",
        "#EXTINF:1,\n#EXT-X-BYTERANGE:10@0\na\n#EXTINF:1,\n#EXT-X-BYTERANGE:10\nb\n",
        "#EXTINF:1,\na\n#EXTINF:1,\n#EXT-X-BYTERANGE:10\na\n",
        "#EXTINF:1,\n#EXT-X-BYTERANGE:10@18446744073709551615\na\n",
        "#EXTINF:1,\n#EXT-X-BYTERANGE:-1@0\na\n",
        "#EXTINF:1,\n#EXT-X-BYTERANGE:1@0\n#EXT-X-BYTERANGE:1@0\na\n",
        "#EXT-X-MAP:BYTERANGE=\"1@0\"\n",
        "#EXTINF:1,\n",
        "#EXTINF:-1,\na\n",
        "#EXTINF:nan,\na\n",
        "a\n",
    ] {
        assert_eq!(
            segments(&parse(&format!("#EXTM3U\n{broken}"))).unwrap_err().kind(),
            Kind::Input,
            "{broken}"
        );
    }
    let skip = segments(&parse("#EXTM3U\n#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n")).unwrap_err();
    assert_eq!(skip.kind(), Kind::Unsupported);
}

#[test]
fn variables_are_replaced_where_this_playlist_defines_them() {
    let list = "#EXTM3U\n#EXT-X-DEFINE:NAME=\"base\",VALUE=\"x/y\"\n#EXT-X-DEFINE:IMPORT=\"token\"\n\
                #EXT-X-MAP:URI=\"{$base}/i.mp4\"\n#EXTINF:1,\n{$base}/{$ 1{$a b}.m4s\n";
    let found = segments(&parse(list)).unwrap();
    assert_eq!(found[0].uri, "x/y/{$ 1{$a b}.m4s");
    assert_eq!(found[0].map.as_ref().unwrap().uri, "x/y/i.mp4");
    let mut imports = parse(&list.replace("{$ 1", "{$token}"));
    let error = segments(&imports).unwrap_err().to_string();
    assert!(error.starts_with("line 6: variable token takes its value from outside"), "{error}");
    let multivariant = parse("#EXTM3U\n#EXT-X-DEFINE:NAME=\"token\",VALUE=\"t\"\n");
    imports.named_by(&multivariant, "a.m3u8").unwrap();
    assert_eq!(segments(&imports).unwrap()[0].uri, "x/y/t{$a b}.m4s");
    let mut queried = parse("#EXTM3U\n#EXT-X-DEFINE:QUERYPARAM=\"q\"\n#EXTINF:1,\n{$q}.ts\n");
    queried.named_by(&multivariant, "a.m3u8?p=1&q=a%2Fb&q=c#q=d").unwrap();
    assert_eq!(segments(&queried).unwrap()[0].uri, "a/b.ts");
    assert_eq!(segments(&parse(&list.replace("{$ 1", "{$no}"))).unwrap_err().kind(), Kind::Input);
    let swelling = format!(
        "#EXTM3U\n#EXT-X-DEFINE:NAME=\"a\",VALUE=\"{}\"\n{}",
        "v".repeat(1 << 20),
        "#EXTINF:1,\n{$a}\n".repeat(100)
    );
    assert_eq!(segments(&parse(&swelling)).unwrap_err().kind(), Kind::Unsupported);
}

#[test]
fn every_key_is_found() {
    let list =
        format!("#EXTM3U\n{KEY_A}\n{KEY_B}\n#EXTINF:1,\na\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=0x1F\n");
    let keys = media::keys(&parse(&list)).unwrap();
    assert_eq!(keys.iter().map(|key| key.line).collect::<Vec<_>>(), [1, 2, 5]);
    assert_eq!((keys[0].key_format.as_str(), keys[2].key_format.as_str()), ("k.a", "identity"));
    assert_eq!(keys[1].key_id.unwrap().hex(), "000102030405060708090a0b0c0d0e0f");
    assert_eq!(
        keys[2].iv().unwrap_err().to_string().split(';').next(),
        Some("line 6: IV of 2 hexadecimal digits, 32 expected (RFC 8216bis §4.4.4.4)")
    );
    assert!(keys.iter().all(super::Key::encrypts));
    for broken in ["URI=\"k\"", "METHOD=AES-128", "METHOD=NONE,IV=12"] {
        assert!(media::keys(&parse(&format!("#EXTM3U\n#EXT-X-KEY:{broken}\n"))).is_err(), "{broken}");
    }
}

#[test]
fn keys_go_behind_a_leading_map_else_before_the_first_segment() {
    let keys = format!("{KEY_A}\n{KEY_B}\n");
    let mut playlist = parse(MEDIA);
    media::protect(&mut playlist, &key_lines()).unwrap();
    assert_eq!(text(&playlist), MEDIA.replace("X-OTHER=1\n", &format!("X-OTHER=1\n{keys}")));

    let late = "#EXTM3U\r\n#EXT-X-TARGETDURATION:1\r\n# c\r\n#EXT-X-DISCONTINUITY\r\n#EXTINF:1,\r\na\r\n#EXT-X-MAP:URI=\"i\"\r\n#EXTINF:1,\r\nb";
    let mut playlist = parse(late);
    media::protect(&mut playlist, &[format!("{KEY_A}\n\n{KEY_B}\r\n"), KEY_A.into()]).unwrap();
    let expected = late
        .replace("#EXT-X-DISC", &format!("{}#EXT-X-DISC", keys.replace('\n', "\r\n")))
        .replace("#EXTM3U\r\n", "#EXTM3U\r\n#EXT-X-VERSION:6\r\n");
    assert_eq!(text(&playlist), expected);

    let mut empty = parse("#EXTM3U\n#EXT-X-MAP:URI=\"i\"");
    media::protect(&mut empty, &key_lines()).unwrap();
    assert_eq!(text(&empty), format!("#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-MAP:URI=\"i\"\n{}", keys.trim_end()));
}

#[test]
fn the_version_rises_as_needed_and_never_falls() {
    for (before, after) in [
        ("#EXT-X-VERSION: 3 \n#EXTINF:1,\na\n", "#EXT-X-VERSION: 5 \n"),
        ("#EXT-X-VERSION:9\n#EXTINF:1,\na\n", "#EXT-X-VERSION:9\n"),
        ("#EXT-X-I-FRAMES-ONLY\n#EXT-X-MAP:URI=\"i\"\n#EXTINF:1,\na\n", "#EXT-X-VERSION:5\n"),
        ("#EXT-X-MAP:URI=\"i\"\n#EXTINF:1,\na\n", "#EXT-X-VERSION:6\n"),
        ("#EXT-X-DEFINE:NAME=\"a\",VALUE=\"b\"\n#EXTINF:1,\na\n", "#EXT-X-VERSION:8\n"),
    ] {
        let mut playlist = parse(&format!("#EXTM3U\n{before}"));
        media::protect(&mut playlist, &key_lines()).unwrap();
        assert!(text(&playlist).starts_with(&format!("#EXTM3U\n{after}")), "{}", text(&playlist));
    }
    let mut plain = parse("#EXTM3U\n#EXTINF:1,\na\n");
    let key = |digits: &str| [format!("#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=0x{digits}")];
    assert_eq!(media::protect(&mut plain, &key("1")).unwrap_err().kind(), Kind::Keys);
    media::protect(&mut plain, &key(&"01".repeat(16))).unwrap();
    assert!(text(&plain).starts_with("#EXTM3U\n#EXT-X-VERSION:2\n#EXT-X-KEY"));
}

#[test]
fn unprotect_undoes_protect() {
    for playlist in [MEDIA, RANGES] {
        // The version is raised for good, so start from one that suffices.
        for form in forms(&playlist.replace("VERSION:4", "VERSION:7")) {
            let mut edited = parse(&form);
            media::protect(&mut edited, &key_lines()).unwrap();
            assert_eq!(edited.lines().len(), parse(&form).lines().len() + 2);
            let once = text(&edited);
            media::protect(&mut edited, &key_lines()).unwrap();
            assert_eq!(text(&edited), once);
            assert!(media::protect(&mut edited, &[KEY_A.into()]).is_err());
            media::unprotect(&mut edited);
            assert_eq!(text(&edited), form);
        }
    }
    for form in forms(&MULTIVARIANT.replacen('\n', "\n#EXT-X-VERSION:5\n", 1)) {
        let mut edited = parse(&form);
        let lines: Vec<_> = key_lines().iter().map(|line| line.replace("X-KEY", "X-SESSION-KEY")).collect();
        multivariant::protect(&mut edited, &lines).unwrap();
        let once = text(&edited);
        multivariant::protect(&mut edited, &[lines.clone(), lines].concat()).unwrap();
        assert_eq!(text(&edited), once);
        assert_eq!(multivariant::session_keys(&edited).unwrap().len(), 2);
        assert_eq!(edited.lines().len(), parse(&form).lines().len() + 2);
        let limits = multivariant::Limits {
            hdcp_level: Some("TYPE-1".into()),
            allowed_cpc: Some("com.example:HIGH/LOW,b:C".into()),
        };
        multivariant::limit(&mut edited, &|_| Ok(limits.clone())).unwrap();
        assert!(text(&edited).contains(",HDCP-LEVEL=TYPE-1,ALLOWED-CPC=\"com.example:HIGH/LOW,b:C\""));
        multivariant::unprotect(&mut edited).unwrap();
        assert_eq!(text(&edited), form);
    }
}

#[test]
fn key_lines_that_would_leave_segments_clear_are_refused() {
    for lines in [
        vec![],
        vec!["# comment".to_owned()],
        vec!["#EXT-X-KEY:METHOD=NONE".to_owned()],
        vec!["#EXT-X-KEY:METHOD=SAMPLE-AES".to_owned()],
        vec!["#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI=\"secret\"".to_owned()],
    ] {
        let mut playlist = parse(MEDIA);
        let error = media::protect(&mut playlist, &lines).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
        assert_eq!(text(&playlist), MEDIA);
    }
    let mut ended = parse("#EXTM3U\n#EXTINF:1,\na\n#EXT-X-KEY:METHOD=NONE\n#EXTINF:1,\nb\n");
    media::protect(&mut ended, &key_lines()).unwrap();
    assert!(!text(&ended).contains("NONE"));
}

#[test]
fn byte_ranges_move_and_keep_their_form() {
    let mut playlist = parse(RANGES);
    let mut seen = Vec::new();
    map_byte_ranges(&mut playlist, &mut |uri: &str, range: Range<u64>| {
        seen.push((uri.to_owned(), range.clone()));
        Ok(range)
    })
    .unwrap();
    assert_eq!(text(&playlist), RANGES);
    assert_eq!(seen.len(), 5);

    // The map grows by 80, and every fragment by 8.
    let grow = |_: &str, range: Range<u64>| match range.start {
        0 => Ok(0..780),
        700 => Ok(780..888),
        800 => Ok(888..946),
        850 => Ok(946..1004),
        _ => Ok(range),
    };
    map_byte_ranges(&mut playlist, &mut { grow }).unwrap();
    let expected = RANGES
        .replace("700@0", "780@0")
        .replace("100@700", "108@780")
        .replace("BYTERANGE:50 \n", "BYTERANGE:58 \n")
        .replace("BYTERANGE:50\n", "BYTERANGE:58\n");
    assert_eq!(text(&playlist), expected);

    let mut playlist = parse(RANGES);
    let apart = |_: &str, range: Range<u64>| Ok(range.start * 2..range.start + range.end);
    map_byte_ranges(&mut playlist, &mut { apart }).unwrap();
    assert!(text(&playlist).contains("BYTERANGE:50@1600 \na.mp4"));
    let moved = segments(&playlist).unwrap();
    assert_eq!(moved[2].byte_range, Some(1700..1750));

    let mut playlist = parse(RANGES);
    let fails = |_: &str, range: Range<u64>| {
        if range.start == 850 {
            Err(crate::base::Error::input("gone"))
        } else {
            Ok(range.start..range.end + 1)
        }
    };
    let error = map_byte_ranges(&mut playlist, &mut { fails }).unwrap_err();
    assert_eq!(error.to_string(), "line 13: EXT-X-BYTERANGE: gone");
    assert_eq!(text(&playlist), RANGES);
}

#[test]
fn byte_ranges_of_variables_and_parts() {
    let list = "#EXTM3U\n#EXT-X-DEFINE:NAME=\"f\",VALUE=\"a.mp4\"\n#EXT-X-MAP:URI=\"{$f}\",BYTERANGE=\"9\"\n#EXTINF:1,\n#EXT-X-BYTERANGE:1@9\n{$f}\n";
    let mut playlist = parse(list);
    let up = |uri: &str, range: Range<u64>| {
        assert_eq!(uri, "a.mp4");
        Ok(range.start + 1..range.end + 1)
    };
    map_byte_ranges(&mut playlist, &mut { up }).unwrap();
    assert_eq!(text(&playlist), list.replace("\"9\"", "\"9@1\"").replace("1@9", "1@10"));
    let list = "#EXTM3U\n#EXT-X-PART:DURATION=1,URI=\"a.mp4\",BYTERANGE=\"2@0\"\n\
        #EXT-X-PART:DURATION=1,URI=\"a.mp4\",BYTERANGE=\"3\",INDEPENDENT=YES\n\
        #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"a.mp4\",BYTERANGE-START=5\n\
        #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"a.mp4\",BYTERANGE-START=5,BYTERANGE-LENGTH=1\n\
        #EXT-X-PRELOAD-HINT:TYPE=MAP,URI=\"other\"\n";
    let mut parts = parse(list);
    let twice = |_: &str, range: Range<u64>| Ok(range.start * 2..range.end * 2);
    map_byte_ranges(&mut parts, &mut { twice }).unwrap();
    let doubled = list.replace("2@0", "4@0").replace("\"3\"", "\"6\"").replace("START=5", "START=10");
    assert_eq!(text(&parts), doubled.replace("LENGTH=1", "LENGTH=2"));
    let nowhere = parse("#EXTM3U\n#EXT-X-PART:DURATION=1,URI=\"a\",BYTERANGE=\"1\"\n");
    let error = partial_segments(&nowhere).unwrap_err().to_string();
    assert!(error.starts_with("line 2: EXT-X-PART: byte range without an offset"), "{error}");
}

#[test]
fn every_named_playlist_is_found() {
    for form in forms(MULTIVARIANT) {
        let found = renditions(&parse(&form)).unwrap();
        let brief: Vec<_> = found.iter().map(|r| (r.line, r.uri.as_str(), r.kind.clone())).collect();
        assert_eq!(
            brief,
            [
                (4, "en.m3u8", RenditionKind::Media("AUDIO".into())),
                (6, "v.m3u8", RenditionKind::Variant),
                (10, "i.m3u8", RenditionKind::IFrame)
            ]
        );
        assert_eq!(found[0].attributes.quoted_string("NAME").unwrap(), Some("English, US"));
        assert_eq!(found[1].attributes.decimal_resolution("RESOLUTION").unwrap(), Some((1280, 720)));
    }
    for broken in [
        "#EXT-X-STREAM-INF:BANDWIDTH=1\n",
        "#EXT-X-STREAM-INF:BANDWIDTH=1\n#EXT-X-STREAM-INF:BANDWIDTH=1\na\n",
        "a\n",
        "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1\n",
        "#EXT-X-MEDIA:URI=\"a\"\n",
    ] {
        assert!(renditions(&parse(&format!("#EXTM3U\n{broken}"))).is_err(), "{broken}");
    }
}

/// Everything that reads or edits; only panics count.
fn exercise(bytes: &[u8]) {
    let Ok(playlist) = Playlist::parse(bytes) else { return };
    assert_eq!(playlist.to_bytes(), bytes);
    let _ = (playlist.kind(), segments(&playlist), renditions(&playlist), media::keys(&playlist));
    let mut edited = playlist.clone();
    let _ = media::protect(&mut edited, &key_lines());
    let _ = map_byte_ranges(&mut edited, &mut |_, range| Ok(range.start..range.end.saturating_add(7)));
    media::unprotect(&mut edited);
    let _ = multivariant::protect(&mut edited, &[KEY_A.replace("X-KEY", "X-SESSION-KEY")]);
    let _ = multivariant::unprotect(&mut edited);
    let again = edited.to_bytes();
    assert_eq!(Playlist::parse(&again).unwrap().to_bytes(), again);
}

#[test]
fn no_truncation_and_no_mutation_panics() {
    let protected = format!("{}{KEY_B}\n", MEDIA.replace("#EXTINF:5", &format!("{KEY_A}\r\n#EXTINF:5")));
    let define =
        "#EXTM3U\n#EXT-X-DEFINE:NAME=\"f\",VALUE=\"a\"\n#EXTINF:1,\n#EXT-X-BYTERANGE:1@2\n{$f}{$f}\n";
    let mut seed: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut next = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below as u64).unwrap()
    };
    for playlist in [MEDIA, RANGES, MULTIVARIANT, &protected, define] {
        for length in 0..=playlist.len() {
            exercise(&playlist.as_bytes()[..length]);
        }
        for _ in 0..2000 {
            let mut bytes = playlist.as_bytes().to_vec();
            for _ in 0..=next(3) {
                let at = 7 + next(bytes.len() - 7);
                match next(3) {
                    0 => bytes[at] = u8::try_from(next(256)).unwrap(),
                    1 => bytes[at] = b"\",=@:#\n\r {$}0"[next(13)],
                    _ => drop(bytes.remove(at)),
                }
            }
            exercise(&bytes);
        }
    }
}

fn new_media() -> MediaPlaylist {
    let range = |uri: &str, byte_range| Resource { uri: uri.into(), byte_range };
    MediaPlaylist {
        i_frames_only: false,
        tiles: None,
        map: Some(range("v.mp4", Some(0..800))),
        key_lines: key_lines(),
        segments: vec![
            (range("v.mp4", Some(800..1800)), 6.4),
            (range("v.mp4", Some(1800..2000)), 6.499_999_9),
            (range("tail.m4s", None), 1.0 / 3.0),
        ],
        independent_segments: true,
    }
}

#[test]
fn a_written_media_playlist_is_read_by_others() {
    let playlist = media::write(&new_media()).unwrap();
    let bytes = playlist.to_bytes();
    let read = m3u8_rs::parse_media_playlist_res(&bytes).unwrap();
    assert_eq!((read.version, read.target_duration, read.end_list), (Some(6), 7, true));
    assert!(read.independent_segments);
    assert_eq!(read.segments.len(), 3);
    let map = read.segments[0].map.as_ref().unwrap();
    assert_eq!((map.uri.as_str(), map.byte_range.as_ref().unwrap().length), ("v.mp4", 800));
    assert_eq!(read.segments[0].key.as_ref().unwrap().keyformat.as_deref(), Some("k.b"));
    assert_eq!(read.segments[1].byte_range.as_ref().unwrap().offset, Some(1800));
    assert!(text(&playlist).contains("#EXTINF:0.333333,\ntail.m4s\n#EXT-X-ENDLIST\n"));
    // 6.4999999 is written as 6.500000, which rounds to 7.
    assert!(text(&playlist).contains("#EXTINF:6.500000,\n"));
    assert_eq!(media::keys(&playlist).unwrap().len(), 2);
    assert_eq!(segments(&playlist).unwrap()[0].byte_range, Some(800..1800));
    for duration in [-1.0, f64::NAN, f64::INFINITY, 1e30] {
        let mut new = new_media();
        new.segments[0].1 = duration;
        assert_eq!(media::write(&new).unwrap_err().kind(), Kind::Usage);
    }
    for uri in ["", "a b", "#a", "a\nb", "a\"b", "{$a}"] {
        let mut new = new_media();
        new.segments[0].0.uri = uri.into();
        assert!(media::write(&new).is_err(), "{uri}");
    }
}

fn new_multivariant() -> MultivariantPlaylist {
    let audio = |name: &str, default| NewRendition {
        rendition_type: RenditionType::Audio,
        group_id: "a".into(),
        name: name.into(),
        language: Some("en".into()),
        forced: false,
        characteristics: Vec::new(),
        default,
        channels: Some("2".into()),
        uri: format!("{name}.m3u8"),
    };
    let session_key = KEY_A.replace("X-KEY", "X-SESSION-KEY");
    MultivariantPlaylist {
        i_frames: Vec::new(),
        images: Vec::new(),
        session_key_lines: vec![session_key.clone(), session_key],
        renditions: vec![audio("one", true), audio("two", false)],
        variants: vec![Variant {
            bandwidth: 2_000_000,
            average_bandwidth: Some(1_500_000),
            codecs: "avc1.64001f,mp4a.40.2".into(),
            resolution: Some((1280, 720)),
            frame_rate: Some(30000.0 / 1001.0),
            audio: Some("a".into()),
            subtitles: None,
            uri: "v.m3u8".into(),
            ..Variant::default()
        }],
        independent_segments: true,
    }
}

#[test]
fn a_written_multivariant_playlist_is_read_by_others() {
    let playlist = multivariant::write(&new_multivariant()).unwrap();
    let bytes = playlist.to_bytes();
    let read = m3u8_rs::parse_master_playlist_res(&bytes).unwrap();
    assert_eq!((read.version, read.session_key.len(), read.alternatives.len()), (Some(6), 1, 2));
    let variant = &read.variants[0];
    assert_eq!((variant.bandwidth, variant.average_bandwidth), (2_000_000, Some(1_500_000)));
    assert_eq!((variant.frame_rate, variant.audio.as_deref()), (Some(29.97), Some("a")));
    assert_eq!(read.alternatives[0].channels.as_deref(), Some("2"));
    assert!(read.alternatives[0].default && !read.alternatives[1].default);
    // Nothing that players choose by tells the second from the first.
    assert!(read.alternatives[0].autoselect && !read.alternatives[1].autoselect);
    assert_eq!(renditions(&playlist).unwrap().len(), 3);
    assert_eq!(playlist.kind().unwrap(), PlaylistKind::Multivariant);

    let mut both_default = new_multivariant();
    both_default.renditions[1].default = true;
    let mut no_group = new_multivariant();
    no_group.variants[0].audio = Some("b".into());
    let mut bad_rate = new_multivariant();
    bad_rate.variants[0].frame_rate = Some(f64::NAN);
    let mut no_subtitles = new_multivariant();
    no_subtitles.variants[0].subtitles = Some("a".into());
    for new in [both_default, no_group, no_subtitles, bad_rate] {
        assert!(multivariant::write(&new).is_err());
    }
}

#[test]
fn lines_inserted_in_many_places_are_those_inserted_one_by_one_from_the_end() {
    for text in [MEDIA, MEDIA.trim_end(), &MEDIA.replace('\n', "\r\n")] {
        let read = Playlist::parse(text.as_bytes()).unwrap();
        let end = read.lines().len();
        for indexes in [vec![], vec![0, 1, 1, 5, end], vec![end, end + 3], (0..=end).collect()] {
            let insertions: Vec<_> =
                indexes.iter().map(|index| (*index, vec![format!("#{index}")])).collect();
            let (mut at_once, mut one_by_one) = (read.clone(), read.clone());
            at_once.insert_all(insertions.clone());
            insertions.into_iter().rev().for_each(|(index, lines)| one_by_one.insert(index, lines));
            assert_eq!(at_once, one_by_one, "{indexes:?}");
        }
    }
}

#[test]
fn tags_without_a_key_do_not_end_the_reach_of_runs() {
    let none = "#EXT-X-KEY:METHOD=NONE\n";
    let text = format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n{none}#EXTINF:2,\n0\n#EXTINF:2,\n1\n{none}#EXTINF:2,\n2\n#EXTINF:2,\n3\n"
    );
    let mut playlist = Playlist::parse(text.as_bytes()).unwrap();
    let key = |name: &str| vec![format!("#EXT-X-KEY:METHOD=AES-128,URI=\"{name}\"")];
    media::protect_runs(&mut playlist, &[(4, Vec::new()), (6, key("a")), (11, key("b"))], false).unwrap();
    let out = String::from_utf8(playlist.to_bytes()).unwrap();
    let expected = text
        .replace(none, "")
        .replace("#EXTINF:2,\n1", "#EXT-X-KEY:METHOD=AES-128,URI=\"a\"\n#EXTINF:2,\n1")
        .replace("#EXTINF:2,\n3", "#EXT-X-KEY:METHOD=AES-128,URI=\"b\"\n#EXTINF:2,\n3");
    assert_eq!(out, expected);
}
