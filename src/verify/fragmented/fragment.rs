//! The protection of one track fragment or sample table — ISO/IEC 23001-7 §6, §7; ISO/IEC 23000-19 §7.3.2, §8.2.

use crate::base::Result;
use crate::codec;
use crate::isobmff::BoxNode;
use crate::isobmff::boxes::{Sbgp, Sgpd, Tenc, Tfhd, Trun, seig_group};
use crate::isobmff::file::BoxHeader;
use crate::isobmff::fragment::{TrackFragment, check_extends, track_fragments};
use crate::isobmff::samples::{Sample, samples};
use crate::protect::Scheme;

use super::auxiliary::Auxiliary;
use super::file::{FileCheck, FragmentFact, SampleLocation};
use super::headers;
use super::init::InitTrack;
use super::pssh;
use super::sample::SampleProtection;

/// Most samples of one sample table that are checked: their entries are held at once.
const MAX_TABLE: usize = 1 << 20;

/// What protects the samples of a fragment.
struct Groups {
    scheme: Option<&'static Scheme>,
    /// `tenc`, or what groups say in its place.
    tencs: Vec<Tenc>,
    /// Which of them each sample has; `None` when it is clear.
    of_sample: Vec<Option<usize>>,
}

impl FileCheck<'_, '_> {
    /// Checks every track fragment of a `moof`.
    pub(in crate::verify) fn fragment(&mut self, moof: &BoxNode, header: &BoxHeader) -> Result<()> {
        check_extends(&self.init.trexes)?;
        let fragments = track_fragments(moof, header.position, &self.init.trexes)?;
        let unread = self.unread.exceeded_in(moof);
        let unread = unread.map(|node| format!("box {} of {} bytes", node.kind, node.len()));
        let place = format!("{}: moof at byte {}", self.name, header.position);
        headers::check_below(moof, &place, self.findings);
        self.facts.unread.below(moof, &place, self.findings);
        let found = unread.as_deref().unwrap_or_default();
        self.findings.check("box-unread", unread.is_none(), &place, &found, &"zeros, or few bytes");
        let mut position = header.position + header.header_length;
        let mut trafs = Vec::new();
        for node in moof.boxes() {
            if node.is(b"traf") {
                trafs.push((node, position + node.header_length() as u64));
            }
            position += node.len() as u64;
        }
        for ((traf, position), fragment) in trafs.into_iter().zip(&fragments) {
            self.track_fragment(traf, position, fragment, header.position)
                .map_err(|error| error.at(format_args!("track {}", fragment.track_id)))?;
        }
        // Boxes here may be for keys to come: which ones they name is not held against the fragment.
        let boxes = pssh::check_boxes(moof, &[], &place, self.key_store, self.findings);
        let is_new = self.facts.pssh.last().is_none_or(|(_, known)| *known != boxes);
        if !boxes.is_empty() && is_new {
            self.facts.pssh.push((header.position, boxes));
        }
        Ok(())
    }

    fn track_fragment(
        &mut self,
        traf: &BoxNode,
        position: u64,
        fragment: &TrackFragment,
        moof: u64,
    ) -> Result<()> {
        let place =
            SampleLocation { file: self.name, moof: Some(moof), track: fragment.track_id, sample: None };
        let Some(track) = self.init.track(fragment.track_id) else {
            self.findings.check("box-tree", false, &place, &"a track_ID that no trak has", &"that of a trak");
            return Ok(());
        };
        let payload = traf.require(&[b"tfhd"])?.payload();
        let version = payload.first().copied().unwrap_or_default();
        self.findings.check("tfhd-version", version == 0, &place, &version, &0);
        let tfhd = Tfhd::parse(payload)?;
        let from_moof = tfhd.other_flags & Tfhd::DEFAULT_BASE_IS_MOOF != 0;
        self.findings.check("base-is-moof", from_moof, &place, &format_args!("{from_moof}"), &"true");
        let base = tfhd.base_data_offset.unwrap_or(moof);
        let trex = self.init.trexes.iter().find(|trex| trex.track_id == fragment.track_id);
        let default = trex.map_or(1, |trex| trex.default_sample_description_index.max(1));
        let is_stated = tfhd.sample_description_index.is_some();
        let index = tfhd.sample_description_index.unwrap_or(default);
        if !fragment.samples.is_empty() {
            self.check_description(track, index, is_stated, &place);
        }
        headers::check_groups(traf, fragment.samples.len(), &place, self.findings);
        let groups = groups(self, track, traf, index, &fragment.samples, &place)?;
        let is_protected = groups.of_sample.iter().any(Option::is_some);
        let times =
            |sample: &Sample| (sample.decode_time, sample.decode_time.saturating_add(sample.duration.into()));
        let shown = fragment.samples.iter().filter(|sample| !track.edits.is_before(sample));
        let begins = shown.clone().map(|sample| track.edits.time(sample.composition_time()));
        let end = |sample: &Sample| sample.composition_time() + i128::from(sample.duration);
        let ends = shown.map(|sample| track.edits.time(end(sample)));
        let preferred_transfer = self.preferred_transfer(track, fragment.samples.first());
        let used = groups.of_sample.iter().flatten().next().and_then(|group| groups.tencs.get(*group));
        self.facts.fragments.push(FragmentFact {
            position: moof,
            preferred_transfer,
            track_id: fragment.track_id,
            begin: fragment.samples.first().map_or(0, |first| times(first).0),
            end: fragment.samples.last().map_or(0, |last| times(last).1),
            presented: begins.min().zip(ends.max()),
            sample_duration: sample_duration(&fragment.samples),
            kid: used.map(|tenc| tenc.default_kid),
            constant_iv: used.and_then(|tenc| tenc.default_constant_iv.as_deref()?.try_into().ok()),
        });
        let runs = traf.all(b"trun").map(|trun| Ok(Trun::parse(trun.payload())?.samples.len()));
        let auxiliary = Auxiliary {
            place,
            boxes: traf.boxes(),
            position,
            base,
            runs: runs.collect::<Result<_>>()?,
            iv_sizes: groups.iv_sizes(),
            source: self.source,
        };
        if !is_protected {
            auxiliary.check_clear(self.findings);
        }
        self.media_data.named(&fragment.samples, auxiliary.places());
        self.samples(track, &fragment.samples, &groups, is_protected.then_some(&auxiliary), place)
    }

    /// What a message in the first sample of the file prefers: such messages are clear.
    fn preferred_transfer(&self, track: &InitTrack, first: Option<&Sample>) -> Option<u32> {
        let (entry, sample) = track.entries.first().zip(first)?;
        if !self.facts.fragments.is_empty() {
            return None;
        }
        let mut bytes = vec![0; (sample.size as usize).min(codec::MESSAGE_BYTES)];
        // What lies outside the file is found where samples are read.
        self.source.read_at(sample.position, &mut bytes).ok()?;
        codec::transfer_of_messages(&entry.config(), &bytes)
    }

    fn check_description(
        &mut self,
        track: &InitTrack,
        index: u32,
        is_stated: bool,
        place: &SampleLocation<'_>,
    ) {
        let entries = track.entries.len();
        let holds = index >= 1 && index as usize <= entries;
        let expected = format!("1 to {entries}");
        self.findings.check("sample-description-index", holds, place, &index, &expected);
        let protected = track.entries.iter().filter(|entry| entry.protection.is_some()).count();
        if protected > 0 && protected < entries {
            self.findings.check("description-explicit", is_stated, place, &"no index", &expected);
        }
    }

    /// Checks the samples of sample tables, which progressive files have.
    pub(in crate::verify) fn sample_tables(&mut self) -> Result<()> {
        let init = self.init;
        for (track, trak) in init.tracks.iter().zip(init.moov.all(b"trak")) {
            let stbl = trak.require(&[b"mdia", b"minf", b"stbl"])?;
            let place = SampleLocation { file: self.name, moof: None, track: track.track_id, sample: None };
            let mut table = Vec::new();
            for sample in samples(self.source, &init.moov, track.track_id, &[])?.take(MAX_TABLE) {
                table.push(sample?);
            }
            if table.is_empty() {
                continue;
            }
            self.media_data.has_tables();
            let groups = groups(self, track, stbl, 1, &table, &place)?;
            if !groups.of_sample.iter().any(Option::is_some) {
                self.samples(track, &table, &groups, None, place)?;
                continue;
            }
            self.findings.unchecked(format!("{place}: saio of a sample table"));
            let kept: Vec<BoxNode> =
                stbl.boxes().iter().filter(|node| !node.is(b"saio") && !node.is(b"saiz")).cloned().collect();
            let has_senc = kept.iter().any(|node| node.is(b"senc"));
            let auxiliary = Auxiliary {
                place,
                boxes: if has_senc { &kept } else { stbl.boxes() },
                position: 0,
                base: 0,
                runs: vec![table.len()],
                iv_sizes: groups.iv_sizes(),
                source: self.source,
            };
            self.samples(track, &table, &groups, Some(&auxiliary), place)?;
        }
        Ok(())
    }

    fn samples(
        &mut self,
        track: &InitTrack,
        samples: &[Sample],
        groups: &Groups,
        auxiliary: Option<&Auxiliary<'_>>,
        place: SampleLocation<'_>,
    ) -> Result<()> {
        let entries = auxiliary.map(|auxiliary| auxiliary.check(self.findings)).transpose()?.flatten();
        let mut protections = Vec::new();
        for tenc in &groups.tencs {
            let Some(scheme) = groups.scheme else { break };
            protections.push(SampleProtection::new(scheme, tenc, self.key_store)?);
        }
        let mut runs = Vec::new();
        for (index, sample) in samples.iter().enumerate() {
            let place = SampleLocation { sample: Some(index + 1), ..place };
            let group = groups.of_sample.get(index).copied().flatten();
            let entry = entries.as_ref().and_then(|entries| entries.get(index));
            let protection = group.and_then(|group| protections.get(group)).zip(entry);
            if group.is_some() && protection.is_none() {
                // What stands instead of the entry was found already.
                if let Some(clear) = &mut self.clear {
                    clear.skip(track.track_id);
                }
                continue;
            }
            self.sample(track, sample, protection, &place, &mut runs)
                .map_err(|error| error.at(format_args!("sample {}", index + 1)))?;
        }
        Ok(())
    }
}

impl Groups {
    fn iv_sizes(&self) -> Vec<u8> {
        let first = self.tencs.first().map_or(0, |tenc| tenc.default_per_sample_iv_size);
        let size = |group: &Option<usize>| match group.and_then(|group| self.tencs.get(group)) {
            Some(tenc) => tenc.default_per_sample_iv_size,
            // Clear samples of a protected fragment have entries all the same, with the group's IV size, 0.
            None if self.tencs.len() > 1 => 0,
            None => first,
        };
        self.of_sample.iter().map(size).collect()
    }
}

/// What the sample entry and sample groups say about each sample.
fn groups(
    check: &mut FileCheck<'_, '_>,
    track: &InitTrack,
    traf: &BoxNode,
    index: u32,
    samples: &[Sample],
    place: &SampleLocation<'_>,
) -> Result<Groups> {
    let entry = (index as usize).checked_sub(1).and_then(|index| track.entries.get(index));
    let protection = entry.and_then(|entry| entry.protection.as_ref());
    let Some(protection) = protection else {
        return Ok(Groups { scheme: None, tencs: Vec::new(), of_sample: vec![None; samples.len()] });
    };
    let default = &protection.tenc;
    let by_default = (default.default_is_protected == 1).then_some(0);
    let mut groups = Groups {
        scheme: Some(protection.scheme),
        tencs: vec![default.clone()],
        of_sample: vec![by_default; samples.len()],
    };
    let local = Sgpd::of(traf)?;
    let Some(sbgp) = Sbgp::of(traf, Sgpd::SEIG)? else {
        check.check_kid(default, !samples.is_empty() && by_default.is_some(), place);
        return Ok(groups);
    };
    let runs = sbgp.entries;
    let total: u64 = runs.iter().map(|run| u64::from(run.sample_count)).sum();
    let mut shaped = total <= samples.len() as u64;
    let described = local.as_ref().map_or(0, |local| local.entries.len());
    check.findings.check("seig-one", runs.len() == 1 && described <= 1, place, &runs.len(), &1);
    let mut first = 0;
    for run in runs {
        let described = seig_group(run.group_description_index, track.groups.as_ref(), local.as_ref());
        shaped &= described.is_ok();
        let described = described.ok().flatten();
        let end = first + run.sample_count as usize;
        if let Some(group) = described {
            let found = (group.crypt_byte_block, group.skip_byte_block);
            let expected = (default.default_crypt_byte_block, default.default_skip_byte_block);
            let text = format!("{}:{}", found.0, found.1);
            let wanted = format!("{}:{}", expected.0, expected.1);
            let holds = group.is_protected != 1 || found == expected;
            check.findings.check("seig-pattern", holds, place, &text, &wanted);
            check.check_kid(&group.tenc(default.version), group.is_protected == 1, place);
            groups.tencs.push(group.tenc(default.version));
            let slot = (group.is_protected == 1).then(|| groups.tencs.len() - 1);
            for sample in groups.of_sample.iter_mut().take(end).skip(first) {
                *sample = slot;
            }
        }
        first = end;
    }
    let expected = "descriptions, and no more samples than the fragment has";
    check.findings.check("seig-shape", shaped, place, &format_args!("{total} samples"), &expected);
    let clear = groups.of_sample.iter().filter(|group| group.is_none()).count();
    let is_mixed = clear > 0 && clear < groups.of_sample.len();
    check.findings.check(
        "mixed-fragment",
        !is_mixed,
        place,
        &format_args!("{clear} clear samples"),
        &"all or none",
    );
    Ok(groups)
}

impl FileCheck<'_, '_> {
    fn check_kid(&mut self, tenc: &Tenc, is_used: bool, place: &SampleLocation<'_>) {
        if is_used {
            let kid = tenc.default_kid;
            self.findings.check("kid-zero", *kid.bytes() != [0; 16], place, &kid, &"a key id");
        }
    }
}

/// How long each sample lasts, in ticks, when all but the last last as long.
fn sample_duration(samples: &[Sample]) -> Option<u32> {
    let (first, rest) = samples.split_first()?;
    let (_, between) = rest.split_last()?;
    let is_same = between.iter().all(|sample| sample.duration == first.duration);
    (is_same && first.duration > 0).then_some(first.duration)
}
