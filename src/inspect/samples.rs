//! How each sample is protected — ISO/IEC 23001-7 §7, §9: IV, key id and subsamples from every place they stand in.

use crate::base::bytes::Reader;
use crate::base::env::Source;
use crate::base::id::hex;
use crate::base::{FourCc, Kid, Result};
use crate::isobmff::BoxNode;
use crate::isobmff::boxes::{
    CencSampleEncryptionInformationGroupEntry, Sbgp, SencSubsample, Sgpd, Trex, seig_group,
};
use crate::isobmff::fragment::track_fragments;
use crate::isobmff::samples::{Sample, samples};
use crate::isobmff::track::{Track, tracks, trexes};
use crate::protect::{Protected, protected_entry};

use super::node::{Budget, MAX_CHILDREN, Node};

/// Sizes of IVs of a sample: ISO/IEC 23001-7 §9.1.
const IV_SIZES: [u8; 3] = [8, 16, 0];

/// What `moov` says about samples.
#[derive(Default)]
pub(super) struct Facts {
    pub(super) tracks: Vec<TrackFacts>,
    pub(super) trexes: Vec<Trex>,
}

/// What `moov` says about the samples of a track.
pub(super) struct TrackFacts {
    pub(super) track: Track,
    /// What protects the samples of each sample entry; `None` for a clear one.
    pub(super) protected: Vec<Option<Protected>>,
    /// The groups that `stbl` describes.
    seig: Option<Sgpd>,
}

/// A sample and how it is protected.
pub(super) struct SampleFacts {
    pub(super) sample: Sample,
    /// The key, when it is protected and the key is known.
    pub(super) kid: Option<Kid>,
    pub(super) is_protected: bool,
    pub(super) iv: Vec<u8>,
    pub(super) subsamples: Vec<SencSubsample>,
}

/// The samples of a track fragment.
pub(super) struct FragmentFacts {
    pub(super) track_id: u32,
    pub(super) samples: Vec<SampleFacts>,
}

impl Facts {
    /// As much of `moov` as can be read.
    pub(super) fn of(moov: &BoxNode) -> Self {
        let found = tracks(moov).unwrap_or_default();
        let facts = found.into_iter().zip(moov.all(b"trak")).map(|(track, trak)| TrackFacts {
            protected: track
                .sample_entries
                .iter()
                .map(|entry| protected_entry(entry).ok().flatten())
                .collect(),
            seig: trak.find(&[b"mdia", b"minf", b"stbl"]).and_then(seig),
            track,
        });
        Self { tracks: facts.collect(), trexes: trexes(moov).unwrap_or_default() }
    }

    fn find(&self, track_id: u32) -> Option<&TrackFacts> {
        self.tracks.iter().find(|facts| facts.track.track_id == track_id)
    }
}

impl TrackFacts {
    /// What protects samples of this `sample_description_index`, from 1.
    pub(super) fn protected(&self, sample_description_index: u32) -> Option<&Protected> {
        let index = usize::try_from(sample_description_index).ok()?.checked_sub(1)?;
        self.protected.get(index)?.as_ref()
    }
}

/// The samples of every `traf` of a `moof`.
///
/// # Errors
/// When a table is cut off.
pub(super) fn fragment_samples(moof: &BoxNode, position: u64, facts: &Facts) -> Result<Vec<FragmentFacts>> {
    let fragments = track_fragments(moof, position, &facts.trexes)?;
    fragments
        .into_iter()
        .zip(moof.all(b"traf"))
        .map(|(fragment, traf)| {
            let track = facts.find(fragment.track_id);
            let own = seig(traf);
            let groups = traf.all(b"sbgp").filter_map(|node| Sbgp::parse(node.payload()).ok());
            let groups = groups.into_iter().find(|sbgp| sbgp.grouping_type == Sgpd::SEIG);
            let of_track = track.and_then(|track| track.seig.as_ref());
            let senc = traf.find(&[b"senc"]).map(BoxNode::payload);
            let how = (0..).zip(&fragment.samples).map(|(number, sample)| {
                let index = groups.as_ref().map_or(0, |groups| groups.index(number));
                How::new(track, sample, seig_group(index, of_track, own.as_ref()).ok().flatten())
            });
            let how: Vec<How> = how.collect();
            let samples = apply(&fragment.samples, how, senc, track.is_some())
                .map_err(|error| error.at("senc").at("moof/traf"))?;
            Ok(FragmentFacts { track_id: fragment.track_id, samples })
        })
        .collect()
}

/// The groups of keys that a `stbl` or `traf` describes; damaged ones are passed over.
fn seig(parent: &BoxNode) -> Option<Sgpd> {
    parent.all(b"sgpd").find_map(|node| Sgpd::parse(node.payload()).ok().flatten())
}

/// How a sample is protected, before its own entry is read.
struct How {
    is_protected: bool,
    kid: Option<Kid>,
    iv_size: u8,
    constant_iv: Vec<u8>,
}

impl How {
    fn new(
        track: Option<&TrackFacts>,
        sample: &Sample,
        group: Option<&CencSampleEncryptionInformationGroupEntry>,
    ) -> Self {
        if let Some(entry) = group {
            let is_protected = entry.is_protected == 1;
            return Self {
                is_protected,
                kid: Some(entry.kid).filter(|_| is_protected),
                iv_size: entry.per_sample_iv_size,
                constant_iv: entry.constant_iv.clone().unwrap_or_default(),
            };
        }
        let protected = track.and_then(|track| track.protected(sample.sample_description_index));
        let tenc = protected.map(|protected| &protected.tenc).filter(|tenc| tenc.default_is_protected == 1);
        Self {
            is_protected: tenc.is_some(),
            kid: tenc.map(|tenc| tenc.default_kid),
            iv_size: tenc.map_or(0, |tenc| tenc.default_per_sample_iv_size),
            constant_iv: tenc.and_then(|tenc| tenc.default_constant_iv.clone()).unwrap_or_default(),
        }
    }
}

/// Adds to each sample what `senc` says of it. Without `moov` the size of IVs is the one that fits the box.
fn apply(
    samples: &[Sample],
    mut how: Vec<How>,
    senc: Option<&[u8]>,
    has_track: bool,
) -> Result<Vec<SampleFacts>> {
    let mut entries = vec![(Vec::new(), Vec::new()); samples.len()];
    if let Some(payload) = senc {
        if !has_track
            && let Some(size) = IV_SIZES.into_iter().find(|size| fits(payload, samples.len(), *size))
        {
            how.iter_mut().for_each(|how| {
                how.is_protected = true;
                how.iv_size = size;
            });
        }
        let mut reader = Reader::new(payload);
        let flags = reader.u32()? & 0xff_ffff;
        let count = usize::try_from(reader.u32()?).unwrap_or(usize::MAX);
        for (entry, how) in entries.iter_mut().zip(&how).take(count) {
            *entry = senc_entry(&mut reader, how.iv_size, flags)?;
        }
    }
    let facts = samples.iter().zip(how).zip(entries).map(|((sample, how), (iv, subsamples))| SampleFacts {
        sample: *sample,
        kid: how.kid,
        is_protected: how.is_protected,
        iv: if iv.is_empty() { how.constant_iv } else { iv },
        subsamples,
    });
    Ok(facts.collect())
}

fn senc_entry(reader: &mut Reader<'_>, iv_size: u8, flags: u32) -> Result<(Vec<u8>, Vec<SencSubsample>)> {
    let iv = reader.take(usize::from(iv_size))?.to_vec();
    let mut subsamples = Vec::new();
    if flags & 2 != 0 {
        for _ in 0..reader.u16()? {
            subsamples.push(SencSubsample {
                bytes_of_clear_data: reader.u16()?,
                bytes_of_protected_data: reader.u32()?,
            });
        }
    }
    Ok((iv, subsamples))
}

/// Whether the entries of a `senc` with IVs of this size fill it.
fn fits(payload: &[u8], samples: usize, iv_size: u8) -> bool {
    let mut reader = Reader::new(payload);
    let (Ok(flags), Ok(count)) = (reader.u32(), reader.u32()) else { return false };
    usize::try_from(count) == Ok(samples)
        && (0..count).all(|_| senc_entry(&mut reader, iv_size, flags & 0xff_ffff).is_ok())
        && reader.remaining() == 0
}

/// Adds the samples of each `traf` to its node.
pub(super) fn list_fragment(
    moof: &BoxNode,
    position: u64,
    node: &mut Node,
    facts: &Facts,
    budget: &mut Budget,
) -> Result<()> {
    let fragments = fragment_samples(moof, position, facts)?;
    let trafs = node.children.iter_mut().filter(|child| child.name == "traf");
    for (traf, fragment) in trafs.zip(fragments) {
        for (number, sample) in fragment.samples.iter().enumerate() {
            if budget.admits(traf) {
                traf.children.push(sample_node(number + 1, sample));
            }
        }
    }
    Ok(())
}

/// Adds the samples of each track's own sample table to the node of its `trak`.
pub(super) fn list_table(
    source: &dyn Source,
    moov: &BoxNode,
    node: &mut Node,
    facts: &Facts,
    budget: &mut Budget,
) -> Result<()> {
    let traks = node.children.iter_mut().filter(|child| child.name == "trak");
    for ((trak, facts), boxes) in traks.zip(&facts.tracks).zip(moov.all(b"trak")) {
        let table = table_samples(source, moov, facts, boxes, MAX_CHILDREN)?;
        for (number, sample) in table.iter().enumerate() {
            if budget.admits(trak) {
                trak.children.push(sample_node(number + 1, sample));
            }
        }
        let count = sample_count(boxes);
        trak.more += count.saturating_sub(table.len() as u64);
    }
    Ok(())
}

/// The first `limit` samples of a track's own sample table.
///
/// # Errors
/// When a table is cut off.
pub(super) fn table_samples(
    source: &dyn Source,
    moov: &BoxNode,
    facts: &TrackFacts,
    trak: &BoxNode,
    limit: usize,
) -> Result<Vec<SampleFacts>> {
    let table = samples(source, moov, facts.track.track_id, &[])?;
    let table: Vec<Sample> = table.take(limit).collect::<Result<_>>()?;
    let stbl = trak.find(&[b"mdia", b"minf", b"stbl"]);
    let senc = stbl.and_then(|stbl| stbl.find(&[b"senc"])).or_else(|| trak.find(&[b"senc"]));
    let how = table.iter().map(|sample| How::new(Some(facts), sample, None)).collect();
    apply(&table, how, senc.map(BoxNode::payload), true)
}

fn sample_count(trak: &BoxNode) -> u64 {
    let stsz = trak.find(&[b"mdia", b"minf", b"stbl", b"stsz"]);
    let count = stsz.and_then(|stsz| stsz.payload().get(8..)?.first_chunk().copied());
    count.map_or(0, |count| u64::from(u32::from_be_bytes(count)))
}

fn sample_node(number: usize, facts: &SampleFacts) -> Node {
    let sample = &facts.sample;
    let end = sample.position.saturating_add(u64::from(sample.size));
    let mut node = Node { range: Some(sample.position..end), ..Node::new(format!("sample {number}")) };
    node.set("decode_time", sample.decode_time).set("duration", sample.duration);
    if sample.composition_time_offset != 0 {
        node.set("composition_time_offset", sample.composition_time_offset);
    }
    node.set("sync", if sample.is_sync() { "yes" } else { "no" });
    if facts.is_protected {
        node.set("kid", facts.kid.map_or_else(|| "unknown".to_owned(), |kid| kid.to_string()));
        node.set_some("iv", Some(hex(&facts.iv)).filter(|iv| !iv.is_empty()));
        if facts.subsamples.is_empty() {
            node.set("protected", "whole sample");
        } else {
            let words =
                |run: &SencSubsample| format!("{}+{}", run.bytes_of_clear_data, run.bytes_of_protected_data);
            node.set("clear+protected", facts.subsamples.iter().map(words).collect::<Vec<_>>());
        }
    }
    node
}

/// `scheme_type` of the first protected sample entry.
pub(super) fn scheme_type(facts: &TrackFacts) -> Option<FourCc> {
    facts.protected.iter().flatten().map(|protected| protected.scheme_type).next()
}
