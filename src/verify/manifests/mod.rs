//! What is verified of a presentation: renditions of init segment and media files, playlists of everything else, files
//! that are no media — RFC 8216bis, ISO/IEC 23009-1.

pub(super) mod agreement;
pub(super) mod both;
pub(super) mod clear_times;
pub(super) mod dash;
pub(super) mod hls;
pub(super) mod hls_keys;
pub(super) mod images;
pub(super) mod info;
pub(super) mod labels;
pub(super) mod lists;
pub(super) mod names;
pub(super) mod periods;
pub(super) mod systems;
pub(super) mod times;
pub(super) mod unprotected;
mod values;

use std::collections::{HashMap, HashSet};

use crate::base::env::Store;
use crate::base::{Error, Result};
use crate::dash::Reference;
use crate::hls::AES_128;
use crate::isobmff::file::BoxHeader;
use crate::isobmff::samples::has_samples;
use crate::presentation::{
    self, Asset, Content, MediaPlaylist, MpdDocument, MpdTrack, Multivariant, OtherKind, Resource, Role,
    SegmentKind, kind_of_file, read_moov,
};

use crate::verify::findings::{Findings, found_or_error};
use crate::verify::segments::{Protection, SegmentPlaylist, segments};

/// What manifests name, by what it is held to.
#[derive(Default)]
pub(in crate::verify) struct Presentation<'r> {
    pub(in crate::verify) renditions: Vec<Rendition>,
    pub(in crate::verify) mpds: Vec<DashManifest<'r>>,
    /// Media playlists of fragmented MP4.
    pub(in crate::verify) playlists: Vec<Mp4Playlist<'r>>,
    /// Media playlists of everything else.
    pub(in crate::verify) segments: Vec<SegmentPlaylist<'r>>,
    pub(in crate::verify) multivariants: &'r [Multivariant],
    /// Files that are no media, and why.
    pub(in crate::verify) others: Vec<OtherFile>,
    /// What interstitials play.
    pub(in crate::verify) assets: &'r [Asset],
    known_renditions: HashMap<RenditionKey, usize>,
    known_files: HashSet<String>,
}

/// The init segment, and whether it is that of partial segments.
type RenditionKey = (String, Option<(u64, u64)>, bool);

/// An init segment and the media that needs it.
pub(in crate::verify) struct Rendition {
    pub(in crate::verify) init: Reference,
    /// Files in order, each once.
    pub(in crate::verify) files: Vec<String>,
    /// Whether the files are partial segments, which have samples of segments again: RFC 8216bis §4.4.4.9.
    pub(in crate::verify) are_parts: bool,
    /// What they carry, by all that name them.
    pub(in crate::verify) content: Content,
}

/// A file that is to be no media.
pub(in crate::verify) struct OtherFile {
    pub(in crate::verify) file: String,
    /// What names it.
    pub(in crate::verify) named_by: String,
    /// Whether it must be there.
    pub(in crate::verify) must_exist: bool,
}

/// An MPD and its Representations that have an init segment, with their renditions.
pub(in crate::verify) struct DashManifest<'r> {
    pub(in crate::verify) document: &'r MpdDocument,
    pub(in crate::verify) representations: Vec<(&'r MpdTrack, usize)>,
}

/// A media playlist of fragmented MP4.
pub(in crate::verify) struct Mp4Playlist<'r> {
    pub(in crate::verify) media: &'r MediaPlaylist,
    /// Segments and partial segments with their renditions, in the order of lines.
    pub(in crate::verify) segments: Vec<(&'r Resource, usize)>,
}

/// Reads the manifests among these names. What is wrong with one is a finding, unless it is not there at all. Returns
/// the other names as well: they are MP4 files.
pub(in crate::verify) fn read(
    store: &dyn Store,
    names: &[String],
    findings: &mut Findings,
) -> Result<(presentation::Presentation, Vec<String>)> {
    let (mut manifests, mut files) = (Vec::new(), Vec::new());
    for name in names {
        // A name that was given and is not there is no fault of a manifest.
        store.open(name)?;
        let is_manifest = kind_of_file(store, name)?.is_some();
        if is_manifest { &mut manifests } else { &mut files }.push(name.clone());
    }
    let mut read = presentation::Presentation::default();
    let faults = read.add(store, &manifests);
    for name in manifests.iter().filter(|name| faults.iter().all(|fault| fault.place != **name)) {
        findings.check("manifest", true, name, &"", &"");
    }
    for fault in faults {
        found_or_error("manifest", Err::<(), _>(fault.error), &fault.place, findings)?;
    }
    Ok((read, files))
}

/// Whether a file has samples beside fragments; what cannot be read is looked at as media.
fn has_sample_tables(store: &dyn Store, name: &str) -> bool {
    read_moov(store, name, None)
        .is_ok_and(|moov| moov.all(b"trak").any(|trak| has_samples(trak).unwrap_or(true)))
}

impl<'r> Presentation<'r> {
    /// Sorts what manifests name, and puts MP4 files together.
    ///
    /// # Errors
    /// When there is nothing to verify.
    pub(in crate::verify) fn of(
        store: &dyn Store,
        read: &'r presentation::Presentation,
        files: &[String],
        findings: &mut Findings,
    ) -> Result<Self> {
        let mut found = Self { multivariants: &read.multivariants, assets: &read.assets, ..Self::default() };
        for media in &read.playlists {
            found.media_playlist(read, media);
            found.others(&media.name, &media.others);
        }
        for multivariant in &read.multivariants {
            found.others(&multivariant.name, &multivariant.others);
        }
        for document in &read.mpds {
            found.mpd(document, findings);
            found.others(&document.name, &document.others);
        }
        for name in files {
            let source = store.open(name)?;
            let (mut has_moov, mut has_media, mut position) = (false, false, 0);
            while let Ok(Some((header, _))) = BoxHeader::read_overstated(source.as_ref(), position) {
                has_moov |= header.is(b"moov");
                has_media |= header.is(b"mdat") || header.is(b"moof");
                position = header.end();
            }
            // Samples of sample tables may lie in any box: ISO/IEC 14496-12 §8.7.5.
            has_media |= has_moov && has_sample_tables(store, name);
            // Text beside media is no media, and no mistake.
            let is_first = position == 0 && found.renditions.is_empty();
            if is_first && SegmentKind::of(source.as_ref())? == SegmentKind::Unknown {
                return Err(Error::usage("neither a manifest nor media that is known")
                    .at(name)
                    .hint("give a playlist, an MPD, MP4 files, or a folder that holds them"));
            }
            found.file(name, has_moov, has_media)?;
        }
        if found.renditions.is_empty() && found.segments.is_empty() && findings.passed() {
            return Err(Error::usage("nothing to verify")
                .hint("give a folder with manifests, a manifest, or MP4 files"));
        }
        Ok(found)
    }

    fn others(&mut self, name: &str, others: &[presentation::OtherFile]) {
        let is_file = |other: &&presentation::OtherFile| {
            matches!(other.kind, OtherKind::SessionData | OtherKind::Unknown)
        };
        self.others.extend(others.iter().filter(is_file).map(|other| OtherFile {
            file: other.file.clone(),
            named_by: format!("{name}: {}", other.place),
            must_exist: false,
        }));
    }

    /// Adds an MP4 file; one without a `moov` belongs to the file before it.
    fn file(&mut self, name: &str, has_moov: bool, has_media: bool) -> Result<()> {
        if has_moov {
            let init = Reference { name: name.to_owned(), range: None, time: None };
            let content = Content::Media;
            self.renditions.push(Rendition { init, files: Vec::new(), are_parts: false, content });
        }
        let rendition = self.renditions.last_mut().ok_or_else(|| {
            Error::usage("it has no moov").at(name).hint("give its initialization segment before it")
        })?;
        if has_media {
            rendition.files.push(name.to_owned());
        }
        Ok(())
    }

    fn rendition(&mut self, init: &Resource, content: Content, are_parts: bool) -> usize {
        let index = *self
            .known_renditions
            .entry((init.file.clone(), init.bounds(), are_parts))
            .or_insert_with(|| {
                let init = Reference { name: init.file.clone(), range: init.range.clone(), time: None };
                self.renditions.push(Rendition { init, files: Vec::new(), are_parts, content });
                self.renditions.len() - 1
            });
        if let Some(rendition) = self.renditions.get_mut(index) {
            rendition.content = rendition.content.max(content);
        }
        index
    }

    fn add_file(&mut self, rendition: usize, name: &str) {
        if let Some(rendition) = self.renditions.get_mut(rendition)
            && self.known_files.insert(name.to_owned())
        {
            rendition.files.push(name.to_owned());
        }
    }

    fn media_playlist(&mut self, read: &'r presentation::Presentation, media: &'r MediaPlaylist) {
        let of_media = |resource: &&Resource| matches!(resource.role, Role::Segment | Role::Part);
        let (mut mapped, mut unmapped) = (0, 0);
        for resource in media.present().filter(of_media) {
            *(if resource.init.is_some() { &mut mapped } else { &mut unmapped }) += 1;
        }
        let is_whole = media.keys.iter().any(|key| key.method == AES_128);
        let protection = match media.content.is_media() {
            _ if is_whole => Protection::Whole,
            true => Protection::Samples,
            false => Protection::Never,
        };
        let is_mp4 = mapped > 0 && !is_whole;
        if is_mp4 {
            self.mp4_playlist(media);
        }
        if unmapped > 0 || !is_mp4 {
            let mut segments = segments(read, media, protection);
            let is_other = |resource: &Resource| resource.init.is_none() && resource.role != Role::Init;
            segments.retain(|piece| !is_mp4 || is_other(piece.resource));
            self.segments.push(SegmentPlaylist { media, protection, segments });
        }
    }

    fn mp4_playlist(&mut self, media: &'r MediaPlaylist) {
        let mut segments = Vec::new();
        for resource in media.present() {
            let Some(init) = media.init_of(resource) else { continue };
            // Parts that lie in their segments are read with them.
            let is_part = resource.role == Role::Part && resource.inside.is_none();
            let rendition = self.rendition(init, media.content, is_part);
            if is_part || resource.role == Role::Segment {
                self.add_file(rendition, &resource.file);
            }
            segments.push((resource, rendition));
        }
        self.playlists.push(Mp4Playlist { media, segments });
    }

    fn mpd(&mut self, document: &'r MpdDocument, findings: &mut Findings) {
        let mut representations = Vec::new();
        for track in &document.tracks {
            let named_by = format!("{}: Representation {}", document.name, track.representation.id);
            if let Some(init) = track.init().filter(|_| track.is_mp4()) {
                let rendition = self.rendition(init, track.content, false);
                track.segments().for_each(|segment| self.add_file(rendition, &segment.file));
                representations.push((track, rendition));
            } else if track.content.is_media() {
                findings.unchecked(format!("{named_by}: it has no Initialization"));
            } else {
                self.others.extend(track.resources.iter().map(|resource| OtherFile {
                    file: resource.file.clone(),
                    named_by: named_by.clone(),
                    must_exist: true,
                }));
            }
        }
        self.mpds.push(DashManifest { document, representations });
    }
}
