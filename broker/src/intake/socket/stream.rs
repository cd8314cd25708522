//! Connections over TCP and TLS: read no faster than the stream takes what they bring.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use axum_server::tls_rustls::RustlsConfig;
use bytes::BytesMut;
use rustix::net::sockopt;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Sockets,
    take::{BATCH, Intake, Raw},
};
use crate::{
    framing::{Framer, Piece},
    ingest::Refusal,
    listen::{Counted, Limited},
};

/// The handshake must end within this time.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// A connection must be closed within this time.
const CLOSE: Duration = Duration::from_secs(1);
/// A message that has begun must end within this time, however its bytes come.
const MESSAGE: Duration = Duration::from_secs(60);
/// Syslog keeps connections for days, and a sender whose connection was closed may lose a message to find out: only a peer
/// that is gone is closed before that. The system asks it.
const IDLE: Duration = Duration::from_secs(24 * 3600);
const ASKED_AFTER: Duration = Duration::from_secs(120);
/// Read at once, in bytes.
const READ: usize = 16 * 1024;
/// When no more files can be opened.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A listening socket, and what its connections have in common.
pub(super) struct Serving {
    pub(super) listener: TcpListener,
    pub(super) tls: Option<RustlsConfig>,
    pub(super) limited: Limited,
    pub(super) sockets: Sockets,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("nothing came within {0:?}")]
    Slow(Duration),
    #[error("{0}")]
    Frame(#[from] crate::framing::FrameError),
}

/// Takes connections until told to stop; comes back when what they brought is acknowledged or given up.
pub(super) async fn serve(intake: &Arc<Intake>, serving: Serving, stop: &CancellationToken) {
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = serving.listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                if let Some(stream) = entered(intake, &serving.limited, stream, peer) {
                    let (intake, tls, stop) = (Arc::clone(intake), serving.tls.clone(), stop.clone());
                    let open = Open::new(&serving.sockets, &intake);
                    connections.spawn(async move {
                        let _open = open;
                        connection(&intake, stream, peer.ip().to_canonical(), tls, &stop).await;
                    });
                }
            }
            Err(error) => {
                tracing::debug!(%error, "a connection could not be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    connections.close();
    connections.wait().await;
}

/// The connection, if it may be and there is room for it.
fn entered(intake: &Intake, limited: &Limited, stream: TcpStream, peer: SocketAddr) -> Option<Counted> {
    let address = peer.ip().to_canonical();
    if !intake.source.takes_from(Some(address)) {
        intake.dropped.refused(&Refusal::Address(Some(address)));
        return None;
    }
    // A system that does not ask leaves it at the longest time.
    let _ = sockopt::set_socket_keepalive(&stream, true).and_then(|()| sockopt::set_tcp_keepidle(&stream, ASKED_AFTER));
    limited.enter(stream).inspect_err(|_| intake.dropped.refused(&Refusal::Busy)).ok()
}

async fn connection(
    intake: &Arc<Intake>,
    stream: Counted,
    peer: IpAddr,
    tls: Option<RustlsConfig>,
    stop: &CancellationToken,
) {
    let ended = match tls {
        None => messages(intake, &mut { stream }, peer, stop).await,
        Some(config) => {
            let handshake = TlsAcceptor::from(config.get_inner()).accept(stream);
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = tokio::time::timeout(HANDSHAKE, handshake) => accepted,
            };
            match accepted {
                Ok(Ok(mut stream)) => {
                    let ended = messages(intake, &mut stream, peer, stop).await;
                    // Who says that nothing more comes is told the same (RFC 5425, section 4.4).
                    let _ = tokio::time::timeout(CLOSE, stream.shutdown()).await;
                    ended
                }
                Ok(Err(error)) => Err(error.into()),
                Err(_) => Err(Ended::Slow(HANDSHAKE)),
            }
        }
    };
    let (source, socket) = (intake.source.name(), intake.socket.name());
    match ended {
        Ok(()) => tracing::debug!(%source, socket, %peer, "a connection has ended"),
        Err(Ended::Frame(error)) => intake.dropped.refused(&Refusal::Undecodable(error.to_string())),
        Err(error) => tracing::info!(%source, socket, %peer, %error, "a connection was closed"),
    }
}

/// Reads, takes, reads on.
pub(super) async fn messages(
    intake: &Arc<Intake>,
    stream: &mut (impl AsyncRead + Unpin),
    peer: IpAddr,
    stop: &CancellationToken,
) -> Result<(), Ended> {
    let most = intake.source.max_body();
    let mut framer = intake.socket.codec.framer(most);
    let mut buffer = BytesMut::new();
    // When the message began of which only the beginning was read.
    let mut begun = None;
    loop {
        let framed = take_framed(intake, &mut framer, &mut buffer, peer, stop).await;
        if stop.is_cancelled() {
            return Ok(());
        }
        let is_another = framed? > 0;
        let now = tokio::time::Instant::now();
        begun = framer.is_within(&buffer).then(|| begun.filter(|_| !is_another).unwrap_or(now));
        let (patience, since) = begun.map_or((IDLE, now), |begun| (MESSAGE, begun));
        buffer.reserve(READ);
        let read = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            read = tokio::time::timeout_at(since + patience, stream.read_buf(&mut buffer)) => read,
        };
        let broken = match read {
            Ok(Ok(0)) => None,
            Ok(Ok(_)) => continue,
            // Who closes a connection without saying so in TLS has said all the same what came before.
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            Ok(Err(error)) => Some(Ended::Io(error)),
            Err(_) => Some(Ended::Slow(patience)),
        };
        // Where it broke, or a length says that there is more, what is left is no message, though it may look like one.
        let has_begun = !buffer.is_empty();
        match framer.last(&mut buffer).filter(|_| broken.is_none()) {
            Some(Piece::Message(bytes)) => intake.take(vec![Raw { bytes, peer }], stop).await,
            _ => intake.dropped.count("incomplete", has_begun.into()),
        }
        return broken.filter(|ended| !is_reset(ended)).map_or(Ok(()), Err);
    }
}

/// As senders end that have no more to say to a socket: nothing to tell of.
fn is_reset(ended: &Ended) -> bool {
    matches!(ended, Ended::Io(error) if error.kind() == io::ErrorKind::ConnectionReset)
}

/// Takes all messages that are in the buffer; says how many there were, those included that are too long.
async fn take_framed(
    intake: &Arc<Intake>,
    framer: &mut Framer,
    buffer: &mut BytesMut,
    peer: IpAddr,
    stop: &CancellationToken,
) -> Result<usize, Ended> {
    let mut pieces = 0;
    loop {
        let (mut raws, mut ended) = (Vec::new(), Ok(()));
        while raws.len() < BATCH {
            let next = framer.next(buffer);
            pieces += usize::from(matches!(next, Ok(Some(_))));
            match next {
                Ok(Some(Piece::Message(bytes))) if bytes.is_empty() => {}
                Ok(Some(Piece::Message(bytes))) => {
                    if intake.source.admit(Instant::now()).is_err() {
                        // What is here does not wait for the one that came too fast.
                        intake.take(std::mem::take(&mut raws), stop).await;
                        let_in(intake, stop).await;
                    }
                    raws.push(Raw { bytes, peer });
                }
                Ok(Some(Piece::TooLong)) => intake.dropped.refused(&Refusal::TooLarge(intake.source.max_body())),
                Ok(None) => break,
                Err(error) => {
                    ended = Err(error.into());
                    break;
                }
            }
        }
        let is_all = raws.len() < BATCH;
        intake.take(raws, stop).await;
        if is_all || ended.is_err() {
            return ended.map(|()| pieces);
        }
    }
}

/// Waits until the source's rate allows one more, or until it was told to stop.
async fn let_in(intake: &Intake, stop: &CancellationToken) {
    while let Err(Refusal::Rate { wait }) = intake.source.admit(Instant::now()) {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// A connection in the report, as long as it is open.
struct Open {
    sockets: Sockets,
    source: String,
    socket: String,
}

impl Open {
    fn new(sockets: &Sockets, intake: &Intake) -> Self {
        let open =
            Self { sockets: sockets.clone(), source: intake.source.name().to_string(), socket: intake.socket.name() };
        open.sockets.change(&open.source, &open.socket, |report| report.connections += 1);
        open
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.sockets.change(&self.source, &self.socket, |report| {
            report.connections = report.connections.saturating_sub(1);
        });
    }
}
