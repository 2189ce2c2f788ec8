//! MPDs and what they name — ISO/IEC 23009-1 §5.3.9.

use std::sync::Arc;

use crate::base::Result;
use crate::base::env::Store;
use crate::dash::{Count, Media, Mpd, Reference, Representation, last_there};

use super::{Content, OtherFile, Resource, Role};

/// An MPD.
pub struct MpdDocument {
    /// Its name.
    pub name: String,
    /// Its elements.
    pub mpd: Mpd,
    /// Its Representations in document order.
    pub tracks: Vec<MpdTrack>,
    /// Files of its other elements and attributes.
    pub others: Vec<OtherFile>,
}

/// A Representation and what it names.
pub struct MpdTrack {
    /// What the MPD says of it.
    pub representation: Representation,
    /// What it carries by that.
    pub content: Content,
    /// Its initialization segment, its segments in order, and its index.
    pub resources: Vec<Resource>,
    /// How many segments its duration implies when fewer are there: the last ones need not be, §5.3.9.5.
    pub implied: Option<usize>,
    is_one_file: bool,
}

impl MpdDocument {
    pub(super) fn read(store: &dyn Store, name: &str, mpd: Mpd) -> Result<Self> {
        let representations = mpd.representations(name, store)?;
        let tracks = representations.into_iter().map(|representation| MpdTrack::new(store, representation));
        let tracks = tracks.collect::<Result<_>>()?;
        let others = mpd.other_addresses()?;
        let others = others.iter().filter_map(|named| OtherFile::of_address(store, name, named)).collect();
        Ok(Self { name: name.to_owned(), tracks, others, mpd })
    }
}

impl MpdTrack {
    fn new(store: &dyn Store, mut representation: Representation) -> Result<Self> {
        let (mut resources, mut implied) = (Vec::new(), None);
        let (mut index, mut is_one_file) = (None, false);
        // What is in the resources is not kept twice.
        let nothing = Media::Segments { references: Vec::new(), count: Count::Stated };
        let mut init = representation.initialization.clone();
        let references = match std::mem::replace(&mut representation.media, nothing) {
            Media::SingleFile { file, index_range } => {
                is_one_file = true;
                index = index_range.map(|range| Reference {
                    name: file.name.clone(),
                    range: Some(range),
                    time: None,
                });
                init = init.or_else(|| Some(file.clone()));
                vec![file]
            }
            Media::Segments { mut references, count } => {
                if count == Count::Implied {
                    let last = last_there(store, &references)?;
                    if let Some(there) = last.map(|last| last + 1).filter(|there| *there < references.len()) {
                        implied = Some(references.len());
                        references.truncate(there);
                    }
                }
                references
            }
        };
        let init = init.map(|init| {
            resources.push(resource(Role::Init, 0, init));
            0
        });
        for (number, reference) in (0..).zip(references) {
            resources.push(Resource { init, ..resource(Role::Segment, number, reference) });
        }
        resources.extend(index.map(|index| resource(Role::Index, 0, index)));
        Ok(Self {
            content: Content::of_type(representation.kind),
            representation,
            resources,
            implied,
            is_one_file,
        })
    }

    /// Whether its initialization segment tells what it carries: it does of video and audio, and of everything
    /// in MP4.
    pub fn is_mp4(&self) -> bool {
        let mime_type = self.representation.mime_type.as_deref().and_then(|mime| mime.split(';').next());
        self.content.is_media() || mime_type.is_some_and(|mime| mime.trim_end().ends_with("/mp4"))
    }

    /// Its initialization segment; of a self-initializing file the file itself.
    pub fn init(&self) -> Option<&Resource> {
        self.resources.first().filter(|resource| resource.role == Role::Init)
    }

    /// Its segments in order, or its one file.
    pub fn segments(&self) -> impl Iterator<Item = &Resource> {
        self.resources.iter().filter(|resource| resource.role == Role::Segment)
    }

    /// Whether one file has all of its segments, and the MPD does not say where.
    pub fn is_one_file(&self) -> bool {
        self.is_one_file
    }

    /// Where its segment index is.
    pub fn index(&self) -> Option<&Resource> {
        self.resources.last().filter(|resource| resource.role == Role::Index)
    }
}

fn resource(role: Role, number: u32, reference: Reference) -> Resource {
    Resource {
        role,
        number,
        line: 0,
        file: reference.name,
        range: reference.range,
        gap: false,
        keys: Arc::new([]),
        sequence: 0,
        begins: 0.0,
        time: reference.time,
        duration: 0.0,
        init: None,
        inside: None,
    }
}
