//! What in the signaling of a system is not as the system wants it — vendor specifications.

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
