//! What is lost when a socket closes or a connection breaks, and that no more is.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::intake::socket::{
    stream::{Ended, messages},
    take::{Intake, Raw},
};

const PEER: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// What takes the messages of a socket that is not opened.
struct Bench {
    stream: Arc<Stream>,
    sources: Arc<Sources>,
    intake: Arc<Intake>,
}

impl Bench {
    fn new() -> Self {
        let (stream, sources) = (Arc::<Stream>::default(), Arc::<Sources>::default());
        let source = Arc::new(source("logs", &TCP.replace("%PORT%", "514")).unwrap());
        sources.replace([Arc::clone(&source)]);
        let socket = source.sockets()[0].clone();
        let intake = Arc::new(Intake::new(source, socket, reach(&stream, &sources)));
        Self { stream, sources, intake }
    }

    async fn take(&self, count: usize, stop: &CancellationToken) {
        let raw = |n| Raw { bytes: format!("<14>a: {n}").into(), peer: PEER };
        self.intake.take((0..count).map(raw).collect(), stop).await;
    }

    fn counted(&self) -> Value {
        let counts = self.sources.counts().by_source().remove("logs").unwrap_or_default();
        json!([counts.taken, counts.events, counts.refused])
    }

    fn told(&self) -> usize {
        self.stream.events.lock().unwrap().len()
    }
}

/// A connection that brings these, and then nothing more.
struct Brings(VecDeque<io::Result<&'static [u8]>>);

impl AsyncRead for Brings {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.0.pop_front() {
            Some(brings) => Poll::Ready(brings.map(|bytes| into.put_slice(bytes))),
            None => Poll::Pending,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn all_that_waits_when_a_socket_closes_has_the_same_few_seconds() {
    let (bench, stop) = (Bench::new(), CancellationToken::new());
    bench.stream.away.store(true, Ordering::SeqCst);
    stop.cancel();
    let begun = tokio::time::Instant::now();
    for _ in 0..8 {
        bench.take(3, &stop).await;
    }
    let took = begun.elapsed();
    assert!((5..6).contains(&took.as_secs()), "{took:?}");
    assert_eq!(bench.counted(), json!([0, 0, {"unavailable": 24}]));
}

#[tokio::test(start_paused = true)]
async fn what_was_stored_before_a_socket_closes_is_not_counted_as_lost() {
    let (bench, stop) = (Bench::new(), CancellationToken::new());
    *bench.stream.times.lock().unwrap() = Some(1);
    stop.cancel();
    bench.take(300, &stop).await;
    assert_eq!(bench.told(), 256);
    assert_eq!(bench.counted(), json!([256, 256, {"unavailable": 44}]));
}

#[tokio::test]
async fn what_is_half_when_a_connection_breaks_is_no_message_and_counts_as_lost() {
    let of = |kind: io::ErrorKind| Some(Err(kind.into()));
    for (brings, end, told, lost) in [
        ("<14>a: 1\n<14>a: hal", Some(Ok("")), 2, 0),
        ("<14>a: 1\n<14>a: hal", of(io::ErrorKind::UnexpectedEof), 2, 0),
        ("<14>a: 1\n<14>a: hal", of(io::ErrorKind::ConnectionReset), 1, 1),
        ("<14>a: 1\n<14>a: hal", of(io::ErrorKind::TimedOut), 1, 1),
        ("<14>a: 1\n20 <14>a: hal", Some(Ok("")), 1, 1),
        ("<14>a: 1\n", of(io::ErrorKind::ConnectionReset), 1, 0),
    ] {
        let (bench, said) = (Bench::new(), format!("{brings:?} {end:?}"));
        let all = [Some(Ok(brings)), end].into_iter().flatten().map(|it: io::Result<&str>| it.map(str::as_bytes));
        let _ = messages(&bench.intake, &mut Brings(all.collect()), PEER, &CancellationToken::new()).await;
        let refused = if lost == 0 { json!({}) } else { json!({"incomplete": lost}) };
        assert_eq!((bench.told(), &bench.counted()[2]), (told, &refused), "{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_byte_by_byte_has_a_minute_from_its_beginning() {
    let bench = Bench::new();
    let (mut sender, mut receiver) = tokio::io::duplex(64);
    let sends = async {
        // Every message has a minute of its own.
        for pause in [50, 50, 50] {
            sender.write_all(b"<14>a: 1").await.unwrap();
            tokio::time::sleep(Duration::from_secs(pause)).await;
            sender.write_all(b"\n").await.unwrap();
        }
        let begun = tokio::time::Instant::now();
        while sender.write_all(b"<").await.is_ok() && begun.elapsed() < Duration::from_secs(600) {
            tokio::time::sleep(Duration::from_secs(20)).await;
        }
    };
    let (begun, stop) = (tokio::time::Instant::now(), CancellationToken::new());
    let reads = async { (messages(&bench.intake, &mut receiver, PEER, &stop).await, begun.elapsed().as_secs()) };
    let (ended, after) = tokio::select! {
        read = reads => read,
        () = sends => panic!("it is still open"),
    };
    assert!(matches!(ended, Err(Ended::Slow(_))), "{ended:?}");
    assert_eq!((after, bench.told()), (150 + 60, 3));
    assert_eq!(bench.counted()[2], json!({"incomplete": 1}));
}
