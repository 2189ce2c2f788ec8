//! `drm-pack key-server`: the development key server, and the environment that makes drm-pack use it.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use crate::base::env::Random;
use crate::base::id::hex;
use crate::base::{Error, Result};
use crate::drm;
use crate::io::SystemRandom;
use crate::server::{Exposure, Fault, Says, Settings, TicketUse, start};

use super::args::{KeyServerArgs, PlayersArgs};
use super::output::{line, note};

pub(super) fn run(args: &KeyServerArgs) -> Result<()> {
    let given = std::env::var("DRMTODAY_PASSWORD").ok().filter(|password| !password.is_empty());
    let password = match &given {
        Some(password) => password.clone(),
        None => made_up_password()?,
    };
    let mut settings = Settings::new(
        SecretString::from(args.seed.clone()),
        &args.user,
        SecretString::from(password.clone()),
    );
    settings.address = args.listen;
    settings.exposure = if args.allow_public { Exposure::Network } else { Exposure::Loopback };
    settings.service_ticket_lifetime = Duration::from_secs(args.ticket_seconds);
    settings.ticket_use = if args.lenient_tickets { TicketUse::Again } else { TicketUse::Once };
    settings.fault = args.fault;
    settings.says = Says {
        hdcp_level: args.hdcp_level.clone(),
        output_protection: args.output_protection.clone(),
        robustness: args.robustness.clone(),
        allowed_cpc: args.allowed_cpc.clone(),
        other_systems: args
            .other_drm
            .iter()
            .map(|name| drm::find(name).map(|system| system.system_id()))
            .collect::<Result<_>>()?,
    };
    settings.media.clone_from(&args.media);
    settings.players = Some(players(&args.players));
    settings.log = Box::new(|exchange| {
        note(&format!("{} {} {}", exchange.method, exchange.path, exchange.status));
    });
    let (organization, config) = (settings.organization.clone(), settings.cpix_config.clone());
    let server = start(settings).map_err(|error| {
        if error.kind() == crate::base::Kind::Storage { error.hint("give another --listen") } else { error }
    })?;
    let url = server.url();
    line("# development key server: its keys are derived from a seed and are no secret")?;
    if args.fault != Fault::None {
        line("# it does something wrong on purpose: see --fault")?;
    }
    line(&format!("export DRMTODAY_AUTH_URL={url} DRMTODAY_FRONTEND_URL={url}"))?;
    line(&format!("export DRMTODAY_ORG={organization} DRMTODAY_CPIX_CONFIG={config}"))?;
    line(&format!("export DRMTODAY_USER={}", quoted(&args.user)))?;
    match given {
        // The operator's own password is not repeated.
        Some(_) => line("# DRMTODAY_PASSWORD as it is set here")?,
        None => line(&format!("export DRMTODAY_PASSWORD={password}"))?,
    }
    line("# then: drm-pack pack INPUT --out DIR --drm widevine+playready+clearkey --drmtoday")?;
    match &args.media {
        Some(_) => line(&format!("# player page: {url}/"))?,
        None => line("# --media DIR adds a page that plays what was packed")?,
    }
    if args.allow_public && !server.address().ip().is_loopback() {
        note("warning: other machines reach this server, and its keys are no secret");
    }
    server.wait().map_err(|error: Error| error.at("key server"))
}

/// The folder of players: the one that was named, or that of the project.
pub(super) fn players(args: &PlayersArgs) -> PathBuf {
    let default = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target/players"));
    args.players.clone().unwrap_or_else(default)
}

/// A word that a POSIX shell reads as this text.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || ":._@-".contains(c);
    if text.chars().all(is_plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

fn made_up_password() -> Result<String> {
    let mut bytes = [0; 12];
    SystemRandom.fill(&mut bytes)?;
    Ok(hex(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_word_of_the_shell() {
        assert_eq!(quoted("demo::packager"), "demo::packager");
        assert_eq!(quoted("a b's $c"), "'a b'\\''s $c'");
    }
}
