//! What users see: progress on standard error, results on standard output, errors in one line.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Mutex;

use clap::CommandFactory;
use indicatif::{ProgressBar, ProgressStyle};

use crate::base::{Error, Result};
use crate::job::{Event, KeyRotation, Report};
use crate::keys::KeyServer;

use super::args::Args;

/// Writes a line to standard output. A closed pipe is no reason to fail.
pub(super) fn line(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Writes bytes to standard output.
pub(super) fn bytes(bytes: &[u8]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| Error::storage(error.to_string()))
}

/// Writes a file that only its owner can read; it appears when it is whole.
pub(super) fn private_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |error: std::io::Error| Error::storage(error.to_string()).at(path.display());
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let beside = path.with_file_name(name);
    // What a job left that was cut off.
    let _ = std::fs::remove_file(&beside);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&beside).map_err(failed)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    let written = written.and_then(|()| std::fs::rename(&beside, path));
    // Its name is to be on the disk as well.
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let written = written.and_then(|()| std::fs::File::open(folder)?.sync_all());
    written.map_err(|error| {
        let _ = std::fs::remove_file(&beside);
        failed(error)
    })
}

/// Writes a line to standard error.
pub(super) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// What the key source wants the user to know, on standard error.
pub(super) fn key_warnings(keys: &dyn KeyServer) {
    keys.warnings().iter().for_each(|warning| note(&format!("warning: {warning}")));
}

/// One line on standard error; with `--json` an object on standard output as well.
pub(super) fn error(error: &Error, json: bool) {
    if json {
        let message = error.to_string();
        line(&serde_json::json!({"error": {"kind": error.kind().name(), "message": message}}).to_string());
    }
    note(&format!("drm-pack: {error}"));
}

/// Completions for a shell.
pub(super) fn completions(shell: clap_complete::Shell) {
    clap_complete::generate(shell, &mut Args::command(), "drm-pack", &mut std::io::stdout().lock());
}

/// Shows progress on a terminal: the step at hand, and a bar while media is read and written.
pub(super) struct Progress {
    bar: Mutex<Option<ProgressBar>>,
    is_terminal: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { bar: Mutex::new(None), is_terminal: std::io::stderr().is_terminal() }
    }

    /// Takes an event of a job.
    pub(super) fn observe(&self, event: Event<'_>) {
        let Ok(mut bar) = self.bar.lock() else { return };
        match event {
            Event::Warning(text) => match &*bar {
                Some(bar) => bar.suspend(|| note(&format!("warning: {text}"))),
                None => note(&format!("warning: {text}")),
            },
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
            Event::Step(_) | Event::Total(_) => {
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
    if let Some(seconds) = report.clear_lead {
        text.push_str(&format!("clear lead of {seconds} s\n"));
    }
    if let Some(KeyRotation { every, periods, mode }) = &report.key_rotation {
        text.push_str(&format!("{periods} crypto periods of {every} segments, {mode}\n"));
    }
    let bytes: u64 = report.outputs.iter().map(|output| output.bytes).sum();
    text.push_str(&format!(
        "{} files, {} in {}\n",
        report.outputs.len(),
        size(bytes),
        seconds(report.elapsed_ms)
    ));
    if let Some(count) = report.finished_before.filter(|count| *count > 0) {
        text.push_str(&format!("{count} of them were finished before\n"));
    }
    for manifest in &report.manifests {
        text.push_str(&format!("{}\n", out.join(manifest).display()));
    }
    if !report.not_proven.is_empty() {
        text.push_str(&format!("decrypted, not proven: {}\n", report.not_proven.join("; ")));
    }
    text.pop();
    text
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
pub(super) fn finish(result: &Report, out: &std::path::Path, json: bool) {
    if json {
        line(&serde_json::to_string_pretty(result).unwrap_or_default());
    } else {
        line(&report(result, out));
    }
}
