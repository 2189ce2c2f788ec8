//! From options to a key source; secrets come by file, environment or standard input.

use std::io::Read;
use std::path::Path;

use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::base::{Error, Result};
use crate::io::HttpClient;
use crate::keys::{Account, DevKeys, DrmToday, Environment, KeyFile, KeyServer, Speke, SpekeVersion};

use super::args::{AccountArgs, KeyArgs};

/// Most substreams that DRMtoday takes.
const DRMTODAY_SUBSTREAMS: usize = 9;
/// Largest file of secrets that is read, in bytes.
const MAX_SECRET_FILE: u64 = 1 << 20;

/// A key source, and the most substreams it takes.
pub(super) fn key_server(args: &KeyArgs) -> Result<(Box<dyn KeyServer>, Option<usize>)> {
    let given =
        [args.key_server_url.is_some(), args.drmtoday, args.key_file.is_some(), args.dev_keys.is_some()];
    match given.iter().filter(|given| **given).count() {
        0 | 1 => {}
        _ => {
            return Err(Error::usage("more than one source of keys")
                .hint("give one of --key-server-url, --drmtoday, --key-file, --dev-keys"));
        }
    }
    let version = SpekeVersion::find(&args.speke)?;
    if args.drmtoday {
        let server = DrmToday::new(account(&args.account)?)?.with_version(version);
        return Ok((Box::new(server), Some(DRMTODAY_SUBSTREAMS)));
    }
    if let Some(path) = &args.key_file {
        let place = path.display().to_string();
        let file = KeyFile::parse(&secret_text(path)?).map_err(|error| error.at(place))?;
        return Ok((Box::new(file), None));
    }
    if let Some(seed) = &args.dev_keys {
        return Ok((Box::new(DevKeys::new(seed)), None));
    }
    let url = args.key_server_url.clone().or_else(|| std::env::var("DRM_PACK_KEY_SERVER_URL").ok());
    let url = url.filter(|url| !url.is_empty()).ok_or_else(|| {
        Error::usage("no source of keys").hint(
            "give one of --key-server-url (or DRM_PACK_KEY_SERVER_URL), --drmtoday, --key-file, --dev-keys",
        )
    })?;
    let headers = args.header.iter().map(|text| header(text)).collect::<Result<_>>()?;
    Ok((Box::new(Speke::new(url.trim(), headers, version)?), None))
}

/// The client that reaches key servers.
pub(super) fn http_client(_args: &KeyArgs) -> Result<HttpClient> {
    HttpClient::new()
}

/// Most substreams that the vendor of these options takes.
pub(super) fn substream_limit(args: &KeyArgs) -> Option<usize> {
    args.drmtoday.then_some(DRMTODAY_SUBSTREAMS)
}

/// `NAME:@FILE` or `NAME:$VARIABLE`.
fn header(text: &str) -> Result<(String, SecretString)> {
    let wrong = || {
        Error::usage("a --header is not NAME:@FILE or NAME:$VARIABLE")
            .hint("header values are secrets: they come from a file or the environment")
    };
    let (name, value) = text.split_once(':').ok_or_else(wrong)?;
    let value = value.trim();
    let secret = if let Some(path) = value.strip_prefix('@') {
        secret_text(Path::new(path))?.trim_end().to_owned()
    } else if let Some(variable) = value.strip_prefix('$') {
        std::env::var(variable).map_err(|_| Error::usage(format!("the variable {variable} is not set")))?
    } else {
        return Err(wrong());
    };
    Ok((name.trim().to_owned(), SecretString::from(secret)))
}

/// The account of these options.
pub(super) fn account(args: &AccountArgs) -> Result<Account> {
    let required = |value: &Option<String>, option: &str, variable: &str| {
        value.clone().filter(|value| !value.is_empty()).ok_or_else(|| {
            Error::usage(format!("{option} is missing")).hint(format!("give it, or set {variable}"))
        })
    };
    let environment = Environment::find(&args.environment)?;
    let password = match &args.password_file {
        Some(path) => SecretString::from(secret_text(path)?.trim_end_matches(['\r', '\n'])),
        None => std::env::var("DRMTODAY_PASSWORD").map(SecretString::from).map_err(|_| {
            Error::usage("the password is missing").hint("set DRMTODAY_PASSWORD, or give --password-file")
        })?,
    };
    Ok(Account {
        auth_url: args.auth_url.clone().unwrap_or_else(|| environment.auth_url.to_owned()),
        frontend_url: args.frontend_url.clone().unwrap_or_else(|| environment.frontend_url.to_owned()),
        organization: required(&args.org, "--org", "DRMTODAY_ORG")?,
        cpix_config: required(&args.cpix_config, "--cpix-config", "DRMTODAY_CPIX_CONFIG")?,
        user: required(&args.user, "--user", "DRMTODAY_USER")?,
        password,
    })
}

/// A file of secrets, wiped when it is no longer needed; `-` is standard input.
pub(super) fn secret_text(path: &Path) -> Result<Zeroizing<String>> {
    let failed = |error: std::io::Error| {
        let kind = if error.kind() == std::io::ErrorKind::NotFound { Error::usage } else { Error::storage };
        kind(error.to_string()).at(path.display())
    };
    let mut text = Zeroizing::new(String::new());
    if path == Path::new("-") {
        std::io::stdin().take(MAX_SECRET_FILE).read_to_string(&mut text).map_err(failed)?;
    } else {
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(MAX_SECRET_FILE).read_to_string(&mut text).map_err(failed)?;
    }
    Ok(text)
}
