//! Dead letters: the job as it was, what it was sent, every attempt's outcome and why it was given up. Pure.
//!
//! ```json
//! {"job": {…}, "input": …, "attempts": 3, "history": [{"at": "…", "outcome": "retry", "reason": "…", "took_ms": 12}, …],
//!  "reason": "…", "stored": "…", "at": "…"}
//! ```
//!
//! `unknown` says how many of the attempts this broker knows nothing of, at most; `left_out` what had no space.

use emote_proto::{Time, limits};
use serde::Serialize;
use serde_json::{Value, json};

use super::history::{Past, Try};
use crate::core::{Job, Poison};

/// Longest reason in a dead letter, in characters.
pub(super) const MAX_REASON: usize = 8_000;

#[derive(Clone, Serialize)]
pub(super) struct Letter<'a> {
    pub(super) job: &'a Job,
    /// What the target was given; nothing where it came to nothing of the kind.
    pub(super) input: Option<&'a Value>,
    attempts: u64,
    #[serde(skip_serializing_if = "is_zero")]
    unknown: u64,
    history: Vec<&'a Try>,
    pub(super) reason: &'a str,
    stored: Time,
    at: Time,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<&'static str>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl<'a> Letter<'a> {
    /// About a job stored at `stored` and given up at `at`.
    pub(super) fn new(
        job: &'a Job,
        input: Option<&'a Value>,
        past: &'a Past,
        reason: &'a str,
        times: (Time, Time),
    ) -> Self {
        let (stored, at) = times;
        let (attempts, unknown, history) = (past.attempts(), past.unknown, past.tries());
        Self { job, input, attempts, unknown, history, reason, stored, at, left_out: Vec::new() }
    }

    /// Its JSON, at most [`limits::MAX_JOB`] bytes: what a redrive can do without is left out first.
    pub(super) fn to_json(&self) -> Vec<u8> {
        let mut letter = self.clone();
        if let Some(json) = letter.fitting() {
            return json;
        }
        // It can be made again from the job.
        (letter.input, letter.left_out) = (None, vec!["input"]);
        if let Some(json) = letter.fitting() {
            return json;
        }
        letter.history.clear();
        letter.left_out.push("history");
        if let Some(json) = letter.fitting() {
            return json;
        }
        let without_node = Job { node: None, ..self.job.clone() };
        letter.left_out.push("job.node");
        Letter { job: &without_node, ..letter }.fitting().unwrap_or_default()
    }

    fn fitting(&self) -> Option<Vec<u8>> {
        // Texts, numbers and JSON values: this cannot fail.
        serde_json::to_vec(self).ok().filter(|json| json.len() <= limits::MAX_JOB)
    }
}

/// About an entry of EVENTS that could not be folded.
pub(super) fn of_poison(job: &Job, poison: &Poison, at: Time) -> Vec<u8> {
    let letter = |poison: &Poison| {
        let json = json!({"job": job.id, "poison": poison, "reason": poison.reason, "at": at});
        serde_json::to_vec(&json).unwrap_or_default()
    };
    let whole = letter(poison);
    if whole.len() <= limits::MAX_JOB {
        return whole;
    }
    // Escaping may make a body six times as long.
    letter(&Poison { body: poison.body.chars().take(100_000).collect(), ..poison.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{core::JobId, deliver::history::Histories};
    use emote_proto::{Event, Name};

    fn job(node: Option<Value>) -> Job {
        let event = json!({"id": "00000000-0000-7000-8000-000000000000", "time": "2026-01-01T00:00:00Z", "source": "s",
            "scope": "a", "action": "b", "info": {"x": "y".repeat(200_000)}});
        let event = Event::parse(event.to_string().as_bytes()).unwrap();
        let name = |text: &str| Name::new(text).unwrap();
        Job {
            node: node.map(Into::into),
            ..Job::new(JobId::new(event.id, &name("r"), &name("t"), None), name("r"), name("t"), event)
        }
    }

    #[test]
    fn a_letter_fits_whatever_is_in_it() {
        let now = Time::from_millis(0).unwrap();
        let histories = Histories::default();
        histories.seen((1, now), 3);
        histories.tried((1, now), 3, Try { at: now, outcome: "never", reason: "no".to_owned(), took_ms: 1 });
        let past = histories.of((1, now), 3);
        let large = |bytes: usize| json!({"name": "x".repeat(bytes)});
        for (node, input, left_out) in [
            (Value::Null, json!(1), json!(null)),
            (Value::Null, large(900_000), json!(["input"])),
            (large(700_000), large(900_000), json!(["input"])),
            (large(900_000), large(10), json!(["input", "history", "job.node"])),
        ] {
            let job = job(Some(node));
            let letter = Letter::new(&job, Some(&input), &past, "why", (now, now)).to_json();
            assert!(!letter.is_empty() && letter.len() <= limits::MAX_JOB);
            let letter: Value = serde_json::from_slice(&letter).unwrap();
            assert_eq!(letter["left_out"], left_out);
            assert_eq!(
                (&letter["attempts"], &letter["unknown"], &letter["reason"]),
                (&json!(3), &json!(2), &json!("why"))
            );
            assert!(serde_json::from_value::<Job>(letter["job"].clone()).is_ok());
        }
    }

    #[test]
    fn so_does_one_about_poison() {
        let poison =
            Poison { sequence: 7, subject: "events.x".into(), body: "\u{1}".repeat(300_000), reason: "no".into() };
        let letter = of_poison(&job(None), &poison, Time::from_millis(0).unwrap());
        assert!(letter.len() <= limits::MAX_JOB);
        let letter: Value = serde_json::from_slice(&letter).unwrap();
        assert_eq!((&letter["poison"]["sequence"], &letter["reason"]), (&json!(7), &json!("no")));
    }
}
