//! What goes when the spool is full: the oldest heartbeats, then the oldest other events; never what is in flight.
//!
//! Pure. More is freed than is needed at once, so that a full spool is not sorted out again for every event.

use std::ops::RangeInclusive;

use super::key::sequence;
use super::record::Class;

/// What the choice is made from, one for each record, by key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) key: u64,
    pub(super) class: Class,
    pub(super) bytes: u64,
    /// Milliseconds since 1970, when readable.
    pub(super) time: Option<i64>,
}

/// The records to drop so that `incoming` bytes fit under `quota`, lowest sequence first; empty while they fit.
pub(super) fn victims(quota: u64, incoming: u64, items: &[Item], in_flight: Option<&RangeInclusive<u64>>) -> Vec<Item> {
    let used: u64 = items.iter().map(|item| item.bytes).sum();
    let Some(over) = (used + incoming).checked_sub(quota).filter(|over| *over > 0) else { return Vec::new() };
    let mut freed = 0;
    let mut victims = Vec::new();
    for class in [Class::Heartbeat, Class::Lifecycle] {
        for item in items.iter().filter(|item| item.class == class) {
            let spare = if class == Class::Heartbeat { quota / 16 } else { quota / 64 };
            if freed >= over + spare {
                break;
            }
            if in_flight.is_none_or(|range| !range.contains(&item.key)) {
                freed += item.bytes;
                victims.push(*item);
            }
        }
    }
    victims.sort_by_key(|item| sequence(item.key));
    victims
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::key::key;
    use proptest::prelude::*;

    fn items(kinds: &str) -> Vec<Item> {
        let class = |kind| if kind == 'h' { Class::Heartbeat } else { Class::Lifecycle };
        let mut items: Vec<Item> = (1..)
            .zip(kinds.chars())
            .map(|(sequence, kind)| Item { key: key(sequence, class(kind)), class: class(kind), bytes: 10, time: None })
            .collect();
        items.sort_by_key(|item| item.key);
        items
    }

    fn check(kinds: &str, quota: u64, in_flight: Option<RangeInclusive<u64>>, dropped: &[u64]) {
        let victims = victims(quota, 10, &items(kinds), in_flight.as_ref());
        let sequences: Vec<u64> = victims.iter().map(|item| sequence(item.key)).collect();
        assert_eq!(sequences, dropped, "{kinds} quota {quota}");
    }

    #[test]
    fn heartbeats_go_first_and_the_oldest_before_the_newer() {
        check("llhlh", 60, None, &[]);
        check("llhlh", 50, None, &[3, 5]);
        check("hhhll", 50, None, &[1, 2]);
        check("llll", 40, None, &[1]);
        check("lhll", 30, None, &[1, 2]);
        check("hhll", 40, Some(key(1, Class::Heartbeat)..=key(2, Class::Heartbeat)), &[3]);
        check("hhll", 40, Some(3..=4), &[1, 2]);
        check("ll", 10, Some(1..=2), &[]);
    }

    proptest! {
        #[test]
        fn no_other_event_goes_while_a_heartbeat_could(kinds in "[hl]{0,40}", quota in 10_u64..400, flight in 0_u64..5) {
            let items = items(&kinds);
            let in_flight = (flight > 0).then_some(1..=flight);
            let victims = victims(quota, 10, &items, in_flight.as_ref());
            let free = |item: &&Item| in_flight.as_ref().is_none_or(|range| !range.contains(&item.key));
            prop_assert!(victims.iter().all(|item| free(&item)));
            if victims.iter().any(|item| item.class == Class::Lifecycle) {
                let kept = items.iter().filter(|item| !victims.contains(item)).filter(free);
                prop_assert!(kept.into_iter().all(|item| item.class == Class::Lifecycle));
            }
            let kept: u64 = items.iter().filter(|item| !victims.contains(item)).map(|item| item.bytes).sum();
            prop_assert!(kept + 10 <= quota || items.iter().filter(free).all(|item| victims.contains(item)));
        }
    }
}
