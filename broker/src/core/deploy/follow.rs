//! What an event says of an install that is under way.

use emote_proto::{Event, Time, source};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Deployment, MAX_REASON, Said, State, TIMER, is_at_least};
use crate::core::{Job, Node, Overlay, StateError, claims::AGENT_VERSION, fold::own, silence};

/// Largest chain of errors that is kept, in bytes of JSON.
const MAX_ERRORS: usize = 4 * 1024;

/// The version that an agent says of itself in `event`, while it runs. Most events are heartbeats: nothing else is read of
/// their info, and nothing of it kept.
pub(in crate::core) fn version_of(event: &Event) -> Option<&str> {
    let version = match event.action.as_str() {
        "started" | "heartbeat" => said::<Running<'_>>(event)?.version,
        "upgraded" => said::<Upgraded<'_>>(event)?.to,
        _ => return None,
    };
    Some(version).filter(|version| (1..=64).contains(&version.len()))
}

#[derive(Deserialize)]
struct Running<'e> {
    version: &'e str,
}

#[derive(Deserialize)]
struct Upgraded<'e> {
    to: &'e str,
}

fn said<'e, T: Deserialize<'e>>(event: &'e Event) -> Option<T> {
    serde_json::from_str(event.info.as_ref()?.json()).ok()
}

/// Takes note of what `event`, about `node`, says of an install; gives the events that tell what follows.
pub(in crate::core) fn note(
    state: &mut Overlay<'_>,
    event: &Event,
    node: Option<&Node>,
    received: Time,
) -> Result<Vec<Job>, StateError> {
    let Some(step) = Step::of(event).filter(|step| !step.is_old_news(node)) else { return Ok(Vec::new()) };
    let keys = match &step {
        Step::Due { node, .. } => [Some(*node), None],
        // Agents speak under serial numbers: one that takes the UDID of another Mac for its own proves nothing of that.
        Step::Runs { .. } => [event.serial(), None],
        _ => [event.serial(), event.udid()],
    };
    for key in keys.into_iter().flatten() {
        if let Some(mut deployment) = state.deployment(key)? {
            let before = deployment.clone();
            let told = step.take(&mut deployment, event, received);
            if deployment != before {
                state.put_deployment(deployment);
            }
            return Ok(told.into_iter().collect());
        }
    }
    Ok(Vec::new())
}

/// What is noted under a UDID is of the node of this serial number.
pub(in crate::core) fn moved(state: &mut Overlay<'_>, udid: &str, serial: &str) -> Result<(), StateError> {
    if let Some(deployment) = state.take_deployment(udid)? {
        state.put_deployment(Deployment { serial: Some(serial.to_owned()), ..deployment });
    }
    Ok(())
}

/// What an event may say of an install.
enum Step<'e> {
    /// A job ended: the MDM has the command, or it will not be sent.
    Ended { job: &'e str, is_sent: bool },
    /// What the Mac said to the MDM.
    Answered { command: &'e str, state: State },
    /// An agent of this version runs; whether it has just begun to.
    Runs { version: &'e str, begins: bool },
    /// It was to be there by now.
    Due { node: &'e str, job: &'e str },
}

impl<'e> Step<'e> {
    fn of(event: &'e Event) -> Option<Self> {
        let text = |key: &str| event.info_at(&[key]).and_then(Value::as_str);
        let what = (event.scope.as_str(), event.action.as_str());
        match event.source.as_str() {
            source::BROKER if what == silence::TIMER => (text("timer") == Some(TIMER))
                .then(|| Some(Self::Due { node: text("node")?, job: text("job")? }))
                .flatten(),
            source::BROKER => {
                let is_sent = match what {
                    ("mdm", "command_sent") => true,
                    ("delivery", "dead" | "denied" | "skipped") => false,
                    _ => return None,
                };
                Some(Self::Ended { job: event.cause.as_ref()?.job.as_deref()?, is_sent })
            }
            source::AGENT if what.0 == "agent" => {
                let begins = matches!(what.1, "started" | "upgraded");
                Some(Self::Runs { version: version_of(event)?, begins })
            }
            _ => {
                let state = match what {
                    ("mdm", "command_acknowledged") => State::Acknowledged,
                    ("mdm", "command_not_now") => State::Deferred,
                    ("mdm", "command_error") => State::Failed,
                    _ => return None,
                };
                Some(Self::Answered { command: text("command_uuid")?, state })
            }
        }
    }

    /// Whether the agent has told that version before, as most events do: what that proves was taken note of, or was known
    /// when the install was ordered. The record is at hand; what is noted of installs would have to be looked up.
    fn is_old_news(&self, node: Option<&Node>) -> bool {
        let Self::Runs { version, begins: false } = *self else { return false };
        let claims = node.and_then(|node| node.sources.get(source::AGENT));
        let claim = claims.and_then(|claims| claims.get(AGENT_VERSION));
        claim.is_some_and(|claim| claim.value == *version && claim.confirmed.is_some())
    }

    fn take(&self, deployment: &mut Deployment, event: &Event, received: Time) -> Option<Job> {
        match *self {
            Self::Ended { job, is_sent } if job == deployment.job.as_str() => {
                ended(deployment, event, is_sent, received)
            }
            Self::Answered { command, state } if command.eq_ignore_ascii_case(&deployment.job.command_uuid()) => {
                answered(deployment, event, state, received)
            }
            Self::Runs { version, begins } if deployment.serial.is_some() => {
                runs(deployment, event, (version, begins), received)
            }
            Self::Due { job, .. } if job == deployment.job.as_str() => due(deployment, event, received),
            _ => None,
        }
    }
}

fn ended(deployment: &mut Deployment, event: &Event, is_sent: bool, received: Time) -> Option<Job> {
    if is_sent && deployment.given_up {
        deployment.go_on(received);
    }
    if !deployment.state.is_open() {
        return None;
    }
    if is_sent {
        // The Mac may have been quicker than this word.
        deployment.reach(State::Sent, received);
        // Where the push failed nothing wakes the Mac: it asks when it next does by itself.
        let push_error = event.info_at(&["push_error"]).and_then(Value::as_str).filter(|_| deployment.said.is_none());
        deployment.reason = push_error.map(|error| clipped(&format!("not told to look: {error}")));
        return Some(own::deployed(event, "started", deployment, about(deployment)));
    }
    let reason = event.info_at(&["reason"]).and_then(Value::as_str).unwrap_or("the job was not done");
    deployment.given_up = true;
    failed(deployment, event, reason, received)
}

fn answered(deployment: &mut Deployment, event: &Event, state: State, received: Time) -> Option<Job> {
    let status = event.info_at(&["status"]).and_then(Value::as_str).unwrap_or(state.word());
    let errors = event.info_at(&["error_chain"]).filter(|chain| chain.to_string().len() <= MAX_ERRORS);
    let status: String = status.chars().take(64).collect();
    let said = Said { status, at: received, errors: errors.cloned() };
    let before = deployment.said.replace(said);
    if !deployment.state.is_open() {
        return None;
    }
    if state == State::Failed {
        let reason = first_error(errors).unwrap_or_else(|| "the Mac refused the command".to_owned());
        return failed(deployment, event, &reason, received);
    }
    let again = before.is_some_and(|before| deployment.said.as_ref().is_some_and(|said| said.status == before.status));
    deployment.reach(state, received);
    deployment.reason = None;
    let action = if state == State::Deferred { "deferred" } else { "acknowledged" };
    // A Mac that is busy says so each time that it is asked.
    (!again).then(|| own::deployed(event, action, deployment, about(deployment)))
}

fn runs(deployment: &mut Deployment, event: &Event, (version, begins): (&str, bool), received: Time) -> Option<Job> {
    let wanted = deployment.version.as_str();
    // Where it ran before, only one that begins to run tells of an install; where a later one did, only that very version.
    let proves = match deployment.had.as_deref().filter(|had| is_at_least(had, wanted)) {
        None => is_at_least(version, wanted),
        Some(had) => {
            let goes_back = !is_at_least(wanted, had);
            begins
                && event.time >= deployment.ordered
                && if goes_back { version == wanted } else { is_at_least(version, wanted) }
        }
    };
    if deployment.state == State::Installed || !proves {
        return None;
    }
    deployment.reach(State::Installed, received);
    (deployment.reason, deployment.given_up) = (None, false);
    let mut info = about(deployment);
    info["installed"] = json!(version);
    info["took_s"] = json!(received.millis_since(deployment.ordered) / 1000);
    info["event"] = json!(event.id);
    Some(own::deployed(event, "installed", deployment, info))
}

fn due(deployment: &mut Deployment, event: &Event, received: Time) -> Option<Job> {
    let is_due = deployment.due.is_some_and(|due| due <= received);
    let overdue = is_due && deployment.reach(State::Overdue, received);
    overdue.then(|| {
        let mut info = about(deployment);
        info["waited_s"] = json!(received.millis_since(deployment.ordered) / 1000);
        own::deployed(event, "overdue", deployment, info)
    })
}

fn failed(deployment: &mut Deployment, event: &Event, reason: &str, received: Time) -> Option<Job> {
    deployment.reach(State::Failed, received);
    deployment.reason = Some(clipped(reason));
    let info = about(deployment);
    Some(own::deployed(event, "failed", deployment, info))
}

fn clipped(reason: &str) -> String {
    reason.chars().take(MAX_REASON).collect()
}

/// What each of its events says.
fn about(deployment: &Deployment) -> Value {
    let Deployment { version, had, job, target, ordered, said, reason, .. } = deployment;
    let mut info = json!({
        "version": version, "job": job, "target": target, "command_uuid": job.command_uuid(), "ordered": ordered,
    });
    for (key, text) in [("had", had), ("reason", reason)] {
        if let Some(text) = text {
            info[key] = json!(text);
        }
    }
    if let Some(Said { status, errors, .. }) = said {
        info["mdm_status"] = json!(status);
        if let Some(errors) = errors {
            info["error_chain"] = errors.clone();
        }
    }
    info
}

/// The first error of a chain, as people read it.
fn first_error(chain: Option<&Value>) -> Option<String> {
    let first = chain?.as_array()?.first()?;
    let text = first["description"].as_str().filter(|text| !text.is_empty());
    let place = || Some(format!("{} {}", first["domain"].as_str()?, first["code"]));
    text.map(str::to_owned).or_else(place)
}
