//! Signed documents of keys: what was changed after signing is refused — XML Signature 1.1, DASH-IF CPIX 2.3 §4.

use std::fs;
use std::process::Command;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drm_pack::base::env::Request;
use drm_pack::cpix::{Certificate, read_verified};
use drm_pack::keys::{Dialect, Method, Speke};
use sha2::{Digest, Sha256};

use crate::support::key_server::Server;
use crate::support::media::root;

const DS: &str = "http://www.w3.org/2000/09/xmldsig#";
const C14N: &str = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315";
const NAMESPACES: &str = "xmlns=\"urn:dashif:org:cpix\"";
/// The base64 of the key, and of another one.
const KEYS: [&str; 2] = ["EBESExQVFhcYGRobHB0eHw==", "IBESExQVFhcYGRobHB0eHw=="];

fn fixture(name: &str) -> Vec<u8> {
    fs::read(root().join("fixtures/recipient").join(name)).unwrap()
}

fn certificate() -> Certificate {
    Certificate::parse(&fixture("certificate.der")).unwrap()
}

/// A document with one key and a list of systems, in canonical form, without its end tag.
fn body() -> String {
    format!(
        "<CPIX {NAMESPACES} xmlns:p=\"urn:ietf:params:xml:ns:keyprov:pskc\" version=\"2.3\"><ContentKeyList>\
         <ContentKey kid=\"11111111-1111-1111-1111-111111111111\"><Data><p:Secret><p:PlainValue>{}</p:PlainValue>\
         </p:Secret></Data></ContentKey></ContentKeyList><DRMSystemList id=\"s\"></DRMSystemList>",
        KEYS[0]
    )
}

/// The document with a signature of what `uri` names, whose canonical form is `octets`.
fn signed(uri: &str, octets: &str) -> String {
    let digest = STANDARD.encode(Sha256::digest(octets));
    let info = format!(
        "<ds:CanonicalizationMethod Algorithm=\"{C14N}\"></ds:CanonicalizationMethod><ds:SignatureMethod \
         Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256\"></ds:SignatureMethod><ds:Reference \
         URI=\"{uri}\"><ds:Transforms><ds:Transform Algorithm=\"{DS}enveloped-signature\"></ds:Transform>\
         </ds:Transforms><ds:DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\">\
         </ds:DigestMethod><ds:DigestValue>{digest}</ds:DigestValue></ds:Reference></ds:SignedInfo>"
    );
    let canonical = format!(
        "<ds:SignedInfo {NAMESPACES} xmlns:ds=\"{DS}\" xmlns:p=\"urn:ietf:params:xml:ns:keyprov:pskc\">{info}"
    );
    let key = RsaKeyPair::from_pkcs8(&fixture("key.der")).unwrap();
    let mut value = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), canonical.as_bytes(), &mut value).unwrap();
    format!(
        "{}<ds:Signature xmlns:ds=\"{DS}\"><ds:SignedInfo>{info}<ds:SignatureValue>{}</ds:SignatureValue>\
         <ds:KeyInfo><ds:X509Data><ds:X509Certificate>{}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>\
         </ds:Signature></CPIX>",
        body(),
        STANDARD.encode(value),
        STANDARD.encode(fixture("certificate.der"))
    )
}

fn whole() -> String {
    signed("", &format!("{}</CPIX>", body()))
}

#[test]
fn what_was_signed_is_read_and_what_was_changed_is_not() {
    let read = |text: &str, trusted: &[Certificate]| read_verified(text.as_bytes(), &[], trusted);
    let (trusted, intact) = ([certificate()], whole());
    for trusted in [&[][..], &trusted] {
        assert_eq!(read(&intact, trusted).unwrap().content_keys.len(), 1);
        let changed = read(&intact.replace(KEYS[0], KEYS[1]), trusted).unwrap_err().to_string();
        assert!(changed.contains("Signature 1: the document is not what was signed"), "{changed}");
        assert!(!changed.contains(KEYS[1]), "{changed}");
        let forged = intact.replace("rsa-sha256", "rsa-sha512");
        assert!(read(&forged, trusted).is_err());
        let nobody = intact.replace("ds:X509Data", "ds:KeyValue");
        assert!(read(&nobody, trusted).unwrap_err().to_string().contains("no X509Data"));
    }
}

#[test]
fn with_trust_the_keys_themselves_must_be_signed() {
    let unsigned = format!("{}</CPIX>", body());
    let list = format!(
        "<DRMSystemList {NAMESPACES} xmlns:p=\"urn:ietf:params:xml:ns:keyprov:pskc\" id=\"s\"></DRMSystemList>"
    );
    for text in [unsigned, signed("#s", &list)] {
        read_verified(text.as_bytes(), &[], &[]).unwrap();
        let error = read_verified(text.as_bytes(), &[], &[certificate()]).unwrap_err().to_string();
        assert!(error.contains("no signature covers the content keys"), "{error}");
    }
}

#[test]
fn nothing_is_packed_with_a_document_that_was_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("good.xml"), whole()).unwrap();
    fs::write(path("bad.xml"), whole().replace(KEYS[0], KEYS[1])).unwrap();
    let certificate = root().join("fixtures/recipient/certificate.der");
    let trust = ["--trust", certificate.to_str().unwrap()];
    let input = root().join("fixtures/clip/mp4/audio.m4a");
    for (name, options, code) in
        [("bad.xml", &[][..], 3), ("bad.xml", &trust, 3), ("good.xml", &[], 0), ("good.xml", &trust, 0)]
    {
        let out = path("out");
        let arguments = ["pack", input.to_str().unwrap(), "--drm", "widevine", "--out", &out, "--overwrite"];
        let output = Command::new(env!("CARGO_BIN_EXE_drm-pack"))
            .args(arguments)
            .args(["--cpix", &path(name)])
            .args(options)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{name} {options:?}: {said}");
        assert_eq!(folder.path().join("out").exists(), code == 0, "{name}");
        assert!(code == 0 || said.contains("was signed"), "{said}");
    }
}

#[test]
fn answers_of_a_key_server_are_held_to_who_is_trusted() {
    let input = root().join("fixtures/clip/mp4/audio.m4a");
    let job = crate::support::pack::job(&input, "widevine", "cenc");
    let unsigned = format!("{}</CPIX>", body());
    let trusted: std::sync::Arc<[Certificate]> = vec![certificate()].into();
    for (text, trusted, words) in [
        (whole(), trusted.clone(), ""),
        (whole().replace(KEYS[0], KEYS[1]), trusted.clone(), "is not what was signed"),
        (unsigned.clone(), trusted, "no signature covers the content keys"),
        (unsigned, std::sync::Arc::default(), ""),
    ] {
        let rule = move |_: &Request| Ok(text.clone().into_bytes());
        let server = Server::new(&rule);
        let dialect = Dialect { trusted, ..Dialect::default() };
        let keys =
            Speke::new("https://keys.example/k", Vec::new(), dialect).unwrap().with_method(Method::Get);
        match server.pack(&job, &keys) {
            Ok(_) => assert_eq!(words, ""),
            Err(error) => {
                let error = error.to_string();
                assert!(!words.is_empty() && error.contains(words), "{error}");
                assert!(!error.contains(KEYS[1]), "{error}");
            }
        }
    }
}

#[test]
fn a_validation_says_what_of_signatures_it_did_not_check() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("document.xml");
    let list = format!(
        "<DRMSystemList {NAMESPACES} xmlns:p=\"urn:ietf:params:xml:ns:keyprov:pskc\" id=\"s\"></DRMSystemList>"
    );
    let validate = |text: &str| {
        fs::write(&path, text).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_drm-pack"))
            .args(["cpix", "validate"])
            .arg(&path)
            .output()
            .unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let said = validate(&whole());
    assert!(said.contains("not checked: whether that is who should, give --trust CERT"), "{said}");
    assert!(!said.contains("no signature covers"), "{said}");
    let said = validate(&whole().replace(KEYS[0], KEYS[1]));
    assert!(said.contains("is not what was signed") && !said.contains("valid\n"), "{said}");
    let said = validate(&signed("#s", &list));
    assert!(said.contains("note: no signature covers the content keys"), "{said}");
    let said = validate(&whole().replace("rsa-sha256", "rsa-md5"));
    assert!(said.contains("note: the signatures are not verified"), "{said}");
    let output =
        Command::new(env!("CARGO_BIN_EXE_drm-pack")).args(["cpix", "explain", "nope"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("the CPIX document: no such file") && !said.contains("secret"), "{said}");
}
