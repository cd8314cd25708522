//! The other end of the local socket, for `emit` and `status`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::wire::{self, Answer, Ask};

const PATIENCE: Duration = Duration::from_secs(30);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody listens.
    #[error("no agent answers at {0}: is emote-agent running, with this state folder?")]
    NotRunning(PathBuf),
    /// The socket is another user's.
    #[error("{0}: permission denied: run this as the user the agent runs as (root on a Mac)")]
    Denied(PathBuf),
    /// It listened, and then did not answer.
    #[error("{path}: {problem}")]
    Broken {
        /// The socket.
        path: PathBuf,
        /// What happened.
        problem: String,
    },
}

/// Asks the agent that listens at `path`.
pub async fn call(path: &Path, ask: &Ask) -> Result<Answer, CallError> {
    let mut stream = connect(path).await?;
    let broken = |problem: String| CallError::Broken { path: path.to_owned(), problem };
    let exchange = async {
        // Refused early, the agent has closed its end; its answer says why.
        stream.write_all(&wire::to_line(ask)).await.ok();
        wire::read_line(&mut stream).await
    };
    let line = timeout(PATIENCE, exchange).await.map_err(|_| broken("no answer".into()))?.map_err(broken)?;
    serde_json::from_slice(&line).map_err(|error| broken(error.to_string()))
}

pub(super) async fn connect(path: &Path) -> Result<UnixStream, CallError> {
    UnixStream::connect(path).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => CallError::Denied(path.to_owned()),
        _ => CallError::NotRunning(path.to_owned()),
    })
}
