//! The command: arguments become a job, a report becomes text; nothing else is done here.

mod address;
mod args;
mod base_url;
mod call;
mod check;
mod cpix;
mod decrypt;
mod decryption_keys;
#[cfg(feature = "server")]
mod demo;
mod folder;
mod inspect;
mod key_files;
#[cfg(feature = "server")]
mod key_server;
mod key_url;
mod keys;
mod keys_command;
mod no_effect;
mod number;
mod other_names;
mod output;
mod output_folder;
mod pack;
mod plan;
mod secret_file;
mod title;
mod verify;

use std::process::ExitCode;

use crate::base::Result;

use args::Command;

/// Runs the command with the arguments of the process; the exit code says who must act.
pub fn main() -> ExitCode {
    let args = match call::read() {
        Ok(args) => args,
        Err(code) => return code,
    };
    crate::io::interrupt::clean_up_on_signals(output::note);
    let json = args.command.wants_json();
    match run(args.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => output::failure(&error, json),
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Pack(args) => pack::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Keys(args) => keys_command::run(&args),
        Command::KeyUrl(args) => key_url::run(&args),
        Command::Decrypt(args) => decrypt::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Cpix(command) => cpix::run(&command),
        #[cfg(feature = "server")]
        Command::KeyServer(args) => key_server::run(&args),
        #[cfg(feature = "server")]
        Command::Demo(args) => demo::run(&args),
        Command::Completions { shell } => output::completions(shell),
    }
}
