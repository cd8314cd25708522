//! What several brokers do for one target, in one word. Pure.

use emote_proto::Time;

use crate::{console::view::words, deliver::Running, engine::Role};

/// What is done for a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// Jobs are worked on.
    Working {
        /// Brokers that leave it alone meanwhile, of how many.
        but: Option<(usize, usize)>,
    },
    /// It is left alone until then.
    Paused(Time),
    /// One attempt shows how it is.
    Probing,
    /// Its rate allows the next attempt then.
    WaitingForRate(Time),
    /// It cannot be started.
    NotReady(String),
    /// Only a broker that leads works on it, and none does.
    NoLeader,
    /// No broker runs.
    NoBroker,
    /// Brokers run, and none of them has it.
    NotTaken,
    /// It is not in the configuration any more.
    Removed,
}

impl State {
    /// Of a target that brokers, one or more, say this of, where so many jobs wait.
    pub(crate) fn of(brokers: &[&Running], backlog: u64) -> Self {
        let each: Vec<Self> = brokers.iter().map(|running| Self::at_one(running, backlog)).collect();
        let paused: Vec<Time> =
            each.iter().filter_map(|state| if let Self::Paused(until) = state { Some(*until) } else { None }).collect();
        let find = |wanted: fn(&Self) -> bool| each.iter().find(|state| wanted(state)).cloned();
        if each.iter().any(|state| matches!(state, Self::Working { .. })) {
            let but = (!paused.is_empty()).then_some((paused.len(), each.len()));
            return Self::Working { but };
        }
        find(|state| *state == Self::Probing)
            .or_else(|| find(|state| matches!(state, Self::WaitingForRate(_))))
            .or_else(|| paused.iter().min().map(|until| Self::Paused(*until)))
            .or_else(|| find(|state| matches!(state, Self::NotReady(_))))
            .or_else(|| find(|state| *state == Self::Removed))
            .or_else(|| find(|state| *state == Self::NoLeader))
            .unwrap_or(Self::NotTaken)
    }

    /// Of a target at one broker. Where nothing waits, nothing waits for a rate.
    pub(crate) fn at_one(running: &Running, backlog: u64) -> Self {
        match running {
            Running::Running => Self::Working { but: None },
            Running::WaitingForRate { .. } if backlog == 0 => Self::Working { but: None },
            Running::WaitingForRate { until } => Self::WaitingForRate(*until),
            Running::Paused { until } => Self::Paused(*until),
            Running::Probing => Self::Probing,
            Running::StandingBy => Self::NoLeader,
            Running::NotReady { reason } => Self::NotReady(reason.clone()),
            Running::Gone => Self::Removed,
        }
    }

    /// For programs.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Working { .. } => "working",
            Self::Paused(_) => "paused",
            Self::Probing => "probing",
            Self::WaitingForRate(_) => "waiting_for_rate",
            Self::NotReady(_) => "not_ready",
            Self::NoLeader => "no_leader",
            Self::NoBroker => "no_broker",
            Self::NotTaken => "not_taken",
            Self::Removed => "removed",
        }
    }

    /// For people.
    pub(crate) fn shown(&self, now: Time) -> String {
        match self {
            Self::Working { but: None } => "working".to_owned(),
            Self::Working { but: Some((paused, all)) } => format!("working, paused at {paused} of {all} brokers"),
            Self::Paused(until) => format!("paused for {}", words::ago(now, *until)),
            Self::Probing => "one attempt will tell".to_owned(),
            Self::WaitingForRate(_) => "waiting for its rate".to_owned(),
            Self::NotReady(_) => "not ready".to_owned(),
            Self::NoLeader => "waiting for a leader".to_owned(),
            Self::NoBroker => "no broker runs".to_owned(),
            Self::NotTaken => "no broker has it".to_owned(),
            Self::Removed => "removed".to_owned(),
        }
    }

    /// Until when it is so, where that is known.
    pub(crate) fn until(&self) -> Option<Time> {
        match self {
            Self::Paused(until) | Self::WaitingForRate(until) => Some(*until),
            _ => None,
        }
    }

    /// Why it is so, where that takes more words.
    pub(crate) fn reason(&self) -> Option<&str> {
        if let Self::NotReady(reason) = self { Some(reason) } else { None }
    }
}

/// A broker's part, for people.
pub(crate) fn part(role: Role) -> &'static str {
    match role {
        Role::Leading => "leads",
        Role::StandingBy => "stands by",
        Role::Starting => "starting",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_brokers_come_to_one_state() {
        let at = |seconds: i64| Time::from_millis(seconds * 1000).unwrap();
        let (working, by) = (Running::Running, Running::StandingBy);
        let paused = |seconds| Running::Paused { until: at(seconds) };
        let rate = Running::WaitingForRate { until: at(1) };
        let broken = Running::NotReady { reason: "no secret".to_owned() };
        for (brokers, backlog, shown) in [
            (vec![&working], 0, "working"),
            (vec![&working, &by], 0, "working"),
            (vec![&working, &paused(60), &broken], 9, "working, paused at 1 of 3 brokers"),
            (vec![&paused(90), &paused(60), &by], 9, "paused for 60s"),
            (vec![&paused(90), &Running::Probing], 9, "one attempt will tell"),
            (vec![&by, &rate], 9, "waiting for its rate"),
            (vec![&by, &rate], 0, "working"),
            (vec![&by, &broken], 9, "not ready"),
            (vec![&by, &by], 9, "waiting for a leader"),
            (vec![&Running::Gone, &by], 9, "removed"),
            (vec![], 9, "no broker has it"),
        ] {
            assert_eq!(State::of(&brokers, backlog).shown(at(0)), shown, "{brokers:?}");
        }
        assert_eq!(State::of(&[&paused(60)], 1).until(), Some(at(60)));
        assert_eq!(State::of(&[&broken], 1).reason(), Some("no secret"));
    }
}
