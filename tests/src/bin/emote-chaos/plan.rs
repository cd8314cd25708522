//! Which faults strike whom and when: from a seed, and from nothing else.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::fault::Kind;

/// One fault.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Planned {
    /// From the beginning.
    pub(crate) at: Duration,
    /// What.
    pub(crate) kind: Kind,
    /// A number from which whoever it strikes is chosen.
    pub(crate) whom: usize,
    /// How long it lasts.
    pub(crate) lasts: Duration,
    /// For whatever else it needs to choose.
    pub(crate) seed: u64,
}

impl std::fmt::Display for Planned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (at, lasts) = (self.at.as_secs_f64(), self.lasts.as_secs_f64());
        write!(f, "{at:8.2} s  {:<14} whom {:<6} lasts {lasts:.2} s", self.kind.name(), self.whom)
    }
}

/// The faults of a run of this length, with this time between two of them in the mean. Each of `kinds` comes up early
/// where there is time for it, so that a short run has seen them all.
pub(crate) fn plan(seed: u64, length: Duration, every: Duration, kinds: &[Kind]) -> Vec<Planned> {
    let mut random = StdRng::seed_from_u64(seed);
    let total: u32 = kinds.iter().map(|kind| kind.weight()).sum();
    let (mut planned, mut at, mut left) = (Vec::new(), Duration::ZERO, kinds.to_vec());
    if kinds.is_empty() {
        return planned;
    }
    loop {
        // Exponential: faults know nothing of each other.
        let wait = -random.random_range(f64::EPSILON..1.0).ln();
        at += every.mul_f64(wait).max(Duration::from_millis(1));
        if at >= length {
            return planned;
        }
        let kind = if !left.is_empty() && random.random_bool(0.7) {
            left.remove(random.random_range(0..left.len()))
        } else {
            weighted(kinds, random.random_range(0..total))
        };
        planned.push(Planned {
            at,
            kind,
            whom: random.random_range(0..1_000),
            lasts: Duration::from_millis(random.random_range(lasts(kind))),
            seed: random.random(),
        });
    }
}

fn weighted(kinds: &[Kind], mut number: u32) -> Kind {
    for kind in kinds {
        match number.checked_sub(kind.weight()) {
            Some(rest) => number = rest,
            None => return *kind,
        }
    }
    kinds[0]
}

/// How long a fault of this kind lasts, in milliseconds.
fn lasts(kind: Kind) -> std::ops::Range<u64> {
    match kind {
        Kind::BrokerKill | Kind::AgentKill | Kind::CorruptStore => 0..1_500,
        Kind::NatsKill => 0..2_500,
        Kind::BrokerFreeze => 500..6_000,
        Kind::Part | Kind::Hold => 200..5_000,
        Kind::DiskFull => 500..4_000,
        Kind::Cut | Kind::Duplicates | Kind::Garbage => 0..1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_same_seed_gives_the_same_plan_and_another_one_another() {
        let kinds: Vec<Kind> = Kind::all().collect();
        assert_eq!(plan(7, MINUTE, SECOND, &kinds), plan(7, MINUTE, SECOND, &kinds));
        assert_ne!(plan(7, MINUTE, SECOND, &kinds), plan(8, MINUTE, SECOND, &kinds));
    }

    #[test]
    fn a_minute_has_every_kind_about_as_often_as_wanted_and_none_after_its_end() {
        let kinds: Vec<Kind> = Kind::all().collect();
        for seed in 0..50 {
            let planned = plan(seed, MINUTE, SECOND, &kinds);
            assert!((30..100).contains(&planned.len()), "{}", planned.len());
            assert!(planned.is_sorted_by_key(|fault| fault.at) && planned.iter().all(|fault| fault.at < MINUTE));
            for kind in &kinds {
                assert!(planned.iter().any(|fault| fault.kind == *kind), "seed {seed}: no {}", kind.name());
            }
        }
    }

    #[test]
    fn no_kinds_are_no_faults() {
        assert!(plan(1, MINUTE, SECOND, &[]).is_empty());
        assert!(plan(1, MINUTE, SECOND, &[Kind::Cut]).iter().all(|fault| fault.kind == Kind::Cut));
    }
}
