//! Following the events as they are written, both ends of it.

use std::path::Path;
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;

use super::client::{self, CallError};
use super::wire::{self, Answer, Ask};
use crate::recent::Line;

/// Who may follow at the same time.
pub(super) const MOST: usize = 4;
/// A follower that takes no line for so long is let go.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends the last events and each that comes, until the other end hangs up or the agent ends.
pub(super) async fn serve(past: Vec<Line>, mut next: Receiver<Line>, mut stream: UnixStream) {
    for line in past {
        if send(&mut stream, &event(&line)).await.is_err() {
            return;
        }
    }
    let mut nothing = [0; 1];
    loop {
        let answer = tokio::select! {
            // Whoever follows says nothing more: this is the end of the connection.
            _ = stream.read(&mut nothing) => return,
            line = next.recv() => match line {
                Ok(line) => event(&line),
                Err(RecvError::Lagged(count)) => Answer::Missed(count),
                Err(RecvError::Closed) => return,
            },
        };
        if send(&mut stream, &answer).await.is_err() {
            return;
        }
    }
}

fn event(line: &Line) -> Answer {
    let json = RawValue::from_string(String::from_utf8_lossy(line).into_owned());
    // What the agent has written is JSON.
    json.map_or(Answer::Missed(1), Answer::Event)
}

async fn send(stream: &mut UnixStream, answer: &Answer) -> std::io::Result<()> {
    timeout(PATIENCE, stream.write_all(&wire::to_line(answer))).await.map_err(std::io::Error::from)?
}

/// A tail of the agent that listens at a socket.
#[derive(Debug)]
pub struct Tail(BufReader<UnixStream>);

impl Tail {
    /// Begins with the last `last` events.
    pub async fn begin(path: &Path, last: usize) -> Result<Self, CallError> {
        let mut stream = client::connect(path).await?;
        stream.write_all(&wire::to_line(&Ask::Tail { last })).await.map_err(|error| broken(path, &error))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// The next line, for which it waits; `None` when the agent has stopped.
    pub async fn next(&mut self) -> std::io::Result<Option<Answer>> {
        let mut line = Vec::new();
        let read = (&mut self.0).take(wire::MAX_LINE).read_until(b'\n', &mut line).await?;
        if read == 0 {
            return Ok(None);
        }
        serde_json::from_slice(&line).map(Some).map_err(std::io::Error::other)
    }
}

fn broken(path: &Path, error: &std::io::Error) -> CallError {
    CallError::Broken { path: path.to_owned(), problem: error.to_string() }
}
