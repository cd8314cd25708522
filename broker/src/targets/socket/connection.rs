//! One connection, or a UDP socket that knows where it sends.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::io::Errno;
use rustls::ClientConfig;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UdpSocket,
};

use super::{
    super::dial::{self, Stream},
    Address, Parcel, Transport,
};

/// A connection must stand within this time.
const CONNECT: Duration = Duration::from_secs(5);
/// After writing it is waited so long for the other side to say that it has closed the connection.
const SETTLE: Duration = Duration::from_millis(10);
/// A UDP socket is opened anew after this time: the name may lead elsewhere by then.
const UDP_KEPT: Duration = Duration::from_secs(60);
/// How often something is read that nobody asked for, before the connection counts as closed.
const MOST_READS: usize = 16;

/// Why something was not sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("no connection within {CONNECT:?}")]
    Slow,
    #[error("there is no address of that name")]
    NoAddress,
    #[error("the other side has closed the connection")]
    Closed,
}

/// Why one message cannot be sent, however often it is tried.
#[derive(Debug, thiserror::Error)]
#[error("a datagram of {0} bytes cannot be sent: lower `max_size`")]
pub(super) struct TooLong(usize);

/// See the module.
pub(super) enum Connection {
    Udp(UdpSocket, Instant),
    Stream(Box<dyn Stream>),
}

impl Connection {
    /// With `tls` over TLS.
    pub(super) async fn open(
        address: &Address,
        tls: Option<Arc<ClientConfig>>,
        timeout: Duration,
    ) -> Result<Self, Failed> {
        let opening = async {
            if address.transport == Transport::Udp {
                return udp(address).await;
            }
            let stream = dial::tcp(&address.host, address.port).await?;
            Ok(Self::Stream(match tls {
                None => Box::new(stream),
                Some(config) => Box::new(dial::tls(&address.host, config, stream).await?),
            }))
        };
        tokio::time::timeout(timeout.min(CONNECT), opening).await.unwrap_or(Err(Failed::Slow))
    }

    /// Whether it can be used once more.
    pub(super) async fn is_good(&mut self) -> bool {
        match self {
            Self::Udp(_, opened) => opened.elapsed() < UDP_KEPT,
            Self::Stream(stream) => still_open(&mut **stream, Duration::ZERO).await.is_ok(),
        }
    }

    /// Sends these, and looks whether the other side is still there; for each, whether it was sent. An error is one of the
    /// connection, and says nothing certain of any of them.
    pub(super) async fn send(&mut self, parcels: &[Parcel]) -> Result<Vec<Result<(), TooLong>>, Failed> {
        match self {
            Self::Udp(socket, _) => {
                let mut sent = Vec::with_capacity(parcels.len());
                for parcel in parcels {
                    sent.push(datagrams(socket, &parcel.frames).await?);
                }
                // Where nobody listens, this machine or one nearby says so at once.
                match socket.take_error()? {
                    Some(error) => Err(error.into()),
                    None => Ok(sent),
                }
            }
            Self::Stream(stream) => {
                let frames: Vec<&[u8]> = parcels.iter().flat_map(|parcel| &parcel.frames).map(Vec::as_slice).collect();
                stream.write_all(&frames.concat()).await?;
                stream.flush().await?;
                still_open(&mut **stream, SETTLE).await?;
                Ok(parcels.iter().map(|_| Ok(())).collect())
            }
        }
    }

    /// Says that nothing more comes.
    pub(super) async fn close(self) {
        if let Self::Stream(mut stream) = self {
            let _ = tokio::time::timeout(CONNECT, stream.shutdown()).await;
        }
    }
}

/// Sends one message, as far as its datagrams can be sent.
async fn datagrams(socket: &UdpSocket, frames: &[Vec<u8>]) -> io::Result<Result<(), TooLong>> {
    for frame in frames {
        match socket.send(frame).await {
            Ok(_) => {}
            Err(error) if error.raw_os_error() == Some(Errno::MSGSIZE.raw_os_error()) => {
                return Ok(Err(TooLong(frame.len())));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Ok(()))
}

/// Reads what nobody asked for, for so long; an error where the connection is closed.
async fn still_open(stream: &mut (dyn Stream + '_), within: Duration) -> Result<(), Failed> {
    let mut ignored = [0; 1024];
    for _ in 0..MOST_READS {
        match tokio::time::timeout(within, stream.read(&mut ignored)).await {
            Err(_) => return Ok(()),
            Ok(Ok(0)) => return Err(Failed::Closed),
            Ok(Ok(_)) => {}
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(Failed::Closed),
            Ok(Err(error)) => return Err(error.into()),
        }
    }
    Err(Failed::Closed)
}

async fn udp(address: &Address) -> Result<Connection, Failed> {
    let mut failed = None;
    for to in tokio::net::lookup_host((address.host.as_str(), address.port)).await? {
        let from: SocketAddr = match to {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let bound = async {
            let socket = UdpSocket::bind(from).await?;
            socket.connect(to).await?;
            Ok::<_, io::Error>(socket)
        };
        match bound.await {
            Ok(socket) => return Ok(Connection::Udp(socket, Instant::now())),
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.map_or(Failed::NoAddress, Failed::Io))
}
