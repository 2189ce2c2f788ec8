//! QuickTime movies as ISO base media files — QuickTime File Format; ISO/IEC 14496-12 §8.3 to §8.7, §12.1.3, §12.2.3.
//!
//! Both have the same boxes but for a few, which are rewritten where they are read: what comes behind knows one format.

use crate::base::bytes::Reader;
use crate::base::env::Source;
use crate::base::{Error, FourCc, Result};

use super::boxes::{Hdlr, Mdhd, SampleEntry, Tkhd, leading_boxes};
use super::file::BoxHeader;
use super::sample_sizes::constant_sample_size;
use super::track::stsd_version;
use super::user_data::{KindBox, role_of_tag};
use super::{Body, BoxNode};

/// What stands in an ISO file in the place of a sound format that only QuickTime has: the sample entry, and the box with
/// its configuration and payload.
pub type IsoForm = fn(FourCc) -> Option<(FourCc, FourCc, Vec<u8>)>;

/// What is asked of those who know codecs.
#[derive(Clone, Copy)]
pub struct Codecs {
    /// The form of a sound format.
    pub iso_form: IsoForm,
    /// Whether pictures use the full range of their bits.
    pub is_full_range: fn(&SampleEntry) -> bool,
}

/// The sample entry of text.
const TEXT: &[u8; 4] = b"text";
/// The brand of QuickTime.
const BRAND: &[u8; 4] = b"qt  ";
/// Boxes of `trak` that ISO files have too.
const OF_TRACK: &[&[u8; 4]] = &[b"tkhd", b"tref", b"trgr", b"edts", b"mdia", b"udta"];
/// Boxes of its `udta` that ISO files have too.
const OF_USER_DATA: &[&[u8; 4]] = &[b"kind", b"ludt", b"tsel"];
/// Extensions of image and sound descriptions that ISO files do not have.
const EXTENSIONS: &[&[u8; 4]] = &[
    b"chan", b"clef", b"ctab", b"enda", b"enof", b"fiel", b"frma", b"gama", b"glbl", b"mjht", b"mjqt",
    b"prof", b"rdrf", b"tapt", b"wave", &[0; 4],
];
/// Flags of `tkhd` that mean the same in both: in the movie, enabled, in its preview.
const TRACK_FLAGS: u8 = 7;
/// `componentType` of the handlers of media and data.
const COMPONENT_TYPES: [[u8; 4]; 2] = [*b"mhlr", *b"dhlr"];
/// `full_range_flag` of `nclx`.
const FULL_RANGE: u8 = 0x80;
/// Bytes of a sound description before those of its version.
const SOUND_FIELDS: usize = 28;

/// Makes an ISO `moov` of one that QuickTime's writers made; any other is left alone. Says whether it was QuickTime's.
///
/// # Errors
/// When a box is cut off, or a sample table counts what ISO files do not.
pub fn to_iso(source: &dyn Source, moov: &mut BoxNode, codecs: Codecs) -> Result<bool> {
    let is_movie = has_brand(source)? || moov.all(b"trak").any(is_quicktime);
    // Numbers of languages are no letters in any file: what has them was QuickTime once.
    for trak in moov.all_mut(b"trak") {
        edit(trak, &[b"mdia", b"mdhd"], |payload| Mdhd::iso_language(payload, is_movie));
    }
    if !is_movie {
        return Ok(false);
    }
    for trak in moov.all_mut(b"trak") {
        let tkhd =
            Tkhd::parse(trak.require(&[b"tkhd"])?.payload()).map_err(|error| error.at("moov/trak/tkhd"))?;
        track(trak, codecs).map_err(|error| error.at(format_args!("track {}", tkhd.track_id)))?;
    }
    Ok(true)
}

fn has_brand(source: &dyn Source) -> Result<bool> {
    let Some(ftyp) = BoxHeader::read(source, 0)?.filter(|header| header.is(b"ftyp")) else {
        return Ok(false);
    };
    let bytes = ftyp.read_bytes(source)?;
    let brands = bytes.get(usize::try_from(ftyp.header_length).unwrap_or(0)..).unwrap_or_default();
    Ok(brands.chunks_exact(4).any(|brand| brand == BRAND))
}

fn is_quicktime(trak: &BoxNode) -> bool {
    let has_component = |hdlr: &BoxNode| {
        hdlr.payload().get(4..8).is_some_and(|kind| COMPONENT_TYPES.iter().any(|known| kind == known))
    };
    let is_wide = |stsd: &BoxNode| {
        stsd_version(stsd) == 0
            && stsd.boxes().iter().any(|entry| matches!(entry.payload().get(8..10), Some([0, 1 | 2])))
    };
    trak.find(&[b"mdia", b"hdlr"]).is_some_and(has_component)
        || trak.find(&[b"mdia", b"minf", b"hdlr"]).is_some()
        || trak.find(&[b"mdia", b"minf", b"gmhd"]).is_some()
        || trak.find(&[b"mdia", b"minf", b"smhd"]).is_some()
            && trak.find(&[b"mdia", b"minf", b"stbl", b"stsd"]).is_some_and(is_wide)
}

fn track(trak: &mut BoxNode, codecs: Codecs) -> Result<()> {
    trak.remove(|node| !OF_TRACK.iter().any(|kind| node.is(kind)));
    for udta in trak.all_mut(b"udta") {
        let mut kept = leading_boxes(udta.payload())?.0;
        let tags = kept.iter().filter(|node| node.is(b"tagc"));
        let roles = tags.filter_map(|tag| role_of_tag(tag.payload()));
        let roles: Vec<_> = roles.map(|role| KindBox::role(role).to_box()).collect();
        kept.retain(|node| OF_USER_DATA.iter().any(|kind| node.is(kind)));
        kept.extend(roles);
        *udta = BoxNode::container(b"udta", kept);
    }
    trak.remove(|node| node.is(b"udta") && node.is_empty());
    edit(trak, &[b"tkhd"], |payload| {
        payload.get_mut(3).into_iter().for_each(|flags| *flags &= TRACK_FLAGS);
    });
    let hdlr = trak.require(&[b"mdia", b"hdlr"])?;
    let handler_type = Hdlr::parse(hdlr.payload()).map_err(|error| error.at("mdia/hdlr"))?.handler_type;
    edit(trak, &[b"mdia", b"hdlr"], |payload| *payload = handler(payload));
    if let Some(minf) = trak.find_mut(&[b"mdia", b"minf"]) {
        media_information(minf, handler_type, codecs).map_err(|error| error.at("mdia/minf"))?;
    }
    Ok(())
}

fn edit(node: &mut BoxNode, path: &[&[u8; 4]], change: impl Fn(&mut Vec<u8>)) {
    if let Some(found) = node.find_mut(path) {
        let mut payload = found.payload().to_vec();
        change(&mut payload);
        *found = BoxNode::data(&found.kind.0, payload);
    }
}

/// `componentType` and the fields behind the handler are 0, and the name ends with 0 instead of beginning with its length:
/// ISO/IEC 14496-12 §8.4.3.
fn handler(payload: &[u8]) -> Vec<u8> {
    let (fields, name) = payload.split_at_checked(24).unwrap_or((payload, &[]));
    let name = match name.split_first() {
        Some((length, counted)) if usize::from(*length) <= counted.len() && *length < b' ' => {
            counted.get(..usize::from(*length)).unwrap_or_default()
        }
        Some((length, counted)) if usize::from(*length) == counted.len() => counted,
        _ => name,
    };
    let name: String = String::from_utf8_lossy(name).chars().filter(|letter| !letter.is_control()).collect();
    let kind = fields.get(8..12).unwrap_or_default();
    [&[0; 8], kind, &[0; 12], name.as_bytes(), &[0]].concat()
}

fn media_information(minf: &mut BoxNode, handler_type: FourCc, codecs: Codecs) -> Result<()> {
    minf.remove(|node| node.is(b"hdlr"));
    for node in minf.boxes_mut().into_iter().flatten() {
        match &node.kind.0 {
            b"gmhd" => *node = BoxNode::data(b"nmhd", vec![0; 4]),
            // Copied as they are, in the place of what QuickTime may do with pictures (§12.1.2).
            b"vmhd" => *node = BoxNode::data(b"vmhd", [&[0, 0, 0, 1][..], &[0; 8]].concat()),
            b"dinf" => data_references(node),
            _ => {}
        }
    }
    let Some(stbl) = minf.find_mut(&[b"stbl"]) else { return Ok(()) };
    if &handler_type.0 == b"soun" {
        check_counts_packets(stbl)?;
    }
    let Some(stsd) = stbl.find_mut(&[b"stsd"]) else { return Ok(()) };
    let version = stsd_version(stsd);
    for entry in stsd.boxes_mut().into_iter().flatten() {
        let parsed = SampleEntry::parse(entry, handler_type, version);
        let parsed = parsed.map_err(|error| error.at(entry.kind).at("stbl/stsd"))?;
        match &handler_type.0 {
            b"vide" => *entry = image_description(parsed, codecs.is_full_range).write(),
            b"soun" => *entry = sound_description(parsed, codecs.iso_form)?.write(),
            // Both have samples of a length, characters and boxes; all else is of how QuickTime shows them.
            b"text" | b"sbtl" if entry.is(TEXT) => *entry = timed_text(),
            _ => {}
        }
    }
    // What ends some containers in QuickTime ends none here.
    if let Body::Children { rest, .. } = &mut stsd.body {
        rest.clear();
    }
    Ok(())
}

/// Samples in this file are said to be so by a `url ` without a location; aliases are QuickTime's: §8.7.2.
fn data_references(dinf: &mut BoxNode) {
    for reference in dinf.find_mut(&[b"dref"]).and_then(BoxNode::boxes_mut).into_iter().flatten() {
        let (flags, location) = reference.payload().split_at_checked(4).unwrap_or_default();
        let is_here =
            flags.last().is_some_and(|flags| flags & 1 == 1) || location.iter().all(|byte| *byte == 0);
        if !reference.is(b"url ") && is_here {
            *reference = BoxNode::data(b"url ", vec![0, 0, 0, 1]);
        }
    }
}

/// Sound of a constant bit rate has tables in which every instant of it is a sample of one byte: its packets follow from
/// fields that only QuickTime has.
fn check_counts_packets(stbl: &BoxNode) -> Result<()> {
    match constant_sample_size(stbl) {
        Some(1) => Err(Error::unsupported("its sample table counts instants of sound, not packets")
            .clause("QuickTime File Format, Sound Sample Description (Version 1)")
            .at("stbl/stsz")),
        _ => Ok(()),
    }
}

/// TextSampleEntry of 3GPP TS 26.245 §5.16 that says nothing of style: no box is shown, characters in white at the foot, of
/// the font 1, which has no table.
fn timed_text() -> BoxNode {
    let fonts = BoxNode::data(b"ftab", vec![0, 1, 0, 1, 5, b'S', b'e', b'r', b'i', b'f']).to_bytes();
    let style = [0, 0, 0, 0, 0, 1, 0, 18, 0xff, 0xff, 0xff, 0xff];
    let fields = [&[0, 0, 0, 0, 0, 0, 0, 1][..], &[0; 4], &[1, 0xff], &[0; 4], &[0; 8], &style, &fonts];
    BoxNode::data(b"tx3g", fields.concat())
}

/// VisualSampleEntry: §12.1.3.
fn image_description(mut entry: SampleEntry, is_full_range: fn(&SampleEntry) -> bool) -> SampleEntry {
    let range = if is_full_range(&entry) { FULL_RANGE } else { 0 };
    // Behind the index of a data reference: version, revision, vendor, temporal and spatial quality.
    entry.fields.get_mut(8..24).into_iter().for_each(|fields| fields.fill(0));
    let resolution = entry.fields.get_mut(28..36).into_iter().flat_map(|fields| fields.chunks_exact_mut(4));
    for field in resolution.filter(|field| field.iter().all(|byte| *byte == 0)) {
        field.copy_from_slice(&0x0048_0000_u32.to_be_bytes());
    }
    // Data size; frames in a sample; behind the name depth and color table.
    entry.fields.get_mut(36..42).into_iter().for_each(|fields| fields.copy_from_slice(&[0, 0, 0, 0, 0, 1]));
    entry
        .fields
        .get_mut(74..78)
        .into_iter()
        .for_each(|fields| fields.copy_from_slice(&[0, 0x18, 0xff, 0xff]));
    entry.boxes.retain(is_iso);
    entry.boxes.iter_mut().filter(|node| node.is(b"colr")).for_each(|colr| color(colr, range));
    entry.rest.clear();
    entry
}

fn is_iso(node: &BoxNode) -> bool {
    !EXTENSIONS.iter().any(|kind| node.is(kind))
}

/// `nclc` says nothing of its range, which ISO files say with a bit (§12.1.5).
fn color(colr: &mut BoxNode, range: u8) {
    if let Some(numbers) = colr.payload().strip_prefix(b"nclc").and_then(|numbers| numbers.get(..6)) {
        *colr = BoxNode::data(b"colr", [&b"nclx"[..], numbers, &[range]].concat());
    }
}

/// AudioSampleEntry: §12.2.3. Its configuration stands in it, not in a `wave` box.
fn sound_description(entry: SampleEntry, iso_form: IsoForm) -> Result<SampleEntry> {
    let mut boxes: Vec<BoxNode> = entry.boxes.iter().filter(|node| is_iso(node)).cloned().collect();
    for wave in entry.boxes.iter().filter(|node| node.is(b"wave")) {
        let inside = leading_boxes(wave.payload()).map_err(|error| error.at("wave").at(entry.format))?.0;
        for node in inside {
            // A box named as the entry that has nothing in it is there for readers of long ago.
            let is_marker = node.kind == entry.format && node.payload().len() <= 4;
            if is_iso(&node) && !is_marker && !boxes.iter().any(|known| known.kind == node.kind) {
                boxes.push(node);
            }
        }
    }
    let stated = Stated::read(&entry)?;
    let mut fields = vec![0; 6];
    fields.extend(entry.fields.get(6..8).unwrap_or_default());
    fields.extend([0; 8]);
    fields.extend(stated.channels.to_be_bytes());
    fields.extend(stated.bits.to_be_bytes());
    fields.extend([0; 4]);
    fields.extend(stated.rate.to_be_bytes());
    fields.extend([0; 2]);
    let mut format = entry.format;
    if let Some((iso, configuration, payload)) = iso_form(format) {
        format = iso;
        boxes.retain(|node| node.kind != configuration);
        boxes.insert(0, BoxNode::data(&configuration.0, payload));
    }
    Ok(SampleEntry {
        format,
        channel_count: stated.channels,
        sample_rate: stated.rate.into(),
        fields,
        boxes,
        rest: Vec::new(),
        ..entry
    })
}

/// What a sound description of any version states.
struct Stated {
    channels: u16,
    bits: u16,
    /// 0 when the field cannot hold it: the configuration knows.
    rate: u16,
}

impl Stated {
    fn read(entry: &SampleEntry) -> Result<Self> {
        let mut reader = Reader::new(&entry.fields);
        reader.take(8)?;
        let version = reader.u16()?;
        reader.take(SOUND_FIELDS - 10)?;
        let bits = entry.fields.get(18..20).and_then(|bits| bits.first_chunk().copied());
        let (mut channels, mut bits) = (entry.channel_count, bits.map_or(16, u16::from_be_bytes));
        let mut rate = u16::try_from(entry.sample_rate).unwrap_or(0);
        if version == 2 {
            reader.u32()?;
            let exact = f64::from_bits(reader.u64()?);
            channels = u16::try_from(reader.u32()?).unwrap_or(0);
            reader.u32()?;
            bits = u16::try_from(reader.u32()?).unwrap_or(0);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "in the range of 16 bits"
            )]
            let whole = if (1.0..=65_535.0).contains(&exact) { exact.round() as u16 } else { 0 };
            rate = whole;
        }
        Ok(Self { channels, bits: if matches!(bits, 8..=64) { bits } else { 16 }, rate })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no_form(_: FourCc) -> Option<(FourCc, FourCc, Vec<u8>)> {
        None
    }

    fn sound(version: u16, more: &[u8], boxes: &[BoxNode]) -> SampleEntry {
        let mut payload = [&[0; 7][..], &[1], &version.to_be_bytes(), &[0, 7], b"appl"].concat();
        payload.extend([0, 2, 0, 16, 0xff, 0xfe, 0, 9]);
        payload.extend([0xac, 0x44, 0, 0]);
        payload.extend(more);
        boxes.iter().for_each(|node| node.write(&mut payload));
        payload.extend([0; 4]);
        SampleEntry::parse(&BoxNode::data(b"abcd", payload), FourCc(*b"soun"), 0).unwrap()
    }

    #[test]
    fn each_version_of_a_sound_description_becomes_the_iso_one() {
        let inside = [
            BoxNode::data(b"frma", b"abcd".to_vec()),
            BoxNode::data(b"abcd", vec![0; 4]),
            BoxNode::data(b"conf", vec![1, 2]),
            BoxNode::data(&[0; 4], Vec::new()),
        ];
        let wave = BoxNode::data(b"wave", inside.iter().flat_map(BoxNode::to_bytes).collect());
        let boxes = [BoxNode::data(b"chan", vec![0; 12]), wave, BoxNode::data(b"btrt", vec![0; 12])];
        let mut second = [&72_u32.to_be_bytes()[..], &96_000_f64.to_bits().to_be_bytes()].concat();
        second.extend([6, 0x7f00_0000, 24, 0, 0, 4096].map(u32::to_be_bytes).concat());
        for (version, more, expected) in
            [(0, &[][..], (2, 16, 44_100)), (1, &[0; 16], (2, 16, 44_100)), (2, &second, (6, 24, 0))]
        {
            let iso = sound_description(sound(version, more, &boxes), no_form).unwrap();
            let kinds: Vec<String> = iso.boxes.iter().map(|node| node.kind.to_string()).collect();
            assert_eq!(kinds, ["btrt", "conf"], "{version}");
            let again = SampleEntry::parse(&iso.write(), FourCc(*b"soun"), 0).unwrap();
            assert_eq!(again, iso);
            let (channels, bits, rate) = expected;
            assert_eq!((again.channel_count, again.sample_rate), (channels, rate), "{version}");
            let tail = [&[0, 1, 0, 0, 0, 0, 0, 0, 0, 0][..], &channels.to_be_bytes(), &[0, bits, 0, 0, 0, 0]];
            assert_eq!(again.fields[6..24], tail.concat());
        }
        for end in 0..second.len() {
            let short =
                SampleEntry { fields: sound(2, &second, &[]).fields[..end].to_vec(), ..sound(0, &[], &[]) };
            let _ = sound_description(short, no_form);
        }
    }

    #[test]
    fn handlers_get_the_names_of_iso_files() {
        let quicktime = |name: &[u8]| {
            let written = handler(&[&[0; 4], &b"mhlrsounappl"[..], &[0; 8], name].concat());
            assert_eq!(written[..24], [&[0; 8], &b"soun"[..], &[0; 12]].concat());
            String::from_utf8(written[24..].to_vec()).unwrap()
        };
        assert_eq!(quicktime(b"\x05Sound"), "Sound\0");
        assert_eq!(quicktime(b"\x05Sound\0"), "Sound\0");
        assert_eq!(quicktime(b"Sound\0"), "Sound\0");
        assert_eq!(quicktime(b" 32 letters are counted by a space"), " 32 letters are counted by a space\0");
        assert_eq!(
            (quicktime(b""), quicktime(b"\0"), quicktime(b"\x09abc")),
            ("\0".into(), "\0".into(), "abc\0".into())
        );
    }

    #[test]
    fn color_says_its_range_and_other_colors_stay() {
        let changed = |payload: &[u8], range| {
            let mut colr = BoxNode::data(b"colr", payload.to_vec());
            color(&mut colr, range);
            colr.payload().to_vec()
        };
        for range in [0, FULL_RANGE] {
            let nclx = [&b"nclx\0\x01\0\x02\0\x03"[..], &[range]].concat();
            assert_eq!(changed(b"nclc\0\x01\0\x02\0\x03", range), nclx);
            assert_eq!(changed(&nclx, 0), nclx);
        }
        assert_eq!(changed(b"nclc\0\x01", 0), b"nclc\0\x01");
    }
}
