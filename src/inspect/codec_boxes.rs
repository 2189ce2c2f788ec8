//! Codec configuration and other boxes of sample entries, in short — ISO/IEC 14496-15, AV1 and VP codec bindings, ETSI TS 102 366 Annex F.

use crate::base::bytes::Reader;
use crate::base::{FourCc, Result};

use super::node::Node;

type Describe = fn(&mut Reader<'_>, &mut Node) -> Result<()>;

const BOXES: &[(&[u8; 4], Describe)] = &[
    (b"avcC", avcc),
    (b"hvcC", hvcc),
    (b"lhvC", lhvc),
    (b"av1C", av1c),
    (b"vpcC", vpcc),
    (b"dvcC", dvcc),
    (b"dvvC", dvcc),
    (b"dvwC", dvcc),
    (b"esds", esds),
    (b"dac3", dac3),
    (b"dec3", dec3),
    (b"dOps", dops),
    (b"dfLa", dfla),
    (b"btrt", btrt),
    (b"pasp", pasp),
    (b"colr", colr),
];

/// What describes a configuration box.
pub(super) fn find(kind: FourCc) -> Option<Describe> {
    BOXES.iter().find(|(known, _)| FourCc(**known) == kind).map(|(_, describe)| *describe)
}

fn avcc(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    reader.u8()?;
    node.set("profile", reader.u8()?).set("constraints", format!("{:#04x}", reader.u8()?));
    node.set("level", reader.u8()?).set("nal_length_size", (reader.u8()? & 3) + 1);
    let sps = reader.u8()? & 31;
    for _ in 0..sps {
        let length = reader.u16()?;
        reader.take(usize::from(length))?;
    }
    node.set("sps", sps).set_some("pps", reader.u8().ok());
    Ok(())
}

fn hvcc(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    reader.u8()?;
    let profile = reader.u8()?;
    node.set("profile", profile & 31).set("tier", if profile & 32 == 0 { "main" } else { "high" });
    reader.take(10)?;
    node.set("level", reader.u8()?);
    reader.take(4)?;
    node.set("bit_depth", (reader.u8()? & 7) + 8);
    reader.take(3)?;
    nal_units(reader, node)
}

/// Of a second layer: ISO/IEC 14496-15 §9.5.3.
fn lhvc(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    reader.take(4)?;
    nal_units(reader, node)
}

/// From lengthSizeMinusOne on.
fn nal_units(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    node.set("nal_length_size", (reader.u8()? & 3) + 1);
    let arrays = reader.u8()?;
    for _ in 0..arrays {
        let (kind, count) = (reader.u8()? & 63, reader.u16()?);
        node.set("nal_units", format!("type {kind}: {count}"));
        for _ in 0..count {
            let length = reader.u16()?;
            reader.take(usize::from(length))?;
        }
    }
    Ok(())
}

fn av1c(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    reader.u8()?;
    let (profile, flags) = (reader.u8()?, reader.u8()?);
    node.set("profile", profile >> 5).set("level_index", profile & 31).set("tier", flags >> 7);
    let depth: u8 = match (flags >> 6 & 1, flags >> 5 & 1) {
        (0, _) => 8,
        (_, 0) => 10,
        _ => 12,
    };
    node.set("bit_depth", depth);
    Ok(())
}

fn vpcc(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    reader.u32()?;
    node.set("profile", reader.u8()?).set("level", reader.u8()?);
    let depth = reader.u8()?;
    node.set("bit_depth", depth >> 4).set("chroma_subsampling", depth >> 1 & 7);
    Ok(())
}

fn dvcc(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    reader.u16()?;
    let bits = reader.u16()?;
    node.set("profile", bits >> 9).set("level", bits >> 3 & 63);
    node.set("rpu/el/bl", format!("{}/{}/{}", bits >> 2 & 1, bits >> 1 & 1, bits & 1));
    node.set("bl_compatibility_id", reader.u8()? >> 4);
    Ok(())
}

/// The object type of DecoderConfigDescriptor: ISO/IEC 14496-1 §7.2.6.6.
fn esds(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    reader.u32()?;
    for _ in 0..4 {
        let tag = reader.u8()?;
        let mut length = 0_u32;
        for _ in 0..4 {
            let byte = reader.u8()?;
            length = length << 7 | u32::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                break;
            }
        }
        match tag {
            3 => {
                reader.u16()?;
                let flags = reader.u8()?;
                reader.take(if flags & 0x80 == 0 { 0 } else { 2 })?;
            }
            4 => {
                node.set("object_type", format!("{:#04x}", reader.u8()?));
                reader.take(4)?;
                node.set("max_bitrate", reader.u32()?).set("avg_bitrate", reader.u32()?);
            }
            _ => {
                node.set("decoder_specific_bytes", length);
                return Ok(());
            }
        }
    }
    Ok(())
}

fn dac3(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    let bits = reader.u24()?;
    node.set("fscod", bits >> 22).set("acmod", bits >> 11 & 7).set("lfe", bits >> 10 & 1);
    Ok(())
}

fn dec3(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    let bits = reader.u16()?;
    node.set("data_rate_kbps", bits >> 3).set("independent_substreams", (bits & 7) + 1);
    Ok(())
}

fn dops(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    reader.u8()?;
    node.set("channels", reader.u8()?).set("pre_skip", reader.u16()?).set("input_rate", reader.u32()?);
    Ok(())
}

/// The STREAMINFO block: RFC 9639 §8.2.
fn dfla(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    reader.take(8)?;
    reader.take(10)?;
    let bits = reader.u32()?;
    node.set("sample_rate", bits >> 12).set("channels", (bits >> 9 & 7) + 1);
    node.set("bits_per_sample", (bits >> 4 & 31) + 1);
    Ok(())
}

fn btrt(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    node.set("buffer_size", reader.u32()?).set("max_bitrate", reader.u32()?);
    node.set("avg_bitrate", reader.u32()?);
    Ok(())
}

fn pasp(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    node.set("spacing", format!("{}:{}", reader.u32()?, reader.u32()?));
    Ok(())
}

fn colr(reader: &mut Reader<'_>, node: &mut Node) -> Result<()> {
    let kind = reader.fourcc()?;
    node.set("colour_type", kind.to_string());
    if matches!(&kind.0, b"nclx" | b"nclc") {
        let codes = format!("{}/{}/{}", reader.u16()?, reader.u16()?, reader.u16()?);
        node.set("primaries/transfer/matrix", codes);
    }
    Ok(())
}
