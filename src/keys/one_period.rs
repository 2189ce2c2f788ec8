//! Key periods one by one: a request document for each — SPEKE 2.0, live workflow: a period's keys are asked for when it
//! is near.

use std::collections::HashMap;

use crate::base::Result;
use crate::base::env::Http;
use crate::cpix::usage::Strictness;
use crate::cpix::{ContentKeyPeriod, Document};
use crate::keys::KeyServer;

/// A key server that is asked for the keys of one key period at a time.
pub struct OnePeriod(pub Box<dyn KeyServer>);

impl KeyServer for OnePeriod {
    fn exchange(&self, http: &dyn Http, request: Document) -> Result<Document> {
        if request.periods.len() < 2 {
            return self.0.exchange(http, request);
        }
        let mut all = Document {
            content_id: request.content_id.clone(),
            version: request.version.clone(),
            ..Document::default()
        };
        for part in parts(&request) {
            let answer = self.0.exchange(http, part)?;
            all.content_keys.extend(answer.content_keys);
            all.drm_systems.extend(answer.drm_systems);
            all.usage_rules.extend(answer.usage_rules);
            all.periods.extend(answer.periods);
        }
        Ok(all)
    }

    /// What is sent for the first of them.
    fn asks(&self, request: &Document) -> Result<Option<String>> {
        let first = if request.periods.len() < 2 { None } else { parts(request).into_iter().next() };
        self.0.asks(first.as_ref().unwrap_or(request))
    }

    fn rules(&self) -> Option<Strictness> {
        self.0.rules()
    }

    fn at_hand(&self) -> Option<&Document> {
        self.0.at_hand()
    }
}

/// What asks for the keys of each period.
fn parts(request: &Document) -> Vec<Document> {
    let (mut rules, mut systems) = (HashMap::new(), HashMap::new());
    for rule in &request.usage_rules {
        for period in &rule.key_period_filters {
            rules.entry(period.as_str()).or_insert_with(Vec::new).push(rule);
        }
    }
    for system in &request.drm_systems {
        systems.entry(system.kid).or_insert_with(Vec::new).push(system);
    }
    let index = request.index();
    let part = |period: &ContentKeyPeriod| {
        let rules = period.id.as_deref().and_then(|id| rules.get(id)).map(Vec::as_slice).unwrap_or_default();
        let kids = || rules.iter().map(|rule| rule.kid);
        Document {
            content_id: request.content_id.clone(),
            version: request.version.clone(),
            content_keys: kids().filter_map(|kid| index.content_key(kid).cloned()).collect(),
            drm_systems: kids().filter_map(|kid| systems.get(&kid)).flatten().copied().cloned().collect(),
            usage_rules: rules.iter().copied().cloned().collect(),
            periods: vec![period.clone()],
            ..Document::default()
        }
    };
    request.periods.iter().map(part).collect()
}
