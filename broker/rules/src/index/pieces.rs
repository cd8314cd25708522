//! Pieces that texts hold anywhere, all looked for at once.

use crate::error::EventError;
use aho_corasick::AhoCorasick;
use aho_corasick::automaton::OverlappingState;

#[derive(Debug, Default)]
pub(super) struct Pieces {
    automaton: Option<AhoCorasick>,
    lists: Box<[u32]>,
}

impl Pieces {
    /// Different pieces and what they lead to. Nothing, if they are more than an automaton holds.
    pub(super) fn new(pieces: &[(Vec<u8>, u32)]) -> Option<Self> {
        if pieces.is_empty() {
            return Some(Self::default());
        }
        let automaton = AhoCorasick::new(pieces.iter().map(|(piece, _)| piece)).ok()?;
        Some(Self { automaton: Some(automaton), lists: pieces.iter().map(|(_, list)| *list).collect() })
    }

    #[inline]
    pub(super) fn find(
        &self,
        text: &[u8],
        found: &mut impl FnMut(u32) -> Result<(), EventError>,
    ) -> Result<(), EventError> {
        let Some(automaton) = &self.automaton else { return Ok(()) };
        let mut state = OverlappingState::start();
        loop {
            automaton.find_overlapping(text, &mut state);
            let Some(piece) = state.get_match() else { return Ok(()) };
            if let Some(list) = self.lists.get(piece.pattern().as_usize()) {
                found(*list)?;
            }
        }
    }
}
