//! What destructive targets have spent of their budgets. It travels in the checkpoint, with the jobs that spent it: no
//! rebuild, and no loss of the store or of EVENTS, gives any of it back.

use std::collections::{BTreeMap, VecDeque};

use emote_proto::{Name, Time};
use serde::{Deserialize, Serialize};

use super::Guard;

/// Longest window that a guard may have, in milliseconds.
pub const MAX_WINDOW: i64 = 31 * 24 * 3_600_000;
/// Most jobs that a budget may allow in its window: the checkpoint names them all.
pub const MAX_LIMIT: u32 = 1_000;

/// When jobs were let through: by target, and by target and rule. Times are those of the log, in ms since 1970, the
/// oldest first; no more of them than the limit, as no more are needed to tell whether it is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Budgets(BTreeMap<String, VecDeque<i64>>);

impl Budgets {
    /// Whether nothing is spent.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Spends one job of `rule` for `target` at `now`, or says which budget is spent.
    pub fn spend(&mut self, rule: &Name, target: &Name, guard: &Guard, now: Time) -> Result<(), String> {
        let now = now.as_millis();
        let (of_target, of_rule) = (target.to_string(), format!("{target}/{rule}"));
        for (key, limit, whose) in [(&of_rule, guard.rule_limit, "of this rule "), (&of_target, guard.limit, "")] {
            if self.is_spent(key, limit, guard.window, now) {
                return Err(format!("{limit} jobs {whose}in {} are the budget of {target}", window(guard.window)));
            }
        }
        self.note(of_rule, guard.rule_limit, now);
        self.note(of_target, guard.limit, now);
        self.0.retain(|_, times| times.back().is_some_and(|last| *last > now - MAX_WINDOW));
        Ok(())
    }

    fn is_spent(&self, key: &str, limit: u32, window: i64, now: i64) -> bool {
        let Some(times) = self.0.get(key) else { return limit == 0 };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        // A clock that was set back makes nothing old.
        times.iter().filter(|at| **at > now - window).count() >= limit
    }

    fn note(&mut self, key: String, limit: u32, now: i64) {
        let times = self.0.entry(key).or_default();
        let at = times.partition_point(|earlier| *earlier <= now);
        times.insert(at, now);
        while times.len() > usize::try_from(limit).unwrap_or(usize::MAX).max(1) {
            times.pop_front();
        }
    }
}

/// `1 h`, `90 min`.
fn window(millis: i64) -> String {
    match (millis / 1_000, millis / 60_000, millis / 3_600_000) {
        (_, _, hours) if millis % 3_600_000 == 0 => format!("{hours} h"),
        (_, minutes, _) if millis % 60_000 == 0 => format!("{minutes} min"),
        (seconds, ..) => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn at(millis: i64) -> Time {
        Time::from_millis(1_767_225_600_000 + millis).unwrap()
    }

    #[test]
    fn a_budget_is_of_the_rule_and_of_the_target() {
        let guard = Guard { limit: 3, rule_limit: 2, window: 3_600_000, trust: None };
        let mut budgets = Budgets::default();
        let mut spend = |rule: &str, millis| budgets.spend(&name(rule), &name("mdm"), &guard, at(millis));
        assert_eq!((spend("a", 0), spend("a", 1)), (Ok(()), Ok(())));
        assert_eq!(spend("a", 2), Err("2 jobs of this rule in 1 h are the budget of mdm".to_owned()));
        assert_eq!(spend("b", 3), Ok(()));
        assert_eq!(spend("b", 4), Err("3 jobs in 1 h are the budget of mdm".to_owned()));
        assert_eq!(spend("a", 3_600_000), Ok(()), "the first is an hour ago");
        assert!(spend("a", 3_600_000).is_err());
        assert_eq!(window(5_400_000), "90 min");
    }

    #[test]
    fn what_a_checkpoint_carries_is_what_was_spent() {
        let mut budgets = Budgets::default();
        budgets.spend(&name("a"), &name("mdm"), &Guard::default(), at(0)).unwrap();
        let json = serde_json::to_string(&budgets).unwrap();
        assert_eq!(json, r#"{"mdm":[1767225600000],"mdm/a":[1767225600000]}"#);
        assert_eq!(serde_json::from_str::<Budgets>(&json).unwrap(), budgets);
    }

    proptest! {
        /// Whatever the clock does, no window of the log's time holds more than the budget.
        #[test]
        fn no_window_holds_more_than_the_budget(steps in proptest::collection::vec((0..3_u8, -50..200_i64), 0..80), limit in 0..6_u32, rule_limit in 0..4_u32) {
            let guard = Guard { limit, rule_limit, window: 300, trust: None };
            let (mut budgets, mut now, mut spent) = (Budgets::default(), 0, Vec::new());
            for (rule, step) in steps {
                now += step;
                if budgets.spend(&name(&format!("r{rule}")), &name("t"), &guard, at(now)).is_ok() {
                    spent.push((rule, now));
                }
                let within = spent.iter().filter(|(_, at)| *at > now - 300 && *at <= now);
                prop_assert!(within.clone().count() <= limit as usize);
                prop_assert!(within.filter(|(r, _)| *r == rule).count() <= rule_limit as usize);
                prop_assert!(budgets.0.values().all(|times| times.len() <= 6));
            }
        }
    }
}
