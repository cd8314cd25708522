//! What is no event, by every way in.

use std::path::Path;

use async_nats::HeaderMap;
use emote_proto::header;
use rand::{RngExt, rngs::StdRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{rules::TOKEN, send::Senders};

/// Marks what was sent as garbage, so that it is found again. No program of Emote's knows it.
pub(crate) const MARK: &str = "Chaos-Garbage";

const FINE: &[u8] = br#"{"scope":"chaos","action":"tick"}"#;

/// Subject and body of what is stored in EVENTS and is no event.
fn in_stream(random: &mut StdRng) -> Vec<(&'static str, Vec<u8>)> {
    let noise: Vec<u8> = (0..random.random_range(1..2_000)).map(|_| random.random()).collect();
    let padding = format!(r#"{{"scope":"chaos","action":"tick","info":{{"x":"{}"}}}}"#, "x".repeat(300 << 10));
    vec![
        ("events.manual.-.chaos.tick", b"{\"scope\":\"chaos\",".to_vec()),
        ("events.manual.-.chaos.tick", Vec::new()),
        ("events.manual.-.chaos.tick", [b"\xff\xfe".as_slice(), &noise].concat()),
        ("events.manual.-.chaos.tick", "[".repeat(50_000).into_bytes()),
        ("events.manual.-.chaos.tick", padding.into_bytes()),
        ("events.manual.-.chaos.other", FINE.to_vec()),
        ("events.Manual.-.chaos.tick", FINE.to_vec()),
        ("events.manual.%zz.chaos.tick", FINE.to_vec()),
        ("events.manual.chaos", FINE.to_vec()),
        ("events.manual.-.chaos.tick.more.and.more", FINE.to_vec()),
        ("events.manual.-.chaos.tick", br#"{"scope":"chaos","action":"tick","cause":{"event":7}}"#.to_vec()),
    ]
}

/// Bodies that no webhook may be taken with.
fn by_webhook(random: &mut StdRng) -> Vec<Vec<u8>> {
    let noise: Vec<u8> = (0..random.random_range(1..2_000)).map(|_| random.random::<u8>() | 0x80).collect();
    vec![
        b"{\"scope\":".to_vec(),
        b"[1, 2]".to_vec(),
        "[".repeat(100_000).into_bytes(),
        br#"{"scope":"Not A Token","action":"tick"}"#.to_vec(),
        vec![b'x'; (1 << 20) + 1],
        noise,
    ]
}

/// Some of everything; how much.
pub(crate) async fn send(senders: &Senders, random: &mut StdRng) -> u64 {
    let mut count = 0;
    let some = |random: &mut StdRng| random.random_bool(0.5);
    for (subject, body) in in_stream(random).into_iter().filter(|_| some(random)).collect::<Vec<_>>() {
        into_stream(senders, subject, body).await;
        count += 1;
    }
    for body in [&b""[..], b"{}", b"not a job"] {
        into_stream(senders, "deliver.count.junk", body.to_vec()).await;
        count += 1;
    }
    for body in by_webhook(random).into_iter().filter(|_| some(random)).collect::<Vec<_>>() {
        post(senders, body).await;
        count += 1;
    }
    let socket = random.random_range(0..senders.sockets.len());
    into_socket(&senders.sockets[socket]).await;
    count + 1
}

/// Tried once: what is not stored is not there.
async fn into_stream(senders: &Senders, subject: &str, body: Vec<u8>) {
    let mut headers = HeaderMap::new();
    headers.insert(MARK, "1");
    headers.insert(header::MSG_ID, format!("garbage-{}", rand::random::<u64>()));
    if let Ok(sent) = senders.js.publish_with_headers(subject.to_owned(), headers, body.into()).await {
        tokio::time::timeout(std::time::Duration::from_secs(2), sent.into_future()).await.ok();
    }
}

async fn post(senders: &Senders, body: Vec<u8>) {
    let begins = String::from_utf8_lossy(&body[..body.len().min(20)]).into_owned();
    let request = senders.http.post(&senders.hooks[0]).bearer_auth(TOKEN).header("Content-Type", "application/json");
    if let Ok(response) = request.body(body).send().await
        && response.status().is_success()
    {
        senders.ledger.wrong(format!("a webhook of garbage is taken: {begins:?}…"));
    }
}

/// Whatever an agent says to it, it goes on.
async fn into_socket(socket: &Path) {
    let Ok(mut stream) = tokio::net::UnixStream::connect(socket).await else { return };
    stream.write_all(b"\xff\x00{{{\n").await.ok();
    let mut answer = [0; 64];
    tokio::time::timeout(std::time::Duration::from_secs(2), stream.read(&mut answer)).await.ok();
}
