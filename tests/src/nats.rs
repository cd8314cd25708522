//! A real nats-server on a port and a folder of its own, which it keeps when it is started again.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Process, free_port, until_listening};

/// Starts a server in a folder that has its configuration where `emote init --secure` writes it, and waits until it takes
/// connections at `port`.
pub async fn start_nats_in(folder: &Path, name: &str, logs: &Path, port: u16) -> Process {
    let found = emote::localnats::find().unwrap_or_else(|error| panic!("{error}"));
    let mut command = Command::new(found.path);
    // Paths in it are taken from the folder.
    command.args(["-c", emote::identity::files::SERVER]).current_dir(folder);
    let process = Process::start(name, command, logs);
    until_listening(name, port).await;
    process
}

/// The server.
pub struct NatsServer {
    folder: PathBuf,
    logs: PathBuf,
    /// On loopback.
    pub port: u16,
    configured: String,
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
        let (folder, logs, configured) = (folder.to_owned(), logs.to_owned(), String::new());
        Self { folder, logs, port: free_port(), configured, process: None }
    }

    /// From its next start on it has this in its configuration file, which nobody else may read.
    pub fn configure(&mut self, text: &str) {
        text.clone_into(&mut self.configured);
    }

    /// Where it keeps its streams.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
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
        if !self.configured.is_empty() {
            let path = self.folder.with_extension("conf");
            crate::private_file(&path, &self.configured);
            command.arg("-c").arg(path);
        }
        self.process = Some(Process::start("nats-server", command, &self.logs));
        until_listening("nats-server", self.port).await;
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
