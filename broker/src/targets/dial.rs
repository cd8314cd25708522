//! Connections over TCP, perhaps with TLS in them, of kinds that speak something else than HTTP.

use std::{io, sync::Arc};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// TCP, perhaps with TLS in it.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection to `host`. What is written goes out at once: each question is a small packet whose answer is waited for.
pub(super) async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// TLS over `stream` with the server that is called `host`, with brackets around an address of IPv6 or without.
pub(super) async fn tls<S: Stream>(host: &str, config: Arc<ClientConfig>, stream: S) -> io::Result<TlsStream<S>> {
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, format!("{host:?} is no name of a server")))?;
    TlsConnector::from(config).connect(name, stream).await
}
