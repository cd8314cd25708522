//! A listener on loopback, and those who connect to it with other things in mind.

use std::os::unix::fs::PermissionsExt as _;

use axum::routing::get;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::*;

/// Whatever is waited for has happened by then.
const SOON: Duration = Duration::from_secs(20);

fn spec(yaml: &str) -> ListenSpec {
    serde_saphyr::from_str(yaml).unwrap()
}

#[test]
fn plain_text_off_loopback_must_be_asked_for() {
    for (yaml, right) in [
        ("address: 127.0.0.1:0", true),
        ("address: '[::1]:0'", true),
        ("address: 0.0.0.0:0", false),
        ("{address: 0.0.0.0:0, insecure: true}", true),
        ("{address: 0.0.0.0:0, certificate: a}", false),
        ("{address: 127.0.0.1:0, key: a}", false),
        ("{address: 0.0.0.0:0, certificate: a, key: b}", true),
    ] {
        let mut problems = Problems::default();
        spec(yaml).validate(&mut problems);
        assert_eq!(problems.is_empty(), right, "{yaml}: {problems:?}");
    }
    let error = Listener::bind(&spec("address: 0.0.0.0:0"), Path::new("/")).err().unwrap();
    insta::assert_snapshot!(error, @"0.0.0.0:0 is no loopback address, and without TLS everyone on the way reads along: set `certificate` and `key`, or spell out `insecure: true`");
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("empty.pem"), "").unwrap();
    for file in ["missing.pem", "empty.pem"] {
        let yaml = format!("{{address: 127.0.0.1:0, certificate: {file}, key: key.pem}}");
        let error = Listener::bind(&spec(&yaml), folder.path()).err().unwrap().to_string();
        assert!(error.contains(file), "{error}");
    }
}

#[test]
fn a_key_that_anybody_can_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    assert!(Listener::bind(&spec(TLS), folder.path()).is_ok());
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(folder.path().join("key.pem"), open).unwrap();
    let error = Listener::bind(&spec(TLS), folder.path()).err().unwrap().to_string();
    assert!(error.contains("key.pem can be read by others on this machine (mode 644)"), "{error}");
}

/// Writes a new certificate for localhost and its key, and gives the certificate's PEM.
fn certify(folder: &Path) -> String {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = folder.join("key.pem");
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    made.cert.pem()
}

const TLS: &str = "{address: 127.0.0.1:0, certificate: cert.pem, key: key.pem}";
const PLAIN: &str = "address: 127.0.0.1:0";

/// A listener that answers `hello`, until it is dropped.
struct Served {
    address: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    serving: tokio::task::JoinHandle<Result<(), ListenError>>,
}

impl Served {
    fn start(yaml: &str, folder: &Path, limits: Limits) -> Self {
        let mut listener = Listener::bind(&spec(yaml), folder).unwrap();
        listener.limits = limits;
        let address = listener.address();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let from = async |from: axum::extract::ConnectInfo<SocketAddr>| format!("hello {}", from.ip());
        let router = Router::new().route("/", get(from));
        let serving = tokio::spawn(listener.serve(router, async { stopped.await.unwrap_or_default() }));
        Self { address, stop: Some(stop), serving }
    }

    /// Asks by a client that believes this certificate, or over plain text.
    async fn ask(&self, root: Option<&str>) -> Result<String, reqwest::Error> {
        let builder = reqwest::Client::builder().no_proxy();
        let (scheme, builder) = match root {
            Some(root) => {
                let root = reqwest::Certificate::from_pem(root.as_bytes()).unwrap();
                ("https", builder.tls_certs_only([root]))
            }
            None => ("http", builder),
        };
        let url = format!("{scheme}://localhost:{}/", self.address.port());
        builder.build().unwrap().get(url).send().await?.text().await
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        tokio::time::timeout(SOON, self.serving).await.unwrap().unwrap().unwrap();
    }
}

/// What the other side still sends before it closes.
async fn until_closed(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    // Closed with unread bytes is a reset.
    let _ = tokio::time::timeout(SOON, stream.read_to_end(&mut text)).await.expect("it is closed");
    String::from_utf8_lossy(&text).into_owned()
}

fn impatient() -> Limits {
    Limits { head: Duration::from_millis(200), ..Limits::default() }
}

#[tokio::test]
async fn requests_are_answered_with_tls_and_without_until_shutdown() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let root = certify(folder.path());
    for (yaml, root) in [(TLS, Some(root.as_str())), (PLAIN, None)] {
        let served = Served::start(yaml, folder.path(), Limits::default());
        assert_eq!(served.ask(root).await.unwrap(), "hello 127.0.0.1");
        served.stop().await;
    }
}

#[tokio::test]
async fn a_new_certificate_is_served_without_a_restart() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let old = certify(folder.path());
    let limits = Limits { tls_looked_at: Duration::from_millis(10), ..Limits::default() };
    let served = Served::start(TLS, folder.path(), limits);
    assert!(served.ask(Some(&old)).await.is_ok());
    let new = certify(folder.path());
    let changed = async { while served.ask(Some(&new)).await.is_err() {} };
    tokio::time::timeout(SOON, changed).await.expect("the new certificate is served");
    assert!(served.ask(Some(&old)).await.is_err());
    served.stop().await;
}

#[test]
fn a_pair_that_cannot_be_used_leaves_the_old_one_in_use() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    let path = |name: &str| folder.path().join(name);
    let mut pair =
        Pair::load(Files { certificate: path("cert.pem"), key: path("key.pem"), client_ca: None, protocols: &[] })
            .unwrap();
    let before = pair.config().get_inner();
    pair.look();
    assert!(std::sync::Arc::ptr_eq(&before, &pair.config().get_inner()), "nothing has changed");
    let right = std::fs::read(path("key.pem")).unwrap();
    let other = rcgen::KeyPair::generate().unwrap().serialize_pem();
    for wrong in [other.as_str(), "", "-----BEGIN PRIVATE KEY-----\n"] {
        std::fs::write(path("key.pem"), wrong).unwrap();
        pair.look();
        assert!(std::sync::Arc::ptr_eq(&before, &pair.config().get_inner()), "{wrong}");
    }
    std::fs::remove_file(path("key.pem")).unwrap();
    pair.look();
    assert!(std::sync::Arc::ptr_eq(&before, &pair.config().get_inner()));
    std::fs::write(path("key.pem"), right).unwrap();
    std::fs::set_permissions(path("key.pem"), std::fs::Permissions::from_mode(0o600)).unwrap();
    pair.look();
    assert!(!std::sync::Arc::ptr_eq(&before, &pair.config().get_inner()), "it is whole again");
}

#[tokio::test]
async fn who_sends_slowly_or_nothing_is_let_go_and_others_are_answered_meanwhile() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let root = certify(folder.path());
    for (yaml, root) in [(PLAIN, None), (TLS, Some(root.as_str()))] {
        let served = Served::start(yaml, folder.path(), impatient());
        let (silent, mut slow) = (served.connect().await, served.connect().await);
        slow.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nx-").await.unwrap();
        assert!(served.ask(root).await.is_ok());
        assert_eq!(until_closed(silent).await, "");
        let told = until_closed(slow).await;
        assert!(!told.contains("hello"), "{told}");
        served.stop().await;
    }
    let served = Served::start(PLAIN, folder.path(), impatient());
    let mut idle = served.connect().await;
    idle.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let told = until_closed(idle).await;
    assert!(told.ends_with("hello 127.0.0.1"), "answered, and closed when no other request came: {told}");
    served.stop().await;
}

#[tokio::test]
async fn there_are_only_so_many_connections() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(PLAIN, folder.path(), Limits { connections: 2, ..Limits::default() });
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = served.connect().await;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        stream.read_u8().await.unwrap();
        held.push(stream);
    }
    assert_eq!(until_closed(served.connect().await).await, "");
    drop(held);
    // There is room again once the others are seen to have gone.
    let answered = async { while served.ask(None).await.is_err() {} };
    tokio::time::timeout(SOON, answered).await.unwrap();
    served.stop().await;
}

#[tokio::test]
async fn a_head_has_only_so_many_headers_and_bytes_and_is_of_one_protocol() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(PLAIN, folder.path(), impatient());
    let head = |headers: String| format!("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
    for (request, status) in [
        (head("x: 1\r\n".repeat(MAX_HEADERS - 2)), "HTTP/1.1 200"),
        (head("x: 1\r\n".repeat(MAX_HEADERS)), "HTTP/1.1 431"),
        (head(format!("x: {}\r\n", "1".repeat(2 * MAX_HEAD))), "HTTP/1.1 431"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), ""),
        ("\u{16}\u{3}\u{1}hello".to_owned(), "HTTP/1.1 400"),
    ] {
        let mut stream = served.connect().await;
        // The other side may have had enough before all is written.
        let _ = stream.write_all(request.as_bytes()).await;
        let answer = until_closed(stream).await;
        assert!(
            answer.starts_with(status) && status.is_empty() == answer.is_empty(),
            "{} bytes: {answer}",
            request.len()
        );
    }
    served.stop().await;
}
