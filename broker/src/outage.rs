//! What is said of something that fails again and again: that it does, at once; then how often, once in a while; and how
//! often in all, when it works again. Pure: time is an argument.

use std::time::{Duration, Instant};

/// Failures of one kind.
#[derive(Debug)]
pub(crate) struct Outage {
    every: Duration,
    said: Option<Instant>,
    /// Since it was last said.
    unsaid: u64,
    /// Since it was last said that it works.
    total: u64,
}

impl Outage {
    /// None so far. They are said no more often than `every`, also where failing and working take turns.
    pub(crate) fn said_every(every: Duration) -> Self {
        Self { every, said: None, unsaid: 0, total: 0 }
    }

    /// It failed. Gives the number of failures to tell of, this one included, where it is time to.
    pub(crate) fn failed(&mut self, now: Instant) -> Option<u64> {
        self.unsaid += 1;
        self.total += 1;
        if self.said.is_some_and(|said| now.saturating_duration_since(said) < self.every) {
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }

    /// It works. Gives the number of all failures where any of them was told of.
    pub(crate) fn worked(&mut self) -> Option<u64> {
        if self.total == self.unsaid {
            return None;
        }
        self.unsaid = 0;
        Some(std::mem::take(&mut self.total))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of failures (`x`) and successes (`o`), by the second in which they come.
    fn said(what_happens: &[(u64, char)]) -> Vec<String> {
        let (mut outage, begin) = (Outage::said_every(Duration::from_secs(10)), Instant::now());
        let said = what_happens.iter().filter_map(|(second, what)| match what {
            'x' => Some(format!("{second}: failed {}", outage.failed(begin + Duration::from_secs(*second))?)),
            _ => Some(format!("{second}: works after {}", outage.worked()?)),
        });
        said.collect()
    }

    #[test]
    fn the_first_failure_is_said_at_once_the_others_now_and_then_and_the_end_with_their_number() {
        for (what_happens, expected) in [
            (&[(0, 'o'), (1, 'o')][..], &[][..]),
            (&[(0, 'x'), (1, 'o'), (2, 'o')], &["0: failed 1", "1: works after 1"]),
            (
                &[(0, 'x'), (1, 'x'), (9, 'x'), (10, 'x'), (11, 'x'), (40, 'x'), (41, 'x'), (42, 'o')],
                &["0: failed 1", "10: failed 3", "40: failed 2", "42: works after 7"],
            ),
            (
                &[(0, 'x'), (1, 'o'), (60, 'x'), (61, 'o')],
                &["0: failed 1", "1: works after 1", "60: failed 1", "61: works after 1"],
            ),
        ] {
            assert_eq!(said(what_happens), expected, "{what_happens:?}");
        }
    }

    #[test]
    fn what_fails_every_other_time_is_said_no_more_often() {
        let turns: Vec<(u64, char)> = (0..25).flat_map(|second| [(second, 'x'), (second, 'o')]).collect();
        let expected = [
            "0: failed 1",
            "0: works after 1",
            "10: failed 10",
            "10: works after 10",
            "20: failed 10",
            "20: works after 10",
        ];
        assert_eq!(said(&turns), expected);
    }
}
