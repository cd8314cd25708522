//! Passing over a value that no rule looks at: its tokens must be in an order that JSON has.

use super::walk::Walk;
use crate::json::MAX_DEPTH;
use crate::scan::Suspect;

impl Walk<'_> {
    /// Passes over one value.
    #[inline]
    pub(super) fn skip(&mut self) -> Result<(), Suspect> {
        match self.byte(0) {
            b'"' => self.next += 2,
            b'-' | b'0'..=b'9' => self.next += 1,
            b'{' | b'[' => return self.skip_container(),
            _ => self.word()?,
        }
        Ok(())
    }

    /// One bit for each open container: whether it is an object.
    fn skip_container(&mut self) -> Result<(), Suspect> {
        let mut objects = 0_u128;
        let mut open = 0_usize;
        loop {
            match self.byte(0) {
                b'"' => self.next += 2,
                b'-' | b'0'..=b'9' => self.next += 1,
                bracket @ (b'{' | b'[') => {
                    self.next += 1;
                    // `}` follows `{` in ASCII with one between, as do the square brackets.
                    if self.byte(0) == bracket + 2 {
                        if self.depth + open == MAX_DEPTH {
                            return Err(Suspect);
                        }
                        self.next += 1;
                    } else {
                        open += 1;
                        if self.depth + open > MAX_DEPTH {
                            return Err(Suspect);
                        }
                        objects = objects << 1 | u128::from(bracket == b'{');
                        if bracket == b'{' {
                            self.key()?;
                        }
                        continue;
                    }
                }
                _ => self.word()?,
            }
            loop {
                if open == 0 {
                    return Ok(());
                }
                let in_object = objects & 1 == 1;
                match (self.byte(0), in_object) {
                    (b',', true) => {
                        self.next += 1;
                        self.key()?;
                        break;
                    }
                    (b',', false) => {
                        self.next += 1;
                        break;
                    }
                    (b'}', true) | (b']', false) => {
                        self.next += 1;
                        objects >>= 1;
                        open -= 1;
                    }
                    _ => return Err(Suspect),
                }
            }
        }
    }
}
