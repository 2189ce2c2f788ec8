//! DRM data: `pssh` boxes and what is in them — ISO/IEC 23001-7 §8.1.

use crate::base::{SystemId, from_base64};
use crate::drm::{self, Pssh, System};

use super::node::Node;

/// The fields of a box of which these bytes are all; what cannot be read is said.
pub(super) fn fields(bytes: &[u8], node: &mut Node) {
    match Pssh::parse(bytes) {
        Ok(pssh) => {
            node.set("version", u8::from(pssh.kids.is_some()));
            node.set("system", system_words(pssh.system_id));
            let kids = pssh.kids.iter().flatten().map(ToString::to_string).collect::<Vec<_>>();
            if !kids.is_empty() {
                node.set("kids", kids);
            }
            node.set("data_size", pssh.data.len());
            data_fields(system_of(pssh.system_id), &pssh.data, node);
        }
        Err(error) => {
            node.set("error", error.to_string());
        }
    }
}

/// Whole boxes, or data without a box around it.
pub(super) fn payload(bytes: &[u8]) -> Option<Node> {
    let system = drm::recognize(bytes)?;
    let mut node = Node::new("data");
    node.set("system", system_words(system.system_id()));
    node.set("data_size", bytes.len());
    data_fields(Some(system), bytes, &mut node);
    Some(node)
}

/// Base64 of a box, or of the data of the system that stands around it.
pub(super) fn base64_fields(text: &str, around: Option<SystemId>, node: &mut Node) {
    match from_base64(text) {
        Ok(bytes) if is_box(&bytes) => fields(&bytes, node),
        Ok(bytes) => {
            let system = around.and_then(system_of).or_else(|| drm::recognize(&bytes));
            node.set("data_size", bytes.len());
            if system.is_some_and(|system| system.recognizes(&bytes)) {
                data_fields(system, &bytes, node);
            }
        }
        Err(error) => {
            node.set("error", error.to_string());
        }
    }
}

/// Whether bytes begin like a `pssh` box.
pub(super) fn is_box(bytes: &[u8]) -> bool {
    bytes.get(4..8) == Some(b"pssh")
}

fn data_fields(system: Option<&dyn System>, data: &[u8], node: &mut Node) {
    let Some(system) = system else { return };
    match system.describe(data) {
        Ok(fields) => fields.into_iter().for_each(|(name, value)| {
            node.set(name, value);
        }),
        Err(error) => {
            node.set("error", error.to_string());
        }
    }
}

fn system_of(system_id: SystemId) -> Option<&'static dyn System> {
    let by_box = || drm::ALL.iter().copied().find(|system| system.pssh_system_id() == Some(system_id));
    drm::find_id(system_id).or_else(by_box)
}

/// The name of a system, if it has one, and its id.
pub(super) fn system_words(system_id: SystemId) -> String {
    match drm::system_name(system_id) {
        Some(name) => format!("{name} ({system_id})"),
        None => format!("unknown ({system_id})"),
    }
}
