//! Errors that say where, what was found, what was expected, and which clause was broken.

use std::error::Error as StdError;
use std::fmt::{self, Write as _};

use super::remedy;
use super::text::{steers, without_keys, without_quotes};

/// The result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Who must act on an [`Error`]; also the exit code of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The call contradicts itself or the rules of the product: change the call.
    Usage,
    /// The media, manifest or document breaks its standard: mend the input.
    Input,
    /// Valid, but outside what this version does.
    Unsupported,
    /// Keys are missing, or the key server or its answer is at fault.
    Keys,
    /// Storage or network failed: try again or free resources.
    Storage,
    /// A check of protected output failed.
    Verification,
    /// What this crate made is not what it was to be: a bug, to be reported.
    Internal,
}

impl Kind {
    /// The word for this kind in `--json` output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Input => "input",
            Self::Unsupported => "unsupported",
            Self::Keys => "keys",
            Self::Storage => "storage",
            Self::Verification => "verification",
            Self::Internal => "internal",
        }
    }

    /// The exit code of the command for this kind.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Usage => 2,
            Self::Input => 3,
            Self::Unsupported => 4,
            Self::Keys => 5,
            Self::Storage => 6,
            // What was made was checked, and failed.
            Self::Verification | Self::Internal => 7,
        }
    }
}

/// One error: a kind, a trail from the outside in (file, box or element, byte), a message,
/// the clause that was broken, and what to do about it.
///
/// The text is one line:
/// `video/17.m4s: moof/traf/trun: byte 1210: 3 samples end at 9124, mdat ends at 9120 (ISO/IEC 14496-12 §8.8.8)`.
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    trail: Vec<String>,
    message: String,
    clause: Option<&'static str>,
    hint: Option<String>,
}

impl Error {
    fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, trail: Vec::new(), message: message.into(), clause: None, hint: None }))
    }

    /// The call is wrong.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// The input is wrong.
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(Kind::Input, message)
    }

    /// The input is right but not supported.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(Kind::Unsupported, message)
    }

    /// Keys or a key server are wrong.
    pub fn keys(message: impl Into<String>) -> Self {
        Self::new(Kind::Keys, message)
    }

    /// Storage or network failed.
    pub fn storage(message: impl Into<String>) -> Self {
        Self::new(Kind::Storage, message)
    }

    /// A check of protected output failed.
    pub fn verification(message: impl Into<String>) -> Self {
        Self::new(Kind::Verification, message)
    }

    /// What was made here is not what it was to be. It is never passed on: the job fails.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Kind::Internal, message).hint("this is a bug in drm-pack: please report it with the input")
    }

    /// Adds the place around what is already known: call it on the way up. A place that was just added is not
    /// repeated.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        let place = place.to_string();
        if self.0.trail.last() != Some(&place) {
            self.0.trail.push(place);
        }
        self
    }

    /// Adds a byte position (bytes from the start of the enclosing place).
    #[must_use]
    pub fn at_byte(self, position: u64) -> Self {
        self.at(format_args!("byte {position}"))
    }

    /// Names the clause that was broken.
    #[must_use]
    pub fn clause(mut self, clause: &'static str) -> Self {
        self.0.clause = Some(clause);
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Names the file, and another beside it, in the command of what is to be done: [`remedy::named`].
    #[must_use]
    pub fn for_file(mut self, name: &str) -> Self {
        self.0.hint = self.0.hint.map(|hint| remedy::named(&hint, name));
        self
    }

    /// Leaves out what it quotes at length: of a document with keys, which may stand where something else belongs.
    #[must_use]
    pub fn without_quotes(mut self) -> Self {
        let Inner { trail, message, hint, .. } = &mut *self.0;
        for text in trail.iter_mut().chain([message]).chain(hint) {
            *text = without_quotes(text);
        }
        self
    }

    /// Who must act.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }
}

/// Most characters of a place or message that are shown: a damaged input names itself at any length.
const MAX_PART_CHARACTERS: usize = 400;
/// Most characters of a hint, which may be a command with two paths in it.
const MAX_HINT_CHARACTERS: usize = 1200;

/// Writes words that may come from an input: on one line, not without end, and without keys.
fn write_line(f: &mut fmt::Formatter<'_>, text: &str, most: usize) -> fmt::Result {
    let text = &without_keys(text);
    let mut characters = text.chars();
    for character in characters.by_ref().take(most) {
        f.write_char(if steers(character) { ' ' } else { character })?;
    }
    if characters.next().is_some() { f.write_char('…') } else { Ok(()) }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in self.0.trail.iter().rev() {
            write_line(f, place, MAX_PART_CHARACTERS)?;
            f.write_str(": ")?;
        }
        write_line(f, &self.0.message, MAX_PART_CHARACTERS)?;
        if let Some(clause) = self.0.clause {
            write!(f, " ({clause})")?;
        }
        if let Some(hint) = &self.0.hint {
            f.write_str("; ")?;
            write_line(f, hint, MAX_HINT_CHARACTERS)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)
    }
}

impl StdError for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_goes_from_the_outside_in() {
        let error = Error::input("found 3, expected 2")
            .clause("ISO/IEC 23001-7 §7.2")
            .at_byte(1210)
            .at("moof/traf/senc")
            .at("video/17.m4s")
            .hint("repackage the input");
        assert_eq!(
            error.to_string(),
            "video/17.m4s: moof/traf/senc: byte 1210: found 3, expected 2 \
             (ISO/IEC 23001-7 §7.2); repackage the input"
        );
        assert_eq!(error.kind().exit_code(), 3);
    }

    #[test]
    fn words_of_the_input_stay_on_one_line_of_bounded_length() {
        let text = Error::input("x".repeat(5000)).at("a\nname\u{1b}[31m\u{9b}2J\u{202e}").to_string();
        assert!(text.starts_with("a name [31m 2J : xxx") && text.ends_with("x…"), "{text}");
        assert_eq!(text.chars().count(), "a name [31m 2J : ".len() + MAX_PART_CHARACTERS + 1);
    }
}
