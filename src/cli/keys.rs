//! From options to a key source; secrets come by file, environment or standard input.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::base::{Error, Result};
use crate::cpix::usage::Strictness;
use crate::drm;
use crate::io::{HttpClient, HttpOptions};
use crate::job::Job;
use crate::keys::{
    Account, CencApi, CencSigner, CpixFile, DevKeys, Dialect, DrmToday, Endpoint, Environment, KeyFile,
    KeyServer, Method, OnePeriod, Recipient, Speke, SpekeVersion, Vendor, basic, bearer,
};
use crate::package::Preset;

use super::args::{AccountArgs, HttpArgs, KeyArgs, MethodArg, RotationRequestsArg};
use super::cpix::{certificate, document, recipient_keys};
use super::output::note;

/// Most substreams that DRMtoday takes.
const DRMTODAY_SUBSTREAMS: usize = 9;
/// Largest file of secrets that is read, in bytes: a little more than the largest CPIX document, so that one
/// that is too large is told from one that is cut.
const MAX_SECRET_FILE: u64 = (8 << 20) + 1;

/// A key source, and the most substreams it takes.
pub(super) fn key_server(args: &KeyArgs) -> Result<(Box<dyn KeyServer>, Option<usize>)> {
    let given = [
        args.key_server_url.is_some(),
        args.drmtoday,
        args.key_file.is_some(),
        args.cpix.is_some(),
        args.dev_keys.is_some(),
        args.widevine_key_url.is_some(),
    ];
    match given.iter().filter(|given| **given).count() {
        0 | 1 => {}
        _ => {
            return Err(Error::usage("more than one source of keys")
                .hint("give one of --key-server-url, --drmtoday, --key-file, --cpix, --widevine-key-url, --dev-keys"));
        }
    }
    let dialect = dialect(args)?;
    if args.drmtoday {
        let server = DrmToday::new(account(&args.account)?)?.with_dialect(dialect);
        let endpoint = if args.generate { Endpoint::Generate } else { Endpoint::Process };
        let server = server.with_endpoint(endpoint);
        return Ok((by_period(args, Box::new(server)), Some(DRMTODAY_SUBSTREAMS)));
    }
    if let Some(path) = &args.key_file {
        let place = path.display().to_string();
        let file = KeyFile::parse(&secret_text(path)?).map_err(|error| error.at(place))?;
        return Ok((Box::new(file), None));
    }
    if let Some(path) = &args.cpix {
        let document = document(path, &args.recipient_key, &args.trust)?;
        let strictness = if args.strict { Strictness::Cpix } else { Strictness::Speke };
        return Ok((Box::new(CpixFile::new(document, strictness)), None));
    }
    if let Some(seed) = &args.dev_keys {
        return Ok((Box::new(DevKeys::new(seed)), None));
    }
    if let Some(url) = &args.widevine_key_url {
        return Ok((Box::new(cenc_api(args, url)?), None));
    }
    let url = key_server_url(args)?;
    let method = match args.method {
        MethodArg::Post => Method::Post,
        MethodArg::Get => Method::Get,
    };
    let server = Speke::new(url.trim(), headers(args)?, dialect)?.with_method(method);
    Ok((by_period(args, Box::new(server)), substream_limit(args)?))
}

/// How requests are written, and for whom the answers are encrypted.
fn dialect(args: &KeyArgs) -> Result<Dialect> {
    let version = SpekeVersion::find(&args.speke)?;
    let vendor = args.vendor.as_deref().map(Vendor::find).transpose()?;
    let recipient = match &args.recipient_certificate {
        Some(_) if !is_server(args) || args.generate || args.method == MethodArg::Get => {
            return Err(Error::usage("--recipient-certificate is for requests of SPEKE")
                .hint("an encrypted document at hand needs --recipient-key alone"));
        }
        Some(path) => {
            Some(Arc::new(Recipient::new(certificate(path)?, recipient_keys(&args.recipient_key)?)?))
        }
        None if args.recipient_key.is_empty() || args.cpix.is_some() => None,
        None => {
            return Err(Error::usage("--recipient-key without --cpix or --recipient-certificate")
                .hint("a key server encrypts for a certificate: give it with --recipient-certificate"));
        }
    };
    Ok(Dialect { version, has_id: vendor.is_some_and(|vendor| vendor.has_id), recipient })
}

/// The server, asked for one key period at a time when the operator wants it so.
fn by_period(args: &KeyArgs, server: Box<dyn KeyServer>) -> Box<dyn KeyServer> {
    match args.rotation_requests {
        RotationRequestsArg::All => server,
        RotationRequestsArg::Single => Box::new(OnePeriod(server)),
    }
}

/// What the vendor of these options has keys for, where the operator names no preset; SPEKE 1 carries one key.
pub(super) fn apply_vendor(args: &KeyArgs, job: &mut Job) -> Result<()> {
    let Some(presets) =
        args.vendor.as_deref().map(Vendor::find).transpose()?.and_then(|vendor| vendor.presets)
    else {
        return Ok(());
    };
    let is_asked = is_server(args) && args.method == MethodArg::Post && !args.drmtoday;
    let names_preset = job.preset != Preset::Auto || job.video_preset.is_some();
    if is_asked
        && !names_preset
        && job.drm != "simpleaes"
        && SpekeVersion::find(&args.speke)? != SpekeVersion::V1
    {
        let [video, audio] = presets.map(|preset| Some(preset.to_owned()));
        (job.video_preset, job.audio_preset) = (video, audio);
    }
    Ok(())
}

/// Whether keys come from a server of SPEKE.
fn is_server(args: &KeyArgs) -> bool {
    let others = [
        args.cpix.is_some(),
        args.key_file.is_some(),
        args.dev_keys.is_some(),
        args.widevine_key_url.is_some(),
    ];
    !others.contains(&true)
}

/// The key API at `url`, with the signer of these options.
fn cenc_api(args: &KeyArgs, url: &str) -> Result<CencApi> {
    let signer = match (&args.signer, &args.signer_key_file) {
        (Some(name), Some(path)) => {
            let signer = CencSigner::parse(&secret_text(path)?).map_err(|error| error.at(path.display()))?;
            Some((name.clone(), signer))
        }
        _ => None,
    };
    let system = drm::find("widevine")?;
    Ok(CencApi {
        url: url.trim().to_owned(),
        signer,
        policy: args.policy.clone(),
        drm_type: system.name().to_uppercase(),
        system_id: system.system_id(),
    })
}

/// The address of the key server.
pub(super) fn key_server_url(args: &KeyArgs) -> Result<String> {
    let url = args.key_server_url.clone().or_else(|| std::env::var("DRM_PACK_KEY_SERVER_URL").ok());
    let url = match url.as_deref().and_then(|url| url.strip_prefix('@')) {
        Some(path) => Some(secret_text(Path::new(path))?.trim().to_owned()),
        None => url,
    };
    url.filter(|url| !url.is_empty()).ok_or_else(|| {
        Error::usage("no source of keys").hint(
            "give one of --key-server-url (or DRM_PACK_KEY_SERVER_URL), --drmtoday, --key-file, --cpix, --widevine-key-url, --dev-keys",
        )
    })
}

/// The client that reaches key servers.
pub(super) fn http_client(args: &HttpArgs) -> Result<HttpClient> {
    let text = |path: &Path| secret_text(path).map(|text| SecretString::from(text.as_str()));
    let proxy = match args.proxy.as_deref().map(|proxy| (proxy, proxy.strip_prefix('@'))) {
        Some((_, Some(path))) => Some(SecretString::from(secret_text(Path::new(path))?.trim())),
        Some((proxy, None)) => Some(SecretString::from(proxy)),
        None => None,
    };
    let ca_certificates = args.cacert.as_deref().map(secret_text).transpose()?;
    HttpClient::with(HttpOptions {
        proxy,
        ca_certificates: ca_certificates.map(|text| text.as_bytes().to_vec()),
        client_identity: args.client_cert.as_deref().map(text).transpose()?,
        timeout: args.timeout.map(Duration::from_secs),
        insecure_http: args.insecure_http,
        notice: Some(Box::new(note)),
    })
}

/// Most substreams that the vendor of these options takes.
pub(super) fn substream_limit(args: &KeyArgs) -> Result<Option<usize>> {
    if args.drmtoday {
        return Ok(Some(DRMTODAY_SUBSTREAMS));
    }
    Ok(args.vendor.as_deref().map(Vendor::find).transpose()?.and_then(|vendor| vendor.max_substreams))
}

/// The headers of these options, in the order of the command line.
fn headers(args: &KeyArgs) -> Result<Vec<(String, SecretString)>> {
    let mut headers: Vec<_> = args.header.iter().map(|text| header(text)).collect::<Result<_>>()?;
    if let Some(user) = &args.basic_user {
        let password = match &args.basic_password_file {
            Some(path) => SecretString::from(secret_text(path)?.trim_end_matches(['\r', '\n'])),
            None => std::env::var("DRM_PACK_BASIC_PASSWORD").map(SecretString::from).map_err(|_| {
                Error::usage("the password of --basic-user is missing")
                    .hint("set DRM_PACK_BASIC_PASSWORD, or give --basic-password-file")
            })?,
        };
        headers.push(basic(user, &password)?);
    }
    if let Some(path) = &args.bearer_file {
        headers.push(bearer(SecretString::from(secret_text(path)?.trim())));
    }
    if let (Some(vendor), Some(path)) = (&args.vendor, &args.vendor_token_file) {
        let token = SecretString::from(secret_text(path)?.trim());
        headers.push(Vendor::find(vendor)?.header(token)?);
    }
    Ok(headers)
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

/// A file of secrets as text; `-` is standard input.
pub(super) fn secret_text(path: &Path) -> Result<Zeroizing<String>> {
    let bytes = secret_bytes(path)?;
    std::str::from_utf8(&bytes)
        .map(|text| Zeroizing::new(text.to_owned()))
        .map_err(|_| Error::storage("stream did not contain valid UTF-8").at(path.display()))
}

/// A file of secrets, wiped when it is no longer needed; `-` is standard input.
pub(super) fn secret_bytes(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let failed = |error: std::io::Error| {
        // What names no file may be the secret itself, typed in its place.
        if std::fs::symlink_metadata(path).is_err() && path != Path::new("-") {
            return Error::usage("no such file; it is not repeated here, as it may be the secret itself")
                .at("a file of keys or secrets")
                .hint("give the name of a file that holds it");
        }
        Error::storage(error.to_string()).at(path.display())
    };
    let mut bytes = Zeroizing::new(Vec::new());
    if path == Path::new("-") {
        std::io::stdin().take(MAX_SECRET_FILE).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(MAX_SECRET_FILE).read_to_end(&mut bytes).map_err(failed)?;
    }
    Ok(bytes)
}
