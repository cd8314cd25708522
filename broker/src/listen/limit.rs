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

/// Takes a connection where there is room for it, and closes it where there is none.
#[derive(Clone)]
pub(crate) struct Limited {
    most: usize,
    open: Arc<Mutex<Open>>,
}

/// How many are open.
#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl Open {
    /// Whether there is room for one more from this address, of `most`. One [`network`] may have half of them, but for
    /// loopback: there a proxy speaks for everyone.
    fn enter(&mut self, address: IpAddr, most: usize) -> bool {
        let of_it = self.by_address.get(&address).copied().unwrap_or_default();
        let its_most = if address.is_loopback() { most } else { most.div_ceil(2) };
        if self.all >= most || of_it >= its_most {
            return false;
        }
        self.all += 1;
        self.by_address.insert(address, of_it + 1);
        true
    }

    fn leave(&mut self, address: IpAddr) {
        self.all = self.all.saturating_sub(1);
        match self.by_address.get_mut(&address) {
            Some(several) if *several > 1 => *several -= 1,
            _ => drop(self.by_address.remove(&address)),
        }
    }
}

impl Limited {
    /// Room for `most`.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, open: Arc::default() }
    }

    /// Counts a connection as long as it lives; an error where there is no room for it.
    pub(crate) fn enter(&self, stream: TcpStream) -> io::Result<Counted> {
        let address = network(stream.peer_addr()?.ip());
        if !self.open.lock().unwrap_or_else(PoisonError::into_inner).enter(address, self.most) {
            tracing::debug!(%address, "a connection was closed: there are too many, or too many of this address");
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        Ok(Counted { stream, address, open: Arc::clone(&self.open) })
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
    address: IpAddr,
    open: Arc<Mutex<Open>>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).leave(self.address);
    }
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

    #[test]
    fn who_has_a_network_of_addresses_has_half_as_well() {
        let address = |text: &str| network(text.parse::<IpAddr>().unwrap());
        let mut open = Open::default();
        assert!(open.enter(address("2001:db8::1"), 4) && open.enter(address("2001:db8::2"), 4));
        assert!(!open.enter(address("2001:db8::ffff:3"), 4), "the same 64 bits");
        assert!(open.enter(address("2001:db8:0:1::1"), 4));
        assert_eq!((address("::1"), address("::ffff:192.0.2.1")), (address("::1"), address("192.0.2.1")));
        assert!(address("::1").is_loopback());
    }

    #[test]
    fn one_address_has_half_and_all_together_have_the_whole() {
        let mut open = Open::default();
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let (one, two, here) = (address("192.0.2.1"), address("192.0.2.2"), address("127.0.0.1"));
        assert!(open.enter(one, 4) && open.enter(one, 4) && !open.enter(one, 4));
        assert!(open.enter(two, 4) && open.enter(here, 4) && !open.enter(two, 4) && !open.enter(here, 4));
        open.leave(one);
        assert!(open.enter(one, 4));
        for address in [one, one, two, here] {
            open.leave(address);
        }
        assert!(open.all == 0 && open.by_address.is_empty());
        assert!((0..4).all(|_| open.enter(here, 4)));
    }
}
