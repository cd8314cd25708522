//! Leads the library's connection, which can only be made over TCP, into a tunnel that stands already.
//!
//! The agent opens no port, and this is the one exception: a listener on 127.0.0.1, on a port the system chooses, from the
//! moment the tunnel stands until the library has connected to it, some milliseconds in all. The library is told a path of
//! 128 random bits, made for this one connection; whoever connects without it is closed at once, so the peer is known to
//! be this process without asking the system who it is. What another local process can do is keep the listener busy, and
//! this attempt fails; it reaches neither tunnel nor credentials. The address is bound before the library hears of it and
//! not used again, so nobody can be found there in its place. What runs over loopback is not encrypted: root can
//! read it, who can read the credentials' file as well.

use std::time::Duration;

use async_nats::ServerAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

/// Longest request of the library.
const MAX_HEAD: usize = 4 * 1024;
/// Strangers that are turned away before the attempt is given up.
const STRANGERS: usize = 16;
/// A local peer says at once what it wants.
const PATIENCE: Duration = Duration::from_secs(1);
const BUFFER: usize = 8 * 1024;

/// Forwards until it is dropped or either end closes.
pub(in crate::uplink) struct Relay(JoinHandle<()>);

impl Drop for Relay {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Relay {
    /// Waits for the library `within` this time, at the address that is returned.
    pub(super) async fn start(
        mut tunnel: TlsStream<TcpStream>,
        server: &ServerAddr,
        within: Duration,
    ) -> std::io::Result<(ServerAddr, Self)> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(std::io::Error::other)?;
        let path = format!("/{}", data_encoding::HEXLOWER.encode(&random));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("ws://127.0.0.1:{}{path}", listener.local_addr()?.port()).parse()?;
        let real = Real::of(server);
        let forwarding = async move {
            let Ok(Some((mut library, head))) = timeout(within, accept(listener, &path)).await else { return };
            // Either end's failure ends both, which is all there is to say.
            if tunnel.write_all(real.rewrite(&head, &path).as_bytes()).await.is_ok() && tunnel.flush().await.is_ok() {
                tokio::io::copy_bidirectional_with_sizes(&mut library, &mut tunnel, BUFFER, BUFFER).await.ok();
            }
        };
        Ok((address, Self(tokio::spawn(forwarding))))
    }
}

/// The library's connection and request; the listener is closed with it.
async fn accept(listener: TcpListener, path: &str) -> Option<(TcpStream, String)> {
    for _ in 0..STRANGERS {
        let (mut stream, _) = listener.accept().await.ok()?;
        match timeout(PATIENCE, head(&mut stream)).await {
            Ok(Some(head)) if head.starts_with(&format!("GET {path} ")) => {
                stream.set_nodelay(true).ok()?;
                return Some((stream, head));
            }
            _ => tracing::warn!("something else on this machine connected to the agent's relay; it was turned away"),
        }
    }
    None
}

async fn head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    // The library waits for the answer: nothing follows the empty line.
    while !head.ends_with(b"\r\n\r\n") {
        let count = stream.read(&mut buffer).await.ok().filter(|count| *count > 0)?;
        head.extend_from_slice(buffer.get(..count)?);
        if head.len() > MAX_HEAD {
            return None;
        }
    }
    String::from_utf8(head).ok()
}

/// What the server is to see in place of the loopback address: a front that serves several names goes by it.
#[derive(Debug)]
struct Real {
    host: String,
    path: String,
}

impl Real {
    fn of(server: &ServerAddr) -> Self {
        let url = server.clone().into_inner();
        let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let host = url.host_str().unwrap_or_default();
        let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        Self { host, path }
    }

    fn rewrite(&self, head: &str, path: &str) -> String {
        let head = head.replacen(path, &self.path, 1);
        let is_host = |line: &str| line.get(..5).is_some_and(|name| name.eq_ignore_ascii_case("host:"));
        let lines =
            head.split("\r\n").map(|line| if is_host(line) { format!("Host: {}", self.host) } else { line.into() });
        lines.collect::<Vec<_>>().join("\r\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_sees_its_own_name_and_path() {
        let head = "GET /5ec2e7 HTTP/1.1\r\nHost: 127.0.0.1:4711\r\nUpgrade: websocket\r\n\r\n";
        for (server, host, path) in [
            ("wss://nats.example.com", "nats.example.com", "/"),
            ("wss://nats.example.com:8443/nats?a=b", "nats.example.com:8443", "/nats?a=b"),
            ("wss://[::1]:444/x", "[::1]:444", "/x"),
        ] {
            assert_eq!(
                Real::of(&server.parse().unwrap()).rewrite(head, "/5ec2e7"),
                format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n\r\n")
            );
        }
    }

    #[tokio::test]
    async fn whoever_does_not_know_the_path_is_turned_away() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = tokio::spawn(accept(listener, "/5ec2e7"));
        for request in ["GET /other HTTP/1.1\r\n\r\n", "\r\n\r\n", "GET /5ec2e7x HTTP/1.1\r\n\r\n"] {
            let mut stranger = TcpStream::connect(address).await.unwrap();
            stranger.write_all(request.as_bytes()).await.unwrap();
            assert_eq!(stranger.read(&mut [0; 8]).await.unwrap_or(0), 0, "{request:?}");
        }
        let mut library = TcpStream::connect(address).await.unwrap();
        library.write_all(b"GET /5ec2e7 HTTP/1.1\r\n\r\n").await.unwrap();
        assert_eq!(accepting.await.unwrap().unwrap().1, "GET /5ec2e7 HTTP/1.1\r\n\r\n");
        assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
    }
}
