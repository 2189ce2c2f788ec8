//! URI templates of segments and base URIs — ISO/IEC 23009-1 §5.3.9.4.4, §5.6.

use crate::base::{Error, Result, redact_url};

/// Widest number a template may ask for; a 64-bit number has 20 digits.
const MAX_WIDTH: usize = 32;
/// Longest reference, in bytes: longer than any file system's path.
const MAX_LENGTH: usize = 4096;

/// What the identifiers of a template stand for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Values<'a> {
    pub(super) representation_id: &'a str,
    pub(super) bandwidth: Option<u64>,
    pub(super) number: Option<u64>,
    pub(super) time: Option<u64>,
}

/// Puts values in the place of `$RepresentationID$`, `$Number%05d$` and so on; `$$` is one `$`.
///
/// # Errors
/// When an identifier is unknown, has no value here, or its `$` is not closed.
pub(super) fn expand(template: &str, values: Values<'_>) -> Result<String> {
    let fail = |message: String| {
        Error::input(format!("template {template:?}: {message}")).clause("ISO/IEC 23009-1 §5.3.9.4.4")
    };
    let mut text = String::new();
    let mut parts = template.split('$');
    text.push_str(parts.next().unwrap_or_default());
    while let Some(identifier) = parts.next() {
        let literal = parts.next().ok_or_else(|| fail("a $ is not closed".into()))?;
        let (name, format) = identifier.split_once('%').map_or((identifier, None), |(n, f)| (n, Some(f)));
        let number = match (name, format) {
            ("", None) => {
                text.push('$');
                None
            }
            ("RepresentationID", None) => {
                text.push_str(values.representation_id);
                None
            }
            ("Number", _) => Some(values.number),
            ("Time", _) => Some(values.time),
            ("Bandwidth", _) => Some(values.bandwidth),
            ("SubNumber", _) => {
                return Err(Error::unsupported(format!("template {template:?}: segment sequences"))
                    .clause("ISO/IEC 23009-1 §5.3.9.4.4"));
            }
            _ => return Err(fail(format!("identifier ${identifier}$ is not known"))),
        };
        if let Some(value) = number {
            let value = value.ok_or_else(|| fail(format!("${name}$ has no value here")))?;
            let width = width(format).ok_or_else(|| {
                fail(format!("format tag of ${identifier}$, expected %0[width]d, at most {MAX_WIDTH}"))
            })?;
            text.push_str(&format!("{value:0width$}"));
        }
        text.push_str(literal);
        if text.len() > MAX_LENGTH {
            return Err(fail(format!("the reference is longer than {MAX_LENGTH} bytes")));
        }
    }
    Ok(text)
}

fn width(format: Option<&str>) -> Option<usize> {
    let Some(format) = format else { return Some(1) };
    let digits = format.strip_prefix('0')?.strip_suffix('d')?;
    let width = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())??;
    (width <= MAX_WIDTH).then_some(width)
}

/// Resolves a relative reference against a relative base: RFC 3986 §5.2.2, without removing dot segments and
/// without the fragment.
///
/// # Errors
/// When the reference has a scheme or an absolute path: what it names lies outside the presentation.
pub(super) fn join(base: &str, reference: &str) -> Result<String> {
    let reference = reference.split('#').next().unwrap_or_default();
    let path = reference.split('?').next().unwrap_or_default();
    if path.starts_with('/') || path.split('/').next().unwrap_or_default().contains(':') {
        return Err(Error::input(format!("URI {:?} is absolute, expected a relative one", redact_url(path)))
            .clause("ISO/IEC 23009-1 §5.6.4")
            .hint(
                "store the presentation in one folder and make its references relative: what is written must not name clear media that stays elsewhere",
            ));
    }
    if reference.is_empty() {
        return Ok(base.to_owned());
    }
    let base = base.split('?').next().unwrap_or_default();
    let folder = base.rfind('/').and_then(|slash| base.get(..=slash)).unwrap_or_default();
    let before = if path.is_empty() { base } else { folder };
    if before.len() + reference.len() > MAX_LENGTH {
        return Err(Error::input(format!("a URI is longer than {MAX_LENGTH} bytes")));
    }
    Ok(format!("{before}{reference}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: Values<'_> =
        Values { representation_id: "v1", bandwidth: Some(300), number: Some(42), time: Some(90_000) };

    #[test]
    fn every_identifier_expands() {
        for (template, text) in [
            ("$RepresentationID$/$Number$.m4s", "v1/42.m4s"),
            ("$Number%05d$", "00042"),
            ("$Number%01d$", "42"),
            ("t$Time%010d$_$Bandwidth$", "t0000090000_300"),
            ("a$$b$$$$c", "a$b$$c"),
            ("$Number$$Number$", "4242"),
            ("plain.mp4", "plain.mp4"),
        ] {
            assert_eq!(expand(template, VALUES).unwrap(), text);
        }
    }

    #[test]
    fn other_identifiers_are_refused() {
        for template in [
            "$",
            "a$Number",
            "$number$",
            "$Number%5d$",
            "$Number%05x$",
            "$Number%0999999d$",
            "$Number%0é$",
            "$RepresentationID%02d$",
            "$SubNumber$",
            "$Number$$",
        ] {
            assert!(expand(template, VALUES).is_err(), "{template}");
        }
        assert!(expand("$Time$", Values { time: None, ..VALUES }).is_err());
    }

    #[test]
    fn references_join_to_their_base() {
        for (base, reference, joined) in [
            ("", "a.mp4", "a.mp4"),
            ("v/", "a.mp4", "v/a.mp4"),
            ("v/a.mp4", "b.mp4", "v/b.mp4"),
            ("v/a.mp4", "", "v/a.mp4"),
            ("v/", "w/?x=/#y", "v/w/?x=/"),
            ("v/a.mp4?x=/y", "", "v/a.mp4?x=/y"),
            ("v/a.mp4?x=/y", "?z", "v/a.mp4?z"),
            ("v/a.mp4?x=/y", "b.mp4", "v/b.mp4"),
        ] {
            assert_eq!(join(base, reference).unwrap(), joined);
        }
        for reference in ["https://h/a", "/a", "//h/a", "file:a"] {
            assert!(join("v/", reference).is_err(), "{reference}");
        }
    }
}
