//! Fragments under Common Encryption: init segments and `moof` boxes are rewritten, samples encrypted and decrypted —
//! ISO/IEC 23001-7 §7, §8.

pub(super) mod auxiliary;
pub(super) mod coverage;
pub(super) mod decryptor;
pub(super) mod key_change;
pub(super) mod offsets;
pub(super) mod protector;
pub(super) mod rendition;
pub(super) mod rewrite;
pub(super) mod sample_bytes;
pub(super) mod sample_decryption;
pub(super) mod track;
