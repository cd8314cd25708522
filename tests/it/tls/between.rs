//! Somebody on the way to NATS: who pretends to be a server, and who changes what a server says before TLS begins.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// Says that it is a server that needs no TLS and nobody's name, and notes what it is told first.
pub(super) struct Trap {
    pub(super) port: u16,
    got: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Trap {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, got) = (listener.local_addr().unwrap().port(), Arc::<Mutex<Vec<Vec<u8>>>>::default());
        let notes = Arc::clone(&got);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let notes = Arc::clone(&notes);
                tokio::spawn(async move {
                    let info = json!({"server_id": "X", "version": "2.14.0", "host": "127.0.0.1", "port": port,
                        "headers": true, "max_payload": 1_048_576, "proto": 1, "tls_required": false,
                        "auth_required": false, "nonce": "abc", "connect_urls": []});
                    stream.write_all(format!("INFO {info}\r\n").as_bytes()).await.ok();
                    let mut first = vec![0; 512];
                    if let Ok(read @ 1..) = stream.read(&mut first).await {
                        first.truncate(read);
                        notes.lock().unwrap().push(first);
                    }
                });
            }
        });
        Self { port, got }
    }

    /// The first bytes of everybody who came.
    pub(super) fn got(&self) -> Vec<Vec<u8>> {
        self.got.lock().unwrap().clone()
    }
}

/// Passes everything on, but for the server's first word: to that, it adds another server.
pub(super) struct Between {
    pub(super) port: u16,
    more: Arc<watch::Sender<Option<u16>>>,
    cuts: Arc<watch::Sender<u64>>,
}

impl Between {
    pub(super) async fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (more, cuts) = (Arc::new(watch::Sender::new(None)), Arc::new(watch::Sender::new(0)));
        let (tell, cut) = (Arc::clone(&more), Arc::clone(&cuts));
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (more, mut cuts) = (*tell.borrow(), cut.subscribe());
                tokio::spawn(async move {
                    let Ok(far) = TcpStream::connect(("127.0.0.1", to)).await else { return };
                    tokio::select! {
                        _ = pass(near, far, more) => {}
                        _ = cuts.changed() => {}
                    }
                });
            }
        });
        Self { port, more, cuts }
    }

    /// From now on the server seems to tell of another one at this port.
    pub(super) fn tell_of(&self, port: u16) {
        self.more.send_replace(Some(port));
    }

    /// Ends every connection.
    pub(super) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

async fn pass(mut near: TcpStream, mut far: TcpStream, more: Option<u16>) -> std::io::Result<()> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(far.read_u8().await?);
    }
    let text = String::from_utf8(line).unwrap();
    let mut info: Value = serde_json::from_str(text.strip_prefix("INFO ").unwrap()).unwrap();
    if let Some(port) = more {
        info["connect_urls"] = json!([format!("localhost:{port}")]);
    }
    near.write_all(format!("INFO {info}\r\n").as_bytes()).await?;
    copy_bidirectional(&mut near, &mut far).await.map(drop)
}
