//! Commands that make a file one that can be packed: FFmpeg, with every picture, sound and text that it keeps.
//!
//! Without `-map` it would take one track of each kind. Where a text is written the file has no name yet: FILE and OTHER
//! stand for it and for what is made, and [`named`] puts them in.

/// What is kept of an input: video but no cover art, audio and text, as far as there are any; quoted for shells that know
/// `?` as a pattern.
pub fn kept(input: &str) -> String {
    format!("-map '{input}:V?' -map '{input}:a?' -map '{input}:s?'")
}

/// The command that writes a file anew in another of this kind: all copied, but for what `options` say.
pub fn copy(options: &str, kind: &str) -> String {
    with("", &format!("-c copy{options}"), kind)
}

/// The command with options of the input (with a space behind them) and those that are not to copy.
pub fn with(of_input: &str, options: &str, kind: &str) -> String {
    format!("ffmpeg {of_input}-i FILE {} {options} OTHER.{kind}", kept("0"))
}

/// A text with the names of a file, and of another beside it, in its command.
pub fn named(text: &str, name: &str) -> String {
    let parts = || {
        let (before, rest) = text.split_once(" -i FILE ")?;
        let (options, kind) = rest.split_once(" OTHER.")?;
        let ends = kind.find(|letter: char| !letter.is_ascii_alphanumeric()).unwrap_or(kind.len());
        Some((before, options, kind.split_at(ends)))
    };
    parts().map_or_else(
        || text.to_owned(),
        |(before, options, (kind, behind))| {
            format!("{before} -i {} {options} {}{behind}", quoted(name), quoted(&other(name, kind)))
        },
    )
}

/// The name of the file that is made: beside the input, or here when that is on a server.
fn other(name: &str, kind: &str) -> String {
    let name = if name.contains("://") { name.rsplit('/').next().unwrap_or(name) } else { name };
    let stem = match name.rsplit_once('.') {
        Some((stem, extension)) if !extension.contains(['/', '\\']) && !stem.is_empty() => stem,
        _ => name,
    };
    format!("{stem}.new.{kind}")
}

/// A word as a shell reads it.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-:+=@%,".contains(c);
    if word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words_of_a_shell_and_outputs_stand_beside_inputs() {
        assert_eq!(quoted("a/b.mov"), "a/b.mov");
        assert_eq!(quoted("it's mine.mov"), r"'it'\''s mine.mov'");
        for (name, expected) in [
            ("a/b.mov", "a/b.new.mp4"),
            ("b", "b.new.mp4"),
            ("a.b/c", "a.b/c.new.mp4"),
            ("https://h/x/b.mov", "b.new.mp4"),
        ] {
            assert_eq!(other(name, "mp4"), expected);
        }
    }

    #[test]
    fn names_come_into_commands_and_nothing_else_changes() {
        let text = format!("write it anew: {}, and pack that", copy(" -c:a aac", "ts"));
        let expected = "write it anew: ffmpeg -i 'a b.ts' -map '0:V?' -map '0:a?' -map '0:s?' -c copy -c:a aac \
                        'a b.new.ts', and pack that";
        assert_eq!(named(&text, "a b.ts"), expected);
        assert_eq!(named("give the clear file", "a.ts"), "give the clear file");
    }
}
