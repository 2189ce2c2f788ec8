//! Widevine — `pssh` data as a protocol buffer, HLS and DASH forms.

use prost::Message;

use crate::base::id::hex;
use crate::base::{Error, FourCc, KeyStore, Kid, Result, SystemId};
use crate::cpix::DrmSystem;
use crate::protect::{Mode, Pattern, Scheme};

use super::describe::{Fields, text_or_hex};
use super::pssh::Pssh;
use super::{Fault, ManifestKind, Signal, System, fill, protobuf};

const SYSTEM_ID: SystemId = SystemId::from_u128(0xedef8ba9_79d6_4ace_a3c8_27dcd51d21ed);

/// Widevine.
#[derive(Debug)]
pub struct Widevine;

/// `Data` of a Widevine `pssh` box, as far as a packager writes it.
#[derive(Clone, PartialEq, Message)]
pub struct PsshData {
    /// Key ids in written order.
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub key_id: Vec<Vec<u8>>,
    /// What the license server knows the content by.
    #[prost(bytes = "vec", optional, tag = "4")]
    pub content_id: Option<Vec<u8>>,
    /// The protection scheme as a big-endian four-character code.
    #[prost(uint32, optional, tag = "9")]
    pub protection_scheme: Option<u32>,
}

impl System for Widevine {
    fn name(&self) -> &str {
        "widevine"
    }

    fn system_id(&self) -> SystemId {
        SYSTEM_ID
    }

    fn pssh_system_id(&self) -> Option<SystemId> {
        Some(SYSTEM_ID)
    }

    fn dash_value(&self) -> &'static str {
        "Widevine"
    }

    fn allows(&self, _scheme: &Scheme) -> bool {
        true
    }

    fn signals_in(&self, _manifest: ManifestKind) -> bool {
        true
    }

    fn rotation_limit(&self) -> Option<&'static str> {
        Some(
            "some players ask for a license at the first key of an HLS playlist only: test key changes on yours",
        )
    }

    fn request(&self, system: &mut DrmSystem, manifests: &[ManifestKind]) {
        fill::request_all(system, manifests);
    }

    fn signal(&self, signal: &Signal<'_>, system: &mut DrmSystem) -> Result<()> {
        let kid = signal.key.kid;
        let data = PsshData {
            key_id: vec![kid.bytes().to_vec()],
            content_id: Some(signal.content_id.as_bytes().to_vec()).filter(|id| !id.is_empty()),
            protection_scheme: Some(u32::from_be_bytes(signal.scheme.fourcc.0)),
        };
        let ours = Pssh { system_id: SYSTEM_ID, kids: None, data: data.encode_to_vec() };
        let boxes = fill::pssh(system, SYSTEM_ID, ours)?;
        let license = signal.license_url.map(fill::license_url).unwrap_or_default();
        fill::text(&mut system.content_protection_data, || boxes.elements + &license);
        let key_format = format!("urn:uuid:{SYSTEM_ID}");
        if let Some(method) = signal.scheme.hls_method {
            let object = boxes.first.write()?;
            let line = fill::hls_attributes(method, "text/plain", &object, Some(kid), &key_format);
            fill::hls(&mut system.hls_signaling_data, &line);
        }
        Ok(())
    }

    fn kids(&self, pssh: &Pssh) -> Result<Vec<Kid>> {
        let wrong = |what: String| Error::input(what).at("Widevine pssh data");
        let data = PsshData::decode(pssh.data.as_slice()).map_err(|error| wrong(error.to_string()))?;
        let kid = |bytes: &Vec<u8>| {
            let kid = <[u8; 16]>::try_from(bytes.as_slice()).map(Kid::new);
            kid.map_err(|_| wrong(format!("key_id of {} bytes, expected 16", bytes.len())))
        };
        data.key_id.iter().map(kid).collect()
    }

    fn describe(&self, data: &[u8]) -> Result<Fields> {
        let fields = protobuf::fields(data).map_err(|error| error.at("Widevine pssh data"))?;
        Ok(fields.into_iter().map(|(number, value)| field(number, &value)).collect())
    }

    fn recognizes(&self, data: &[u8]) -> bool {
        // Any text may happen to be a protocol buffer; one with key ids of 16 bytes is no accident.
        PsshData::decode(data)
            .is_ok_and(|data| !data.key_id.is_empty() && data.key_id.iter().all(|id| id.len() == 16))
    }

    fn faults(&self, pssh: &Pssh, scheme: &Scheme, _key_store: &dyn KeyStore) -> Vec<Fault> {
        let Ok(data) = PsshData::decode(pssh.data.as_slice()) else { return Vec::new() };
        let expected = u32::from_be_bytes(scheme.fourcc.0);
        // Without the field counter mode without a pattern is meant.
        let is_plain = scheme.mode == Mode::Ctr && scheme.video == Pattern::NONE;
        if data.protection_scheme == Some(expected) || (is_plain && data.protection_scheme.is_none()) {
            return Vec::new();
        }
        let found = data.protection_scheme.map(|scheme| FourCc(scheme.to_be_bytes()).to_string());
        vec![Fault {
            rule: "pssh-scheme",
            found: format!("protection_scheme {}", found.unwrap_or_else(|| "absent".into())),
            expected: scheme.name.to_owned(),
        }]
    }
}

/// Name and value of a field for people. Wrapped keys of entitlements are sizes only.
fn field(number: u64, value: &protobuf::Value<'_>) -> (String, String) {
    use protobuf::Value::{Bytes, Number};
    let named = |name: &str, value: String| (name.to_owned(), value);
    match (number, value) {
        (1, Number(0)) => named("algorithm", "UNENCRYPTED".into()),
        (1, Number(1)) => named("algorithm", "AESCTR".into()),
        (1, Number(other)) => named("algorithm", other.to_string()),
        (2, Bytes(bytes)) => {
            let kid = <[u8; 16]>::try_from(*bytes).map(|bytes| Kid::new(bytes).to_string());
            named("key_id", kid.unwrap_or_else(|_| hex(bytes)))
        }
        (3, Bytes(bytes)) => named("provider", text_or_hex(bytes)),
        (4, Bytes(bytes)) => named("content_id", text_or_hex(bytes)),
        (6, Bytes(bytes)) => named("policy", text_or_hex(bytes)),
        (7, Number(index)) => named("crypto_period_index", index.to_string()),
        (8, Bytes(bytes)) => named("grouped_license", format!("present ({} bytes)", bytes.len())),
        (9, Number(scheme)) => {
            let fourcc = u32::try_from(*scheme).map(|scheme| FourCc(scheme.to_be_bytes()).to_string());
            named("protection_scheme", fourcc.unwrap_or_else(|_| scheme.to_string()))
        }
        (number, Number(value)) => (format!("field_{number}"), value.to_string()),
        (number, Bytes(bytes)) => (format!("field_{number}"), format!("present ({} bytes)", bytes.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::base64;
    use crate::drm::tests::{key, signal};

    #[test]
    fn the_box_of_56_bytes_has_one_key_id_and_the_scheme() {
        let key = key();
        let mut system = DrmSystem::new(SYSTEM_ID, key.kid);
        Widevine.signal(&Signal { content_id: "", ..signal(&key, "cbcs") }, &mut system).unwrap();
        let pssh = system.pssh.unwrap();
        assert_eq!(pssh.len(), 56);
        assert_eq!(
            base64(&pssh),
            "AAAAOHBzc2gAAAAA7e+LqXnWSs6jyCfc1R0h7QAAABgSEDEyMzQ1Njc4OTAxMjM0NTZI88aJmwY="
        );
        assert_eq!(
            system.hls_signaling_data.media.unwrap(),
            "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"data:text/plain;base64,\
             AAAAOHBzc2gAAAAA7e+LqXnWSs6jyCfc1R0h7QAAABgSEDEyMzQ1Njc4OTAxMjM0NTZI88aJmwY=\",\
             KEYID=0x31323334353637383930313233343536,\
             KEYFORMAT=\"urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed\",KEYFORMATVERSIONS=\"1\""
        );
    }

    #[test]
    fn the_scheme_is_its_four_characters_as_a_varint() {
        for (scheme, varint) in [
            (b"cenc", [0x48, 0xe3, 0xdc, 0x95, 0x9b, 0x06]),
            (b"cbcs", [0x48, 0xf3, 0xc6, 0x89, 0x9b, 0x06]),
            (b"cens", [0x48, 0xf3, 0xdc, 0x95, 0x9b, 0x06]),
            (b"cbc1", [0x48, 0xb1, 0xc6, 0x89, 0x9b, 0x06]),
        ] {
            let scheme = u32::from_be_bytes(*scheme);
            let data = PsshData { key_id: vec![], content_id: None, protection_scheme: Some(scheme) };
            assert_eq!(data.encode_to_vec(), varint);
        }
    }

    #[test]
    fn the_content_id_goes_between_key_and_scheme() {
        let data = PsshData { key_id: vec![], content_id: Some(b"a".to_vec()), protection_scheme: Some(1) };
        assert_eq!(data.encode_to_vec(), [0x22, 1, b'a', 0x48, 1]);
    }
}
