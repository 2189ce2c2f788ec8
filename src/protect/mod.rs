//! Common Encryption — ISO/IEC 23001-7: how bytes are enciphered and where the boxes say so.

pub mod scheme;

pub use scheme::Scheme;
