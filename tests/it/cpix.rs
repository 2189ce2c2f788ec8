//! CPIX documents: the published vectors are read, decrypted and written, and what is written is valid.

use std::path::PathBuf;
use std::process::Command;

use drm_pack::base::env::Random;
use drm_pack::base::{Kid, Result};
use drm_pack::cpix::{self, Certificate, Document, RecipientKey, Version};

/// The vectors and schemas, or `None` with a line that says so. A second worktree may lie one folder deeper.
fn shared() -> Option<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let folder = root.ancestors().skip(1).take(2).map(|up| up.join("shared/cpix")).find(|up| up.is_dir());
    if folder.is_none() {
        println!("left out: ../shared/cpix is not there");
    }
    folder
}

/// Names and bytes of the vectors.
fn vectors() -> Vec<(String, Vec<u8>)> {
    let Some(folder) = shared() else { return Vec::new() };
    let mut found: Vec<_> = std::fs::read_dir(folder.join("vectors"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "xml"))
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap()))
        .collect();
    found.sort();
    assert_eq!(found.len(), 13);
    found
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(shared().unwrap().join("vectors").join(name)).unwrap()
}

fn recipient(number: u8) -> RecipientKey {
    RecipientKey::parse(&file(&format!("Cert{number}.key.der"))).unwrap()
}

fn certificate(number: u8) -> Certificate {
    Certificate::parse(&file(&format!("Cert{number}.cer"))).unwrap()
}

fn is_encrypted(bytes: &[u8]) -> bool {
    cpix::read(bytes).is_err()
}

/// Bytes that count up: no two are alike in a row.
struct Counting(std::sync::atomic::AtomicU8);

impl Random for Counting {
    fn fill(&self, buffer: &mut [u8]) -> Result<()> {
        buffer.iter_mut().for_each(|byte| *byte = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        Ok(())
    }
}

fn counting() -> Counting {
    Counting(0.into())
}

#[test]
fn valid_vectors_decrypt_and_every_key_has_a_value() {
    for (name, bytes) in vectors() {
        if name.starts_with("Invalid_WrongMac") {
            continue;
        }
        let number = if name == "RecipientsWithoutContentKeys" { 3 } else { 1 };
        let document =
            cpix::read_with(&bytes, &[recipient(number)]).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(document.content_keys.iter().all(|key| key.value.is_some()), "{name}");
        let empty = matches!(name.as_str(), "EmptyDocument" | "RecipientsWithoutContentKeys");
        assert_eq!(document.content_keys.is_empty(), empty, "{name}");
    }
}

#[test]
fn decrypted_keys_are_those_of_the_description() {
    let Some(_) = shared() else { return };
    let expected = [
        ("bd5adf51-cf04-410f-aac3-ec63a69e929e", "3rWoHYasQubO6HbJGrGtLw=="),
        ("d2920429-87ab-41e6-a4c5-a8c836b6312e", "O5w9FdZiwmQK4uIXzAziaQ=="),
        ("e17ba4b8-faff-4d30-bcba-7485e3f2e884", "Cwu/3hSBBRQ7SurBdZD5ow=="),
        ("0ae6b9ad-92d2-4ebe-882b-1d07dee70715", "FB6/Eck9Y9SXy6bY8UU/Mw=="),
    ];
    let document = cpix::read_with(&file("EncryptedContentKeys.xml"), &[recipient(1)]).unwrap();
    assert_eq!(document.content_keys.len(), 4);
    for (kid, key) in expected {
        let found = document.content_key(Kid::parse(kid).unwrap()).unwrap().value.as_ref().unwrap();
        assert_eq!(drm_pack::base::base64(found.expose()), key, "{kid}");
    }
}

#[test]
fn every_recipient_finds_the_same_keys() {
    let Some(_) = shared() else { return };
    let bytes = file("EncryptedContentKeysWithMultipleRecipients.xml");
    let keys = |numbers: &[u8]| -> Vec<[u8; 16]> {
        let recipients: Vec<_> = numbers.iter().map(|number| recipient(*number)).collect();
        let document = cpix::read_with(&bytes, &recipients).unwrap();
        document.content_keys.iter().map(|key| *key.value.as_ref().unwrap().expose()).collect()
    };
    let first = keys(&[1]);
    for numbers in [&[2][..], &[3], &[4], &[4, 1]] {
        assert_eq!(keys(numbers), first);
    }
    let stranger = cpix::read_with(&file("EncryptedContentKeys.xml"), &[recipient(2)]).unwrap_err();
    assert!(stranger.to_string().contains("none of the 1 DeliveryData"), "{stranger}");
}

#[test]
fn a_wrong_mac_is_found_before_anything_is_decrypted() {
    let Some(_) = shared() else { return };
    let bytes = file("Invalid_WrongMac.xml");
    let error = cpix::read_with(&bytes, &[recipient(1)]).unwrap_err().to_string();
    assert!(error.contains("ValueMAC is not that of the encrypted value"), "{error}");
}

/// A document with everything that this version can say, and some that it cannot.
fn rich(version: Version) -> Document {
    let text = r##"<c:CPIX xmlns:c="urn:dashif:org:cpix" xmlns:p="urn:ietf:params:xml:ns:keyprov:pskc" id="d" contentId="x" name="n">
    <c:ContentKeyList>
      <c:ContentKey kid="11111111-2222-3333-4444-555555555555" id="root" explicitIV="oKGio6SlpqeoqaqrrK2urw==" commonEncryptionScheme="cbcs">
        <c:Data><p:Secret><p:PlainValue>EBESExQVFhcYGRobHB0eHw==</p:PlainValue></p:Secret></c:Data></c:ContentKey>
      <c:ContentKey kid="11111111-2222-3333-4444-666666666666" dependsOnKey="11111111-2222-3333-4444-555555555555" contentId="y" commonEncryptionScheme="cbcs">
        <c:HDCPData HLSHDCPLevel="TYPE-0"><c:HDCPOutputProtectionData>AAAA</c:HDCPOutputProtectionData></c:HDCPData>
        <c:Data><p:Secret><p:PlainValue>EBESExQVFhcYGRobHB0eHg==</p:PlainValue></p:Secret></c:Data></c:ContentKey>
    </c:ContentKeyList>
    <c:DRMSystemList><c:DRMSystem kid="11111111-2222-3333-4444-666666666666" systemId="edef8ba9-79d6-4ace-a3c8-27dcd51d21ed" id="s" name="w" HLSAllowedCPC="a">
      <c:PSSH>AAAA</c:PSSH><c:ContentProtectionData robustness="HW">PGEvPg==</c:ContentProtectionData><c:URIExtXKey>c2tkOi8vYQ==</c:URIExtXKey>
      <c:HLSSignalingData playlist="media" allowedCPC="b">I0VYVC1YLUtFWTpC</c:HLSSignalingData><c:HLSSignalingData playlist="master">I0VYVC1YLVNFU1NJT04tS0VZOkE=</c:HLSSignalingData>
      <c:SmoothStreamingProtectionHeaderData>AAAA</c:SmoothStreamingProtectionHeaderData><c:HDSSignalingData>AAAA</c:HDSSignalingData></c:DRMSystem></c:DRMSystemList>
    <c:ContentKeyPeriodList><c:ContentKeyPeriod id="p1" index="1"/><c:ContentKeyPeriod id="p2" start="2026-01-01T00:00:00Z" duration="PT1H" label="l"/></c:ContentKeyPeriodList>
    <c:ContentKeyUsageRuleList><c:ContentKeyUsageRule kid="11111111-2222-3333-4444-666666666666" intendedTrackType="HD">
      PERIOD<c:LabelFilter label="a&amp;b"/>
      <c:VideoFilter minPixels="1" maxPixels="2" hdr="true" wcg="false" minFps="10" maxFps="30"/><c:AudioFilter minChannels="1" maxChannels="2"/><c:BitrateFilter minBitrate="1"/>
      </c:ContentKeyUsageRule></c:ContentKeyUsageRuleList>
    <c:UpdateHistoryItemList><c:UpdateHistoryItem id="u" updateVersion="1" index="i" source="s" date="2026-01-01T00:00:00Z"/></c:UpdateHistoryItemList></c:CPIX>"##;
    // Before 2.3 a reference to a period was declared as an id of its own.
    let filter = if version < Version::V2_3 { "" } else { "<c:KeyPeriodFilter periodId=\"p1\"/>" };
    cpix::read(text.replace("PERIOD", filter).as_bytes()).unwrap()
}

/// Validates with libxml2; `None` when it is not installed.
fn validate(version: Version, bytes: &[u8]) -> Option<std::result::Result<(), String>> {
    let schema = shared()?.join(format!("schema/CPIX{}/cpix.xsd", version.name()));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("document.xml");
    std::fs::write(&path, bytes).unwrap();
    let output =
        Command::new("xmllint").args(["--noout", "--nonet", "--schema"]).arg(schema).arg(&path).output();
    let Ok(output) = output else {
        println!("left out: xmllint (libxml2-utils) is not installed");
        return None;
    };
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    Some(if output.status.success() { Ok(()) } else { Err(text) })
}

#[test]
fn what_is_written_is_valid_in_each_version() {
    let Some(_) = shared() else { return };
    for version in Version::ALL {
        let mut document = rich(version);
        let written = cpix::write_as(&document, version).unwrap();
        let Some(valid) = validate(version, &written.bytes) else { return };
        valid.unwrap_or_else(|error| panic!("{}: {error}", version.name()));
        assert!(!written.warnings.is_empty(), "{}", version.name());
        for number in [1, 2] {
            document.delivery_data.push(cpix::DeliveryData {
                certificate: certificate(number).der().to_vec(),
                description: Some("d".to_owned()),
                ..cpix::DeliveryData::default()
            });
        }
        let written = cpix::write_encrypted(&document, version, &counting()).unwrap();
        let valid = validate(version, &written.bytes).unwrap();
        valid.unwrap_or_else(|error| panic!("{} encrypted: {error}", version.name()));
        for number in [1, 2] {
            let found = cpix::read_with(&written.bytes, &[recipient(number)]).unwrap();
            let key = |document: &Document| *document.content_keys[1].value.as_ref().unwrap().expose();
            assert_eq!(key(&found), key(&document));
            assert_eq!(found.usage_rules, document.usage_rules);
        }
        assert!(is_encrypted(&written.bytes));
    }
}

#[cfg(feature = "cpix-signatures")]
#[test]
fn good_signatures_are_verified_and_bad_ones_fail_for_their_reason() {
    let Some(_) = shared() else { return };
    let trusted = [certificate(3), certificate(4)];
    for name in ["Complex.xml", "EvenMoreComplex.xml"] {
        let signed =
            cpix::verify_signatures(&file(name), &trusted).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(signed.len(), 9, "{name}");
        assert_eq!(signed[8].element, "CPIX");
    }
    let error = |name: &str, trusted: &[Certificate]| {
        cpix::verify_signatures(&file(name), trusted).unwrap_err().to_string()
    };
    let all: Vec<_> = (1..=4).map(certificate).collect();
    let found = error("Invalid_BadContentKeysSignature.xml", &all);
    assert!(found.contains("ContentKeyList is not what was signed"), "{found}");
    let found = error("Invalid_BadDocumentSignature.xml", &all);
    assert!(found.contains("the document is not what was signed"), "{found}");
    let found = error("Complex.xml", &[certificate(1)]);
    assert!(found.contains("none of those that are trusted"), "{found}");
    assert!(error("EmptyDocument.xml", &all).contains("no signature"));
}
