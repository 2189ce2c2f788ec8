//! One exchange for two schemes: asked for together, answered apart — DASH-IF CPIX 2.3.1 §4,
//! `ContentKey@commonEncryptionScheme`.

use crate::base::env::Http;
use crate::base::{Error, FourCc, Kid, Result};
use crate::cpix::Document;
use crate::cpix::usage::Strictness;
use crate::keys::{KeyServer, check};

const CLAUSE: &str = "DASH-IF CPIX 2.3 §4, ContentKey@commonEncryptionScheme";

/// What a key source answered for one scheme; nothing is asked again.
pub struct Answered {
    document: Document,
    rules: Option<Strictness>,
    is_at_hand: bool,
    is_local: bool,
}

impl Answered {
    /// Asks `keys` once for what is requested for each of two schemes, and gives the answer for each.
    ///
    /// # Errors
    /// As [`KeyServer::exchange`], when a key is for no scheme, a scheme has no key, or both have one.
    pub fn for_each(
        schemes: [FourCc; 2],
        (keys, http): (&dyn KeyServer, &dyn Http),
        requests: &dyn Fn() -> Result<[Document; 2]>,
    ) -> Result<[Self; 2]> {
        let documents = match (keys.rules(), keys.at_hand()) {
            (Some(_), Some(document)) => of_schemes(document, schemes)?,
            (Some(_), None) => of_schemes(&keys.exchange(http, together(requests()?))?, schemes)?,
            (None, _) => asked(requests()?, keys, http)?,
        };
        check_apart(&documents)?;
        let (rules, is_at_hand, is_local) = (keys.rules(), keys.at_hand().is_some(), keys.is_local());
        Ok(documents.map(|document| Self { document, rules, is_at_hand, is_local }))
    }
}

impl KeyServer for Answered {
    fn exchange(&self, _http: &dyn Http, _request: Document) -> Result<Document> {
        Ok(self.document.clone())
    }

    fn rules(&self) -> Option<Strictness> {
        self.rules
    }

    fn is_local(&self) -> bool {
        self.is_local
    }

    fn at_hand(&self) -> Option<&Document> {
        self.is_at_hand.then_some(&self.document)
    }
}

/// Both documents as one: an id of a key says the scheme too, as ids are there once in a document.
pub fn together([mut all, other]: [Document; 2]) -> Document {
    all.content_keys.extend(other.content_keys);
    all.drm_systems.extend(other.drm_systems);
    all.usage_rules.extend(other.usage_rules);
    for key in &mut all.content_keys {
        if let (Some(id), Some(scheme)) = (&mut key.id, key.common_encryption_scheme) {
            id.push_str(&format!("_{scheme}"));
        }
    }
    all
}

/// The answers to requests that are sent together: they come in the order of the request.
fn asked(requests: [Document; 2], keys: &dyn KeyServer, http: &dyn Http) -> Result<[Document; 2]> {
    let [first, _] = &requests;
    let counts = (first.content_keys.len(), first.drm_systems.len(), first.usage_rules.len());
    let request = together(requests);
    let mut one = check(&request, keys.exchange(http, request.clone())?)?;
    let other = Document {
        content_id: one.content_id.clone(),
        version: one.version.clone(),
        content_keys: one.content_keys.split_off(counts.0),
        drm_systems: one.drm_systems.split_off(counts.1),
        usage_rules: one.usage_rules.split_off(counts.2),
        ..Document::default()
    };
    Ok([one, other])
}

fn of_schemes(document: &Document, schemes: [FourCc; 2]) -> Result<[Document; 2]> {
    let [one, other] = schemes;
    let keys = || document.content_keys.iter();
    if let Some(key) =
        keys().find(|key| key.common_encryption_scheme.is_none_or(|found| !schemes.contains(&found)))
    {
        let found =
            key.common_encryption_scheme.map_or_else(|| "no scheme".to_owned(), |found| found.to_string());
        return Err(Error::keys(format!("key {} is for {found}, expected {one} or {other}", key.kid))
            .clause(CLAUSE)
            .hint(format!(
                "say it in the document, and in a key file by labels such as v1@{one} and v1@{other}"
            )));
    }
    Ok([of_scheme(document, one)?, of_scheme(document, other)?])
}

fn of_scheme(document: &Document, scheme: FourCc) -> Result<Document> {
    let mut part = document.clone();
    part.content_keys.retain(|key| key.common_encryption_scheme == Some(scheme));
    if part.content_keys.is_empty() {
        return Err(Error::keys(format!("no key for {scheme}, keys for two schemes are wanted"))
            .clause(CLAUSE)
            .hint("a key serves one scheme: give keys for each"));
    }
    let kids: Vec<Kid> = part.content_keys.iter().map(|key| key.kid).collect();
    part.drm_systems.retain(|system| kids.contains(&system.kid));
    part.usage_rules.retain(|rule| kids.contains(&rule.kid));
    Ok(part)
}

/// No key serves both.
fn check_apart([one, other]: &[Document; 2]) -> Result<()> {
    for key in &one.content_keys {
        let is_same = |found: &&crate::cpix::ContentKey| {
            let values = key.value.as_ref().zip(found.value.as_ref());
            found.kid == key.kid || values.is_some_and(|(one, other)| one.expose() == other.expose())
        };
        if let Some(found) = other.content_keys.iter().find(is_same) {
            return Err(Error::keys(format!(
                "one key for two schemes, under the key ids {} and {}",
                key.kid, found.kid
            ))
            .clause("ISO/IEC 23001-7 §10")
            .hint("a key serves one scheme: give keys for each"));
        }
    }
    Ok(())
}
