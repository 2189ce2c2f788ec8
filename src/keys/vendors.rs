//! Vendors and the small things in which their key servers differ, a row each — SPEKE 2.0, DASH-IF CPIX 2.3; and HTTP
//! authentication, RFC 9110 §11.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::{Dialect, IdRule, Login, Method, Speke, SpekeVersion};
use crate::base::{Error, Result, base64};

/// What stands for the token in an address.
const TOKEN: &str = "{token}";

/// What is known of a vendor. Every cell is what an option says in its place.
#[derive(Debug)]
pub struct Vendor {
    /// Its names in options, its own first.
    pub names: &'static [&'static str],
    /// How it is asked.
    pub method: Method,
    /// Template of its address.
    pub url: VendorUrl,
    /// Where it wants to be told who asks.
    pub auth: Auth,
    /// The version of SPEKE.
    pub speke: SpekeVersion,
    /// `Content-Type` of requests, where it is not `application/xml`.
    pub content_type: Option<&'static str>,
    /// Headers that are the same for everyone.
    pub headers: &'static [(&'static str, &'static str)],
    /// Most encrypted substreams that it takes.
    pub max_substreams: Option<usize>,
    /// Whether it reads the content id from `CPIX/@id` in every version.
    pub has_id: bool,
    /// The presets for video and audio whose keys it has, by their track types.
    pub presets: Option<[&'static str; 2]>,
    /// Which content ids it takes.
    pub ids: IdRule,
    /// The header of an answer that says what is wrong.
    pub error_header: Option<&'static str>,
    /// What no public description says, or what was not tried with an account.
    pub unsure: &'static str,
}

/// The address of a vendor's key server.
#[derive(Clone, Copy, Debug)]
pub enum VendorUrl {
    /// One for everybody, with words in braces.
    Of(&'static str),
    /// One for each account; they look like this.
    Like(&'static str),
}

/// How a vendor is told who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// By a ticket of a sign-in.
    Ticket,
    /// RFC 7617.
    Basic,
    /// RFC 6750.
    Bearer,
    /// By a token in this header.
    Header(&'static str),
    /// By words of the address.
    Address,
    /// By a signature of AWS, version 4.
    Signature,
}

/// One of whom nothing is known.
const PLAIN: Vendor = Vendor {
    names: &[],
    method: Method::Post,
    url: VendorUrl::Like("https://HOST/speke/v2.0/copyProtection"),
    auth: Auth::Basic,
    speke: SpekeVersion::V2_0,
    content_type: None,
    headers: &[],
    max_substreams: None,
    has_id: false,
    presets: None,
    ids: IdRule::USUAL,
    error_header: None,
    unsure: "",
};

/// The vendors, from their public descriptions; none was tried with an account.
pub const VENDORS: &[Vendor] = &[
    Vendor {
        names: &["castlabs", "drmtoday"],
        url: VendorUrl::Like("https://fe.drmtoday.com/frontend/cpix/v1/{org}/ingest/CONFIG?ticket=TICKET"),
        auth: Auth::Ticket,
        max_substreams: Some(9),
        unsure: "how long a ticket lasts, and error texts; --drmtoday signs in, a URL of your own has its ticket",
        ..PLAIN
    },
    // AUDIO, SD, HD, UHD1 and UHD2, as its public guide has them.
    Vendor {
        names: &["pallycon", "doverunner"],
        url: VendorUrl::Of("https://kms.pallycon.com/v2/cpix/pallycon/getKey/{token}"),
        auth: Auth::Address,
        max_substreams: Some(5),
        has_id: true,
        presets: Some(["PRESET-VIDEO-4", "PRESET-AUDIO-1"]),
        ids: IdRule { longest: 200, ..IdRule::USUAL },
        unsure: "the host under the name of DoveRunner; which characters a content id may have",
        ..PLAIN
    },
    Vendor {
        names: &["ezdrm"],
        method: Method::Get,
        url: VendorUrl::Of(
            "https://cpix.ezdrm.com/KeyGenerator/cpix.aspx?k={kid}&u={user}&p={password}&c={content_id}",
        ),
        auth: Auth::Address,
        unsure: "cpix2.aspx, which has several keys, needs --key-server-url",
        ..PLAIN
    },
    Vendor {
        names: &["keyos", "buydrm"],
        url: VendorUrl::Of("https://cpix.keyos.com/api/v4/getKeysNoEncryption?auth-token={token}"),
        auth: Auth::Address,
        content_type: Some("text/xml; charset=utf-8"),
        headers: &[("SOAPAction", "http://tempuri.org/ISmoothPackager/RequestEncryptionInfo")],
        has_id: true,
        unsure: "several keys in a request, and what it makes of CPIX/@version; getKeys, which wants signed requests, is \
                 not supported",
        ..PLAIN
    },
    Vendor {
        names: &["vudrm", "jw"],
        method: Method::Get,
        url: VendorUrl::Of("https://cpix.vudrm.tech/v1/cpix/{org}/{content_id}"),
        auth: Auth::Header("API-KEY"),
        unsure: "the paths for several keys and for keys that change (multikey, rotate) need --key-server-url",
        ..PLAIN
    },
    Vendor {
        names: &["axinom"],
        url: VendorUrl::Of("https://key-server-management.axprod.net/api/SpekeV2"),
        error_header: Some("X-AxDRM-ErrorMessage"),
        unsure: "the host, which your account names; /api/Speke is SPEKE 1",
        ..PLAIN
    },
    Vendor {
        names: &["irdeto"],
        url: VendorUrl::Like("https://HOST/tkm/v2/ACCOUNT/contents/{content_id}/copyProtectionData"),
        content_type: Some("text/xml"),
        unsure: "titles have to be registered there before; error texts",
        ..PLAIN
    },
    Vendor {
        names: &["nagra"],
        url: VendorUrl::Like("https://HOST/…/cpix"),
        auth: Auth::Header("nv-authorizations"),
        unsure: "the path; its mode in which the packager makes the keys is not supported",
        ..PLAIN
    },
    Vendor {
        names: &["verimatrix"],
        url: VendorUrl::Like("https://HOST/…/cpix"),
        auth: Auth::Bearer,
        unsure: "the path; tokens that last a year want --recipient-certificate, and tokens are not made here",
        ..PLAIN
    },
    Vendor {
        names: &["aws"],
        url: VendorUrl::Like("https://API.execute-api.REGION.amazonaws.com/STAGE/copyProtection"),
        auth: Auth::Signature,
        ..PLAIN
    },
    Vendor {
        names: &["sdmc"],
        url: VendorUrl::Like("https://HOST/…/speke"),
        ids: IdRule { others: "-", longest: 128 },
        unsure: "the path, and how it is told who asks; what is known is that it refuses _ in a content id",
        ..PLAIN
    },
    Vendor {
        names: &["sigmadrm"],
        url: VendorUrl::Like("https://HOST/assets/ingest/cpix/v2/{org}/APP"),
        auth: Auth::Header("x-access-token"),
        ids: IdRule { longest: 64, ..IdRule::USUAL },
        ..PLAIN
    },
];

impl Vendor {
    /// The vendor of this name.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::base::Kind::Usage) for another name.
    pub fn find(name: &str) -> Result<&'static Self> {
        let is_named =
            |vendor: &&Self| vendor.names.iter().any(|known| known.eq_ignore_ascii_case(name.trim()));
        VENDORS.iter().find(is_named).ok_or_else(|| {
            let known: Vec<_> = VENDORS.iter().map(Self::name).collect();
            Error::usage(format!("vendor {name:?}, known are {}", known.join(", ")))
        })
    }

    /// Its own name.
    pub fn name(&self) -> &'static str {
        self.names.first().copied().unwrap_or_default()
    }

    /// How requests are written and answers read.
    pub fn dialect(&self) -> Dialect {
        Dialect {
            version: self.speke,
            has_id: self.has_id,
            recipient: None,
            trusted: Arc::default(),
            content_type: self.content_type.map(str::to_owned),
            headers: self.headers,
            error_header: self.error_header.map(str::to_owned),
            ids: Some(self.ids),
        }
    }

    /// The key server of an account: at `url`, or where the vendor has one address for all. `headers` go with every
    /// request, and with the token that the vendor wants in one.
    ///
    /// # Errors
    /// [`Kind::Usage`](crate::base::Kind::Usage) when the address is missing, or the token has no place.
    pub fn server(
        &self,
        url: Option<&str>,
        login: Login,
        mut headers: Vec<(String, SecretString)>,
        dialect: Dialect,
    ) -> Result<Speke> {
        let url = match (url, self.url) {
            (Some(url), _) | (None, VendorUrl::Of(url)) => url,
            (None, VendorUrl::Like(like)) => {
                return Err(Error::usage(format!("{} has an address for each account", self.name()))
                    .hint(format!("give it with --key-server-url; it looks like {like}")));
            }
        };
        if let Some(token) = login.token.clone().filter(|_| !url.contains(TOKEN)) {
            let own = self.header(token)?;
            // What the operator says by name wins over the row.
            if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(&own.0)) {
                headers.push(own);
            }
        }
        Ok(Speke::with_login(url, login, headers, dialect)?.with_method(self.method))
    }

    /// The header with the vendor's token.
    fn header(&self, token: SecretString) -> Result<(String, SecretString)> {
        match self.auth {
            Auth::Bearer => Ok(bearer(token)),
            Auth::Header(name) => Ok((name.to_owned(), token)),
            Auth::Address => Err(Error::usage(format!("{} takes no token in a header", self.name()))
                .hint(format!("write {TOKEN} in --key-server-url where it belongs"))),
            Auth::Basic | Auth::Ticket | Auth::Signature => {
                Err(Error::usage(format!("{} takes no token", self.name())).hint(self.auth.how()))
            }
        }
    }

    /// The row of the table for people.
    pub fn row(&self) -> [String; 6] {
        let url = match self.url {
            VendorUrl::Of(url) => url.to_owned(),
            VendorUrl::Like(like) => format!("your own, like {like}"),
        };
        let method = match self.method {
            Method::Post => "POST",
            Method::Get => "GET",
        };
        let mut ways = vec![match self.method {
            Method::Post => format!("SPEKE {}", self.speke.name()),
            Method::Get => "a document whose rules decide".to_owned(),
        }];
        ways.extend(self.max_substreams.map(|most| format!("at most {most} substreams")));
        ways.extend(self.has_id.then(|| "CPIX/@id".to_owned()));
        ways.extend(self.presets.map(|presets| presets.join(" with ")));
        ways.extend(self.content_type.map(str::to_owned));
        ways.extend(self.error_header.map(|name| format!("errors in {name}")));
        let others: Vec<_> = self.ids.others.chars().map(String::from).collect();
        let ids = format!("letters, digits, {}; {}", others.join(" "), self.ids.longest);
        [
            format!("{method} {url}"),
            self.auth.how(),
            ways.join(", "),
            ids,
            self.names.join(", "),
            self.unsure.to_owned(),
        ]
    }
}

impl Auth {
    /// The options that say who asks.
    fn how(self) -> String {
        match self {
            Self::Ticket => "--drmtoday with --org, --cpix-config and --user".to_owned(),
            Self::Basic => "--basic-user".to_owned(),
            Self::Bearer => "--vendor-token-file, as Bearer".to_owned(),
            Self::Header(name) => format!("--vendor-token-file, as {name}"),
            Self::Address => "in the address".to_owned(),
            Self::Signature => "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY".to_owned(),
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
    fn the_documentation_has_every_row() {
        let text = include_str!("../../docs/key-servers.md");
        let rows = VENDORS.iter().map(|vendor| {
            let [address, auth, ways, ids, names, unsure] = vendor.row().map(|cell| cell.replace('|', "\\|"));
            format!("| {names} | `{address}` | {auth} | {ways} | {ids} | {unsure} |")
        });
        let missing: Vec<_> = rows.filter(|row| !text.contains(row.as_str())).collect();
        assert!(missing.is_empty(), "docs/key-servers.md lacks\n{}", missing.join("\n"));
    }

    #[test]
    fn headers_are_those_of_their_schemes() {
        let shown = |(name, value): (String, SecretString)| format!("{name}: {}", value.expose_secret());
        let secret = |text: &str| SecretString::from(text);
        // RFC 7617 §2.
        let basic_header = shown(basic("Aladdin", &secret("open sesame")).unwrap());
        assert_eq!(basic_header, "Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(basic("a:b", &secret("c")).is_err());
        assert_eq!(shown(bearer(secret("t"))), "Authorization: Bearer t");
        let header = |name: &str| Vendor::find(name).unwrap().header(secret("t"));
        assert_eq!(shown(header("SigmaDRM").unwrap()), "x-access-token: t");
        assert_eq!(shown(header("verimatrix").unwrap()), "Authorization: Bearer t");
        assert!(header("pallycon").is_err() && header("axinom").is_err());
        assert_eq!(Vendor::find("doverunner").unwrap().max_substreams, Some(5));
        assert!(Vendor::find("nobody").unwrap_err().to_string().contains("known are castlabs"));
    }
}
