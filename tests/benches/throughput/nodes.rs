//! Many nodes: what a broker takes in memory, how soon it is back, and how fast records are made anew.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use emote::{
    bus::Bus,
    config::{Folder, Set},
    engine::Role,
    run,
};
use futures_util::StreamExt;

use crate::{
    core::{MATCHING, OTHERS, Running, configure},
    log::Log,
};

/// A broker with a store of so many nodes, as a process: its memory, and how long after a kill it commits again.
pub(crate) async fn many(nodes: u64) {
    let log = Log::start().await;
    log.fill(nodes, nodes).await;
    let folder = tempfile::tempdir_in(log.folder.path()).unwrap();
    configure(folder.path(), &log.url, OTHERS);
    let mut jobs = log.client.subscribe("deliver.>").await.unwrap();
    let broker = Broker::start(folder.path());
    let first = commit(&log, &mut jobs, "first").await;
    println!("{nodes} nodes: folded and first job after {:.1} s, memory {}", first.as_secs_f64(), broker.memory());
    drop(broker);
    let size = std::fs::metadata(folder.path().join("data/store.redb")).map_or(0, |store| store.len() >> 20);
    let broker = Broker::start(folder.path());
    let again = commit(&log, &mut jobs, "again").await;
    println!(
        "{nodes} nodes: killed, started again, first commit after {:.2} s, memory {}, store {size} MiB",
        again.as_secs_f64(),
        broker.memory()
    );
}

/// Publishes an event that has a job, and waits for that; how long from now.
async fn commit(log: &Log, jobs: &mut async_nats::Subscriber, key: &str) -> Duration {
    let began = Instant::now();
    let body = format!(r#"{{"scope":"other","action":"thing","info":{{"kind":"k7","key":"{key}"}}}}"#);
    log.js.publish("events.manual.-.other.thing", body.into()).await.unwrap().await.unwrap();
    while let Some(job) = jobs.next().await {
        if String::from_utf8_lossy(&job.payload).contains(key) {
            break;
        }
    }
    began.elapsed()
}

/// Records from nothing, with a checkpoint at the end of the log: entries are folded for what they say of nodes alone.
pub(crate) async fn rebuild(events: u64) {
    let log = Log::start().await;
    log.fill(events, 10_000).await;
    let folder = tempfile::tempdir_in(log.folder.path()).unwrap();
    configure(folder.path(), &log.url, MATCHING);
    let length = log.length().await;
    let engine = Running::start(&log, folder.path());
    engine.wait_for(|status| status.role == Role::Leading && status.position >= length).await;
    engine.stop().await;
    std::fs::remove_file(folder.path().join("store.redb")).unwrap();
    let began = log.moment();
    let engine = Running::start(&log, folder.path());
    let first = engine.wait_for(|status| status.position > 0).await;
    let ended = engine.wait_for(|status| status.position >= length).await;
    engine.stop().await;
    #[expect(clippy::cast_precision_loss, reason = "to be read by people")]
    let rate = events as f64 / (ended - first).time.as_secs_f64() / 1_000.0;
    println!("rebuild: {events} events of 10000 nodes in {:.1} s, {rate:.1} K/s", (ended - began).time.as_secs_f64());
}

/// This program as a broker.
struct Broker(Child);

impl Broker {
    fn start(folder: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg("--serve").arg(folder).stdin(Stdio::null()).stdout(Stdio::null());
        Self(command.spawn().unwrap())
    }

    /// What it holds in memory now.
    fn memory(&self) -> String {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kilobytes.map_or_else(|| "unknown".to_owned(), |kilobytes| format!("{} MiB", kilobytes / 1024))
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// `emote serve` with this folder, until it is ended or its parent is gone.
pub(crate) async fn serve(folder: &Path) {
    let settings = Folder::settings(folder).unwrap();
    let bus = Bus::connect(&settings.nats.resolve(folder, "throughput").unwrap()).await.unwrap();
    let shutdown = run::shutdown_on_signal(Some(run::parent)).unwrap();
    let data = folder.join("data");
    let start = run::Start {
        root: folder.to_owned(),
        settings,
        first: Some(Set::read(folder).unwrap()),
        data,
        taken: emote::ops::Taken::Fail,
    };
    run::start(bus, start, &shutdown).await.unwrap().wait().await.unwrap();
}
