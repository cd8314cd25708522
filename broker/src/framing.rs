//! Messages that follow one another on a connection: where each ends. Pure, and bounded: what is longer than a message may
//! be is passed over without being kept.
//!
//! Syslog has two ways (RFC 6587): octet counting, `MSG-LEN SP MSG`, which alone is allowed over TLS (RFC 5425), and a
//! trailer behind each message, LF or NUL. A message begins with `<` and a length with a digit, so each frame tells by
//! itself. GELF has NUL behind each message.

use bytes::{Buf as _, Bytes, BytesMut};

/// Digits of a length; more say that nobody counts here.
const MAX_DIGITS: usize = 10;

/// What a connection has brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// A message.
    Message(Bytes),
    /// A message that is too long, and is passed over.
    TooLong,
}

/// The bytes are no frames; where the next one begins cannot be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a length that no space follows within {MAX_DIGITS} digits")]
pub struct FrameError;

/// Takes messages out of what was read.
#[derive(Debug)]
pub struct Framer {
    most: usize,
    /// Whether lengths are looked for.
    counts: bool,
    trailers: &'static [u8],
    /// So much of the buffer has no trailer in it.
    scanned: usize,
    passing: Passing,
}

/// What is being passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passing {
    Nothing,
    Octets(u64),
    ToTrailer,
}

impl Framer {
    /// For syslog messages of at most `most` bytes.
    pub fn syslog(most: usize) -> Self {
        Self { most, counts: true, trailers: b"\n\0", scanned: 0, passing: Passing::Nothing }
    }

    /// For GELF messages of at most `most` bytes.
    pub fn gelf(most: usize) -> Self {
        Self { most, counts: false, trailers: b"\0", scanned: 0, passing: Passing::Nothing }
    }

    /// Takes the next message out of `buffer`; none where more must be read for it. The buffer never needs more than a
    /// message, a length and what one reading brings.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Piece>, FrameError> {
        if !self.passed(buffer) {
            return Ok(None);
        }
        if self.scanned == 0 {
            let between = buffer.iter().take_while(|byte| matches!(byte, b'\n' | b'\r' | 0)).count();
            buffer.advance(between);
        }
        match buffer.first() {
            None => Ok(None),
            Some(b'0'..=b'9') if self.counts => self.counted(buffer),
            Some(_) => Ok(self.trailed(buffer)),
        }
    }

    /// What is left when nothing more comes: a last message without its trailer. A half of a counted one is none.
    pub fn last(&mut self, buffer: &mut BytesMut) -> Option<Piece> {
        let is_counted = self.counts && buffer.first().is_some_and(u8::is_ascii_digit);
        if buffer.is_empty() || is_counted || self.passing != Passing::Nothing {
            return None;
        }
        Some(Piece::Message(buffer.split().freeze()))
    }

    /// Whether a message has begun that has not ended, as far as was read; true also of one that is passed over.
    pub fn is_within(&self, buffer: &BytesMut) -> bool {
        !buffer.is_empty() || self.passing != Passing::Nothing
    }

    /// Passes over what is to be; says whether that has ended.
    fn passed(&mut self, buffer: &mut BytesMut) -> bool {
        match self.passing {
            Passing::Nothing => true,
            Passing::Octets(left) => {
                let here = u64::try_from(buffer.len()).unwrap_or(u64::MAX).min(left);
                buffer.advance(usize::try_from(here).unwrap_or(buffer.len()));
                self.passing = if left == here { Passing::Nothing } else { Passing::Octets(left - here) };
                left == here
            }
            Passing::ToTrailer => match buffer.iter().position(|byte| self.trailers.contains(byte)) {
                Some(at) => {
                    buffer.advance(at + 1);
                    self.passing = Passing::Nothing;
                    true
                }
                None => {
                    buffer.clear();
                    false
                }
            },
        }
    }

    fn counted(&mut self, buffer: &mut BytesMut) -> Result<Option<Piece>, FrameError> {
        let digits = buffer.iter().take(MAX_DIGITS + 1).take_while(|byte| byte.is_ascii_digit()).count();
        match buffer.get(digits) {
            None if digits <= MAX_DIGITS => return Ok(None),
            Some(b' ') if digits <= MAX_DIGITS => {}
            _ => return Err(FrameError),
        }
        let length = buffer[..digits].iter().fold(0_u64, |length, digit| length * 10 + u64::from(digit - b'0'));
        match usize::try_from(length).ok().filter(|length| *length <= self.most) {
            None => {
                buffer.advance(digits + 1);
                self.passing = Passing::Octets(length);
                Ok(Some(Piece::TooLong))
            }
            Some(length) if buffer.len() - digits - 1 < length => Ok(None),
            Some(length) => {
                buffer.advance(digits + 1);
                Ok(Some(Piece::Message(buffer.split_to(length).freeze())))
            }
        }
    }

    fn trailed(&mut self, buffer: &mut BytesMut) -> Option<Piece> {
        let rest = buffer.get(self.scanned..).unwrap_or_default();
        match rest.iter().position(|byte| self.trailers.contains(byte)) {
            Some(at) => {
                let message = buffer.split_to(self.scanned + at);
                buffer.advance(1);
                self.scanned = 0;
                Some(if message.len() > self.most { Piece::TooLong } else { Piece::Message(message.freeze()) })
            }
            None if buffer.len() > self.most => {
                buffer.clear();
                (self.scanned, self.passing) = (0, Passing::ToTrailer);
                Some(Piece::TooLong)
            }
            None => {
                self.scanned = buffer.len();
                None
            }
        }
    }
}

/// A message behind its length, as RFC 6587, section 3.4.1, counts octets.
pub fn counted(message: &[u8]) -> Vec<u8> {
    let mut frame = format!("{} ", message.len()).into_bytes();
    frame.extend_from_slice(message);
    frame
}

/// A message before its trailer. A trailer within it is a space, lest it be two.
pub fn trailed(message: &[u8], trailer: u8) -> Vec<u8> {
    let inner = message.iter().map(|byte| if *byte == trailer { b' ' } else { *byte });
    inner.chain([trailer]).collect()
}

#[cfg(test)]
mod tests;
