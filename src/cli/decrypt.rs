//! `drm-pack decrypt`: the inverse of `pack`.

use std::sync::Arc;

use crate::base::{Kid, Result, Secret};
use crate::cpix;
use crate::io::{FileStore, HttpFiles, OutputDirectory, SystemRandom};
use crate::job::{DecryptJob, Env, decrypt};
use crate::keys::{DevKeys, KeyFile};

use super::args::DecryptArgs;
use super::cpix::recipient_keys;
use super::folder::presentations;
use super::keys::{http_client, secret_bytes, secret_text};
use super::output::{Progress, finish};
use super::pack::{locate, overwrite};

pub(super) fn run(args: &DecryptArgs) -> Result<()> {
    let keys = keys(args)?;
    let output = OutputDirectory::begin(&args.out, overwrite(args.overwrite))?;
    let progress = Progress::new();
    let http = Arc::new(http_client(&args.http)?);
    let files = HttpFiles::new(Arc::clone(&http));
    let report = decrypt(
        &DecryptJob {
            inputs: presentations(&args.inputs)?,
            find_key: &|kid| Some(keys(kid)?.0),
            find_iv: &|kid| keys(kid)?.1,
        },
        &Env {
            locate: &|input| locate(&files, input),
            output: &output.store() as &FileStore,
            keys: &DevKeys::new(""),
            http: http.as_ref(),
            random: &SystemRandom,
            observe: &|event| progress.observe(event),
        },
    )?;
    output.publish()?;
    finish(&report, &args.out, args.json);
    Ok(())
}

/// Finds a key and the IV that came with it.
type Keys = Box<dyn Fn(Kid) -> Option<(Secret<16>, Option<[u8; 16]>)> + Sync>;

fn keys(args: &DecryptArgs) -> Result<Keys> {
    Ok(match (&args.key_file, &args.cpix) {
        (Some(path), _) => {
            let place = path.display().to_string();
            let file = KeyFile::parse(&secret_text(path)?).map_err(|error| error.at(place))?;
            Box::new(move |kid| Some((file.lookup(kid)?.clone(), file.iv(kid))))
        }
        (None, Some(path)) => {
            let recipients = recipient_keys(&args.recipient_key)?;
            let document = cpix::read_with(&secret_bytes(path)?, &recipients)
                .map_err(|error| error.at(path.display()))?;
            Box::new(move |kid| {
                let key = document.content_key(kid)?;
                Some((key.value.clone()?, key.explicit_iv))
            })
        }
        (None, None) => Box::new(|_| None),
    })
}
