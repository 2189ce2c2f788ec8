//! What every module may use; it knows no standard of ours.

mod base_url;
pub mod bits;
pub mod bytes;
pub mod duration;
pub mod env;
pub mod error;
pub mod id;
mod key_store;
mod language;
pub mod manifest;
pub mod ratio;
pub mod remedy;
pub mod secret;
mod text;
pub mod time;
pub mod uri;

pub use base_url::BaseUrl;
pub use error::{Error, Kind, Result};
pub use id::{FourCc, Kid, SystemId};
pub use key_store::KeyStore;
pub use language::{is_common_language, language_tag, long_language};
pub use manifest::{MAX_DOCUMENT_BYTES, ManifestKind};
pub use secret::Secret;
pub use text::{base64, from_base64, is_http, redact_url, short_word, shown_input, steers};
