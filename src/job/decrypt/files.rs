//! MP4 files that are decrypted without a manifest: each by itself, or a media segment with the initialization segment
//! that is given with it — ISO/IEC 14496-12 §8.8, §8.16.

use crate::base::env::Source;
use crate::base::{Error, Result, shown_input};
use crate::isobmff::file::{BoxHeader, moov};
use crate::isobmff::track::trexes;
use crate::package::{Proofs, SegmentDecryptor, rewrite};

use crate::job::DecryptJob;
use crate::job::env::Env;
use crate::job::mp4::other_format;
use crate::job::report::OutputReport;

/// A file that is given.
struct File<'a> {
    input: &'a str,
    name: String,
    source: Box<dyn Source>,
    part: Part,
}

/// Which part of a track a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// `moov` and no media.
    Init,
    /// Fragments without a `moov`.
    Segment,
    /// It needs no other file.
    Whole,
}

impl Part {
    fn of(source: &dyn Source) -> Self {
        let (mut has_moov, mut has_media, mut has_fragment, mut position) = (false, false, false, 0);
        while let Ok(Some(header)) = BoxHeader::read(source, position) {
            has_moov |= header.is(b"moov");
            has_media |= header.is(b"mdat");
            has_fragment |= header.is(b"moof");
            position = header.end();
        }
        match (has_moov, has_fragment) {
            (true, false) if !has_media => Self::Init,
            (false, true) => Self::Segment,
            _ => Self::Whole,
        }
    }
}

/// Decrypts every input and writes it under its name.
pub(in crate::job) fn decrypt_files(
    job: &DecryptJob<'_>,
    env: &Env<'_>,
) -> Result<(Vec<OutputReport>, Proofs)> {
    let mut files = Vec::new();
    for input in &job.inputs {
        let (store, name) = (env.open_input)(input)?;
        let source = store.open(&name)?;
        let part = Part::of(source.as_ref());
        files.push(File { input, name, source, part });
    }
    let parts: Vec<(&str, Part)> = files.iter().map(|file| (file.input, file.part)).collect();
    let inits = inits(&parts)?;
    let mut proofs = Proofs::default();
    let mut decrypt = |(file, init): (&File<'_>, Option<usize>)| {
        let source = file.source.as_ref();
        let init = init.and_then(|init| files.get(init));
        let moov =
            init.map(|init| moov(init.source.as_ref()).map_err(|error| error.at(shown_input(init.input))));
        let moov = moov.transpose()?;
        let (mut edit, defaults) = match &moov {
            Some(moov) => (SegmentDecryptor::with_init(moov, source, job.key_store)?, trexes(moov)?),
            None => (SegmentDecryptor::new(source, job.key_store), Vec::new()),
        };
        let mut sink = env.output.create(&file.name)?;
        rewrite(source, sink.as_mut(), &defaults, &mut edit).map_err(|error| other_format(source, error))?;
        edit.proofs().check()?;
        proofs.merge(edit.proofs());
        Ok(OutputReport::new(&file.name, sink.commit()?))
    };
    let mut outputs = Vec::new();
    for (file, init) in files.iter().zip(inits) {
        outputs.push(decrypt((file, init)).map_err(|error: Error| error.at(shown_input(file.input)))?);
    }
    proofs.check_all(job.key_store)?;
    Ok((outputs, proofs))
}

/// For each file the number of its initialization segment, if it needs one: the only one that is given, or that is
/// given from its folder. Of several it is the nearest before it, when segments follow each of them.
fn inits(files: &[(&str, Part)]) -> Result<Vec<Option<usize>>> {
    let numbers = 0..files.len();
    let inits: Vec<usize> =
        numbers.filter(|number| files.get(*number).is_some_and(|f| f.1 == Part::Init)).collect();
    let name_of = |number: usize| files.get(number).map_or("", |(input, _)| *input);
    let mut found = Vec::with_capacity(files.len());
    let mut ordered = Vec::new();
    for (number, (input, part)) in files.iter().enumerate() {
        if *part != Part::Segment {
            found.push(None);
            continue;
        }
        let beside = |init: &usize| folder(name_of(*init)) == folder(input);
        let near: Vec<usize> = inits.iter().copied().filter(beside).collect();
        let near = if near.is_empty() { inits.as_slice() } else { near.as_slice() };
        let init = match near {
            [only] => *only,
            several => {
                let before = several.iter().copied().rfind(|init| *init < number);
                let before = before.ok_or_else(|| no_init(input))?;
                ordered.extend(several.iter().copied().filter(|init| *init <= before));
                before
            }
        };
        found.push(Some(init));
    }
    match ordered.into_iter().find(|init| !found.contains(&Some(*init))) {
        Some(init) => {
            Err(Error::usage("no media segment behind it, but behind another initialization segment")
                .hint("give each initialization segment right before its own segments")
                .at(shown_input(name_of(init))))
        }
        None => Ok(found),
    }
}

fn no_init(input: &str) -> Error {
    Error::usage("a media segment: what encrypts it is said in its initialization segment")
        .clause("ISO/IEC 23001-7 §8.2")
        .hint("give that before it, as in drm-pack decrypt init.mp4 1.m4s, or give the manifest")
        .at(shown_input(input))
}

fn folder(input: &str) -> &str {
    input.rsplit_once('/').map_or("", |(folder, _)| folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(inputs: &[&str]) -> Result<Vec<Option<usize>>> {
        let part = |input: &str| match input {
            _ if input.contains("init") => Part::Init,
            _ if input.contains(".m4s") => Part::Segment,
            _ => Part::Whole,
        };
        inits(&inputs.iter().map(|input| (*input, part(input))).collect::<Vec<_>>())
    }

    #[test]
    fn segments_find_their_init_segment_in_any_order_that_is_clear() {
        for (inputs, expected) in [
            (&["init.mp4", "1.m4s", "2.m4s"][..], vec![None, Some(0), Some(0)]),
            (&["1.m4s", "2.m4s", "init.mp4"], vec![Some(2), Some(2), None]),
            (&["v/1.m4s", "v/init.mp4", "a/init.mp4", "a/1.m4s"], vec![Some(1), None, None, Some(2)]),
            (&["v/1.m4s", "a/1.m4s", "init/v.mp4"], vec![Some(2), Some(2), None]),
            (
                &["init-v.mp4", "v1.m4s", "v2.m4s", "init-a.mp4", "a1.m4s"],
                vec![None, Some(0), Some(0), None, Some(3)],
            ),
            (&["whole.mp4", "init.mp4"], vec![None, None]),
        ] {
            assert_eq!(of(inputs).unwrap(), expected, "{inputs:?}");
        }
    }

    #[test]
    fn a_segment_whose_init_segment_cannot_be_told_is_refused_with_what_to_give() {
        for inputs in [
            &["1.m4s"][..],
            &["whole.mp4", "1.m4s"],
            &["v1.m4s", "init-v.mp4", "init-a.mp4", "a1.m4s"],
            &["init-v.mp4", "init-a.mp4", "v1.m4s", "a1.m4s"],
        ] {
            let error = of(inputs).unwrap_err();
            assert_eq!(error.kind(), crate::base::Kind::Usage);
            assert!(error.to_string().contains("init"), "{error}");
        }
    }
}
