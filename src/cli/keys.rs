//! From options to a key source; secrets come by file, environment or standard input.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use crate::base::{Error, Result};
use crate::cpix::usage::Strictness;
use crate::drm;
use crate::io::{AwsSigner, HttpClient, HttpOptions, region_of};
use crate::job::Job;
use crate::keys::{
    Account, Auth, CencApi, CencSigner, CpixFile, DevKeys, Dialect, DrmToday, Endpoint, Environment, IdRule,
    KeyFile, KeyServer, Login, Method, OnePeriod, Recipient, Speke, SpekeVersion, VENDORS, Vendor, VendorUrl,
    basic, bearer,
};
use crate::package::Preset;

use super::args::{AccountArgs, HttpArgs, KeyArgs, MethodArg, RotationRequestsArg};
use super::cpix::{certificate, document, recipient_keys};
use super::output::note;
use super::secret_file::secret_text;

/// Most substreams that DRMtoday takes.
const DRMTODAY_SUBSTREAMS: usize = 9;
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
    if !is_server(args) && args.cpix.is_none() && !args.trust.is_empty() {
        return Err(Error::usage("--trust is for CPIX documents and for the answers of key servers"));
    }
    let dialect = dialect(args)?;
    if signs_in(args)? {
        let server = DrmToday::new(account(&args.account)?)?.with_dialect(dialect);
        let endpoint = if args.generate { Endpoint::Generate } else { Endpoint::Process };
        let server = server.with_endpoint(endpoint);
        return Ok((by_period(args, Box::new(server)), Some(DRMTODAY_SUBSTREAMS)));
    }
    if let Some(path) = &args.key_file {
        let place = path.display().to_string();
        let file = KeyFile::parse(&secret_text(path, "--key-file")?).map_err(|error| error.at(place))?;
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
    let server = speke(args, dialect, (headers(args)?, login(args)?))?;
    Ok((by_period(args, Box::new(server)), substream_limit(args)?))
}

/// The key server of these options, as the one who asks says who that is.
fn speke(
    args: &KeyArgs,
    dialect: Dialect,
    (headers, login): (Vec<(String, SecretString)>, Login),
) -> Result<Speke> {
    let vendor = vendor(args)?;
    let url = given_url(args)?;
    let says_who = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("Authorization"));
    let server = match vendor {
        Some(vendor) => vendor.server(url.as_deref(), login, headers, dialect)?,
        None => Speke::with_login(&key_server_url(args)?, login, headers, dialect)?,
    };
    let server = server.with_method(method(args)?);
    match vendor {
        Some(vendor) if vendor.auth == Auth::Signature && !says_who => {
            let signer = aws_signer(url.as_deref().unwrap_or_default())?;
            Ok(server.signed_by(Box::new(move |request| signer.sign(request))))
        }
        _ => Ok(server),
    }
}

/// The server of these options as a plan shows it: what says who asks is left out and need not be there. `None` when it
/// is not named yet.
pub(super) fn unasked_server(args: &KeyArgs) -> Result<Option<Box<dyn KeyServer>>> {
    if !is_server(args) {
        return Ok(None);
    }
    let dialect = dialect(args)?;
    let secret = |word: &str| Some(SecretString::from(word));
    if signs_in(args)? {
        let given = &args.account;
        let Ok(account) = account_with(given, secret("PASSWORD")) else { return Ok(None) };
        let endpoint = if args.generate { Endpoint::Generate } else { Endpoint::Process };
        let server = DrmToday::new(account)?.with_dialect(dialect).with_endpoint(endpoint);
        return Ok(Some(by_period(args, Box::new(server))));
    }
    let vendor = vendor(args)?;
    let of_vendor = vendor.and_then(|vendor| match vendor.url {
        VendorUrl::Of(url) => Some(url.to_owned()),
        VendorUrl::Like(_) => None,
    });
    let Some(url) = given_url(args)?.or(of_vendor) else { return Ok(None) };
    let word = |given: &Option<String>, word: &str| given.clone().or_else(|| Some(word.to_owned()));
    let login = Login {
        org: word(&args.account.org, "ORG"),
        user: word(&args.basic_user, "USER"),
        password: secret("PASSWORD"),
        token: secret("TOKEN"),
    };
    let server = Speke::with_login(&url, login, Vec::new(), dialect)?.with_method(method(args)?);
    Ok(Some(by_period(args, Box::new(server))))
}

/// The vendor of these options.
fn vendor(args: &KeyArgs) -> Result<Option<&'static Vendor>> {
    args.vendor.as_deref().map(Vendor::find).transpose()
}

/// Whether tickets of a sign-in are got for each call.
pub(super) fn signs_in(args: &KeyArgs) -> Result<bool> {
    let by_vendor = vendor(args)?.is_some_and(|vendor| vendor.auth == Auth::Ticket);
    Ok(args.drmtoday || by_vendor && is_server(args) && given_url(args)?.is_none())
}

/// How the key server is asked.
fn method(args: &KeyArgs) -> Result<Method> {
    Ok(match args.method {
        Some(MethodArg::Post) => Method::Post,
        Some(MethodArg::Get) => Method::Get,
        None => vendor(args)?.map(|vendor| vendor.method).unwrap_or_default(),
    })
}

/// The version of SPEKE.
pub(super) fn speke_version(args: &KeyArgs) -> Result<SpekeVersion> {
    match &args.speke {
        Some(name) => SpekeVersion::find(name),
        None => Ok(vendor(args)?.map(|vendor| vendor.speke).unwrap_or_default()),
    }
}

/// What the account is known by where the address asks for it.
fn login(args: &KeyArgs) -> Result<Login> {
    let password = match &args.basic_user {
        Some(_) => Some(basic_password(args)?),
        None => None,
    };
    let token =
        args.vendor_token_file.as_deref().map(|path| secret_text(path, "--vendor-token-file")).transpose()?;
    Ok(Login {
        org: args.account.org.clone(),
        user: args.basic_user.clone(),
        password,
        token: token.map(|token| SecretString::from(token.trim())),
    })
}

/// Who signs requests to API Gateway.
fn aws_signer(url: &str) -> Result<AwsSigner> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let required = |name: &str| {
        variable(name).ok_or_else(|| Error::usage(format!("the variable {name} is not set")).hint(
            "requests to API Gateway are signed: set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, and AWS_SESSION_TOKEN of temporary credentials",
        ))
    };
    let host = url.split('/').nth(2).unwrap_or_default();
    let region = variable("AWS_REGION").or_else(|| region_of(host).map(str::to_owned));
    Ok(AwsSigner {
        access_key_id: required("AWS_ACCESS_KEY_ID")?,
        secret_access_key: SecretString::from(required("AWS_SECRET_ACCESS_KEY")?),
        session_token: variable("AWS_SESSION_TOKEN").map(SecretString::from),
        region: region.ok_or_else(|| {
            Error::usage("the region is not known").hint("set AWS_REGION: the address does not name it")
        })?,
    })
}

/// What `--help` says of vendors.
pub(super) fn vendors_help() -> String {
    let mut text = "Vendor whose address, method, headers, limits and ways apply, where no option says otherwise. From public \
                    descriptions; none was tried with an account, and what is not sure stands behind ?:\n"
        .to_owned();
    for [address, auth, ways, ids, names, unsure] in VENDORS.iter().map(Vendor::row) {
        let unsure = if unsure.is_empty() { unsure } else { format!("; ? {unsure}") };
        text.push_str(&format!("\n{names}: {address}; {auth}; {ways}; ids: {ids}{unsure}"));
    }
    text
}

/// How requests are written, and for whom the answers are encrypted.
fn dialect(args: &KeyArgs) -> Result<Dialect> {
    let recipient = match &args.recipient_certificate {
        Some(_) if !is_server(args) || args.generate || method(args)? == Method::Get => {
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
    let dialect = vendor(args)?.map(Vendor::dialect).unwrap_or_default();
    Ok(Dialect {
        version: speke_version(args)?,
        recipient,
        trusted: match args.cpix {
            Some(_) => dialect.trusted,
            None => args.trust.iter().map(|path| certificate(path)).collect::<Result<_>>()?,
        },
        content_type: args.content_type.clone().or(dialect.content_type),
        error_header: args.error_header.clone().or(dialect.error_header),
        ids: dialect.ids.or(Some(IdRule::USUAL)),
        ..dialect
    })
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
    let Some(presets) = vendor(args)?.and_then(|vendor| vendor.presets) else { return Ok(()) };
    let is_asked = is_server(args) && method(args)? == Method::Post && !args.drmtoday;
    let names_preset = job.preset != Preset::Auto || job.video_preset.is_some();
    if is_asked && !names_preset && job.drm != "simpleaes" && speke_version(args)? != SpekeVersion::V1 {
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
            let signer = CencSigner::parse(&secret_text(path, "--signer-key-file")?)
                .map_err(|error| error.at(path.display()))?;
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

/// The address of the key server that the operator names.
fn given_url(args: &KeyArgs) -> Result<Option<String>> {
    let url = args.key_server_url.clone().or_else(|| std::env::var("DRM_PACK_KEY_SERVER_URL").ok());
    let url = match url.as_deref().and_then(|url| url.strip_prefix('@')) {
        Some(path) => Some(secret_text(Path::new(path), "--key-server-url")?.to_string()),
        None => url,
    };
    Ok(url.map(|url| url.trim().to_owned()).filter(|url| !url.is_empty()))
}

/// The address of the key server.
pub(super) fn key_server_url(args: &KeyArgs) -> Result<String> {
    let of_vendor = || match vendor(args).ok()??.url {
        VendorUrl::Of(url) => Some(url.to_owned()),
        VendorUrl::Like(_) => None,
    };
    given_url(args)?.or_else(of_vendor).ok_or_else(|| {
        Error::usage("no source of keys").hint(
            "give one of --key-server-url (or DRM_PACK_KEY_SERVER_URL), --drmtoday, --key-file, --cpix, --widevine-key-url, --dev-keys",
        )
    })
}

/// The client that reaches key servers.
pub(super) fn http_client(args: &HttpArgs) -> Result<HttpClient> {
    let text = |path: &Path| secret_text(path, "--client-cert").map(|text| SecretString::from(text.as_str()));
    let proxy = match args.proxy.as_deref().map(|proxy| (proxy, proxy.strip_prefix('@'))) {
        Some((_, Some(path))) => Some(SecretString::from(secret_text(Path::new(path), "--proxy")?.trim())),
        Some((proxy, None)) => Some(SecretString::from(proxy)),
        None => None,
    };
    let ca_certificates = args.cacert.as_deref().map(|path| secret_text(path, "--cacert")).transpose()?;
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
    Ok(vendor(args)?.and_then(|vendor| vendor.max_substreams))
}

/// The headers of these options, in the order of the command line.
fn headers(args: &KeyArgs) -> Result<Vec<(String, SecretString)>> {
    let mut headers: Vec<_> = args.header.iter().map(|text| header(text)).collect::<Result<_>>()?;
    let in_address = match vendor(args)?.map(|vendor| vendor.auth) {
        Some(Auth::Address) => key_server_url(args)?.contains("{password}"),
        _ => false,
    };
    if let Some(user) = args.basic_user.as_ref().filter(|_| !in_address) {
        headers.push(basic(user, &basic_password(args)?)?);
    }
    if let Some(path) = &args.bearer_file {
        headers.push(bearer(SecretString::from(secret_text(path, "--bearer-file")?.trim())));
    }
    for (number, (name, _)) in headers.iter().enumerate() {
        if headers.iter().take(number).any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            return Err(Error::usage(format!("the header {name} twice")).hint(
                "give it once: --header by its name, --basic-user and --bearer-file are Authorization",
            ));
        }
    }
    Ok(headers)
}

/// The password of `--basic-user`.
fn basic_password(args: &KeyArgs) -> Result<SecretString> {
    match &args.basic_password_file {
        Some(path) => password_in(path, "--basic-password-file"),
        None => std::env::var("DRM_PACK_BASIC_PASSWORD").map(SecretString::from).map_err(|_| {
            Error::usage("the password of --basic-user is missing")
                .hint("set DRM_PACK_BASIC_PASSWORD, or give --basic-password-file")
        }),
    }
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
        secret_text(Path::new(path), "--header")?.trim_end().to_owned()
    } else if let Some(variable) = value.strip_prefix('$') {
        std::env::var(variable).map_err(|_| Error::usage(format!("the variable {variable} is not set")))?
    } else {
        return Err(wrong());
    };
    Ok((name.trim().to_owned(), SecretString::from(secret)))
}

/// The password in this file, without its line's end.
fn password_in(path: &Path, option: &'static str) -> Result<SecretString> {
    Ok(SecretString::from(secret_text(path, option)?.trim_end_matches(['\r', '\n'])))
}

/// The account of these options.
pub(super) fn account(args: &AccountArgs) -> Result<Account> {
    let password = match &args.password_file {
        Some(path) => Some(password_in(path, "--password-file")?),
        None => std::env::var("DRMTODAY_PASSWORD").ok().map(SecretString::from),
    };
    account_with(args, password)
}

/// All that is missing is said at once.
fn account_with(args: &AccountArgs, password: Option<SecretString>) -> Result<Account> {
    let environment = Environment::find(&args.environment)?;
    let given = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
    let (organization, cpix_config, user) = (given(&args.org), given(&args.cpix_config), given(&args.user));
    let missing: Vec<&str> = [
        (organization.is_none(), "--org (or DRMTODAY_ORG)"),
        (cpix_config.is_none(), "--cpix-config (or DRMTODAY_CPIX_CONFIG)"),
        (user.is_none(), "--user (or DRMTODAY_USER)"),
        (password.is_none(), "--password-file (or DRMTODAY_PASSWORD)"),
    ]
    .into_iter()
    .filter_map(|(is_missing, option)| is_missing.then_some(option))
    .collect();
    let (Some(organization), Some(cpix_config), Some(user), Some(password)) =
        (organization, cpix_config, user, password)
    else {
        return Err(Error::usage("the account is not whole").hint(format!("give {}", missing.join(", "))));
    };
    Ok(Account {
        auth_url: args.auth_url.clone().unwrap_or_else(|| environment.auth_url.to_owned()),
        frontend_url: args.frontend_url.clone().unwrap_or_else(|| environment.frontend_url.to_owned()),
        organization,
        cpix_config,
        user,
        password,
    })
}
