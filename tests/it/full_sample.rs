//! Pictures of an unknown codec: refused, or protected whole when asked — ISO/IEC 23001-7 §9.5.1.

use std::fs;

use crate::support::media::root;
use crate::support::pack::{job, pack, unpack};

#[test]
fn pictures_of_an_unknown_codec_are_refused_unless_they_may_be_protected_whole() {
    let directory = tempfile::tempdir().unwrap();
    let clear = directory.path().join("clear.mp4");
    let mut bytes = fs::read(root().join("fixtures/clip/mp4/video_180.mp4")).unwrap();
    let entry = bytes.windows(8).position(|window| window == b"avc1\0\0\0\0").unwrap();
    bytes[entry..entry + 4].copy_from_slice(b"xvc1");
    fs::write(&clear, bytes).unwrap();
    for scheme in ["cenc", "cbcs"] {
        let out = directory.path().join(scheme);
        let mut job = job(&clear, "widevine", scheme);
        let error = pack(&job, &out).unwrap_err();
        assert!(error.to_string().contains("has the sample entry xvc1"), "{error}");
        assert!(!out.exists());
        job.allow_full_sample = true;
        let report = pack(&job, &out).unwrap();
        assert!(report.warnings.iter().any(|warning| warning.contains("is protected whole")));
        assert_eq!(report.tracks[0].codec, "xvc1");
        let back = directory.path().join(format!("{scheme}_back"));
        unpack(&out.join("manifest.mpd"), &back).unwrap();
        let protected = fs::read(out.join("v1/1.m4s")).unwrap();
        let decrypted = fs::read(back.join("v1/1.m4s")).unwrap();
        let mdat = |bytes: &[u8]| bytes.windows(4).position(|window| window == b"mdat").unwrap() + 4;
        let (protected, decrypted) = (&protected[mdat(&protected)..], &decrypted[mdat(&decrypted)..]);
        assert_eq!(protected.len(), decrypted.len());
        // The first length of a NAL unit is clear again, and was not.
        assert_eq!(decrypted[..2], [0, 0]);
        assert_ne!(protected[..16], decrypted[..16]);
    }
}
