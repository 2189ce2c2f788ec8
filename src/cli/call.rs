//! The call as it was typed: read, or refused in one line like every other error.

use std::error::Error as _;
use std::io::Write as _;
use std::process::ExitCode;

use clap::error::{ContextKind, ErrorKind};
use clap::{CommandFactory, Parser};

use crate::base::Error;

use super::args::Args;
use super::{other_names, output};

/// Reads the arguments of the process; help and version are printed and end it.
pub(super) fn read() -> Result<Args, ExitCode> {
    Args::try_parse().map_err(|error| {
        if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            error.exit();
        }
        if !error.use_stderr() {
            return match error.print().and_then(|()| std::io::stdout().flush()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => output::failure(&output::output_failed(&error), false),
            };
        }
        let error = match error.source().and_then(|source| source.downcast_ref::<Error>()) {
            // The value is not repeated as it was given: it may hold a secret.
            Some(refused) => Error::usage(refused.to_string()).at(argument(&error)),
            None => refused(&error),
        };
        output::failure(&error, std::env::args_os().any(|word| word == "--json"))
    })
}

/// What the parser refuses.
fn refused(error: &clap::Error) -> Error {
    let (path, command) = command();
    let help = format!("{path} --help says more");
    let said = |kind| error.get(kind).map(ToString::to_string);
    let what = match error.kind() {
        // The parser's own tip for what it does not know is to take it for an input.
        ErrorKind::UnknownArgument => {
            let typed = argument(error);
            let typed = typed.split('=').next().unwrap_or_default();
            let similar = || Some(format!("a similar one is {}", said(ContextKind::SuggestedArg)?));
            let remedy = other_names::remedy(&command, typed).map(str::to_owned).or_else(similar);
            let remedy = remedy.map_or_else(String::new, |remedy| format!("; {remedy}"));
            format!("unexpected argument '{typed}' found{remedy}")
        }
        ErrorKind::InvalidSubcommand => {
            let known = command.get_subcommands().map(clap::Command::get_name);
            let known = known.filter(|name| *name != "help").collect::<Vec<_>>().join(", ");
            format!("{}; expected one of {known}", one_line(&error.to_string()))
        }
        // All values are listed, and the one whose spelling is nearest is seldom the one that was meant.
        ErrorKind::InvalidValue => {
            let text = one_line(&error.to_string());
            text.split_once("; tip:").map_or(text.as_str(), |(text, _)| text).to_owned()
        }
        _ => one_line(&error.to_string()),
    };
    Error::usage(what).hint(help)
}

/// The argument whose value is refused.
fn argument(error: &clap::Error) -> String {
    error.get(ContextKind::InvalidArg).map(ToString::to_string).unwrap_or_default()
}

/// What is wrong, without the usage behind it.
fn one_line(text: &str) -> String {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let is_message = |line: &&str| !line.starts_with("Usage:") && !line.starts_with("For more information");
    let lines = text.lines().take_while(is_message).map(str::trim).filter(|line| !line.is_empty());
    lines.fold(String::new(), |message, line| {
        let separator = match line {
            _ if message.is_empty() => "",
            _ if line.starts_with("tip:") => "; ",
            _ => " ",
        };
        message + separator + line
    })
}

/// The command and subcommands that the arguments begin with: how they are typed, and the last.
fn command() -> (String, clap::Command) {
    let mut command = Args::command();
    let mut path = command.get_name().to_owned();
    for word in std::env::args_os().skip(1) {
        let Some(found) = command.find_subcommand(word) else { break };
        path.push(' ');
        path.push_str(found.get_name());
        command = found.clone();
    }
    (path, command)
}
