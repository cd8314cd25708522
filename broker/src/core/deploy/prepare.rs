//! A job that installs the agent, as it is given out: with the package that is deployed, or not at all.

use emote_proto::{Time, source};
use serde_json::Value;

use super::{Deploying, Deployment, MAX_REASON, State, after, is_at_least};
use crate::core::{Job, Overlay, StateError, claims::AGENT_VERSION};

/// Why nothing is installed where the set of rules says nothing of it.
pub(in crate::core) const NO_TERMS: &str = "there is no deploy.yaml, which says where Macs fetch the package and which target installs it: see `emote deploy --help`";
const NO_PACKAGE: &str = "no package is deployed: `emote deploy add EmoteAgent.pkg`";

/// Gives the job the package, and what is to be followed of it; or the reason why it must not be done.
pub(in crate::core) fn prepare(
    state: &Overlay<'_>,
    job: &mut Job,
    terms: Option<&Deploying>,
    received: Time,
) -> Result<Result<Deployment, String>, StateError> {
    let Some(terms) = terms else { return Ok(Err(NO_TERMS.to_owned())) };
    let Some(package) = state.package()? else { return Ok(Err(NO_PACKAGE.to_owned())) };
    let text = |key: &str| job.node.as_ref().and_then(|node| node.get(key)).and_then(Value::as_str).map(str::to_owned);
    let serial = text("serial");
    // The event's counts only where it is about the same node: one of a user's Macs is not reached by another's.
    let is_same = job.node.is_none() || serial.as_deref() == job.event.serial();
    let udid = text("udid").or_else(|| job.event.udid().filter(|_| is_same).map(str::to_owned));
    let Some(udid) = udid else {
        let who = serial.map_or_else(|| "the event's node".to_owned(), |serial| format!("the node {serial}"));
        return Ok(Err(format!(
            "{who} has no known UDID: it becomes known when the MDM's webhook or the agent tells it"
        )));
    };
    let manifest = match package.manifest(&terms.url) {
        Ok(manifest) => manifest,
        Err(error) => return Ok(Err(format!("deploy.yaml: url: {error}"))),
    };
    let key = serial.as_deref().unwrap_or(&udid);
    let had = state.node(key)?.and_then(|node| {
        let claim = node.sources.get(source::AGENT)?.get(AGENT_VERSION)?;
        claim.value.as_str().map(str::to_owned)
    });
    if !is_again(job) {
        // One that went to another UDID, which somebody had claimed for this node, is none of it.
        let is_this = |known: &Deployment| known.version == package.version && known.udid == udid;
        let under_way = state.deployment(key)?.filter(|known| known.state < State::Overdue && is_this(known));
        if let Some(known) = under_way {
            let (version, since) = (&known.version, known.ordered);
            return Ok(Err(format!(
                "{version} is being installed there since {since}: see `emote deploy status {key}`"
            )));
        }
        if let Some(had) = had.as_deref().filter(|had| is_at_least(had, &package.version)) {
            return Ok(Err(format!("it has {had} already: `emote deploy send --again` installs it once more")));
        }
    }
    job.installs = Some(manifest);
    let order = Some(&job.event).filter(|_| is_order(job));
    let note = order.and_then(|order| order.info_at(&["reason"])).and_then(Value::as_str);
    Ok(Ok(Deployment {
        serial,
        udid,
        job: job.id.clone(),
        target: job.target.clone(),
        version: package.version,
        had,
        state: State::Ordered,
        since: received,
        ordered: received,
        due: after(received, terms.overdue_after),
        overdue_after: terms.overdue_after,
        given_up: false,
        said: None,
        reason: None,
        by: order.and_then(|order| order.user_id()).map(str::to_owned),
        note: note.map(|note| note.chars().take(MAX_REASON).collect()),
        cause: job.cause(),
    }))
}

/// Whether the job's event is the order for it, of somebody.
fn is_order(job: &Job) -> bool {
    job.rule.as_str() == crate::core::DEPLOY_RULE
}

/// Whether somebody ordered it wherever it is installed already.
fn is_again(job: &Job) -> bool {
    is_order(job) && job.event.info_at(&["again"]) == Some(&Value::Bool(true))
}
