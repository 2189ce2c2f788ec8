//! Two `codecs` parameters that mean one codec — RFC 6381 §3.3.

/// AAC with or without the extensions that decoders find in it: ISO/IEC 14496-3 §1.6.5.
const AAC: [&str; 3] = ["mp4a.40.2", "mp4a.40.5", "mp4a.40.29"];
/// Codecs whose last fields may be left out: AV1 Codec ISO Media File Format Binding §5, VP Codec ISO Media File Format
/// Binding.
const MAY_BE_SHORT: [&str; 2] = ["av01.", "vp09."];
/// Text whose profile may be left out, and is not in the media: W3C TTML Media Type §3.
const WITH_PROFILES: &str = "stpp";

/// Whether they mean one, in whatever case they are written.
pub fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.to_ascii_lowercase(), other.to_ascii_lowercase());
    let is_aac = |codec: &str| AAC.contains(&codec);
    let is_text = |codec: &str| codec.split('.').next() == Some(WITH_PROFILES);
    let is_longer = |long: &str, short: &str| {
        let rest = long.strip_prefix(short);
        MAY_BE_SHORT.iter().any(|family| short.starts_with(family))
            && rest.is_some_and(|rest| rest.starts_with('.'))
    };
    let is_one = |one: &str, other: &str| is_longer(one, other) || is_longer(other, one);
    one == other || is_text(&one) && is_text(&other) || is_aac(&one) && is_aac(&other) || is_one(&one, &other)
}

#[test]
fn parameters_are_the_same_in_any_case_and_without_what_may_be_left_out() {
    for (one, other) in [
        ("avc1.64001F", "avc1.64001f"),
        ("av01.0.04M.08", "av01.0.04M.08.0.110.01.01.01.0"),
        ("mp4a.40.5", "mp4a.40.2"),
        ("stpp", "stpp.ttml.im1t"),
    ] {
        assert!(is_same(one, other) && is_same(other, one), "{one} {other}");
    }
    for (one, other) in
        [("avc1.64001f", "avc3.64001f"), ("avc1.64", "avc1.64001f"), ("mp4a.40.2", "mp4a.40.42")]
    {
        assert!(!is_same(one, other), "{one} {other}");
    }
}
