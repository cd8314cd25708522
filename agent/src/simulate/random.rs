//! Numbers that look drawn and are not: the same key gives the same row, on every machine (splitmix64). Not for secrets.

/// A row of numbers.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    /// The row that belongs to `key`.
    pub(super) fn of(key: &[u64]) -> Self {
        let mut random = Self(key.len() as u64);
        for part in key {
            random.0 ^= *part;
            random.0 = random.next();
        }
        random
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Ten bytes for an event's id.
    pub(super) fn bytes(mut self) -> [u8; 10] {
        let (first, second) = (self.next().to_be_bytes(), self.next().to_be_bytes());
        std::array::from_fn(|place| if place < 8 { first[place] } else { second[place - 8] })
    }

    /// From `least` to `most`, both included.
    pub(super) fn between(&mut self, least: i64, most: i64) -> i64 {
        let width = most.saturating_sub(least).max(0).unsigned_abs() + 1;
        least.saturating_add_unsigned(self.next() % width)
    }

    /// Around `middle`, at most `spread` away, more often near.
    pub(super) fn around(&mut self, middle: i64, spread: i64) -> i64 {
        middle + (self.between(-spread, spread) + self.between(-spread, spread)) / 2
    }

    /// True in so many of a thousand.
    pub(super) fn chance(&mut self, per_mille: u64) -> bool {
        self.next() % 1000 < per_mille
    }

    /// One of `items`, which are some.
    pub(super) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        let place = self.next() % items.len().max(1) as u64;
        items[usize::try_from(place).unwrap_or(0)]
    }

    /// The place in a list of weights.
    pub(super) fn weighted(&mut self, weights: impl Iterator<Item = u64> + Clone) -> usize {
        let mut left = self.next() % weights.clone().sum::<u64>().max(1);
        for (place, weight) in weights.enumerate() {
            if left < weight {
                return place;
            }
            left -= weight;
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_to_their_bounds_and_depend_on_every_part_of_the_key() {
        let mut random = Random::of(&[7, 1]);
        for _ in 0..10_000 {
            assert!((-3..=4).contains(&random.between(-3, 4)));
            assert!((90..=110).contains(&random.around(100, 10)));
            assert!(random.pick(&[1, 2]) < 3 && random.weighted([1, 0, 5].into_iter()) != 1);
        }
        assert_eq!(Random::of(&[7, 1]).bytes(), Random::of(&[7, 1]).bytes());
        assert_ne!(Random::of(&[7, 1]).bytes(), Random::of(&[1, 7]).bytes());
        assert_ne!(Random::of(&[7, 1]).bytes(), Random::of(&[7, 1, 0]).bytes());
    }

    #[test]
    fn a_row_never_changes_between_versions() {
        // A run that was cut off by an update of the agent is to go on where it was.
        assert_eq!(Random::of(&[7, 1]).next(), GOLDEN);
    }
    const GOLDEN: u64 = 11_896_831_165_054_609_744;
}
