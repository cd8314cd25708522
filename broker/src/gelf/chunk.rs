//! Chunks: a message that one datagram does not hold. Each begins with 1e 0f, eight bytes that name the message, its own
//! number and how many there are.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;

const MAGIC: [u8; 2] = [0x1e, 0x0f];
const HEADER: usize = 12;
/// A message has no more chunks.
pub const MAX_CHUNKS: usize = 128;

/// The message in datagrams of at most `size` bytes: itself where it fits into one. None where it would be too many.
pub fn chunks(message: &[u8], id: [u8; 8], size: usize) -> Option<Vec<Vec<u8>>> {
    if message.len() <= size {
        return Some(vec![message.to_vec()]);
    }
    let pieces: Vec<&[u8]> = message.chunks(size.checked_sub(HEADER).filter(|room| *room > 0)?).collect();
    let count = u8::try_from(pieces.len()).ok().filter(|count| usize::from(*count) <= MAX_CHUNKS)?;
    let chunk = |(number, piece): (u8, &&[u8])| [&MAGIC[..], &id, &[number, count], piece].concat();
    Some((0_u8..).zip(&pieces).map(chunk).collect())
}

/// What an [`Assembly`] may hold.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Messages.
    pub messages: usize,
    /// Bytes of all their chunks.
    pub bytes: usize,
    /// All chunks of a message must have come within this time: five seconds, as Graylog has it.
    pub within: Duration,
}

/// Puts chunks together.
#[derive(Debug)]
pub struct Assembly {
    bounds: Bounds,
    messages: BTreeMap<Key, Partial>,
    /// By when they began, the oldest first.
    begun: BTreeSet<(Instant, Key)>,
    bytes: usize,
}

/// Who sent it, and how they call it.
type Key = (SocketAddr, [u8; 8]);

#[derive(Debug)]
struct Partial {
    begun: Instant,
    chunks: Vec<Option<Bytes>>,
    missing: usize,
    bytes: usize,
}

/// What became of a datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Added {
    /// It is a message, or completes one.
    Whole(Bytes),
    /// More chunks must come.
    Waiting,
    /// It says that it is a chunk, and cannot be one.
    Malformed,
}

impl Assembly {
    /// Nothing yet.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, messages: BTreeMap::new(), begun: BTreeSet::new(), bytes: 0 }
    }

    /// Adds a datagram from `peer`. Gives too how many messages are given up, of which chunks are missing: for those that
    /// are the oldest there was no more time, or no more room.
    pub fn add(&mut self, datagram: Bytes, peer: SocketAddr, now: Instant) -> (Added, u64) {
        let mut given_up = self.expire(now);
        if !datagram.starts_with(&MAGIC) {
            return (Added::Whole(datagram), given_up);
        }
        let Some((id, number, count)) = header(&datagram) else { return (Added::Malformed, given_up) };
        let key = (peer, id);
        let piece = datagram.slice(HEADER..);
        let partial = self.messages.entry(key).or_insert_with(|| {
            self.begun.insert((now, key));
            Partial { begun: now, chunks: vec![None; count], missing: count, bytes: 0 }
        });
        // A number that came before is the same chunk again.
        match partial.chunks.get_mut(number) {
            Some(free @ None) if partial.missing > 0 => {
                partial.bytes += piece.len();
                self.bytes += piece.len();
                partial.missing -= 1;
                *free = Some(piece);
            }
            Some(_) => return (Added::Waiting, given_up),
            None => return (Added::Malformed, given_up),
        }
        if partial.missing == 0 {
            let whole = self.take(key).map(|partial| partial.chunks.into_iter().flatten().collect::<Vec<_>>().concat());
            return (Added::Whole(whole.unwrap_or_default().into()), given_up);
        }
        given_up += self.make_room();
        (Added::Waiting, given_up)
    }

    /// Gives up messages whose chunks did not come in time, and says how many.
    pub fn expire(&mut self, now: Instant) -> u64 {
        let mut given_up = 0;
        while let Some((begun, key)) = self.begun.first().copied()
            && now.saturating_duration_since(begun) > self.bounds.within
        {
            self.take(key);
            given_up += 1;
        }
        given_up
    }

    fn make_room(&mut self) -> u64 {
        let mut given_up = 0;
        while (self.messages.len() > self.bounds.messages || self.bytes > self.bounds.bytes)
            && let Some((_, oldest)) = self.begun.first().copied()
        {
            self.take(oldest);
            given_up += 1;
        }
        given_up
    }

    fn take(&mut self, key: Key) -> Option<Partial> {
        let partial = self.messages.remove(&key)?;
        self.begun.remove(&(partial.begun, key));
        self.bytes -= partial.bytes;
        Some(partial)
    }
}

/// The message's name, the chunk's number and how many there are.
fn header(datagram: &[u8]) -> Option<([u8; 8], usize, usize)> {
    let header: [u8; HEADER] = datagram.get(..HEADER)?.try_into().ok()?;
    let [_, _, id @ .., number, count] = header;
    let (number, count) = (usize::from(number), usize::from(count));
    (number < count && count <= MAX_CHUNKS).then_some((id, number, count))
}
