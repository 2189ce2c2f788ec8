//! `drm-pack cpix`: the workbench for CPIX documents.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::base::{Error, Kid, Kind, Result};
use crate::cpix::{
    Certificate, Document, Original, RecipientKey, Signed, Version, read_verified, recipients, self_signed,
    verify_signatures,
};
use crate::drm;
use crate::io::SystemRandom;

use super::args::{CpixCommand, CpixFileArgs};
use super::output::{line, note};
use super::secret_file::{document_bytes, secret_bytes};

pub(super) fn run(command: &CpixCommand) -> Result<()> {
    match command {
        CpixCommand::Validate { file, version, trust } => validate(file, version.as_deref(), trust),
        CpixCommand::Convert { file, to } => {
            let version = Version::find(to)?;
            edit(file, |original| original.convert(version))
        }
        CpixCommand::Encrypt { file, recipient } => {
            let recipients: Vec<_> = recipient.iter().map(|path| certificate(path)).collect::<Result<_>>()?;
            for (recipient, path) in recipients.iter().zip(recipient) {
                for weakness in recipient.weaknesses() {
                    note(&format!("warning: {}: {weakness}", path.display()));
                }
            }
            edit(file, |original| original.encrypt(&recipients, &SystemRandom))
        }
        CpixCommand::Decrypt { file, recipient_key } => {
            let keys = recipient_keys(recipient_key)?;
            edit(file, |original| original.decrypt(&keys))
        }
        CpixCommand::Explain { file } => {
            let original = open(file)?;
            let document = original.document().map_err(|error| error.at(file.display()))?;
            explain(&original, &document)
        }
    }
}

fn open(path: &Path) -> Result<Original> {
    Original::parse(&document_bytes(path)?).map_err(|error| error.at(path.display()))
}

pub(super) fn certificate(path: &Path) -> Result<Certificate> {
    Certificate::parse(&secret_bytes(path, "a certificate")?).map_err(|error| error.at(path.display()))
}

/// The private keys in these files.
pub(super) fn recipient_keys(paths: &[PathBuf]) -> Result<Vec<RecipientKey>> {
    let key = |path: &Path| {
        RecipientKey::parse(&secret_bytes(path, "--recipient-key")?).map_err(|error| error.at(path.display()))
    };
    paths.iter().map(|path| key(path)).collect()
}

/// The document of keys in this file, as it was signed if it was; `trust` has certificates of which each signature must
/// be by one.
pub(super) fn document(path: &Path, recipient_key: &[PathBuf], trust: &[PathBuf]) -> Result<Document> {
    let trusted: Vec<_> = trust.iter().map(|path| certificate(path)).collect::<Result<_>>()?;
    let recipients = recipient_keys(recipient_key)?;
    read_verified(&document_bytes(path)?, &recipients, &trusted).map_err(|error| error.at(path.display()))
}

/// Edits a document and writes it to standard output or a file.
fn edit(args: &CpixFileArgs, edit: impl FnOnce(&mut Original) -> Result<Vec<String>>) -> Result<()> {
    if let Some(out) = &args.out {
        super::output::check_is_not_read(out, [args.file.as_path()])?;
    }
    let mut original = open(&args.file)?;
    for warning in edit(&mut original).map_err(|error| error.at(args.file.display()))? {
        note(&format!("warning: {warning}"));
    }
    let bytes = original.to_bytes();
    match &args.out {
        Some(path) => crate::io::write_secret_file(path, &bytes),
        None => super::output::bytes(&bytes),
    }
}

fn validate(path: &Path, version: Option<&str>, trust: &[PathBuf]) -> Result<()> {
    let version = version.map(Version::find).transpose()?;
    let original = open(path)?;
    let findings = original.findings(version).map_err(|error| error.at(path.display()))?;
    findings.iter().try_for_each(|finding| line(finding))?;
    if !trust.is_empty() {
        let trusted: Vec<_> = trust.iter().map(|path| certificate(path)).collect::<Result<_>>()?;
        let signed = verify_signatures(&original.to_bytes(), &trusted);
        for signed in signed.map_err(|error| error.at(path.display()))? {
            line(&format!("{} is signed by {}", signed.element, signed.signer))?;
        }
    } else if original.signatures() > 0 {
        untrusted(&original).map_err(|error| error.at(path.display()))?;
    }
    if findings.is_empty() {
        return line("valid");
    }
    Err(Error::input(format!("{} findings", findings.len())).at(path.display()))
}

/// Holds signatures to the certificates that come with them, and says what that leaves open.
fn untrusted(original: &Original) -> Result<()> {
    let signed = match self_signed(&original.to_bytes()) {
        Ok(signed) => signed,
        Err(error) if error.kind() == Kind::Unsupported => {
            note(&format!("note: the signatures are not verified: {error}"));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    for Signed { element, signer } in &signed {
        note(&format!(
            "note: {element} is as {signer} signed it; not checked: whether that is who should, give --trust CERT"
        ));
    }
    if !signed.iter().any(Signed::covers_keys) {
        note("note: no signature covers the content keys");
    }
    Ok(())
}

/// What a document says, in words; never a key.
fn explain(original: &Original, document: &Document) -> Result<()> {
    let or = |text: &Option<String>, other: &str| text.clone().unwrap_or_else(|| other.to_owned());
    line(&format!(
        "CPIX {} of content {}",
        or(&document.version, "without a version"),
        or(&document.content_id, "without an id")
    ))?;
    for recipient in recipients(document).unwrap_or_default() {
        line(&format!("recipient: {}", recipient.subject()))?;
    }
    let systems = by_kid(&document.drm_systems, |system| system.kid);
    let rules = by_kid(&document.usage_rules, |rule| rule.kid);
    let encrypted = original.encrypted_keys();
    line(&format!("{} content keys, {encrypted} encrypted", document.content_keys.len()))?;
    for key in &document.content_keys {
        let scheme = key.common_encryption_scheme.map(|scheme| format!(" for {scheme}")).unwrap_or_default();
        let iv = if key.explicit_iv.is_some() { ", with an IV" } else { "" };
        let root = key.depends_on_key.map(|root| format!(", under root key {root}")).unwrap_or_default();
        let value = if key.value.is_some() { ", in plain text" } else { "" };
        line(&format!("key {}{scheme}{iv}{root}{value}", key.kid))?;
        for system in systems.get(&key.kid).into_iter().flatten() {
            let known = drm::ALL.iter().find(|known| known.system_id() == system.system_id);
            let name = known.map_or_else(|| system.system_id.to_string(), |known| known.name().to_owned());
            let lines = &system.hls_signaling_data;
            let parts = [
                ("pssh", system.pssh.is_some()),
                ("ContentProtection", system.content_protection_data.is_some()),
                ("media playlist", lines.media.is_some()),
                ("multivariant playlist", lines.multivariant.is_some()),
                ("key URI", system.uri_ext_x_key.is_some()),
                ("Smooth header", system.smooth_streaming_protection_header_data.is_some()),
            ];
            let said: Vec<_> = parts.iter().filter(|(_, there)| *there).map(|(name, _)| *name).collect();
            line(&format!(
                "  {name}: {}",
                if said.is_empty() { "nothing".to_owned() } else { said.join(", ") }
            ))?;
        }
        for rule in rules.get(&key.kid).into_iter().flatten() {
            line(&format!("  for {}", rule_words(rule)))?;
        }
    }
    for period in &document.periods {
        let index = period.index.map_or_else(|| or(&period.start, "open"), |index| index.to_string());
        line(&format!("period {}: {index}", or(&period.id, "without an id")))?;
    }
    if original.signatures() > 0 {
        line(&format!("{} signatures", original.signatures()))?;
    }
    Ok(())
}

/// Found once for all keys: a day of rotation has tens of thousands.
fn by_kid<T>(all: &[T], kid: impl Fn(&T) -> Kid) -> HashMap<Kid, Vec<&T>> {
    let mut found: HashMap<_, Vec<_>> = HashMap::new();
    for one in all {
        found.entry(kid(one)).or_default().push(one);
    }
    found
}

fn rule_words(rule: &crate::cpix::ContentKeyUsageRule) -> String {
    let mut words = vec![rule.intended_track_type.clone().unwrap_or_else(|| "tracks".to_owned())];
    let bounds = |min: Option<u64>, max: Option<u64>, what: &str| match (min, max) {
        (None, None) => String::new(),
        (Some(min), None) => format!(" of {min} {what} or more"),
        (None, Some(max)) => format!(" of up to {max} {what}"),
        (Some(min), Some(max)) => format!(" of {min} to {max} {what}"),
    };
    for filter in &rule.video_filters {
        let pixels = (filter.min_pixels.map(u64::from), filter.max_pixels.map(u64::from));
        words.push(format!("video{}", bounds(pixels.0, pixels.1, "pixels")));
    }
    for filter in &rule.audio_filters {
        let channels = (filter.min_channels.map(u64::from), filter.max_channels.map(u64::from));
        words.push(format!("audio{}", bounds(channels.0, channels.1, "channels")));
    }
    for filter in &rule.bitrate_filters {
        words.push(format!("streams{}", bounds(filter.min_bitrate, filter.max_bitrate, "b/s")));
    }
    words.extend(rule.label_filters.iter().map(|label| format!("label {label:?}")));
    words.extend(rule.key_period_filters.iter().map(|period| format!("period {period}")));
    words.extend(rule.other_filters.iter().map(|name| format!("{name}, which is unknown")));
    words.join("; ")
}
