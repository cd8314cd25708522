//! Keys of records: the event's number, and whether it is a heartbeat. Pure.

use std::ops::RangeInclusive;

use super::record::Class;

/// Set in the keys of heartbeats, which so lie behind everything else.
const HEARTBEAT: u64 = 1 << 63;

/// What is sent first, and what is sent when there is none of it.
pub(super) const LANES: [RangeInclusive<u64>; 2] = [1..=HEARTBEAT - 1, HEARTBEAT..=u64::MAX];

/// The key of the event `sequence`.
pub(super) fn key(sequence: u64, class: Class) -> u64 {
    match class {
        Class::Lifecycle => sequence,
        Class::Heartbeat => sequence | HEARTBEAT,
    }
}

/// The number of the event under `key`: from 1, in the order of writing, whatever its class.
pub fn sequence(key: u64) -> u64 {
    key & !HEARTBEAT
}

/// The keys of `lane` behind all that is `taken`.
pub(super) fn rest(lane: &RangeInclusive<u64>, taken: &[RangeInclusive<u64>]) -> RangeInclusive<u64> {
    let last = taken.iter().map(|range| *range.end()).filter(|end| lane.contains(end)).max();
    last.map_or(*lane.start(), |last| last.saturating_add(1))..=*lane.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lane_goes_on_behind_what_was_taken_of_it() {
        let taken = [1..=4, key(5, Class::Heartbeat)..=key(5, Class::Heartbeat), 6..=7];
        assert_eq!(LANES.each_ref().map(|lane| *rest(lane, &taken).start()), [8, key(6, Class::Heartbeat)]);
        assert_eq!(LANES.each_ref().map(|lane| *rest(lane, &[]).start()), [1, HEARTBEAT]);
        assert_eq!((sequence(key(5, Class::Heartbeat)), sequence(key(5, Class::Lifecycle))), (5, 5));
    }
}
