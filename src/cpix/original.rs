//! A document as it was read, edited in place — DASH-IF CPIX 2.3 §4: what is not edited stays byte for byte.

use std::collections::BTreeMap;

use zeroize::{Zeroize, Zeroizing};

use super::document::{DeliveryData, Document};
use super::encrypted::{AES256_CBC, DocumentKeys, Envelope};
use super::read::{Encrypted, attribute, encrypted_secret, items, kid, tree, view};
use super::recipient::{Certificate, RecipientKey};
use super::schema;
use super::version::Version;
use super::write::{DS, ENC, PSKC, delivery_data};
use crate::base::env::Random;
use crate::base::{Error, Result, base64};
use crate::xml::{self, Element, Node, parse_fragment};

/// A CPIX document with everything that it was written with: unknown elements, comments, white space.
///
/// Keys in plain text are wiped when it is dropped. It is never printed.
pub struct Original {
    tree: xml::Document,
}

impl Original {
    /// Reads a document; encrypted content keys stay closed.
    ///
    /// # Errors
    /// [`Kind::Input`](crate::base::Kind::Input) when it is not XML with a `CPIX` root.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        Ok(Self { tree: tree(bytes)? })
    }

    /// The bytes: those that were read, with the edits.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.tree.to_bytes())
    }

    /// What the document says; encrypted content keys have no value.
    ///
    /// # Errors
    /// As [`read`](super::read()).
    pub fn document(&self) -> Result<Document> {
        view(&self.tree, Encrypted::Keep)
    }

    /// How many content keys have a value that is encrypted.
    pub fn encrypted_keys(&self) -> usize {
        self.content_keys().filter(|key| encrypted_secret(key).is_some()).count()
    }

    /// How many signatures it has.
    pub fn signatures(&self) -> usize {
        self.tree.root().named("Signature").count()
    }

    /// What breaks the schema of this version, or of the one that the document names, and what refers to nothing.
    ///
    /// # Errors
    /// As [`read`](super::read()): what breaks a rule of every version.
    pub fn findings(&self, version: Option<Version>) -> Result<Vec<String>> {
        let document = self.document()?;
        let version = version.unwrap_or_else(|| Version::of(document.version.as_deref()));
        let mut found = Vec::new();
        schema::findings(self.tree.root(), version, &mut found);
        let index = document.index();
        let is_key = |kid| index.content_key(kid).is_some();
        for rule in document.usage_rules.iter().filter(|rule| !is_key(rule.kid)) {
            found.push(format!("a usage rule is for key {}, which is not in the document", rule.kid));
        }
        for system in document.drm_systems.iter().filter(|system| !is_key(system.kid)) {
            found.push(format!("a DRMSystem is for key {}, which is not in the document", system.kid));
        }
        for root in document.content_keys.iter().filter_map(|key| key.depends_on_key) {
            if !is_key(root) {
                found.push(format!("dependsOnKey {root} is not in the document"));
            }
        }
        for id in document.usage_rules.iter().flat_map(|rule| &rule.key_period_filters) {
            if !index.has_period(id) {
                found.push(format!("no ContentKeyPeriod has the id {id:?} of a KeyPeriodFilter"));
            }
        }
        Ok(found)
    }

    /// Opens every encrypted content key; the recipients go. Returns what the user should know.
    ///
    /// # Errors
    /// As [`read_with`](super::read_with).
    pub fn decrypt(&mut self, recipients: &[RecipientKey]) -> Result<Vec<String>> {
        if self.encrypted_keys() == 0 {
            return Err(Error::usage("no content key of the document is encrypted"));
        }
        let keys = DocumentKeys::open(self.tree.root(), recipients)?;
        let before = self.snapshot();
        for element in self.content_keys_mut() {
            let kid = kid(element)?;
            let Some(secret) = encrypted_secret(element) else { continue };
            let value = keys.content_key(kid, secret).map_err(|error| error.at(kid).at("ContentKey"))?;
            let Some(secret) = secret_mut(element) else { continue };
            let prefix = prefix(secret);
            let mut plain = Element::new(&format!("{prefix}PlainValue"));
            let text = Zeroizing::new(base64(value.expose()));
            plain.children.push(Node::Raw(text.as_str().to_owned()));
            replace_value(secret, vec![Node::Element(plain)]);
        }
        self.remove_delivery_data();
        Ok(self.drop_broken_signatures(&before))
    }

    /// Encrypts every content key for these recipients. Returns what the user should know.
    ///
    /// # Errors
    /// When a content key is encrypted already, when none has a value, when there is no recipient.
    pub fn encrypt(&mut self, recipients: &[Certificate], random: &dyn Random) -> Result<Vec<String>> {
        if self.encrypted_keys() > 0 {
            return Err(
                Error::usage("content keys of the document are encrypted already").hint("decrypt it first")
            );
        }
        if recipients.is_empty() {
            return Err(Error::usage("no recipient to encrypt the content keys for"));
        }
        let document = self.document()?;
        if document.content_keys.iter().all(|key| key.value.is_none()) {
            return Err(Error::usage("no content key of the document has a value"));
        }
        let before = self.snapshot();
        let envelope = Envelope::new(random)?;
        for (element, key) in self.content_keys_mut().zip(&document.content_keys) {
            let (Some(value), Some(secret)) = (&key.value, secret_mut(element)) else { continue };
            replace_value(secret, parse_fragment(&envelope.secret(value)?)?);
            secret.set_attribute("xmlns:pskc", PSKC);
            secret.set_attribute("xmlns:enc", ENC);
        }
        self.remove_delivery_data();
        let version = Version::of(document.version.as_deref());
        let list = delivery_list(&prefix(self.tree.root()), recipients, &envelope, version)?;
        self.tree.root_mut().children.insert(0, Node::Element(list));
        Ok(self.drop_broken_signatures(&before))
    }

    /// Makes it a document of this version. Returns what the version cannot say and was left out.
    ///
    /// # Errors
    /// When a start tag is malformed.
    pub fn convert(&mut self, version: Version) -> Result<Vec<String>> {
        let before = self.snapshot();
        let mut warnings = Vec::new();
        let root = self.tree.root_mut();
        if version.names_schemes() {
            root.set_attribute("version", version.name());
        } else {
            root.remove_attribute("version");
        }
        convert_element(root, version, &mut warnings)?;
        warnings.extend(self.drop_broken_signatures(&before));
        warnings.sort();
        warnings.dedup();
        Ok(warnings)
    }

    fn content_keys(&self) -> impl Iterator<Item = &Element> {
        items(self.tree.root(), "ContentKeyList", "ContentKey")
    }

    fn content_keys_mut(&mut self) -> impl Iterator<Item = &mut Element> {
        let lists = self.tree.root_mut().elements_mut().filter(|list| list.local_name() == "ContentKeyList");
        lists.flat_map(|list| list.elements_mut().filter(|key| key.local_name() == "ContentKey"))
    }

    fn remove_delivery_data(&mut self) {
        let is_list = |node: &Node| matches!(node, Node::Element(element) if element.local_name() == "DeliveryDataList");
        self.tree.root_mut().children.retain(|node| !is_list(node));
    }

    /// The text of every list by its id, and of the whole document under the empty one.
    fn snapshot(&self) -> BTreeMap<String, Zeroizing<String>> {
        let root = self.tree.root();
        let lists = root.elements().filter_map(|list| {
            let id = attribute(list, "id").ok().flatten()?;
            Some((id, Zeroizing::new(list.to_text())))
        });
        lists.chain([(String::new(), Zeroizing::new(root.to_text()))]).collect()
    }

    /// A signature of what was edited proves nothing any more.
    fn drop_broken_signatures(&mut self, before: &BTreeMap<String, Zeroizing<String>>) -> Vec<String> {
        let now = self.snapshot();
        let intact = |reference: &Element| {
            let uri = attribute(reference, "URI").ok().flatten().unwrap_or_default();
            let id = uri.trim_start_matches('#');
            now.get(id).is_some_and(|text| before.get(id) == Some(text))
        };
        let keep = |node: &Node| match node {
            Node::Element(element) if element.local_name() == "Signature" => {
                element.child("SignedInfo").is_some_and(|info| info.named("Reference").all(intact))
            }
            _ => true,
        };
        let count = self.signatures();
        self.tree.root_mut().children.retain(keep);
        let dropped = count - self.signatures();
        if dropped == 0 {
            return Vec::new();
        }
        vec![format!("{dropped} of {count} signatures are left out: what they sign was edited")]
    }
}

impl Drop for Original {
    fn drop(&mut self) {
        for key in self.content_keys_mut() {
            let Some(secret) = secret_mut(key) else { continue };
            secret.elements_mut().for_each(wipe);
        }
    }
}

fn wipe(element: &mut Element) {
    for node in &mut element.children {
        match node {
            Node::Raw(text) => text.zeroize(),
            Node::Element(child) => wipe(child),
        }
    }
}

/// The prefix of an element with its colon.
fn prefix(element: &Element) -> String {
    match element.prefix() {
        "" => String::new(),
        prefix => format!("{prefix}:"),
    }
}

fn secret_mut(content_key: &mut Element) -> Option<&mut Element> {
    let data = content_key.elements_mut().find(|child| child.local_name() == "Data")?;
    data.elements_mut().find(|child| child.local_name() == "Secret")
}

/// Puts these nodes where the first value is, and takes the others away.
fn replace_value(secret: &mut Element, nodes: Vec<Node>) {
    let is_value = |node: &Node| {
        matches!(node, Node::Element(element)
            if matches!(element.local_name(), "PlainValue" | "EncryptedValue" | "ValueMAC"))
    };
    let place = secret.children.iter().position(is_value).unwrap_or(secret.children.len());
    secret.children.iter_mut().filter(|node| is_value(node)).for_each(|node| {
        if let Node::Element(element) = node {
            wipe(element);
        }
    });
    secret.children.retain(|node| !is_value(node));
    let place = place.min(secret.children.len());
    secret.children.splice(place..place, nodes);
}

fn delivery_list(
    p: &str,
    recipients: &[Certificate],
    envelope: &Envelope<'_>,
    version: Version,
) -> Result<Element> {
    let algorithm = (!version.lacks("DocumentKey/@Algorithm")).then_some(AES256_CBC);
    let mut list = Element::new(&format!("{p}DeliveryDataList"));
    for (name, uri) in [("xmlns:pskc", PSKC), ("xmlns:ds", DS), ("xmlns:enc", ENC)] {
        list.set_attribute(name, uri);
    }
    for recipient in recipients {
        let data = DeliveryData { certificate: recipient.der().to_vec(), ..DeliveryData::default() };
        let text = delivery_data(&data, p, &envelope.keys_for(recipient, p, algorithm)?);
        list.children.extend(parse_fragment(&text)?);
    }
    Ok(list)
}

fn convert_element(element: &mut Element, version: Version, warnings: &mut Vec<String>) -> Result<()> {
    let name = element.local_name().to_owned();
    let lost = |what: &str| format!("{name}/{what} is left out: CPIX {} does not have it", version.name());
    for lacking in schema::lacking(&name, version) {
        if let Some(lacking) = lacking.strip_prefix('@') {
            // The algorithm is also said where the key is used.
            if element.attribute(lacking)?.is_some() && name != "DocumentKey" {
                warnings.push(lost(&format!("@{lacking}")));
            }
            element.remove_attribute(lacking);
        } else if element.child(lacking).is_some() {
            warnings.push(lost(lacking));
            element
                .children
                .retain(|node| !matches!(node, Node::Element(child) if child.local_name() == lacking));
        }
    }
    if name == "HLSSignalingData"
        && let Some(playlist) = attribute(element, "playlist")?
    {
        let word = match playlist.as_str() {
            "media" | "variant" => version.media(),
            _ => version.multivariant(),
        };
        if playlist != word {
            element.set_attribute("playlist", word);
        }
    }
    if name == "KeyPeriodFilter" && version < Version::V2_3 {
        warnings.push(format!(
            "KeyPeriodFilter/@periodId is declared as an id of its own in CPIX {}: validators refuse it",
            version.name()
        ));
    }
    if name == "DocumentKey" && version < Version::V2_4 && element.attribute("Algorithm")?.is_none() {
        element.set_attribute("Algorithm", AES256_CBC);
    }
    if version == Version::V2_4 {
        element.children.retain(|node| {
            !matches!(node, Node::Element(child) if child.local_name().ends_with("List")
                && child.elements().next().is_none())
        });
    }
    if schema::orders(&name) {
        sort_children(element, &name);
    }
    element.elements_mut().try_for_each(|child| convert_element(child, version, warnings))
}

/// Puts child elements into the order of the schema; white space and comments stay where they are.
fn sort_children(parent: &mut Element, name: &str) {
    let ranks: Vec<_> = parent.elements().map(|child| schema::rank(name, child.local_name())).collect();
    if ranks.is_sorted() {
        return;
    }
    let mut sorted: Vec<_> = parent.elements().cloned().collect();
    sorted.sort_by_key(|child| schema::rank(name, child.local_name()));
    parent.elements_mut().zip(sorted).for_each(|(slot, child)| *slot = child);
}

/// The certificates of the recipients that a document names.
///
/// # Errors
/// As [`Certificate::parse`].
pub fn recipients(document: &Document) -> Result<Vec<Certificate>> {
    document.delivery_data.iter().map(|data| Certificate::parse(&data.certificate)).collect()
}
