//! Signatures of documents and of their lists — XML Signature 1.1, DASH-IF CPIX 2.3 §4.

use aws_lc_rs::digest::{self, digest};
use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA512,
    RsaParameters, UnparsedPublicKey,
};

use super::c14n::Canonical;
use super::document::Document;
use super::read::{Encrypted, attribute, tree, view};
use super::recipient::{Certificate, RecipientKey};
use crate::base::{Error, Result, from_base64};
use crate::xml::Element;

const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
/// Canonicalizations, and whether `xml:id` is inherited. Comments are never part of what a reference to the
/// same document selects (XML Signature 1.1 §4.4.3.3).
const CANONICALIZATIONS: [(&str, bool); 2] = [
    ("http://www.w3.org/TR/2001/REC-xml-c14n-20010315", true),
    ("http://www.w3.org/2006/12/xml-c14n11", false),
];
const SIGNATURES: [(&str, &RsaParameters); 3] = [
    ("http://www.w3.org/2001/04/xmldsig-more#rsa-sha512", &RSA_PKCS1_2048_8192_SHA512),
    ("http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", &RSA_PKCS1_2048_8192_SHA256),
    ("http://www.w3.org/2000/09/xmldsig#rsa-sha1", &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY),
];
const DIGESTS: [(&str, &digest::Algorithm); 3] = [
    ("http://www.w3.org/2001/04/xmlenc#sha512", &digest::SHA512),
    ("http://www.w3.org/2001/04/xmlenc#sha256", &digest::SHA256),
    ("http://www.w3.org/2000/09/xmldsig#sha1", &digest::SHA1_FOR_LEGACY_USE_ONLY),
];

/// Elements whose signature covers the content keys: the whole document, or their list.
const KEYS: [&str; 2] = ["CPIX", "ContentKeyList"];

/// What one good signature covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The local name of the element; `CPIX` is the whole document.
    pub element: String,
    /// The subject of the signer's certificate.
    pub signer: String,
}

/// Verifies every signature of a document and returns what they cover.
///
/// # Errors
/// [`Kind::Input`](crate::base::Kind::Input) when a signature is bad, is by none of the trusted certificates, or
/// refers to what is not there, and when there is no signature at all;
/// [`Kind::Unsupported`](crate::base::Kind::Unsupported) for an algorithm of another kind.
pub fn verify_signatures(bytes: &[u8], trusted: &[Certificate]) -> Result<Vec<Signed>> {
    let document = tree(bytes)?;
    let signed = signatures(document.root(), Some(trusted))?;
    if signed.is_empty() {
        return Err(Error::input("the document has no signature").at("CPIX"));
    }
    Ok(signed)
}

/// What the signatures of a document cover, each held to the certificate that it has with it: that nothing was changed
/// since, and not who signed it. Nothing of one without signatures.
///
/// # Errors
/// As [`verify_signatures`], but for certificates that are not trusted.
pub fn self_signed(bytes: &[u8]) -> Result<Vec<Signed>> {
    signatures(tree(bytes)?.root(), None)
}

/// Reads a document whose content keys may be encrypted for one of these recipients, as
/// [`read_with`](super::read_with) does, and refuses it when it is not what was signed. Without trusted certificates a
/// signature is held to the certificate that it has with it, and a document need have none; with them each must be by
/// one of them, and the content keys must be signed.
///
/// # Errors
/// As [`read_with`](super::read_with) and [`verify_signatures`].
pub fn read_verified(bytes: &[u8], recipients: &[RecipientKey], trusted: &[Certificate]) -> Result<Document> {
    let document = tree(bytes)?;
    let trusted = Some(trusted).filter(|trusted| !trusted.is_empty());
    let signed = signatures(document.root(), trusted)?;
    if trusted.is_some() {
        check_covered(&signed)?;
    }
    view(&document, Encrypted::Open(recipients))
}

impl Signed {
    /// Whether the content keys are under it.
    pub fn covers_keys(&self) -> bool {
        KEYS.contains(&self.element.as_str())
    }
}

fn check_covered(signed: &[Signed]) -> Result<()> {
    if signed.iter().any(Signed::covers_keys) {
        return Ok(());
    }
    Err(Error::input("no signature covers the content keys, one of those that are trusted expected")
        .clause("DASH-IF CPIX 2.3 §4")
        .at("CPIX")
        .hint("ask for a document whose ContentKeyList is signed, or leave the trusted certificates out"))
}

/// Holds a document to signatures by these certificates: each is by one of them, and the content keys are signed.
///
/// # Errors
/// As [`verify_signatures`].
pub(crate) fn check_signed(bytes: &[u8], trusted: &[Certificate]) -> Result<()> {
    check_covered(&signatures(tree(bytes)?.root(), Some(trusted))?)
}

/// What the signatures of a document cover; `None` trusts the certificate that each has with it.
fn signatures(root: &Element, trusted: Option<&[Certificate]>) -> Result<Vec<Signed>> {
    if root.named("Signature").next().is_none() {
        return Ok(Vec::new());
    }
    // A second list beside the one that is signed would be believed as well.
    let lists: Vec<_> =
        root.elements().map(Element::local_name).filter(|name| name.ends_with("List")).collect();
    if let Some(name) = lists.iter().find(|name| lists.iter().filter(|other| other == name).count() > 1) {
        return Err(Error::input(format!("two elements {name}")).clause("DASH-IF CPIX 2.3 §4").at("CPIX"));
    }
    let mut signed = Vec::new();
    for (index, signature) in root.named("Signature").enumerate() {
        let place = |error: Error| error.at(format_args!("Signature {}", index + 1)).at("CPIX");
        signed.extend(verify(root, signature, trusted).map_err(place)?);
    }
    Ok(signed)
}

fn verify(root: &Element, signature: &Element, trusted: Option<&[Certificate]>) -> Result<Vec<Signed>> {
    let info = needed(signature, "SignedInfo")?;
    let mut signed = Vec::new();
    let signer = signer(signature, trusted)?;
    for reference in info.named("Reference") {
        let element = verify_reference(root, signature, reference)?;
        signed.push(Signed { element, signer: signer.subject().to_owned() });
    }
    if signed.is_empty() {
        return Err(Error::input("there is no Reference"));
    }
    let canonical = Canonical {
        ancestors: vec![root, signature],
        apex: info,
        without: None,
        inherits_id: canonicalization(needed(info, "CanonicalizationMethod")?)?,
    };
    let parameters = lookup(&SIGNATURES, needed(info, "SignatureMethod")?)?;
    let value = from_base64(&needed(signature, "SignatureValue")?.text()?)?;
    UnparsedPublicKey::new(parameters, signer.public_key())
        .verify(canonical.write()?.as_bytes(), &value)
        .map_err(|_| {
            Error::input("the signature is not that of its certificate").clause("XML Signature 1.1 §3.2.2")
        })?;
    Ok(signed)
}

/// The certificate that the signature embeds: the first that is trusted.
fn signer(signature: &Element, trusted: Option<&[Certificate]>) -> Result<Certificate> {
    let data = needed(needed(signature, "KeyInfo")?, "X509Data")?;
    for element in data.named("X509Certificate") {
        let der = from_base64(&element.text()?)?;
        match trusted {
            None => return Certificate::parse(&der).map_err(|error| error.at("X509Certificate")),
            Some(trusted) => {
                if let Some(found) = trusted.iter().find(|certificate| certificate.der() == der) {
                    return Ok(found.clone());
                }
            }
        }
    }
    Err(Error::input("the signer's certificate is none of those that are trusted")
        .clause("DASH-IF CPIX 2.3 §4"))
}

fn verify_reference(root: &Element, signature: &Element, reference: &Element) -> Result<String> {
    let uri = attribute(reference, "URI")?.unwrap_or_default();
    let (apex, ancestors) = match uri.strip_prefix('#') {
        None if uri.is_empty() => (root, Vec::new()),
        None => return Err(Error::unsupported(format!("reference {uri:?}, expected one to this document"))),
        Some(id) => (referred(root, id)?, vec![root]),
    };
    let mut canonical = Canonical { ancestors, apex, without: None, inherits_id: true };
    for transform in reference.named("Transforms").flat_map(|list| list.named("Transform")) {
        if attribute(transform, "Algorithm")?.as_deref() == Some(ENVELOPED) {
            canonical.without = Some(signature);
        } else {
            canonical.inherits_id = canonicalization(transform)?;
        }
    }
    let name = if uri.is_empty() { "the document".to_owned() } else { apex.local_name().to_owned() };
    let algorithm = lookup(&DIGESTS, needed(reference, "DigestMethod")?)?;
    let expected = from_base64(&needed(reference, "DigestValue")?.text()?)?;
    if digest(algorithm, canonical.write()?.as_bytes()).as_ref() != expected.as_slice() {
        return Err(Error::input(format!("{name} is not what was signed: it was changed"))
            .clause("XML Signature 1.1 §3.2.1"));
    }
    Ok(apex.local_name().to_owned())
}

/// The one child of the root with this id.
fn referred<'a>(root: &'a Element, id: &str) -> Result<&'a Element> {
    let mut found = None;
    for element in root.elements() {
        if attribute(element, "id")?.as_deref() == Some(id) && found.replace(element).is_some() {
            return Err(Error::input(format!("two elements have the id {id:?}")));
        }
    }
    found.ok_or_else(|| Error::input(format!("no list has the id {id:?} that is signed")))
}

fn canonicalization(method: &Element) -> Result<bool> {
    let name = attribute(method, "Algorithm")?.unwrap_or_default();
    // With comments or without is the same here: what is signed has none.
    let base = name.strip_suffix("#WithComments").unwrap_or(&name);
    CANONICALIZATIONS
        .iter()
        .find(|(found, _)| *found == base)
        .map(|(_, inherits)| *inherits)
        .ok_or_else(|| Error::unsupported(format!("algorithm {name:?}, expected Canonical XML 1.0 or 1.1")))
}

fn lookup<T: Copy>(table: &[(&str, T)], method: &Element) -> Result<T> {
    let name = attribute(method, "Algorithm")?.unwrap_or_default();
    table.iter().find(|(found, _)| *found == name).map(|(_, algorithm)| *algorithm).ok_or_else(|| {
        let names: Vec<_> = table.iter().map(|(name, _)| *name).collect();
        Error::unsupported(format!("algorithm {name:?}, expected one of {}", names.join(", ")))
            .at(method.local_name())
    })
}

fn needed<'a>(element: &'a Element, name: &str) -> Result<&'a Element> {
    element.child(name).ok_or_else(|| {
        Error::input(format!("there is no {name}")).clause("XML Signature 1.1 §4").at(element.local_name())
    })
}
