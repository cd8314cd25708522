//! The local socket: mode 0600, so it is for the user the agent runs as. Not reachable from the network.
//!
//! `emit` is answered only when the event is on the disk. Clients are bounded in number, line length and time.

mod client;
mod wire;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

pub use client::{CallError, call};
pub use wire::{Answer, Ask};

use crate::emit;
use crate::health::Health;
use crate::identity::Identity;
use crate::journal::{Entry, Journal, JournalError};
use crate::spool::Spool;

const MAX_CLIENTS: usize = 32;
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers clients.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) identity: Arc<Identity>,
    pub(crate) spool: Arc<Spool>,
    pub(crate) journal: Journal,
    pub(crate) health: Arc<Health>,
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
    /// Runs until it is dropped.
    pub(crate) async fn run(self, listener: UnixListener) {
        let places = Arc::new(Semaphore::new(MAX_CLIENTS));
        let mut clients = JoinSet::new();
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            while clients.try_join_next().is_some() {}
            match listener.accept().await {
                Ok((stream, _)) => {
                    let server = self.clone();
                    clients.spawn(async move {
                        server.serve(stream).await;
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

    async fn serve(&self, mut stream: UnixStream) {
        let line = timeout(PATIENCE, wire::read_line(&mut stream)).await;
        let answer = match line {
            Err(_) => Answer::Refused("no line came".into()),
            Ok(Err(problem)) => Answer::Refused(problem),
            Ok(Ok(line)) => self.answer(&line).await,
        };
        // A client that went away needs no answer.
        timeout(PATIENCE, stream.write_all(&wire::to_line(&answer))).await.ok();
    }

    async fn answer(&self, line: &[u8]) -> Answer {
        match serde_json::from_slice(line) {
            Err(error) => Answer::Refused(error.to_string()),
            Ok(Ask::Status {}) => Answer::Status(Box::new(self.health.status(self.spool.totals()))),
            Ok(Ask::Emit(draft)) => match emit::check(*draft, self.identity.serial()) {
                Err(problem) => Answer::Refused(problem),
                Ok(draft) => match self.journal.write(Entry::event(draft)).await {
                    Ok(ids) => ids.first().map_or_else(|| Answer::Failed("not written".into()), |id| Answer::Id(*id)),
                    Err(JournalError::Seal(error)) => Answer::Refused(error.to_string()),
                    Err(error) => Answer::Failed(error.to_string()),
                },
            },
        }
    }
}
