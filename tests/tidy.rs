//! The architecture as tests: floors, names that stay home, first lines, fixtures that say why.
//!
//! A rule looks at one source and returns what it finds. Each has a test that runs it over the project and a test that
//! shows it can fail. Comments and test code are exempt from the rules about names. What clippy knows (function length,
//! globs, leftovers, impure calls) is left to clippy.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may stop at once"
)]

use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The rooms and their floors. A room imports from floors below its own, and no circle crosses a room.
const FLOORS: &[(&str, u8)] = &[
    ("base", 0),
    ("xml", 1),
    ("isobmff", 1),
    ("hls", 1),
    ("codec", 1),
    ("ts", 1),
    ("matroska", 1),
    ("demux", 2),
    ("dash", 2),
    ("cpix", 2),
    ("protect", 2),
    ("subtitles", 2),
    ("drm", 3),
    ("keys", 3),
    ("presentation", 3),
    ("package", 4),
    ("inspect", 4),
    ("job", 5),
    ("verify", 5),
    ("io", 5),
    ("server", 6),
    ("cli", 6),
];
/// Imports within a floor: who, and from whom.
const NEIGHBORS: &[(&str, &str)] = &[("verify", "job"), ("cli", "server")];
/// The floors up to this one are pure: bytes in, bytes out.
const LAST_PURE_FLOOR: u8 = 4;
const IMPURE: &[&str] =
    &["SystemTime", "Instant", "println", "eprintln", "log", "rand", "getrandom", "fs", "net"];
/// Rooms whose files name a standard in their first line, or say what the thing does.
const FORMATS: &[&str] = &[
    "xml",
    "isobmff",
    "hls",
    "ts",
    "matroska",
    "demux",
    "dash",
    "codec",
    "cpix",
    "protect",
    "subtitles",
    "drm",
    "keys",
];
/// Files that only tests compile, besides every `tests.rs`.
const TEST_FILES: &[&str] = &["src/codec/bit_writer.rs", "src/codec/contract.rs", "src/keys/scripted.rs"];

/// Words, and the folders in which code may say them.
struct Home {
    words: &'static [&'static str],
    /// Whether a word is a whole literal or name, and not a part of one in any case.
    is_whole: bool,
    at: &'static [&'static str],
}

const HOMES: &[Home] = &[
    Home {
        words: &["widevine", "playready", "fairplay", "clearkey", "clear_key", "clear key"],
        is_whole: false,
        at: &["src/drm/", "src/cli/", "src/server/", "src/lib.rs"],
    },
    Home {
        words: &["\"cenc\"", "\"cbcs\"", "\"cens\"", "\"cbc1\""],
        is_whole: true,
        at: &["src/protect/scheme.rs", "src/cpix/whole_segments.rs", "src/cli/"],
    },
    Home {
        words: &[
            "\"avc1\"", "\"avc3\"", "\"hvc1\"", "\"hev1\"", "\"dvh1\"", "\"dvhe\"", "\"dva1\"", "\"dvav\"",
            "\"vvc1\"", "\"vvi1\"", "\"vp08\"", "\"vp09\"", "\"av01\"", "\"mp4a\"", "\"ac-3\"", "\"ec-3\"",
            "\"ac-4\"", "\"Opus\"", "\"fLaC\"", "\"dtsc\"", "\"dtse\"", "\"dtsx\"", "\"mhm1\"", "\"wvtt\"",
            "\"stpp\"",
        ],
        is_whole: true,
        at: &["src/codec/"],
    },
    Home { words: &["unix", "linux", "rustix", "signal_hook"], is_whole: true, at: &["src/io/system.rs"] },
];

/// A Rust file: its first line, and the names and literals of its product code with their lines, from 1.
struct Source {
    path: String,
    text: String,
    tokens: Vec<(usize, String)>,
}

/// What a rule finds: the line, and what is wrong there.
type Findings = Vec<(usize, String)>;

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let mut tokens = Vec::new();
        let is_test = path.ends_with("/tests.rs") || TEST_FILES.contains(&path);
        if !is_test {
            let stream = text.parse::<TokenStream>();
            collect(stream.unwrap_or_else(|error| panic!("{path}: {error}")), &mut tokens);
        }
        Self { path: path.to_owned(), text: text.to_owned(), tokens }
    }

    /// `src/hls/line.rs` is in `hls`, `src/xml.rs` is `xml`.
    fn room(&self) -> Option<&str> {
        let name = self.path.strip_prefix("src/")?.split('/').next()?;
        let name = name.strip_suffix(".rs").unwrap_or(name);
        (!matches!(name, "lib" | "main")).then_some(name)
    }

    /// How many `super` lead from this file's module to the crate's root.
    fn depth(&self) -> usize {
        let parts = self.path.split('/').count() - 1;
        if self.path.ends_with("/mod.rs") { parts - 1 } else { parts }
    }
}

/// Flattens a stream; docs and items behind `#[cfg(test)]` are passed over.
fn collect(stream: TokenStream, out: &mut Vec<(usize, String)>) {
    let mut trees = stream.into_iter().peekable();
    while let Some(tree) = trees.next() {
        let line = tree.span().start().line;
        let is_mark = matches!(&tree, TokenTree::Punct(mark) if mark.as_char() == '#');
        // An inner attribute has `!` between.
        let is_inner = |next: &TokenTree| matches!(next, TokenTree::Punct(mark) if mark.as_char() == '!');
        if is_mark && trees.peek().is_some_and(is_inner) {
            trees.nth(1);
            continue;
        }
        let attribute = trees.peek().filter(|_| is_mark).map(ToString::to_string).unwrap_or_default();
        let attribute: String = attribute.split_whitespace().collect();
        if attribute == "[cfg(test)]" {
            trees.by_ref().skip(1).find(ends_item);
            continue;
        }
        if attribute.starts_with("[doc=") {
            trees.next();
            continue;
        }
        match tree {
            TokenTree::Group(group) => {
                out.push((line, if group.delimiter() == Delimiter::Brace { "{" } else { "(" }.into()));
                collect(group.stream(), out);
                out.push((group.span().end().line, "}".into()));
            }
            other => out.push((line, other.to_string())),
        }
    }
}

fn ends_item(tree: &TokenTree) -> bool {
    match tree {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        TokenTree::Punct(end) => end.as_char() == ';',
        _ => false,
    }
}

/// The names after a path's `root`, alone or in a group: `crate::{a::b, c}` names `a` and `c`.
fn names_after(source: &Source, root: &[&str]) -> Findings {
    let prefix: Vec<&str> = root.iter().flat_map(|part| [*part, ":", ":"]).collect();
    let mut names = Vec::new();
    for at in 0..source.tokens.len() {
        let mut rest = source.tokens[at..].iter();
        // The end of a longer path is none.
        let is_inner = at > 0 && source.tokens[at - 1].1 == ":";
        if is_inner || !prefix.iter().all(|part| rest.next().is_some_and(|(_, token)| token == part)) {
            continue;
        }
        let Some((line, first)) = rest.next() else { continue };
        if first != "{" {
            names.push((*line, first.clone()));
            continue;
        }
        let (mut depth, mut is_first) = (1, true);
        for (line, token) in rest {
            match token.as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                "," if depth == 1 => is_first = true,
                name if depth == 1 && std::mem::take(&mut is_first) => names.push((*line, name.to_owned())),
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    names
}

fn floor_of(room: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == room).map(|(_, floor)| *floor)
}

/// A room imports only from floors below.
fn floors(source: &Source) -> Findings {
    let Some(room) = source.room() else { return Vec::new() };
    let Some(floor) = floor_of(room) else { return vec![(1, format!("{room} has no floor: give it one"))] };
    let mut imports = names_after(source, &["crate"]);
    imports.extend(names_after(source, &vec!["super"; source.depth()]));
    imports.retain(|(_, name)| {
        let is_neighbor = name == room || NEIGHBORS.contains(&(room, name.as_str()));
        floor_of(name).is_some_and(|other| other >= floor && !is_neighbor)
    });
    imports.into_iter().map(|(line, name)| (line, format!("{room} must not import {name}"))).collect()
}

/// A pure room names no clock, file, socket, log or randomness.
fn purity(source: &Source) -> Findings {
    if source.room().and_then(floor_of).is_none_or(|floor| floor > LAST_PURE_FLOOR) {
        return Vec::new();
    }
    let is_path = |at: usize| source.tokens.get(at + 1).is_some_and(|(_, next)| next == ":");
    let is_std = |at: usize| at >= 3 && source.tokens[at - 3].1 == "std";
    let is_macro = |at: usize| source.tokens.get(at + 1).is_some_and(|(_, next)| next == "!");
    let in_group = names_after(source, &["std"]);
    let mut found = Vec::new();
    for (at, (line, token)) in source.tokens.iter().enumerate() {
        let is_impure = IMPURE.contains(&token.as_str())
            && match token.as_str() {
                "SystemTime" | "Instant" => true,
                "println" | "eprintln" => is_macro(at),
                "fs" | "net" => is_std(at) || in_group.contains(&(*line, token.clone())),
                _ => is_path(at) && !(at > 0 && source.tokens[at - 1].1 == ":"),
            };
        found.extend(is_impure.then(|| (*line, format!("{token} in a pure room"))));
    }
    found
}

/// The first line says what the file is.
fn first_line(source: &Source) -> Findings {
    let first = source.text.lines().next().unwrap_or_default();
    let doc = first.strip_prefix("//! ").unwrap_or_default().trim();
    let is_format = source.room().is_some_and(|room| FORMATS.contains(&room));
    if doc.split_whitespace().count() < 2 {
        vec![(1, "the first line is not `//!` and a noun phrase".into())]
    } else if is_format && !doc.contains(" — ") && !doc.contains(": ") {
        vec![(1, "the first line names no standard after ` — ` or `: `".into())]
    } else {
        Vec::new()
    }
}

/// Words that code says away from their home.
fn strays(source: &Source) -> Findings {
    let mut found = Vec::new();
    for home in HOMES.iter().filter(|home| !home.at.iter().any(|at| source.path.starts_with(at))) {
        for (at, (line, token)) in source.tokens.iter().enumerate() {
            let literal = token.strip_prefix('b').filter(|rest| rest.starts_with('"')).unwrap_or(token);
            // The prefix of the namespace is spelled like a scheme and is none.
            let of_namespace =
                || source.tokens[at..].iter().take(4).any(|(_, next)| next.contains("mpeg:cenc"));
            let is_stray = |word: &&str| match home.is_whole {
                true => literal == *word && !of_namespace(),
                false => token.to_lowercase().contains(*word),
            };
            found.extend(
                home.words
                    .iter()
                    .find(|word| is_stray(word))
                    .map(|word| (*line, format!("{word} is at home only in {}", home.at.join(", ")))),
            );
        }
    }
    found
}

/// Nothing knows where a developer's files are.
fn machine_paths(source: &Source) -> Findings {
    let roots = ["/work/", "/home/", "/root/", "/Users/", "/tmp/"];
    let lines = source.text.lines().enumerate();
    // In the middle of a URL or a relative path it is another thing.
    let starts =
        |line: &str, at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "_/.}-:".contains(c));
    lines
        .filter(|(_, line)| roots.iter().any(|root| line.match_indices(root).any(|(at, _)| starts(line, at))))
        .map(|(index, _)| (index + 1, "a path of one machine".into()))
        .collect()
}

/// A case says why it is there and where it is from.
fn case(text: &str) -> bool {
    ["why", "from"].iter().all(|key| {
        text.lines().any(|line| {
            let value = line.strip_prefix(key).and_then(|rest| rest.trim_start().strip_prefix('='));
            value.is_some_and(|value| value.trim().trim_matches('"').split_whitespace().count() > 2)
        })
    })
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All files below a folder of the project, sorted.
fn files(folder: &str) -> Vec<PathBuf> {
    fn walk(folder: &Path, out: &mut Vec<PathBuf>) {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() { walk(&path, out) } else { out.push(path) }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    found.sort();
    found
}

fn rust_files(folder: &str) -> Vec<Source> {
    let files = files(folder).into_iter().filter(|path| path.extension().is_some_and(|ext| ext == "rs"));
    let relative = |path: &Path| path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
    files.map(|path| Source::new(&relative(&path), &fs::read_to_string(&path).unwrap())).collect()
}

/// Fails with every finding of `rule`, one line each.
fn hold(rule: fn(&Source) -> Findings, folder: &str) {
    let sources = rust_files(folder);
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
fn rooms_import_only_from_floors_below() {
    hold(floors, "src");
}

#[test]
fn pure_rooms_touch_nothing_outside() {
    hold(purity, "src");
}

#[test]
fn every_file_says_first_what_it_is() {
    hold(first_line, "src");
    hold(first_line, "tests");
}

#[test]
fn names_stay_home() {
    hold(strays, "src");
}

#[test]
fn no_path_is_of_one_machine() {
    hold(machine_paths, "src");
    hold(machine_paths, "benches");
}

/// Functions and types that `docs/architecture.md` names in code spans with `::`.
#[test]
fn the_walks_name_what_is_there() {
    let text = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let code: String = rust_files("src").iter().map(|source| source.text.as_str()).collect();
    let spans =
        text.split('`').skip(1).step_by(2).filter(|span| span.contains("::") && !span.contains(['\n', ' ']));
    let names: Vec<&str> = spans.filter_map(|span| span.rsplit("::").next()).collect();
    assert!(names.len() > 20);
    let is_there = |name: &&str| {
        ["fn ", "struct ", "enum ", "mod "].iter().any(|kind| code.contains(&format!("{kind}{name}")))
    };
    let gone: Vec<_> = names.iter().filter(|name| !is_there(name)).collect();
    assert!(gone.is_empty(), "docs/architecture.md names {gone:?}");
}

#[test]
fn every_fixture_says_why() {
    for path in files("fixtures") {
        let case_of = path
            .ancestors()
            .skip(1)
            .take_while(|folder| *folder != root())
            .find_map(|folder| fs::read_to_string(folder.join("case.toml")).ok());
        let text =
            case_of.unwrap_or_else(|| panic!("{}: no case.toml in its folder or above", path.display()));
        assert!(
            case(&text),
            "{}: its case.toml says not why it is there and where it is from",
            path.display()
        );
    }
}

/// The lines that `rule` finds in a text.
fn found(rule: fn(&Source) -> Findings, path: &str, text: &str) -> Vec<usize> {
    rule(&Source::new(path, text)).into_iter().map(|(line, _)| line).collect()
}

#[test]
fn an_import_from_above_is_found() {
    let text = "//! A.\nuse crate::package::Plan;\nuse crate::{\n    base::Error,\n    drm::{x, y},\n};\n\
                // crate::job\nuse super::super::cli;\nuse crate::hls::A;\n#[cfg(test)]\nuse crate::cli::B;";
    assert_eq!(found(floors, "src/hls/line.rs", text), [2, 5, 8]);
    assert_eq!(found(floors, "src/hls/mod.rs", "use super::cpix;\nuse super::line;"), [1]);
    assert_eq!(found(floors, "src/xml.rs", "use super::base;\nuse super::hls;"), [2]);
    assert_eq!(found(floors, "src/verify/a.rs", "use crate::{job, io};"), [1]);
    assert_eq!(found(floors, "src/misc.rs", ""), [1]);
    assert_eq!(found(floors, "src/lib.rs", "use crate::cli;"), []);
}

#[test]
fn an_impure_word_is_found() {
    let text = "use std::fs;\nuse std::{fmt, fs::File};\nconst A: B = Instant::now();\nprintln!();\n\
                \"println!\"; // Instant\nlet b = instrument_log::x();\nrand::x();\n#[cfg(test)]\nuse std::net;";
    assert_eq!(found(purity, "src/hls/line.rs", text), [1, 2, 3, 4, 7]);
    assert_eq!(found(purity, "src/io/file.rs", text), []);
}

#[test]
fn a_poor_first_line_is_found() {
    assert_eq!(found(first_line, "src/base/a.rs", "use x;"), [1]);
    assert_eq!(found(first_line, "src/base/a.rs", "//! Things of use."), []);
    assert_eq!(found(first_line, "src/hls/a.rs", "//! Things of use."), [1]);
    assert_eq!(found(first_line, "src/hls/a.rs", "//! Lines — RFC 8216bis §4.1."), []);
}

#[test]
fn a_name_away_from_home_is_found() {
    let text = "use crate::drm::widevine;\n/// Widevine\nlet a = \"PlayReady\";\n#[cfg(test)]\nfn f() { \"fairplay\" }";
    assert_eq!(found(strays, "src/package/plan/mod.rs", text), [1, 3]);
    assert_eq!(found(strays, "src/drm/mod.rs", text), []);
    let text =
        "FourCc(*b\"cbcs\");\nlet prefix = \"cenc:pssh\";\n(\"cenc\", \"urn:mpeg:cenc:2013\");\n\"cenc\"";
    assert_eq!(found(strays, "src/dash/mpd.rs", text), [1, 4]);
    assert_eq!(found(strays, "src/isobmff/stsd.rs", "b\"avc1\";\n// b\"avc1\"\nb\"encv\""), [1]);
    assert_eq!(found(strays, "src/codec/avc.rs", "b\"avc1\""), []);
    let text = "use std::os::unix::fs::FileExt;\n// rustix\nrustix::a()";
    assert_eq!(found(strays, "src/io/file.rs", text), [1, 3]);
    assert_eq!(found(strays, "src/io/system.rs", text), []);
}

#[test]
fn a_path_of_one_machine_is_found() {
    let text = format!("let a = \"{}\";\nlet b = \"https://host{}\";", "/home/me", "/home/x");
    assert_eq!(found(machine_paths, "src/a.rs", &text), [1]);
}

#[test]
fn a_case_without_a_reason_is_found() {
    assert!(!case("why = \"\"\nfrom = \"made by hand here\""));
    assert!(case("why = \"it has two\"\nfrom = \"made by hand\""));
}
