//! JWTs and certificates that do not do.

use std::{path::PathBuf, time::Duration};

use data_encoding::BASE64URL_NOPAD;
use emote::identity::{
    files,
    jwt::{AccountKey, Validity, signed},
    role::Role,
    tls,
};
use emote_proto::{NodeKey, Serial, Time, enroll::UserKey};
use emote_tests::{Process, Secure, User, emote, until};
use nkeys::KeyPair;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn now() -> Validity {
    Validity::from(Time::from(jiff::Timestamp::now()))
}

/// A user of the account of devices, as it is minted by nobody who goes by the rules.
fn forged(secure: &Secure, signer: &KeyPair, name: &str, mut claims: Value) -> User {
    let pair = KeyPair::new_user();
    (claims["type"], claims["version"]) = ("user".into(), 2.into());
    claims["issuer_account"] = secure.devices().into();
    let jwt = signed(name, &pair.public_key(), signer, now(), claims).unwrap();
    User { jwt, seed: pair.seed().unwrap(), inbox: Some(format!("_INBOX.{name}")) }
}

#[tokio::test]
async fn a_jwt_that_is_not_ours_or_no_longer_holds_lets_nobody_in() {
    let secure = Secure::start().await;
    let good = secure.device("C01");
    secure.connect(&good).await;
    let ago = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(5);
    let mut tampered = good.clone();
    let (head, rest) = good.jwt.split_once('.').unwrap();
    let (body, signature) = rest.split_once('.').unwrap();
    let claims = String::from_utf8(BASE64URL_NOPAD.decode(body.as_bytes()).unwrap()).unwrap();
    let claims = claims.replace("\"C01\"", "\"OTHER\"");
    tampered.jwt = format!("{head}.{}.{signature}", BASE64URL_NOPAD.encode(claims.as_bytes()));
    let none = BASE64URL_NOPAD.encode(json!({"typ": "JWT", "alg": "none"}).to_string().as_bytes());
    let unsigned = User { jwt: format!("{none}.{body}."), ..good.clone() };
    let foreign = forged(&secure, &KeyPair::new_account(), "C01", json!({}));
    let other_account = KeyPair::new_account();
    let other =
        AccountKey::new(KeyPair::from_seed(&other_account.seed().unwrap()).unwrap(), other_account.public_key());
    let pair = KeyPair::new_user();
    let key = UserKey::new(pair.public_key()).unwrap();
    let stranger = User {
        jwt: other.user_of(Role::Broker, &NodeKey::new("x").unwrap(), &key, now()).unwrap(),
        seed: pair.seed().unwrap(),
        inbox: None,
    };
    // A scoped key's template is all that its users may do: one that brings permissions of its own is refused.
    let greedy =
        forged(&secure, &secure.key("device"), "C01", json!({"pub": {"allow": [">"]}, "sub": {"allow": [">"]}}));
    let limits = json!({"subs": -1, "data": -1, "payload": -1});
    let bearer = forged(&secure, &secure.key("device"), "C01", json!({"bearer_token": true}));
    let stolen = User { seed: KeyPair::new_user().seed().unwrap(), ..good.clone() };
    for (what, user) in [
        ("expired", secure.device_until("C01", ago)),
        ("tampered", tampered),
        ("unsigned", unsigned),
        ("signed by a foreign key in our account's name", foreign),
        ("of an account that the operator does not know", stranger),
        ("with permissions of its own", greedy),
        ("with limits of its own", forged(&secure, &secure.key("device"), "C01", limits)),
        ("for whoever bears it", bearer),
        ("without its seed", stolen),
    ] {
        let refused = secure.try_connect(&user).await.err().unwrap_or_else(|| panic!("{what}: let in"));
        assert!(refused.contains("authorization violation"), "{what}: {refused}");
    }
    let nobody = async_nats::ConnectOptions::new().add_root_certificates(secure.file(files::CA)).require_tls(true);
    assert!(secure.try_connect_with(nobody).await.is_err(), "without any credential");
    secure.connect(&good).await;
}

#[tokio::test]
async fn a_credential_that_expires_is_shown_the_door() {
    let secure = Secure::start().await;
    let device = secure.device_until("C01", jiff::Timestamp::now() + jiff::SignedDuration::from_secs(2));
    let connected = secure.connect(&device).await;
    connected.told("xpired").await;
}

#[tokio::test]
async fn a_revoked_device_is_out_at_once_and_stays_out_when_the_server_is_started_again() {
    let mut secure = Secure::start().await;
    let (bad, good) = (secure.device("C01"), secure.device("C02"));
    let (out, stays) = (secure.connect(&bad).await, secure.connect(&good).await);
    let begun = std::time::Instant::now();
    secure.revoke(&bad.public_key()).await;
    out.told("disconnected").await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    eprintln!("{:?} {:?}", out.errors(), stays.errors());
    let refused = async |secure: &Secure| secure.try_connect(&bad).await.err().unwrap();
    assert!(refused(&secure).await.contains("authorization violation"));
    assert_eq!(stays.errors(), Vec::<String>::new());
    for _ in 0..2 {
        secure.kill();
        secure.start_again().await;
        assert!(refused(&secure).await.contains("authorization violation"), "what was preloaded is older");
        secure.connect(&good).await;
    }
    let anew = secure.device("C01");
    secure.connect(&anew).await;
}

#[tokio::test]
async fn the_server_would_obey_a_star_so_none_is_minted() {
    let secure = Secure::start().await;
    super::streams(&secure).await;
    for name in ["*", ">", "C01.>", "", "C01 C02", "C.01"] {
        assert!(Serial::new(name).is_err(), "{name:?}");
        assert!(emote_proto::enroll::TokenId::new(name).is_err(), "{name:?}");
    }
    // What it would mean, had the key's owner signed it.
    let star = forged(&secure, &secure.key("device"), "*", json!({}));
    let star = secure.connect(&User { inbox: None, ..star }).await;
    let streams = secure.streams().await;
    star.client.publish("events.agent.ANYBODY.device.enroll", "{}".into()).await.unwrap();
    until("the server obeys", async || streams.events().await.len() == 1).await;
    assert_eq!(streams.events().await[0].subject, "events.agent.ANYBODY.device.enroll");
    // The type that is asked for when one is minted does not let it through.
    let key = UserKey::new(KeyPair::new_user().public_key()).unwrap();
    let minted = Serial::new("*").map(|serial| secure.signer("device").device(&serial, &key, now()));
    assert!(minted.is_err());
}

#[tokio::test]
async fn tls_is_asked_for_by_both_and_held_against_authority_and_name() {
    let secure = Secure::start().await;
    let device = secure.device("C01");
    let plain = async_nats::ConnectOptions::with_credentials(&secure.text(files::ADMIN)).unwrap();
    let refused = plain.connect(format!("nats://127.0.0.1:{}", secure.port)).await;
    assert!(refused.is_err(), "the system's roots do not have this authority");
    let today = jiff::Zoned::now().date();
    let other = secure.file("other.pem");
    std::fs::write(&other, tls::authority(today).unwrap().certificate).unwrap();
    let refused = secure.try_connect_with(secure.trusting(&device, &other)).await.err().unwrap();
    assert!(refused.contains("UnknownIssuer"), "{refused}");
    // Plain text at the server's port: it says who it is, and takes nothing.
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", secure.port)).await.unwrap();
    stream.write_all(b"CONNECT {\"verbose\":true}\r\nPUB events.agent.C01.a.b 2\r\n{}\r\nPING\r\n").await.unwrap();
    let mut heard = Vec::new();
    drop(stream.read_to_end(&mut heard).await);
    let heard = String::from_utf8_lossy(&heard);
    assert!(heard.contains("\"tls_required\":true") && !heard.contains("PONG") && !heard.contains("+OK"), "{heard}");
    let mut old = tokio::net::TcpStream::connect(("127.0.0.1", secure.web)).await.unwrap();
    old.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n").await.unwrap();
    let mut heard = Vec::new();
    drop(old.read_to_end(&mut heard).await);
    assert!(!String::from_utf8_lossy(&heard).contains("101 Switching"), "plain text over the web's port");
}

#[tokio::test]
async fn a_server_that_pretends_to_know_no_tls_is_told_nothing() {
    let secure = Secure::stopped(&[]).await;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", secure.port)).await.unwrap();
    let liar = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let info = r#"INFO {"server_id":"x","version":"2.15.1","proto":1,"max_payload":1048576,"nonce":"abc"}"#;
        stream.write_all(format!("{info}\r\n").as_bytes()).await.unwrap();
        let mut first = [0; 1];
        stream.read_exact(&mut first).await.map(|_| first[0]).ok()
    });
    assert!(secure.try_connect(&secure.device("C01")).await.is_err());
    let first = liar.await.unwrap();
    assert!(matches!(first, None | Some(0x16)), "a TLS handshake or nothing, not CONNECT: {first:?}");
}

#[tokio::test]
async fn an_expired_certificate_is_refused_until_it_is_renewed() {
    let mut secure = Secure::stopped(&[]).await;
    let names = tls::Names::of(&secure.text(files::CERTIFICATE)).unwrap();
    let long_ago = jiff::civil::date(2020, 1, 1);
    let old = tls::server(&secure.text(files::CA_KEY), &names, long_ago).unwrap();
    std::fs::write(secure.file(files::CERTIFICATE), &old.certificate).unwrap();
    std::fs::write(secure.file(files::KEY), &old.key).unwrap();
    secure.start_again().await;
    let device = secure.device("C01");
    let refused = secure.try_connect(&device).await.err().unwrap();
    assert!(refused.contains("Expired"), "{refused}");
    let renewed = emote(&["init", "--renew-tls", secure.config.to_str().unwrap()]).await;
    assert!(renewed.status.success(), "{renewed:?}");
    secure.reload();
    until("the new certificate is taken without a restart", async || secure.try_connect(&device).await.is_ok()).await;
}

#[tokio::test]
async fn certificates_of_ones_own_are_looked_at_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let today = jiff::Zoned::now().date();
    let names = tls::Names::new(&["nats.example.com".to_owned()]).unwrap();
    let (ca, other) = (tls::authority(today).unwrap(), tls::authority(today).unwrap());
    let (good, old) = (
        tls::server(&ca.key, &names, today).unwrap(),
        tls::server(&ca.key, &names, jiff::civil::date(2020, 1, 1)).unwrap(),
    );
    let write = |name: &str, text: &str| {
        let path: PathBuf = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (roots, foreign) = (write("ca", &ca.certificate), write("other", &other.certificate));
    let (cert, key) = (write("cert", &good.certificate), write("key", &good.key));
    let (old_cert, old_key) = (write("old", &old.certificate), write("oldkey", &old.key));
    let made = folder.path().join("made");
    let init = async |ca: &str, cert: &str, key: &str, host: &str| {
        let made = made.to_str().unwrap();
        emote(&["init", "--secure", made, "--host", host, "--ca", ca, "--cert", cert, "--key", key]).await
    };
    for (args, told) in [
        ([&foreign, &cert, &key], "UnknownIssuer"),
        ([&roots, &old_cert, &old_key], "expired"),
        ([&roots, &cert, &old_key], "not that of the certificate"),
        ([&roots, &key, &key], "no certificate"),
    ] {
        let output = init(args[0], args[1], args[2], "nats.example.com").await;
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && stderr.contains(told), "{told}: {stderr}");
        assert!(!made.exists(), "nothing is half-made");
    }
    assert!(!init(&roots, &cert, &key, "nats.example.org").await.status.success(), "another name");
    assert!(init(&roots, &cert, &key, "nats.example.com").await.status.success());
    assert!(!made.join(files::CA_KEY).exists() && made.join(files::CA).exists());
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with('.')), "{left:?}");
}

#[tokio::test]
async fn the_nats_command_is_the_administrator_by_its_context() {
    let Some(nats) = emote_tests::required("nats") else { return };
    let secure = Secure::start().await;
    super::streams(&secure).await;
    let home = tempfile::tempdir().unwrap();
    let context = home.path().join("nats/context");
    std::fs::create_dir_all(&context).unwrap();
    let text = secure.text(files::CONTEXT).replace("tls://localhost:4222", &secure.url());
    std::fs::write(context.join("emote.json"), text).unwrap();
    let mut command = std::process::Command::new(nats);
    command.args(["--context", "emote", "stream", "ls", "--names"]).env("XDG_CONFIG_HOME", home.path());
    let mut listing = Process::start("nats", command, &secure.logs);
    assert!(listing.wait().await.success(), "{}", listing.log());
    assert!(listing.log().contains("EVENTS"), "{}", listing.log());
}

#[tokio::test]
async fn what_is_a_secret_only_its_owner_can_read() {
    use std::os::unix::fs::PermissionsExt;
    let secure = Secure::stopped(&["--host", "nats.example.com"]).await;
    let mode = |path: &str| std::fs::metadata(secure.file(path)).unwrap().permissions().mode() & 0o777;
    let mut files_found = 0;
    for folder in ["secrets", "nats", "nats/jwt"] {
        assert_eq!(mode(folder), 0o700, "{folder}");
        for entry in std::fs::read_dir(secure.file(folder)).unwrap() {
            let name = format!("{folder}/{}", entry.unwrap().file_name().to_string_lossy());
            let text = std::fs::read_to_string(secure.file(&name)).unwrap_or_default();
            let is_seed = |word: &str| word.len() == 58 && KeyPair::from_seed(word).is_ok();
            let secret = text.split_whitespace().any(is_seed) || text.contains("PRIVATE KEY");
            if secret {
                files_found += 1;
                assert_eq!(mode(&name), 0o600, "{name}");
            }
        }
    }
    assert_eq!(files_found, 8 + 3 + 2, "keys, credentials, and those of certificates");
    let context: Value = serde_json::from_str(&secure.text(files::CONTEXT)).unwrap();
    assert_eq!(context["url"], "tls://nats.example.com:4222");
}
