//! The way to NATS: encrypted off this machine, to the right server and to no other, whoever is in between.

pub(crate) mod authority;
mod between;
mod users;

use std::path::Path;

use emote_tests::{NatsServer, Stack, emote, private_file, until};
use serde_json::json;

use authority::{Authority, Valid};
use between::{Between, Trap};
use users::Users;

/// A nats-server that shows the certificate in `folder`, and asks for one where it is told a CA.
async fn server(folder: &Path, wants: Option<&str>, more: &str) -> NatsServer {
    let logs = folder.join("logs");
    std::fs::create_dir_all(&logs).unwrap();
    let mut nats = NatsServer::stopped(&folder.join("nats"), &logs);
    nats.configure(&format!("{}{more}", tls(folder, wants)));
    nats.start_again().await;
    nats
}

fn tls(folder: &Path, wants: Option<&str>) -> String {
    let (cert, key) = (folder.join("server.pem"), folder.join("server.key"));
    let verify = wants.map(|ca| format!(", verify: true, ca_file: {ca:?}")).unwrap_or_default();
    format!("tls {{cert_file: {cert:?}, key_file: {key:?}{verify}}}\n")
}

/// `emote.yaml` where this is its section `nats`.
fn settings(stack: &Stack, nats: &str) -> String {
    let (port, ops) = (stack.broker.port, stack.broker.ops);
    let listeners = format!("ingest: {{listen: \"127.0.0.1:{port}\"}}\nops: {{listen: \"127.0.0.1:{ops}\"}}\n");
    format!("nats: {nats}\n{listeners}console: {{listen: off}}\n")
}

/// How `emote events` ends, and what it says, with this address and these options.
async fn asked(server: &str, options: &[&str]) -> (Option<i32>, String) {
    let output = emote(&[&["events", "--server", server], options].concat()).await;
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

async fn says(server: &str, options: &[&str], said: &str) {
    let (code, told) = asked(server, options).await;
    assert!(code == Some(4) && told.contains(said), "{server} {options:?}: {code:?} {told}");
}

/// It came as far as JetStream, in which there is nothing yet.
async fn gets_in(server: &str, options: &[&str]) -> String {
    let (_, told) = asked(server, options).await;
    assert!(told.contains("EVENTS") || told.contains("stream"), "{server} {options:?}: {told}");
    told
}

#[tokio::test]
async fn whoever_is_not_the_right_server_is_told_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (ours, theirs) = (Authority::new(), Authority::new());
    private_file(&at("ca.pem"), &ours.pem());
    private_file(&at("other-ca.pem"), &theirs.pem());
    let (ca, other) = (at("ca.pem").display().to_string(), at("other-ca.pem").display().to_string());
    for (name, names, valid) in [
        ("right", ["localhost", "127.0.0.1"], Valid::Now),
        ("expired", ["localhost", "127.0.0.1"], Valid::Once),
        ("early", ["localhost", "127.0.0.1"], Valid::Later),
        ("elsewhere", ["nats.example.com", "10.1.2.3"], Valid::Now),
    ] {
        ours.give(&at(name), "server", &names, valid);
    }
    let right = server(&at("right"), None, "").await;
    let url = |nats: &NatsServer| format!("tls://localhost:{}", nats.port);
    gets_in(&url(&right), &["--ca", &ca]).await;
    gets_in(&format!("nats://127.0.0.1:{}", right.port), &["--ca", &ca]).await;
    says(&url(&right), &["--ca", &other], &format!("is not signed by the CA in {other}")).await;
    says(&url(&right), &[], "name its CA (nats.ca, --ca, EMOTE_CA)").await;
    for (name, said) in
        [("expired", "has expired"), ("early", "is this machine's clock right"), ("elsewhere", "for other names")]
    {
        let nats = server(&at(name), None, "").await;
        says(&url(&nats), &["--ca", &ca], said).await;
    }
    let plain = NatsServer::start(&at("plain/nats"), &at("right/logs")).await;
    says(&url(&plain), &["--ca", &ca], "does not speak TLS there").await;
}

#[tokio::test]
async fn plain_text_leaves_this_machine_only_where_that_is_spelled_out() {
    let mut stack = Stack::new().without_broker().expect_error("Client parser ERROR").start().await;
    // An address that is not of this machine, as far as anybody can tell, and leads here.
    let (far, socket) = (format!("nats://0.0.0.0:{}", stack.nats.port), format!("ws://0.0.0.0:{}", stack.nats.port));
    says(&far, &[], "does not speak TLS there").await;
    let (code, told) = asked(&socket, &[]).await;
    assert!(code == Some(1) && told.contains("is plain text: use wss://"), "{code:?} {told}");
    gets_in(&far, &["--insecure"]).await;

    private_file(&stack.config.join("emote.yaml"), &settings(&stack, &format!("{{servers: [\"{far}\"]}}")));
    stack.broker.begin();
    until("the broker says why it waits", async || stack.logged().contains("does not speak TLS there")).await;
    assert_eq!(stack.broker.stop().await, Some(0));
    assert!(!stack.logged().contains("in the clear"));
    private_file(
        &stack.config.join("emote.yaml"),
        &settings(&stack, &format!("{{servers: [\"{far}\"], insecure: true}}")),
    );
    for start in 1..=2 {
        stack.broker.start().await;
        assert_eq!(stack.broker.stop().await, Some(0));
        let warned = stack.logged().matches("go over the network in the clear").count();
        assert!(warned >= start, "it is said at every start");
    }
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_gets_one() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let path = |name: &str| at(name).display().to_string();
    let (ours, theirs) = (Authority::new(), Authority::new());
    private_file(&at("ca.pem"), &ours.pem());
    ours.give(&at("nats"), "server", &["localhost"], Valid::Now);
    ours.give(&at("mine"), "client", &["emote"], Valid::Now);
    theirs.give(&at("theirs"), "client", &["emote"], Valid::Now);
    let nats = server(&at("nats"), Some(&path("ca.pem")), "").await;
    let url = format!("tls://localhost:{}", nats.port);
    let (ca, cert, key) = (path("ca.pem"), path("mine/client.pem"), path("mine/client.key"));
    gets_in(&url, &["--ca", &ca, "--cert", &cert, "--key", &key]).await;
    says(&url, &["--ca", &ca], "wants a client certificate").await;
    let (cert, key) = (path("theirs/client.pem"), path("theirs/client.key"));
    says(&url, &["--ca", &ca, "--cert", &cert, "--key", &key], "of a CA that it knows").await;
}

#[tokio::test]
async fn whoever_is_in_between_gets_nothing_in_plain_text() {
    let folder = tempfile::tempdir().unwrap();
    let ours = Authority::new();
    private_file(&folder.path().join("ca.pem"), &ours.pem());
    ours.give(folder.path(), "server", &["localhost"], Valid::Now);
    let ca = folder.path().join("ca.pem").display().to_string();

    // Somebody who says that no TLS is needed.
    let trap = Trap::start().await;
    for url in [format!("tls://localhost:{}", trap.port), format!("nats://0.0.0.0:{}", trap.port)] {
        let (code, told) = asked(&url, &["--ca", &ca]).await;
        assert!(code == Some(4), "{told}");
    }
    let got = trap.got();
    assert!(got.len() >= 2 && got.iter().all(|bytes| bytes[0] == 0x16), "only the beginning of TLS: {got:?}");

    // Somebody who tells of more servers, in the first word of the right one, and cuts the wire later.
    for vouched_for in [true, false] {
        let mut stack = Stack::new().without_nats().expect_error("TLS handshake error").start().await;
        if vouched_for {
            stack.nats.configure(&tls(folder.path(), None));
        }
        stack.nats.start_again().await;
        let (between, elsewhere) = (Between::start(stack.nats.port).await, Trap::start().await);
        between.tell_of(elsewhere.port);
        let nats = match vouched_for {
            true => format!("{{servers: [\"tls://localhost:{}\"], ca: {ca:?}}}", between.port),
            // Plain text on this machine; who would know of the others?
            false => format!("{{servers: [\"nats://127.0.0.1:{}\"]}}", between.port),
        };
        private_file(&stack.config.join("emote.yaml"), &settings(&stack, &nats));
        stack.broker.start().await;
        between.cut();
        if vouched_for {
            // Which server is asked next is left to chance.
            until("the broker looks there, too", async || {
                between.cut();
                !elsewhere.got().is_empty()
            })
            .await;
        }
        until("the broker is back", async || stack.logged().matches("connected to NATS").count() >= 2).await;
        let got = elsewhere.got();
        assert!(got.iter().all(|bytes| bytes[0] == 0x16), "only the beginning of TLS: {got:?}");
        assert!(vouched_for || got.is_empty(), "where nobody vouches for it, it is not even asked");
        assert_eq!(stack.broker.stop().await, Some(0));
    }
}

#[tokio::test]
async fn new_credentials_and_certificates_are_used_without_a_restart() {
    let builder = Stack::new().without_nats().expect_error("TLS handshake error");
    let mut stack = builder.expect_error("authentication error").expect_error("User JWT").start().await;
    let folder = stack.config.with_file_name("tls");
    let (first, second) = (Authority::new(), Authority::new());
    first.give(&folder, "server", &["localhost"], Valid::Now);
    let users = Users::new();
    private_file(&stack.config.join("secrets/ca.pem"), &first.pem());
    private_file(&stack.config.join("secrets/emote.creds"), &users.credentials("first"));
    stack.nats.configure(&format!("{}{}", tls(&folder, None), users.server(&[])));
    stack.nats.start_again().await;
    let nats = format!(
        "{{servers: [\"tls://localhost:{}\"], ca: secrets/ca.pem, credentials: secrets/emote.creds}}",
        stack.nats.port
    );
    private_file(&stack.config.join("emote.yaml"), &settings(&stack, &nats));
    stack.broker.start().await;
    let posted = async || stack.asset(&json!({"serial": "C02", "name": "ada-mbp"})).await.status;
    until("webhooks are stored", async || posted().await == 200).await;

    // Another CA at the server, and the first user is shut out: the broker is told why it is not let in.
    stack.nats.stop().await;
    second.give(&folder, "server", &["localhost"], Valid::Now);
    stack.nats.configure(&format!("{}{}", tls(&folder, None), users.server(&["first"])));
    stack.nats.start_again().await;
    until("it says what is wrong", async || stack.logged().contains("is not signed by the CA in")).await;
    private_file(&stack.config.join("secrets/ca.pem"), &second.pem());
    private_file(&stack.config.join("secrets/emote.creds"), &users.credentials("second"));
    let posted = async || stack.asset(&json!({"serial": "C02", "name": "ada-mbp"})).await.status;
    until("webhooks are stored again", async || posted().await == 200).await;

    // A file that others can read is not used.
    let creds = stack.config.join("secrets/emote.creds");
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&creds, std::fs::Permissions::from_mode(0o644)).unwrap();
    let url = format!("tls://localhost:{}", stack.nats.port);
    let ca = stack.config.join("secrets/ca.pem").display().to_string();
    let (code, told) = asked(&url, &["--ca", &ca, "--creds", creds.to_str().unwrap()]).await;
    assert!(code == Some(1) && told.contains("chmod 600"), "{code:?} {told}");
}
