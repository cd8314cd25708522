//! Collects into ordered maps and sets one entry after the other.
//!
//! The standard library's `collect` sorts first, with a sort of its own for each type: some 3 KB of program every time.
//! What is collected here has dozens of entries, or comes in order.

/// In place of `collect`.
pub(crate) trait Gather: Iterator + Sized {
    /// Puts each item into a new collection; of two with the same key, the later one stays.
    fn gather<C: Default + Extend<Self::Item>>(self) -> C {
        let mut all = C::default();
        all.extend(self);
        all
    }
}

impl<I: Iterator> Gather for I {}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::Gather;

    #[test]
    fn what_is_gathered_is_what_would_be_collected() {
        let entries = [("b", 1), ("a", 2), ("b", 3)];
        let gathered: BTreeMap<_, _> = entries.into_iter().gather();
        assert_eq!(gathered, entries.into_iter().collect());
        let gathered: BTreeSet<_> = entries.into_iter().gather();
        assert_eq!(gathered, entries.into_iter().collect());
    }
}
