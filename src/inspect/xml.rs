//! XML documents, MPDs above all, element by element — XML 1.0, ISO/IEC 23009-1.

use crate::base::{SystemId, redact_url};
use crate::xml::Element;

use super::node::{Budget, Node};
use super::pssh::{base64_fields, system_words};

/// Elements whose text is a key, or a key under another.
const SECRETS: &[&str] = &["PlainValue", "CipherValue", "Secret", "Key", "ValueMAC"];
/// Elements whose text is a `pssh` box or the data of the system around them, in base64.
const DRM_DATA: &[&str] = &["pssh", "pro"];

/// An element and everything below it.
pub(super) fn describe(root: &Element, budget: &mut Budget) -> Node {
    element(root, None, budget)
}

fn element(element: &Element, around: Option<SystemId>, budget: &mut Budget) -> Node {
    let mut node = Node::new(element.name());
    match element.attributes() {
        Ok(attributes) => {
            // Names differ (XML 1.0 §3.1): none is looked for among those before it.
            let fields = attributes.iter().map(|(name, value)| ((*name).to_owned(), shown(value).into()));
            node.fields.extend(fields);
        }
        Err(error) => {
            node.set("error", error.to_string());
        }
    }
    let stated = element.attribute("schemeIdUri").ok().flatten();
    let system =
        stated.and_then(|uri| SystemId::parse(uri.to_ascii_lowercase().strip_prefix("urn:uuid:")?).ok());
    if let Some(system) = system {
        node.set("system", system_words(system));
    }
    let around = system.or(around);
    text(element, around, &mut node);
    for child in element.elements() {
        if budget.admits(&mut node) {
            let child = self::element(child, around, budget);
            node.children.push(child);
        }
    }
    node
}

fn text(element: &Element, around: Option<SystemId>, node: &mut Node) {
    if element.elements().next().is_some() {
        return;
    }
    let Ok(text) = element.text() else { return };
    let text = text.trim();
    if text.is_empty() {
        return;
    }
    if SECRETS.contains(&element.local_name()) {
        node.set("text", "present");
    } else if DRM_DATA.contains(&element.local_name()) {
        base64_fields(text, around, node);
    } else {
        node.set("text", shown(text));
    }
}

/// The query of a URL may be a ticket.
fn shown(text: &str) -> String {
    let is_url = text.starts_with("https://") || text.starts_with("http://");
    if is_url && text.contains('?') { redact_url(text) } else { text.to_owned() }
}
