//! What in the signaling of a system is not as the system wants it — vendor specifications.

use crate::base::{Kid, Secret};

/// Finds the value of a content key.
pub type FindValue<'a> = dyn Fn(Kid) -> Option<Secret<16>> + 'a;

/// Something in signaling that is not as its system wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The name of the rule that it breaks.
    pub rule: &'static str,
    /// What is there.
    pub found: String,
    /// What should be there.
    pub expected: String,
}
