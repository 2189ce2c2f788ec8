//! What users see: progress on standard error, results on standard output, errors in one line.

use std::io::{ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::CommandFactory;
use indicatif::{ProgressBar, ProgressStyle};

use crate::base::env::Store;
use crate::base::{Error, Result, steers};
use crate::io::FileStore;
use crate::job::{ClearTrack, Event, KeyRotation, Report};
use crate::presentation::{SegmentKind, kind_of_file};

use super::args::Args;

/// The exit code when nobody reads the output any more: that of a program that SIGPIPE ends, as shells count it.
const BROKEN_PIPE: u8 = 128 + 13;
/// Most stretches of a track that are listed.
const MAX_STRETCHES: usize = 20;
/// Whether nobody reads standard output any more, as behind `| head`.
static READER_IS_GONE: AtomicBool = AtomicBool::new(false);
/// The bar on the terminal, while there is one: what is said meanwhile stands above it.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// So many of what the word names: "1 file", "2 files".
pub(super) fn counted(count: u64, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

/// Writes lines to standard output. Nothing in them steers a terminal: names and texts are of any origin.
pub(super) fn line(text: &str) -> Result<()> {
    bytes(format!("{}\n", printable(text)).as_bytes())
}

/// Writes a value as JSON to standard output, with the escapes of RFC 8259 §7 for what would steer a terminal.
pub(super) fn json(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Error::storage(error.to_string()))?;
    let mut escaped = String::with_capacity(text.len() + 1);
    for character in text.chars() {
        match character {
            '\n' => escaped.push('\n'),
            steering if steers(steering) => escaped.push_str(&format!("\\u{:04x}", u32::from(steering))),
            other => escaped.push(other),
        }
    }
    escaped.push('\n');
    bytes(escaped.as_bytes())
}

/// Writes bytes to standard output.
pub(super) fn bytes(bytes: &[u8]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| output_failed(&error))
}

/// Refuses to write over a file that the same command reads, and over media and manifests, which nobody means to lose.
pub(super) fn check_is_not_read<'a>(out: &Path, read: impl IntoIterator<Item = &'a Path>) -> Result<()> {
    let Ok(whole) = out.canonicalize() else { return Ok(()) };
    let is_same = |path: &Path| path.canonicalize().is_ok_and(|path| path == whole);
    let what = if read.into_iter().any(is_same) {
        Some("read by this command")
    } else if let Some(path) = whole.to_str().filter(|_| whole.is_file()) {
        let (store, name) = FileStore::of_file(path)?;
        let is_manifest = kind_of_file(&store, &name)?.map(|_| "a manifest");
        SegmentKind::of(store.open(&name)?.as_ref())?.media_name().or(is_manifest)
    } else {
        None
    };
    let Some(what) = what else { return Ok(()) };
    Err(Error::usage(format!("{} is {what} and would be replaced", out.display()))
        .hint("give the output another name"))
}

/// The error for what standard output did not take.
pub(super) fn output_failed(error: &std::io::Error) -> Error {
    if error.kind() == ErrorKind::BrokenPipe {
        READER_IS_GONE.store(true, Ordering::Relaxed);
    }
    Error::storage(error.to_string()).at("standard output")
}

/// Lines of which nothing steers a terminal.
fn printable(text: &str) -> String {
    let printable =
        |c: char| if steers(c) && c != '\n' && c != '\t' { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().map(printable).collect()
}

/// Writes a line to standard error. When that cannot be written there is nobody to tell.
pub(super) fn note(text: &str) {
    let write = || {
        let _ = writeln!(std::io::stderr().lock(), "{}", printable(text));
    };
    match BAR.lock().ok().as_deref() {
        Some(Some(bar)) => bar.suspend(write),
        _ => write(),
    }
}

/// Ends the command with an error: one line on standard error, with `--json` an object on standard output as well. That
/// the reader of standard output went away is no error to tell, as for other programs, but no success.
pub(super) fn failure(error: &Error, as_json: bool) -> ExitCode {
    if READER_IS_GONE.load(Ordering::Relaxed) {
        return ExitCode::from(BROKEN_PIPE);
    }
    if as_json {
        let message = error.to_string();
        // What is wrong stands on standard error as well.
        let _ = json(&serde_json::json!({"error": {"kind": error.kind().name(), "message": message}}));
    }
    note(&format!("drm-pack: {error}"));
    ExitCode::from(error.kind().exit_code())
}

/// Completions for a shell.
pub(super) fn completions(shell: clap_complete::Shell) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "drm-pack", &mut text);
    bytes(&text)
}

/// Shows progress on a terminal: the step at hand, and a bar while media is read and written.
pub(super) struct Progress {
    is_terminal: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { is_terminal: std::io::stderr().is_terminal() }
    }

    /// Takes an event of a job.
    pub(super) fn observe(&self, event: Event<'_>) {
        if let Event::Warning(text) = event {
            return note(&format!("warning: {text}"));
        }
        let Ok(mut bar) = BAR.lock() else { return };
        match event {
            Event::Total(bytes) if self.is_terminal => {
                let style = ProgressStyle::with_template("{msg:12} {bar:40} {bytes}/{total_bytes} {eta}");
                let new = ProgressBar::new(bytes).with_message("encrypting");
                *bar = Some(style.map(|style| new.clone().with_style(style)).unwrap_or(new));
            }
            Event::Advance(bytes) => {
                if let Some(bar) = &*bar {
                    bar.inc(bytes);
                }
            }
            Event::Step(_) | Event::Total(_) | Event::Warning(_) => {
                if let Some(bar) = bar.take() {
                    bar.finish_and_clear();
                }
            }
        }
    }
}

/// The report as people read it.
pub(super) fn report(report: &Report, out: &std::path::Path) -> String {
    let mut text = String::new();
    for track in &report.tracks {
        let shape = match (track.width, track.height, track.channels) {
            (Some(width), Some(height), _) => format!("{width}x{height}"),
            (.., Some(channels)) => format!("{channels} ch"),
            _ => String::new(),
        };
        text.push_str(&format!(
            "{:4} {:6} {:16} {:>9}  {}  key {}  {} samples  {}\n",
            track.id, track.kind, track.codec, shape, track.scheme, track.kid, track.samples, track.source
        ));
    }
    for ClearTrack { id, kind, codec, source, .. } in &report.clear_tracks {
        text.push_str(&format!("{id:4} {kind:6} {codec:16} {:>9}  clear  {source}\n", ""));
    }
    if let Some(seconds) = report.clear_lead {
        text.push_str(&format!("clear lead of {seconds} s\n"));
    }
    for track in &report.tracks {
        let clear = clear_stretches(&format!("{:4}", track.id), &track.clear);
        text.extend(clear.map(|clear| clear + "\n"));
    }
    if let Some(KeyRotation { every, periods, mode }) = &report.key_rotation {
        let every = every.map(|every| format!(" of {every} segments")).unwrap_or_default();
        text.push_str(&format!("{periods} crypto periods{every}, {mode}\n"));
    }
    let bytes: u64 = report.outputs.iter().map(|output| output.bytes).sum();
    text.push_str(&format!(
        "{}, {} in {}\n",
        counted(report.outputs.len() as u64, "file"),
        size(bytes),
        seconds(report.elapsed_ms)
    ));
    if let Some(count) = report.finished_before.filter(|count| *count > 0) {
        text.push_str(&format!("{count} of them were finished before\n"));
    }
    for manifest in &report.manifests {
        text.push_str(&format!("{}\n", out.join(manifest).display()));
    }
    let clear = report.clear_tracks.iter().filter_map(|track| track.left_clear.as_deref());
    let clear: String = clear.map(|file| format!(" --clear-track {file}")).collect();
    let base = report.base_url.as_ref().map(|base| format!(" --base-url {base}")).unwrap_or_default();
    if !clear.is_empty() || !base.is_empty() {
        text.push_str(&format!("verify with: drm-pack verify {}{base}{clear}\n", out.display()));
    }
    if !report.not_proven.is_empty() {
        text.push_str(&format!("decrypted, not proven: {}\n", report.not_proven.join("; ")));
    }
    text.pop();
    text
}

/// When a track is clear; the first stretches are listed, the others counted.
pub(super) fn clear_stretches(track: &str, clear: &[(f64, f64)]) -> Option<String> {
    let listed = clear.iter().take(MAX_STRETCHES).map(|(from, to)| format!("{from:.3} to {to:.3} s"));
    let listed: Vec<_> = listed.collect();
    let more = match clear.len() - listed.len() {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    (!listed.is_empty()).then(|| format!("{track} is clear from {}{more}", listed.join(", ")))
}

fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} B"),
        10_000..10_000_000 => format!("{} kB", bytes / 1000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{:03} s", milliseconds / 1000, milliseconds % 1000)
}

/// Prints a report in the form that was asked for.
pub(super) fn finish(result: &Report, out: &std::path::Path, as_json: bool) -> Result<()> {
    if as_json { json(result) } else { line(&report(result, out)) }
}
