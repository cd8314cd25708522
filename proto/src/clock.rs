//! How an agent learns the time: a fresh heartbeat carries a word in the header [`crate::header::CLOCK`], and a broker
//! answers under [`crate::subjects::clock`] with the word and its own time. The stream takes the heartbeat as any other.
//!
//! The subject of the answer is made from the heartbeat's own, so nobody can have a broker publish anywhere else.

use serde::{Deserialize, Serialize};

use crate::{Subject, Time};

/// Longest word that is answered, in bytes.
pub const MAX_CLOCK_WORD: usize = 64;

/// What a broker answers, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockAnswer {
    /// As the heartbeat said it.
    pub word: String,
    /// The broker's time when it heard it.
    pub time: Time,
}

/// Where the heartbeat under `subject` with `word` is answered; `None` for what is not to be answered.
pub fn clock_answer_subject(subject: &str, word: &str) -> Option<String> {
    let fits = !word.is_empty() && word.len() <= MAX_CLOCK_WORD && word.bytes().all(|b| b.is_ascii_alphanumeric());
    let node = subject.parse::<Subject>().ok()?.node?;
    fits.then(|| crate::subjects::clock(&node.to_subject_token()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_nodes_own_inbox_is_answered() {
        let beat = "events.agent.C02.agent.heartbeat";
        assert_eq!(clock_answer_subject(beat, "5ec2e7").as_deref(), Some("_INBOX.C02.clock"));
        for (subject, word) in [
            (beat, ""),
            (beat, "a b"),
            (beat, &*"x".repeat(65)),
            ("events.agent.*.agent.heartbeat", "a"),
            ("events.agent.>.agent.heartbeat", "a"),
            ("events.agent.-.agent.heartbeat", "a"),
            ("events.agent.C02", "a"),
        ] {
            assert_eq!(clock_answer_subject(subject, word), None, "{subject} {word}");
        }
    }
}
