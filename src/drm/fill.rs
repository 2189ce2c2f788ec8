//! Filling of a `DRMSystem`: what the key server said stays, what it left out is added — DASH-IF CPIX 2.3 §4.

use crate::base::{Error, Kid, Result, SystemId, base64};
use crate::cpix::{DrmSystem, HlsSignalingData};
use crate::xml::Element;

use super::ManifestKind;
use super::pssh::Pssh;

const MEDIA: &str = "#EXT-X-KEY:";
const MULTIVARIANT: &str = "#EXT-X-SESSION-KEY:";

/// Marks the box and what each kind of manifest holds as "please fill".
pub(super) fn request_all(system: &mut DrmSystem, manifests: &[ManifestKind]) {
    system.pssh.get_or_insert_default();
    for manifest in manifests {
        match manifest {
            ManifestKind::Dash => {
                system.content_protection_data.get_or_insert_default();
            }
            ManifestKind::Hls => request_hls(&mut system.hls_signaling_data),
        }
    }
}

/// Marks both playlists' lines as "please fill": SPEKE 2.0 asks for them as a pair.
pub(super) fn request_hls(hls: &mut HlsSignalingData) {
    hls.media.get_or_insert_default();
    hls.multivariant.get_or_insert_default();
}

/// The boxes of one key: the first is the one that playlists carry.
pub(super) struct Boxes {
    /// The box for places that hold one.
    pub(super) first: Pssh,
    /// `cenc:pssh` elements of all: ISO/IEC 23001-7 §11.2.
    pub(super) elements: String,
}

/// The boxes of the key server, or ours in their place.
pub(super) fn pssh(system: &mut DrmSystem, system_id: SystemId, ours: Pssh) -> Result<Boxes> {
    let Some(bytes) = system.pssh.as_ref().filter(|bytes| !bytes.is_empty()) else {
        system.pssh = Some(ours.write()?);
        return Ok(Boxes { elements: cenc_pssh(&ours)?, first: ours });
    };
    let theirs = boxes(bytes, system_id)?;
    let elements = theirs.iter().map(cenc_pssh).collect::<Result<_>>()?;
    Ok(Boxes { first: theirs.into_iter().next().unwrap_or(ours), elements })
}

/// The boxes of a key server; all are of this system.
fn boxes(bytes: &[u8], system_id: SystemId) -> Result<Vec<Pssh>> {
    let place = |error: Error| error.at(format_args!("DRMSystem {system_id}/PSSH"));
    let theirs = Pssh::parse_all(bytes).map_err(place)?;
    if let Some(other) = theirs.iter().find(|pssh| pssh.system_id != system_id) {
        let found = other.system_id;
        return Err(place(Error::keys(format!("box of the DRM system {found}, expected {system_id}"))));
    }
    Ok(theirs)
}

/// `cenc:pssh` elements of the boxes of a key server.
pub(super) fn elements(bytes: &[u8], system_id: SystemId) -> Result<String> {
    boxes(bytes, system_id)?.iter().map(cenc_pssh).collect()
}

/// Sets a text that is missing or empty.
pub(super) fn text(place: &mut Option<String>, ours: impl FnOnce() -> String) {
    if place.as_ref().is_none_or(|text| text.trim().is_empty()) {
        *place = Some(ours());
    }
}

/// Sets the lines that are missing. One line of the key server gives the other: RFC 8216bis §4.4.5.5
/// wants the same attributes in both.
pub(super) fn hls(hls: &mut HlsSignalingData, ours: &str) {
    let theirs = attributes(&hls.media, MEDIA).or_else(|| attributes(&hls.multivariant, MULTIVARIANT));
    let attributes = theirs.unwrap_or(ours).to_owned();
    text(&mut hls.media, || format!("{MEDIA}{attributes}"));
    text(&mut hls.multivariant, || format!("{MULTIVARIANT}{attributes}"));
}

fn attributes<'a>(line: &'a Option<String>, tag: &str) -> Option<&'a str> {
    line.as_deref()?.trim().strip_prefix(tag).filter(|attributes| !attributes.contains(['\r', '\n']))
}

/// The attribute list of a system whose URI carries its data.
pub(super) fn hls_attributes(
    method: &str,
    media_type: &str,
    data: &[u8],
    kid: Option<Kid>,
    key_format: &str,
) -> String {
    let data = base64(data);
    let key_id = kid.map(|kid| format!("KEYID=0x{},", kid.hex())).unwrap_or_default();
    format!(
        "METHOD={method},URI=\"data:{media_type};base64,{data}\",{key_id}KEYFORMAT=\"{key_format}\",\
         KEYFORMATVERSIONS=\"1\""
    )
}

/// Where the license is, in an MPD: DASH-IF IOP, content protection.
pub(super) fn license_url(url: &str) -> String {
    Element::new("dashif:Laurl").with("xmlns:dashif", "https://dashif.org/CPS").with_text(url).to_text()
}

fn cenc_pssh(pssh: &Pssh) -> Result<String> {
    let element = Element::new("cenc:pssh").with("xmlns:cenc", "urn:mpeg:cenc:2013");
    Ok(element.with_text(&base64(&pssh.write()?)).to_text())
}
