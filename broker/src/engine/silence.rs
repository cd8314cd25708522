//! Who leads, told from the checkpoint alone. Pure: time is an argument.
//!
//! The broker that leads writes its checkpoint anew at least every second. Another one takes over when it has read the
//! same checkpoint for [`SILENCE`]; no clocks are compared, and what the server does not answer proves nothing.

use std::time::Duration;

use crate::bus::Checkpoint;

/// How long a checkpoint stays the same before its broker is taken for gone.
const SILENCE: Duration = Duration::from_secs(3);
/// So often must the same checkpoint have been read by then.
const READINGS: u32 = 4;

/// A broker's claim to lead.
#[derive(Debug)]
pub(super) struct Claim {
    /// `<data folder's name>.<this run's name>`
    id: String,
    /// A run before this one is known by it, until somebody else led.
    own: Option<String>,
    seen: Option<Seen>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    at: u64,
    since: Duration,
    readings: u32,
}

impl Claim {
    /// For the data folder of this name and this run of it.
    pub(super) fn new(folder: &str, run: &str) -> Self {
        Self { id: format!("{folder}.{run}"), own: Some(format!("{folder}.")), seen: None }
    }

    /// What its checkpoints say.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Somebody else leads: from now on silence is waited for.
    pub(super) fn lost(&mut self) {
        (self.own, self.seen) = (None, None);
    }

    /// Whether `broker` is another run of this data folder: while this one runs, a broker on a copy of it.
    pub(super) fn is_copy(&self, broker: &str) -> bool {
        let folder = |id: &str| id.split_once('.').map(|(folder, _)| folder.to_owned());
        broker != self.id && folder(broker).is_some_and(|its| folder(&self.id) == Some(its))
    }

    /// Whether to take over, having read this checkpoint, of this sequence in DELIVERIES, at `now` of a clock that only
    /// goes forward.
    pub(super) fn may_lead(&mut self, found: Option<(&Checkpoint, u64)>, now: Duration) -> bool {
        let Some((checkpoint, at)) = found else { return true };
        let own = self.own.as_ref().is_some_and(|own| checkpoint.broker.starts_with(own.as_str()));
        if checkpoint.broker.is_empty() || own {
            return true;
        }
        let seen = self.seen.filter(|seen| seen.at == at).unwrap_or(Seen { at, since: now, readings: 0 });
        let seen = Seen { readings: seen.readings.saturating_add(1), ..seen };
        self.seen = Some(seen);
        now.saturating_sub(seen.since) >= SILENCE && seen.readings >= READINGS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(broker: &str) -> Checkpoint {
        Checkpoint { broker: broker.to_owned(), ..Checkpoint::default() }
    }

    fn millis(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn who_finds_nobody_or_itself_leads_at_once() {
        let mut claim = Claim::new("here", "run2");
        assert!(claim.may_lead(None, millis(0)));
        assert!(claim.may_lead(Some((&by(""), 5)), millis(0)), "it stood down");
        assert!(claim.may_lead(Some((&by("here.run1"), 5)), millis(0)), "the run before this one");
        assert!(!claim.may_lead(Some((&by("hereafter.run1"), 5)), millis(0)));
        claim.lost();
        assert!(!claim.may_lead(Some((&by("here.run1"), 5)), millis(0)), "somebody has a copy of our folder");
    }

    #[test]
    fn another_run_of_the_same_folder_is_a_copy_of_it() {
        let claim = Claim::new("here", "r");
        let copies = ["here.s", "here.r", "hereafter.s", "there.r", "", "here"].map(|broker| claim.is_copy(broker));
        assert_eq!(copies, [true, false, false, false, false, false]);
    }

    #[test]
    fn a_silent_broker_is_followed_by_another() {
        let mut claim = Claim::new("here", "r");
        let mut leads = |at, now| claim.may_lead(Some((&by("there.r"), at)), millis(now));
        for (at, now) in [(1, 0), (2, 1000), (3, 2000), (3, 2500), (3, 3000), (3, 4900)] {
            assert!(!leads(at, now), "{at} at {now}");
        }
        assert!(leads(3, 5000));
        assert!(!leads(4, 6000), "it speaks again");
        assert!(!leads(4, 60_000), "one reading after a long time proves nothing");
    }
}
