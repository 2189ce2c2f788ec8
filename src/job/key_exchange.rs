//! Keys of a job: asked for, held to what is packed, and fixed in a plan — DASH-IF CPIX 2.3.1 §6.

use crate::base::Result;
use crate::base::env::Http;
use crate::keys::KeyServer;
use crate::package::{EncryptedTrack, KeyRule, Plan, Preset};

use super::choice::{Choice, Source};
use super::env::{Env, Event};
use super::identity::Summary;
use super::rules::{Job, Rules};
use super::weak_keys::weak_keys;

/// Asks a key source for what it has before anything is asked for by key.
pub(super) fn source<'a>(
    job: &Job,
    rules: &Rules,
    (keys, http): (&'a dyn KeyServer, &dyn Http),
    encrypted_tracks: &[EncryptedTrack],
    begins: Option<i128>,
) -> Result<Source<'a>> {
    let one = KeyRule::Preset(Preset::Preset0).assign(encrypted_tracks)?;
    Source::of(job, (keys, http), &|| rules.intent(job, &one, 1).request(), begins)
}

/// Asks for keys and fixes what each encrypted track gets.
pub(super) fn plan(
    job: &Job,
    rules: &Rules,
    encrypted_tracks: &[EncryptedTrack],
    (source, choice, periods): (&Source<'_>, &Choice, usize),
    env: &Env<'_>,
) -> Result<Plan> {
    let keys = choice.assignment.count().saturating_mul(periods);
    rules.check_substreams(job, encrypted_tracks.len(), keys)?;
    choice.warnings.iter().for_each(|warning| (env.observe)(Event::Warning(warning)));
    (env.observe)(Event::Step("exchanging keys"));
    let intent = rules.intent(job, &choice.assignment, periods);
    let keyed = source.keys(choice, env.http, (&|| intent.request(), periods), &|kid| intent.wanted(kid))?;
    let weak_keys = weak_keys(job, &keyed.document)?;
    let mut plan = Plan::of(&intent, keyed)?;
    plan.warnings.extend(weak_keys);
    plan.warnings.extend(source.left_out(choice, &rules.systems));
    plan.warnings.iter().for_each(|warning| (env.observe)(Event::Warning(warning)));
    env.check_keys(|summary| summarize(&plan, encrypted_tracks, summary))?;
    Ok(plan)
}

/// What media depends on of a plan: manifests, with everything else that is signaled, are always written.
fn summarize(plan: &Plan, encrypted_tracks: &[EncryptedTrack], summary: &mut Summary) -> Result<()> {
    for period in plan.schedule.times.iter().flat_map(|times| times.iter()) {
        summary.add(format!("{period:?}").as_bytes());
    }
    for period in plan.periods() {
        for EncryptedTrack { id, .. } in encrypted_tracks {
            let key = plan.key_in(period, *id)?;
            summary.key(key.kid, key.value(), key.vector())?;
            key.systems.iter().for_each(|(_, data)| summary.add(data.pssh.as_deref().unwrap_or_default()));
        }
    }
    Ok(())
}
