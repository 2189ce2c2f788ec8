//! AES-128 of whole segments as key servers are asked for it — SPEKE 2.0, RFC 8216bis §4.4.4.4: a DRM system and a scheme
//! that stand for what is neither.

use crate::base::{FourCc, SystemId};

/// The id of its `DRMSystem`.
pub const SYSTEM_ID: SystemId = SystemId::from_u128(0x3ea8778f_7742_4bf9_b18b_e834b2acbd47);
/// Its `commonEncryptionScheme`: CBC over every byte.
pub const SCHEME: FourCc = FourCc(*b"cbc1");

/// `commonEncryptionScheme` in the words of playlists, from CPIX 2.4 on, and the scheme that each stands for.
pub(super) const HLS_METHODS: &[(&str, FourCc)] =
    &[("SAMPLE-AES", FourCc(*b"cbcs")), ("SAMPLE-AES-CTR", FourCc(*b"cenc")), ("AES-128", SCHEME)];
