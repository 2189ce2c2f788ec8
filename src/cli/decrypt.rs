//! `drm-pack decrypt`: the inverse of `pack`.

use crate::base::{Kid, Result, Secret};
use crate::cpix;
use crate::io::{FileStore, HttpClient, OutputDirectory, SystemRandom};
use crate::job::{DecryptJob, Env, decrypt};
use crate::keys::{DevKeys, KeyFile};

use super::args::DecryptArgs;
use super::cpix::recipient_keys;
use super::folder::presentations;
use super::keys::{secret_bytes, secret_text};
use super::output::{Progress, finish};
use super::pack::{locate_below, overwrite};

pub(super) fn run(args: &DecryptArgs) -> Result<()> {
    let (keys, only) = keys(args)?;
    let output = OutputDirectory::begin(&args.out, overwrite(args.overwrite))?;
    let progress = Progress::new();
    let report = decrypt(
        &DecryptJob {
            inputs: presentations(&args.inputs, args.root.as_deref())?,
            find_key: &|kid| Some(keys(kid)?.0),
            find_iv: &|kid| keys(kid)?.1,
            only,
        },
        &Env {
            locate: &locate_below(args.root.as_deref()),
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
