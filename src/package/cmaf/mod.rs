//! CMAF tracks from MP4 files: init segment, segments, fragments — ISO/IEC 23000-19 §7.3.

pub(super) mod edit_list;
pub(super) mod media_data;
mod sample_groups;
pub(super) mod segments;

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::base::env::{Sink, Source};
use crate::base::{Error, Result};
use crate::isobmff::BoxNode;
use crate::isobmff::boxes::{Mdhd, Mvhd, Sidx, SidxReference, Tfdt, Tfhd, Tkhd, Trex, Trun, TrunSample};
use crate::isobmff::samples::Sample;
use crate::isobmff::track::{trak, trak_mut};
use crate::protect::{FragmentEncryptor, auxiliary, place_auxiliary, seal};

use crate::package::fragmented::coverage::check_clear_input;
use crate::package::fragmented::key_change::place_pssh;
use crate::package::fragmented::sample_bytes::{ranges, read_samples};
use crate::package::fragmented::track::{MediaTrack, ProtectedTrack};
use crate::package::plan::schedule::SegmentKey;
use edit_list::{EditList, Presented, presented};
use sample_groups::SampleGroups;
use segments::CmafSegment;

/// `track_ID` of every CMAF track: each stands alone, and readers are known that expect the first to be 1.
const TRACK_ID: u32 = 1;

/// A track of an MP4 file that becomes a CMAF track.
pub struct Cmaf<'a> {
    source: &'a dyn Source,
    moov: &'a BoxNode,
    media: &'a MediaTrack,
    protected: Option<&'a ProtectedTrack>,
    groups: SampleGroups,
    edits: EditList,
}

/// What was written of a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenSegment {
    /// Its number, from 0.
    pub number: u32,
    /// Its decode time in ticks of the media.
    pub decode_time: u64,
    /// When its last sample ends, in decode time.
    pub decode_end: u64,
    /// What protects it; `None` for a track that stays clear.
    pub segment_key: Option<SegmentKey>,
    /// The earliest composition time of its samples, in ticks of the media.
    pub composition_time: i128,
    /// When the sample that is composed last ends.
    pub composition_end: i128,
    /// The durations of its samples together, in ticks of the media.
    pub duration: u64,
    /// Its samples.
    pub samples: u64,
    /// Bytes that are protected, those that a pattern skips included.
    pub protected: u64,
    /// The type of the stream access point that it starts with; 0 when it starts with none: §I of
    /// ISO/IEC 14496-12.
    pub sap_type: u8,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its key frames that are fragments of their own.
    pub key_frames: Vec<KeyFrame>,
}

/// A key frame that is a fragment of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyFrame {
    /// Where its fragment is in the segment, in bytes.
    pub range: Range<u64>,
    /// Its composition time, in ticks of the media.
    pub composition_time: i128,
}

impl<'a> Cmaf<'a> {
    /// The track `media` of the file `source`, whose `moov` is given; without `protected` it stays clear.
    ///
    /// # Errors
    /// When `moov` has no such track, a sample group of it is cut off, or its samples are protected already.
    pub fn new(
        source: &'a dyn Source,
        moov: &'a BoxNode,
        media: &'a MediaTrack,
        protected: Option<&'a ProtectedTrack>,
    ) -> Result<Self> {
        let trak = trak(moov, media.track.track_id)?;
        protected.map_or(Ok(()), |_| check_clear_input(source, trak))?;
        let edits = EditList::of(moov, media.track.track_id, media.track.timescale)?.written();
        Ok(Self {
            source,
            moov,
            media,
            protected,
            groups: SampleGroups::of(source, moov, media.track.track_id)?,
            edits,
        })
    }

    /// The file that it is made of.
    pub fn source(&self) -> &'a dyn Source {
        self.source
    }

    /// The init segment: `ftyp` and a `moov` without samples; `pssh` are whole boxes.
    ///
    /// # Errors
    /// When a box of the source is missing or the track cannot be protected.
    pub fn init(&self, pssh: &[Vec<u8>]) -> Result<Vec<u8>> {
        let mut mvhd = self.moov.require(&[b"mvhd"])?.payload().to_vec();
        Mvhd::clear_duration(&mut mvhd)?;
        Mvhd::set_next_track_id(&mut mvhd, TRACK_ID + 1)?;
        let mut source = self.moov.clone();
        let trak = init_trak(trak_mut(&mut source, self.media.track.track_id)?, &self.edits, &self.groups)?;
        let trex = Trex { track_id: TRACK_ID, default_sample_description_index: 1, ..Trex::default() };
        let mvex = BoxNode::container(b"mvex", vec![BoxNode::data(b"trex", trex.write())]);
        let mut moov = BoxNode::container(b"moov", vec![BoxNode::data(b"mvhd", mvhd), trak, mvex]);
        if let Some(protected) = self.protected {
            protected.protect_entries(&mut moov, TRACK_ID)?;
        }
        for pssh in pssh {
            moov.push(BoxNode::parse_one(pssh)?);
        }
        let mut out = BoxNode::data(b"ftyp", brands(b"iso6", &[b"iso6", b"cmfc", b"dash"])).to_bytes();
        moov.write(&mut out);
        Ok(out)
    }

    /// The length of the `sidx` of so many segments, in bytes.
    ///
    /// # Errors
    /// When there are too many.
    pub fn sidx_length(segment_count: usize) -> Result<usize> {
        Ok(8 + Sidx::length(segment_count)?)
    }

    /// When these segments, which are all of the track, are presented.
    ///
    /// # Errors
    /// When one is presented before the one before it.
    pub fn presented(&self, segments: &[WrittenSegment]) -> Result<Vec<Presented>> {
        presented(&self.edits, segments)
    }

    /// The `sidx` of these segments, which lie one behind the other and right behind it.
    ///
    /// # Errors
    /// When there are too many segments or one is too large for the fields.
    pub fn sidx(&self, segments: &[WrittenSegment]) -> Result<Vec<u8>> {
        let presented = self.presented(segments)?;
        let references: Vec<_> = segments
            .iter()
            .zip(&presented)
            .map(|(segment, presented)| SidxReference {
                referenced_size: segment.bytes,
                subsegment_duration: presented.span,
                sap_type: segment.sap_type,
            })
            .collect();
        let earliest = presented.first().map_or(0, |presented| presented.start);
        let payload = Sidx::write(TRACK_ID, self.media.track.timescale, earliest, &references)?;
        Ok(BoxNode::data(b"sidx", payload).to_bytes())
    }

    /// Writes one segment, protected in place; `buffer` is reused from one to the next.
    ///
    /// # Errors
    /// When a sample cannot be read or parsed, or the sink fails.
    pub fn write_segment(
        &self,
        segment: &CmafSegment,
        buffer: &mut Vec<u8>,
        sink: &mut dyn Sink,
    ) -> Result<WrittenSegment> {
        let styp = BoxNode::data(b"styp", brands(b"msdh", &[b"msdh", b"cmfs"])).to_bytes();
        sink.write(&styp)?;
        let mut written = self.write_subsegment(segment, buffer, sink)?;
        let before = styp.len() as u64;
        written.bytes += before;
        for KeyFrame { range, .. } in &mut written.key_frames {
            *range = range.start + before..range.end + before;
        }
        Ok(written)
    }

    /// Writes one segment without `styp`, as it stands in a file that holds all of them.
    ///
    /// # Errors
    /// As [`Cmaf::write_segment`].
    pub fn write_subsegment(
        &self,
        segment: &CmafSegment,
        buffer: &mut Vec<u8>,
        sink: &mut dyn Sink,
    ) -> Result<WrittenSegment> {
        let (mut bytes, mut covered, mut key_frames) = (0, 0, Vec::new());
        let mut encryptor: Option<(u32, FragmentEncryptor<'_>)> = None;
        let decode_time = segment.samples.first().map_or(0, |sample| sample.decode_time);
        let segment_key =
            self.protected.map(|protected| protected.segment_key(segment.interval, segment.time));
        for (sequence_number, chunk) in (segment.first_sequence_number..).zip(&segment.chunks) {
            let samples = segment.samples.get(chunk.clone());
            let samples =
                samples.ok_or_else(|| Error::internal("a fragment of samples that are not there"))?;
            read_samples(self.source, samples, buffer)?;
            let mut moof = moof(sequence_number, samples);
            let traf = made(&mut moof, &[b"traf"])?;
            let number = |at: usize| segment.first_sample.saturating_add(at as u64);
            self.groups.boxes(number(chunk.start)..number(chunk.end)).for_each(|sbgp| traf.push(sbgp));
            if let Some((protected, segment_key)) = self.protected.zip(segment_key) {
                covered += protect_chunk(protected, segment_key, samples, &mut encryptor, buffer, &mut moof)?;
            }
            let mut header = with_data_offset(&mut moof)?;
            let length =
                u32::try_from(buffer.len() + 8).map_err(|_| Error::unsupported("fragment over 4 GiB"))?;
            header.extend(length.to_be_bytes());
            header.extend(b"mdat");
            sink.write(&header)?;
            sink.write(buffer)?;
            let length = (header.len() + buffer.len()) as u64;
            if let [sample] = samples
                && segment.key_frames
                && sample.is_sync()
            {
                let composition_time = sample.composition_time();
                key_frames.push(KeyFrame { range: bytes..bytes + length, composition_time });
            }
            bytes += length;
        }
        Ok(WrittenSegment {
            number: segment.number,
            decode_time,
            segment_key,
            decode_end: segment.samples.last().map_or(decode_time, end),
            composition_time: segment.samples.iter().map(Sample::composition_time).min().unwrap_or(0),
            composition_end: segment.samples.iter().map(composition_end).max().unwrap_or(0),
            duration: segment.samples.iter().map(|sample| u64::from(sample.duration)).sum(),
            samples: segment.samples.len() as u64,
            protected: covered,
            sap_type: sap_type(&segment.samples),
            bytes,
            key_frames,
        })
    }
}

/// Encrypts the samples of one fragment, which lie in `data` one behind the other, and says so in `moof`.
/// Returns how many bytes are protected.
fn protect_chunk<'a>(
    protected: &'a ProtectedTrack,
    segment_key: SegmentKey,
    samples: &[Sample],
    encryptor: &mut Option<(u32, FragmentEncryptor<'a>)>,
    data: &mut [u8],
    moof: &mut BoxNode,
) -> Result<u64> {
    let description = samples.first().map_or(1, |sample| sample.sample_description_index);
    protected.describe(made(moof, &[b"traf"])?, segment_key, description, samples.len())?;
    let Some((_, pssh)) = protected.protection_in(segment_key)? else { return Ok(0) };
    place_pssh(moof, pssh)?;
    let encryptor = match encryptor {
        Some((known, encryptor)) if *known == description => encryptor,
        slot => match protected.encryptor(segment_key, description)? {
            Some(encryptor) => &mut slot.insert((description, encryptor)).1,
            None => return Err(Error::internal("nothing encrypts a fragment that is to be encrypted")),
        },
    };
    let mut senc = encryptor.senc();
    let decode_time = samples.first().map_or(0, |sample| sample.decode_time);
    encryptor.encrypt(data, ranges(samples), decode_time, &mut senc)?;
    place_auxiliary(moof, &[Some(auxiliary(senc))])?;
    Ok(encryptor.protected_bytes())
}

fn end(sample: &Sample) -> u64 {
    sample.decode_time.saturating_add(sample.duration.into())
}

fn composition_end(sample: &Sample) -> i128 {
    sample.composition_time() + i128::from(sample.duration)
}

/// 1 when nothing is presented before the first sample. Pictures that lead it may need the segment before:
/// that is type 3, which also holds where they do not.
fn sap_type(samples: &[Sample]) -> u8 {
    match samples.split_first() {
        Some((first, rest)) if first.is_sync() => {
            let start = first.composition_time();
            if rest.iter().all(|sample| sample.composition_time() >= start) { 1 } else { 3 }
        }
        _ => 0,
    }
}

fn brands(major: &[u8; 4], compatible: &[&[u8; 4]]) -> Vec<u8> {
    [major.as_slice(), &[0; 4]]
        .into_iter()
        .chain(compatible.iter().map(|brand| brand.as_slice()))
        .flatten()
        .copied()
        .collect()
}

/// §7.5.10 to §7.5.13: the track as it is, enabled, its durations 0, one edit and its sample tables empty.
fn init_trak(trak: &mut BoxNode, edits: &EditList, groups: &SampleGroups) -> Result<BoxNode> {
    edit(trak, &[b"tkhd"], |tkhd| {
        Tkhd::enable(tkhd)?;
        Tkhd::clear_duration(tkhd)?;
        Tkhd::set_track_id(tkhd, TRACK_ID)
    })?;
    edit(trak, &[b"mdia", b"mdhd"], Mdhd::clear_duration)?;
    if let Some((edts, one)) = trak.find_mut(&[b"edts"]).zip(edits.edts()) {
        *edts = one;
    } else {
        trak.remove(|node| node.is(b"edts"));
    }
    trak.remove(|node| node.is(b"tref"));
    let stbl = trak
        .find_mut(&[b"mdia", b"minf", b"stbl"])
        .ok_or_else(|| Error::input("stbl is missing").clause("ISO/IEC 14496-12 §8.5.1"))?;
    stbl.remove(|node| !node.is(b"stsd"));
    for (kind, length) in [(b"stts", 8), (b"stsc", 8), (b"stsz", 12), (b"stco", 8)] {
        stbl.push(BoxNode::data(kind, vec![0; length]));
    }
    groups.descriptions()?.into_iter().for_each(|sgpd| stbl.push(sgpd));
    Ok(trak.clone())
}

fn edit(node: &mut BoxNode, path: &[&[u8; 4]], change: impl Fn(&mut [u8]) -> Result<()>) -> Result<()> {
    if let Some(found) = node.find_mut(path) {
        let mut payload = found.payload().to_vec();
        change(&mut payload)?;
        *found = BoxNode::data(&found.kind.0, payload);
    }
    Ok(())
}

/// A `moof` of one track; `data_offset` is yet 0. What all samples share stands in `tfhd` once.
fn moof(sequence_number: u32, samples: &[Sample]) -> BoxNode {
    let first = samples.first();
    let rest = samples.get(1..).unwrap_or_default();
    let same =
        |field: fn(&Sample) -> u32| first.map(field).filter(|value| rest.iter().all(|s| field(s) == *value));
    let duration = same(|sample| sample.duration);
    let flags = same(|sample| sample.flags);
    let flags_of_rest = rest.first().map(|s| s.flags).filter(|value| rest.iter().all(|s| s.flags == *value));
    let has_offsets = samples.iter().any(|sample| sample.composition_time_offset != 0);
    let tfhd = Tfhd {
        track_id: TRACK_ID,
        sample_description_index: first.map(|s| s.sample_description_index).filter(|index| *index != 1),
        default_sample_duration: duration,
        default_sample_flags: flags.or(flags_of_rest),
        other_flags: Tfhd::DEFAULT_BASE_IS_MOOF,
        ..Tfhd::default()
    };
    let trun = Trun {
        data_offset: Some(0),
        first_sample_flags: first.filter(|_| flags.is_none() && flags_of_rest.is_some()).map(|s| s.flags),
        samples: samples
            .iter()
            .map(|sample| TrunSample {
                duration: duration.is_none().then_some(sample.duration),
                size: Some(sample.size),
                flags: (flags.is_none() && flags_of_rest.is_none()).then_some(sample.flags),
                composition_time_offset: has_offsets.then_some(sample.composition_time_offset),
            })
            .collect(),
    };
    let tfdt = Tfdt { base_media_decode_time: first.map_or(0, |sample| sample.decode_time) };
    let traf = BoxNode::container(
        b"traf",
        vec![
            BoxNode::data(b"tfhd", tfhd.write()),
            BoxNode::data(b"tfdt", tfdt.write()),
            BoxNode::data(b"trun", trun.write()),
        ],
    );
    let mfhd = [0_u32.to_be_bytes(), sequence_number.to_be_bytes()].concat();
    BoxNode::container(b"moof", vec![BoxNode::data(b"mfhd", mfhd), traf])
}

/// The bytes of `moof`, its `data_offset` pointing behind the header of the `mdat` that follows.
fn with_data_offset(moof: &mut BoxNode) -> Result<Vec<u8>> {
    let offset =
        i32::try_from(moof.len() + 8).map_err(|_| Error::unsupported("a moof of more than 2 GiB"))?;
    let trun = made(moof, &[b"traf", b"trun"])?;
    let mut payload = trun.payload().to_vec();
    Trun::set_data_offset(&mut payload, offset)?;
    *trun = BoxNode::data(b"trun", payload);
    seal(moof)
}

/// A box that was made here.
fn made<'a>(moof: &'a mut BoxNode, path: &[&[u8; 4]]) -> Result<&'a mut BoxNode> {
    moof.find_mut(path).ok_or_else(|| Error::internal("a moof without a traf and its trun"))
}
