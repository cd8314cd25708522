//! Certificates of one's own, on both sides.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use super::super::super::testing::{Certified, deliver, job, lines, show, validate};

/// A server for localhost that takes whoever shows `client`; its port.
fn serve(server: &Certified, client: &Certified) -> u16 {
    let config = axum_server::tls_rustls::RustlsConfig::from_config(server.server(Some(client)));
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    let port = socket.local_addr().unwrap().port();
    let app = axum::Router::new().fallback(|| async { "hello" });
    let server = axum_server::from_tcp_rustls(socket, config).unwrap();
    tokio::spawn(server.serve(app.into_make_service()));
    port
}

#[tokio::test]
async fn the_client_shows_its_certificate_and_trusts_its_own_ca_alone() {
    let folder = tempfile::tempdir().unwrap();
    let server = Certified::new(folder.path(), "server", "localhost");
    let client = Certified::new(folder.path(), "client", "emote");
    let port = serve(&server, &client);
    let outcome = async |tls: &str| {
        let yaml = format!("kind: http\nurl: 'https://localhost:{port}'\n{tls}");
        let target = validate(&yaml).unwrap().resolve(folder.path()).unwrap();
        show(&deliver(target.as_ref(), &job(), &Value::Null).await)
    };
    let whole = outcome("tls: {certificate: client.pem, key: client.key, ca: server.pem}").await;
    assert!(whole.starts_with("done http.request"), "{whole}");
    for (tls, said) in [
        ("", "certificate"),
        ("tls: {certificate: client.pem, key: client.key}", "certificate"),
        ("tls: {ca: server.pem}", "CertificateRequired"),
        ("tls: {certificate: server.pem, key: server.key, ca: server.pem}", "retry"),
    ] {
        let outcome = outcome(tls).await;
        assert!(outcome.starts_with("retry") && outcome.contains(said), "{tls}: {outcome}");
    }
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().unwrap();
    Certified::new(folder.path(), "client", "emote");
    std::fs::write(folder.path().join("empty.pem"), "").unwrap();
    let open = folder.path().join("open.key");
    std::fs::copy(folder.path().join("client.key"), &open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).unwrap();
    for (tls, said) in [
        ("{certificate: client.pem, key: none.key}", "none.key cannot be read"),
        ("{certificate: client.pem, key: client.pem}", "client.pem can be read by others"),
        ("{certificate: client.pem, key: open.key}", "open.key can be read by others"),
        ("{certificate: empty.pem, key: client.key}", "there is no certificate in it"),
        ("{ca: client.key}", "there is no certificate in it"),
    ] {
        let yaml = format!("kind: http\nurl: https://x\ntls: {tls}");
        let found = lines(validate(&yaml).unwrap().resolve(folder.path()).err().unwrap());
        assert!(found.starts_with("tls: ") && found.contains(said), "{tls}: {found}");
    }
}
