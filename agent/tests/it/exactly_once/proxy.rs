//! Stands between agent and server, and cuts the connection in place of an answer: the stream has the events, and the
//! agent never hears of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How many answers of the stream each connection lets through, over and over.
const ANSWERS: [usize; 6] = [2, 0, 1, 0, 0, 3];

pub(crate) struct Proxy {
    pub(crate) port: u16,
    cuts: Arc<AtomicUsize>,
}

impl Proxy {
    /// Forwards to `port` of this machine; after `most` cuts, faithfully.
    pub(crate) async fn start(port: u16, most: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self { port: listener.local_addr().unwrap().port(), cuts: Arc::default() };
        let cuts = Arc::clone(&proxy.cuts);
        tokio::spawn(async move {
            while let Ok((agent, _)) = listener.accept().await {
                let done = cuts.load(Ordering::Relaxed);
                let answers = if done < most { ANSWERS[done % ANSWERS.len()] } else { usize::MAX };
                let cuts = Arc::clone(&cuts);
                tokio::spawn(async move {
                    if forward(agent, port, answers).await.is_none() {
                        cuts.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        proxy
    }

    pub(crate) fn cuts(&self) -> usize {
        self.cuts.load(Ordering::Relaxed)
    }
}

/// `None` when the connection was cut, `Some` when it ended by itself.
async fn forward(agent: TcpStream, port: u16, mut answers: usize) -> Option<()> {
    let server = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let (mut from_agent, mut to_agent) = agent.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let upwards = tokio::spawn(async move { tokio::io::copy(&mut from_agent, &mut to_server).await });
    let mut buffer = vec![0; 64 * 1024];
    let result = loop {
        let read = from_server.read(&mut buffer).await.unwrap_or(0);
        if read == 0 {
            break Some(());
        }
        let is_answer = String::from_utf8_lossy(&buffer[..read]).contains("\"stream\":\"EVENTS\"");
        if is_answer && answers == 0 {
            break None;
        }
        answers -= usize::from(is_answer);
        if to_agent.write_all(&buffer[..read]).await.is_err() {
            break Some(());
        }
    };
    upwards.abort();
    result
}
