//! What a rule that matched, or an order, comes to: jobs given out, held back or refused, as their targets' policies say.

use emote_proto::{Event, Name, Replay, Time, limits, source};
use serde_json::Value;

use super::own;
use crate::core::{
    Core, Job, JobId, Node, Overlay, Policy, Record, RuleTarget, SharedEvent, StateError, Tallied, Tally, deploy, trust,
};

/// A rule that matched an event, on the way to its jobs.
pub(super) struct Giving<'a, 'o> {
    pub(super) core: &'a Core,
    pub(super) state: &'a mut Overlay<'o>,
    pub(super) rule: &'a Name,
    pub(super) targets: &'a [RuleTarget],
    pub(super) counted: Tallied,
    pub(super) event: &'a SharedEvent,
    pub(super) replay: Option<&'a Replay>,
    pub(super) user: Option<Value>,
    pub(super) received: Time,
    pub(super) jobs: &'a mut Vec<Job>,
}

impl Giving<'_, '_> {
    pub(super) fn each_device(&mut self) -> Result<(), StateError> {
        let Some(user) = self.event.user_id() else { return Ok(()) };
        let devices = self.state.devices_of(user)?;
        if devices.is_empty() {
            self.jobs.push(own::no_devices(self.rule, self.event, self.replay, user));
        }
        for key in devices {
            let device = self.state.node(&key)?;
            self.each_target(device.as_deref(), Some(&key))?;
        }
        Ok(())
    }

    pub(super) fn each_target(&mut self, node: Option<&Node>, fanned_to: Option<&str>) -> Result<(), StateError> {
        let about = node.map(|node| node.key.as_str()).or(self.event.user_id());
        if let Some(reason) = loop_reason(self.rule, self.event, about) {
            self.state.count(&self.counted, |tally| tally.loops_stopped += 1)?;
            self.jobs.push(own::loop_stopped(self.rule, (self.event, self.replay), about, &reason));
            return Ok(());
        }
        let view = node.map(|node| Record::of(&node.view_for(self.event.trust)));
        for RuleTarget { target, input } in self.targets {
            let id = JobId::new(self.event.id, self.rule, target, fanned_to);
            let job = Job {
                node: view.clone(),
                user: self.user.clone(),
                input: input.clone(),
                config: self.core.book.hash.clone(),
                owner_unproven: fanned_to.is_some() && node.is_some_and(Node::owner_is_unproven),
                replay: self.replay.cloned(),
                ..Job::new(id, self.rule.clone(), target.clone(), self.event.clone())
            };
            self.give(job)?;
        }
        Ok(())
    }

    /// Gives a job out, holds it back or refuses it, as its target's policy says.
    fn give(&mut self, mut job: Job) -> Result<(), StateError> {
        let policy = self.core.policy(&job.target);
        if let Some(reason) = policy.and_then(|policy| refusal(policy, &job, self.received)) {
            self.count(&job, |tally| tally.refused += 1)?;
            self.jobs.push(own::refused(&job, &reason));
            return Ok(());
        }
        let terms = policy.filter(|policy| policy.installs_agent).map(|_| self.core.deploying());
        let deployed = terms.map(|terms| deploy::prepare(self.state, &mut job, terms, self.received)).transpose()?;
        let deployment = match deployed.transpose() {
            Ok(deployment) => deployment,
            Err(reason) => {
                self.count(&job, |tally| tally.refused += 1)?;
                self.jobs.push(own::refused(&job, &reason));
                return Ok(());
            }
        };
        let budget = policy.and_then(|policy| policy.guard.as_ref());
        let spent = match budget {
            Some(guard) => self.state.spend((&job.rule, &job.target), guard, self.received)?,
            None => Ok(()),
        };
        if let Err(reason) = spent {
            self.count(&job, |tally| tally.held += 1)?;
            self.jobs.push(own::held(&job, &reason));
            job.held = Some(reason);
        } else {
            keep_order(self.state, policy, &mut job)?;
        }
        if let Some(deployment) = deployment {
            self.state.put_deployment(deployment);
        }
        self.count(&job, |tally| tally.jobs += 1)?;
        self.jobs.push(job);
        Ok(())
    }

    fn count(&mut self, job: &Job, what: impl Fn(&mut Tally)) -> Result<(), StateError> {
        self.state.count(&self.counted, &what)?;
        self.state.count(&Tallied::Target(job.target.to_string()), &what)
    }
}

/// Why the job must not be done at all, if it must not.
fn refusal(policy: &Policy, job: &Job, received: Time) -> Option<String> {
    if let Some(replay) = job.replay.as_ref().filter(|replay| policy.guard.is_some() && !replay.destructive) {
        return Some(format!(
            "the event, or what led to it, is of the replay {}: {} is destructive, and acts on replays only where they say so",
            replay.id, job.target
        ));
    }
    let age = received.millis_since(job.event.time);
    if let Some(max_age) = policy.max_age.filter(|max_age| age > *max_age) {
        let (age, max_age) = (age / 1000, max_age / 1000);
        return Some(format!(
            "the event was {age} s old when it came: {} acts on none older than {max_age} s",
            job.target
        ));
    }
    let wanted = policy.guard.as_ref()?.trust?;
    let trust = job.trust();
    (trust < wanted).then(|| {
        let (trust, wanted) = (trust::word(trust), trust::word(wanted));
        format!("the event, or what led to it, is {trust}: {} acts on {wanted} ones only", job.target)
    })
}

/// Puts the job behind the last one of its node, where its target keeps order.
pub(super) fn keep_order(state: &mut Overlay<'_>, policy: Option<&Policy>, job: &mut Job) -> Result<(), StateError> {
    if policy.is_some_and(|policy| policy.ordered)
        && let Some(node) = job.node_key()
    {
        job.after = state.follow(job.target.as_str(), &node, job.result_id())?;
    }
    Ok(())
}

/// Why a chain of effects ends here, if it does. Only what the broker itself reports has a cause that is believed.
fn loop_reason(rule: &Name, event: &Event, about: Option<&str>) -> Option<String> {
    let cause = event.cause.as_ref().filter(|_| event.source.as_str() == source::BROKER)?;
    if cause.depth >= limits::MAX_DEPTH {
        return Some(format!("the chain is {} effects deep", cause.depth));
    }
    let returns = cause.chain.iter().any(|link| link.rule == rule.as_str() && link.node.as_deref() == about);
    returns.then(|| "the rule would act on its own effect for the same node".to_owned())
}
