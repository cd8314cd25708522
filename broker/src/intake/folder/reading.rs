//! One file being read: piece by piece it becomes events, to its end, unless it changes meanwhile.

use std::{
    fs::File,
    io::{BufReader, Error},
};

use bytes::Bytes;
use emote_proto::{EventId, Subject};

use super::place::{Stamp, stamp_of};
use crate::{
    ingest::{Dropped, Moment, Pieces, Source},
    poll::{Log, OfLog},
};

/// Of so many pieces it is said what is wrong with them; the others are counted.
const MAX_SAID: usize = 20;

/// A file, as far as it was read.
pub(super) struct Reading {
    pieces: Pieces<BufReader<File>>,
    stamp: Stamp,
    pub(super) bad: Bad,
}

/// What could not be taken of a file.
#[derive(Debug, Default)]
pub(super) struct Bad {
    /// Pieces that no event could be made of.
    pub(super) count: u64,
    /// What is wrong with the first of them.
    pub(super) said: Vec<String>,
}

/// What comes next of a file.
pub(super) enum Next {
    Events(Vec<(Subject, EventId, Bytes)>),
    End,
    /// Somebody writes it still.
    Changed,
}

impl Bad {
    /// One problem, with all of it.
    pub(super) fn of(problem: String) -> Self {
        Self { count: 1, said: vec![problem] }
    }

    pub(super) fn add(&mut self, problem: String) {
        self.count += 1;
        if self.said.len() < MAX_SAID {
            self.said.push(problem);
        }
    }
}

impl Reading {
    pub(super) fn of(source: &Source, file: File, stamp: Stamp) -> Self {
        Self { pieces: source.pieces(BufReader::new(file)), stamp, bad: Bad::default() }
    }

    /// Reads on, and maps what it reads. Blocks.
    pub(super) fn next(&mut self, source: &Source, file: &Dropped<'_>, log: &dyn Log) -> Result<Next, Error> {
        let pieces = self.pieces.next_ones()?;
        if !stamp_of(self.pieces.inner().get_ref())?.is_content_of(self.stamp) {
            return Ok(Next::Changed);
        }
        if pieces.is_empty() {
            return Ok(Next::End);
        }
        let moment = Moment::drawn().map_err(|refusal| Error::other(refusal.to_string()))?;
        let mut events = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let line = piece.line;
            match source.dropped(file, piece, &OfLog(log), &moment) {
                Ok(of) => events.extend(of),
                Err(refusal) => self.bad.add(match line {
                    Some(line) => format!("line {line}: {refusal}"),
                    None => refusal.to_string(),
                }),
            }
        }
        Ok(Next::Events(events))
    }
}
