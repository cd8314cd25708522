//! Carrying out orders: events that tell the core itself what to do. What an order needs beside the fold's own records
//! (held jobs, dead letters, sets of rules) is read from where the core alone writes it.

use std::sync::Arc;

use emote_proto::{Event, EventId, Time, source};

use super::{Engine, Ruling, RulingError, Stopped, lead::know_what_is_spent, position::Position, working::Working};
use crate::{
    bus::{EventMessage, InForce, Outgoing, TailStart, job_message, no_longer_held},
    core::{Changes, Core, DEDUPE_WINDOW_MILLIS, Job, JobId, Letter, Order, Overlay, Records},
};

/// Reasons named in the event that tells that an order was not wholly carried out.
const REASONS_SHOWN: usize = 10;

/// What an order comes to.
#[derive(Default)]
struct Outcome {
    messages: Vec<Outgoing>,
    /// What could not be done, and why.
    refused: Vec<String>,
    /// Dead letters to be removed once the batch is stored.
    letters: Vec<u64>,
    /// The rules in force from here on.
    switch: Option<Arc<Ruling>>,
    /// Carried out again where a commit broke off, it comes to the same messages: the letters are there until the end.
    repeats: bool,
}

impl Engine {
    /// Folds an entry that may be an order, and carries it out. All that it comes to is stored with the checkpoint;
    /// only then do dead letters go.
    pub(super) async fn fold_order(&self, position: &mut Position, message: &mut EventMessage) -> Result<(), Stopped> {
        let ruling = self.ruling()?;
        if message.sequence <= self.store.position() {
            return Ok(());
        }
        let snapshot = self.store.snapshot()?;
        let mut overlay = Overlay::new(&snapshot);
        let is_new = position.is_new(message.sequence);
        if is_new {
            know_what_is_spent(&mut overlay, &position.budgets)?;
        }
        let event = self.ordered(&ruling, &snapshot, message)?;
        let jobs = self.fold_one(&ruling.core, &mut overlay, message)?;
        let outcome = match &event {
            Some(event) if is_new => self.carry_out(&ruling, &mut overlay, event, message).await?,
            Some(_) => {
                let switch = self.switch_of(&ruling, message).await?;
                if let Some(switch) = &switch {
                    overlay.put_config(&switch.hash);
                }
                Outcome { switch, ..Outcome::default() }
            }
            None => Outcome::default(),
        };
        if is_new {
            let stored = position.jobs_stored_of(message.sequence);
            let placed = placed(message.sequence, &jobs, &outcome, event.as_ref(), stored);
            let before = message.sequence - 1;
            let spent = vec![(before, position.budgets.clone()), (message.sequence, overlay.budgets()?)];
            if let Some(ruling) = &outcome.switch {
                position.stored.config = Some(ruling.hash.clone());
            }
            self.commit_jobs(position, placed, &spent, message.sequence).await?;
        }
        let changes = Changes { deliveries: Some(position.chain.end()), ..overlay.into_changes() };
        self.store.commit(&changes, message.sequence, message.received)?;
        position.working = Working::new(&self.store)?;
        for letter in outcome.letters {
            self.bus.remove_dead_letter(letter).await?;
        }
        if let Some(ruling) = outcome.switch {
            self.note_in_force(&ruling, message).await;
            tracing::info!(rules = %short(&ruling.hash), entry = message.sequence, "these rules are in force now");
            self.rules.send_replace(Some(ruling));
        }
        Ok(())
    }

    /// The event, unless it cannot be one or was folded before.
    fn ordered(
        &self,
        ruling: &Ruling,
        records: &impl Records,
        message: &EventMessage,
    ) -> Result<Option<Event>, Stopped> {
        let Ok(event) = ruling.core.open(&message.entry()) else { return Ok(None) };
        let before = records.seen(&event.id)?;
        let again = before.is_some_and(|first| message.received.millis_since(first) <= DEDUPE_WINDOW_MILLIS);
        Ok((!again).then_some(event))
    }

    async fn carry_out(
        &self,
        ruling: &Ruling,
        overlay: &mut Overlay<'_>,
        event: &Event,
        message: &EventMessage,
    ) -> Result<Outcome, Stopped> {
        let mut outcome = Outcome::default();
        match Order::read(event) {
            Ok(None) => {}
            Err(error) => outcome.refused.push(error.to_string()),
            Ok(Some(Order::Configure { hash })) => match self.library.load(&hash).await {
                Ok(next) => match self.may_run(&next) {
                    Ok(()) => {
                        overlay.put_config(&hash);
                        outcome.switch = Some(next);
                    }
                    Err(report) => outcome.refused.push(report.to_string()),
                },
                Err(RulingError::Bad(reason)) => outcome.refused.push(reason),
                Err(error @ RulingError::Bus(_)) => return Err(error.into()),
            },
            Ok(Some(Order::Approve { jobs })) => {
                self.approve(&ruling.core, overlay, &jobs, event.id, &mut outcome).await?;
            }
            Ok(Some(Order::Deny { rule })) => self.deny(&rule, event, &mut outcome).await?,
            Ok(Some(Order::Redrive { letters })) => {
                outcome.repeats = true;
                self.redrive(&ruling.core, overlay, &letters, (event.id, message.received), &mut outcome).await?;
            }
            Ok(Some(Order::Drop { letters })) => self.drop_letters(&letters, &mut outcome).await?,
        }
        Ok(outcome)
    }

    /// The rules that an entry puts in force, where it is folded again for its records alone.
    pub(super) async fn switch_of(
        &self,
        ruling: &Ruling,
        message: &EventMessage,
    ) -> Result<Option<Arc<Ruling>>, Stopped> {
        if !Order::may_be_under(&message.subject) {
            return Ok(None);
        }
        let Ok(event) = ruling.core.open(&message.entry()) else { return Ok(None) };
        let Ok(Some(Order::Configure { hash })) = Order::read(&event) else { return Ok(None) };
        let next = match self.library.load(&hash).await {
            Ok(next) => next,
            // It was refused when it was new, too.
            Err(RulingError::Bad(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // How NATS is guarded may have changed since: what became of the order is in the log, or soon will be.
        if next.core.believed().rests_on_credentials() {
            if self.was_refused(&event, message.sequence).await? {
                return Ok(None);
            }
            self.may_run(&next).map_err(Stopped::TakesAnyone)?;
        }
        Ok(Some(next))
    }

    /// Whether the log tells that the order `event`, entry `sequence`, was refused.
    async fn was_refused(&self, event: &Event, sequence: u64) -> Result<bool, Stopped> {
        let (filter, order) = (format!("events.{}.*.config.refused", source::BROKER), serde_json::json!(event.id));
        let mut refusals = self.bus.tail(vec![filter], TailStart::Sequence(sequence)).await?;
        while let Some(message) = refusals.read_there().await? {
            let refusal = serde_json::from_slice::<serde_json::Value>(&message.payload).unwrap_or_default();
            if refusal["info"]["event"] == order {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn approve(
        &self,
        core: &Core,
        overlay: &mut Overlay<'_>,
        jobs: &[JobId],
        by: EventId,
        outcome: &mut Outcome,
    ) -> Result<(), Stopped> {
        for id in jobs {
            match self.bus.held(id).await? {
                Some(job) if job.id == *id => {
                    outcome.messages.push(no_longer_held(&job, by));
                    outcome.messages.push(job_message(&core.release(overlay, job, by)?));
                }
                _ => outcome.refused.push(format!("{id} is not held")),
            }
        }
        Ok(())
    }

    async fn deny(&self, rule: &str, event: &Event, outcome: &mut Outcome) -> Result<(), Stopped> {
        let held = self.bus.all_held(Some(rule)).await?;
        if held.is_empty() {
            outcome.refused.push(format!("nothing is held of a rule {rule}"));
        }
        for held in held {
            outcome.messages.push(no_longer_held(&held.job, event.id));
            outcome.messages.push(job_message(&Core::denied(&held.job, event)));
        }
        Ok(())
    }

    async fn redrive(
        &self,
        core: &Core,
        overlay: &mut Overlay<'_>,
        letters: &[Letter],
        (by, received): (EventId, Time),
        outcome: &mut Outcome,
    ) -> Result<(), Stopped> {
        for letter in letters {
            let job = match self.letter(letter, outcome).await? {
                Some(found) => found.job(),
                None => continue,
            };
            let Some(job) = job.filter(is_deliverable) else {
                outcome.refused.push(format!("letter {} holds no job that could be given out again", letter.sequence));
                continue;
            };
            if let Some(job) = core.redrive(overlay, job, by, received)? {
                outcome.messages.push(job_message(&job));
            }
            outcome.letters.push(letter.sequence);
        }
        Ok(())
    }

    async fn drop_letters(&self, letters: &[Letter], outcome: &mut Outcome) -> Result<(), Stopped> {
        for letter in letters {
            if self.letter(letter, outcome).await?.is_some() {
                outcome.letters.push(letter.sequence);
            }
        }
        Ok(())
    }

    /// The letter at that place, if it is the one that was meant.
    async fn letter(&self, letter: &Letter, outcome: &mut Outcome) -> Result<Option<crate::bus::DeadLetter>, Stopped> {
        let found = self.bus.dead_letter(letter.sequence).await?.filter(|found| found.id == letter.job);
        if found.is_none() {
            outcome.refused.push(format!("there is no letter {} of {}", letter.sequence, letter.job));
        }
        Ok(found)
    }

    /// For `emote config`, and for a store that is made anew; the log itself is what counts.
    async fn note_in_force(&self, ruling: &Ruling, message: &EventMessage) {
        let noted = async {
            let stream = self.bus.events_identity().await?;
            let event = message.message_id().map(EventId::from_message_id);
            let (hash, sequence, since) = (ruling.hash.clone(), message.sequence, message.received);
            self.bus.put_in_force(&InForce { hash, sequence, stream, event, since }).await
        };
        if let Err(error) = noted.await {
            tracing::warn!(%error, "noting which rules are in force");
        }
    }
}

/// What the core itself has to say is no job to give out again.
fn is_deliverable(job: &Job) -> bool {
    job.poison.is_none() && job.rule.as_str() != crate::core::CORE_RULE
}

/// The messages of an order in their places. What a commit that broke off has stored is left out: of the fold's own jobs,
/// and of what the order does where that is still there to be done again.
fn placed(
    sequence: u64,
    jobs: &[Job],
    outcome: &Outcome,
    event: Option<&Event>,
    stored: usize,
) -> Vec<super::plan::Placed> {
    let own = jobs.iter().map(job_message);
    let complaint = event.filter(|_| !outcome.refused.is_empty() && (stored == 0 || outcome.repeats));
    let complaint = complaint.map(|event| job_message(&Core::order_refused(event, &reason(&outcome.refused))));
    let done = outcome.messages.iter().cloned();
    let messages: Vec<Outgoing> = if outcome.repeats {
        own.chain(complaint).chain(done).skip(stored).collect()
    } else {
        own.skip(stored).chain(complaint).chain(done).collect()
    };
    messages.into_iter().enumerate().map(|(index, message)| (sequence, stored + index, message)).collect()
}

fn reason(refused: &[String]) -> String {
    let reason = refused.iter().take(REASONS_SHOWN).cloned().collect::<Vec<_>>().join("; ");
    if refused.len() > REASONS_SHOWN {
        return format!("{reason}; and {} more", refused.len() - REASONS_SHOWN);
    }
    reason
}

fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn message(n: usize) -> Outgoing {
        Outgoing { subject: "deliver.t.r".to_owned(), headers: Vec::new(), payload: n.to_string().into() }
    }

    #[test]
    fn what_a_commit_that_broke_off_has_stored_of_an_order_is_not_stored_again() {
        let event = json!({"id": "00000000-0000-7000-8000-000000000000", "time": "2026-01-01T00:00:00Z",
            "source": "broker", "scope": "dead", "action": "redriven"});
        let event = Event::parse(event.to_string().as_bytes()).unwrap();
        let own = [Core::order_refused(&event, "a job of the fold's own")];
        let of = |left: std::ops::Range<usize>, repeats, stored| {
            let (messages, refused) = (left.map(message).collect(), vec!["one was not there".to_owned()]);
            let outcome = Outcome { messages, refused, repeats, ..Outcome::default() };
            let placed = placed(9, &own, &outcome, Some(&event), stored);
            assert!(placed.iter().zip(stored..).all(|((entry, index, _), at)| (*entry, *index) == (9, at)));
            placed.into_iter().map(|(_, _, message)| message.payload).collect::<Vec<_>>()
        };
        let whole = of(0..10, true, 0);
        assert_eq!(whole.len(), 12, "the fold's own, the complaint, ten letters");
        for stored in 0..=12 {
            assert_eq!(of(0..10, true, stored), whole[stored..], "letters are there until all of it is stored");
        }
        assert_eq!(of(0..10, false, 0), whole);
        for stored in 2..=12 {
            assert_eq!(of(stored - 2..10, false, stored), whole[stored..], "what is held no longer is not found again");
        }
    }
}
