//! Common Encryption — ISO/IEC 23001-7: how bytes are encrypted and where the boxes say so.

mod aes128;
mod cipher;
mod fragment;
mod iv;
mod placement;
mod sample_aes;
pub mod scheme;
mod subsample;

pub use aes128::{Aes128, Encryption, SIDE_BY_SIDE, encrypt_side_by_side};
pub use cipher::Cipher;
pub use fragment::{FragmentDecryptor, FragmentEncryptor, TrackProtection};
pub use iv::{Iv, IvTrack, MAX_FRAGMENT_SAMPLES, SampleIvs, constant_iv};
pub use placement::{
    Auxiliary, Protected, auxiliary, is_of_scheme, place_auxiliary, protect_moov, protected_entry,
    protection_box, refuse_protected, remove_pssh, seal, unprotect_moov, unprotect_traf,
};
pub use sample_aes::{
    Operation, SIGNALING, SampleAes, Signaling, audio_setup_information, encrypted_bytes,
    is_audio_setup_information, look_at_nal_units,
};
pub use scheme::{Mode, Pattern, Scheme};
pub use subsample::subsamples;
