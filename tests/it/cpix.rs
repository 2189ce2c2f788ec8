//! CPIX documents: the published vectors are read, decrypted and written, and what is written is valid.

use std::path::PathBuf;
use std::process::Command;

use drm_pack::base::env::Random;
use drm_pack::base::{Kid, Result};
use drm_pack::cpix::usage::{Media, Strictness, Track, resolve};
use drm_pack::cpix::{self, Certificate, Document, Original, RecipientKey, Version};
use drm_pack::xml::{self, Element, Node};

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

#[test]
fn good_signatures_are_verified_and_bad_ones_fail_for_their_reason() {
    let Some(_) = shared() else { return };
    let trusted: Vec<_> = (1..=4).map(certificate).collect();
    for (name, count) in [("Complex.xml", 9), ("EvenMoreComplex.xml", 6)] {
        let signed =
            cpix::verify_signatures(&file(name), &trusted).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(signed.len(), count, "{name}");
        assert!(name != "Complex.xml" || signed[8].element == "CPIX");
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

#[test]
fn a_vector_that_nobody_edits_is_written_as_it_was_read() {
    for (name, bytes) in vectors() {
        let original = Original::parse(&bytes).unwrap();
        assert!(*original.to_bytes() == bytes, "{name}");
        original.document().unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

/// The part of a text before the first list of content keys, and the part after it.
fn around_keys(text: &str) -> (&str, &str) {
    let start = text.find("<ContentKeyList").unwrap();
    let end = text.find("</ContentKeyList>").unwrap();
    (&text[..start], &text[end..])
}

#[test]
fn encryption_is_undone_and_touches_only_the_keys() {
    let Some(_) = shared() else { return };
    let bytes = file("ClearContentKeysOnly.xml");
    let mut original = Original::parse(&bytes).unwrap();
    let warnings = original.encrypt(&[certificate(2), certificate(3)], &counting()).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    let encrypted = original.to_bytes();
    assert!(is_encrypted(&encrypted));
    let clear = cpix::read(&bytes).unwrap();
    for number in [2, 3] {
        let found = cpix::read_with(&encrypted, &[recipient(number)]).unwrap();
        for (found, wanted) in found.content_keys.iter().zip(&clear.content_keys) {
            assert_eq!(found.value.as_ref().unwrap().expose(), wanted.value.as_ref().unwrap().expose());
        }
    }
    assert!(cpix::read_with(&encrypted, &[recipient(1)]).is_err());
    if let Some(valid) = validate(Version::V2_3, &encrypted) {
        valid.unwrap();
    }
    assert!(original.encrypt(&[certificate(2)], &counting()).is_err());
    original.decrypt(&[recipient(3)]).unwrap();
    let decrypted = original.to_bytes();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (before, after) = (text(&bytes), text(&decrypted));
    assert_eq!(around_keys(&after), around_keys(&before));
    assert_eq!(original.encrypted_keys(), 0);
}

#[test]
fn signatures_of_what_was_edited_go_and_the_others_stay() {
    let Some(_) = shared() else { return };
    let mut original = Original::parse(&file("Complex.xml")).unwrap();
    let warnings = original.decrypt(&[recipient(1)]).unwrap();
    assert!(warnings[0].starts_with("5 of 9 signatures are left out"), "{warnings:?}");
    assert_eq!(original.signatures(), 4);
    {
        let trusted: Vec<_> = (1..=4).map(certificate).collect();
        assert_eq!(cpix::verify_signatures(&original.to_bytes(), &trusted).unwrap().len(), 4);
    }
}

#[test]
fn a_converted_document_is_valid_in_its_version() {
    for (name, bytes) in vectors() {
        for version in Version::ALL {
            let periods = name.starts_with("KeyRotation") && version < Version::V2_3;
            // The other parser stops at a namespace name that is no URI.
            if periods || name == "EvenMoreComplex" {
                continue;
            }
            let mut original = Original::parse(&bytes).unwrap();
            original.convert(version).unwrap();
            let converted = original.to_bytes();
            let findings = original.findings(Some(version)).unwrap();
            // These files refer to keys that were taken out of them.
            if !name.starts_with("Invalid_Bad") && !name.starts_with("UsageRules") {
                assert!(findings.is_empty(), "{name} {}: {findings:?}", version.name());
            }
            match validate(version, &converted) {
                Some(valid) => valid.unwrap_or_else(|error| panic!("{name} {}: {error}", version.name())),
                None => return,
            }
        }
    }
}

#[test]
fn what_a_version_cannot_say_is_told() {
    let Some(_) = shared() else { return };
    let document = rich(Version::V2_4);
    let written = cpix::write(&Document { version: Some("2.4".to_owned()), ..document });
    let mut original = Original::parse(&written).unwrap();
    let findings = original.findings(Some(Version::V2_3)).unwrap().join("\n");
    for lost in ["ContentKey/@contentId", "ContentKey/HDCPData", "playlist \"multiVariant\"", "@robustness"] {
        assert!(findings.contains(lost), "{lost}: {findings}");
    }
    let warnings = original.convert(Version::V2_2).unwrap().join("\n");
    for lost in ["ContentKey/@contentId", "ContentKey/HDCPData", "@commonEncryptionScheme", "@periodId"] {
        assert!(warnings.contains(lost), "{lost}: {warnings}");
    }
}

/// Every element of the tree, by the path of child numbers that leads there.
fn paths(element: &Element, here: &[usize], found: &mut Vec<Vec<usize>>) {
    for (index, child) in element.elements().enumerate() {
        let path = [here, &[index]].concat();
        paths(child, &path, found);
        found.push(path);
    }
}

fn mutated(document: &xml::Document, path: &[usize], change: fn(&mut Vec<Node>, usize)) -> Vec<u8> {
    let mut document = document.clone();
    let (last, parents) = path.split_last().unwrap();
    let mut element = document.root_mut();
    for index in parents {
        element = element.elements_mut().nth(*index).unwrap();
    }
    let places: Vec<_> = (0..element.children.len())
        .filter(|place| matches!(element.children[*place], Node::Element(_)))
        .collect();
    change(&mut element.children, places[*last]);
    document.to_bytes()
}

#[test]
fn a_vector_without_with_twice_or_with_an_empty_element_is_read_or_refused() {
    let changes: [fn(&mut Vec<Node>, usize); 3] = [
        |nodes, place| drop(nodes.remove(place)),
        |nodes, place| nodes.insert(place, nodes[place].clone()),
        |nodes, place| {
            if let Node::Element(element) = &mut nodes[place] {
                element.children.clear();
            }
        },
    ];
    let recipients = if shared().is_some() { vec![recipient(1)] } else { Vec::new() };
    for (name, bytes) in vectors() {
        let document = xml::Document::parse(&bytes).unwrap();
        let mut all = Vec::new();
        paths(document.root(), &[], &mut all);
        for (number, path) in all.iter().enumerate() {
            for change in changes {
                let bytes = mutated(&document, path, change);
                let _ = cpix::read(&bytes);
                let mut original = Original::parse(&bytes).unwrap();
                let _ = original.findings(None);
                // Private keys are slow: one vector has every kind of place.
                if name == "EncryptedContentKeys" {
                    let _ = cpix::read_with(&bytes, &recipients);
                }
                let _ = original.convert(Version::ALL[number % 4]);
                if let Ok(document) = original.document() {
                    let _ = cpix::write_as(&document, Version::V2_3);
                }
                if name == "Complex" && number % 3 == 0 {
                    let _ = cpix::verify_signatures(&bytes, &[certificate(3), certificate(4)]);
                }
            }
        }
    }
}

#[test]
fn rules_of_the_rotation_vectors_find_the_key_of_their_period() {
    let Some(_) = shared() else { return };
    let track = |media, period: Option<&str>| Track {
        name: "t".to_owned(),
        media,
        bitrate: None,
        labels: Vec::new(),
        period: period.map(str::to_owned),
    };
    let video = || Media::Video { pixels: None, hdr: None, wcg: None, fps: None };
    let audio = || Media::Audio { channels: Some(2) };
    let single = cpix::read(&file("KeyRotationMultiKeySinglePeriod.xml")).unwrap();
    for strictness in [Strictness::Speke, Strictness::Cpix] {
        let found =
            resolve(&single, &[track(video(), None), track(audio(), Some("now"))], strictness).unwrap();
        assert_eq!(found.kids, [single.content_keys[0].kid, single.content_keys[1].kid]);
        assert!(found.warnings.is_empty(), "{:?}", found.warnings);
        assert!(resolve(&single, &[track(video(), Some("later"))], strictness).is_err());
    }
    let several = cpix::read(&file("KeyRotationMultiKeyMulitPeriod.xml")).unwrap();
    assert!(resolve(&several, &[track(video(), None)], Strictness::Speke).is_err());
    let of_all = |media: &dyn Fn() -> Media| -> Vec<_> {
        several.periods.iter().map(|period| track(media(), period.id.as_deref())).collect()
    };
    let tracks = [of_all(&video), of_all(&audio)].concat();
    let mut kids = resolve(&several, &tracks, Strictness::Cpix).unwrap().kids;
    let count = kids.len();
    kids.sort();
    kids.dedup();
    assert!(count > 1 && kids.len() == count, "{count} periods, {} keys", kids.len());
}

/// Runs the command and returns its exit code and what it printed.
fn run(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_drm-pack")).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn the_command_encrypts_decrypts_and_explains_without_showing_a_key() {
    let Some(folder) = shared() else { return };
    let vector = |name: &str| folder.join("vectors").join(name).to_str().unwrap().to_owned();
    let output = tempfile::tempdir().unwrap();
    let path = output.path().join("encrypted.xml");
    let path = path.to_str().unwrap();
    let clear = vector("ClearContentKeysOnly.xml");
    let (code, _, errors) =
        run(&["cpix", "encrypt", &clear, "--recipient", &vector("Cert1.cer"), "--out", path]);
    assert_eq!((code, errors.as_str()), (0, ""));
    let (code, text, _) = run(&["cpix", "explain", path]);
    assert!(code == 0 && text.contains("CPIX Example Entity 1") && text.contains("encrypted"), "{text}");
    let (code, text, _) = run(&["cpix", "validate", path, "--version", "2.3"]);
    assert_eq!((code, text.as_str()), (0, "valid\n"));
    let (code, decrypted, _) = run(&["cpix", "decrypt", path, "--recipient-key", &vector("Cert1.key.der")]);
    assert_eq!(code, 0);
    let found = cpix::read(decrypted.as_bytes()).unwrap();
    let key = drm_pack::base::base64(found.content_keys[0].value.as_ref().unwrap().expose());
    let (_, explained, _) = run(&["cpix", "explain", &clear]);
    assert!(decrypted.contains(&key) && !explained.contains(&key));
    let (code, converted, _) = run(&["cpix", "convert", &vector("Complex.xml"), "--to", "2.4"]);
    assert!(code == 0 && converted.contains("multiVariant") && converted.contains("version=\"2.4\""));
    let (code, _, errors) = run(&["cpix", "decrypt", path, "--recipient-key", &vector("Cert2.key.der")]);
    assert!(code == 5 && errors.contains("none of the 1 DeliveryData"), "{errors}");
}

/// A content key that stands where something else belongs is quoted by no error and no warning.
#[test]
fn a_key_in_the_wrong_place_of_a_document_is_not_shown() {
    const KEY: &str = "qqqqqqq7u7u7u8zMzMzM3Q==";
    const FORMS: [&str; 3] = [KEY, "qqqqqqq7u7u7u8zMzMzM3Q", "aaaaaaaaaabbbbbbbbbbccccccccccdd"];
    const KID: &str = "11111111-2222-3333-4444-555555555555";
    let document = format!(
        "<cpix:CPIX xmlns:cpix=\"urn:dashif:org:cpix\" xmlns:pskc=\"urn:ietf:params:xml:ns:keyprov:pskc\" \
         contentId=\"title\" version=\"2.3\"><cpix:ContentKeyList><cpix:ContentKey kid=\"{KID}\" \
         commonEncryptionScheme=\"cenc\" explicitIV=\"AAAAAAAAAAAAAAAAAAAAAQ==\"><cpix:Data><pskc:Secret>\
         <pskc:PlainValue>{KEY}</pskc:PlainValue></pskc:Secret></cpix:Data></cpix:ContentKey>\
         </cpix:ContentKeyList><cpix:DRMSystemList><cpix:DRMSystem kid=\"{KID}\" \
         systemId=\"edef8ba9-79d6-4ace-a3c8-27dcd51d21ed\"><cpix:HLSSignalingData playlist=\"media\">I0VYVA==\
         </cpix:HLSSignalingData></cpix:DRMSystem></cpix:DRMSystemList><cpix:ContentKeyPeriodList>\
         <cpix:ContentKeyPeriod id=\"p\" index=\"1\"/></cpix:ContentKeyPeriodList><cpix:ContentKeyUsageRuleList>\
         <cpix:ContentKeyUsageRule kid=\"{KID}\" intendedTrackType=\"HD\"><cpix:KeyPeriodFilter periodId=\"p\"/>\
         <cpix:VideoFilter minPixels=\"1\"/></cpix:ContentKeyUsageRule></cpix:ContentKeyUsageRuleList></cpix:CPIX>"
    );
    assert!(cpix::read(document.as_bytes()).unwrap().content_keys[0].value.is_some());
    let folder = tempfile::tempdir().unwrap();
    let input = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/clip/mp4/video_360.mp4");
    let is_shown = |command: &[&str], changed: &str| {
        let path = folder.path().join("keys.xml");
        std::fs::write(&path, changed).unwrap();
        let mut call = Command::new(env!("CARGO_BIN_EXE_drm-pack"));
        call.arg(command[0]).args(if command[0] == "pack" { Some(&input) } else { None });
        let output = call.args(&command[1..]).arg(&path).current_dir(folder.path()).output().unwrap();
        std::fs::remove_dir_all(folder.path().join("out")).ok();
        let said = String::from_utf8(output.stderr).unwrap();
        FORMS.iter().any(|form| said.contains(form.trim_end_matches('='))).then_some(said)
    };
    let pack = ["pack", "--drm", "widevine", "--out", "out", "--cpix"];
    // Each value of an attribute, each name of an element, and each text between two tags.
    let words: Vec<_> = document.split(['"', '<', '>', '/', ' ']).map(|word| (word, word.as_ptr())).collect();
    for form in FORMS {
        for (word, start) in &words {
            let start = *start as usize - document.as_ptr() as usize;
            let mut changed = document.clone();
            changed.replace_range(start..start + word.len(), form);
            let said = is_shown(&pack, &changed);
            assert_eq!(said, None, "{word:?}");
        }
        // What is not even XML.
        for broken in ["value=KEY", "KEY", "a=\"1\" KEY=\"1\" KEY=\"2\"", "value=\"&KEY;\""] {
            let changed = document
                .replace("<pskc:PlainValue>", &format!("<pskc:PlainValue {}>", broken.replace("KEY", form)));
            for command in [&pack[..], &["inspect"], &["cpix", "validate"], &["cpix", "explain"]] {
                assert_eq!(is_shown(command, &changed), None, "{broken}");
            }
        }
        let entity = document.replace(KEY, &format!("&{form};"));
        assert_eq!(is_shown(&pack, &entity), None);
    }
}
