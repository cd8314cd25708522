//! The walk through an event's tokens, along the paths that rules name.

use super::{Found, Kind};
use crate::json::unescape;
use crate::paths::{PathId, Paths, Step};
use crate::scan::Tokens;

/// Walks through an event that was scanned, and so is known to be one object.
pub(super) fn walk(text: &[u8], tokens: &Tokens, paths: &Paths, found: &mut Found) {
    let (bytes, at) = (tokens.bytes(), tokens.at());
    Walk { bytes, at, next: 0, text, tokens, paths, found, arrays: 0 }.object(Paths::ROOT);
}

struct Walk<'w> {
    /// The first byte of each token.
    bytes: &'w [u8],
    at: &'w [u32],
    /// Which token is next.
    next: usize,
    text: &'w [u8],
    tokens: &'w Tokens,
    paths: &'w Paths,
    found: &'w mut Found,
    /// How many arrays have begun.
    arrays: u32,
}

impl Walk<'_> {
    /// The first byte of a token that is so many further.
    #[inline(always)]
    fn byte(&self, ahead: usize) -> u8 {
        self.bytes.get(self.next + ahead).copied().unwrap_or(0)
    }

    /// Where that token is.
    #[inline(always)]
    fn place(&self, ahead: usize) -> u32 {
        self.at.get(self.next + ahead).copied().unwrap_or(u32::MAX)
    }

    /// Passes over a value.
    #[inline(always)]
    fn skip(&mut self) {
        self.next = match self.byte(0) {
            b'"' => self.next + 2,
            b'{' | b'[' => self.tokens.partners().get(self.next).map_or(self.next, |closing| *closing as usize) + 1,
            _ => self.next + 1,
        };
    }

    /// Passes over a comma, or over the end of a container and answers that.
    #[inline(always)]
    fn ends(&mut self) -> bool {
        self.next += 1;
        self.bytes.get(self.next - 1) != Some(&b',')
    }

    fn object(&mut self, step: Step) {
        self.next += 1;
        if self.byte(0) == b'}' {
            self.next += 1;
            return;
        }
        loop {
            let (from, to) = (self.place(0) + 1, self.place(1));
            // Two quotes and the colon.
            self.next += 3;
            match self.child(step, from, to) {
                Some(child) => self.value(child),
                None => self.skip(),
            }
            if self.ends() {
                return;
            }
        }
    }

    #[inline(always)]
    fn child(&mut self, step: Step, from: u32, to: u32) -> Option<Step> {
        let name = self.text.get(from as usize..to as usize)?;
        if self.tokens.has_escape(from, to) {
            return self.escaped_child(step, from, to);
        }
        self.paths.child(step, name, || self.tokens.has_dot(from, to))
    }

    #[cold]
    fn escaped_child(&mut self, step: Step, from: u32, to: u32) -> Option<Step> {
        let start = self.found.unescaped.len();
        self.unescape(from, to);
        let name = self.found.unescaped.get(start..)?;
        let child = self.paths.child(step, name, || name.contains(&b'.'));
        self.found.unescaped.truncate(start);
        child
    }

    fn value(&mut self, step: Step) {
        match self.byte(0) {
            b'{' if self.paths.leads_on(step) => self.object(step),
            b'{' => self.skip(),
            b'[' => self.array(step),
            _ => match self.paths.path(step) {
                Some(path) => self.leaf(path),
                None => self.skip(),
            },
        }
    }

    fn array(&mut self, step: Step) {
        self.next += 1;
        if self.byte(0) == b']' {
            self.next += 1;
            return;
        }
        let array = self.arrays;
        self.arrays += 1;
        for index in 0..u32::MAX {
            if matches!(self.byte(0), b'{' | b'[') {
                self.found.inside.enter(array, index);
                self.value(step);
                self.found.inside.leave();
            } else {
                self.value(step);
            }
            if self.ends() {
                return;
            }
        }
    }

    fn leaf(&mut self, path: PathId) {
        let start = self.place(0);
        let (kind, span) = match self.byte(0) {
            b'"' => {
                let (from, to) = (start + 1, self.place(1));
                self.next += 1;
                if self.tokens.has_escape(from, to) { self.unescape(from, to) } else { (Kind::String, (from, to)) }
            }
            b't' => (Kind::True, (start, start + 4)),
            b'f' => (Kind::False, (start, start + 5)),
            b'n' => (Kind::Null, (start, start + 4)),
            _ => (Kind::Number, (start, self.end_of_number(start))),
        };
        self.next += 1;
        let membership = self.found.membership();
        self.found.add(path, kind, span, membership);
    }

    /// A number ends at the next token, or at space in front of it.
    fn end_of_number(&self, start: u32) -> u32 {
        let until = self.text.get(start as usize..self.place(1) as usize).unwrap_or_default();
        let length = until.iter().rposition(|byte| !byte.is_ascii_whitespace()).map_or(0, |last| last + 1);
        start + u32::try_from(length).unwrap_or(0)
    }

    /// Writes a string without its escapes. The scan has seen that they are good.
    #[cold]
    fn unescape(&mut self, from: u32, to: u32) -> (Kind, (u32, u32)) {
        let start = self.found.unescaped.len();
        unescape(self.text.get(from as usize..to as usize).unwrap_or_default(), &mut self.found.unescaped);
        // What is unescaped is shorter than the text, of which places are u32.
        let place = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        (Kind::Unescaped, (place(start), place(self.found.unescaped.len())))
    }
}
