//! What was checked, how often, and what was found — the rules are those of [`super::RULES`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use serde::Serialize;

use crate::base::{Kind, Result};

use super::rules::{Severity, rule};

/// Most findings of one rule that are listed; the others are counted.
const MAX_LISTED: u64 = 20;

/// A rule that is broken somewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule's name.
    pub rule: &'static str,
    /// `error` or `advice`.
    pub severity: &'static str,
    /// The rule's clause.
    pub clause: &'static str,
    /// The file, and the box, track, sample or byte in it.
    pub place: String,
    /// What is there.
    pub found: String,
    /// What should be there.
    pub expected: String,
}

/// How often a rule was checked and broken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// How many things were held to the rule.
    pub checked: u64,
    /// How many of them break it.
    pub broken: u64,
}

/// Checks and findings, gathered part by part.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    counts: BTreeMap<&'static str, Count>,
    findings: Vec<Finding>,
    unchecked: BTreeSet<String>,
}

impl Findings {
    /// Holds one thing to a rule; texts are made only when it is broken. Says whether it holds.
    pub(super) fn check(
        &mut self,
        id: &'static str,
        holds: bool,
        place: &dyn Display,
        found: &dyn Display,
        expected: &dyn Display,
    ) -> bool {
        let count = self.counts.entry(id).or_default();
        count.checked += 1;
        if holds {
            return true;
        }
        count.broken += 1;
        if count.broken <= MAX_LISTED {
            let rule = rule(id);
            self.findings.push(Finding {
                rule: id,
                severity: rule.map_or(Severity::Error, |rule| rule.severity).name(),
                clause: rule.map_or("", |rule| rule.clause),
                place: place.to_string(),
                found: found.to_string(),
                expected: expected.to_string(),
            });
        }
        false
    }

    /// Says what could not be checked, and why.
    pub(super) fn unchecked(&mut self, what: impl Into<String>) {
        self.unchecked.insert(what.into());
    }

    /// Adds what was gathered elsewhere.
    pub(super) fn merge(&mut self, other: Self) {
        for finding in other.findings {
            let listed = self.findings.iter().filter(|known| known.rule == finding.rule).count() as u64;
            if listed < MAX_LISTED {
                self.findings.push(finding);
            }
        }
        for (id, more) in other.counts {
            let count = self.counts.entry(id).or_default();
            count.checked += more.checked;
            count.broken += more.broken;
        }
        self.unchecked.extend(other.unchecked);
    }

    /// How often each rule was checked and broken, by its name.
    pub fn counts(&self) -> &BTreeMap<&'static str, Count> {
        &self.counts
    }

    /// What was found, in the order of the presentation; of one rule no more than twenty.
    pub fn listed(&self) -> &[Finding] {
        &self.findings
    }

    /// What could not be checked.
    pub fn not_checked(&self) -> impl Iterator<Item = &str> {
        self.unchecked.iter().map(String::as_str)
    }

    /// Whether no rule is broken whose breaking is an error.
    pub fn passed(&self) -> bool {
        self.errors() == 0
    }

    /// How many things break rules whose breaking is an error.
    pub fn errors(&self) -> u64 {
        self.broken(Severity::Error)
    }

    /// How many things break rules whose breaking is not an error.
    pub fn advice(&self) -> u64 {
        self.broken(Severity::Advice)
    }

    fn broken(&self, severity: Severity) -> u64 {
        let of_severity = |id: &str| rule(id).map_or(Severity::Error, |rule| rule.severity) == severity;
        self.counts.iter().filter(|(id, _)| of_severity(id)).map(|(_, count)| count.broken).sum()
    }
}

/// An error of the input is a finding.
pub(super) fn found_or_error<T>(
    rule: &'static str,
    result: Result<T>,
    place: &str,
    findings: &mut Findings,
) -> Result<Option<T>> {
    match result {
        Ok(value) => {
            findings.check(rule, true, &place, &"", &"");
            Ok(Some(value))
        }
        Err(error) if error.kind() == Kind::Input => {
            findings.check(rule, false, &place, &error, &"what the standard says");
            Ok(None)
        }
        Err(error) => Err(error.at(place)),
    }
}
