//! Keys at hand: found by their ids, with the IVs that came with them — CPIX 2.3.1 §5.4.2.

use super::{Kid, Secret};

/// Keys by their ids: a key file, a CPIX document, a seed, or a function from id to key.
pub trait KeyStore: Sync {
    /// The key of this id.
    fn key(&self, kid: Kid) -> Option<Secret<16>>;

    /// The IV that came with the key of this id: what sample encryption of streams begins with.
    fn iv(&self, _kid: Kid) -> Option<[u8; 16]> {
        None
    }

    /// The id of the only key, if there is no other: what a URI means that names no id.
    fn only(&self) -> Option<Kid> {
        None
    }
}

impl<F: Fn(Kid) -> Option<Secret<16>> + Sync> KeyStore for F {
    fn key(&self, kid: Kid) -> Option<Secret<16>> {
        self(kid)
    }
}
