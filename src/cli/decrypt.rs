//! `drm-pack decrypt`: the inverse of `pack`.

use std::path::PathBuf;

use crate::base::{Kid, Result, Secret};
use crate::cpix;
use crate::io::{FileStore, HttpClient, SystemRandom};
use crate::job::{DecryptJob, Env, decrypt};
use crate::keys::{DevKeys, KeyFile};

use super::args::DecryptArgs;
use super::cpix::recipient_keys;
use super::folder::presentations;
use super::keys::{secret_bytes, secret_text};
use super::output::{Progress, finish, note};
use super::output_folder;
use super::pack::{DEV_KEYS_WARNING, locate_below, overwrite};

pub(super) fn run(args: &DecryptArgs) -> Result<()> {
    let (keys, only) = keys(args)?;
    let root = args.root.as_deref();
    let files = [&args.key_file, &args.cpix].into_iter().flatten().chain(&args.recipient_key);
    let files: Vec<_> = files.map(PathBuf::as_path).collect();
    let output = output_folder::begin(&args.out, overwrite(args.overwrite), &args.inputs, root, &files)?;
    let progress = Progress::new();
    let report = decrypt(
        &DecryptJob {
            inputs: presentations(&args.inputs, root)?,
            find_key: &|kid| Some(keys(kid)?.0),
            find_iv: &|kid| keys(kid)?.1,
            only,
        },
        &Env {
            locate: &output_folder::apart(&args.out, root, locate_below(root)),
            output: &output.store() as &FileStore,
            keys: &DevKeys::new(""),
            http: &HttpClient::new()?,
            random: &SystemRandom,
            observe: &|event| progress.observe(event),
        },
    )?;
    output.publish()?;
    finish(&report, &args.out, args.json);
    Ok(())
}

/// Finds a key and the IV that came with it.
type FindKeyAndIv = Box<dyn Fn(Kid) -> Option<(Secret<16>, Option<[u8; 16]>)> + Sync>;

/// Keys, and the id of the only one if there is no other.
fn keys(args: &DecryptArgs) -> Result<(FindKeyAndIv, Option<Kid>)> {
    if let Some(seed) = &args.dev_keys {
        note(DEV_KEYS_WARNING);
        let keys = DevKeys::new(seed);
        return Ok((Box::new(move |kid| Some((keys.key(kid).ok()?, keys.iv(kid).ok()))), None));
    }
    Ok(match (&args.key_file, &args.cpix) {
        (Some(path), _) => {
            let place = path.display().to_string();
            let file = KeyFile::parse(&secret_text(path)?).map_err(|error| error.at(place))?;
            let only = file.only();
            (Box::new(move |kid| Some((file.lookup(kid)?.clone(), file.iv(kid)))), only)
        }
        (None, Some(path)) => {
            let recipients = recipient_keys(&args.recipient_key)?;
            let document = cpix::read_with(&secret_bytes(path)?, &recipients)
                .map_err(|error| error.at(path.display()))?;
            let only = match document.content_keys.as_slice() {
                [key] => Some(key.kid),
                _ => None,
            };
            let find = move |kid| {
                let key = document.content_key(kid)?;
                Some((key.value.clone()?, key.explicit_iv))
            };
            (Box::new(find), only)
        }
        (None, None) => (Box::new(|_| None), None),
    })
}
