//! How long an event takes to its effect: from a webhook, and from a publish into EVENTS, to a target that has received
//! the request. Everything is real but the target: nats-server, ingest, core, delivery, on loopback.
//!
//! `cargo bench -p emote-broker --bench latency [-- SECONDS]`
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a measurement that cannot go on must stop")]
#![allow(missing_docs, clippy::allow_attributes, reason = "a program")]

use std::{
    collections::HashMap,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Json, Router, extract::State, routing::post};
use emote::{
    bus::{Bus, BusSettings, Checkpoint, Outgoing, StreamSettings},
    config::{Folder, Set},
    run,
};
use emote_proto::{EventId, Subject};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

type Arrivals = Arc<Mutex<HashMap<String, Instant>>>;

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() {
    rustls::crypto::ring::default_provider().install_default().expect("TLS");
    let seconds = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(10_u64);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(measure(seconds));
    runtime.shutdown_background();
}

async fn measure(seconds: u64) {
    let folder = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = emote::localnats::find().unwrap();
    let _server = Server(
        Command::new(&server.path)
            .args(["-a", "127.0.0.1", "-p", &port.to_string(), "-js", "-sd"])
            .arg(folder.path().join("nats"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let settings = BusSettings::local(format!("nats://127.0.0.1:{port}"), "latency");
    let bus = loop {
        match Bus::connect(&settings).await {
            Ok(bus) => break bus,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };

    let arrivals: Arrivals = Arc::default();
    let target = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target_url = format!("http://{}/", target.local_addr().unwrap());
    let app = Router::new().route("/", post(receive)).with_state(Arc::clone(&arrivals));
    tokio::spawn(async move { axum::serve(target, app).await });

    bus.ensure_streams(&StreamSettings::default()).await.unwrap();
    println!("nats-server {}, {} s each, on loopback\n", server.version, seconds);
    println!("{:<28} {:>8} {:>9} {:>9} {:>9} {:>9}", "", "events", "p50 ms", "p90 ms", "p99 ms", "max ms");
    floor(&bus).await;

    configure(folder.path(), &target_url);
    let start = run::Start {
        taken: emote::ops::Taken::Fail,
        root: folder.path().to_owned(),
        settings: Folder::settings(folder.path()).unwrap(),
        first: Some(Set::read(folder.path()).unwrap()),
        data: folder.path().join("data"),
    };
    let shutdown = CancellationToken::new();
    let running = run::start(bus.clone(), start, &shutdown).await.unwrap();
    let webhook = format!("{}/in/bench", running.webhooks());
    let client = reqwest::Client::new();

    for rate in [100_u64, 500, 1000] {
        let sent = drive(rate, seconds, |id| {
            let (bus, id) = (bus.clone(), id.to_owned());
            async move {
                let body = json!({"scope": "bench", "action": "tick", "info": {"n": id}}).to_string();
                let subject: Subject = "events.manual.-.bench.tick".parse().unwrap();
                bus.publish_events(vec![(subject, EventId::derived(&[&id]), body.into())]).await.unwrap();
            }
        })
        .await;
        report(&format!("publish → target, {rate}/s"), &sent, &arrivals).await;
    }
    for rate in [100_u64, 500] {
        let sent = drive(rate, seconds, |id| {
            let request = client
                .post(&webhook)
                .bearer_auth("a-bench-token")
                .json(&json!({"scope": "bench", "action": "tick", "event_id": id, "info": {"n": id}}));
            async move {
                assert!(request.send().await.unwrap().status().is_success());
            }
        })
        .await;
        report(&format!("webhook → target, {rate}/s"), &sent, &arrivals).await;
    }
    shutdown.cancel();
    running.wait().await.unwrap();
}

/// What the raw client takes for the two steps that every event goes through, one after the other.
async fn floor(bus: &Bus) {
    let (mut plain, mut batch) = (Vec::new(), Vec::new());
    let mut last = 0;
    for n in 0..500_u64 {
        let began = Instant::now();
        let subject: Subject = "events.manual.-.floor.tick".parse().unwrap();
        let body = br#"{"scope":"floor","action":"tick"}"#[..].into();
        bus.publish_events(vec![(subject, EventId::derived(&["floor", &n.to_string()]), body)]).await.unwrap();
        plain.push(began.elapsed());
        let began = Instant::now();
        let checkpoint = Checkpoint { stream: "floor".to_owned(), sequence: n + 1, ..Checkpoint::default() };
        let job =
            Outgoing { subject: "held.floor.floor".to_owned(), headers: Vec::new(), payload: vec![b' '; 900].into() };
        last = bus.publish_batch(&[job, checkpoint.message(99, Some(last))]).await.unwrap().sequence;
        batch.push(began.elapsed());
    }
    for (name, mut times) in [("one plain publish", plain), ("one batch: job, checkpoint", batch)] {
        times.sort();
        let at = |part: usize| times[(times.len() * part / 1000).min(times.len() - 1)].as_secs_f64() * 1000.0;
        println!("{name:<28} {:>8} {:>9.2} {:>9.2} {:>9.2} {:>9.2}", times.len(), at(500), at(900), at(990), at(1000));
    }
}

async fn receive(State(arrivals): State<Arrivals>, Json(body): Json<Value>) {
    let now = Instant::now();
    arrivals.lock().unwrap().entry(body["n"].as_str().unwrap().to_owned()).or_insert(now);
}

/// Sends `rate` events a second, each on its own time whatever became of the one before; gives when each was sent.
async fn drive<F: Future<Output = ()> + Send + 'static>(
    rate: u64,
    seconds: u64,
    send: impl Fn(&str) -> F,
) -> Vec<(String, Instant)> {
    let mut every = tokio::time::interval(Duration::from_secs(1) / u32::try_from(rate).unwrap());
    let mut sent = Vec::new();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..rate * seconds {
        every.tick().await;
        let id = format!("{rate}-{n}-{:?}", Instant::now());
        sent.push((id.clone(), Instant::now()));
        tasks.spawn(send(&id));
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    sent
}

async fn report(name: &str, sent: &[(String, Instant)], arrivals: &Arrivals) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while sent.iter().any(|(id, _)| !arrivals.lock().unwrap().contains_key(id)) {
        assert!(Instant::now() < deadline, "{name}: some events never arrived");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let arrivals = arrivals.lock().unwrap();
    let mut millis: Vec<f64> =
        sent.iter().map(|(id, at)| arrivals[id].duration_since(*at).as_secs_f64() * 1000.0).collect();
    millis.sort_by(f64::total_cmp);
    let at = |part: usize| millis[(millis.len() * part / 1000).min(millis.len() - 1)];
    println!("{name:<28} {:>8} {:>9.2} {:>9.2} {:>9.2} {:>9.2}", millis.len(), at(500), at(900), at(990), at(1000));
}

fn configure(folder: &Path, target: &str) {
    let write = |file: &str, text: &str| {
        let path = folder.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    write("emote.yaml", "ingest: {listen: \"127.0.0.1:0\"}\nops: {listen: \"off\"}\n");
    write("secrets/token", "a-bench-token");
    write("sources/bench.yaml", "preset: json\nsettings: {token: \"${file:secrets/token}\"}\n");
    write("targets/bench.yaml", &format!("kind: http\nurl: {target}\nconcurrency: 16\n"));
    write("rules/bench.yaml", "pattern: {scope: [bench]}\ntargets: [{target: bench, input: '.event.info'}]\n");
}
