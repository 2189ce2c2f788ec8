//! `drm-pack pack`: options become a job.

use crate::base::env::Store;
use crate::base::{Error, Result};
use crate::io::{FileStore, HttpClient, OutputDirectory, Overwrite, SystemRandom};
use crate::job::{Env, Format, Job, run as run_job};
use crate::package::Preset;

use super::args::{PackArgs, PresetArg};
use super::keys::key_server;
use super::output::{Progress, finish, note};

pub(super) fn run(args: &PackArgs) -> Result<()> {
    let (keys, limit) = key_server(&args.keys)?;
    if args.keys.dev_keys.is_some() {
        note("warning: --dev-keys derives keys from a seed that stands on the command line: for tests only");
    }
    let job = job(args, limit)?;
    let output = OutputDirectory::begin(&args.out, overwrite(args.overwrite))?;
    let progress = Progress::new();
    let report = run_job(
        &job,
        &Env {
            locate: &locate,
            output: &output.store(),
            keys: keys.as_ref(),
            http: &HttpClient::new()?,
            random: &SystemRandom,
            observe: &|event| progress.observe(event),
        },
    )?;
    output.publish()?;
    finish(&report, &args.out, args.json);
    Ok(())
}

pub(super) fn overwrite(overwrite: bool) -> Overwrite {
    if overwrite { Overwrite::Replace } else { Overwrite::Refuse }
}

/// The folder and name of an input.
pub(super) fn locate(input: &str) -> Result<(Box<dyn Store>, String)> {
    if input.starts_with("http://") || input.starts_with("https://") {
        return Err(
            Error::unsupported("inputs over HTTP are not read yet").hint("download the presentation first")
        );
    }
    let (store, name) = FileStore::of_file(input)?;
    Ok((Box::new(store), name))
}

fn job(args: &PackArgs, limit: Option<usize>) -> Result<Job> {
    let formats = args
        .format
        .as_deref()
        .map(|list| {
            list.split(['+', ','])
                .map(|word| match word.trim() {
                    "hls" => Ok(Format::Hls),
                    "dash" => Ok(Format::Dash),
                    other => Err(Error::usage(format!("--format {other:?}, expected hls, dash or both"))),
                })
                .collect::<Result<Vec<_>>>()
        })
        .transpose()?;
    Ok(Job {
        inputs: args.inputs.clone(),
        drm: args.drm.clone(),
        scheme: args.scheme.clone(),
        preset: match args.preset {
            PresetArg::Preset0 => Preset::Preset0,
            PresetArg::Preset1 => Preset::Preset1,
        },
        resource_id: args.resource_id.clone(),
        vector: args.vector.clone(),
        formats,
        segment_duration: args.segment_duration,
        skd_template: args.skd_template.clone(),
        max_substreams: args.max_substreams.or(limit),
    })
}
