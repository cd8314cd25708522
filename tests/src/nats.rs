//! A real nats-server on a port and a folder of its own, which it keeps when it is started again.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Process, free_port, until};

/// The server.
pub struct NatsServer {
    folder: PathBuf,
    logs: PathBuf,
    /// On loopback.
    pub port: u16,
    process: Option<Process>,
}

impl NatsServer {
    /// Starts a server that keeps its streams in `folder`.
    pub async fn start(folder: &Path, logs: &Path) -> Self {
        let mut server = Self::stopped(folder, logs);
        server.start_again().await;
        server
    }

    /// A server that is not running yet.
    pub fn stopped(folder: &Path, logs: &Path) -> Self {
        Self { folder: folder.to_owned(), logs: logs.to_owned(), port: free_port(), process: None }
    }

    /// Starts it on the same port and folder, and waits until it takes connections.
    pub async fn start_again(&mut self) {
        let found = emote::localnats::find().unwrap_or_else(|error| panic!("{error}"));
        self.start_program(&found.path).await;
    }

    /// Starts this very program instead of the one that is found.
    pub async fn start_program(&mut self, program: &Path) {
        std::fs::create_dir_all(&self.folder).unwrap();
        let mut command = Command::new(program);
        command.args(["-a", "127.0.0.1", "-p", &self.port.to_string(), "-js", "-sd"]).arg(&self.folder);
        self.process = Some(Process::start("nats-server", command, &self.logs));
        let port = self.port;
        until("nats-server takes connections", || async move {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok()
        })
        .await;
    }

    /// Ends it with SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Ends it with SIGTERM.
    pub async fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.stop().await;
        }
    }

    /// `nats://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}
