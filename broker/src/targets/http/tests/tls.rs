//! Certificates of one's own, on both sides.

use std::{os::unix::fs::PermissionsExt as _, path::Path, sync::Arc};

use serde_json::Value;

use super::super::super::testing::{deliver, job, lines, show, validate};

struct Made {
    cert: rcgen::Certificate,
    key: rcgen::KeyPair,
}

fn made(name: &str) -> Made {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    Made { cert: made.cert, key: made.signing_key }
}

fn write(folder: &Path, name: &str, made: &Made) {
    std::fs::write(folder.join(format!("{name}.pem")), made.cert.pem()).unwrap();
    let key = folder.join(format!("{name}.key"));
    std::fs::write(&key, made.key.serialize_pem()).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// A server for localhost that takes whoever shows `client`; its port.
fn serve(server: &Made, client: &Made) -> u16 {
    drop(rustls::crypto::ring::default_provider().install_default());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(client.cert.der().clone()).unwrap();
    let clients = rustls::server::WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(server.key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder()
        .with_client_cert_verifier(clients)
        .with_single_cert(vec![server.cert.der().clone()], key)
        .unwrap();
    let config = axum_server::tls_rustls::RustlsConfig::from_config(Arc::new(config));
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
    let (server, client) = (made("localhost"), made("emote"));
    write(folder.path(), "server", &server);
    write(folder.path(), "client", &client);
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
    write(folder.path(), "client", &made("emote"));
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
