//! The walk through an event's tokens, along the paths that rules name.

use super::{Found, Kind};
use crate::json::unescape;
use crate::paths::{Node, Paths};
use crate::scan::Tokens;

/// Walks through an event that was scanned, and so is known to be one object.
pub(super) fn walk(text: &[u8], tokens: &Tokens, paths: &Paths, found: &mut Found) {
    let (bytes, at, partners) = (tokens.bytes(), tokens.at(), tokens.partners());
    if let Some(root) = paths.root() {
        Walk { bytes, at, partners, text, tokens, escapes: tokens.have_escapes(), paths }.object(root, 0, found);
    }
}

/// Each step of the walk is told which token is next, and answers which is next behind what it took.
#[derive(Clone, Copy)]
struct Walk<'w> {
    /// The first byte of each token.
    bytes: &'w [u8],
    at: &'w [u32],
    partners: &'w [u32],
    text: &'w [u8],
    tokens: &'w Tokens,
    /// Whether there are any.
    escapes: bool,
    paths: &'w Paths,
}

impl<'w> Walk<'w> {
    #[inline(always)]
    fn byte(&self, token: usize) -> u8 {
        self.bytes.get(token).copied().unwrap_or(0)
    }

    /// Where a token and the one behind it are.
    #[inline(always)]
    fn places(&self, token: usize) -> (u32, u32) {
        self.at.get(token..).and_then(|rest| rest.first_chunk()).map_or((0, 0), |[this, next]| (*this, *next))
    }

    /// What is between the quotes of a string. The closing one is the last that there is in front of the next token.
    #[inline(always)]
    fn string(&self, token: usize) -> (u32, u32) {
        let (start, mut end) = self.places(token);
        end = end.wrapping_sub(1);
        while end > start && self.text.get(end as usize) != Some(&b'"') {
            end -= 1;
        }
        (start + 1, end)
    }

    /// Passes over a value that begins like this.
    #[inline(always)]
    fn skip(&self, first: u8, next: usize) -> usize {
        match first {
            b'{' | b'[' => self.partners.get(next).map_or(next, |closing| *closing as usize) + 1,
            _ => next + 1,
        }
    }

    fn object(&self, node: &'w Node, mut next: usize, found: &mut Found) -> usize {
        next += 1;
        if self.byte(next) == b'}' {
            return next + 1;
        }
        loop {
            let (from, to) = self.string(next);
            // The key and the colon.
            next += 2;
            let first = self.byte(next);
            next = match self.child(node, from, to, found) {
                Some(child) => self.value(child, first, next, found),
                None => self.skip(first, next),
            };
            // A comma, or the end of the object.
            next += 1;
            if self.byte(next - 1) != b',' {
                return next;
            }
        }
    }

    #[inline(always)]
    fn child(&self, node: &'w Node, from: u32, to: u32, found: &mut Found) -> Option<&'w Node> {
        if self.escapes && self.tokens.has_escape(from, to) {
            return self.escaped_child(node, from, to, found);
        }
        self.paths.child(node, self.text, (from, to), || self.tokens.has_dot(from, to))
    }

    #[cold]
    fn escaped_child(&self, node: &'w Node, from: u32, to: u32, found: &mut Found) -> Option<&'w Node> {
        let start = found.unescaped.len();
        self.unescape(from, to, found);
        let name = found.unescaped.get(start..)?;
        let child = self.paths.child(node, name, (0, u32::try_from(name.len()).ok()?), || name.contains(&b'.'));
        found.unescaped.truncate(start);
        child
    }

    /// A value that begins like this.
    #[inline(always)]
    fn value(&self, node: &'w Node, first: u8, next: usize, found: &mut Found) -> usize {
        match first {
            b'{' if node.leads_on => self.object(node, next, found),
            b'{' => self.skip(first, next),
            b'[' => self.array(node, next, found),
            _ => match node.path {
                Some(path) => self.leaf(path, first, next, found),
                None => self.skip(first, next),
            },
        }
    }

    fn array(&self, node: &'w Node, mut next: usize, found: &mut Found) -> usize {
        next += 1;
        if self.byte(next) == b']' {
            return next + 1;
        }
        let array = found.inside.begin();
        for index in 0..u32::MAX {
            let first = self.byte(next);
            next = if matches!(first, b'{' | b'[') {
                found.inside.enter(array, index);
                let next = self.value(node, first, next, found);
                found.inside.leave();
                next
            } else {
                self.value(node, first, next, found)
            };
            next += 1;
            if self.byte(next - 1) != b',' {
                break;
            }
        }
        next
    }

    #[inline(always)]
    fn leaf(&self, path: u32, first: u8, next: usize, found: &mut Found) -> usize {
        let (start, end) = self.places(next);
        let (kind, span) = match first {
            b'"' => {
                let (from, to) = self.string(next);
                if self.escapes && self.tokens.has_escape(from, to) {
                    (Kind::Unescaped, self.unescape(from, to, found))
                } else {
                    (Kind::String, (from, to))
                }
            }
            b't' => (Kind::True, (start, start + 4)),
            b'f' => (Kind::False, (start, start + 5)),
            b'n' => (Kind::Null, (start, start + 4)),
            _ => (Kind::Number, (start, self.end_of_number(start, end))),
        };
        let membership = found.membership();
        found.add(path, kind, span, membership);
        next + 1
    }

    /// A number ends at the next token, or at space in front of it.
    #[inline(always)]
    fn end_of_number(&self, start: u32, mut end: u32) -> u32 {
        while end > start && self.text.get(end as usize - 1).is_some_and(u8::is_ascii_whitespace) {
            end -= 1;
        }
        end
    }

    /// Writes a string without its escapes. The scan has seen that they are good.
    #[cold]
    fn unescape(&self, from: u32, to: u32, found: &mut Found) -> (u32, u32) {
        let start = found.unescaped.len();
        unescape(self.text.get(from as usize..to as usize).unwrap_or_default(), &mut found.unescaped);
        // What is unescaped is shorter than the text, of which places are u32.
        let place = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        (place(start), place(found.unescaped.len()))
    }
}
