//! HLS playlists and key tags — RFC 8216bis §4.

use crate::base::{Result, from_base64, redact_url};
use crate::drm;
use crate::hls::{Attributes, LineEnding, LineKind, Playlist, PlaylistKind};

use super::node::{Budget, Node};
use super::{Inspected, pssh};

/// A playlist, tag by tag; the tags of a segment stand in one node with its URI.
pub(super) fn describe(bytes: &[u8], budget: &mut Budget) -> Result<Inspected> {
    let playlist = Playlist::parse(bytes)?;
    let kind = playlist.kind();
    let mut root = Node::new(match kind {
        Ok(PlaylistKind::Multivariant) => "multivariant playlist",
        Ok(PlaylistKind::Media) => "media playlist",
        Err(_) => "playlist",
    });
    root.range = Some(0..bytes.len() as u64);
    let mut position = if bytes.starts_with(&[0xef, 0xbb, 0xbf]) { 3 } else { 0 };
    let mut pending: Option<Node> = None;
    let mut number = 0_u64;
    for line in playlist.lines() {
        let ending = match line.ending() {
            LineEnding::Lf => 1,
            LineEnding::CrLf => 2,
            LineEnding::None => 0,
        };
        let range = position..position + line.text().len() as u64;
        position = range.end + ending;
        match line.kind() {
            LineKind::Tag { name, value } if of_next_uri(name) => {
                let node =
                    pending.get_or_insert_with(|| Node { range: Some(range.clone()), ..Node::default() });
                describe_of_uri(name, value, node);
            }
            LineKind::Tag { name, value } => {
                if budget.admits(&mut root) {
                    root.children.push(Node { range: Some(range), ..tag(name, value, budget) });
                }
            }
            LineKind::Uri(uri) => {
                number += 1;
                let mut node = pending.take().unwrap_or_default();
                let start = node.range.as_ref().map_or(range.start, |first| first.start);
                node.range = Some(start..range.end);
                let is_variant = matches!(kind, Ok(PlaylistKind::Multivariant));
                node.name = format!("{} {number}", if is_variant { "variant" } else { "segment" });
                node.set("uri", shown_uri(uri));
                root.push(node, budget);
            }
            LineKind::Comment | LineKind::Blank => {}
        }
    }
    Ok(Inspected { node: root, error: kind.err() })
}

/// Tags alone, such as those of a CPIX document, one on a line.
pub(super) fn describe_tags(bytes: &[u8], budget: &mut Budget) -> Result<Node> {
    let playlist = Playlist::parse(&[b"#EXTM3U\n", bytes].concat())?;
    let mut root = Node::new("tags");
    for line in playlist.lines().iter().skip(1) {
        if let LineKind::Tag { name, value } = line.kind()
            && budget.admits(&mut root)
        {
            root.children.push(tag(name, value, budget));
        }
    }
    Ok(root)
}

/// Tags that belong to the URI behind them and are worth no line of their own.
fn of_next_uri(name: &str) -> bool {
    ["EXTINF", "EXT-X-BYTERANGE", "EXT-X-STREAM-INF", "EXT-X-GAP", "EXT-X-BITRATE"].contains(&name)
}

fn describe_of_uri(name: &str, value: &str, node: &mut Node) {
    match name {
        "EXTINF" => {
            let (duration, title) = value.split_once(',').unwrap_or((value, ""));
            node.set("duration", duration);
            node.set_some("title", Some(title).filter(|title| !title.is_empty()));
        }
        "EXT-X-STREAM-INF" => attributes(value, node),
        "EXT-X-GAP" => {
            node.set("gap", "yes");
        }
        _ => {
            node.set(name, value);
        }
    }
}

fn tag(name: &str, value: &str, budget: &mut Budget) -> Node {
    let mut node = Node::new(name);
    match name {
        "EXT-X-KEY" | "EXT-X-SESSION-KEY" => key(value, &mut node, budget),
        _ if value.contains('=') => attributes(value, &mut node),
        _ if value.is_empty() => {}
        _ => {
            node.set("value", value);
        }
    }
    node
}

fn attributes(value: &str, node: &mut Node) {
    let Ok(list) = Attributes::parse(value) else {
        node.set("value", value);
        return;
    };
    for name in list.names() {
        let raw = list.raw(name).unwrap_or_default();
        let text = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(raw);
        node.set(name, if name == "URI" { shown_uri(text) } else { text.to_owned() });
    }
}

/// A key tag: the URI of a system holds its data, which is decoded; that of a plain key may hold the key.
fn key(value: &str, node: &mut Node, budget: &mut Budget) {
    let list = match Attributes::parse(value) {
        Ok(list) => list,
        Err(error) => {
            node.set("error", error.to_string());
            return;
        }
    };
    for name in list.names().filter(|name| *name != "URI") {
        let raw = list.raw(name).unwrap_or_default();
        node.set(name, raw.trim_matches('"'));
    }
    let format = list.raw("KEYFORMAT").map_or("identity", |raw| raw.trim_matches('"'));
    let system = drm::find_key_format(format);
    if let Some(system) = system {
        node.set("system", pssh::system_words(system.system_id()));
    }
    let uri = list.raw("URI").unwrap_or_default().trim_matches('"');
    let Some((media_type, data)) = uri.strip_prefix("data:").and_then(|rest| rest.split_once(',')) else {
        node.set("URI", shown_uri(uri));
        return;
    };
    let bytes = if media_type.ends_with(";base64") { from_base64(data).ok() } else { None };
    let is_data = bytes
        .as_ref()
        .is_some_and(|bytes| pssh::is_box(bytes) || system.is_some_and(|system| system.recognizes(bytes)));
    if !is_data {
        let size = bytes.map_or(data.len(), |bytes| bytes.len());
        node.set("URI", format!("data:{media_type}, present ({size} bytes)"));
        return;
    }
    node.set("URI", format!("data:{media_type},…"));
    let mut child = Node::new(if bytes.as_deref().is_some_and(pssh::is_box) { "pssh" } else { "data" });
    pssh::base64_fields(data, system.map(|system| system.system_id()), &mut child);
    node.push(child, budget);
}

/// A URI without what may be secret: a ticket in the query, or a key in a data URI.
pub(super) fn shown_uri(uri: &str) -> String {
    match uri.split_once(':') {
        Some(("data", rest)) => format!("data:…, present ({} bytes)", rest.len()),
        Some(("http" | "https", _)) => redact_url(uri),
        _ => uri.to_owned(),
    }
}
