//! Key servers: a CPIX document goes out and comes back filled — DASH-IF CPIX 2.3, SPEKE 2.0.

mod address;
mod answered;
mod cas;
mod cenc_api;
mod cenc_signer;
mod check;
mod contract;
mod dev;
mod dialect;
mod document;
mod drmtoday;
mod one_period;
mod raw;
mod request;
mod scrub;
mod speke;
mod speke_version;
mod transport;
mod vendors;
mod weak;

#[cfg(test)]
mod scripted;
#[cfg(test)]
mod tests;

pub use address::Login;
pub use answered::{Answered, together};
pub use cenc_api::CencApi;
pub use cenc_signer::CencSigner;
pub use check::check;
pub use contract::{AUDIO_PRESETS, Contract, Part, SidePreset, VIDEO_PRESETS};
pub use dev::DevKeys;
pub use dialect::{Dialect, IdRule, Recipient};
pub use document::CpixFile;
pub use drmtoday::{Account, DrmToday, ENVIRONMENTS, Endpoint, Environment};
pub use one_period::OnePeriod;
pub use raw::KeyFile;
pub use request::{Wanted, request};
pub use speke::{Method, Sign, Speke};
pub use speke_version::{AES_128_OF_1, SpekeVersion};
pub use vendors::{Auth, VENDORS, Vendor, VendorUrl, basic, bearer};
pub use weak::weaknesses;

use crate::base::Result;
use crate::base::env::Http;
use crate::cpix::Document;
use crate::cpix::usage::Strictness;

/// A source of content keys.
pub trait KeyServer: Sync {
    /// Returns `request` with a value for every content key.
    ///
    /// The order of the content keys is that of the request. A server may replace key ids; then it
    /// has done so in the content key, the DRM systems and the usage rule alike.
    ///
    /// # Errors
    /// [`Kind::Keys`](crate::base::Kind::Keys) when the keys cannot be had or the answer is wrong.
    fn exchange(&self, http: &dyn Http, request: Document) -> Result<Document>;

    /// What would be sent for a request, as people read it, without what says who asks; `None` where nothing is sent, or
    /// nothing but the request in a version of SPEKE.
    ///
    /// # Errors
    /// When nothing can be sent.
    fn asks(&self, _request: &Document) -> Result<Option<String>> {
        Ok(None)
    }

    /// How the usage rules of the answer choose the key of each track, where the source has keys of its own and does
    /// not answer what was asked for; `None` where it does.
    fn rules(&self) -> Option<Strictness> {
        None
    }

    /// Whether requests are answered here, with nothing sent and nothing made up: a plan is of the keys themselves.
    fn is_local(&self) -> bool {
        self.at_hand().is_some()
    }

    /// The answer, when it is known without asking.
    fn at_hand(&self) -> Option<&Document> {
        None
    }
}
