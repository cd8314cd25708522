//! What stands between an agent and its server: HTTP proxies, and pages in place of the server.

use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::stack::Certificates;

const PAGE: &[u8] = b"HTTP/1.1 302 Found\r\nLocation: http://portal/\r\nContent-Length: 0\r\n\r\n";

#[derive(Clone, Copy)]
enum What {
    /// Asks for this basic authorisation.
    Tunnel(Option<&'static str>),
    Answer(&'static str),
    Silent,
}

/// A proxy, ended with the test's runtime.
pub(crate) struct Proxy {
    port: u16,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Proxy {
    pub(crate) async fn tunnel(login: Option<&'static str>) -> Self {
        Self::start(What::Tunnel(login)).await
    }

    pub(crate) async fn answer(text: &'static str) -> Self {
        Self::start(What::Answer(text)).await
    }

    pub(crate) async fn silent() -> Self {
        Self::start(What::Silent).await
    }

    async fn start(what: What) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self { port: listener.local_addr().unwrap().port(), seen: Arc::default() };
        let seen = Arc::clone(&proxy.seen);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, what, Arc::clone(&seen)));
            }
        });
        proxy
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Everything that came from the client.
    pub(crate) fn seen(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned()
    }
}

async fn serve(mut client: TcpStream, what: What, seen: Arc<Mutex<Vec<u8>>>) -> Option<()> {
    let head = head(&mut client).await?;
    seen.lock().unwrap().extend_from_slice(head.as_bytes());
    let answer = match what {
        What::Silent => {
            tokio::io::copy(&mut client, &mut tokio::io::sink()).await.ok();
            return None;
        }
        What::Tunnel(Some(login)) if !head.contains(&format!("Proxy-Authorization: Basic {login}\r\n")) => {
            "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n"
        }
        What::Tunnel(_) => {
            let target = head.split(' ').nth(1)?;
            let server = TcpStream::connect(target).await.ok()?;
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.ok()?;
            return forward(client, server, seen).await;
        }
        What::Answer(text) => text,
    };
    client.write_all(answer.as_bytes()).await.ok()
}

async fn forward(client: TcpStream, server: TcpStream, seen: Arc<Mutex<Vec<u8>>>) -> Option<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let down = tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    let mut buffer = vec![0; 16 * 1024];
    while let Some(count) = from_client.read(&mut buffer).await.ok().filter(|count| *count > 0) {
        seen.lock().unwrap().extend_from_slice(&buffer[..count]);
        to_server.write_all(&buffer[..count]).await.ok()?;
    }
    down.abort();
    Some(())
}

async fn head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

/// A page for whoever connects, asked or not; gives the port.
pub(crate) async fn page() -> u16 {
    listen(|mut client| async move { show(&mut client).await }).await
}

/// A page for whoever asks in TLS.
pub(crate) async fn tls_page(certificates: &Certificates) -> u16 {
    let chain = CertificateDer::pem_file_iter(certificates.path("cert.pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(certificates.path("key.pem")).unwrap();
    rustls::crypto::ring::default_provider().install_default().ok();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    listen(move |client| {
        let acceptor = acceptor.clone();
        async move {
            let mut client = acceptor.accept(client).await.ok()?;
            head(&mut client).await?;
            show(&mut client).await
        }
    })
    .await
}

async fn show(client: &mut (impl AsyncWrite + AsyncRead + Unpin)) -> Option<()> {
    client.write_all(PAGE).await.ok()?;
    client.flush().await.ok()?;
    // Until the client has read it and goes.
    tokio::io::copy(client, &mut tokio::io::sink()).await.ok().map(drop)
}

async fn listen<F: Future<Output = Option<()>> + Send + 'static>(
    serve: impl Fn(TcpStream) -> F + Send + 'static,
) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client));
        }
    });
    port
}
