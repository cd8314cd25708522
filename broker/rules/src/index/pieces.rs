//! Pieces that texts hold anywhere, all looked for at once.

use super::lists::List;
use crate::error::EventError;
use aho_corasick::AhoCorasick;
use aho_corasick::automaton::OverlappingState;
use memchr::memmem;

#[derive(Debug, Default)]
pub(super) struct Pieces {
    /// There is none for more pieces than it holds.
    automaton: Option<AhoCorasick>,
    pieces: Box<[(Vec<u8>, List)]>,
}

impl Pieces {
    /// Different pieces and what they lead to.
    pub(super) fn new(pieces: Vec<(Vec<u8>, List)>) -> Self {
        let automaton = (!pieces.is_empty()).then(|| AhoCorasick::new(pieces.iter().map(|(piece, _)| piece)).ok());
        Self { automaton: automaton.flatten(), pieces: pieces.into() }
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

    fn look_for_all(
        &self,
        text: &[u8],
        found: &mut impl FnMut(List) -> Result<(), EventError>,
    ) -> Result<(), EventError> {
        let Some(automaton) = &self.automaton else {
            let mut held = self.pieces.iter().filter(|(piece, _)| memmem::find(text, piece).is_some());
            return held.try_for_each(|(_, list)| found(*list));
        };
        let mut state = OverlappingState::start();
        loop {
            automaton.find_overlapping(text, &mut state);
            let Some(piece) = state.get_match() else { return Ok(()) };
            if let Some((_, list)) = self.pieces.get(piece.pattern().as_usize()) {
                found(*list)?;
            }
        }
    }
}
