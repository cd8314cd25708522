//! The real program against a real nats-server over every way there is: TLS, WebSocket, through an HTTP proxy, with a
//! credentials file; and against what is found in their place.

mod broker;
mod credentials;
mod stack;
mod web;

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use credentials::Operator;
use stack::{Agent, Certificates, Server};
use web::{Proxy, page, tls_page};

use crate::programs::{free_port, until};

#[tokio::test]
async fn events_go_over_a_websocket_in_tls() {
    let certificates = Certificates::new("localhost");
    let server = Server::start(&certificates).await;
    let agent = Agent::start(&certificates, &["--server", &server.wss()]).await;
    agent.until_stored().await;
    assert!(server.stored().await > 0);
}

#[tokio::test]
async fn a_list_of_servers_is_tried_through() {
    let certificates = Certificates::new("localhost");
    let server = Server::start(&certificates).await;
    let gone = format!("wss://localhost:{},wss://localhost:{}", free_port(), free_port());
    let agent = Agent::start(&certificates, &["--server", &gone, "--server", &server.wss()]).await;
    agent.until_stored().await;
}

#[tokio::test]
async fn a_proxy_sees_ciphertext_only_and_the_server_is_reached_by_its_own_name() {
    let certificates = Certificates::new("localhost");
    let server = Server::start(&certificates).await;
    let proxy = Proxy::tunnel(None).await;
    let agent = Agent::start(&certificates, &["--server", &server.wss(), "--proxy", &proxy.url()]).await;
    agent.until_stored().await;
    let seen = proxy.seen();
    assert!(seen.starts_with(&format!("CONNECT localhost:{} HTTP/1.1\r\n", server.web)), "{seen}");
    for secret in ["GET /", "CONNECT {", "events.agent", "agent.started"] {
        assert!(!seen.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn a_proxy_that_wants_a_password_is_given_it_from_a_file() {
    let certificates = Certificates::new("localhost");
    let server = Server::start(&certificates).await;
    // ada:s3cret
    let proxy = Proxy::tunnel(Some("YWRhOnMzY3JldA==")).await;
    let agent = Agent::start(&certificates, &["--server", &server.wss(), "--proxy", &proxy.url()]).await;
    agent.until_trouble("asks for a name and a password (407)").await;
    drop(agent);
    let password = certificates.file("password", "s3cret\n");
    std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o600)).unwrap();
    let url = proxy.url().replace("http://", &format!("http://ada:${{file:{}}}@", password.display()));
    let agent = Agent::start(&certificates, &["--server", &server.wss(), "--proxy", &url]).await;
    agent.until_stored().await;
}

#[tokio::test]
async fn a_proxy_that_fails_is_told_by_how() {
    let certificates = Certificates::new("localhost");
    let server = format!("wss://localhost:{}", free_port());
    let (refusing, silent) = (Proxy::answer("HTTP/1.1 403 Not here\r\n\r\n").await, Proxy::silent().await);
    let gone = format!("http://127.0.0.1:{}", free_port());
    for (proxy, said) in [
        (refusing.url(), "does not connect to localhost:"),
        (silent.url(), "did not answer in time"),
        (gone, "cannot be reached"),
    ] {
        let agent = Agent::start(&certificates, &["--server", &server, "--proxy", &proxy]).await;
        agent.until_trouble(said).await;
    }
}

#[tokio::test]
async fn a_web_page_in_place_of_nats_is_told_as_one() {
    let certificates = Certificates::new("localhost");
    let (plain, tls) = (page().await, tls_page(&certificates).await);
    for server in
        [format!("nats://127.0.0.1:{plain}"), format!("wss://localhost:{tls}"), format!("wss://localhost:{plain}")]
    {
        let agent = Agent::start(&certificates, &["--server", &server]).await;
        agent.until_trouble("answered like a web page: captive portal?").await;
    }
    let proxy = Proxy::tunnel(None).await;
    let server = format!("wss://localhost:{tls}");
    let agent = Agent::start(&certificates, &["--server", &server, "--proxy", &proxy.url()]).await;
    agent.until_trouble("answered like a web page: captive portal?").await;
}

#[tokio::test]
async fn a_certificate_of_somebody_else_is_refused_also_behind_a_proxy() {
    let portal = Certificates::new("localhost");
    let server = Server::start(&portal).await;
    let proxy = Proxy::tunnel(None).await;
    let (ours, other_name) = (Certificates::new("localhost"), Certificates::new("portal.example.com"));
    for arguments in [vec!["--server"], vec!["--proxy", &proxy.url(), "--server"]] {
        let agent = Agent::start(&ours, &[&arguments[..], &[&server.wss()]].concat()).await;
        agent.until_trouble("ca.pem: compare `ca` with the server's authority").await;
    }
    let server = Server::start(&other_name).await;
    for proxy in ["none", &proxy.url()] {
        let agent = Agent::start(&other_name, &["--server", &server.wss(), "--proxy", proxy]).await;
        agent.until_trouble("for other names than the one in `server`").await;
        agent.until_trouble("portal.example.com").await;
    }
}

#[tokio::test]
async fn a_clock_far_from_the_brokers_is_told_once_and_once_when_it_is_near_again() {
    let certificates = Certificates::new("localhost");
    let server = Server::start(&certificates).await;
    let broker = server.tell_time(Duration::from_secs(60)).await;
    let agent = Agent::start(&certificates, &["--server", &server.wss(), "--heartbeat", "1s"]).await;
    until("it is told twice how far the clock is", || async { broker.told() >= 3 }).await;
    assert!(agent.clock().await.is_some_and(|clock| (55_000..=65_000).contains(&clock.offset_ms)));
    broker.set(Duration::ZERO);
    until("the clock is near again", || async { server.subjects().await.iter().any(|s| s.ends_with(".clock.synced")) })
        .await;
    let subjects = server.subjects().await;
    let told = subjects.iter().filter(|subject| subject.contains(".clock.")).collect::<Vec<_>>();
    assert_eq!(told, ["events.agent.T1.clock.drifted", "events.agent.T1.clock.synced"]);
}

#[tokio::test]
async fn a_credentials_file_is_read_anew_and_must_be_private() {
    let certificates = Certificates::new("localhost");
    let (operator, stranger) = (Operator::new(), Operator::new());
    let server = Server::start_with(&certificates, &operator.configuration()).await;
    let file = certificates.file("agent.creds", &stranger.credentials("T1"));
    let url = format!("nats://127.0.0.1:{}", server.port);
    let arguments = ["--server", &url, "--credentials", file.to_str().unwrap()];
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let agent = Agent::start(&certificates, &arguments).await;
    agent.until_trouble("agent.creds: others on this machine can read it (mode 644): chmod 600 it").await;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    agent.until_trouble("authorization violation").await;
    std::fs::write(&file, "soon").unwrap();
    agent.until_trouble("agent.creds: not a NATS credentials file").await;
    std::fs::write(&file, operator.credentials("T1")).unwrap();
    agent.until_connected().await;
}

/// For a server that asks for client certificates and takes their names for users.
fn mapping(certificates: &Certificates) -> String {
    let user = "{ user: \"T1\", permissions: { publish: [\"events.agent.T1.>\"], subscribe: [\"_INBOX.T1.>\"] } }";
    let tls = format!(
        "cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify_and_map: true",
        certificates.path("cert.pem"),
        certificates.path("key.pem"),
        certificates.path("ca.pem"),
    );
    format!("tls {{ {tls} }}\nauthorization {{ users: [{user}] }}\n")
}

#[tokio::test]
async fn a_client_certificate_says_who_connects_and_is_read_anew() {
    let (certificates, strangers) = (Certificates::new("localhost"), Certificates::new("localhost"));
    let server = Server::start_with(&certificates, &mapping(&certificates)).await;
    let url = format!("tls://localhost:{}", server.port);
    let roots = std::fs::read_to_string(certificates.path("ca.pem")).unwrap();
    let put = |(certificate, key): (String, String)| {
        (certificates.file("t1.pem", &certificate), certificates.secret("t1.key", &key))
    };
    let (certificate, key) = put(certificates.issue("T2", false));
    let own = ["--certificate", certificate.to_str().unwrap(), "--key", key.to_str().unwrap()];
    let arguments = [&["--server", &url, "--ca-certificates", &roots][..], &own].concat();
    let agent = Agent::start_trusting(&arguments).await;
    agent.until_trouble("authorization violation").await;
    put(certificates.issue("T1", true));
    agent.until_trouble("it does not take the client certificate").await;
    put(strangers.issue("T1", false));
    agent.until_trouble("it does not take the client certificate").await;
    put((certificates.issue("T1", false).0, certificates.issue("T1", false).1));
    agent.until_trouble("do not go together").await;
    put(certificates.issue("T1", false));
    agent.until_connected().await;
    // Without any.
    let agent = Agent::start_trusting(&["--server", &url, "--ca-certificates", &roots]).await;
    agent.until_trouble("it asks for a client certificate").await;
}

#[tokio::test]
async fn roots_in_the_settings_are_the_only_ones_trusted_also_behind_a_proxy() {
    let (certificates, strangers) = (Certificates::new("localhost"), Certificates::new("localhost"));
    let server = Server::start(&certificates).await;
    let proxy = Proxy::tunnel(None).await;
    let roots = [&certificates, &strangers].map(|of| std::fs::read_to_string(of.path("ca.pem")).unwrap());
    let (url, through) = (server.wss(), proxy.url());
    for way in ["none", &through] {
        let arguments = |roots| ["--server", &url, "--proxy", way, "--ca-certificates", roots];
        Agent::start_trusting(&arguments(&roots[0])).await.until_stored().await;
        let agent = Agent::start_trusting(&arguments(&roots[1])).await;
        agent.until_trouble("not by an authority in `ca_certificates`").await;
    }
}

#[tokio::test]
async fn who_connects_may_be_said_in_the_address() {
    let certificates = Certificates::new("localhost");
    let proxy = Proxy::tunnel(None).await;
    for (configuration, login) in [("user: ada, password: \"p@ss\"", "ada:p%40ss@"), ("token: s3cret", "s3cret@")] {
        let server = Server::start_with(&certificates, &format!("authorization {{ {configuration} }}\n")).await;
        let plain = format!("nats://{login}127.0.0.1:{}", server.port);
        let agent = Agent::start(&certificates, &["--server", &plain]).await;
        agent.until_connected().await;
        let web = server.wss().replace("wss://", &format!("wss://{login}"));
        let agent = Agent::start(&certificates, &["--server", &web, "--proxy", &proxy.url()]).await;
        agent.until_connected().await;
    }
}

#[tokio::test]
async fn what_never_comes_back_does_not_keep_the_agent_from_ending() {
    let certificates = Certificates::new("localhost");
    // Whoever opens a pipe waits for its writer, as a look waits for a file server that went away.
    let pipe = certificates.path("token");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let arguments = ["--server", "nats://127.0.0.1:1", "--token-file", pipe.to_str().unwrap()];
    let agent = Agent::start(&certificates, &arguments).await;
    assert!(agent.ends().await);
}
