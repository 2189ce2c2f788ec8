//! Vendors whose SPEKE servers differ in a header or a limit only — SPEKE 2.0; and HTTP authentication, RFC 9110 §11.

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::base::{Error, Result, base64};

/// What is known of a vendor.
#[derive(Debug)]
pub struct Vendor {
    /// Its name in options.
    pub name: &'static str,
    /// The header that carries its token; `None` when the token is part of the address.
    pub token_header: Option<&'static str>,
    /// Most encrypted substreams that it takes.
    pub max_substreams: Option<usize>,
    /// Whether it reads the content id from `CPIX/@id` in every version.
    pub has_id: bool,
    /// The presets for pictures and sound whose keys it has, by their track types.
    pub presets: Option<[&'static str; 2]>,
}

/// One of whom nothing is known.
const PLAIN: Vendor =
    Vendor { name: "", token_header: None, max_substreams: None, has_id: false, presets: None };

/// The vendors. Those that want Basic authentication have no header of their own.
pub const VENDORS: &[Vendor] = &[
    Vendor { name: "axinom", ..PLAIN },
    Vendor { name: "buydrm", ..PLAIN },
    Vendor { name: "ezdrm", ..PLAIN },
    // AUDIO, SD, HD, UHD1 and UHD2, as its public guide has them.
    Vendor {
        name: "pallycon",
        max_substreams: Some(5),
        has_id: true,
        presets: Some(["PRESET-VIDEO-4", "PRESET-AUDIO-1"]),
        ..PLAIN
    },
    Vendor { name: "sigmadrm", token_header: Some("x-access-token"), ..PLAIN },
    Vendor { name: "verimatrix", token_header: Some("Authorization"), ..PLAIN },
    Vendor { name: "vudrm", token_header: Some("API-KEY"), ..PLAIN },
];

impl Vendor {
    /// The vendor of this name.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::base::Kind::Usage) for another name.
    pub fn find(name: &str) -> Result<&'static Self> {
        VENDORS.iter().find(|vendor| vendor.name.eq_ignore_ascii_case(name.trim())).ok_or_else(|| {
            let known: Vec<_> = VENDORS.iter().map(|vendor| vendor.name).collect();
            Error::usage(format!("vendor {name:?}, known are {}", known.join(", ")))
        })
    }

    /// The header with the vendor's token.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::base::Kind::Usage) when the vendor takes none.
    pub fn header(&self, token: SecretString) -> Result<(String, SecretString)> {
        match self.token_header {
            Some("Authorization") => Ok(bearer(token)),
            Some(name) => Ok((name.to_owned(), token)),
            None => Err(Error::usage(format!("{} takes no token in a header", self.name))
                .hint("its token is part of --key-server-url, or give --basic-user")),
        }
    }
}

/// `Authorization: Basic`.
///
/// # Errors
/// [`Kind::Usage`](crate::base::Kind::Usage) when the name has a colon, which would end it.
pub fn basic(user: &str, password: &SecretString) -> Result<(String, SecretString)> {
    if user.contains(':') {
        return Err(Error::usage(format!("user name {user:?} has a colon")).clause("RFC 7617 §2"));
    }
    let pair = Zeroizing::new(format!("{user}:{}", password.expose_secret()));
    Ok(authorization("Basic", &Zeroizing::new(base64(pair.as_bytes()))))
}

/// `Authorization: Bearer` — RFC 6750 §2.1.
pub fn bearer(token: SecretString) -> (String, SecretString) {
    authorization("Bearer", token.expose_secret())
}

fn authorization(scheme: &str, credentials: &str) -> (String, SecretString) {
    ("Authorization".to_owned(), SecretString::from(format!("{scheme} {credentials}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_those_of_their_schemes() {
        let shown = |(name, value): (String, SecretString)| format!("{name}: {}", value.expose_secret());
        let secret = |text: &str| SecretString::from(text);
        // RFC 7617 §2.
        let basic_header = shown(basic("Aladdin", &secret("open sesame")).unwrap());
        assert_eq!(basic_header, "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(basic("a:b", &secret("c")).is_err());
        assert_eq!(shown(bearer(secret("t"))), "Authorization: Bearer t");
        let header = |name| Vendor::find(name).unwrap().header(secret("t"));
        assert_eq!(shown(header("SigmaDRM").unwrap()), "x-access-token: t");
        assert_eq!(shown(header("verimatrix").unwrap()), "Authorization: Bearer t");
        assert!(header("pallycon").is_err());
        assert_eq!(Vendor::find("pallycon").unwrap().max_substreams, Some(5));
        assert!(Vendor::find("nobody").unwrap_err().to_string().contains("known are axinom"));
    }
}
