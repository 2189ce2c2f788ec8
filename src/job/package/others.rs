//! Files that manifests name beside their media are taken along or said — RFC 8216bis §6.3.1, appendix D; ISO/IEC 23009-1 §5.

use crate::base::env::Store;
use crate::base::{Error, Result};
use crate::presentation::{Asset, OtherFile, OtherKind, check_is_no_media, kind_of_file};

use super::{InputState, Package};

/// Takes what is there and is no media: it stays as it is.
pub(super) fn take(
    store: &dyn Store,
    (name, others): (&str, &[OtherFile]),
    expect: InputState,
    (package, warnings): (&mut Package, &mut Vec<String>),
) -> Result<()> {
    for OtherFile { place, kind, file } in others {
        let place = || format!("{name}: {place} names {file}");
        match kind {
            // With all that they name: see below.
            OtherKind::Asset | OtherKind::AssetList => {}
            OtherKind::Elsewhere if expect == InputState::Protected => {}
            OtherKind::Elsewhere => {
                warnings.push(format!("{}: it is elsewhere, and not taken along", place()))
            }
            _ if !store.exists(file)? => warnings.push(format!("{}, which is not there", place())),
            OtherKind::SessionData => {
                check_is_no_media(store, file)?;
                package.clear_file(file.clone());
            }
            OtherKind::Unknown => {
                if kind_of_file(store, file)?.is_some() || check_is_no_media(store, file).is_err() {
                    warnings
                        .push(format!("{}: what that means is not known, and the file is left out", place()));
                } else {
                    package.clear_file(file.clone());
                }
            }
        }
    }
    Ok(())
}

/// Takes what interstitials play, as it is: it is not the film, and its keys are not those of the film.
pub(super) fn take_assets(
    assets: &[Asset],
    (package, warnings): (&mut Package, &mut Vec<String>),
) -> Result<()> {
    for Asset { named_by, file, files, missing, shared } in assets {
        let place = format!("{named_by} names {file}");
        if let Some(shared) = shared {
            return Err(Error::unsupported(format!(
                "it has {shared}, which is of the film and is encrypted"
            ))
            .clause("RFC 8216bis appendix D")
            .at(place)
            .hint("give what is played in between files of its own"));
        }
        files.iter().for_each(|file| package.clear_file(file.clone()));
        if !files.is_empty() {
            let count = files.len();
            warnings.push(format!(
                "{place}: it is taken along as it is, {count} files, not encrypted with the keys of the film"
            ));
        }
        warnings.extend(missing.iter().map(|missing| format!("{place}: {missing} is not taken along")));
    }
    Ok(())
}
