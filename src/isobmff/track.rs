//! What `moov` says about its tracks — ISO/IEC 14496-12 §8.3.

use crate::base::{Error, FourCc, Result, language_tag};

use super::BoxNode;
use super::boxes::{Hdlr, Mdhd, SampleEntry, Tkhd, Trex};
use super::user_data::UserData;

/// Most tracks of one file: each is looked for among all, and each fragment is read for each.
const MAX_TRACKS: usize = 256;

/// One track.
#[derive(Clone, Debug)]
pub struct Track {
    /// `track_ID`.
    pub track_id: u32,
    /// `handler_type`.
    pub handler_type: FourCc,
    /// Whether its pictures are shown turned by a quarter.
    pub is_turned: bool,
    /// Ticks per second of the media.
    pub timescale: u32,
    /// `extended_language`, or else `language`; unless undetermined.
    pub language: Option<String>,
    /// What it is for.
    pub user_data: UserData,
    /// Sample entries in the order of `sample_description_index`, from 1.
    pub sample_entries: Vec<SampleEntry>,
    /// Defaults of its fragments, when the movie has fragments.
    pub trex: Option<Trex>,
}

/// Reads every track of `moov`.
///
/// # Errors
/// When a mandatory box is missing or cut off.
pub fn tracks(moov: &BoxNode) -> Result<Vec<Track>> {
    let trexes = trexes(moov)?;
    if moov.all(b"trak").count() > MAX_TRACKS {
        return Err(too_many("trak"));
    }
    moov.all(b"trak").map(|trak| Track::parse(trak, &trexes).map_err(|error| error.at("moov/trak"))).collect()
}

/// The tag in `elng`, which goes before the three letters of `mdhd`: §8.4.6.
fn extended_language(mdia: &BoxNode) -> Option<String> {
    let text = mdia.find(&[b"elng"])?.payload().get(4..)?.split(|byte| *byte == 0).next()?;
    let tag = std::str::from_utf8(text).ok()?;
    language_tag(tag).map(|_| tag.to_owned())
}

fn too_many(kind: &str) -> Error {
    Error::unsupported(format!("more than {MAX_TRACKS} boxes {kind}: a file has at most so many tracks"))
        .at("moov")
}

/// Reads every `trex` of `moov`.
///
/// # Errors
/// When one is cut off.
pub fn trexes(moov: &BoxNode) -> Result<Vec<Trex>> {
    let trexes = || moov.find(&[b"mvex"]).into_iter().flat_map(|mvex| mvex.all(b"trex"));
    if trexes().count() > MAX_TRACKS {
        return Err(too_many("trex"));
    }
    trexes().map(|trex| Trex::parse(trex.payload()).map_err(|error| error.at("moov/mvex/trex"))).collect()
}

impl Track {
    fn parse(trak: &BoxNode, trexes: &[Trex]) -> Result<Self> {
        let tkhd = Tkhd::parse(trak.require(&[b"tkhd"])?.payload()).map_err(|error| error.at("tkhd"))?;
        let mdia = trak.require(&[b"mdia"])?;
        let mdhd = Mdhd::parse(mdia.require(&[b"mdhd"])?.payload()).map_err(|error| error.at("mdhd"))?;
        let hdlr = Hdlr::parse(mdia.require(&[b"hdlr"])?.payload()).map_err(|error| error.at("hdlr"))?;
        let sample_entries = sample_entries(mdia.require(&[b"minf", b"stbl", b"stsd"])?, hdlr.handler_type)
            .map_err(|error| error.at("stsd"))?;
        Ok(Self {
            track_id: tkhd.track_id,
            handler_type: hdlr.handler_type,
            is_turned: tkhd.is_turned,
            timescale: mdhd.timescale,
            language: extended_language(mdia).or_else(|| mdhd.language()),
            user_data: UserData::of(trak),
            sample_entries,
            trex: trexes.iter().find(|trex| trex.track_id == tkhd.track_id).copied(),
        })
    }

    /// The first sample entry.
    ///
    /// # Errors
    /// When there is none.
    pub fn sample_entry(&self) -> Result<&SampleEntry> {
        self.sample_entries.first().ok_or_else(|| {
            Error::input(format!("track {} has no sample entry", self.track_id))
                .clause("ISO/IEC 14496-12 §8.5.2")
        })
    }
}

/// Reads the entries of `stsd`.
///
/// # Errors
/// When one is cut off.
pub fn sample_entries(stsd: &BoxNode, handler_type: FourCc) -> Result<Vec<SampleEntry>> {
    stsd.boxes()
        .iter()
        .map(|entry| {
            SampleEntry::parse(entry, handler_type, stsd_version(stsd)).map_err(|error| error.at(entry.kind))
        })
        .collect()
}

/// `version` of `stsd`.
pub fn stsd_version(stsd: &BoxNode) -> u8 {
    match &stsd.body {
        super::Body::Children { fields, .. } => fields.first().copied().unwrap_or_default(),
        super::Body::Data(_) => 0,
    }
}

/// The `trak` of this track.
///
/// # Errors
/// When there is none.
pub fn trak(moov: &BoxNode, track_id: u32) -> Result<&BoxNode> {
    moov.all(b"trak").find(|trak| is_of(trak, track_id)).ok_or_else(|| no_trak(track_id))
}

/// The `trak` of this track, to edit.
///
/// # Errors
/// When there is none.
pub fn trak_mut(moov: &mut BoxNode, track_id: u32) -> Result<&mut BoxNode> {
    moov.all_mut(b"trak").find(|trak| is_of(trak, track_id)).ok_or_else(|| no_trak(track_id))
}

fn is_of(trak: &BoxNode, track_id: u32) -> bool {
    let tkhd = trak.find(&[b"tkhd"]).and_then(|tkhd| Tkhd::parse(tkhd.payload()).ok());
    tkhd.is_some_and(|tkhd| tkhd.track_id == track_id)
}

fn no_trak(track_id: u32) -> Error {
    Error::input(format!("no trak has track_ID {track_id}"))
}
