//! The laws of transport streams, packed audio and AES-128: inverse, footprint, counters and clocks, players' view.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use drm_pack::base::Secret;
use drm_pack::package::protect_ts_segment;
use drm_pack::presentation::SegmentKind;
use drm_pack::protect::Aes128;
use drm_pack::ts::{PACKET_BYTES, Packet, Pmt, sections};

use crate::support::media::{root, shared};
use crate::support::ts::{IV, KEY, counter_faults, demux, packets, run, sample_aes};
use crate::ts_metadata::busy;

/// Playlists of transport streams and packed audio, with the names of their segments.
fn playlists() -> Vec<(PathBuf, Vec<String>)> {
    let mut folders = vec![root().join("fixtures/clip/hls-ts")];
    if let Some(shared) = shared() {
        folders.extend(fs::read_dir(shared.join("hls")).unwrap().map(|entry| entry.unwrap().path()));
    }
    folders.sort();
    let mut found = Vec::new();
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for path in files.iter().filter(|path| path.extension().is_some_and(|e| e == "m3u8")) {
            let text = fs::read_to_string(path).unwrap();
            let names: Vec<String> = text
                .lines()
                .filter(|line| !line.starts_with('#') && !line.is_empty())
                .map(str::to_owned)
                .collect();
            let ours = |name: &String| {
                (name.ends_with(".ts") || name.ends_with(".aac")) && folder.join(name).is_file()
            };
            if !names.is_empty() && names.iter().all(ours) {
                found.push((path.clone(), names));
            }
        }
    }
    assert!(!found.is_empty());
    found
}

fn segments() -> Vec<(PathBuf, Vec<u8>)> {
    let mut paths: Vec<PathBuf> = playlists()
        .iter()
        .flat_map(|(path, names)| {
            names.iter().map(|name| path.parent().unwrap().join(name)).collect::<Vec<_>>()
        })
        .collect();
    paths.sort();
    paths.dedup();
    paths.into_iter().map(|path| (path.clone(), fs::read(&path).unwrap())).collect()
}

fn clocks(stream: &[u8]) -> Vec<(u16, u64)> {
    let views = packets(stream).map(|bytes| Packet::parse(bytes).unwrap());
    views.filter_map(|packet| Some((packet.pid(), packet.pcr()?))).collect()
}

/// The packets of PIDs that are not rewritten: all but the map's and the encrypted streams'.
fn others<'a>(stream: &'a [u8], rewritten: &[u16]) -> Vec<&'a [u8; PACKET_BYTES]> {
    packets(stream).filter(|bytes| !rewritten.contains(&Packet::parse(bytes).unwrap().pid())).collect()
}

/// Everything that must hold between a clear segment and its protected form.
pub(crate) fn check_ts(name: &str, clear: &[u8]) -> Vec<u8> {
    let protected = run(clear, true).unwrap_or_else(|error| panic!("{name}: {error}"));
    let decrypted = run(&protected, false).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_ne!(demux(&protected), demux(clear), "{name}");
    assert!(demux(&decrypted) == demux(clear), "{name}: other elementary streams");
    assert_eq!(clocks(&protected), clocks(clear), "{name}");
    assert_eq!(counter_faults(&protected), counter_faults(clear), "{name}");
    let (pids, _) = streams(clear);
    assert_eq!(others(&protected, &pids), others(clear, &pids), "{name}");
    assert!(run(&protected, true).unwrap_err().to_string().contains("encrypted already"), "{name}");
    protected
}

/// The PIDs of the encrypted streams and of the map, and how many samples the streams have.
fn streams(clear: &[u8]) -> (Vec<u16>, u64) {
    let totals = protect_ts_segment(&clear.to_vec(), &mut Vec::new(), &sample_aes()).unwrap().streams;
    let mut pids: Vec<u16> = totals.iter().map(|totals| totals.stream.pid).collect();
    for bytes in packets(clear) {
        let packet = Packet::parse(bytes).unwrap();
        if packet.payload_unit_start() && packet.payload().is_some_and(|payload| payload.starts_with(&[0, 2]))
        {
            pids.push(packet.pid());
        }
    }
    (pids, totals.iter().map(|totals| totals.totals.samples).sum())
}

#[test]
fn decrypting_gives_the_elementary_streams_back_and_nothing_else_changes() {
    for (path, clear) in segments() {
        let name = path.display().to_string();
        match SegmentKind::of(&clear).unwrap() {
            SegmentKind::Ts => drop(check_ts(&name, &clear)),
            SegmentKind::PackedAudio(_) => {
                let protected = run(&clear, true).unwrap();
                assert!(protected.len() > clear.len(), "{name}: no setup information");
                assert!(run(&protected, false).unwrap() == clear, "{name}");
                assert!(
                    run(&protected, true).unwrap_err().to_string().contains("encrypted already"),
                    "{name}"
                );
            }
            kind => panic!("{name}: {kind:?}"),
        }
    }
}

#[test]
fn counters_and_clocks_run_on_over_segments_as_they_did() {
    for (path, names) in playlists() {
        let read = |name: &String| fs::read(path.parent().unwrap().join(name)).unwrap();
        if !names[0].ends_with(".ts") {
            continue;
        }
        let clear: Vec<u8> = names.iter().flat_map(&read).collect();
        let protected: Vec<u8> = names.iter().flat_map(|name| run(&read(name), true).unwrap()).collect();
        let by_pid = |faults: Vec<(u16, usize)>| faults.iter().map(|(pid, _)| *pid).collect::<Vec<_>>();
        assert_eq!(by_pid(counter_faults(&protected)), by_pid(counter_faults(&clear)), "{}", path.display());
        assert_eq!(clocks(&protected), clocks(&clear), "{}", path.display());
    }
}

fn ffmpeg(arguments: &[&str], folder: &Path) -> Option<(Vec<u8>, String)> {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner", "-v", "warning"])
        .args(arguments)
        .current_dir(folder)
        .output()
        .map_err(|_| println!("skipped: ffmpeg is not here"))
        .ok()?;
    // Addresses of FFmpeg's objects differ from run to run.
    let mut text = String::from_utf8_lossy(&output.stderr).into_owned();
    while let Some(start) = text.find(" @ 0x") {
        let end = text[start..].find(']').map_or(text.len(), |end| start + end);
        text.replace_range(start..end, "");
    }
    assert!(output.status.success(), "{arguments:?}: {text}");
    Some((output.stdout, text))
}

/// What FFmpeg demuxes of video and audio from a playlist: hashes of packets with their times, and what it had to
/// say.
fn frames(playlist: &str, folder: &Path) -> Option<(Vec<u8>, String)> {
    let reading = ["-allowed_extensions", "ALL", "-i", playlist];
    ffmpeg(
        &[&reading[..], &["-map", "0:v?", "-map", "0:a?", "-c", "copy", "-f", "framemd5", "-"]].concat(),
        folder,
    )
}

/// FFmpeg 5.1 gives out the last frames of a playlist as they are, since no segment is current any more: the last
/// segment is there twice, and so many frames at its second end are not compared.
const LAST_FRAMES: usize = 40;

/// The playlist with its last segment once more.
fn with_an_end(text: &str, last: &str) -> String {
    let text = text.replace("#EXT-X-ENDLIST", "");
    format!("{}\n#EXT-X-DISCONTINUITY\n#EXTINF:10,\n{last}\n#EXT-X-ENDLIST\n", text.trim_end())
}

/// Writes segments and a playlist, clear and protected, and compares what FFmpeg reads from each.
pub(crate) fn assert_ffmpeg_agrees(name: &str, text: &str, files: &[(String, Vec<u8>)], method: &str) {
    let folder = tempfile::tempdir().unwrap();
    let (clear, protected) = (folder.path().join("clear"), folder.path().join("protected"));
    fs::create_dir_all(&clear).unwrap();
    fs::create_dir_all(&protected).unwrap();
    for (file, bytes) in files {
        fs::write(clear.join(file), bytes).unwrap();
        let encrypted = match method {
            "AES-128" => {
                let mut out = Vec::new();
                Aes128::new(&Secret::new(KEY), IV).encrypt(bytes, &mut out).unwrap();
                out
            }
            _ => run(bytes, true).unwrap(),
        };
        fs::write(protected.join(file), encrypted).unwrap();
    }
    let text = with_an_end(text, &files.last().unwrap().0);
    let iv: String = IV.iter().map(|byte| format!("{byte:02x}")).collect();
    let key = format!("#EXT-X-KEY:METHOD={method},URI=\"the.key\",IV=0x{iv}\n#EXTINF");
    fs::write(protected.join("the.key"), KEY).unwrap();
    fs::write(clear.join("index.m3u8"), &text).unwrap();
    fs::write(protected.join("index.m3u8"), text.replacen("#EXTINF", &key, 1)).unwrap();
    let Some((frames_clear, said_clear)) = frames("index.m3u8", &clear) else { return };
    let Some((frames_protected, said)) = frames("index.m3u8", &protected) else { return };
    // Packed audio that announces its codec gets its times in units of its sampling frequency.
    let skipped = if files[0].0.ends_with(".ts") { 0 } else { 4 };
    let hashes = |text: &[u8]| -> Vec<String> {
        let text = String::from_utf8_lossy(text).into_owned();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| line.split(',').skip(skipped).take(6 - skipped).collect::<String>()).collect()
    };
    let (mut a, mut b) = (hashes(&frames_clear), hashes(&frames_protected));
    assert!(a.len() > LAST_FRAMES, "{name}");
    a.truncate(a.len() - LAST_FRAMES);
    b.truncate(b.len() - LAST_FRAMES);
    let differs = a.iter().zip(&b).position(|(a, b)| a != b);
    assert!(a == b, "{name} {method}: {} and {} frames, first other {differs:?}", a.len(), b.len());
    assert_eq!(said, said_clear, "{name} {method}: FFmpeg says more");
}

#[test]
fn ffmpeg_reads_protected_playlists_as_it_reads_clear_ones() {
    for (path, names) in playlists() {
        let mut names = names;
        names.dedup();
        let read = |name: &String| (name.clone(), fs::read(path.parent().unwrap().join(name)).unwrap());
        let files: Vec<_> = names.iter().map(read).collect();
        let text = fs::read_to_string(&path).unwrap();
        if text.contains("EXT-X-BYTERANGE") {
            continue;
        }
        for method in ["SAMPLE-AES", "AES-128"] {
            assert_ffmpeg_agrees(&path.display().to_string(), &text, &files, method);
        }
    }
}

/// A segment made by FFmpeg from its synthetic sources; `None` when it is not here.
fn made(arguments: &[&str], name: &str) -> Option<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    ffmpeg(&[arguments, &["-y", name]].concat(), folder.path())?;
    Some(fs::read(folder.path().join(name)).unwrap())
}

const PICTURE: [&str; 4] = ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=2"];
const SOUND: [&str; 4] = ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=2"];

#[test]
fn every_codec_of_sample_encryption_is_read_by_ffmpeg() {
    let text = "#EXTM3U\n#EXT-X-VERSION:5\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nNAME\n#EXT-X-ENDLIST\n";
    for (codec, extension) in [("aac", "aac"), ("ac3", "ac3"), ("eac3", "eac3")] {
        let sound = [&SOUND[..], &["-c:a", codec]].concat();
        let both = [&PICTURE[..], &SOUND, &["-c:v", "libx264", "-c:a", codec]].concat();
        let names = ["sound.ts".to_owned(), "both.ts".to_owned(), format!("sound.{extension}")];
        for (name, arguments) in names.iter().zip([&sound, &both, &sound]) {
            let Some(clear) = made(arguments, name) else { return };
            let protected = if name.ends_with(".ts") {
                check_ts(&format!("{codec} {name}"), &clear)
            } else {
                let protected = run(&clear, true).unwrap();
                assert_eq!(run(&protected, false).unwrap(), clear, "{name}");
                protected
            };
            assert_ne!(protected, clear);
            // FFmpeg takes packed audio of these for a file of its own, without a playlist around it.
            if name.ends_with("ts") {
                assert_ffmpeg_agrees(
                    &format!("{codec} {name}"),
                    &text.replace("NAME", name),
                    &[(name.clone(), clear)],
                    "SAMPLE-AES",
                );
            }
        }
    }
}

/// AC-3 as private data with a descriptor: ETSI EN 300 468 annex D.
#[test]
fn ac_3_as_dvb_carries_it_is_protected_and_comes_back_as_it_was() {
    for codec in ["ac3", "eac3"] {
        let arguments = [&PICTURE[..], &SOUND, &["-c:v", "libx264", "-c:a", codec]].concat();
        let arguments = [&arguments[..], &["-mpegts_flags", "system_b"]].concat();
        let Some(clear) = made(&arguments, "dvb.ts") else { return };
        let protected = check_ts(codec, &clear);
        let types = |stream: &[u8]| -> Vec<u8> {
            let packets = packets(stream).map(|packet| Packet::parse(packet).unwrap());
            let mut maps = packets.filter(|packet| packet.pid() == 0x1000);
            let payload = maps.next().unwrap().payload().unwrap().to_vec();
            let map = Pmt::parse(&sections(&payload).unwrap().unwrap()[0]).unwrap();
            map.streams.iter().map(|stream| stream.stream_type).collect()
        };
        assert_eq!(types(&clear), [0x1b, 0x06]);
        assert_eq!(types(&protected), [0xdb, if codec == "ac3" { 0xc1 } else { 0xc2 }]);
        assert_eq!(types(&run(&protected, false).unwrap()), [0x1b, 0x06]);
    }
}

/// A constant bit rate with filler: `cabac_zero_word`s would grow by a third, filler data does not; low pictures
/// have many emulation prevention bytes.
#[test]
fn units_that_grow_beyond_their_packets_get_sixteen_more() {
    let black = ["-f", "lavfi", "-i", "color=black:size=1280x720:rate=25:duration=2", "-c:v", "libx264"];
    let options = ["-qp", "0", "-bf", "0", "-x264-params", "keyint=5:cabac=0", "-pix_fmt", "yuv420p"];
    let Some(mut clear) = made(&[&black[..], &options].concat(), "black.ts") else { return };
    // Slice data of zeros and threes, as a hostile encoder would have it: every third byte is escaped.
    let mut grown = 0;
    for packet in clear.chunks_mut(PACKET_BYTES) {
        let view = Packet::parse(packet.first_chunk().unwrap()).unwrap();
        if view.pid() == 0x100 && !view.payload_unit_start() && view.payload().is_some_and(|p| p.len() == 184)
        {
            packet[4..].chunks_mut(4).for_each(|word| word.copy_from_slice(&[0, 0, 3, 1]));
            grown += 1;
        }
    }
    let protected = check_ts("black", &clear);
    println!("{grown} packets of escapes: {} packets became {}", clear.len() / 188, protected.len() / 188);
    assert_eq!((protected.len() - clear.len()) % (16 * PACKET_BYTES), 0);
    assert!(grown > 0 && protected.len() > clear.len());
    let decrypted = run(&protected, false).unwrap();
    assert_eq!(decrypted.len(), clear.len(), "packets that were added go again");
}

#[test]
fn what_cannot_be_protected_is_refused_with_the_reason() {
    let refused = |arguments: &[&str], name: &str, reason: &str| {
        let Some(clear) = made(arguments, name) else { return };
        let error = run(&clear, true).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    };
    let hevc = [&PICTURE[..], &["-c:v", "libx265", "-x265-params", "log-level=none"]].concat();
    refused(&hevc, "hevc.ts", "HEVC (stream_type 0x24)");
    refused(&[&SOUND[..], &["-c:a", "mp2"]].concat(), "mp2.ts", "MPEG audio");
    refused(
        &[&SOUND[..], &["-c:a", "libmp3lame"]].concat(),
        "sound.mp3",
        "MPEG audio, which sample encryption",
    );
    let programs =
        ["-map", "0", "-map", "1", "-program", "st=0", "-program", "st=1", "-c:v", "libx264", "-c:a", "aac"];
    refused(&[&PICTURE[..], &SOUND, &programs].concat(), "two.ts", "2 programs, one expected");
}

#[test]
fn whole_segments_are_encrypted_as_openssl_does_it() {
    let clear = fs::read(root().join("fixtures/clip/hls-ts/0.ts")).unwrap();
    let mut ours = Vec::new();
    Aes128::new(&Secret::new(KEY), IV).encrypt(&clear, &mut ours).unwrap();
    let mut back = Vec::new();
    Aes128::new(&Secret::new(KEY), IV).decrypt(&ours, &mut back).unwrap();
    assert_eq!(back, clear);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("clear"), &clear).unwrap();
    let output = Command::new("openssl")
        .args(["enc", "-aes-128-cbc", "-K", &hex(&KEY), "-iv", &hex(&IV), "-in", "clear", "-out", "theirs"])
        .current_dir(folder.path())
        .output();
    match output {
        Ok(output) if output.status.success() => {
            assert_eq!(fs::read(folder.path().join("theirs")).unwrap(), ours)
        }
        _ => println!("skipped: openssl is not here"),
    }
}

#[test]
fn truncations_and_mutations_are_calm() {
    let clear = fs::read(root().join("fixtures/clip/hls-ts/0.ts")).unwrap();
    let protected = run(&clear, true).unwrap();
    let busy = &busy()[1].1;
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random >> 11).unwrap() % below
    };
    for bytes in [&clear, &protected, busy] {
        for _ in 0..60 {
            let mut broken = bytes.clone();
            for _ in 0..=next(8) {
                // Headers are what matters: the first bytes of packets, most of all of the first ones.
                let most = if next(2) == 0 { 6 } else { bytes.len() / PACKET_BYTES };
                let packet = next(most);
                let most = if next(2) == 0 { 40 } else { PACKET_BYTES };
                let at = packet * PACKET_BYTES + next(most);
                broken[at] ^= u8::try_from(1 + next(255)).unwrap();
            }
            if next(3) == 0 {
                broken.truncate(next(bytes.len()));
            }
            for protect in [true, false] {
                let _ = run(&broken, protect);
            }
        }
    }
}
