//! `drm-pack decrypt`: the inverse of `pack`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::{Kid, Result};
use crate::io::{FileStore, OutputDirectory};
use crate::job::{DecryptJob, Env, add_digests, decrypt};
use crate::keys::DevKeys;

use super::args::DecryptArgs;
use super::base_url;
use super::decryption_keys::key_store;
use super::folder::presentations;
use super::keys::http_client;
use super::output::{Progress, finish, note};
use super::output_folder;
use super::pack::{DEV_KEYS_WARNING, Inputs, overwrite};

pub(super) fn run(args: &DecryptArgs) -> Result<()> {
    let (key_file, cpix) = (args.key_file.as_deref(), args.cpix.as_deref());
    let keys = key_store(key_file, cpix, &args.recipient_key, args.dev_keys.as_deref())?;
    if args.dev_keys.is_some() {
        note(DEV_KEYS_WARNING);
    }
    let root = args.root.as_deref();
    let files = [&args.key_file, &args.cpix].into_iter().flatten().chain(&args.recipient_key);
    let files: Vec<_> = files.map(PathBuf::as_path).collect();
    output_folder::check(&args.out, &args.inputs, root, &files)?;
    let inputs = presentations(&args.inputs, root)?;
    // MP4 files have no manifest: what this very job writes anew is no loss.
    let name = |path: &Path| path.file_name().map(std::ffi::OsStr::to_owned);
    let written: Vec<_> = inputs.iter().map(|input| name(Path::new(input))).collect();
    let is_written =
        |path: &Path| path.parent().is_some_and(|folder| folder == args.out) && written.contains(&name(path));
    let check = |out: &Path| output_folder::check_replaceable(out, &is_written);
    let output = OutputDirectory::begin(&args.out, overwrite(args.overwrite, &check))?;
    let progress = Progress::new();
    let http = Arc::new(http_client(&args.http)?);
    let located = Inputs::new(&args.inputs, root, args.follow_links, &http);
    let base = base_url::parse(args.base_url.as_deref())?;
    let open_input = |input: &str| {
        let (store, name) = located.open_input(input)?;
        Ok((base_url::at(store, base.as_ref()), name))
    };
    let advise = |error| {
        let opened = inputs.first().and_then(|input| located.open_input(input).ok());
        match &opened {
            Some((store, name)) => {
                base_url::advise(error, base.as_ref(), store.as_ref(), std::slice::from_ref(name))
            }
            None => error,
        }
    };
    let report = decrypt(
        &DecryptJob { inputs: inputs.clone(), key_store: keys.as_deref().unwrap_or(&|_: Kid| None) },
        &Env {
            open_input: &output_folder::apart(&args.out, root, open_input),
            output: &output.store() as &FileStore,
            keys: &DevKeys::new(""),
            http: http.as_ref(),
            journal: None,
            observe: &|event| progress.observe(event),
        },
    );
    let mut report = report.map_err(advise)?;
    if args.digests {
        add_digests(&mut report, &output.store())?;
    }
    output.publish()?;
    finish(&report, &args.out, args.json)
}
