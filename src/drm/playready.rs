//! PlayReady — PlayReady Header Specification: PlayReady object, WRMHEADER 4.0, 4.2 and 4.3.

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit};

use crate::base::bytes::Reader;
use crate::base::id::hex;
use crate::base::{Error, KeyStore, Kid, Result, Secret, SystemId, base64, from_base64, redact_url};
use crate::cpix::DrmSystem;
use crate::protect::Scheme;
use crate::protect::scheme::{Mode, Pattern};
use crate::xml::{Document, Element};

use super::pssh::Pssh;
use super::{Fault, Fields, ManifestKind, Signal, System, fill};

const SYSTEM_ID: SystemId = SystemId::from_u128(0x9a04f079_9840_4286_ab92_e65be0885f95);
/// The namespace of `mspr:pro` in an MPD.
const PRO_NAMESPACE: &str = "urn:microsoft:playready";
const NAMESPACE: &str = "http://schemas.microsoft.com/DRM/2007/03/PlayReadyHeader";
const CLAUSE: &str = "PlayReady Header Specification";
/// The record type of a rights management header.
const HEADER_RECORD: u16 = 1;
/// The record type of an embedded license store.
const LICENSE_STORE_RECORD: u16 = 3;

/// PlayReady.
#[derive(Debug)]
pub struct PlayReady;

/// A key and its id, as a header names them.
#[derive(Clone, Copy, Debug)]
pub struct HeaderKey<'a> {
    /// The key id.
    pub kid: Kid,
    /// The content key, for the checksum.
    pub value: &'a Secret<16>,
}

impl System for PlayReady {
    fn name(&self) -> &str {
        "playready"
    }

    fn system_id(&self) -> SystemId {
        SYSTEM_ID
    }

    fn pssh_system_id(&self) -> Option<SystemId> {
        Some(SYSTEM_ID)
    }

    fn dash_value(&self) -> &'static str {
        "MSPR 2.0"
    }

    fn allows(&self, scheme: &Scheme) -> bool {
        // Its clients know counter mode without and block chaining with a pattern.
        (scheme.mode == Mode::Ctr) == (scheme.video == Pattern::NONE)
    }

    fn signals_in(&self, _manifest: ManifestKind) -> bool {
        true
    }

    /// Its header, which playlists have too, has a field for it.
    fn signals_license_url(&self, _manifest: ManifestKind) -> bool {
        true
    }

    fn rotation_limit(&self) -> Option<&'static str> {
        Some("some consoles and TVs do not follow keys that change in-band: test key changes on yours")
    }

    fn shared_key_limit(&self) -> Option<&'static str> {
        Some(
            "video and audio share a key, which clients of security level SL3000 refuse for audio: give audio a key \
             of its own with --preset preset1 or an audio preset",
        )
    }

    fn request(&self, system: &mut DrmSystem, manifests: &[ManifestKind]) {
        fill::request_all(system, manifests);
        // SPEKE 1.0 has an element of its own for it, which servers of that version expect beside the box.
        system.smooth_streaming_protection_header_data.get_or_insert_default();
    }

    fn signal(&self, signal: &Signal<'_>, system: &mut DrmSystem) -> Result<()> {
        let kid = signal.key.kid;
        let value =
            signal.key.value.as_ref().ok_or_else(|| Error::keys(format!("key {kid} has no value")))?;
        let data = match theirs(system) {
            Some(text) => from_base64(text).map_err(|error| error.at("protection header"))?,
            None => {
                let keys = [HeaderKey { kid, value }];
                object(&header(&keys, signal.scheme.mode, signal.license_url))?
            }
        };
        let boxes = fill::pssh(system, SYSTEM_ID, Pssh { system_id: SYSTEM_ID, kids: None, data })?;
        let object = &boxes.first.data;
        let pro = base64(object);
        let element = Element::new("mspr:pro").with("xmlns:mspr", PRO_NAMESPACE).with_text(&pro);
        let license = signal.license_url.map(|url| {
            // Older players read the second.
            let element = Element::new("ms:laurl").with("xmlns:ms", "urn:microsoft").with("licenseUrl", url);
            fill::license_url(url) + &element.to_text()
        });
        let elements = boxes.elements + &element.to_text() + &license.unwrap_or_default();
        fill::text(&mut system.content_protection_data, || elements);
        if let Some(method) = signal.scheme.hls_method {
            let key_format = "com.microsoft.playready";
            let line = fill::hls_attributes(method, "text/plain;charset=UTF-16", object, None, key_format);
            fill::hls(&mut system.hls_signaling_data, &line);
        }
        fill::text(&mut system.smooth_streaming_protection_header_data, || pro);
        Ok(())
    }

    fn kids(&self, pssh: &Pssh) -> Result<Vec<Kid>> {
        let mut kids = Vec::new();
        for header in headers(&pssh.data).map_err(|error| error.at("PlayReady object"))? {
            kids_of(header.root(), &mut kids).map_err(|error| error.at("WRMHEADER"))?;
        }
        Ok(kids)
    }

    fn describe(&self, data: &[u8]) -> Result<Fields> {
        let mut fields = vec![("object_length".to_owned(), data.len().to_string())];
        for (kind, record) in records(data).map_err(|error| error.at("PlayReady object"))? {
            let word = match kind {
                HEADER_RECORD => "1 (header)",
                LICENSE_STORE_RECORD => "3 (embedded license store)",
                _ => "unknown",
            };
            fields.push(("record".to_owned(), format!("type {word}, {} bytes", record.len())));
            if kind == HEADER_RECORD {
                describe_header(document(record)?.root(), &mut fields)
                    .map_err(|error| error.at("WRMHEADER"))?;
            }
        }
        Ok(fields)
    }

    fn recognizes(&self, data: &[u8]) -> bool {
        headers(data).is_ok_and(|headers| !headers.is_empty())
    }

    fn faults(&self, pssh: &Pssh, scheme: &Scheme, key_store: &dyn KeyStore) -> Vec<Fault> {
        let mut faults = Vec::new();
        for header in headers(&pssh.data).unwrap_or_default() {
            check_header(header.root(), scheme.mode, key_store, &mut faults);
        }
        faults
    }

    fn descriptor_data(&self, element: &Element) -> Result<Option<Pssh>> {
        if element.local_name() != "pro" {
            return Ok(None);
        }
        let declared = element.attribute(&format!("xmlns:{}", element.prefix()))?;
        if let Some(other) = declared.filter(|declared| declared != PRO_NAMESPACE) {
            return Err(Error::input(format!("pro of the namespace {other:?}, expected {PRO_NAMESPACE}"))
                .clause("Microsoft, PlayReady DASH content protection"));
        }
        let data = from_base64(element.text()?.trim())?;
        headers(&data).map_err(|error| error.at("PlayReady object"))?;
        Ok(Some(Pssh { system_id: SYSTEM_ID, kids: None, data }))
    }

    fn key_uri_pssh(&self, key_format: &str, data: &[u8]) -> Result<Option<Pssh>> {
        if key_format != "com.microsoft.playready" {
            return Ok(None);
        }
        headers(data).map_err(|error| error.at("PlayReady object"))?;
        Ok(Some(Pssh { system_id: SYSTEM_ID, kids: None, data: data.to_vec() }))
    }
}

/// The object of a key server that gives no box around it.
fn theirs(system: &DrmSystem) -> Option<&str> {
    let text = system.smooth_streaming_protection_header_data.as_deref()?;
    let has_box = system.pssh.as_ref().is_some_and(|bytes| !bytes.is_empty());
    Some(text.trim()).filter(|text| !text.is_empty() && !has_box)
}

/// The elements and attributes of a header: a key id in written order and as its bytes stand in the header.
fn describe_header(element: &Element, fields: &mut Fields) -> Result<()> {
    let mut add = |name: &str, value: String| fields.push((name.to_owned(), value));
    let name = element.local_name();
    match name {
        "WRMHEADER" => add("header_version", element.attribute("version")?.unwrap_or_default().into_owned()),
        "KID" => {
            let value = match element.attribute("VALUE")? {
                Some(value) => value.into_owned(),
                None => element.text()?,
            };
            let mut kids = Vec::new();
            kids_of(element, &mut kids)?;
            for kid in kids {
                add("kid", kid.to_string());
                add("kid_guid_bytes", format!("{} ({})", hex(&kid.to_guid_le()), value.trim()));
            }
            for name in ["ALGID", "CHECKSUM"] {
                if let Some(value) = element.attribute(name)? {
                    add(&name.to_lowercase(), value.into_owned());
                }
            }
        }
        "CUSTOMATTRIBUTES" => {
            add("custom_attributes", element.to_text());
            return Ok(());
        }
        "LA_URL" | "LUI_URL" => add(&name.to_lowercase(), redact_url(element.text()?.trim())),
        "DATA" | "PROTECTINFO" | "KIDS" => {}
        _ => add(&name.to_lowercase(), element.text()?.trim().to_owned()),
    }
    element.elements().try_for_each(|child| describe_header(child, fields))
}

/// Version, algorithms and checksums of a header.
fn check_header(header: &Element, mode: Mode, key_store: &dyn KeyStore, faults: &mut Vec<Fault>) {
    let attribute = |element: &Element, name: &str| {
        element.attribute(name).ok().flatten().map(std::borrow::Cow::into_owned)
    };
    let version = attribute(header, "version").unwrap_or_default();
    let mut kids = Vec::new();
    named(header, "KID", &mut kids);
    let has_list = {
        let mut lists = Vec::new();
        named(header, "KIDS", &mut lists);
        !lists.is_empty()
    };
    let is_old = matches!(version.as_str(), "4.0.0.0" | "4.1.0.0");
    if (mode == Mode::Cbc && version != "4.3.0.0") || (is_old && has_list) {
        let expected = if mode == Mode::Cbc { "4.3.0.0" } else { "4.2.0.0 for KIDS" };
        faults.push(Fault { rule: "wrm-version", found: version, expected: expected.into() });
    }
    let old = |name: &str| {
        let mut found = Vec::new();
        named(header, name, &mut found);
        found.first().and_then(|element| element.text().ok())
    };
    let expected = if mode == Mode::Cbc { "AESCBC" } else { "AESCTR" };
    for kid in kids {
        let algorithm = attribute(kid, "ALGID").or_else(|| old("ALGID"));
        if let Some(found) = algorithm.filter(|found| found != expected) {
            faults.push(Fault { rule: "wrm-algid", found, expected: expected.into() });
        }
        let Some(found) = attribute(kid, "CHECKSUM").or_else(|| old("CHECKSUM")) else { continue };
        let mut own = Vec::new();
        let value = kids_of(kid, &mut own).ok().and_then(|()| own.first().copied());
        let wanted = match (mode, value) {
            (Mode::Cbc, _) => Some("none with AESCBC".to_owned()),
            (Mode::Ctr, Some(kid)) => {
                key_store.key(kid).map(|value| checksum(&HeaderKey { kid, value: &value }))
            }
            (Mode::Ctr, None) => None,
        };
        if let Some(expected) = wanted.filter(|wanted| *wanted != found) {
            faults.push(Fault { rule: "wrm-checksum", found, expected });
        }
    }
}

/// Every element of this local name, at any depth.
fn named<'a>(element: &'a Element, name: &str, found: &mut Vec<&'a Element>) {
    if element.local_name() == name {
        found.push(element);
    }
    element.elements().for_each(|child| named(child, name, found));
}

/// The oldest header version that can say it: 4.0 for one counter mode key, 4.2 for several, 4.3 for
/// block chaining. Only the last has no checksums: with `AESCBC` they are forbidden. `LA_URL` is where the license is.
pub fn header(keys: &[HeaderKey<'_>], mode: Mode, license_url: Option<&str>) -> String {
    let (version, mut data) = match (keys, mode) {
        ([key], Mode::Ctr) => ("4.0.0.0", data_4_0(key)),
        (_, Mode::Ctr) => ("4.2.0.0", data_4_2(keys, Mode::Ctr)),
        (_, Mode::Cbc) => ("4.3.0.0", data_4_2(keys, Mode::Cbc)),
    };
    if let Some(url) = license_url {
        data = data.with_child(Element::new("LA_URL").with_text(url));
    }
    Element::new("WRMHEADER").with("xmlns", NAMESPACE).with("version", version).with_child(data).to_text()
}

/// The PlayReady object that holds one header record.
///
/// # Errors
/// When the header does not fit a record.
pub fn object(header: &str) -> Result<Vec<u8>> {
    let record: Vec<u8> = header.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let length = u16::try_from(record.len()).map_err(|_| {
        Error::unsupported(format!("PlayReady header of {} bytes, a record holds 65535", record.len()))
            .clause(CLAUSE)
    })?;
    let total = u32::from(length) + 10;
    let fields = [&total.to_le_bytes()[..], &1_u16.to_le_bytes(), &HEADER_RECORD.to_le_bytes()].concat();
    Ok([&fields[..], &length.to_le_bytes(), &record].concat())
}

fn data_4_0(key: &HeaderKey<'_>) -> Element {
    let element = |name: &str, text: &str| Element::new(name).with_text(text);
    let protect_info = Element::new("PROTECTINFO")
        .with_child(element("KEYLEN", "16"))
        .with_child(element("ALGID", "AESCTR"));
    Element::new("DATA")
        .with_child(protect_info)
        .with_child(element("KID", &base64(&key.kid.to_guid_le())))
        .with_child(element("CHECKSUM", &checksum(key)))
}

/// `DATA` of versions 4.2 and 4.3. Attributes stand in alphabetical order, end tags are written out.
fn data_4_2(keys: &[HeaderKey<'_>], mode: Mode) -> Element {
    let mut kids = Element::new("KIDS");
    for key in keys {
        let kid = Element::new("KID");
        let kid = match mode {
            Mode::Ctr => kid.with("ALGID", "AESCTR").with("CHECKSUM", &checksum(key)),
            Mode::Cbc => kid.with("ALGID", "AESCBC"),
        };
        kids = kids.with_child(kid.with("VALUE", &base64(&key.kid.to_guid_le())).with_text(""));
    }
    Element::new("DATA").with_child(Element::new("PROTECTINFO").with_child(kids))
}

/// The first eight bytes of the key id, in GUID order, encrypted with the content key.
fn checksum(key: &HeaderKey<'_>) -> String {
    let mut block = key.kid.to_guid_le().into();
    Aes128::new(key.value.expose().into()).encrypt_block(&mut block);
    let [a, b, c, d, e, f, g, h, ..] = block.0;
    base64(&[a, b, c, d, e, f, g, h])
}

/// The records of a PlayReady object: types and bytes.
fn records(object: &[u8]) -> Result<Vec<(u16, &[u8])>> {
    let mut reader = Reader::new(object);
    let total = u32::from_le_bytes(reader.array()?);
    if u32::try_from(object.len()) != Ok(total) {
        return Err(Error::input(format!("length {total} in {} bytes", object.len())).clause(CLAUSE));
    }
    let mut records = Vec::new();
    for _ in 0..u16::from_le_bytes(reader.array()?) {
        let kind = u16::from_le_bytes(reader.array()?);
        let length = u16::from_le_bytes(reader.array()?);
        records.push((kind, reader.take(usize::from(length))?));
    }
    Ok(records)
}

/// The header records of a PlayReady object.
fn headers(object: &[u8]) -> Result<Vec<Document>> {
    let records = records(object)?.into_iter().filter(|(kind, _)| *kind == HEADER_RECORD);
    records.map(|(_, record)| document(record)).collect()
}

fn document(record: &[u8]) -> Result<Document> {
    // The record is UTF-16LE without the byte order mark that says so.
    Document::parse(&[&[0xff, 0xfe], record].concat())
}

fn kids_of(element: &Element, kids: &mut Vec<Kid>) -> Result<()> {
    if element.local_name() != "KID" {
        return element.elements().try_for_each(|child| kids_of(child, kids));
    }
    let value = match element.attribute("VALUE")? {
        Some(value) => value.into_owned(),
        None => element.text()?,
    };
    let bytes = from_base64(&value)?;
    let guid = <[u8; 16]>::try_from(bytes.as_slice())
        .map_err(|_| Error::input(format!("KID of {} bytes, expected 16", bytes.len())).clause(CLAUSE))?;
    // Swapping the byte order of a GUID undoes itself.
    kids.push(Kid::new(Kid::new(guid).to_guid_le()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::parse_16;
    use crate::drm::tests::{key, signal};

    /// Key id, key, `VALUE`, `CHECKSUM`; the first is a published test key of the system's maker.
    const VECTORS: [[&str; 4]; 3] = [
        [
            "10000000100010001000100000000001",
            "5b7d5b7d5b7d5b7d5b7d5b7d5b7d5b7d",
            "AAAAEAAQABAQABAAAAAAAQ==",
            "ipY1KujFLm4=",
        ],
        [
            "31323334353637383930313233343536",
            "32333435363738393021323334353637",
            "NDMyMTY1ODc5MDEyMzQ1Ng==",
            "l5LoUgK9KCg=",
        ],
        [
            "abba271e8bcf552bbd2e86a434a9a5d9",
            "69eaa802a6763af979e8d1940fb88392",
            "Hie6q8+LK1W9LoakNKml2Q==",
            "BB31ycMlSig=",
        ],
    ];

    fn pairs() -> Vec<(Kid, Secret<16>)> {
        VECTORS
            .iter()
            .map(|[kid, key, ..]| (Kid::parse(kid).unwrap(), Secret::new(parse_16(key).unwrap())))
            .collect()
    }

    #[test]
    fn one_counter_mode_key_gets_header_4_0_with_its_checksum() {
        for ((kid, value), [_, _, text, checksum]) in pairs().iter().zip(VECTORS) {
            assert_eq!(
                header(&[HeaderKey { kid: *kid, value }], Mode::Ctr, None),
                format!(
                    "<WRMHEADER xmlns=\"http://schemas.microsoft.com/DRM/2007/03/PlayReadyHeader\" \
                     version=\"4.0.0.0\"><DATA><PROTECTINFO><KEYLEN>16</KEYLEN><ALGID>AESCTR</ALGID>\
                     </PROTECTINFO><KID>{text}</KID><CHECKSUM>{checksum}</CHECKSUM></DATA></WRMHEADER>"
                )
            );
        }
    }

    #[test]
    fn several_counter_mode_keys_get_header_4_2_with_their_checksums() {
        let pairs = pairs();
        let keys: Vec<_> = pairs.iter().map(|(kid, value)| HeaderKey { kid: *kid, value }).collect();
        let kids: String = VECTORS
            .iter()
            .map(|[_, _, value, checksum]| {
                format!("<KID ALGID=\"AESCTR\" CHECKSUM=\"{checksum}\" VALUE=\"{value}\"></KID>")
            })
            .collect();
        assert_eq!(
            header(&keys, Mode::Ctr, None),
            format!(
                "<WRMHEADER xmlns=\"http://schemas.microsoft.com/DRM/2007/03/PlayReadyHeader\" \
                 version=\"4.2.0.0\"><DATA><PROTECTINFO><KIDS>{kids}</KIDS></PROTECTINFO></DATA></WRMHEADER>"
            )
        );
    }

    #[test]
    fn block_chaining_gets_header_4_3_without_a_checksum() {
        let pairs = pairs();
        let keys: Vec<_> = pairs.iter().map(|(kid, value)| HeaderKey { kid: *kid, value }).collect();
        for count in 1..=keys.len() {
            let text = header(&keys[..count], Mode::Cbc, None);
            assert!(text.contains("version=\"4.3.0.0\""), "{text}");
            assert!(
                text.contains("<KID ALGID=\"AESCBC\" VALUE=\"AAAAEAAQABAQABAAAAAAAQ==\"></KID>"),
                "{text}"
            );
            assert!(!text.contains("CHECKSUM"), "{text}");
        }
    }

    #[test]
    fn the_key_ids_of_every_version_are_read_back() {
        let pairs = pairs();
        let keys: Vec<_> = pairs.iter().map(|(kid, value)| HeaderKey { kid: *kid, value }).collect();
        let wanted: Vec<Kid> = keys.iter().map(|key| key.kid).collect();
        for (count, mode) in [(1, Mode::Ctr), (3, Mode::Ctr), (1, Mode::Cbc), (3, Mode::Cbc)] {
            let data = object(&header(&keys[..count], mode, None)).unwrap();
            let pssh = Pssh { system_id: SYSTEM_ID, kids: None, data };
            assert_eq!(PlayReady.kids(&pssh).unwrap(), wanted[..count]);
        }
    }

    #[test]
    fn truncated_and_mutated_objects_are_errors_or_read_calmly() {
        let key = key();
        let data = object(&header(
            &[HeaderKey { kid: key.kid, value: key.value.as_ref().unwrap() }],
            Mode::Ctr,
            None,
        ))
        .unwrap();
        let kids =
            |data: &[u8]| PlayReady.kids(&Pssh { system_id: SYSTEM_ID, kids: None, data: data.to_vec() });
        for end in 0..data.len() {
            assert!(kids(&data[..end]).is_err(), "{end}");
        }
        for position in 0..data.len() {
            for value in [0, 0x3c, 0xd8, 0xff] {
                let mut mutated = data.clone();
                mutated[position] = value;
                let _ = kids(&mutated);
            }
        }
    }

    #[test]
    fn playlists_and_smooth_manifests_hold_the_object_and_not_the_box() {
        let key = key();
        let mut system = DrmSystem::new(SYSTEM_ID, key.kid);
        PlayReady.signal(&signal(&key, "cenc"), &mut system).unwrap();
        let pro = base64(&Pssh::parse(&system.pssh.unwrap()).unwrap().data);
        assert_eq!(
            system.hls_signaling_data.media.unwrap(),
            format!(
                "#EXT-X-KEY:METHOD=SAMPLE-AES-CTR,URI=\"data:text/plain;charset=UTF-16;base64,{pro}\",\
                 KEYFORMAT=\"com.microsoft.playready\",KEYFORMATVERSIONS=\"1\""
            )
        );
        assert_eq!(system.smooth_streaming_protection_header_data.unwrap(), pro);
        let data = system.content_protection_data.unwrap();
        assert!(data.contains(&format!("<mspr:pro xmlns:mspr=\"urn:microsoft:playready\">{pro}</mspr:pro>")));
    }

    #[test]
    fn an_object_without_a_box_gets_one() {
        let key = key();
        let theirs = object("<WRMHEADER version=\"4.0.0.0\"><DATA/></WRMHEADER>").unwrap();
        let mut system = DrmSystem::new(SYSTEM_ID, key.kid);
        system.smooth_streaming_protection_header_data = Some(base64(&theirs));
        PlayReady.signal(&signal(&key, "cenc"), &mut system).unwrap();
        assert_eq!(Pssh::parse(&system.pssh.unwrap()).unwrap().data, theirs);
        assert!(system.content_protection_data.unwrap().contains(&base64(&theirs)));
    }

    #[test]
    fn a_key_without_a_value_is_an_error() {
        let mut key = key();
        key.value = None;
        let mut system = DrmSystem::new(SYSTEM_ID, key.kid);
        assert!(PlayReady.signal(&signal(&key, "cenc"), &mut system).is_err());
    }
}
