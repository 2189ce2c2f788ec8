//! Positions and white space of inserted and removed elements — XML 1.0 §2.10.

use crate::xml::{Element, Node};

/// The line break and indentation at the end of a white space node; empty without a line break.
pub(super) fn last_line(raw: &str) -> &str {
    let line = raw.rfind('\n').map_or("", |at| {
        let at = if raw.get(..at).is_some_and(|before| before.ends_with('\r')) { at - 1 } else { at };
        raw.get(at..).unwrap_or_default()
    });
    if line.trim().is_empty() { line } else { "" }
}

/// What stands before the first child element: a line break and indentation, or nothing.
pub(super) fn before_children(parent: &Element) -> String {
    let first = parent.children.iter().position(|node| matches!(node, Node::Element(_)));
    match first.and_then(|at| parent.children.get(at.checked_sub(1)?)) {
        Some(Node::Raw(raw)) => last_line(raw).to_owned(),
        _ => String::new(),
    }
}

/// What one level adds to the indentation of the children of `parent`.
pub(super) fn step(parent: &Element) -> String {
    let before = before_children(parent);
    match parent.children.last() {
        Some(Node::Raw(raw)) => before.strip_prefix(last_line(raw)).unwrap_or_default().to_owned(),
        _ => String::new(),
    }
}

/// Where an element goes that follows the leading children with these local names.
pub(super) fn position_after(parent: &Element, leading: &[&str]) -> usize {
    let mut position = 0;
    for (index, node) in parent.children.iter().enumerate() {
        let Node::Element(element) = node else { continue };
        if element.prefix() != parent.prefix() || !leading.contains(&element.local_name()) {
            break;
        }
        position = index + 1;
    }
    position
}

/// Inserts elements, each on a line of its own when the document has its children on lines of their own.
pub(super) fn insert(parent: &mut Element, position: usize, elements: Vec<Element>) {
    let before = before_children(parent);
    let nodes: Vec<Node> = elements
        .into_iter()
        .flat_map(|element| [Node::Raw(before.clone()), Node::Element(element)])
        .filter(|node| !matches!(node, Node::Raw(raw) if raw.is_empty()))
        .collect();
    let position = position.min(parent.children.len());
    parent.children.splice(position..position, nodes);
}

/// Puts each child element on a line of its own, `before` being what stands before the element itself.
pub(super) fn spread(element: &mut Element, before: &str, step: &str) {
    if before.is_empty() || element.elements().next().is_none() {
        return;
    }
    let mut children = Vec::new();
    for node in element.children.drain(..) {
        children.push(Node::Raw(format!("{before}{step}")));
        children.push(node);
    }
    children.push(Node::Raw(before.to_owned()));
    element.children = children;
}

/// Removes the child elements for which `gone` says so, each with the white space before it.
pub(super) fn remove(parent: &mut Element, mut gone: impl FnMut(&Element) -> bool) {
    let mut kept: Vec<Node> = Vec::new();
    for node in parent.children.drain(..) {
        match &node {
            Node::Element(element) if gone(element) => {
                if let Some(Node::Raw(raw)) = kept.last_mut()
                    && !raw.starts_with('<')
                {
                    raw.truncate(raw.trim_end().len());
                    if raw.is_empty() {
                        kept.pop();
                    }
                }
            }
            _ => kept.push(node),
        }
    }
    parent.children = kept;
}
