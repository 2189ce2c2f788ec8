//! What `pssh` boxes and key tags say, for people — the registry of DRM system ids, RFC 8216bis §4.4.4.4.

use crate::base::SystemId;
use crate::base::id::hex;

use super::{ALL, System, find_id};

/// Names of fields and their values; a name may come several times.
pub type Fields = Vec<(String, String)>;

/// Bytes of unknown data that are shown.
const SHOWN_BYTES: usize = 64;

/// Names of registered systems and of unregistered ids that are met in files.
const NAMES: &[(u128, &str)] = &[
    (0x1077efec_c0b2_4d02_ace3_3c1e52e2fb4b, "W3C Common"),
    (0xe2719d58_a985_b3c9_781a_b030af78d30e, "ClearKey"),
    (0x3ea8778f_7742_4bf9_b18b_e834b2acbd47, "ClearKey AES-128"),
    (0x81376844_f976_481e_a84e_cc25d39b0b33, "AES-128 of SPEKE 1"),
    (0xbe58615b_19c4_4684_88b3_c8c57e99e957, "ClearKey SAMPLE-AES"),
    (0xedef8ba9_79d6_4ace_a3c8_27dcd51d21ed, "Widevine"),
    (0x9a04f079_9840_4286_ab92_e65be0885f95, "PlayReady"),
    (0x79f0049a_4098_8642_ab92_e65be0885f95, "PlayReady (HbbTV 1.5)"),
    (0x94ce86fb_07ff_4f43_adb8_93d2fa968ca2, "FairPlay"),
    (0x29701fe4_3cc7_4a34_8c5b_ae90c7439a47, "FairPlay (unregistered id)"),
    (0x5e629af5_38da_4063_8977_97ffbd9902d4, "Marlin"),
    (0x69f908af_4816_46ea_910c_cd5dcccb0a3a, "Marlin"),
    (0xf239e769_efa3_4850_9c16_a903c6932efb, "Adobe Primetime"),
    (0x9a27dd82_fde2_4725_8cbc_4234aa06ec09, "Verimatrix VCAS"),
    (0xadb41c24_2dbf_4a6d_958b_4457c0d27b95, "Nagra"),
    (0x80a6be7e_1448_4c37_9e70_d5aebe04c8d2, "Irdeto"),
    (0x3d5e6d35_9b9a_41e8_b843_dd3c6e72c42c, "ChinaDRM"),
    (0xb4413586_c58c_ffb0_94a5_d4896c1af6c3, "Viaccess-Orca"),
    (0xa68129d3_575b_4f1a_9cba_3223846cf7c3, "Synamedia"),
    (0x616c7469_6361_7374_2d50_726f74656374, "Alticast"),
    (0x279fe473_512c_48fe_ade8_d176fee6b40f, "Arris Titanium"),
    (0x37c33258_7b99_4c7e_b15d_19af74482154, "CommScope Titanium V3"),
    (0x45d481cb_8fe0_49c0_ada9_ab2d2455b2f2, "CoreCrypt"),
    (0x35bf197b_530e_42d7_8b65_1b4bf415070f, "DivX"),
    (0x6a99532d_869f_5922_9a91_113ab7b1e2f3, "MobiTV"),
    (0x1f83e1e8_6ee9_4f0d_ba2f_5ec4e3ed1a66, "SecureMedia"),
    (0xaa11967f_cc01_4a4a_8e99_c5d3dddfea2d, "UDRM"),
    (0x793b7956_9f94_4946_a942_23e7ef7e44b4, "VisionCrypt"),
    (0x644fe7b5_260f_4fad_949a_0762ffb054b4, "CMLA"),
    (0xdcf4e3e3_62f1_5818_7ba6_0a6fe33ff3dd, "DigiCAP"),
    (0x6dd8b3c3_45f4_4a68_bf3a_64168d01a4a6, "ABV"),
    (0x992c46e6_c437_4899_b6a0_50fa91ad0e39, "SteelKnot"),
];

/// `KEYFORMAT` of the systems whose key tags do not name their id: RFC 8216bis §4.4.4.4.
const KEY_FORMATS: &[(&str, &dyn System)] = &[
    ("com.apple.streamingkeydelivery", &super::fairplay::FairPlay),
    ("com.microsoft.playready", &super::playready::PlayReady),
    ("urn:uuid:1077efec-c0b2-4d02-ace3-3c1e52e2fb4b", &super::clearkey::ClearKey),
];

/// The name under which a system id is registered; `None` for an unknown one.
pub fn system_name(system_id: SystemId) -> Option<&'static str> {
    NAMES.iter().find(|(id, _)| SystemId::from_u128(*id) == system_id).map(|(_, name)| *name)
}

/// The system of a `KEYFORMAT`.
pub fn find_key_format(key_format: &str) -> Option<&'static dyn System> {
    let named = KEY_FORMATS.iter().find(|(name, _)| *name == key_format).map(|(_, system)| *system);
    let by_id = || find_id(SystemId::parse(key_format.strip_prefix("urn:uuid:")?).ok()?);
    named.or_else(by_id)
}

/// The system whose data these bytes are, without a box around them.
pub fn recognize(data: &[u8]) -> Option<&'static dyn System> {
    ALL.iter().copied().find(|system| system.recognizes(data))
}

/// The first bytes of data that nobody reads further.
pub(super) fn opaque(data: &[u8]) -> Fields {
    match data {
        [] => Vec::new(),
        data => {
            let shown = data.get(..SHOWN_BYTES).unwrap_or(data);
            let more = if shown.len() < data.len() { "…" } else { "" };
            vec![("data".to_owned(), format!("{}{more}", hex(shown)))]
        }
    }
}

/// Text when every byte is printable ASCII, else hex digits.
pub(super) fn text_or_hex(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if bytes.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') => text.to_owned(),
        _ => hex(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_system_that_is_signaled_has_a_name() {
        for system in ALL {
            assert!(system_name(system.system_id()).is_some(), "{}", system.name());
        }
        assert!(system_name(SystemId::new([0; 16])).is_none());
    }

    #[test]
    fn key_formats_lead_to_their_systems() {
        let name = |text| find_key_format(text).map(|system| system.name());
        assert_eq!(name("com.apple.streamingkeydelivery"), Some("fairplay"));
        assert_eq!(name("urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed"), Some("widevine"));
        assert_eq!(name("identity"), None);
    }
}
