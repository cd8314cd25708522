//! The local socket: mode 0600, so it is for the user the agent runs as. Not reachable from the network.
//!
//! `emit` is answered only when the event is on the disk. Clients are bounded in number, line length and time.

mod client;
mod tail;
mod wire;

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use emote_proto::Draft;
use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, oneshot};
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

/// Listens at `path`. Whoever calls holds the spool's lock, so a socket that is there is left over and is replaced.
pub(crate) fn listen(path: &Path) -> std::io::Result<UnixListener> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path)?,
        Ok(_) => return Err(std::io::Error::other("what is there is no socket, and is left alone")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

impl Server {
    /// Runs until told to stop; then takes no new clients, and answers those that are there. Who follows goes on as long
    /// as there is something to be shown: over other settings, too.
    pub(crate) async fn run(self, listener: UnixListener, mut stop: oneshot::Receiver<()>) {
        let mut clients = JoinSet::new();
        tokio::select! {
            () = self.accept(listener, &mut clients) => {}
            _ = &mut stop => {}
        }
        timeout(FAREWELL, async { while clients.join_next().await.is_some() {} }).await.ok();
        clients.shutdown().await;
    }

    async fn accept(&self, listener: UnixListener, clients: &mut JoinSet<()>) {
        let places = Arc::new(Semaphore::new(MAX_CLIENTS));
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
        let ask = match line {
            Err(_) => Err("no line came".into()),
            Ok(line) => line.and_then(|line| serde_json::from_slice(&line).map_err(|error| error.to_string())),
        };
        let answer = match ask {
            Err(problem) => Answer::Refused(problem),
            Ok(Ask::Tail { .. }) if self.recent.followers() >= tail::MOST => {
                Answer::Failed(format!("{} follow already: end one of them", tail::MOST))
            }
            Ok(Ask::Tail { last }) => {
                let (past, next) = self.recent.follow(last);
                tokio::spawn(tail::serve(past, next, stream));
                return;
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::Kind;
    use emote_proto::{Device, Time};
    use serde_json::json;
    use std::time::Instant;
    use tokio::sync::watch;

    #[tokio::test]
    async fn only_a_socket_that_is_left_over_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.sock");
        drop(listen(&path).unwrap());
        drop(listen(&path).unwrap());
        let file = dir.path().join("agent.toml");
        std::fs::write(&file, "precious").unwrap();
        assert!(listen(&file).unwrap_err().to_string().contains("no socket"));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
    }

    #[tokio::test]
    async fn who_follows_holds_nothing_up_when_the_socket_goes_away_and_is_shown_on() {
        let dir = tempfile::tempdir().unwrap();
        let (path, now) = (dir.path().join("a.sock"), Time::from_millis(0).unwrap());
        let spool = Arc::new(Spool::open(dir.path(), 1 << 20, now, Box::new(|_| None)).unwrap().spool);
        let identity = Arc::new(Identity::new("C02".parse().unwrap(), Device::default()));
        let recent = Arc::new(Recent::default());
        let (written, _) = watch::channel(0);
        let (journal, writer) = Journal::new(Arc::clone(&spool), Arc::clone(&identity), written, Arc::clone(&recent));
        let writer = tokio::spawn(writer.run());
        let server =
            Server { identity, spool, journal: journal.clone(), health: Arc::default(), recent: Arc::clone(&recent) };
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(server.run(listen(&path).unwrap(), stopped));
        let mut tail = Tail::begin(&path, 0).await.unwrap();
        while recent.followers() == 0 {
            tokio::task::yield_now().await;
        }
        let begun = Instant::now();
        stop.send(()).unwrap();
        server.await.unwrap();
        assert!(begun.elapsed() < FAREWELL);
        journal.write(Entry::event(Kind::DiskLow.draft(json!({"mount": "/"})))).await.unwrap();
        assert!(matches!(tail.next().await.unwrap(), Some(Answer::Event(_))));
        drop((journal, recent));
        writer.await.unwrap();
        assert!(tail.next().await.unwrap().is_none(), "nothing is left to be shown");
    }
}
