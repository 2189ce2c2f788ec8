//! Boxes that tell of clear leads and of changed keys — ISO/IEC 23001-7 §6, ISO/IEC 14496-12 §8.5.2, §8.9.

use crate::base::{Error, Result};
use crate::isobmff::boxes::{
    CencSampleEncryptionInformationGroupEntry, SampleEntry, Sbgp, SbgpEntry, Sgpd, Tenc, Tfhd,
};
use crate::isobmff::track::trak_mut;
use crate::isobmff::{Body, BoxNode};

/// Appends the sample entries of a track as they were before protection, behind the protected ones.
///
/// # Errors
/// When the track has no `stsd`, or too many entries.
pub(in crate::package) fn keep_clear_entries(
    moov: &mut BoxNode,
    track_id: u32,
    entries: &[SampleEntry],
) -> Result<()> {
    let missing = || Error::input(format!("track {track_id} has no stsd")).clause("ISO/IEC 14496-12 §8.5.2");
    let trak = trak_mut(moov, track_id)?;
    let stsd = trak.find_mut(&[b"mdia", b"minf", b"stbl", b"stsd"]).ok_or_else(missing)?;
    let Body::Children { fields, boxes, .. } = &mut stsd.body else { return Err(missing()) };
    boxes.extend(entries.iter().map(SampleEntry::write));
    let count = u32::try_from(boxes.len()).map_err(|_| Error::unsupported("too many sample entries"))?;
    // version and flags stand before entry_count.
    let entry_count = fields.get_mut(4..8).ok_or_else(missing)?;
    entry_count.copy_from_slice(&count.to_be_bytes());
    Ok(())
}

/// States the `sample_description_index` of a fragment.
///
/// # Errors
/// When `tfhd` is missing or cut off.
pub(in crate::package) fn set_description(traf: &mut BoxNode, index: u32) -> Result<()> {
    let tfhd_box = traf
        .find_mut(&[b"tfhd"])
        .ok_or_else(|| Error::input("tfhd is missing").clause("ISO/IEC 14496-12 §8.8.7"))?;
    let mut tfhd = Tfhd::parse(tfhd_box.payload())?;
    tfhd.sample_description_index = Some(index);
    *tfhd_box = BoxNode::data(b"tfhd", tfhd.write());
    Ok(())
}

/// Puts all samples of a fragment into one group with a key, pattern and IV of their own.
///
/// # Errors
/// When there are more samples than the box can say.
pub(in crate::package) fn place_group(traf: &mut BoxNode, protection: &Tenc, samples: usize) -> Result<()> {
    let count = u32::try_from(samples).map_err(|_| Error::unsupported("too many samples in a fragment"))?;
    let entry = CencSampleEncryptionInformationGroupEntry {
        crypt_byte_block: protection.default_crypt_byte_block,
        skip_byte_block: protection.default_skip_byte_block,
        is_protected: protection.default_is_protected,
        per_sample_iv_size: protection.default_per_sample_iv_size,
        kid: protection.default_kid,
        constant_iv: protection.default_constant_iv.clone(),
    };
    let sgpd = Sgpd { default_group_description_index: None, entries: vec![entry] };
    let run = SbgpEntry { sample_count: count, group_description_index: Sbgp::FRAGMENT_LOCAL + 1 };
    let sbgp = Sbgp { grouping_type: Sgpd::SEIG, grouping_type_parameter: None, entries: vec![run] };
    traf.push(BoxNode::data(b"sgpd", sgpd.write()));
    traf.push(BoxNode::data(b"sbgp", sbgp.write()));
    Ok(())
}

/// Puts whole `pssh` boxes before the track fragments of a `moof`, each once.
///
/// # Errors
/// When one of them is no box.
pub(in crate::package) fn place_pssh(moof: &mut BoxNode, pssh: &[Vec<u8>]) -> Result<()> {
    let new = pssh.iter().map(|bytes| BoxNode::parse_one(bytes)).collect::<Result<Vec<_>>>()?;
    let boxes = moof.boxes_mut().ok_or_else(|| Error::internal("a moof that holds no boxes"))?;
    for node in new {
        if !boxes.contains(&node) {
            let position = boxes.iter().position(|child| child.is(b"traf")).unwrap_or(boxes.len());
            boxes.insert(position, node);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Kid;

    #[test]
    fn a_group_has_the_sizes_of_the_syntax_and_names_the_fragments_own_description() {
        let per_sample = Tenc {
            version: 0,
            default_crypt_byte_block: 0,
            default_skip_byte_block: 0,
            default_is_protected: 1,
            default_per_sample_iv_size: 8,
            default_kid: Kid::new([7; 16]),
            default_constant_iv: None,
        };
        let constant = Tenc {
            version: 1,
            default_crypt_byte_block: 1,
            default_skip_byte_block: 9,
            default_per_sample_iv_size: 0,
            default_constant_iv: Some(vec![3; 16]),
            ..per_sample.clone()
        };
        for (tenc, length) in [(per_sample, 20_u8), (constant, 37)] {
            let mut traf = BoxNode::container(b"traf", Vec::new());
            place_group(&mut traf, &tenc, 5).unwrap();
            let sgpd = traf.find(&[b"sgpd"]).unwrap().payload();
            assert_eq!(sgpd[..16], [1, 0, 0, 0, b's', b'e', b'i', b'g', 0, 0, 0, length, 0, 0, 0, 1]);
            assert_eq!(sgpd.len(), 16 + usize::from(length));
            assert_eq!(sgpd[20..36], [7; 16]);
            let sbgp = traf.find(&[b"sbgp"]).unwrap().payload();
            assert_eq!(sbgp[8..], [0, 0, 0, 1, 0, 0, 0, 5, 0, 1, 0, 1]);
        }
    }
}
