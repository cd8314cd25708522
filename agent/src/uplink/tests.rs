//! When the uplink connects: against something that only ever says hello.

use std::time::Duration;

use emote_proto::Device;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

use super::*;
use crate::credential::Machine;
use crate::identity::Identity;
use crate::journal::Journal;
use crate::platform::Real;
use crate::spool::Spool;

const DEADLINE: Duration = Duration::from_secs(30);

struct Running {
    listener: TcpListener,
    nudge: watch::Sender<Nudge>,
    health: Arc<Health>,
    _dir: TempDir,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn start() -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dir = TempDir::new().unwrap();
    let settings = Settings::of_toml(&format!("server = 'nats://{}'", listener.local_addr().unwrap()));
    let spool = Spool::open(dir.path(), 1 << 20, now(), Box::new(|_| None)).unwrap().spool;
    let (health, (nudge, nudges), (written, watched)) =
        (Arc::new(Health::default()), watch::channel(Nudge::default()), watch::channel(0));
    let (spool, serial) = (Arc::new(spool), Serial::new("T1").unwrap());
    let identity = Arc::new(Identity::new(serial.clone(), Device::default()));
    let (journal, writer) = Journal::new(Arc::clone(&spool), identity, written, Arc::default());
    let clock = Clock::new(Arc::new(Real), journal.clone(), Arc::clone(&health), &spool).unwrap();
    let machine = Machine { serial: serial.clone(), hardware_uuid: None };
    let keeper = Arc::new(Keeper::open(dir.path(), machine, Arc::clone(&health)));
    let uplink = Uplink {
        settings: Arc::new(settings),
        serial,
        host: Arc::new(Real),
        spool,
        health: Arc::clone(&health),
        written: watched,
        nudges,
        clock: Arc::new(clock),
        keeper,
        journal,
    };
    let task = tokio::spawn(async move {
        let _writer = writer;
        uplink.run().await;
    });
    Running { listener, nudge, health, _dir: dir, task }
}

impl Running {
    async fn accept(&self) -> TcpStream {
        timeout(DEADLINE, self.listener.accept()).await.expect("the uplink connects").unwrap().0
    }

    /// A server that is silent once the connection stands.
    async fn greet(&self) -> TcpStream {
        let mut stream = BufReader::new(self.accept().await);
        let hello = r#"INFO {"server_id":"x","server_name":"x","version":"2.12.0","go":"","host":"x","port":1,"max_payload":1048576,"proto":1,"headers":true}"#;
        stream.write_all(format!("{hello}\r\n").as_bytes()).await.unwrap();
        let mut line = String::new();
        while !line.starts_with("PING") {
            line.clear();
            assert!(stream.read_line(&mut line).await.unwrap() > 0);
        }
        stream.write_all(b"PONG\r\n").await.unwrap();
        let (begun, mut tick) = (Instant::now(), tokio::time::interval(Duration::from_millis(5)));
        while !self.health.connected() {
            assert!(begun.elapsed() < DEADLINE, "it counts as connected");
            tick.tick().await;
        }
        stream.into_inner()
    }
}

#[tokio::test]
async fn a_network_that_changed_is_tried_at_once_and_a_wait_begins_small_again() {
    let running = start().await;
    for _ in 0..5 {
        drop(running.accept().await);
    }
    // From here it would wait four seconds at least.
    let begun = Instant::now();
    running.nudge.send_modify(|nudge| nudge.network += 1);
    drop(running.accept().await);
    drop(running.accept().await);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_connection_that_stood_before_the_machine_slept_is_given_up() {
    let running = start().await;
    let _half_open = running.greet().await;
    running.nudge.send_modify(|nudge| nudge.network += 1);
    let begun = Instant::now();
    running.nudge.send_modify(|nudge| nudge.woke += 1);
    let _fresh = running.greet().await;
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_client_does_not_connect_again_by_itself() {
    let running = start().await;
    drop(running.greet().await);
    let mut second = running.accept().await;
    second.write_all(b"-ERR 'not today'\r\n").await.unwrap();
    assert!(!running.health.connected());
    // The library's own attempt would have come beside the uplink's.
    let third = timeout(Duration::from_millis(200), running.listener.accept()).await;
    assert!(third.is_err(), "one at a time");
}

#[tokio::test]
async fn a_server_that_says_much_is_cut_short() {
    let running = start().await;
    let mut stream = running.greet().await;
    stream.write_all(format!("-ERR '{}'\r\n", "x".repeat(400_000)).as_bytes()).await.unwrap();
    let (begun, mut tick) = (Instant::now(), tokio::time::interval(Duration::from_millis(5)));
    let said = loop {
        match running.health.trouble() {
            Some(said) => break said,
            None => tick.tick().await,
        };
        assert!(begun.elapsed() < DEADLINE, "it is told");
    };
    assert!(said.contains("xxx") && said.len() < 1_000, "{}", said.len());
}
