//! The local socket: mode 0600, so it is for the user the agent runs as. Not reachable from the network.
//!
//! `emit` is answered only when the event is on the disk. Clients are bounded in number, line length and time.

mod client;
mod tail;
mod wire;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use emote_proto::Draft;
use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

pub use client::{CallError, call};
pub use tail::Tail;
pub use wire::{Answer, Ask};

use crate::emit;
use crate::health::Health;
use crate::identity::Identity;
use crate::journal::{Entry, Journal, JournalError};
use crate::recent::Recent;
use crate::spool::Spool;

const MAX_CLIENTS: usize = 32;
const PATIENCE: Duration = Duration::from_secs(10);
/// How long clients are waited for when the socket goes away.
const FAREWELL: Duration = Duration::from_secs(1);

/// Answers clients.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) identity: Arc<Identity>,
    pub(crate) spool: Arc<Spool>,
    pub(crate) journal: Journal,
    pub(crate) health: Arc<Health>,
    pub(crate) recent: Arc<Recent>,
}

/// Listens at `path`. Whoever calls holds the spool's lock, so a file that is there is left over and is replaced.
pub(crate) fn listen(path: &Path) -> std::io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

impl Server {
    /// Runs until told to stop; then takes no new clients, answers those that are there, and lets go who follows.
    pub(crate) async fn run(self, listener: UnixListener, mut stop: oneshot::Receiver<()>) {
        let mut clients = JoinSet::new();
        let (follow, until) = watch::channel(());
        tokio::select! {
            () = self.accept(listener, &mut clients, until) => {}
            _ = &mut stop => {}
        }
        drop(follow);
        timeout(FAREWELL, async { while clients.join_next().await.is_some() {} }).await.ok();
        clients.shutdown().await;
    }

    async fn accept(&self, listener: UnixListener, clients: &mut JoinSet<()>, until: watch::Receiver<()>) {
        let places = Arc::new(Semaphore::new(MAX_CLIENTS));
        let tails = Arc::new(Semaphore::new(tail::MOST));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            while clients.try_join_next().is_some() {}
            match listener.accept().await {
                Ok((stream, _)) => {
                    let (server, tails, until) = (self.clone(), Arc::clone(&tails), until.clone());
                    clients.spawn(async move {
                        server.serve(stream, &tails, until).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "local socket");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    /// Who follows does so `until` its sender is dropped.
    async fn serve(&self, mut stream: UnixStream, tails: &Semaphore, mut until: watch::Receiver<()>) {
        let line = timeout(PATIENCE, wire::read_line(&mut stream)).await;
        let ask = match line {
            Err(_) => Err("no line came".into()),
            Ok(line) => line.and_then(|line| serde_json::from_slice(&line).map_err(|error| error.to_string())),
        };
        let answer = match ask {
            Err(problem) => Answer::Refused(problem),
            Ok(Ask::Tail { last }) => match tails.try_acquire() {
                Ok(_place) => {
                    tokio::select! {
                        () = tail::serve(&self.recent, last, stream) => {}
                        _ = until.changed() => {}
                    }
                    return;
                }
                Err(_) => Answer::Failed(format!("{} follow already: end one of them", tail::MOST)),
            },
            Ok(Ask::Status {}) => Answer::Status(Box::new(self.health.status(self.spool.totals()))),
            Ok(Ask::Config {}) => Answer::Config(Box::new(self.health.config())),
            Ok(Ask::Emit(draft)) => self.emit(*draft).await,
        };
        // A client that went away needs no answer.
        timeout(PATIENCE, stream.write_all(&wire::to_line(&answer))).await.ok();
    }

    async fn emit(&self, draft: Draft) -> Answer {
        let draft = match emit::check(draft, self.identity.serial()) {
            Ok(draft) => draft,
            Err(problem) => return Answer::Refused(problem),
        };
        match self.journal.write(Entry::event(draft)).await {
            Ok(ids) => ids.first().map_or_else(|| Answer::Failed("not written".into()), |id| Answer::Id(*id)),
            Err(JournalError::Seal(error)) => Answer::Refused(error.to_string()),
            Err(error) => Answer::Failed(error.to_string()),
        }
    }
}
