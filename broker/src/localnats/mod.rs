//! A nats-server of one's own, for `emote dev`: found, checked, started on loopback, stopped with us.
//!
//! The server is not started directly but through a guard: `emote` again, in a process group of its own, holding one
//! end of a pipe. When the pipe closes, because `emote` ended in whatever way, the guard stops the server. So not even
//! `kill -9` leaves a server behind, without any system call that one of our systems lacks.

mod find;
mod guard;
mod secure;

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::process::{Child, ChildStdin, Command};

use crate::bus::{Bus, BusError, BusSettings};
pub use find::{FindError, Found, INSTALL, find, tools_folder};
pub use guard::{GUARD_COMMAND, guard};
pub use secure::{Secure, SecureError};

const START_WITHIN: Duration = Duration::from_secs(20);
const STOP_WITHIN: Duration = Duration::from_secs(15);

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum LocalNatsError {
    /// None was found that would do.
    #[error(transparent)]
    Find(#[from] FindError),
    /// A file or process could not be had.
    #[error("{doing}: {error}")]
    Io {
        /// What was tried.
        doing: String,
        /// What happened.
        error: std::io::Error,
    },
    /// The wanted port is taken.
    #[error("port {0} is in use: stop what listens there, or choose another with --nats-port (0 takes any)")]
    PortTaken(u16),
    /// It did not come up.
    #[error("nats-server did not start; the end of {log}:\n{tail}")]
    NotStarted {
        /// Its log file.
        log: PathBuf,
        /// What it wrote last.
        tail: String,
    },
    /// It came up but does not do.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// Its keys or certificates do not do.
    #[error(transparent)]
    Secure(#[from] SecureError),
}

/// The running server.
pub struct LocalNats {
    guard: Child,
    /// While this is open the guard keeps the server going. (Waiting for a child closes the pipe it still holds.)
    pipe: Option<ChildStdin>,
    /// `nats://127.0.0.1:PORT`, or `tls://…`.
    pub url: String,
    /// Its version, as `2.15.1`.
    pub version: String,
    /// With keys and certificates.
    secure: Option<Secure>,
}

impl LocalNats {
    /// Starts a server that keeps its streams in `data`, on `port` of loopback (`None`: 4222, or any where that is
    /// taken). With keys and certificates where `secure` has them. A server left over from an earlier start on the same
    /// folder is stopped first.
    pub async fn start(data: &Path, port: Option<u16>, secure: Option<Secure>) -> Result<Self, LocalNatsError> {
        let found = find()?;
        let more = secure.as_ref().map(Secure::configuration).transpose()?.unwrap_or_default();
        let pid_file = data.join("nats.pid");
        guard::stop_left_over(&pid_file).await;
        let port = choose_port(port)?;
        let config = data.join("nats.conf");
        write_private(&config, &format!("{}{more}", configuration(data, port)))?;
        let log = data.join("nats.log");
        let own = std::env::current_exe().map_err(|error| io("finding our own program", error))?;
        let mut command = Command::new(own);
        if let Some(secure) = &secure {
            command.current_dir(secure.root());
        }
        let mut guard = command
            .arg(GUARD_COMMAND)
            .args([&found.path, &config, &pid_file, &log])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .process_group(0)
            .spawn()
            .map_err(|error| io("starting nats-server", error))?;
        let url = format!("{}://127.0.0.1:{port}", if secure.is_some() { "tls" } else { "nats" });
        let pipe = guard.stdin.take();
        let mut server = Self { guard, pipe, url, version: found.version, secure };
        server.wait_until_ready(&log).await?;
        Ok(server)
    }

    /// How to connect to it as a broker.
    pub fn settings(&self, name: &str) -> BusSettings {
        let settings = BusSettings::local(&self.url, name);
        match &self.secure {
            Some(secure) => secure.settings(settings),
            None => settings,
        }
    }

    /// How to connect to it as the administrator.
    pub fn admin_settings(&self, name: &str) -> BusSettings {
        let settings = BusSettings::local(&self.url, name);
        match &self.secure {
            Some(secure) => secure.as_admin(settings),
            None => settings,
        }
    }

    /// Whether it asks for credentials.
    pub fn is_secure(&self) -> bool {
        self.secure.is_some()
    }

    async fn wait_until_ready(&mut self, log: &Path) -> Result<(), LocalNatsError> {
        let settings = self.settings("emote dev: is it up?");
        let deadline = tokio::time::Instant::now() + START_WITHIN;
        loop {
            let ended = self.guard.try_wait().ok().flatten().is_some();
            if ended || tokio::time::Instant::now() > deadline {
                return Err(LocalNatsError::NotStarted { log: log.to_owned(), tail: tail(log) });
            }
            if let Ok(bus) = Bus::connect(&settings).await
                && bus.check_level().await.is_ok()
            {
                bus.close().await;
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the server ends, which it does not by itself.
    pub async fn ended(&mut self) {
        if let Err(error) = self.guard.wait().await {
            tracing::warn!(%error, "waiting for nats-server");
        }
    }

    /// Stops it and waits until it has.
    pub async fn stop(mut self) {
        drop(self.pipe.take());
        if tokio::time::timeout(STOP_WITHIN, self.guard.wait()).await.is_err() {
            tracing::warn!("nats-server does not stop; it is ended");
            if let Err(error) = self.guard.kill().await {
                tracing::warn!(%error, "ending nats-server");
            }
        }
    }
}

fn configuration(data: &Path, port: u16) -> String {
    // The server adds the folder `jetstream` by itself.
    format!(
        "# Written by `emote dev` at every start.\n\
         listen: \"127.0.0.1:{port}\"\n\
         server_name: \"emote-dev\"\n\
         jetstream {{ store_dir: {data:?} }}\n\
         logtime: true\n\
         logfile_size_limit: 10MB\n\
         logfile_max_num: 2\n"
    )
}

/// The wanted port, or 4222, or any.
fn choose_port(wanted: Option<u16>) -> Result<u16, LocalNatsError> {
    let free = |port| {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
        listener.local_addr().map(|address| address.port())
    };
    match wanted {
        Some(port) => free(port).map_err(|_| LocalNatsError::PortTaken(port)),
        None => free(4222).or_else(|_| free(0)).map_err(|error| io("finding a free port", error)),
    }
}

fn write_private(path: &Path, text: &str) -> Result<(), LocalNatsError> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| io(&format!("writing {}", path.display()), error))
}

fn io(doing: &str, error: std::io::Error) -> LocalNatsError {
    LocalNatsError::Io { doing: doing.to_owned(), error }
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}
