//! UDP: one message a datagram (RFC 5426), or a chunk of one (GELF). Nobody can be made to wait, so what finds no room in
//! the queue is dropped, and counted.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use rustix::net::sockopt;
use tokio::{
    net::UdpSocket,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};
use tokio_util::sync::CancellationToken;

use super::{
    Codec,
    take::{BATCH, Intake, Raw},
};
use crate::{
    gelf::{Added, Assembly, Bounds},
    ingest::Refusal,
};

/// Longer than a datagram can be.
const DATAGRAM: usize = 64 * 1024;
/// Messages that wait.
const QUEUE: usize = 8192;
/// Bytes of all of them.
const QUEUE_BYTES: usize = 16 * 1024 * 1024;
/// Bytes that the system may keep until they are read; it may allow fewer.
const SYSTEM_KEEPS: usize = 4 * 1024 * 1024;
/// Messages of which chunks are missing.
const CHUNKED: Bounds = Bounds { messages: 256, bytes: 8 * 1024 * 1024, within: Duration::from_secs(5) };
/// How often those are looked at.
const EXPIRE_EVERY: Duration = Duration::from_secs(1);

/// A message that waits, with its part of [`QUEUE_BYTES`].
type Queued = (Raw, OwnedSemaphorePermit);

/// Takes datagrams until told to stop; comes back when what waited is acknowledged or given up.
pub(super) async fn serve(intake: &Arc<Intake>, socket: UdpSocket, stop: &CancellationToken) {
    if let Err(error) = sockopt::set_socket_recv_buffer_size(&socket, SYSTEM_KEEPS) {
        tracing::debug!(%error, "the system keeps no more datagrams than usual");
    }
    let (send, receive) = mpsc::channel(QUEUE);
    let room = Arc::new(Semaphore::new(QUEUE_BYTES));
    let receiver = Receiver { intake, assembly: Assembly::new(CHUNKED), room, send };
    tokio::join!(receiver.run(&socket, stop), work(intake, receive, stop));
}

/// Publishes what waits, until nothing can come any more.
async fn work(intake: &Arc<Intake>, mut queue: mpsc::Receiver<Queued>, stop: &CancellationToken) {
    let mut batch = Vec::with_capacity(BATCH);
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        let (raws, permits): (Vec<Raw>, Vec<OwnedSemaphorePermit>) = batch.drain(..).unzip();
        intake.take(raws, stop).await;
        drop(permits);
    }
}

struct Receiver<'a> {
    intake: &'a Intake,
    assembly: Assembly,
    room: Arc<Semaphore>,
    send: mpsc::Sender<Queued>,
}

impl Receiver<'_> {
    async fn run(mut self, socket: &UdpSocket, stop: &CancellationToken) {
        let mut buffer = vec![0; DATAGRAM];
        let mut expire = tokio::time::interval(EXPIRE_EVERY);
        expire.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                received = socket.recv_from(&mut buffer) => match received {
                    Ok((length, peer)) => {
                        let datagram = buffer.get(..length).unwrap_or_default();
                        self.receive(datagram, canonical(peer), Instant::now());
                    }
                    Err(error) => tracing::debug!(%error, "receiving a datagram"),
                },
                _ = expire.tick() => {
                    let given_up = self.assembly.expire(Instant::now());
                    self.incomplete(given_up);
                }
            }
        }
    }

    fn receive(&mut self, datagram: &[u8], peer: SocketAddr, now: Instant) {
        let (intake, most) = (self.intake, self.intake.source.max_body());
        if !intake.source.takes_from(Some(peer.ip())) {
            return intake.dropped.refused(&Refusal::Address(Some(peer.ip())));
        }
        if datagram.len() > most {
            return intake.dropped.refused(&Refusal::TooLarge(most));
        }
        let bytes = Bytes::copy_from_slice(datagram);
        let whole = match intake.socket.codec {
            Codec::Syslog => bytes,
            Codec::Gelf => {
                let (added, given_up) = self.assembly.add(bytes, peer, now);
                self.incomplete(given_up);
                match added {
                    Added::Whole(whole) => whole,
                    Added::Waiting => return,
                    Added::Malformed => {
                        return intake.dropped.refused(&Refusal::Undecodable("a chunk that cannot be one".to_owned()));
                    }
                }
            }
        };
        if let Err(refusal) = self.queue(whole, peer, now) {
            intake.dropped.refused(&refusal);
        }
    }

    fn queue(&self, bytes: Bytes, peer: SocketAddr, now: Instant) -> Result<(), Refusal> {
        self.intake.source.admit(now)?;
        let length = u32::try_from(bytes.len()).map_err(|_| Refusal::Busy)?;
        let permit = Arc::clone(&self.room).try_acquire_many_owned(length).map_err(|_| Refusal::Busy)?;
        self.send.try_send((Raw { bytes, peer: peer.ip() }, permit)).map_err(|_| Refusal::Busy)
    }

    fn incomplete(&self, messages: u64) {
        self.intake.dropped.count("incomplete", messages);
    }
}

fn canonical(peer: SocketAddr) -> SocketAddr {
    SocketAddr::new(peer.ip().to_canonical(), peer.port())
}
