//! `drm-pack inspect`: what a file says, as text, JSON or a picture.

use std::io::Read;
use std::path::Path;

use serde::Serialize;

use crate::base::env::{Source, Store};
use crate::base::{Error, Result};
use crate::inspect::presentation::{self, Presentation};
use crate::inspect::{Inspected, MAX_DOCUMENT_BYTES, Node, Samples, inspect, text};
use crate::io::FileStore;

use super::args::InspectArgs;
use super::base_url;
use super::output::{check_is_not_read, json, line, note};

/// The result as JSON; there is something of the file whenever it could be opened and told.
#[derive(Serialize)]
struct Output<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a Node>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presentation: Option<&'a Presentation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<serde_json::Value>,
}

pub(super) fn run(args: &InspectArgs) -> Result<()> {
    let done = if args.html.is_some() { picture(args) } else { tree(args) };
    let error = match done {
        Ok(error) => error,
        Err(error) => {
            if args.json {
                print(None, None, Some(&error))?;
            }
            return Err(error);
        }
    };
    error.map_or(Ok(()), Err)
}

/// Prints the tree; returns what is wrong in the file.
fn tree(args: &InspectArgs) -> Result<Option<Error>> {
    let samples = if args.samples { Samples::Listed } else { Samples::Counted };
    let source = open(&args.file)?;
    let Inspected { node, error } =
        inspect(source.as_ref(), samples).map_err(|error| error.at(place(&args.file)))?;
    let error = error.map(|error| error.at(place(&args.file)));
    if args.json {
        print(Some(&node), None, error.as_ref())?;
    } else {
        line(&text(&node))?;
    }
    Ok(error)
}

/// Writes the picture.
fn picture(args: &InspectArgs) -> Result<Option<Error>> {
    let Some(path) = &args.html else { return Ok(None) };
    check_is_not_read(path, [Path::new(&args.file)])?;
    let (store, name) = FileStore::of_file(&args.file)?;
    let base = base_url::parse(args.base_url.as_deref())?;
    let store = base_url::at(Box::new(store), base.as_ref());
    let advise = |error| base_url::advise(error, base.as_ref(), store.as_ref(), std::slice::from_ref(&name));
    let presentation = presentation::read(store.as_ref(), &name);
    let presentation = presentation.map_err(|error| advise(error).at(&args.file))?;
    let page = presentation::page(&presentation)?;
    std::fs::write(path, page).map_err(|error| Error::storage(error.to_string()).at(path.display()))?;
    if args.json {
        print(None, Some(&presentation), None)?;
    }
    presentation.warnings.iter().for_each(|warning| note(&format!("warning: {warning}")));
    Ok(None)
}

fn print(file: Option<&Node>, presentation: Option<&Presentation>, error: Option<&Error>) -> Result<()> {
    let error =
        error.map(|error| serde_json::json!({"kind": error.kind().name(), "message": error.to_string()}));
    json(&Output { file, presentation, error })
}

/// A file, standard input, or the argument itself when it is base64 or hex and no file has its name.
fn open(argument: &str) -> Result<Box<dyn Source>> {
    if argument == "-" {
        let mut bytes = Vec::new();
        let read = std::io::stdin().lock().take(MAX_DOCUMENT_BYTES).read_to_end(&mut bytes);
        read.map_err(|error| Error::storage(error.to_string()).at("standard input"))?;
        return Ok(Box::new(bytes));
    }
    let is_digits = |c: char| c.is_ascii_alphanumeric() || "+/=-:".contains(c) || c.is_ascii_whitespace();
    if !Path::new(argument).exists() && argument.len() >= MIN_LITERAL && argument.chars().all(is_digits) {
        return Ok(Box::new(argument.as_bytes().to_vec()));
    }
    let (store, name) = FileStore::of_file(argument)?;
    store.open(&name)
}

/// Fewest characters of base64 or hex that are taken for data: an empty box has 32 bytes, or 44 characters.
const MIN_LITERAL: usize = 24;

/// What errors call the input; data on the command line is not repeated.
fn place(argument: &str) -> &str {
    match argument {
        "-" => "standard input",
        path if Path::new(path).exists() => path,
        _ => "argument",
    }
}
