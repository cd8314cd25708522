use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use emote_proto::{EventId, Name, Subject};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpStream, UdpSocket},
    sync::Semaphore,
};

mod lost;

use super::*;
use crate::{
    config::Problems,
    gelf,
    ingest::{NoAliases, Publish, PublishError, Source, SourceSpec, Sources},
};

/// A stream that is there, or is not.
#[derive(Default)]
struct Stream {
    events: Mutex<Vec<Value>>,
    away: AtomicBool,
    /// What it refuses for good.
    refuses: Mutex<Option<&'static str>>,
    /// After so many times more it is away; never where none.
    times: Mutex<Option<usize>>,
}

#[async_trait::async_trait]
impl Publish for Stream {
    async fn publish(&self, events: Vec<(Subject, EventId, Bytes)>) -> Result<(), PublishError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(PublishError::Unavailable("away".to_owned()));
        }
        match self.times.lock().unwrap().as_mut() {
            Some(0) => return Err(PublishError::Unavailable("away".to_owned())),
            Some(times) => *times -= 1,
            None => {}
        }
        let refuses = *self.refuses.lock().unwrap();
        let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        if let Some(word) = refuses
            && events.iter().any(|(_, _, json)| text(json).contains(word))
        {
            return Err(PublishError::TooLarge(word.to_owned()));
        }
        let read = events.iter().map(|(_, _, json)| serde_json::from_slice(json).unwrap());
        self.events.lock().unwrap().extend(read);
        Ok(())
    }
}

/// A source that listens here, and the stream behind it.
struct Stand {
    stream: Arc<Stream>,
    sources: Arc<Sources>,
    listeners: Listeners,
    port: u16,
}

fn source(name: &str, yaml: &str) -> Result<Source, Problems> {
    let spec: SourceSpec = serde_saphyr::from_str(yaml).unwrap();
    spec.validate(&Name::new(name).unwrap()).and_then(|plan| plan.resolve(Path::new("/")))
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn reach(stream: &Arc<Stream>, sources: &Arc<Sources>) -> Reach {
    Reach {
        publisher: Arc::clone(stream) as _,
        aliases: Arc::new(NoAliases),
        sources: Arc::clone(sources),
        broker: "b1".to_owned(),
        maps: Arc::new(Semaphore::new(2)),
    }
}

impl Stand {
    /// `%PORT%` in `yaml` is a port that is free.
    async fn start(yaml: &str) -> Self {
        let (stream, sources, port) = (Arc::<Stream>::default(), Arc::<Sources>::default(), free_port());
        let reach = reach(&stream, &sources);
        let mut stand = Self { stream, sources, listeners: Listeners::new(reach), port };
        stand.apply(yaml).await;
        let listens = |stand: &Self| stand.listeners.sockets().reports().iter().all(|(_, report)| report.listens);
        until(async || listens(&stand)).await;
        stand
    }

    async fn apply(&mut self, yaml: &str) {
        let yaml = yaml.replace("%PORT%", &self.port.to_string());
        let source = Arc::new(source("logs", &yaml).unwrap());
        self.sources.replace([Arc::clone(&source)]);
        self.listeners.keep_to(&[(source, yaml)]).await;
    }

    async fn tcp(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).await.unwrap()
    }

    async fn udp(&self) -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(("127.0.0.1", self.port)).await.unwrap();
        socket
    }

    /// What the messages say that were taken, in their order.
    fn told(&self) -> Vec<String> {
        let events = self.stream.events.lock().unwrap();
        let of = |event: &Value| event["info"]["message"].as_str().map(str::to_owned);
        events.iter().filter_map(of).collect()
    }

    fn refused(&self) -> Value {
        json!(self.sources.counts().by_source()["logs"].refused)
    }

    async fn until_told(&self, expected: &[&str]) {
        until(async || self.told().len() >= expected.len()).await;
        assert_eq!(self.told(), expected);
    }
}

async fn until(mut condition: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !condition().await {
        assert!(begun.elapsed() < Duration::from_secs(20), "not in time");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

const TCP: &str = "preset: syslog\nlisten: {transport: tcp, address: '127.0.0.1:%PORT%'}\n";
const UDP: &str = "preset: syslog\nlisten: {transport: udp, address: '127.0.0.1:%PORT%'}\n";

#[test]
fn what_is_wrong_with_a_socket_is_said_where_it_stands() {
    let said = |yaml: &str| {
        let problems = source("logs", yaml).err().unwrap_or_default();
        problems.into_iter().map(|problem| format!("{}: {}\n", problem.path, problem.message)).collect::<String>()
    };
    insta::assert_snapshot!(said("preset: syslog\nlisten: {}"), @r"
    listen.transport: is missing: for example transport: tls
    listen.address: is missing: for example address: 0.0.0.0:6514
    ");
    insta::assert_snapshot!(said("preset: syslog\nlisten: [{transport: udp, address: 0.0.0.0:514}, {transport: carrier, address: x, pigeon: 1}, 3]"), @r#"
    listen[0].address: 0.0.0.0:514 is no loopback address, and without TLS everyone on the way reads along and may speak as anybody: use transport: tls, or spell out `insecure: true`
    listen[1].transport: expected one of tcp, tls, udp
    listen[1].address: expected an address and a port such as 0.0.0.0:6514 or "[::]:6514"
    listen[1].pigeon: unknown key: expected one of address, certificate, client_ca, insecure, key, transport
    listen[2]: expected an object such as {transport: tls, address: "0.0.0.0:6514"}, found a number
    "#);
    insta::assert_snapshot!(said("preset: syslog\nlisten: {transport: tls, address: 127.0.0.1:6514, key: k}"), @"listen.certificate: is missing: for example certificate: logs.pem, and key: logs.key, PEM files both");
    insta::assert_snapshot!(said("preset: syslog\nlisten: {transport: tcp, address: 127.0.0.1:6514, client_ca: k}"), @"listen.client_ca: is for transport: tls");
    insta::assert_snapshot!(said("preset: syslog\nlisten: []"), @"listen: from 1 to 16 sockets");
    insta::assert_snapshot!(said("preset: okta\nlisten: {transport: tcp, address: 127.0.0.1:6514}"), @"decode: a socket takes messages of one notation: decode: syslog, or decode: gelf");
    assert_eq!(said("preset: syslog\nlisten: {transport: udp, address: 0.0.0.0:514, insecure: true}"), "");
}

#[test]
fn a_source_that_listens_takes_webhooks_only_where_it_says_how_they_are_proven() {
    for (yaml, webhooks, kinds) in [
        ("preset: syslog\nlisten: {transport: udp, address: 127.0.0.1:514}", false, "udp"),
        ("preset: gelf\nverify: none\nlisten: {transport: tcp, address: 127.0.0.1:514}", true, "webhook, tcp"),
        ("preset: gelf\nverify: none", true, "webhook"),
    ] {
        let spec: SourceSpec = serde_saphyr::from_str(yaml).unwrap();
        let plan = spec.validate(&Name::new("logs").unwrap()).unwrap();
        assert_eq!(plan.kinds().join(", "), kinds, "{yaml}");
        assert_eq!(plan.resolve(Path::new("/")).unwrap().takes_webhooks(), webhooks, "{yaml}");
    }
}

#[tokio::test]
async fn what_a_connection_brings_is_taken_in_its_order() {
    let stand = Stand::start(TCP).await;
    let mut stream = stand.tcp().await;
    stream.write_all(b"8 <14>a: 1\n<14>a: 2\n<14>a: 2\nGET / HTTP/1.1\n").await.unwrap();
    stream.write_all(b"8 <14>a: 3<14>a: 4").await.unwrap();
    stream.shutdown().await.unwrap();
    stand.until_told(&["1", "2", "2", "3", "4"]).await;
    let ids: std::collections::BTreeSet<String> =
        stand.stream.events.lock().unwrap().iter().map(|event| event["id"].to_string()).collect();
    assert_eq!(ids.len(), 5, "two that say the same are two");
    assert_eq!(stand.refused(), json!({"undecodable": 1}));
    let first = stand.stream.events.lock().unwrap()[0].clone();
    assert_eq!((&first["trust"], &first["info"]["peer"]), (&json!("unverified"), &json!("127.0.0.1")));
    let counts = stand.sources.counts().by_source()["logs"].clone();
    assert_eq!((counts.taken, counts.events), (5, 5));
}

#[tokio::test]
async fn a_sender_waits_while_the_stream_is_away_and_nothing_is_lost() {
    const COUNT: usize = 600;
    let stand = Stand::start(TCP).await;
    stand.stream.away.store(true, Ordering::SeqCst);
    let mut stream = stand.tcp().await;
    let written = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = Arc::clone(&written);
    let sender = tokio::spawn(async move {
        for n in 0..COUNT {
            let padding = "x".repeat(50_000);
            stream.write_all(format!("<14>a: {n} {padding}\n").as_bytes()).await.unwrap();
            counter.store(n, Ordering::SeqCst);
        }
        stream.shutdown().await.unwrap();
    });
    // It has come to a halt: the system takes no more.
    let mut before = usize::MAX;
    until(async || {
        tokio::time::sleep(Duration::from_millis(300)).await;
        std::mem::replace(&mut before, written.load(Ordering::SeqCst)) == before && before > 0
    })
    .await;
    assert!(written.load(Ordering::SeqCst) < COUNT - 1 && stand.told().is_empty());
    stand.stream.away.store(false, Ordering::SeqCst);
    sender.await.unwrap();
    until(async || stand.told().len() >= COUNT).await;
    let numbers: Vec<usize> =
        stand.told().iter().map(|text| text.split(' ').next().unwrap().parse().unwrap()).collect();
    assert!(numbers.iter().copied().eq(0..COUNT), "each once, in order");
    assert!(stand.sources.counts().by_source()["logs"].not_published > 0);
}

#[tokio::test]
async fn what_finds_no_room_is_counted_and_told_by_an_event() {
    let mut stand = Stand::start(&format!("{UDP}max_body: 100\n")).await;
    let udp = stand.udp().await;
    udp.send(b"<14>a: 1\n").await.unwrap();
    stand.until_told(&["1"]).await;
    udp.send(&[b'x'; 101]).await.unwrap();
    udp.send(b"hello").await.unwrap();
    until(async || stand.refused() == json!({"too_large": 1, "undecodable": 1})).await;
    stand.listeners.stop().await;
    let last = stand.stream.events.lock().unwrap().last().cloned().unwrap();
    assert_eq!(
        (&last["scope"], &last["action"], &last["source"]),
        (&json!("source"), &json!("dropped"), &json!("logs"))
    );
    let socket = format!("udp 127.0.0.1:{}", stand.port);
    let reasons = json!({"too_large": 1, "undecodable": 1});
    assert_eq!(last["info"], json!({"count": 2, "reasons": reasons, "socket": socket, "broker": "b1"}));
}

#[tokio::test]
async fn a_rate_lets_a_connection_wait_and_drops_datagrams() {
    let rate = "rate: {per_minute: 600, burst: 2}\n";
    let stand = Stand::start(&format!("{TCP}{rate}")).await;
    let begun = Instant::now();
    stand.tcp().await.write_all(b"<14>1\n<14>2\n<14>3\n<14>4\n").await.unwrap();
    stand.until_told(&["1", "2", "3", "4"]).await;
    assert!(begun.elapsed() >= Duration::from_millis(190), "{:?}", begun.elapsed());
    let stand = Stand::start(&format!("{UDP}{rate}")).await;
    let udp = stand.udp().await;
    for n in 1..=4 {
        udp.send(format!("<14>{n}").as_bytes()).await.unwrap();
    }
    until(async || stand.refused() == json!({"rate": 2})).await;
    stand.until_told(&["1", "2"]).await;
}

#[tokio::test]
async fn who_may_not_send_is_not_heard() {
    let from = "from: [192.0.2.0/24]\n";
    for yaml in [TCP, UDP] {
        let stand = Stand::start(&format!("{yaml}{from}")).await;
        if yaml == TCP {
            stand.tcp().await.write_all(b"<14>1\n").await.ok();
        } else {
            stand.udp().await.send(b"<14>1\n").await.unwrap();
        }
        until(async || stand.refused() == json!({"address": 1})).await;
        assert!(stand.told().is_empty());
    }
}

#[tokio::test]
async fn gelf_comes_in_chunks_compressed_and_with_a_trailer() {
    let both = "preset: gelf\nlisten: [{transport: udp, address: '127.0.0.1:%PORT%'}, {transport: tcp, address: '127.0.0.1:%PORT%'}]\n";
    let stand = Stand::start(both).await;
    let udp = stand.udp().await;
    let long: String = (0..2000).map(|n| n.to_string()).collect();
    let message = json!({"version": "1.1", "host": "h", "short_message": "chunked", "full_message": long}).to_string();
    let packed = gelf::pack(message.as_bytes(), gelf::Compression::Gzip).unwrap();
    let pieces = gelf::chunks(&packed, *b"12345678", 500).unwrap();
    assert!(pieces.len() > 3);
    for piece in pieces.iter().rev() {
        udp.send(piece).await.unwrap();
    }
    stand.until_told(&["chunked"]).await;
    assert_eq!(stand.stream.events.lock().unwrap()[0]["info"]["full_message"], long.as_str());
    let mut tcp = stand.tcp().await;
    tcp.write_all(b"{\"short_message\": \"one\"}\0{\"short_message\":\n\"two\"}\0").await.unwrap();
    stand.until_told(&["chunked", "one", "two"]).await;
}

#[tokio::test]
async fn one_event_that_the_stream_refuses_takes_no_other_along() {
    let stand = Stand::start(TCP).await;
    *stand.stream.refuses.lock().unwrap() = Some("poison");
    stand.tcp().await.write_all(b"<14>1\n<14>poison\n<14>3\n").await.unwrap();
    until(async || stand.refused() == json!({"not_published": 1})).await;
    stand.until_told(&["1", "3"]).await;
    until(async || stand.sources.counts().by_source()["logs"].taken == 2).await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_and_had_when_it_is_free() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut stand = Stand::start("verify: none\nmap: empty").await;
    stand.port = taken.local_addr().unwrap().port();
    stand.apply(TCP).await;
    let report = |stand: &Stand| stand.listeners.sockets().reports().remove(0).1;
    until(async || report(&stand).last_error.is_some()).await;
    assert!(!report(&stand).listens);
    assert!(report(&stand).last_error.unwrap().contains("cannot listen on 127.0.0.1"));
    drop(taken);
    until(async || report(&stand).listens).await;
    stand.tcp().await.write_all(b"<14>1\n").await.unwrap();
    stand.until_told(&["1"]).await;
    // Another file, another listener; and none where none is wanted.
    stand.apply(&format!("{TCP}max_body: 10\n")).await;
    until(async || report(&stand).listens).await;
    stand.apply("verify: none\nmap: empty").await;
    assert!(stand.listeners.sockets().reports().is_empty());
    assert!(TcpStream::connect(("127.0.0.1", stand.port)).await.is_err());
}

proptest! {
    #[test]
    fn no_listen_of_a_file_panics(text in "[{}\\[\\]a-z0-9:., ]{0,60}") {
        if let Ok(listen) = serde_saphyr::from_str::<Value>(&text) {
            let _ = Plan::read_all(&listen, Codec::Syslog, &mut Problems::default());
        }
    }
}
