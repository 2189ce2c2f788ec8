//! The fields of boxes, for people — ISO/IEC 14496-12 clause 8, ISO/IEC 23001-7 clause 8, ISO/IEC 23009-1 §5.10.3.

use crate::base::bytes::Reader;
use crate::base::id::hex;
use crate::base::{FourCc, Kid, Result};
use crate::isobmff::boxes::{Frma, Hdlr, Mdhd, Sbgp, SbgpEntry, Schm, Sgpd, Tenc, Tfdt, Tfhd, Trex};

use super::codec_boxes;
use super::node::{MAX_LIST_VALUES, Node};

/// Reads the fields of a box from its payload, of which only the first part may be there.
type Describe = fn(&mut Reader<'_>, &mut Node) -> Result<()>;

/// Boxes whose fields are shown; of others only the size is.
const BOXES: &[(&[u8; 4], Describe)] = &[
    (b"ftyp", brands),
    (b"styp", brands),
    (b"mvhd", mvhd),
    (b"tkhd", tkhd),
    (b"mdhd", mdhd),
    (b"elng", elng),
    (b"hdlr", hdlr),
    (b"elst", elst),
    (b"stsd", count),
    (b"dref", count),
    (b"stts", count),
    (b"ctts", count),
    (b"stss", count),
    (b"stsc", count),
    (b"stco", chunk_offsets),
    (b"co64", chunk_offsets),
    (b"stsz", stsz),
    (b"mehd", mehd),
    (b"trex", trex),
    (b"mfhd", mfhd),
    (b"tfhd", tfhd),
    (b"tfdt", tfdt),
    (b"trun", trun),
    (b"tfra", tfra),
    (b"mfro", mfro),
    (b"sidx", sidx),
    (b"emsg", emsg),
    (b"prft", prft),
    (b"pssh", nothing),
    (b"frma", frma),
    (b"schm", schm),
    (b"tenc", tenc),
    (b"senc", senc),
    (b"saiz", saiz),
    (b"saio", saio),
    (b"sbgp", sbgp),
    (b"sgpd", sgpd),
    (b"uuid", uuid),
];

/// User types of boxes from before Common Encryption: PIFF 1.1 §5.3.
const USER_TYPES: &[(&str, &str)] = &[
    ("a2394f525a9b4f14a2446c427c648df4", "PIFF sample encryption"),
    ("8974dbce7be74c5184f97148f9882554", "PIFF track encryption"),
    ("d08a4f1810f34a82b6c832d8aba183d3", "PIFF protection system header"),
];

/// Whether a box has fields to show.
pub(super) fn is_known(kind: FourCc) -> bool {
    find(kind).is_some()
}

/// Adds the fields of a box.
pub(super) fn describe(kind: FourCc, payload: &[u8], node: &mut Node) -> Result<()> {
    find(kind).map_or(Ok(()), |describe| describe(&mut Reader::new(payload), node))
}

/// `handler_type` of `hdlr`.
pub(super) fn handler_type(payload: &[u8]) -> Result<FourCc> {
    Ok(Hdlr::parse(payload)?.handler_type)
}

fn find(kind: FourCc) -> Option<Describe> {
    let here = BOXES.iter().find(|(known, _)| FourCc(**known) == kind).map(|(_, describe)| *describe);
    here.or_else(|| codec_boxes::find(kind))
}

fn nothing(_: &mut Reader<'_>, _: &mut Node) -> Result<()> {
    Ok(())
}

/// `version` and `flags`; the version is shown unless it is 0.
fn full(reader: &mut Reader<'_>, node: &mut Node) -> Result<(u8, u32)> {
    let (version, flags) = (reader.u8()?, reader.u24()?);
    node.set_some("version", Some(version).filter(|version| *version > 0));
    Ok((version, flags))
}

/// A number of 64 bits in newer versions, of 32 in version 0.
fn number(reader: &mut Reader<'_>, version: u8) -> Result<u64> {
    if version == 0 { reader.u32().map(u64::from) } else { reader.u64() }
}

fn brands(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    node.set("major_brand", reader.fourcc()?.to_string()).set("minor_version", reader.u32()?);
    let mut brands = Vec::new();
    while let Ok(brand) = reader.fourcc() {
        brands.push(brand.to_string());
    }
    node.set("compatible_brands", brands);
    Ok(())
}

fn mvhd(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    let (version, _) = full(reader, node)?;
    reader.take(if version == 0 { 8 } else { 16 })?;
    node.set("timescale", reader.u32()?).set("duration", number(reader, version)?);
    Ok(())
}

fn tkhd(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    let (version, flags) = full(reader, node)?;
    reader.take(if version == 0 { 8 } else { 16 })?;
    node.set("enabled", if flags & 1 != 0 { "yes" } else { "no" }).set("track_id", reader.u32()?);
    reader.u32()?;
    node.set("duration", number(reader, version)?);
    reader.take(52)?;
    node.set("width", reader.u32()? >> 16).set("height", reader.u32()? >> 16);
    Ok(())
}

fn mdhd(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    let language = Mdhd::parse(reader.clone().rest())?.language();
    let (version, _) = full(reader, node)?;
    reader.take(if version == 0 { 8 } else { 16 })?;
    node.set("timescale", reader.u32()?).set("duration", number(reader, version)?);
    node.set_some("language", language);
    Ok(())
}

fn elng(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    full(reader, node)?;
    let tag = reader.rest().split(|byte| *byte == 0).next().unwrap_or_default();
    node.set("language", String::from_utf8_lossy(tag).into_owned());
    Ok(())
}

fn hdlr(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    reader.take(8)?;
    node.set("handler_type", reader.fourcc()?.to_string());
    reader.take(12)?;
    let name = reader.rest().split(|byte| *byte == 0).next().unwrap_or_default();
    node.set_some("handler_name", Some(String::from_utf8_lossy(name)).filter(|n| !n.is_empty()).as_deref());
    Ok(())
}

fn elst(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    let (version, _) = full(reader, node)?;
    let entries = reader.u32()?;
    node.set("entry_count", entries);
    for _ in 0..entries.min(8) {
        let duration = number(reader, version)?;
        let media_time = match version {
            0 => i64::from(reader.u32()?.cast_signed()),
            _ => reader.u64()?.cast_signed(),
        };
        reader.u32()?;
        node.set("duration@media_time", format!("{duration}@{media_time}"));
    }
    Ok(())
}

fn count(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    full(reader, node)?;
    node.set("entry_count", reader.u32()?);
    Ok(())
}

fn chunk_offsets(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    let large = node.name == "co64";
    count(reader, node)?;
    node.set_some("first_offset", number(reader, u8::from(large)).ok());
    Ok(())
}

fn stsz(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    full(reader, node)?;
    let size = reader.u32()?;
    node.set_some("sample_size", Some(size).filter(|size| *size > 0)).set("sample_count", reader.u32()?);
    Ok(())
}

fn mehd(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    let (version, _) = full(reader, node)?;
    node.set("fragment_duration", number(reader, version)?);
    Ok(())
}

fn trex(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    let trex = Trex::parse(reader.rest())?;
    node.set("track_id", trex.track_id)
        .set("default_sample_description_index", trex.default_sample_description_index)
        .set("default_sample_duration", trex.default_sample_duration)
        .set("default_sample_size", trex.default_sample_size)
        .set("default_sample_flags", format!("{:#010x}", trex.default_sample_flags));
    Ok(())
}

fn mfhd(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    full(reader, node)?;
    node.set("sequence_number", reader.u32()?);
    Ok(())
}

fn tfhd(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    let tfhd = Tfhd::parse(reader.rest())?;
    node.set("track_id", tfhd.track_id)
        .set_some("base_data_offset", tfhd.base_data_offset)
        .set_some("sample_description_index", tfhd.sample_description_index)
        .set_some("default_sample_duration", tfhd.default_sample_duration)
        .set_some("default_sample_size", tfhd.default_sample_size)
        .set_some("default_sample_flags", tfhd.default_sample_flags.map(|flags| format!("{flags:#010x}")));
    if tfhd.other_flags & Tfhd::DEFAULT_BASE_IS_MOOF != 0 {
        node.set("default_base_is_moof", "yes");
    }
    Ok(())
}

fn tfdt(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    node.set("base_media_decode_time", Tfdt::parse(reader.rest())?.base_media_decode_time);
    Ok(())
}

fn trun(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    let (_, flags) = full(reader, node)?;
    node.set("sample_count", reader.u32()?);
    if flags & 0x1 != 0 {
        node.set("data_offset", reader.u32()?.cast_signed());
    }
    if flags & 0x4 != 0 {
        node.set("first_sample_flags", format!("{:#010x}", reader.u32()?));
    }
    let parts = [(0x100, "duration"), (0x200, "size"), (0x400, "flags"), (0x800, "composition_time_offset")];
    let parts: Vec<&str> =
        parts.into_iter().filter(|(flag, _)| flags & flag != 0).map(|(_, name)| name).collect();
    if !parts.is_empty() {
        node.set("of_each_sample", parts);
    }
    Ok(())
}

fn tfra(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    full(reader, node)?;
    node.set("track_id", reader.u32()?);
    reader.u32()?;
    node.set("entry_count", reader.u32()?);
    Ok(())
}

fn mfro(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    full(reader, node)?;
    node.set("mfra_size", reader.u32()?);
    Ok(())
}

fn sidx(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    let (version, _) = full(reader, node)?;
    node.set("reference_id", reader.u32()?).set("timescale", reader.u32()?);
    node.set("earliest_presentation_time", number(reader, version)?);
    node.set("first_offset", number(reader, version)?);
    reader.u16()?;
    let references = reader.u16()?;
    node.set("reference_count", references);
    for _ in 0..usize::from(references).min(MAX_LIST_VALUES) {
        let (size, duration, _) = (reader.u32()?, reader.u32()?, reader.u32()?);
        let kind = if size >> 31 == 0 { "" } else { " (index)" };
        node.set("size@duration", format!("{}@{duration}{kind}", size & 0x7fff_ffff));
    }
    Ok(())
}

fn emsg(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    let (version, _) = full(reader, node)?;
    if version == 0 {
        strings(reader, node)?;
    }
    node.set("timescale", reader.u32()?);
    node.set(
        if version == 0 { "presentation_time_delta" } else { "presentation_time" },
        number(reader, version)?,
    );
    node.set("event_duration", reader.u32()?).set("id", reader.u32()?);
    if version > 0 {
        strings(reader, node)?;
    }
    node.set("message_size", reader.remaining());
    Ok(())
}

/// `scheme_id_uri` and `value` of `emsg`.
fn strings(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    for name in ["scheme_id_uri", "value"] {
        let mut bytes = Vec::new();
        loop {
            match reader.u8()? {
                0 => break,
                byte => bytes.push(byte),
            }
        }
        node.set(name, String::from_utf8_lossy(&bytes).as_ref());
    }
    Ok(())
}

fn prft(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    let (version, _) = full(reader, node)?;
    node.set("reference_track_id", reader.u32()?).set("ntp_timestamp", reader.u64()?);
    node.set("media_time", number(reader, version)?);
    Ok(())
}

fn frma(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    node.set("data_format", Frma::parse(reader.rest())?.data_format.to_string());
    Ok(())
}

fn schm(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    let schm = Schm::parse(reader.rest())?;
    node.set("scheme_type", schm.scheme_type.to_string());
    node.set("scheme_version", format!("{:#010x}", schm.scheme_version));
    Ok(())
}

fn tenc(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    let tenc = Tenc::parse(reader.rest())?;
    node.set_some("version", Some(tenc.version).filter(|version| *version > 0))
        .set("default_is_protected", tenc.default_is_protected)
        .set("default_per_sample_iv_size", tenc.default_per_sample_iv_size)
        .set("default_kid", tenc.default_kid.to_string());
    if tenc.version > 0 {
        let pattern = format!("{}:{}", tenc.default_crypt_byte_block, tenc.default_skip_byte_block);
        node.set("default_crypt:skip_byte_block", pattern);
    }
    node.set_some("default_constant_iv", tenc.default_constant_iv.as_deref().map(hex));
    Ok(())
}

fn senc(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    let (_, flags) = full(reader, node)?;
    node.set("use_subsample_encryption", if flags & 2 != 0 { "yes" } else { "no" });
    node.set("sample_count", reader.u32()?);
    Ok(())
}

/// `aux_info_type` and its parameter, when flags say that they are there.
fn aux_info_type(reader: &mut Reader<'_>, node: &mut Node) -> Result<u8> {
    let (version, flags) = full(reader, node)?;
    if flags & 1 != 0 {
        node.set("aux_info_type", reader.fourcc()?.to_string());
        node.set("aux_info_type_parameter", reader.u32()?);
    }
    Ok(version)
}

fn saiz(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    aux_info_type(reader, node)?;
    node.set("default_sample_info_size", reader.u8()?).set("sample_count", reader.u32()?);
    Ok(())
}

fn saio(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    let version = aux_info_type(reader, node)?;
    let entries = reader.u32()?;
    node.set("entry_count", entries);
    for _ in 0..entries.min(8) {
        node.set("offset", number(reader, version)?);
    }
    Ok(())
}

fn sbgp(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    let sbgp = Sbgp::parse(reader.rest())?;
    node.set("grouping_type", sbgp.grouping_type.to_string());
    let run = |entry: &SbgpEntry| format!("{}×{}", entry.sample_count, entry.group_description_index);
    node.set("sample_count×group_description_index", sbgp.entries.iter().map(run).collect::<Vec<_>>());
    Ok(())
}

fn sgpd(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    let payload = reader.rest();
    let mut head = Reader::new(payload);
    head.take(4)?;
    node.set("grouping_type", head.fourcc()?.to_string());
    let Some(sgpd) = Sgpd::parse(payload)? else { return Ok(()) };
    node.set("entry_count", sgpd.entries.len());
    for entry in &sgpd.entries {
        let kid = if entry.is_protected == 1 { entry.kid.to_string() } else { "clear".to_owned() };
        node.set("kid", kid).set("per_sample_iv_size", entry.per_sample_iv_size);
        node.set_some("constant_iv", entry.constant_iv.as_deref().map(hex));
    }
    Ok(())
}

fn uuid(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    let user_type = Kid::new(reader.array()?);
    node.set("user_type", user_type.to_string());
    let known = USER_TYPES.iter().find(|(id, _)| *id == user_type.hex()).map(|(_, name)| *name);
    node.set_some("meaning", known);
    Ok(())
}
