//! Jobs that wait until the end of another one is known, and which ends are known to this process. Pure.

use std::collections::{HashMap, HashSet, VecDeque};

use emote_proto::EventId;

/// Jobs that wait at most.
pub(super) const SPACES: usize = 512;
/// Ends remembered. Those that are older are in the store.
const REMEMBERED: usize = 10_000;

/// What waits, by the event that tells the end it waits for.
pub(super) struct Parking<T> {
    waiting: HashMap<EventId, Vec<T>>,
    count: usize,
    ended: HashSet<EventId>,
    order: VecDeque<EventId>,
}

impl<T> Parking<T> {
    pub(super) fn new() -> Self {
        Self { waiting: HashMap::new(), count: 0, ended: HashSet::new(), order: VecDeque::new() }
    }

    /// Keeps `item` until `after` is known; gives it back where there is no space.
    pub(super) fn park(&mut self, after: EventId, item: T) -> Result<(), T> {
        if self.count >= SPACES {
            return Err(item);
        }
        self.count += 1;
        self.waiting.entry(after).or_default().push(item);
        Ok(())
    }

    /// This end is known: gives what waited for it, in the order of its coming.
    pub(super) fn ended(&mut self, id: EventId) -> Vec<T> {
        if self.ended.insert(id) {
            self.order.push_back(id);
            if self.order.len() > REMEMBERED
                && let Some(oldest) = self.order.pop_front()
            {
                self.ended.remove(&oldest);
            }
        }
        let released = self.waiting.remove(&id).unwrap_or_default();
        self.count -= released.len();
        released
    }

    /// Whether this end was told here not long ago.
    pub(super) fn knows(&self, id: &EventId) -> bool {
        self.ended.contains(id)
    }

    /// The ends that something waits for.
    pub(super) fn awaited(&self) -> Vec<EventId> {
        self.waiting.keys().copied().collect()
    }

    /// How much waits.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// All that waits.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.waiting.values().flatten()
    }

    /// Takes out all that waits.
    pub(super) fn clear(&mut self) -> Vec<T> {
        self.count = 0;
        std::mem::take(&mut self.waiting).into_values().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(n: usize) -> EventId {
        EventId::derived(&[&n.to_string()])
    }

    #[test]
    fn what_waits_is_let_go_by_the_end_it_waits_for() {
        let mut parking = Parking::new();
        assert!(
            parking.park(id(1), "a").is_ok() && parking.park(id(2), "b").is_ok() && parking.park(id(1), "c").is_ok()
        );
        assert!(!parking.knows(&id(1)));
        assert_eq!(parking.ended(id(1)), ["a", "c"]);
        assert!(parking.knows(&id(1)) && parking.ended(id(1)).is_empty());
        assert_eq!((parking.len(), parking.awaited(), parking.iter().count()), (1, vec![id(2)], 1));
        assert_eq!(parking.clear(), ["b"]);
        assert_eq!(parking.len(), 0);
    }

    #[test]
    fn it_is_full_some_day_and_forgets_old_ends() {
        let mut parking = Parking::new();
        assert!((0..SPACES).all(|n| parking.park(id(n % 7), n).is_ok()));
        assert_eq!(parking.park(id(1), 9), Err(9));
        for n in 0..REMEMBERED + 10 {
            parking.ended(id(n));
        }
        assert!(!parking.knows(&id(9)) && parking.knows(&id(10)) && parking.len() == 0);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_doubled(steps in proptest::collection::vec((0..20usize, any::<bool>()), 1..300)) {
            let (mut parking, mut parked, mut released) = (Parking::new(), 0, Vec::new());
            for (n, park) in steps {
                if park {
                    prop_assert!(parking.park(id(n), parked).is_ok());
                    parked += 1;
                } else {
                    released.extend(parking.ended(id(n)));
                }
                prop_assert_eq!(parking.len(), parking.iter().count());
                prop_assert_eq!(parking.len() + released.len(), parked);
            }
            released.extend(parking.clear());
            released.sort_unstable();
            prop_assert_eq!(released, (0..parked).collect::<Vec<_>>());
        }
    }
}
