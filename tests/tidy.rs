//! The architecture as tests: layers, names that stay home, sizes, first-line docs, fixtures that say why.
//!
//! A rule looks at one source and returns what it finds, line by line. Each rule has a test that runs
//! it over the project and a test that shows it can fail. Comments and test code are exempt from the
//! rules about names.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test may stop at once"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Modules in the order of their layers: name, layer, what it may import besides `base`.
/// A module may name only modules that stand above it, so there are no cycles.
const MODULES: &[(&str, u8, &[&str])] = &[
    ("base", 0, &[]),
    ("xml", 1, &[]),
    ("isobmff", 1, &[]),
    ("hls", 1, &[]),
    ("codec", 1, &[]),
    ("ts", 1, &[]),
    ("dash", 2, &["xml"]),
    ("cpix", 2, &["xml"]),
    ("protect", 2, &["isobmff", "codec", "ts"]),
    ("drm", 3, &["cpix", "hls", "xml", "protect", "isobmff"]),
    ("keys", 3, &["cpix", "xml"]),
    ("presentation", 3, &["isobmff", "hls", "codec", "dash"]),
    // `keys` for the request document; only `job` talks to a key server.
    (
        "package",
        4,
        &["xml", "isobmff", "hls", "codec", "ts", "dash", "cpix", "protect", "drm", "keys", "presentation"],
    ),
    (
        "inspect",
        4,
        &["xml", "isobmff", "hls", "codec", "ts", "dash", "cpix", "protect", "drm", "presentation"],
    ),
    (
        "job",
        5,
        &[
            "xml",
            "isobmff",
            "hls",
            "codec",
            "ts",
            "dash",
            "cpix",
            "protect",
            "drm",
            "keys",
            "presentation",
            "package",
        ],
    ),
    (
        "verify",
        5,
        &[
            "xml",
            "isobmff",
            "hls",
            "codec",
            "ts",
            "dash",
            "cpix",
            "protect",
            "drm",
            "keys",
            "presentation",
            "package",
            "job",
        ],
    ),
    ("io", 5, &[]),
    (
        "server",
        6,
        &[
            "xml",
            "isobmff",
            "hls",
            "codec",
            "ts",
            "dash",
            "cpix",
            "protect",
            "drm",
            "keys",
            "presentation",
            "package",
            "inspect",
            "job",
            "verify",
            "io",
        ],
    ),
    (
        "cli",
        6,
        &[
            "xml",
            "isobmff",
            "hls",
            "codec",
            "ts",
            "dash",
            "cpix",
            "protect",
            "drm",
            "keys",
            "presentation",
            "package",
            "inspect",
            "job",
            "verify",
            "io",
            "server",
        ],
    ),
];
/// The layers up to this one are pure: bytes in, bytes out.
const LAST_PURE_LAYER: u8 = 4;
/// What a pure module must not say.
const IMPURE: &[&str] = &[
    "SystemTime",
    "Instant",
    "println!",
    "eprintln!",
    "log::",
    "rand::",
    "getrandom",
    "std::fs",
    "std::net",
];
/// Modules whose first line also names a standard or says what the thing does.
const FORMATS: &[&str] = &["xml", "isobmff", "hls", "ts", "dash", "codec", "cpix", "protect", "drm", "keys"];

/// Names of DRM systems and where they are at home.
const DRM_WORDS: &[&str] = &["widevine", "playready", "fairplay", "clearkey", "clear_key", "clear key"];
const DRM_HOMES: &[&str] = &["src/drm/", "src/cli/", "src/server/", "src/lib.rs"];
/// Names of protection schemes, whole literals, and where they are at home.
/// Files that only tests compile, besides every `tests.rs`.
const TEST_FILES: &[&str] = &["src/codec/bit_writer.rs", "src/codec/contract.rs", "src/keys/scripted.rs"];
const SCHEME_LITERALS: &[&str] = &["\"cenc\"", "\"cbcs\"", "\"cens\"", "\"cbc1\""];
const SCHEME_HOMES: &[&str] = &["src/protect/scheme.rs", "src/cli/"];
/// Types of sample entries, whole literals, and where they are at home.
const CODEC_LITERALS: &[&str] = &[
    "\"avc1\"", "\"avc3\"", "\"hvc1\"", "\"hev1\"", "\"dvh1\"", "\"dvhe\"", "\"dva1\"", "\"dvav\"",
    "\"vvc1\"", "\"vvi1\"", "\"vp08\"", "\"vp09\"", "\"av01\"", "\"mp4a\"", "\"ac-3\"", "\"ec-3\"",
    "\"ac-4\"", "\"Opus\"", "\"fLaC\"", "\"dtsc\"", "\"dtse\"", "\"dtsx\"", "\"mhm1\"", "\"wvtt\"",
    "\"stpp\"",
];
const CODEC_HOMES: &[&str] = &["src/codec/"];
/// What only some operating systems have, and where it is at home.
const SYSTEM_WORDS: &[&str] = &["os::unix", "os::windows", "os::linux", "rustix", "signal_hook", "cfg(unix)"];
const SYSTEM_HOMES: &[&str] = &["src/io/system.rs"];

const FILE_LINES: usize = 400;
const FILE_LINES_LIMIT: usize = 600;
const FILE_REASON: &str = "longer than 400 lines because";
const FUNCTION_LINES_LIMIT: usize = 80;
const MOD_RS_LINES_LIMIT: usize = 150;

/// A file of the project.
struct Source {
    /// From the project's root, with `/`.
    path: String,
    lines: Vec<Line>,
}

/// A line of a file.
#[derive(Default)]
struct Line {
    /// As written.
    raw: String,
    /// Without comments.
    code: String,
    /// Without comments and without what literals hold.
    bare: String,
    /// Whether it is test code.
    test: bool,
}

/// What a rule finds: line number from 1, and what is wrong there.
type Findings = Vec<(usize, String)>;

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let mut lines = scan(text);
        mark_tests(&mut lines);
        if path.ends_with("/tests.rs") || TEST_FILES.contains(&path) {
            lines.iter_mut().for_each(|line| line.test = true);
        }
        Self { path: path.to_owned(), lines }
    }

    /// The top-level module: `src/hls/line.rs` is in `hls`, `src/xml.rs` is `xml`.
    fn module(&self) -> Option<&str> {
        let name = self.path.strip_prefix("src/")?.split('/').next()?;
        let name = name.strip_suffix(".rs").unwrap_or(name);
        (!matches!(name, "lib" | "main")).then_some(name)
    }

    /// How many `super` lead from this file's module to the crate's root.
    fn depth(&self) -> usize {
        let parts = self.path.split('/').count() - 1;
        if self.path.ends_with("/mod.rs") { parts - 1 } else { parts }
    }

    fn is_at_home(&self, homes: &[&str]) -> bool {
        !self.path.starts_with("src/") || homes.iter().any(|home| self.path.starts_with(home))
    }

    /// Lines of product code with their numbers.
    fn product(&self) -> impl Iterator<Item = (usize, &Line)> {
        self.lines.iter().enumerate().filter(|(_, line)| !line.test).map(|(index, line)| (index + 1, line))
    }

    /// The bare product code as one text; a byte's line is the count of line feeds before it.
    fn bare(&self) -> String {
        self.lines
            .iter()
            .map(|line| if line.test { "\n".into() } else { format!("{}\n", line.bare) })
            .collect()
    }
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Code,
    LineComment,
    BlockComment(usize),
    /// Inside a string; the count is that of a raw string's `#`.
    Text(Option<usize>),
}

/// Tells code, comments and literals apart: The Rust Reference, Lexical structure.
fn scan(text: &str) -> Vec<Line> {
    let chars: Vec<char> = text.chars().collect();
    let mut lines = vec![Line::default()];
    let mut state = State::Code;
    let mut at = 0;
    while at < chars.len() {
        let rest = &chars[at..];
        let (next, taken, visible) = step(state, rest, at.checked_sub(1).map(|before| chars[before]));
        for &c in &rest[..taken] {
            if c == '\n' {
                lines.push(Line::default());
                continue;
            }
            let line = lines.last_mut().unwrap();
            line.raw.push(c);
            match visible {
                Visible::Code => {
                    line.code.push(c);
                    line.bare.push(c);
                }
                Visible::Literal => line.code.push(c),
                Visible::Comment => {}
            }
        }
        state = next;
        at += taken;
    }
    lines
}

#[derive(Clone, Copy)]
enum Visible {
    Code,
    Literal,
    Comment,
}

/// One token: the state after it, its length, and what it is.
fn step(state: State, rest: &[char], before: Option<char>) -> (State, usize, Visible) {
    let two = (rest[0], rest.get(1).copied().unwrap_or('\n'));
    match state {
        State::LineComment if rest[0] == '\n' => (State::Code, 1, Visible::Comment),
        State::LineComment => (state, 1, Visible::Comment),
        State::BlockComment(depth) => match two {
            ('*', '/') if depth == 1 => (State::Code, 2, Visible::Comment),
            ('*', '/') => (State::BlockComment(depth - 1), 2, Visible::Comment),
            ('/', '*') => (State::BlockComment(depth + 1), 2, Visible::Comment),
            _ => (state, 1, Visible::Comment),
        },
        State::Text(None) => match two {
            ('\\', _) => (state, 2, Visible::Literal),
            ('"', _) => (State::Code, 1, Visible::Code),
            _ => (state, 1, Visible::Literal),
        },
        State::Text(Some(hashes)) => {
            let ends = rest[0] == '"' && rest[1..].iter().take_while(|c| **c == '#').count() >= hashes;
            if ends { (State::Code, 1 + hashes, Visible::Code) } else { (state, 1, Visible::Literal) }
        }
        State::Code => match two {
            ('/', '/') => (State::LineComment, 2, Visible::Comment),
            ('/', '*') => (State::BlockComment(1), 2, Visible::Comment),
            ('"', _) => (State::Text(None), 1, Visible::Code),
            ('r', '"' | '#') if !before.is_some_and(|c| is_word(c) && c != 'b') => {
                let hashes = rest[1..].iter().take_while(|c| **c == '#').count();
                let raw = rest.get(1 + hashes) == Some(&'"');
                if raw {
                    (State::Text(Some(hashes)), 2 + hashes, Visible::Code)
                } else {
                    (state, 1, Visible::Code)
                }
            }
            // A character, not a lifetime.
            ('\'', '\\') => {
                let end = rest.iter().skip(3).position(|c| *c == '\'').map_or(rest.len(), |found| found + 4);
                (state, end, Visible::Literal)
            }
            ('\'', _) if rest.get(2) == Some(&'\'') => (state, 3, Visible::Literal),
            _ => (state, 1, Visible::Code),
        },
    }
}

/// Marks the item after each `#[cfg(test)]`, to its closing brace or semicolon.
fn mark_tests(lines: &mut [Line]) {
    let mut index = 0;
    while index < lines.len() {
        if !lines[index].bare.contains("#[cfg(test)]") {
            index += 1;
            continue;
        }
        let end = item_end(lines, index, "#[cfg(test)]");
        lines[index..=end].iter_mut().for_each(|line| line.test = true);
        index = end + 1;
    }
}

/// The line on which the item ends that begins after `marker` on line `start`.
fn item_end(lines: &[Line], start: usize, marker: &str) -> usize {
    let (mut braces, mut brackets) = (0_usize, 0_usize);
    for (index, line) in lines.iter().enumerate().skip(start) {
        let skip = if index == start { line.bare.find(marker).map_or(0, |at| at + marker.len()) } else { 0 };
        for c in line.bare[skip..].chars() {
            match c {
                '(' | '[' => brackets += 1,
                ')' | ']' => brackets = brackets.saturating_sub(1),
                '{' => braces += 1,
                '}' if braces <= 1 => return index,
                '}' => braces -= 1,
                ';' if braces == 0 && brackets == 0 => return index,
                _ => {}
            }
        }
    }
    lines.len() - 1
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where `word` stands in `text` and is not the end of a longer word.
fn find_words(text: &str, word: &str) -> Vec<usize> {
    text.match_indices(word)
        .map(|(at, _)| at)
        .filter(|at| !text[..*at].chars().next_back().is_some_and(is_word))
        .collect()
}

fn first_word(text: &str) -> &str {
    text.split(|c| !is_word(c)).next().unwrap_or_default()
}

/// The names after `root`, of a path or of a group: `crate::{a::b, c}` names `a` and `c`.
fn names_after(text: &str, root: &str) -> Vec<(usize, String)> {
    let mut names = Vec::new();
    for at in find_words(text, root) {
        let line = text[..at].matches('\n').count() + 1;
        let rest = &text[at + root.len()..];
        match rest.strip_prefix('{') {
            Some(group) => names.extend(group_names(group).into_iter().map(|name| (line, name))),
            None => names.push((line, first_word(rest).to_owned())),
        }
    }
    names
}

fn group_names(group: &str) -> Vec<String> {
    let (mut depth, mut names, mut name) = (1, Vec::new(), String::new());
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && c == ',') {
            names.push(first_word(name.trim_start()).to_owned());
            name.clear();
        } else {
            name.push(c);
        }
        if depth == 0 {
            break;
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// A module imports only what its row allows.
fn layers(source: &Source) -> Findings {
    let Some(module) = source.module() else { return Vec::new() };
    let Some((_, layer, allowed)) = MODULES.iter().find(|(name, ..)| *name == module) else {
        return vec![(1, format!("module {module} has no layer; give it a row in MODULES"))];
    };
    let text = source.bare();
    let mut imports = names_after(&text, "crate::");
    imports.extend(names_after(&text, &"super::".repeat(source.depth())));
    let is_module = |name: &str| MODULES.iter().any(|(module, ..)| *module == name);
    imports
        .into_iter()
        .filter(|(_, name)| {
            is_module(name) && name != module && name != "base" && !allowed.contains(&name.as_str())
        })
        .map(|(line, name)| (line, format!("{module} (layer {layer}) must not import {name}")))
        .collect()
}

/// A pure module names no clock, file, socket, log or randomness.
fn purity(source: &Source) -> Findings {
    let pure =
        MODULES.iter().any(|(name, layer, _)| source.module() == Some(*name) && *layer <= LAST_PURE_LAYER);
    if !pure {
        return Vec::new();
    }
    let mut found: Findings = names_after(&source.bare(), "std::")
        .into_iter()
        .map(|(line, name)| (line, format!("std::{name}")))
        .filter(|(_, name)| IMPURE.contains(&name.as_str()))
        .collect();
    for (number, line) in source.product() {
        let words = IMPURE.iter().filter(|word| !word.starts_with("std::"));
        found.extend(
            words.filter(|word| !find_words(&line.bare, word).is_empty()).map(|w| (number, w.to_string())),
        );
    }
    found.into_iter().map(|(line, word)| (line, format!("{word} in a pure module"))).collect()
}

/// Product code imports no glob of its parent.
fn globs(source: &Source) -> Findings {
    let lines = source.product().filter(|(_, line)| line.bare.contains("super::*"));
    lines.map(|(number, _)| (number, "use super::* outside tests".into())).collect()
}

/// The first line says what the file is.
fn first_line(source: &Source) -> Findings {
    let first = source.lines[0].raw.as_str();
    let doc = first.strip_prefix("//! ").unwrap_or_default().trim();
    let is_format = source.module().is_some_and(|module| FORMATS.contains(&module));
    let says_where = doc.contains(" — ") || doc.contains(": ");
    if doc.split_whitespace().count() < 2 && source.path.starts_with("src/") {
        vec![(1, "the first line is not `//!` and a noun phrase".into())]
    } else if is_format && !says_where {
        vec![(1, "the first line names no standard after ` — ` or `: `".into())]
    } else {
        Vec::new()
    }
}

/// Files and functions stay short.
fn sizes(source: &Source) -> Findings {
    let last_is_empty = source.lines.last().is_some_and(|line| line.raw.is_empty());
    let count = source.product().count().saturating_sub(usize::from(last_is_empty));
    let reason =
        source.lines.iter().any(|line| line.raw.starts_with("//!") && line.raw.contains(FILE_REASON));
    let mut found = Vec::new();
    if source.path.ends_with("/mod.rs") && count >= MOD_RS_LINES_LIMIT {
        found.push((1, format!("mod.rs of {count} lines, below {MOD_RS_LINES_LIMIT} are allowed")));
    }
    if count > FILE_LINES_LIMIT {
        found.push((1, format!("{count} lines, at most {FILE_LINES_LIMIT} are allowed")));
    } else if count > FILE_LINES && !reason {
        found.push((1, format!("{count} lines; its doc must say \"{FILE_REASON}\"")));
    }
    for (number, line) in source.product() {
        for at in find_words(&line.bare, "fn ") {
            let name = first_word(&line.bare[at + 3..]);
            let lines = item_end(&source.lines, number - 1, &format!("fn {name}")) + 2 - number;
            let is_table = is_table(&source.lines[number..number + lines - 1]);
            if lines > FUNCTION_LINES_LIMIT && !is_table && !name.is_empty() {
                found.push((number, format!("fn {name} of {lines} lines, limit {FUNCTION_LINES_LIMIT}")));
            }
        }
    }
    found
}

/// Whether a function's body only lists: nothing is bound, branched on or looped over.
fn is_table(body: &[Line]) -> bool {
    !body.iter().any(|line| {
        line.bare.contains(';')
            || ["if ", "for ", "while ", "loop "].iter().any(|word| !find_words(&line.bare, word).is_empty())
    })
}

/// The words that `source` says away from their home.
fn strays(source: &Source, words: &[&str], homes: &[&str], lower: fn(&str) -> String) -> Findings {
    if source.is_at_home(homes) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (number, line) in source.product() {
        let code = lower(&line.code);
        let strays = words.iter().filter(|word| code.contains(*word));
        found.extend(strays.map(|word| (number, format!("{word} is at home only in {}", homes.join(", ")))));
    }
    found
}

fn drm_words(source: &Source) -> Findings {
    strays(source, DRM_WORDS, DRM_HOMES, str::to_lowercase)
}

fn scheme_literals(source: &Source) -> Findings {
    // The prefix of the namespace is spelled like a scheme and is none.
    let names_namespace = |line: usize| source.lines[line - 1].code.contains("urn:mpeg:cenc:2013");
    let mut found = strays(source, SCHEME_LITERALS, SCHEME_HOMES, str::to_owned);
    found.retain(|(line, _)| !names_namespace(*line));
    found
}

fn codec_literals(source: &Source) -> Findings {
    strays(source, CODEC_LITERALS, CODEC_HOMES, str::to_owned)
}

fn system_words(source: &Source) -> Findings {
    strays(source, SYSTEM_WORDS, SYSTEM_HOMES, str::to_owned)
}

/// Nothing is left for later, and nothing knows where a developer's files are.
fn leftovers(source: &Source) -> Findings {
    let marks =
        [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("to", "do!("), concat!("unimple", "mented!(")];
    let roots = ["/work/", "/home/", "/root/", "/Users/", "/tmp/"];
    let mut found = Vec::new();
    for (index, line) in source.lines.iter().enumerate() {
        for mark in marks.iter().filter(|mark| !find_words(&line.raw, mark).is_empty()) {
            found.push((index + 1, format!("{mark}: do it or write an issue")));
        }
        for root in roots {
            // In the middle of a URL or a relative path it is another thing.
            let starts = line.raw.match_indices(root).any(|(at, _)| {
                !line.raw[..at].chars().next_back().is_some_and(|c| is_word(c) || "/.}-:".contains(c))
            });
            if starts {
                found.push((index + 1, format!("{root} is a path of one machine")));
            }
        }
    }
    found
}

/// A case says why it is there and where it is from.
fn case(source: &Source) -> Findings {
    let has = |key: &str| {
        source.lines.iter().any(|line| {
            let value = line.raw.strip_prefix(key).and_then(|rest| rest.trim_start().strip_prefix('='));
            value.is_some_and(|value| value.trim().trim_matches('"').split_whitespace().count() > 2)
        })
    };
    let missing = ["why", "from"].into_iter().filter(|key| !has(key));
    missing.map(|key| (1, format!("no `{key} = \"…\"` of at least three words"))).collect()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All files below a folder of the project, sorted; an absent folder has none.
fn files(folder: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, out: &mut Vec<PathBuf>) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() { walk(&path, out) } else { out.push(path) }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    found.sort();
    found
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/")
}

fn read(paths: impl IntoIterator<Item = PathBuf>) -> Vec<Source> {
    paths.into_iter().map(|path| Source::new(&relative(&path), &fs::read_to_string(&path).unwrap())).collect()
}

fn rust_files(folder: &str) -> Vec<Source> {
    read(files(folder).into_iter().filter(|path| path.extension().is_some_and(|ext| ext == "rs")))
}

/// Fails with every finding of `rule`, one line each.
fn hold(rule: fn(&Source) -> Findings, sources: &[Source]) {
    assert!(!sources.is_empty(), "nothing to look at");
    let found: Vec<String> = sources
        .iter()
        .flat_map(|source| {
            rule(source).into_iter().map(move |(line, what)| format!("{}:{line}: {what}", source.path))
        })
        .collect();
    assert!(found.is_empty(), "{} findings\n{}", found.len(), found.join("\n"));
}

#[test]
fn modules_import_only_from_lower_layers() {
    hold(layers, &rust_files("src"));
}

#[test]
fn the_table_of_modules_has_no_cycles() {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let mut last = 0;
    for (name, layer, allowed) in MODULES {
        assert!(*layer >= last, "{name} stands below a higher layer");
        assert!(allowed.iter().all(|import| seen.contains(import)), "{name} names a module that comes later");
        assert!(seen.insert(name), "{name} stands there twice");
        last = *layer;
    }
}

#[test]
fn pure_modules_touch_nothing_outside() {
    hold(purity, &rust_files("src"));
}

#[test]
fn product_code_has_no_parent_globs() {
    hold(globs, &rust_files("src"));
}

#[test]
fn every_file_says_first_what_it_is() {
    hold(first_line, &rust_files("src"));
}

#[test]
fn files_and_functions_stay_short() {
    hold(sizes, &rust_files("src"));
}

#[test]
fn names_of_drm_systems_stay_home() {
    hold(drm_words, &rust_files("src"));
}

#[test]
fn names_of_schemes_stay_home() {
    hold(scheme_literals, &rust_files("src"));
}

#[test]
fn names_of_codecs_stay_home() {
    hold(codec_literals, &rust_files("src"));
}

#[test]
fn what_some_systems_have_has_one_home() {
    hold(system_words, &rust_files("src"));
}

#[test]
fn nothing_is_left_for_later() {
    let mut sources = rust_files("src");
    sources.extend(rust_files("tests").into_iter().filter(|source| source.path != "tests/tidy.rs"));
    sources.extend(rust_files("benches"));
    sources.extend(read(
        files("scripts")
            .into_iter()
            .filter(|path| path.extension().is_none_or(|ext| ext == "py" || ext == "sh")),
    ));
    hold(leftovers, &sources);
}

#[test]
fn every_fixture_says_why() {
    let (cases, others): (Vec<_>, Vec<_>) = files("fixtures")
        .into_iter()
        .partition(|path| path.file_name().is_some_and(|name| name == "case.toml"));
    for path in others {
        let has_case = path
            .ancestors()
            .take_while(|folder| *folder != root())
            .any(|folder| folder.join("case.toml").is_file());
        assert!(has_case, "{}:1: no case.toml in its folder or above", relative(&path));
    }
    hold(case, &read(cases));
}

/// The lines that `rule` finds in a text.
fn found(rule: fn(&Source) -> Findings, path: &str, text: &str) -> Vec<usize> {
    rule(&Source::new(path, text)).into_iter().map(|(line, _)| line).collect()
}

#[test]
fn the_scanner_tells_code_from_comments_and_literals() {
    let text = "a /* b /* c */ d */ e // f\n\"g\\\"// h\" 'i' '\\'' 'j r#\"k\" l\"# m";
    let lines = scan(text);
    assert_eq!(lines[0].code.trim_end(), "a  e");
    assert_eq!(lines[1].code, "\"g\\\"// h\" 'i' '\\'' 'j r#\"k\" l\"# m");
    assert_eq!(lines[1].bare, "\"\"   'j r#\"\"# m");
    assert_eq!(lines[0].raw, "a /* b /* c */ d */ e // f");
}

#[test]
fn test_code_ends_with_its_item() {
    let text = "a();\n#[cfg(test)]\nmod tests {\n    fn f([u8; 2]) {}\n}\nb();\n#[cfg(test)]\nuse c;\nd();";
    let marks: Vec<bool> = Source::new("src/a.rs", text).lines.iter().map(|line| line.test).collect();
    assert_eq!(marks, [false, true, true, true, true, false, true, true, false]);
}

#[test]
fn an_import_from_above_is_found() {
    let text = "//! A.\nuse crate::package::Plan;\nuse crate::{\n    base::Error,\n    drm::{x, y},\n};\n\
                // crate::job\nuse super::super::cli;\nuse crate::hls::A;\n#[cfg(test)]\nuse crate::cli::B;";
    assert_eq!(found(layers, "src/hls/line.rs", text), [2, 3, 8]);
    assert_eq!(found(layers, "src/hls/mod.rs", "use super::cpix;\nuse super::line;"), [1]);
    assert_eq!(found(layers, "src/xml.rs", "use super::base;\nuse super::hls;"), [2]);
    assert_eq!(found(layers, "src/misc.rs", ""), [1]);
    assert_eq!(found(layers, "src/lib.rs", "use crate::cli;"), []);
}

#[test]
fn an_impure_word_is_found() {
    let text = "use std::fs;\nuse std::{fmt, fs::File};\nlet a = Instant::now();\nprintln!();\n\
                \"println!\"; // Instant\nlet b = instrument_log::x();\n#[cfg(test)]\nuse std::net;";
    assert_eq!(found(purity, "src/hls/line.rs", text), [1, 2, 3, 4]);
    assert_eq!(found(purity, "src/io/file.rs", text), []);
}

#[test]
fn a_glob_of_the_parent_is_found() {
    assert_eq!(
        found(globs, "src/a.rs", "use super::*;\n#[cfg(test)]\nmod tests {\n    use super::*;\n}"),
        [1]
    );
}

#[test]
fn a_poor_first_line_is_found() {
    assert_eq!(found(first_line, "src/base/a.rs", "use x;"), [1]);
    assert_eq!(found(first_line, "src/base/a.rs", "//! Things of use."), []);
    assert_eq!(found(first_line, "src/hls/a.rs", "//! Things of use."), [1]);
    assert_eq!(found(first_line, "src/hls/a.rs", "//! Lines — RFC 8216bis §4.1."), []);
}

#[test]
fn a_long_file_or_function_is_found() {
    let lines = |count: usize| "x();\n".repeat(count);
    assert_eq!(found(sizes, "src/a.rs", &lines(FILE_LINES)), []);
    assert_eq!(found(sizes, "src/a.rs", &lines(FILE_LINES + 1)), [1]);
    let excused = format!("//! Things, {FILE_REASON} they belong together.\n");
    assert_eq!(found(sizes, "src/a.rs", &(excused.clone() + &lines(FILE_LINES))), []);
    assert_eq!(found(sizes, "src/a.rs", &(excused + &lines(FILE_LINES_LIMIT))), [1]);
    assert_eq!(found(sizes, "src/a/mod.rs", &lines(MOD_RS_LINES_LIMIT)), [1]);
    assert_eq!(found(sizes, "src/a.rs", &format!("#[cfg(test)]\nmod t {{\n{}}}", lines(900))), []);
    let function = |count| format!("\nfn f(\n    a: [u8; 2],\n) {{\n{}}}\n", lines(count));
    assert_eq!(found(sizes, "src/a.rs", &function(FUNCTION_LINES_LIMIT - 4)), []);
    assert_eq!(found(sizes, "src/a.rs", &function(FUNCTION_LINES_LIMIT - 3)), [2]);
    let table = format!("fn f(a: u8) -> u8 {{\nmatch a {{\n{}}}\n}}", "1 => 2,\n".repeat(90));
    assert_eq!(found(sizes, "src/a.rs", &table), []);
}

#[test]
fn a_name_away_from_home_is_found() {
    let text =
        "use crate::drm::widevine;\n// Widevine\nlet a = \"PlayReady\";\n#[cfg(test)]\nlet b = \"fairplay\";";
    assert_eq!(found(drm_words, "src/package/plan.rs", text), [1, 3]);
    assert_eq!(found(drm_words, "src/drm/mod.rs", text), []);
    let text = "FourCc(*b\"cbcs\")\nlet prefix = \"cenc:pssh\";\n\"urn:mpeg:cenc:2013\"\n\"cenc\"";
    assert_eq!(found(scheme_literals, "src/dash/mpd.rs", text), [1, 4]);
    assert_eq!(found(scheme_literals, "src/protect/scheme.rs", text), []);
    assert_eq!(found(codec_literals, "src/isobmff/stsd.rs", "b\"avc1\"\n// b\"avc1\"\nb\"encv\""), [1]);
    assert_eq!(found(codec_literals, "src/codec/avc.rs", "b\"avc1\""), []);
    assert_eq!(
        found(system_words, "src/io/file.rs", "use std::os::unix::fs::FileExt;\n// rustix\nrustix::a()"),
        [1, 3]
    );
    assert_eq!(found(system_words, "src/io/system.rs", "use std::os::unix::fs::FileExt;"), []);
}

#[test]
fn a_leftover_is_found() {
    let text = format!(
        "// {}: later\nlet a = \"{}\";\nlet b = \"https://host{}\";",
        concat!("TO", "DO"),
        "/home/me",
        "/home/x"
    );
    assert_eq!(found(leftovers, "src/a.rs", &text), [1, 2]);
}

#[test]
fn a_case_without_a_reason_is_found() {
    assert_eq!(found(case, "fixtures/a/case.toml", "why = \"\"\nfrom = \"made by hand here\""), [1]);
    assert_eq!(found(case, "fixtures/a/case.toml", "why = \"it has two\"\nfrom = \"made by hand\""), []);
}
