//! The walk through an event's tokens, along the paths that rules name.

use super::{Found, Kind};
use crate::json::{MAX_DEPTH, unescape};
use crate::paths::{PathId, Paths, Step};
use crate::scan::{Suspect, Tokens};

/// Walks through an event that was scanned.
pub(super) fn walk(text: &[u8], tokens: &Tokens, paths: &Paths, found: &mut Found) -> Result<(), Suspect> {
    let mut walk =
        Walk { bytes: tokens.bytes(), at: tokens.at(), next: 0, depth: 0, text, tokens, paths, found, arrays: 0 };
    if walk.byte(0) != b'{' {
        return Err(Suspect);
    }
    walk.object(Paths::ROOT)
}

pub(super) struct Walk<'w> {
    /// The first byte of each token.
    bytes: &'w [u8],
    at: &'w [u32],
    /// Which token is next.
    pub(super) next: usize,
    /// How many containers are open around it.
    pub(super) depth: usize,
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
    pub(super) fn byte(&self, ahead: usize) -> u8 {
        self.bytes.get(self.next + ahead).copied().unwrap_or(0)
    }

    /// Where that token is.
    #[inline(always)]
    fn place(&self, ahead: usize) -> u32 {
        self.at.get(self.next + ahead).copied().unwrap_or(u32::MAX)
    }

    /// Passes over the key of a member and the colon. Between the quotes of a string there are no tokens.
    #[inline(always)]
    pub(super) fn key(&mut self) -> Result<(), Suspect> {
        let tokens = self.bytes.get(self.next..).and_then(|rest| rest.first_chunk::<4>()).ok_or(Suspect)?;
        if u32::from_le_bytes(*tokens) & 0xff_ffff != u32::from_le_bytes(*b"\"\":\0") {
            return Err(Suspect);
        }
        self.next += 3;
        Ok(())
    }

    fn object(&mut self, step: Step) -> Result<(), Suspect> {
        self.enter()?;
        if self.byte(0) == b'}' {
            return self.leave();
        }
        loop {
            let (from, to) = (self.place(0) + 1, self.place(1));
            self.key()?;
            match self.child(step, from, to) {
                Some(child) => self.value(child)?,
                None => self.skip()?,
            }
            match self.byte(0) {
                b',' => self.next += 1,
                b'}' => return self.leave(),
                _ => return Err(Suspect),
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

    fn value(&mut self, step: Step) -> Result<(), Suspect> {
        match self.byte(0) {
            b'{' if self.paths.leads_on(step) => self.object(step),
            b'[' => self.array(step),
            _ => match self.paths.path(step) {
                Some(path) => self.leaf(path),
                None => self.skip(),
            },
        }
    }

    fn array(&mut self, step: Step) -> Result<(), Suspect> {
        self.enter()?;
        if self.byte(0) == b']' {
            return self.leave();
        }
        let array = self.arrays;
        self.arrays += 1;
        for index in 0..u32::MAX {
            if matches!(self.byte(0), b'{' | b'[') {
                self.found.inside.enter(array, index);
                self.value(step)?;
                self.found.inside.leave();
            } else {
                self.value(step)?;
            }
            match self.byte(0) {
                b',' => self.next += 1,
                b']' => return self.leave(),
                _ => return Err(Suspect),
            }
        }
        Err(Suspect)
    }

    fn leaf(&mut self, path: PathId) -> Result<(), Suspect> {
        let start = self.place(0);
        let (kind, span) = match self.byte(0) {
            b'"' => {
                let (from, to) = (start + 1, self.place(1));
                self.next += 2;
                if self.tokens.has_escape(from, to) { self.unescape(from, to) } else { (Kind::String, (from, to)) }
            }
            b'-' | b'0'..=b'9' => {
                self.next += 1;
                (Kind::Number, (start, self.end_of_number(start)))
            }
            // A container whose inside no path names.
            b'{' | b'[' => return self.skip(),
            word => {
                self.word()?;
                let kind = match word {
                    b't' => Kind::True,
                    b'f' => Kind::False,
                    _ => Kind::Null,
                };
                let length = if kind == Kind::False { 5 } else { 4 };
                (kind, (start, start + length))
            }
        };
        let membership = self.found.membership()?;
        self.found.add(path, kind, span, membership);
        Ok(())
    }

    /// A number ends at the next token, or at space in front of it.
    fn end_of_number(&self, start: u32) -> u32 {
        let until = self.text.get(start as usize..self.place(0) as usize).unwrap_or_default();
        let length = until.iter().rposition(|byte| !byte.is_ascii_whitespace()).map_or(0, |last| last + 1);
        start + u32::try_from(length).unwrap_or(0)
    }

    /// Passes over `true`, `false` or `null`.
    pub(super) fn word(&mut self) -> Result<(), Suspect> {
        let text = self.text.get(self.place(0) as usize..).ok_or(Suspect)?;
        let behind = match text {
            [b't', b'r', b'u', b'e', behind @ ..] | [b'n', b'u', b'l', b'l', behind @ ..] => behind,
            [b'f', b'a', b'l', b's', b'e', behind @ ..] => behind,
            _ => return Err(Suspect),
        };
        self.next += 1;
        match behind {
            [b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t', ..] => Ok(()),
            _ => Err(Suspect),
        }
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

    fn enter(&mut self) -> Result<(), Suspect> {
        self.next += 1;
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(Suspect) } else { Ok(()) }
    }

    fn leave(&mut self) -> Result<(), Suspect> {
        self.next += 1;
        self.depth -= 1;
        Ok(())
    }
}
