//! A TLS connection to the server through a proxy: CONNECT (RFC 9110, 9.3.6), then TLS from end to end.

use std::sync::Arc;

use async_nats::ServerAddr;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use zeroize::Zeroizing;

use super::ProxyError;
use crate::settings::{HttpProxy, Settings, server_name};
use crate::uplink::{secret, tls, trouble};

/// Longest answer to CONNECT.
const MAX_HEAD: usize = 8 * 1024;

/// Connects to `server` by `proxy`, with certificates as `settings` say.
pub(super) async fn open(
    proxy: &HttpProxy,
    server: &ServerAddr,
    settings: &Settings,
) -> Result<TlsStream<TcpStream>, ProxyError> {
    let unreachable = |error| ProxyError::Unreachable { proxy: proxy.to_string(), error };
    let request = request(proxy, server).await?;
    let mut stream = TcpStream::connect((proxy.host.as_str(), proxy.port)).await.map_err(unreachable)?;
    stream.set_nodelay(true).map_err(unreachable)?;
    stream.write_all(request.as_bytes()).await.map_err(unreachable)?;
    let head = head(&mut stream).await.map_err(unreachable)?;
    accepted(&head, proxy, &target(server))?;
    let config = Arc::new(tls::config(settings).await?);
    let failed = |error: String| ProxyError::Tls(trouble::explain(&server_name(server), settings, &error));
    let name = ServerName::try_from(server.host().to_owned()).map_err(|error| failed(error.to_string()))?;
    TlsConnector::from(config).connect(name, stream).await.map_err(|error| failed(error.to_string()))
}

/// `host:port` of the server.
fn target(server: &ServerAddr) -> String {
    HttpProxy { host: server.host().to_owned(), port: server.port(), login: None }.to_string()
}

async fn request(proxy: &HttpProxy, server: &ServerAddr) -> Result<Zeroizing<String>, ProxyError> {
    let target = target(server);
    let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
    if let Some(login) = &proxy.login {
        let password = secret::read(&login.password).await?;
        let pair = Zeroizing::new(format!("{}:{}", login.user, password.as_str()));
        request += &format!("Proxy-Authorization: Basic {}\r\n", data_encoding::BASE64.encode(pair.as_bytes()));
    }
    Ok(Zeroizing::new(request + "\r\n"))
}

/// The answer up to its empty line. The server behind the proxy does not speak first, so nothing follows.
async fn head(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while !head.ends_with(b"\r\n\r\n") && head.len() < MAX_HEAD {
        match stream.read(&mut buffer).await? {
            0 => break,
            count => head.extend_from_slice(buffer.get(..count).unwrap_or_default()),
        }
        // What a refusal says beyond its head is not needed.
        if head.windows(4).any(|end| end == b"\r\n\r\n") {
            break;
        }
    }
    Ok(head)
}

/// What the proxy answered.
fn accepted(head: &[u8], proxy: &HttpProxy, target: &str) -> Result<(), ProxyError> {
    let proxy = proxy.to_string();
    let text = String::from_utf8_lossy(head);
    let line = text.lines().next().unwrap_or_default();
    let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..)).map(str::trim);
    let code = status.and_then(|status| status.get(..3)?.parse::<u16>().ok());
    match (code, status) {
        (Some(200..=299), _) if head.ends_with(b"\r\n\r\n") => Ok(()),
        (Some(407), _) => Err(ProxyError::Login(proxy)),
        (Some(300..=599), Some(status)) => {
            let status = status.chars().take(80).collect();
            Err(ProxyError::Refused { proxy, target: target.into(), status })
        }
        _ => Err(ProxyError::Answer(proxy)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(head: &[u8]) -> Result<(), String> {
        let proxy = HttpProxy { host: "p".into(), port: 1, login: None };
        accepted(head, &proxy, "nats.example.com:443").map_err(|error| error.to_string())
    }

    #[test]
    fn what_a_proxy_answers_is_told_in_its_words() {
        assert_eq!(check(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n"), Ok(()));
        assert_eq!(check(b"HTTP/1.0 200 OK\r\n\r\n"), Ok(()));
        for (head, said) in [
            (&b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n<html>"[..], "asks for a name and a password"),
            (b"HTTP/1.1 403 Forbidden\r\n\r\n", "does not connect to nats.example.com:443: 403 Forbidden"),
            (b"HTTP/1.1 200 OK\r\n\r\nmore", "did not answer as"),
            (b"SSH-2.0-x\r\n", "did not answer as"),
            (b"", "did not answer as"),
        ] {
            let error = check(head).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }

    proptest! {
        #[test]
        fn foreign_answers_never_panic(rest: Vec<u8>) {
            let _ = check(&rest);
            let _ = check(&[b"HTTP/1.1 ".as_slice(), &rest].concat());
        }
    }
}
