//! Brokers, agents and nats-servers as services: killed, frozen, started again, one trouble at a time.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use emote_tests::Wire;
use tokio::sync::Mutex;

use crate::child::{Child, Program};

/// A program that is slower than this to start will not.
const START_WITHIN: Duration = Duration::from_secs(30);

/// A program that is meant to run, and the wires by which it reaches NATS.
pub(crate) struct Service {
    /// What it is.
    pub(crate) program: Program,
    /// Where it answers.
    pub(crate) answers: Answers,
    child: Mutex<Option<Child>>,
    wires: Vec<Wire>,
    trouble: Mutex<()>,
}

/// How one sees that a program has started.
#[derive(Debug, Clone)]
pub(crate) enum Answers {
    /// On a port of loopback.
    Port(u16),
    /// On a socket.
    Socket(PathBuf),
}

impl Answers {
    async fn is_there(&self) -> bool {
        match self {
            Self::Port(port) => tokio::net::TcpStream::connect(("127.0.0.1", *port)).await.is_ok(),
            Self::Socket(path) => tokio::net::UnixStream::connect(path).await.is_ok(),
        }
    }
}

impl Service {
    /// Not running yet.
    pub(crate) fn new(program: Program, answers: Answers, wires: Vec<Wire>) -> Self {
        Self { program, answers, child: Mutex::default(), wires, trouble: Mutex::default() }
    }

    /// Starts it and waits until it answers.
    pub(crate) async fn start(&self) -> anyhow::Result<()> {
        *self.child.lock().await = Some(self.program.start()?);
        self.wait_until_there().await
    }

    /// Waits until it answers.
    pub(crate) async fn wait_until_there(&self) -> anyhow::Result<()> {
        let name = &self.program.name;
        let there = async {
            while !self.answers.is_there().await {
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
        };
        tokio::time::timeout(START_WITHIN, there).await.with_context(|| {
            let log = self.program.logs.join(format!("{name}.log"));
            format!("{name} does not answer within {START_WITHIN:?}; the end of its log:\n{}", tail(&log))
        })
    }

    /// `kill -9`, whatever is to be done meanwhile, and another start after `lasts`.
    pub(crate) async fn kill(
        &self,
        lasts: Duration,
        meanwhile: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut child = self.child.lock().await;
        if let Some(mut child) = child.take() {
            child.kill();
        }
        let done = meanwhile();
        tokio::time::sleep(lasts).await;
        *child = Some(self.program.start()?);
        done
    }

    /// Stops it where it is for so long.
    pub(crate) async fn freeze(&self, lasts: Duration) {
        let child = self.child.lock().await;
        let freeze = |frozen| child.iter().for_each(|child| child.freeze(frozen));
        freeze(true);
        tokio::time::sleep(lasts).await;
        freeze(false);
    }

    /// Cuts its wires.
    pub(crate) fn cut(&self) {
        self.wires.iter().for_each(Wire::cut);
    }

    /// Parts it from NATS for so long.
    pub(crate) async fn part(&self, lasts: Duration) {
        let _alone = self.trouble.lock().await;
        self.wires.iter().for_each(Wire::part);
        tokio::time::sleep(lasts).await;
        self.wires.iter().for_each(Wire::mend);
    }

    /// Lets nothing through for so long.
    pub(crate) async fn hold(&self, lasts: Duration) {
        let _alone = self.trouble.lock().await;
        self.wires.iter().for_each(Wire::hold);
        tokio::time::sleep(lasts).await;
        self.wires.iter().for_each(Wire::mend);
    }

    /// Whether it ended without being told to; then it is started again, as whatever runs a service does.
    pub(crate) async fn look_after(&self) -> anyhow::Result<()> {
        // While it is in trouble it is looked after already.
        let Ok(mut child) = self.child.try_lock() else { return Ok(()) };
        let Some(status) = child.as_mut().and_then(Child::ended) else { return Ok(()) };
        *child = Some(self.program.start()?);
        let log = self.program.logs.join(format!("{}.log", self.program.name));
        bail!("{} ended by itself ({status}); the end of its log:\n{}", self.program.name, tail(&log))
    }
}

/// The last lines of a log.
fn tail(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}
