//! Playlists and what they name — RFC 8216bis §4.4.

use std::collections::HashMap;

use crate::base::Result;
use crate::base::env::Store;
use crate::hls::multivariant::{self, Rendition};
use crate::hls::{
    Key, KeysInForce, OtherUri, Playlist, ResourceKind, ResourceRef, media, other_uris, resource_refs,
};

use super::other::OtherFile;
use super::read::FileLengths;
use super::{Content, Resource, Role, SegmentIndex};

/// A multivariant playlist.
pub struct Multivariant {
    /// Its name.
    pub name: String,
    /// Its lines.
    pub playlist: Playlist,
    /// `EXT-X-SESSION-KEY`.
    pub session_keys: Vec<Key>,
    /// Files of its other tags.
    pub others: Vec<OtherFile>,
}

/// A media playlist.
pub struct MediaPlaylist {
    /// Its name.
    pub name: String,
    /// Its lines.
    pub playlist: Playlist,
    /// What its segments carry, by all that name it.
    pub content: Content,
    /// The tags of multivariant playlists that name it.
    pub named_by: Vec<Rendition>,
    /// Whether each segment is one picture, found inside the segments of another playlist: §4.4.3.6.
    pub is_i_frames: bool,
    /// `EXT-X-KEY`, in order.
    pub keys: Vec<Key>,
    /// Everything it names, in the order of lines.
    pub resources: Vec<Resource>,
    /// Files of its other tags.
    pub others: Vec<OtherFile>,
}

impl Multivariant {
    pub(super) fn read(store: &dyn Store, name: &str, playlist: Playlist) -> Result<Self> {
        let mut others = multivariant::session_data(&playlist)?;
        others.extend(other_uris(&playlist));
        let others = other_files(store, name, others);
        Ok(Self {
            name: name.to_owned(),
            session_keys: multivariant::session_keys(&playlist)?,
            playlist,
            others,
        })
    }
}

fn other_files(store: &dyn Store, name: &str, uris: Vec<OtherUri>) -> Vec<OtherFile> {
    uris.iter().filter_map(|uri| OtherFile::of_tag(store, name, uri)).collect()
}

impl MediaPlaylist {
    pub(super) fn read(store: &dyn Store, name: &str, playlist: Playlist) -> Result<Self> {
        let keys = media::keys(&playlist)?;
        let mut in_force = KeysInForce::new(&keys);
        let (mut resources, mut inits) = (Vec::new(), HashMap::new());
        let named = resource_refs(&playlist)?;
        for (index, one) in named.iter().enumerate().filter(|(_, one)| one.kind == ResourceKind::Map) {
            inits.insert(one.line, index);
        }
        for ResourceRef { kind, number, line, uri, byte_range, sequence, gap, begins, duration, map } in named
        {
            // What may be missing may be named in any way.
            let file = match (store.resolve(name, &uri), gap) {
                (Err(_), true) => uri,
                (file, _) => file?,
            };
            resources.push(Resource {
                role: match kind {
                    ResourceKind::Map => Role::Init,
                    ResourceKind::Segment => Role::Segment,
                    ResourceKind::Part => Role::Part,
                    ResourceKind::Hint => Role::Hint,
                },
                number: u32::try_from(number).unwrap_or(u32::MAX),
                line,
                file,
                range: byte_range,
                gap,
                keys: in_force.at(line),
                sequence,
                begins,
                time: None,
                duration,
                init: map.and_then(|line| inits.get(&line).copied()),
                inside: None,
            });
        }
        Ok(Self {
            name: name.to_owned(),
            content: Content::Media,
            named_by: Vec::new(),
            is_i_frames: media::is_i_frames_only(&playlist),
            others: other_files(store, name, other_uris(&playlist)),
            playlist,
            keys,
            resources,
        })
    }

    /// What is to be there, in the order of lines.
    pub fn present(&self) -> impl Iterator<Item = &Resource> {
        self.resources.iter().filter(|resource| !resource.gap)
    }

    /// Its segments, missing ones left out.
    pub fn segments(&self) -> impl Iterator<Item = &Resource> {
        self.present().filter(|resource| resource.role == Role::Segment)
    }

    /// The initialization section of a resource.
    pub fn init_of(&self, resource: &Resource) -> Option<&Resource> {
        resource.init.and_then(|index| self.resources.get(index))
    }

    /// Checks that each byte range of what is there lies inside its file.
    ///
    /// # Errors
    /// When one does not.
    pub fn check_ranges(&self, lengths: &mut FileLengths<'_>) -> Result<()> {
        for resource in self.present() {
            let Some(range) = &resource.range else { continue };
            lengths.hold(&resource.file, range).map_err(|error| {
                error.clause("RFC 8216bis §4.4.4.2").at(format_args!("line {}", resource.line + 1))
            })?;
        }
        Ok(())
    }

    pub(super) fn place(&mut self, index: &SegmentIndex) {
        for resource in &mut self.resources {
            let is_own = resource.role == Role::Segment && !self.is_i_frames;
            if resource.role == Role::Init && index.has_streams(&resource.file) {
                resource.role = Role::Tables;
            }
            if !is_own && resource.role != Role::Init {
                resource.inside = index.parent_segment(&resource.file, resource.range.as_ref());
            }
        }
        let is_init: Vec<bool> = self.resources.iter().map(|resource| resource.role == Role::Init).collect();
        for resource in &mut self.resources {
            resource.init = resource.init.filter(|index| is_init.get(*index) == Some(&true));
        }
    }
}
