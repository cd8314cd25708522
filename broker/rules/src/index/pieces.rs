//! Pieces that texts hold anywhere, all looked for at once.

use super::lists::List;
use crate::error::EventError;
use aho_corasick::automaton::Automaton;
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, MatchKind, dfa};
use memchr::memmem;

/// So many bytes of pieces are kept as a DFA, which is faster and takes many times their memory.
const FEW_BYTES: usize = 4_096;

#[derive(Debug, Default)]
enum Machine {
    /// For more pieces than an automaton holds.
    #[default]
    None,
    Dfa(dfa::DFA),
    Nfa(NFA),
}

#[derive(Debug, Default)]
pub(super) struct Pieces {
    automaton: Machine,
    pieces: Box<[(Vec<u8>, List)]>,
}

impl Pieces {
    /// Different pieces and what they lead to.
    pub(super) fn new(pieces: Vec<(Vec<u8>, List)>) -> Self {
        Self { automaton: Machine::new(&pieces).unwrap_or_default(), pieces: pieces.into() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    #[inline]
    pub(super) fn find(
        &self,
        text: &[u8],
        found: &mut impl FnMut(List) -> Result<(), EventError>,
    ) -> Result<(), EventError> {
        if self.pieces.is_empty() { Ok(()) } else { self.look_for_all(text, found) }
    }

    #[inline(never)]
    fn look_for_all(
        &self,
        text: &[u8],
        found: &mut impl FnMut(List) -> Result<(), EventError>,
    ) -> Result<(), EventError> {
        match &self.automaton {
            Machine::Dfa(automaton) => self.run(automaton, text, found),
            Machine::Nfa(automaton) => self.run(automaton, text, found),
            Machine::None => {
                let mut held = self.pieces.iter().filter(|(piece, _)| memmem::find(text, piece).is_some());
                held.try_for_each(|(_, list)| found(*list))
            }
        }
    }

    /// Texts are short: whatever looks for the first byte of a piece faster than the automaton goes begins too slowly.
    #[inline]
    fn run<A: Automaton>(
        &self,
        automaton: &A,
        text: &[u8],
        found: &mut impl FnMut(List) -> Result<(), EventError>,
    ) -> Result<(), EventError> {
        let Ok(mut state) = automaton.start_state(Anchored::No) else { return Ok(()) };
        for byte in text {
            state = automaton.next_state(Anchored::No, state, *byte);
            // A state from which nothing leads on is special too, but there is none.
            if automaton.is_special(state) && automaton.is_match(state) {
                for nth in 0..automaton.match_len(state) {
                    if let Some((_, list)) = self.pieces.get(automaton.match_pattern(state, nth).as_usize()) {
                        found(*list)?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Machine {
    fn new(pieces: &[(Vec<u8>, List)]) -> Option<Self> {
        let texts = || pieces.iter().map(|(piece, _)| piece);
        if pieces.is_empty() {
            return None;
        }
        if texts().map(Vec::len).sum::<usize>() > FEW_BYTES {
            return NFA::builder().match_kind(MatchKind::Standard).prefilter(false).build(texts()).ok().map(Self::Nfa);
        }
        dfa::DFA::builder().match_kind(MatchKind::Standard).prefilter(false).build(texts()).ok().map(Self::Dfa)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn all_pieces_that_a_text_holds_are_found(
            few in proptest::collection::btree_set("[ab]{1,4}", 0..20),
            are_many in any::<bool>(),
            texts in proptest::collection::vec("[ab]{0,12}", 1..10),
        ) {
            let others = (0..if are_many { FEW_BYTES / 8 } else { 0 }).map(|number| format!("c{number:08}"));
            let pieces: BTreeSet<Vec<u8>> = few.into_iter().chain(others).map(String::into_bytes).collect();
            let known = Pieces::new(pieces.iter().cloned().zip((0..).map(List::from_number)).collect());
            prop_assert!(pieces.is_empty() || are_many == matches!(known.automaton, Machine::Nfa(_)));
            for text in texts.iter().map(String::as_bytes) {
                let mut found = BTreeSet::new();
                known.find(text, &mut |list| { found.insert(list.to_number()); Ok(()) }).unwrap();
                let held = pieces.iter().zip(0..).filter(|(piece, _)| memmem::find(text, piece).is_some());
                prop_assert_eq!(found, held.map(|(_, number)| number).collect::<BTreeSet<u32>>());
            }
        }
    }
}
