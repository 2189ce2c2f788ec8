//! Where protection is written in a file — ISO/IEC 23001-7 §4, §7, §8; ISO/IEC 14496-12 §8.12.

use crate::base::{Error, FourCc, Result};
use crate::isobmff::boxes::{
    Frma, Piff, Saio, Saiz, SampleEntry, Schm, SencWriter, Sgpd, Tenc, aux_info_type,
};
use crate::isobmff::track::{stsd_version, trak_mut};
use crate::isobmff::{BoxNode, boxes};

use super::fragment::TrackProtection;
use super::scheme::Scheme;

/// `scheme_version` of Common Encryption: ISO/IEC 23001-7 §4.1.
const SCHEME_VERSION: u32 = 0x0001_0000;

/// What a protected sample entry says.
#[derive(Clone, Debug)]
pub struct Protected {
    /// The sample entry's type before protection.
    pub original_format: FourCc,
    /// The scheme.
    pub scheme_type: FourCc,
    /// The defaults of the track.
    pub tenc: Tenc,
}

/// Protects every sample entry of one track of `moov`.
///
/// # Errors
/// When the track is missing, or one of its entries is protected already or has no protected form.
pub fn protect_moov(moov: &mut BoxNode, track_id: u32, protection: &TrackProtection) -> Result<()> {
    let trak = trak_mut(moov, track_id)?;
    refuse_protected(trak)?;
    trak.find(&[b"mdia", b"minf", b"stbl"]).map_or(Ok(()), refuse_protected)?;
    edit_entries(moov, track_id, |entry, handler_type| protect_entry(entry, handler_type, protection))
}

/// Takes the protection off every sample entry of one track of `moov`.
///
/// # Errors
/// When the track is missing or an entry is cut off.
pub fn unprotect_moov(moov: &mut BoxNode, track_id: u32) -> Result<()> {
    edit_entries(moov, track_id, |mut entry, _| {
        if let Some(protected) = protected_entry(&entry)? {
            entry.format = protected.original_format;
            entry.boxes.retain(|node| !node.is(b"sinf"));
        }
        Ok(entry)
    })?;
    let trak = trak_mut(moov, track_id)?;
    trak.remove(is_auxiliary);
    if let Some(stbl) = trak.find_mut(&[b"mdia", b"minf", b"stbl"]) {
        stbl.remove(is_auxiliary);
    }
    Ok(())
}

fn edit_entries(
    moov: &mut BoxNode,
    track_id: u32,
    edit: impl Fn(SampleEntry, FourCc) -> Result<SampleEntry>,
) -> Result<()> {
    let trak = trak_mut(moov, track_id)?;
    let handler_type = boxes::Hdlr::parse(trak.require(&[b"mdia", b"hdlr"])?.payload())?.handler_type;
    let stsd = trak.find_mut(&[b"mdia", b"minf", b"stbl", b"stsd"]).ok_or_else(|| {
        Error::input(format!("track {track_id} has no stsd")).clause("ISO/IEC 14496-12 §8.5.2")
    })?;
    let version = stsd_version(stsd);
    for node in stsd.boxes_mut().into_iter().flatten() {
        let entry = SampleEntry::parse(node, handler_type, version)?;
        *node = edit(entry, handler_type).map_err(|error| error.at("stsd"))?.write();
    }
    Ok(())
}

/// ISO/IEC 14496-12 §8.12.1: the entry gets the protected type of its kind and a `sinf` after its boxes.
fn protect_entry(
    mut entry: SampleEntry,
    handler: FourCc,
    protection: &TrackProtection,
) -> Result<SampleEntry> {
    if entry.find(b"sinf").is_some() {
        return Err(Error::input(format!("sample entry {} is protected already", entry.format))
            .clause("ISO/IEC 14496-12 §8.12.1")
            .hint("give the clear input, or decrypt it first"));
    }
    let protected_format = match &handler.0 {
        b"vide" => *b"encv",
        b"soun" => *b"enca",
        _ => return Err(Error::unsupported(format!("handler {handler} has no protected sample entry here"))),
    };
    let frma = Frma { data_format: entry.format };
    let schm = Schm { scheme_type: protection.scheme.fourcc, scheme_version: SCHEME_VERSION };
    let schi = BoxNode::container(b"schi", vec![BoxNode::data(b"tenc", protection.tenc().write())]);
    let sinf = BoxNode::container(
        b"sinf",
        vec![BoxNode::data(b"frma", frma.write()), BoxNode::data(b"schm", schm.write()), schi],
    );
    entry.format = FourCc(protected_format);
    entry.boxes.push(sinf);
    Ok(entry)
}

/// What a sample entry says of its protection; `None` when it is clear.
///
/// # Errors
/// When its `sinf` lacks a box.
pub fn protected_entry(entry: &SampleEntry) -> Result<Option<Protected>> {
    let Some(sinf) = entry.find(b"sinf") else { return Ok(None) };
    let frma = Frma::parse(sinf.require(&[b"frma"])?.payload())?;
    let schm = Schm::parse(sinf.require(&[b"schm"])?.payload())?;
    let tenc = Tenc::parse(track_encryption(sinf)?).map_err(|error| error.at("tenc"))?;
    Ok(Some(Protected { original_format: frma.data_format, scheme_type: schm.scheme_type, tenc }))
}

/// The payload of `tenc`, or of the box that it was made from.
fn track_encryption(sinf: &BoxNode) -> Result<&[u8]> {
    let piff =
        sinf.find(&[b"schi"]).into_iter().flat_map(BoxNode::boxes).find_map(|node| match Piff::of(node) {
            Some((Piff::TrackEncryption, payload)) => Some(payload),
            _ => None,
        });
    match piff {
        Some(payload) => Ok(payload),
        None => Ok(sinf.require(&[b"schi", b"tenc"])?.payload()),
    }
}

/// The auxiliary information of one track fragment, ready to be placed.
#[derive(Clone, Debug)]
pub struct Auxiliary {
    senc: Vec<u8>,
    sizes: Vec<u8>,
}

/// The table of a fragment, finished.
pub fn auxiliary(senc: SencWriter) -> Auxiliary {
    let (senc, sizes) = senc.finish();
    Auxiliary { senc, sizes }
}

/// Puts `saiz`, `saio` and `senc` at the end of each `traf` that has auxiliary information.
///
/// Whole samples under a constant IV need none; an empty `senc` that states their number is written all
/// the same, without `saiz` and `saio`: readers that look for one box or the other find what they need.
///
/// # Errors
/// When there are not as many `traf`: samples of one would be encrypted and nothing would say so.
pub fn place_auxiliary(moof: &mut BoxNode, auxiliaries: &[Option<Auxiliary>]) -> Result<()> {
    let count = moof.all(b"traf").count();
    if count != auxiliaries.len() {
        return Err(Error::internal(format!(
            "{count} traf, {} of them encrypted or clear",
            auxiliaries.len()
        )));
    }
    for (traf, auxiliary) in moof.all_mut(b"traf").zip(auxiliaries) {
        let Some(auxiliary) = auxiliary else { continue };
        if auxiliary.sizes.iter().any(|size| *size > 0) {
            traf.push(BoxNode::data(b"saiz", Saiz { sizes: auxiliary.sizes.clone() }.write()));
            traf.push(BoxNode::data(b"saio", Saio { offsets: vec![0] }.write()));
        }
        traf.push(BoxNode::data(b"senc", auxiliary.senc.clone()));
    }
    Ok(())
}

/// The bytes of a `moof` whose other boxes are as they stay: now it is known where the entries of `senc` lie.
///
/// # Errors
/// When what was written is not found again.
pub fn seal(moof: &mut BoxNode) -> Result<Vec<u8>> {
    point_saio_at_senc(moof);
    let bytes = moof.to_bytes();
    let checked = check_sealed(&bytes).map_err(|error| Error::internal(error.to_string()));
    debug_assert!(checked.is_ok(), "{checked:?}");
    checked.map(|()| bytes)
}

/// Reads what was written, as a player does: `saiz` and `saio` lead to the entries of `senc` and to nothing else.
fn check_sealed(moof: &[u8]) -> Result<()> {
    for traf in BoxNode::parse_one(moof)?.all(b"traf") {
        let [saiz, saio, senc] =
            [b"saiz", b"saio", b"senc"].map(|kind| traf.find(&[kind]).map(BoxNode::payload));
        let (Some(saiz), Some(saio)) = (saiz, saio) else {
            let holds = saiz.is_none() && saio.is_none();
            holds.then_some(()).ok_or_else(|| Error::input("saiz without saio, or saio without saiz"))?;
            continue;
        };
        let sizes = Saiz::parse(saiz)?.sizes;
        let offsets = Saio::parse(saio)?.offsets;
        let [offset] = *offsets else {
            return Err(Error::input(format!("saio has {} offsets", offsets.len())));
        };
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let length: usize = sizes.iter().map(|size| usize::from(*size)).sum();
        let found = moof.get(start..start.saturating_add(length));
        // The type of the box stands before its version, flags and sample_count.
        let kind = start.checked_sub(12).and_then(|at| moof.get(at..at + 4));
        let entries = senc.and_then(|senc| senc.get(8..));
        if kind != Some(b"senc") || found.is_none() || found != entries {
            return Err(Error::input(format!(
                "saio leads to byte {offset} of moof, which is no entry of senc"
            )));
        }
    }
    Ok(())
}

/// The first box that says that samples are protected already, among the children of a `traf`, `stbl` or `trak`.
///
/// # Errors
/// When there is one: samples that are encrypted a second time are lost, or in counter mode clear again.
pub fn refuse_protected(parent: &BoxNode) -> Result<()> {
    let is_of_samples = |node: &&BoxNode| node.is(b"saiz") || node.is(b"saio") || is_auxiliary(node);
    match parent.boxes().iter().find(is_of_samples) {
        Some(node) => {
            Err(Error::input(format!("there is a box {}: the samples are encrypted already", node.kind))
                .clause("ISO/IEC 23001-7 §7")
                .at(parent.kind)
                .hint("give the clear input, or decrypt it first with drm-pack decrypt"))
        }
        None => Ok(()),
    }
}

/// `saio` counts from the first byte of `moof` to the first entry of `senc`, which has its header, flags and count
/// before it: ISO/IEC 14496-12 §8.7.9.
fn point_saio_at_senc(moof: &mut BoxNode) {
    let mut position = moof.header_length() as u64;
    for child in moof.boxes_mut().into_iter().flatten() {
        let start = position;
        position += child.len() as u64;
        if !child.is(b"traf") {
            continue;
        }
        let mut inside = start + child.header_length() as u64;
        let mut entries = None;
        for node in child.boxes() {
            if node.is(b"senc") {
                entries = Some(inside + node.header_length() as u64 + 8);
            }
            inside += node.len() as u64;
        }
        if let (Some(entries), Some(saio)) = (entries, child.find_mut(&[b"saio"])) {
            *saio = BoxNode::data(b"saio", Saio { offsets: vec![entries] }.write());
        }
    }
}

/// Removes every box that tells of protection from a `traf`.
pub fn unprotect_traf(traf: &mut BoxNode) {
    traf.remove(is_auxiliary);
}

/// Removes the `pssh` boxes of `moov` or `moof`, and those that they were made from.
pub fn remove_pssh(parent: &mut BoxNode) {
    parent.remove(|node| {
        let piff = Piff::of(node).is_some_and(|(piff, _)| piff == Piff::ProtectionSystemSpecificHeader);
        node.is(b"pssh") || piff
    });
}

/// The first box in a `traf` that says that samples are encrypted.
pub fn protection_box(traf: &BoxNode) -> Option<&BoxNode> {
    traf.boxes().iter().find(|node| is_auxiliary(node))
}

/// Whether a box tells of the protection of samples.
fn is_auxiliary(node: &BoxNode) -> bool {
    match &node.kind.0 {
        b"senc" => true,
        b"saiz" | b"saio" => is_of_scheme(node),
        b"sbgp" | b"sgpd" => node.payload().get(4..8) == Some(&Sgpd::SEIG.0),
        _ => Piff::of(node).is_some_and(|(piff, _)| piff == Piff::SampleEncryption),
    }
}

/// Whether a `saiz` or `saio` is about the auxiliary information of a scheme: §7.1.
pub fn is_of_scheme(node: &BoxNode) -> bool {
    match aux_info_type(node.payload()) {
        Ok(kind) => kind.is_none_or(Scheme::is_aux_info_type),
        Err(_) => false,
    }
}

impl Protected {
    /// The scheme's row.
    ///
    /// # Errors
    /// When the scheme is not supported.
    pub fn scheme(&self) -> Result<&'static Scheme> {
        Scheme::of_entry(self.scheme_type, self.tenc.default_is_protected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Kid, Kind, Secret};
    use crate::codec::TrackKind;
    use crate::isobmff::boxes::{Senc, Tfhd};
    use crate::protect::{FragmentEncryptor, Iv, IvTrack, Pattern, SampleIvs};

    fn protection(iv: Iv) -> TrackProtection {
        let scheme = match iv {
            Iv::Constant(_) => "cbcs",
            Iv::PerSample(_) => "cenc",
        };
        let scheme = Scheme::find(scheme).unwrap();
        TrackProtection::new(scheme, Kid::new([1; 16]), &Secret::new([2; 16]), Pattern::NONE, iv)
    }

    fn audio() -> IvTrack {
        IvTrack { kind: TrackKind::Audio, timescale: 48_000, sample_entry: Vec::new() }
    }

    #[test]
    fn saio_points_at_the_first_entry_of_senc() {
        let protection = protection(Iv::PerSample(SampleIvs::new(&Secret::new([2; 16]), None)));
        let mut encryptor = FragmentEncryptor::new(&protection, &audio(), None);
        let mut senc = encryptor.senc();
        encryptor.encrypt(&mut [0; 64], [0..20, 20..64].into_iter(), 0, &mut senc).unwrap();
        let tfhd = BoxNode::data(b"tfhd", Tfhd::default().write());
        let traf = BoxNode::container(b"traf", vec![tfhd]);
        let mut moof = BoxNode::container(b"moof", vec![BoxNode::data(b"mfhd", vec![0; 8]), traf]);
        assert_eq!(place_auxiliary(&mut moof, &[]).unwrap_err().kind(), Kind::Internal);
        place_auxiliary(&mut moof, &[Some(auxiliary(senc))]).unwrap();
        // A saio that leads elsewhere is not passed on.
        assert!(check_sealed(&moof.to_bytes()).is_err());
        assert_eq!(seal(&mut moof).unwrap(), moof.to_bytes());
        let traf = moof.find(&[b"traf"]).unwrap();
        assert!(refuse_protected(traf).is_err());
        let saio = Saio::parse(traf.find(&[b"saio"]).unwrap().payload()).unwrap();
        let start = usize::try_from(saio.offsets[0]).unwrap();
        let entries = Senc::parse(traf.find(&[b"senc"]).unwrap().payload(), 8).unwrap().entries;
        assert_eq!(moof.to_bytes()[start..start + 8], entries[0].initialization_vector);
        unprotect_traf(moof.find_mut(&[b"traf"]).unwrap());
        refuse_protected(moof.find(&[b"traf"]).unwrap()).unwrap();
        assert_eq!(moof.find(&[b"traf"]).unwrap().boxes().len(), 1);
    }

    #[test]
    fn whole_samples_under_a_constant_iv_have_an_empty_senc_alone() {
        let protection = protection(Iv::Constant([3; 16]));
        let mut encryptor = FragmentEncryptor::new(&protection, &audio(), None);
        let mut senc = encryptor.senc();
        encryptor.encrypt(&mut [0; 64], [0..20, 20..64].into_iter(), 0, &mut senc).unwrap();
        let mut moof = BoxNode::container(b"moof", vec![BoxNode::container(b"traf", vec![])]);
        place_auxiliary(&mut moof, &[Some(auxiliary(senc))]).unwrap();
        let traf = moof.find(&[b"traf"]).unwrap();
        assert_eq!(traf.boxes().len(), 1);
        assert_eq!(traf.boxes()[0].to_bytes().len(), 16);
        assert_eq!(protection.tenc().write().len(), 41);
    }
}
