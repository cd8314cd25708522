//! How many connections there are at once, and how many of them from one address: nobody can hold them all.

use std::{
    collections::HashMap,
    future::{Ready, ready},
    io::{self, IoSlice},
    net::IpAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use axum_server::accept::Accept;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// Connections of a listener.
pub(crate) const MAX_CONNECTIONS: usize = 512;

/// Room for so many at once, and for fewer of one [`network`].
#[derive(Debug, Clone)]
pub(crate) struct Room {
    most: usize,
    of_one: usize,
    taken: Arc<Mutex<Taken>>,
}

/// How many places are taken.
#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A place that is taken as long as this is there.
#[derive(Debug)]
pub(crate) struct Place {
    address: IpAddr,
    taken: Arc<Mutex<Taken>>,
}

impl Room {
    /// Room for `most`, of which one network may have `of_one`.
    pub(crate) fn new(most: usize, of_one: usize) -> Self {
        Self { most, of_one, taken: Arc::default() }
    }

    /// A place for one more from this address, where there is one. Loopback may have all of them: there a proxy speaks for
    /// everyone.
    pub(crate) fn enter(&self, address: IpAddr) -> Option<Place> {
        let address = network(address);
        let its_most = if address.is_loopback() { self.most } else { self.of_one };
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let of_it = taken.by_address.get(&address).copied().unwrap_or_default();
        if taken.all >= self.most || of_it >= its_most {
            return None;
        }
        taken.all += 1;
        taken.by_address.insert(address, of_it + 1);
        Some(Place { address, taken: Arc::clone(&self.taken) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all = taken.all.saturating_sub(1);
        match taken.by_address.get_mut(&self.address) {
            Some(several) if *several > 1 => *several -= 1,
            _ => drop(taken.by_address.remove(&self.address)),
        }
    }
}

/// Takes a connection where there is room for it, and closes it where there is none.
#[derive(Clone)]
pub(crate) struct Limited(Room);

impl Limited {
    /// Room for `most`, half of them of one network.
    pub(crate) fn new(most: usize) -> Self {
        Self(Room::new(most, most.div_ceil(2)))
    }

    /// Counts a connection as long as it lives; an error where there is no room for it.
    pub(crate) fn enter(&self, stream: TcpStream) -> io::Result<Counted> {
        let address = stream.peer_addr()?.ip();
        let Some(place) = self.0.enter(address) else {
            tracing::debug!(%address, "a connection was closed: there are too many, or too many of this address");
            return Err(io::ErrorKind::QuotaExceeded.into());
        };
        Ok(Counted { stream, _place: place })
    }
}

impl<S> Accept<TcpStream, S> for Limited {
    type Stream = Counted;
    type Service = S;
    type Future = Ready<io::Result<(Counted, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        ready(self.enter(stream).map(|stream| (stream, service)))
    }
}

/// What one household or machine has: an IPv4 address, or an IPv6 network of 64 bits.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        other => other,
    }
}

/// A connection that is counted as long as it is open.
pub(crate) struct Counted {
    stream: TcpStream,
    _place: Place,
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn who_has_a_network_of_addresses_has_half_as_well() {
        let room = Room::new(4, 2);
        let enter = |text: &str| room.enter(address(text));
        let _both = (enter("2001:db8::1").unwrap(), enter("2001:db8::2").unwrap());
        assert!(enter("2001:db8::ffff:3").is_none(), "the same 64 bits");
        assert!(enter("2001:db8:0:1::1").is_some());
        for (text, of) in [("::1", "::1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("2001:db8::7:0:0:1", "2001:db8::")] {
            assert_eq!(network(address(text)), address(of));
        }
        assert!(network(address("::1")).is_loopback());
    }

    #[test]
    fn one_address_has_its_share_and_all_together_have_the_whole() {
        let room = Room::new(4, 2);
        let (one, two, here) = (address("192.0.2.1"), address("192.0.2.2"), address("127.0.0.1"));
        let enter = |address| room.enter(address);
        let mut places = vec![enter(one).unwrap(), enter(one).unwrap()];
        assert!(enter(one).is_none());
        places.extend([enter(two).unwrap(), enter(here).unwrap()]);
        assert!(enter(two).is_none() && enter(here).is_none());
        drop(places.remove(0));
        places.push(enter(one).unwrap());
        drop(places);
        let taken = room.taken.lock().unwrap();
        assert!(taken.all == 0 && taken.by_address.is_empty());
        drop(taken);
        let places: Vec<Place> = (0..4).filter_map(|_| enter(here)).collect();
        assert_eq!(places.len(), 4);
    }
}
