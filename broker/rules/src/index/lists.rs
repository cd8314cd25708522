//! Lists of facts, for all that is looked up.

use crate::error::EventError;
use crate::event::Seen;

/// A fact, and whether it leads on to rules by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry(u32);

impl Entry {
    const LEADS: u32 = 1 << 30;

    /// Facts are fewer than 2^30: more would not fit into memory.
    pub(crate) const fn new(fact: u32, leads: bool) -> Self {
        Self(fact & (Self::LEADS - 1) | if leads { Self::LEADS } else { 0 })
    }

    #[inline(always)]
    pub(crate) fn fact(self) -> u32 {
        self.0 & !Self::LEADS
    }

    #[inline(always)]
    pub(crate) fn leads(self) -> bool {
        self.0 & Self::LEADS != 0
    }
}

/// A list: its number, or if it has just one entry, as most have, the entry itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct List(u32);

const ITSELF: u32 = 1 << 31;

/// The lists.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    entries: Vec<Entry>,
    spans: Vec<(u32, u32)>,
}

impl List {
    /// What a value establishes of which there is no fact. To say so takes no decision while events are read.
    pub(super) const NOTHING: Self = Self(Entry::new(crate::plan::NOTHING, false).0 | ITSELF);

    pub(super) fn to_number(self) -> u32 {
        self.0
    }

    #[inline(always)]
    pub(super) fn from_number(number: u32) -> Self {
        Self(number)
    }
}

impl Lists {
    /// Nothing for no entries.
    pub(super) fn add(&mut self, list: &[Entry]) -> Option<List> {
        match list {
            [] => return None,
            [only] => return Some(List(only.0 | ITSELF)),
            _ => {}
        }
        let place = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        self.spans.push((place(self.entries.len()), place(self.entries.len() + list.len())));
        self.entries.extend(list);
        Some(List(place(self.spans.len() - 1)))
    }

    /// Tells `note` of the entries of a list.
    #[inline(always)]
    pub(super) fn tell(&self, list: List, event: Seen<'_>, note: &mut impl FnMut(Entry)) -> Result<(), EventError> {
        if list.0 & ITSELF != 0 {
            if list != List::NOTHING {
                note(Entry(list.0 & !ITSELF));
            }
            return Ok(());
        }
        let span = self.spans.get(list.0 as usize);
        let entries =
            span.and_then(|(start, end)| self.entries.get(*start as usize..*end as usize)).unwrap_or_default();
        entries.iter().for_each(|entry| note(*entry));
        event.step(entries.len())
    }
}
