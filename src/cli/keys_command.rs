//! `drm-pack keys`: fetches the keys that `pack` would use, and writes them for this or another program.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::base::id::hex;
use crate::base::{Error, Result};
use crate::cpix::{self, ContentKey, ContentKeyUsageRule, Document};
use crate::io::write_secret_file;
use crate::job::fetch_keys;

use super::args::{KeysArgs, KeysFormat};
use super::check;
use super::keys::{apply_vendor, http_client, key_server};
use super::output::{bytes, check_is_not_read, note};
use super::pack::{Inputs, job};
use super::title;

pub(super) fn run(args: &KeysArgs) -> Result<()> {
    if args.check {
        return check::run(args);
    }
    if args.out.is_none() && std::io::stdout().is_terminal() {
        return Err(Error::usage("keys are not written to a terminal").hint("give --out FILE, or a pipe"));
    }
    if let Some(out) = &args.out {
        check_is_not_read(out, args.inputs.iter().map(Path::new).chain(args.keys.files()))?;
    }
    let (keys, limit) = key_server(&args.keys)?;
    let mut job = job(&args.inputs, args.drm.as_deref().unwrap_or_default(), &args.job, limit)?;
    job.strict_keys = args.keys.strict;
    apply_vendor(&args.keys, &mut job)?;
    title::check(&job, &args.keys)?;
    let http = Arc::new(http_client(&args.keys.http)?);
    let inputs = Inputs::of(&args.inputs, &args.job, &http);
    let (document, warnings) =
        fetch_keys(&job, &|input| inputs.open_input(input), keys.as_ref(), http.as_ref())?;
    warnings.iter().for_each(|warning| note(&format!("warning: {warning}")));
    let text = Zeroizing::new(written(&document, args.output_format)?);
    match &args.out {
        Some(path) => write_secret_file(path, &text)?,
        None => bytes(&text)?,
    }
    document.content_keys.iter().for_each(|key| {
        let rule = rule_of(&document, key);
        note(&format!("key {} {}", key.kid, rule.and_then(track_type).unwrap_or_default()));
    });
    Ok(())
}

/// The keys in this form. Other packagers' forms tell no schemes apart.
fn written(document: &Document, format: KeysFormat) -> Result<Vec<u8>> {
    let mut schemes = document.content_keys.iter().map(|key| key.common_encryption_scheme);
    let first = schemes.next();
    if matches!(format, KeysFormat::Shaka | KeysFormat::Bento4) && schemes.any(|scheme| Some(scheme) != first)
    {
        return Err(Error::unsupported("keys for two schemes, this form is for one")
            .hint("fetch those of each --scheme by itself, or take another --output-format"));
    }
    match format {
        KeysFormat::Cpix => Ok(cpix::write(document)),
        KeysFormat::Shaka => shaka(document),
        KeysFormat::Bento4 => bento4(document),
        KeysFormat::Json => json(document),
    }
}

fn rule_of<'a>(document: &'a Document, key: &ContentKey) -> Option<&'a ContentKeyUsageRule> {
    document.usage_rules.iter().find(|rule| rule.kid == key.kid)
}

fn track_type(rule: &ContentKeyUsageRule) -> Option<&str> {
    rule.intended_track_type.as_deref()
}

/// The key in hex.
fn key_hex(key: &ContentKey) -> Result<Zeroizing<String>> {
    let value = key.value.as_ref().ok_or_else(|| Error::keys(format!("no value for key {}", key.kid)))?;
    Ok(Zeroizing::new(hex(value.expose())))
}

/// `label=L:key_id=KID:key=KEY`; a label that is empty stands for every track.
fn shaka(document: &Document) -> Result<Vec<u8>> {
    let mut text = Zeroizing::new(String::new());
    for key in &document.content_keys {
        let label = match document.content_keys.len() {
            1 => "",
            _ => rule_of(document, key).and_then(track_type).unwrap_or_default(),
        };
        let separator = if text.is_empty() { "" } else { "," };
        let value = key_hex(key)?;
        text.push_str(&format!("{separator}label={label}:key_id={}:key={}", key.kid.hex(), value.as_str()));
    }
    text.push('\n');
    Ok(text.as_bytes().to_vec())
}

/// `[video:|audio:]KID:KEY[:IV]`: one key for each kind of track at most.
fn bento4(document: &Document) -> Result<Vec<u8>> {
    let mut text = Zeroizing::new(String::new());
    let mut sides: Vec<&str> = Vec::new();
    for key in &document.content_keys {
        let rule = rule_of(document, key);
        let side = match rule.map(|rule| (rule.video_filters.is_empty(), rule.audio_filters.is_empty())) {
            Some((false, true)) if document.content_keys.len() > 1 => "video:",
            Some((true, false)) if document.content_keys.len() > 1 => "audio:",
            _ => "",
        };
        if sides.contains(&side) {
            return Err(Error::unsupported("several keys for one kind of track, this form holds one")
                .hint("use preset0 or PRESET-VIDEO-1 with PRESET-AUDIO-1, or another --output-format"));
        }
        sides.push(side);
        let separator = if text.is_empty() { "" } else { "," };
        let iv = key.explicit_iv.map(|iv| format!(":{}", hex(&iv))).unwrap_or_default();
        let value = key_hex(key)?;
        text.push_str(&format!("{separator}{side}{}:{}{iv}", key.kid.hex(), value.as_str()));
    }
    text.push('\n');
    Ok(text.as_bytes().to_vec())
}

fn json(document: &Document) -> Result<Vec<u8>> {
    let mut keys = Vec::new();
    for key in &document.content_keys {
        keys.push(serde_json::json!({
            "kid": key.kid.to_string(),
            "key": key_hex(key)?.as_str(),
            "iv": key.explicit_iv.map(|iv| hex(&iv)),
            "scheme": key.common_encryption_scheme.map(|scheme| scheme.to_string()),
            "track_type": rule_of(document, key).and_then(track_type),
        }));
    }
    let mut text = serde_json::to_vec_pretty(&keys).unwrap_or_default();
    text.push(b'\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{FourCc, Kid, Secret};
    use crate::cpix::{AudioFilter, VideoFilter};
    use crate::keys::{Wanted, request};

    fn document(types: &[&str]) -> Document {
        let wanted: Vec<_> = types
            .iter()
            .zip(1..)
            .map(|(track_type, byte)| Wanted {
                id: None,
                kid: Kid::new([byte; 16]),
                explicit_iv: (byte == 1).then_some([0xa0; 16]),
                track_type: (*track_type).to_owned(),
                video: (*track_type != "AUDIO").then(VideoFilter::default),
                audio: (*track_type == "AUDIO").then(AudioFilter::default),
            })
            .collect();
        let mut document = request("content", Some(FourCc(*b"cbcs")), &wanted, Vec::new());
        for key in &mut document.content_keys {
            key.value = Some(Secret::new([0x0a; 16]));
        }
        document
    }

    fn text(types: &[&str], format: KeysFormat) -> String {
        String::from_utf8(written(&document(types), format).unwrap()).unwrap()
    }

    #[test]
    fn each_form_has_every_key() {
        let (one, two, key) = ("01".repeat(16), "02".repeat(16), "0a".repeat(16));
        let iv = "a0".repeat(16);
        let both = ["VIDEO", "AUDIO"];
        assert_eq!(text(&["VIDEO"], KeysFormat::Shaka), format!("label=:key_id={one}:key={key}\n"));
        assert_eq!(
            text(&both, KeysFormat::Shaka),
            format!("label=VIDEO:key_id={one}:key={key},label=AUDIO:key_id={two}:key={key}\n")
        );
        assert_eq!(text(&both, KeysFormat::Bento4), format!("video:{one}:{key}:{iv},audio:{two}:{key}\n"));
        assert_eq!(text(&["VIDEO"], KeysFormat::Bento4), format!("{one}:{key}:{iv}\n"));
        let json: serde_json::Value = serde_json::from_str(&text(&both, KeysFormat::Json)).unwrap();
        assert_eq!(json[0]["key"], key.as_str());
        assert_eq!(json[1]["track_type"], "AUDIO");
        assert!(text(&both, KeysFormat::Cpix).contains("<pskc:PlainValue>"));
    }

    #[test]
    fn a_form_that_cannot_hold_the_keys_says_so() {
        let error = written(&document(&["SD", "HD"]), KeysFormat::Bento4).unwrap_err().to_string();
        assert!(error.contains("several keys for one kind"), "{error}");
    }
}
