//! Secrets in what servers repeat: found in any encoding and left out — RFC 3986 §2.1, RFC 8259 §7, RFC 4648, HTML §13.2.5.

use std::ops::Range;

use zeroize::Zeroizing;

use crate::base::{from_base64, steers};

/// So many bytes of a secret in a row give it away: a server may repeat a part of it.
const PIECE: usize = 8;
/// Fewer bytes are no secret, and leaving them out would hide the message.
const SHORTEST: usize = 3;
/// So many encodings inside one another are undone.
const DEPTH: usize = 5;
/// Stands for what is not ASCII when a text may have lost its character encoding.
const OTHER: u8 = 0xff;
/// What stands in a message for what is left out.
const LEFT_OUT: &str = "…";
/// Character references of HTML for ASCII characters, HTML §13.5.
const ENTITIES: &[(&[u8], u8)] = &[
    (b"amp", b'&'),
    (b"apos", b'\''),
    (b"ast", b'*'),
    (b"bsol", b'\\'),
    (b"colon", b':'),
    (b"comma", b','),
    (b"commat", b'@'),
    (b"dollar", b'$'),
    (b"equals", b'='),
    (b"excl", b'!'),
    (b"grave", b'`'),
    (b"gt", b'>'),
    (b"hat", b'^'),
    (b"lbrace", b'{'),
    (b"lbrack", b'['),
    (b"lcub", b'{'),
    (b"lowbar", b'_'),
    (b"lpar", b'('),
    (b"lsqb", b'['),
    (b"lt", b'<'),
    (b"nbsp", b' '),
    (b"num", b'#'),
    (b"percnt", b'%'),
    (b"period", b'.'),
    (b"plus", b'+'),
    (b"quest", b'?'),
    (b"quot", b'"'),
    (b"rbrace", b'}'),
    (b"rbrack", b']'),
    (b"rcub", b'}'),
    (b"rpar", b')'),
    (b"rsqb", b']'),
    (b"semi", b';'),
    (b"sol", b'/'),
    (b"verbar", b'|'),
    (b"vert", b'|'),
];

/// The secrets of an exchange, to be left out of every text about it.
#[derive(Default)]
pub(super) struct Scrubber {
    /// Every [`PIECE`] bytes in a row of those that are long enough, in order.
    pieces: Zeroizing<Vec<u64>>,
    /// The others, whole.
    short: Vec<Zeroizing<Vec<u8>>>,
}

impl Scrubber {
    /// Adds a secret.
    pub(super) fn add(&mut self, secret: &str) {
        let shown = Zeroizing::new(shown(secret));
        let [text, shown] = [secret, &shown].map(|text| View::of(text.as_bytes()));
        let forms = [text.folded(), text, shown.folded(), shown];
        // What is not ASCII may be lost: what is left of a secret that has little else says nothing of it.
        let ascii = |form: &View| form.bytes.iter().filter(|byte| byte.is_ascii()).count();
        for form in forms.iter().filter(|form| form.bytes.len() >= SHORTEST) {
            if form.bytes.contains(&OTHER) && ascii(form) < SHORTEST {
                continue;
            }
            if form.bytes.len() < PIECE {
                self.short.push(Zeroizing::new(form.compared().to_vec()));
            }
            self.pieces.extend(pieces(&form.compared()).map(|(_, piece)| piece));
        }
        self.pieces.sort_unstable();
        self.pieces.dedup();
    }

    /// The text without the secrets, or parts of them, whatever encodings they are in, and without characters that
    /// steer a terminal: without these, letters that were set apart by them would stand together.
    pub(super) fn text(&self, text: &str) -> String {
        let text = &Zeroizing::new(shown(text));
        let mut found = self.find(&View::of(text.as_bytes()), DEPTH);
        found.sort_unstable_by_key(|range| range.start);
        let (mut out, mut end) = (String::new(), 0);
        for range in found {
            // What begins or ends inside a character takes all of it.
            let start = (0..=range.start).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            if start > end || out.is_empty() {
                out.push_str(text.get(end..start.max(end)).unwrap_or_default());
                out.push_str(LEFT_OUT);
            }
            let stop = (range.end..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
            end = end.max(stop);
        }
        out.push_str(text.get(end..).unwrap_or_default());
        out
    }

    /// Where in the text of `view` secrets are, with so many encodings undone.
    fn find(&self, view: &View, depth: usize) -> Vec<Range<usize>> {
        let mut found = self.seen(view);
        found.extend(self.seen(&view.folded()));
        if depth == 0 {
            return found;
        }
        for undo in [View::percent, View::escapes, View::references] {
            if let Some(view) = undo(view) {
                found.extend(self.find(&view, depth - 1));
            }
        }
        for radix in [2, 8, 10, 16] {
            let numbers = view.numbers(radix);
            if numbers.bytes.iter().filter(|byte| **byte != 0).count() >= SHORTEST {
                found.extend(self.find(&numbers, depth - 1));
            }
        }
        for run in view.runs() {
            let bytes = view.bytes.get(run.clone()).unwrap_or_default();
            if decodings(bytes).any(|inner| !self.find(&View::of(&inner), depth - 1).is_empty()) {
                let padding =
                    view.bytes.iter().skip(run.end).take(2).take_while(|byte| **byte == b'=').count();
                found.extend(view.place(&(run.start..run.end + padding)));
            }
        }
        found
    }

    /// Where they are in these very bytes.
    fn seen(&self, view: &View) -> Vec<Range<usize>> {
        let bytes = view.compared();
        let mut found = Vec::new();
        for (start, piece) in pieces(&bytes) {
            if self.pieces.binary_search(&piece).is_ok() {
                found.extend(view.place(&(start..start + PIECE)));
            }
        }
        for short in &self.short {
            for (start, window) in bytes.windows(short.len()).enumerate() {
                if window == short.as_slice() {
                    found.extend(view.place(&(start..start + short.len())));
                }
            }
        }
        found
    }
}

/// A text without the characters that steer a terminal.
fn shown(text: &str) -> String {
    let shown = |c: char| match c {
        '\r' | '\t' => Some(' '),
        c => (!steers(c) || c == '\n').then_some(c),
    };
    text.chars().filter_map(shown).collect()
}

/// Each [`PIECE`] bytes in a row, with their place.
fn pieces(bytes: &[u8]) -> impl Iterator<Item = (usize, u64)> + '_ {
    let number = |window: &[u8]| window.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    bytes.windows(PIECE).map(number).enumerate()
}

/// A text with some encodings undone: bytes, and where each stands in the text.
struct View {
    bytes: Zeroizing<Vec<u8>>,
    places: Vec<Range<usize>>,
}

impl View {
    fn of(text: &[u8]) -> Self {
        Self { bytes: Zeroizing::new(text.to_vec()), places: (0..text.len()).map(|at| at..at + 1).collect() }
    }

    fn empty() -> Self {
        Self { bytes: Zeroizing::default(), places: Vec::new() }
    }

    fn push(&mut self, byte: u8, place: Range<usize>) {
        self.bytes.push(byte);
        self.places.push(place);
    }

    /// Where a range of its bytes stands in the text.
    fn place(&self, range: &Range<usize>) -> Option<Range<usize>> {
        let places = self.places.get(range.clone())?;
        Some(places.first()?.start..places.last()?.end)
    }

    /// As texts are compared: letters without case, and a space may be a plus as in forms.
    fn compared(&self) -> Zeroizing<Vec<u8>> {
        let folded = |byte: &u8| if *byte == b'+' { b' ' } else { byte.to_ascii_lowercase() };
        Zeroizing::new(self.bytes.iter().map(folded).collect())
    }

    /// The same when its character encoding was lost: each run that is not ASCII is one byte.
    fn folded(&self) -> Self {
        let mut view = Self::empty();
        for (byte, place) in self.bytes.iter().zip(&self.places) {
            match (byte.is_ascii(), view.bytes.last(), view.places.last_mut()) {
                (false, Some(&OTHER), Some(last)) => last.end = place.end,
                (false, ..) => view.push(OTHER, place.clone()),
                (true, ..) => view.push(*byte, place.clone()),
            }
        }
        view
    }

    /// Undoes an encoding: `unit` reads one at the beginning of bytes, as what it stands for and its length. `None`
    /// when there is none.
    fn undone(&self, mark: u8, unit: impl Fn(&[u8]) -> Option<(Zeroizing<Vec<u8>>, usize)>) -> Option<Self> {
        let (mut view, mut at, mut is_other) = (Self::empty(), 0, false);
        while let Some(byte) = self.bytes.get(at) {
            let found = if *byte == mark { self.bytes.get(at..).and_then(&unit) } else { None };
            let (bytes, length) = match &found {
                Some((bytes, length)) => (bytes.as_slice(), *length),
                None => (std::slice::from_ref(byte), 1),
            };
            is_other |= found.is_some();
            let place = self.place(&(at..at + length))?;
            bytes.iter().for_each(|byte| view.push(*byte, place.clone()));
            at += length;
        }
        is_other.then_some(view)
    }

    /// `%` and two hex digits: RFC 3986 §2.1.
    fn percent(&self) -> Option<Self> {
        self.undone(b'%', |bytes| Some((one(u8::try_from(number(bytes.get(1..3)?, 16)?).ok()?), 3)))
    }

    /// The escapes of JSON and of most languages: RFC 8259 §7.
    fn escapes(&self) -> Option<Self> {
        self.undone(b'\\', |bytes| match *bytes.get(1)? {
            b'u' if bytes.get(2) == Some(&b'{') => {
                let length = bytes.iter().take(10).position(|byte| *byte == b'}')?;
                Some((character(number(bytes.get(3..length)?, 16)?)?, length + 1))
            }
            b'u' => {
                let first = number(bytes.get(2..6)?, 16)?;
                let second = || match bytes.get(6..12)? {
                    [b'\\', b'u', digits @ ..] => {
                        number(digits, 16).filter(|low| (0xdc00..0xe000).contains(low))
                    }
                    _ => None,
                };
                match (first, second()) {
                    (0xd800..0xdc00, Some(low)) => {
                        Some((character(0x1_0000 + ((first - 0xd800) << 10) + (low - 0xdc00))?, 12))
                    }
                    _ => Some((character(first)?, 6)),
                }
            }
            b'x' => Some((character(number(bytes.get(2..4)?, 16)?)?, 4)),
            b'n' => Some((one(b'\n'), 2)),
            b'r' => Some((one(b'\r'), 2)),
            b't' => Some((one(b'\t'), 2)),
            b'b' => Some((one(8), 2)),
            b'f' => Some((one(12), 2)),
            other => other.is_ascii_punctuation().then(|| (one(other), 2)),
        })
    }

    /// Character references: HTML §13.2.5.72. A name that is not known is of a character that is not ASCII.
    fn references(&self) -> Option<Self> {
        self.undone(b'&', |bytes| {
            let end = bytes.iter().take(12).position(|byte| *byte == b';')?;
            let found = match bytes.get(1..end)? {
                [b'#', b'x' | b'X', digits @ ..] => character(number(digits, 16)?)?,
                [b'#', digits @ ..] => character(number(digits, 10)?)?,
                name if name.iter().all(u8::is_ascii_alphanumeric) => {
                    let known = ENTITIES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
                    one(known.map_or(OTHER, |(_, byte)| *byte))
                }
                _ => return None,
            };
            Some((found, end + 1))
        })
    }

    /// Lists of numbers, each a byte, as programs print arrays and languages escape characters; words between them are
    /// no byte of a secret.
    fn numbers(&self, radix: u32) -> Self {
        let (mut view, mut at) = (Self::empty(), 0);
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric();
        while let Some(start) = self.bytes.get(at..).and_then(|rest| rest.iter().position(is_part)) {
            let start = at + start;
            let rest = self.bytes.get(start..).unwrap_or_default();
            at = start + rest.iter().position(|byte| !is_part(byte)).unwrap_or(rest.len());
            let token = self.bytes.get(start..at).unwrap_or_default();
            let digits = match token {
                [b'0', b'x' | b'X', digits @ ..] | [b'u' | b'U' | b'x' | b'X', digits @ ..]
                    if radix == 16 =>
                {
                    digits
                }
                [b'0', b'o' | b'O', digits @ ..] if radix == 8 => digits,
                [b'0', b'b' | b'B', digits @ ..] if radix == 2 => digits,
                digits => digits,
            };
            let byte = number(digits, radix).and_then(|number| u8::try_from(number).ok());
            if let Some(place) = self.place(&(start..at)) {
                view.push(byte.filter(|_| digits.len() <= 8).unwrap_or(0), place);
            }
        }
        view
    }

    /// Runs that may be base64 or hex, long enough to hold a secret.
    fn runs(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let in_run = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(byte);
        let mut at = 0;
        std::iter::from_fn(move || {
            loop {
                let start = at + self.bytes.get(at..)?.iter().position(in_run)?;
                let rest = self.bytes.get(start..)?;
                at = start + rest.iter().position(|byte| !in_run(byte)).unwrap_or(rest.len());
                if at - start > SHORTEST {
                    return Some(start..at);
                }
            }
        })
    }
}

fn one(byte: u8) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(vec![byte])
}

/// A character in UTF-8; half of a pair that stands alone is none.
fn character(code: u32) -> Option<Zeroizing<Vec<u8>>> {
    let character = char::from_u32(code)?;
    Some(Zeroizing::new(character.encode_utf8(&mut [0; 4]).as_bytes().to_vec()))
}

fn number(digits: &[u8], radix: u32) -> Option<u32> {
    let text = std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'))?;
    u32::from_str_radix(text, radix).ok()
}

/// What a run may stand for as base64 (RFC 4648 §4, §5) or hex (§8): it may begin with what is none of it.
fn decodings(run: &[u8]) -> impl Iterator<Item = Zeroizing<Vec<u8>>> + '_ {
    let base64 = (0..4).filter_map(move |skip| {
        let standard = |byte: &u8| match byte {
            b'-' => '+',
            b'_' => '/',
            byte => char::from(*byte),
        };
        let mut text: Zeroizing<String> = Zeroizing::new(run.get(skip..)?.iter().map(standard).collect());
        // One digit alone says nothing.
        if text.len() % 4 == 1 {
            text.pop();
        }
        from_base64(&text).ok().map(Zeroizing::new)
    });
    let hex = (0..2).map(move |skip| {
        let pairs = run.get(skip..).unwrap_or_default().chunks_exact(2);
        // What is no pair of digits is told apart from all that is one.
        Zeroizing::new(
            pairs
                .map(|pair| number(pair, 16).and_then(|byte| u8::try_from(byte).ok()).unwrap_or(0))
                .collect(),
        )
    });
    base64.chain(hex)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::base64;

    fn scrubbed(secret: &str, text: &str) -> String {
        let mut scrubber = Scrubber::default();
        scrubber.add(secret);
        scrubber.text(text)
    }

    #[test]
    fn a_secret_with_a_character_that_steers_goes_whole() {
        assert_eq!(scrubbed("A\u{2028}a𑯰aΣ00", "[A\u{2028}a𑯰aΣ00]"), "[…]");
    }

    const PASSWORD: &str = "S3cr3t&=+% \"::ü/<Zz9";

    #[test]
    fn a_secret_goes_and_the_words_around_it_stay() {
        for (echo, left) in [
            ("S\u{0}3\u{1}c\u{7}r\u{8}3\u{1b}t\u{7f}&\u{202e}=+% \"::ü/<Zz9", "…"),
            (
                "[85, 122, 78, 106, 99, 106, 78, 48, 74, 106, 48, 114, 74, 83, 65, 105, 79, 106, 114, 68, 118, 67, 56, 56, 87, 110, 111, 53]",
                "[…]",
            ),
            (
                "%25252553%25252533%25252563%25252572%25252533%25252574%25252526%2525253D%2525252B%25252525",
                "…",
            ),
            ("0o123, 0o063, 0o143, 0o162, 0o63, 0o164, 0o46, 0o75, 0o53, 0o45", "…"),
            ("bad S3cr3t&=+% \"::ü/<Zz9 for me", "bad … for me"),
            ("S3cr3t%26%3D%2B%25%20%22%3A%3A%C3%BC%2F%3CZz9", "…"),
            ("a=S3cr3t%26%3d%2b%25+%22%3a%3a%c3%bc%2f%3CZz9&b=c", "a=…&b=c"),
            (r#"{"p":"S3cr3t\u0026=+% \"::\u00FC\/\u003cZz9"}"#, r#"{"p":"…"}"#),
            (r#"{"p":"S3cr3t&=+% \"::ü/<Zz9"}"#, r#"{"p":"…"}"#),
            ("<p>S3cr3t&amp;=+% &quot;::&uuml;/&lt;Zz9</p>", "<p>…</p>"),
            ("S3cr3t&#38;&#x3d;+&percnt; &#34;::&#xFC;/&#60;Zz9.", "…."),
            // The character encoding was lost, or taken for another.
            ("S3cr3t&=+% \"::\u{fffd}/<Zz9, S3cr3t&=+% \"::\u{c3}\u{bc}/<Zz9", "…, …"),
            // JSON in JSON, percent-encoded base64, a part of it.
            (r#""{\"p\":\"S3cr3t&=+% \\\"::ü/<Zz9\"}""#, r#""{\"p\":\"…\"}""#),
            ("begins with S3cr3t&=+", "begins with …"),
            ("nothing of it: secret, s3cr, Zz", "nothing of it: secret, s3cr, Zz"),
        ] {
            assert_eq!(scrubbed(PASSWORD, echo), left);
        }
        let basic = base64(format!("user:{PASSWORD}").as_bytes());
        let url_safe = basic.replace('+', "-").replace('/', "_");
        for text in [
            &basic,
            &url_safe,
            &basic.replace('=', "%3D"),
            &format!("key-{basic}"),
            &base64(basic.as_bytes()),
        ] {
            assert_eq!(
                scrubbed(PASSWORD, &format!("Basic {text}!")).trim_end_matches("%3D!").trim_end_matches('!'),
                "Basic …"
            );
        }
        let hex: String = PASSWORD.bytes().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(scrubbed(PASSWORD, &format!("0x{hex} 0x")), "… 0x");
        let list = |separator: &str, write: &dyn Fn(u8) -> String| {
            "S3cr3t&=+%".bytes().map(write).collect::<Vec<_>>().join(separator)
        };
        for text in [
            list(", ", &|byte| byte.to_string()),
            list(" ", &|byte| byte.to_string()),
            list(":", &|byte| format!("{byte:02x}")),
            list(", ", &|byte| format!("0x{byte:02X}")),
            list("", &|byte| format!("\\{byte:03o}")),
            list("", &|byte| format!("%u{byte:04x}")),
        ] {
            let left = scrubbed(PASSWORD, &format!("bytes [{text}] of 10"));
            assert!(left.starts_with("bytes [") && left.ends_with("…] of 10") && left.len() < 25, "{left}");
        }
        assert_eq!(scrubbed("abc", "an abc, ABC and ab"), "an …, … and ab");
        assert_eq!(scrubbed("пароль", "не пароль, \\u043f\\u0430\\u0440\\u043e\\u043b\\u044c"), "не …, …");
        assert_eq!(scrubbed("ab", "ab é"), "ab é");
        assert_eq!(scrubbed("", "a"), "a");
    }

    /// An encoding, of which each character is written in one of two ways.
    #[derive(Clone, Copy, Debug)]
    enum Encoding {
        Plain,
        Percent,
        Json,
        Html,
        Base64,
        Hex,
    }

    fn encoded(encoding: Encoding, text: &str, choices: &[bool]) -> String {
        let mut choices = choices.iter().cycle();
        let mut choose = || *choices.next().unwrap();
        let mut each = |write: &dyn Fn(char, bool) -> String| -> String {
            text.chars().map(|c| write(c, choose())).collect()
        };
        match encoding {
            Encoding::Plain => text.to_owned(),
            Encoding::Percent => each(&|c, other| match c {
                ' ' if other => "+".to_owned(),
                c if c.is_ascii_alphanumeric() && other => c.to_string(),
                c => {
                    let bytes = c.to_string().into_bytes();
                    bytes
                        .iter()
                        .map(|b| if other { format!("%{b:02x}") } else { format!("%{b:02X}") })
                        .collect()
                }
            }),
            Encoding::Json => each(&|c, other| match c {
                '"' | '\\' if other => format!("\\{c}"),
                c if !c.is_control() && c != '"' && c != '\\' && other => c.to_string(),
                c => c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
            }),
            Encoding::Html => each(&|c, other| match c {
                '&' if other => "&amp;".to_owned(),
                '"' if other => "&quot;".to_owned(),
                '<' if other => "&lt;".to_owned(),
                c if c.is_ascii_alphanumeric() && other => c.to_string(),
                c if other => format!("&#x{:X};", u32::from(c)),
                c => format!("&#{};", u32::from(c)),
            }),
            Encoding::Base64 => base64(text.as_bytes()),
            Encoding::Hex => {
                text.bytes().map(|b| if choose() { format!("{b:02x}") } else { format!("{b:02X}") }).collect()
            }
        }
    }

    fn encoding() -> impl Strategy<Value = Encoding> {
        use Encoding::{Base64, Hex, Html, Json, Percent, Plain};
        prop::sample::select(vec![Plain, Percent, Json, Html, Base64, Hex])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 8 } else { 2_000 }))]

        /// A password of any characters, in two encodings one inside the other, between words.
        #[test]
        fn no_encoding_hides_a_secret(
            secret in "[ -~]{3,24}|[ -~äöü€😀]{6,24}|\\PC{8,16}",
            inner in encoding(),
            outer in encoding(),
            choices in prop::collection::vec(any::<bool>(), 7),
        ) {
            let echo = encoded(outer, &encoded(inner, &secret, &choices), &choices);
            let text = scrubbed(&secret, &format!("[{echo}]"));
            prop_assert!(text == "[…]", "{secret:?} as {inner:?} in {outer:?}: {echo:?} gives {text:?}");
        }
    }
}
