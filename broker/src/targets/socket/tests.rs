use std::{path::Path, sync::Arc, time::Duration};

use tokio::{io::AsyncReadExt as _, net::TcpListener, sync::Notify};

use super::*;
use crate::targets::{DeliverySettings, testing::show};

fn port(transport: Transport) -> u16 {
    if transport == Transport::Tls { 6514 } else { 514 }
}

fn sender(address: &str, tls: &Tls) -> Result<Sender, String> {
    let delivery = DeliverySettings::default();
    let setup = Setup { folder: Path::new("/"), settings: None, name: "the-target", delivery: &delivery, script: None };
    Sender::new(&setup, Address::parse(address, true, port)?, tls)
}

fn parcels<const N: usize>(texts: [&str; N]) -> [Parcel; N] {
    texts.map(|text| Parcel { frames: vec![text.as_bytes().to_vec()], text: text.to_owned() })
}

fn parcel(text: &str) -> [Parcel; 1] {
    parcels([text])
}

fn reason(mut sent: Vec<Result<(), Outcome>>) -> String {
    match sent.pop().unwrap() {
        Ok(()) => "sent".to_owned(),
        Err(Outcome::Retry { reason, .. }) => format!("retry: {reason}"),
        Err(other) => format!("{other:?}"),
    }
}

#[test]
fn an_address_is_a_scheme_a_host_and_a_port() {
    for (text, expected) in [
        ("tls://logs.example.com", Ok("tls://logs.example.com:6514")),
        ("tls://logs.example.com:1/", Ok("tls://logs.example.com:1")),
        ("udp://127.0.0.1", Ok("udp://127.0.0.1:514")),
        ("tcp://[::1]:9", Ok("tcp://[::1]:9")),
        ("tcp://localhost:9", Ok("tcp://localhost:9")),
        ("tcp://192.0.2.1:9", Err("plain text")),
        ("udp://logs.example.com", Err("plain text")),
        ("https://logs.example.com", Err("expected udp://")),
        ("tls://user@logs.example.com", Err("expected udp://")),
        ("tls://logs.example.com/path", Err("expected udp://")),
        ("tls://", Err("expected udp://")),
        ("logs.example.com:514", Err("expected udp://")),
        ("", Err("expected udp://")),
    ] {
        let found = Address::parse(text, false, port).map(|address| address.to_string());
        match expected {
            Ok(expected) => assert_eq!(found.as_deref(), Ok(expected), "{text}"),
            Err(expected) => {
                assert!(found.as_ref().is_err_and(|error| error.starts_with(expected)), "{text}: {found:?}");
            }
        }
    }
    assert!(Address::parse("tcp://192.0.2.1:9", true, port).is_ok());
}

#[tokio::test]
async fn a_connection_is_kept_and_opened_anew_when_it_was_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sender = sender(&format!("tcp://{}", listener.local_addr().unwrap()), &Tls::default()).unwrap();
    let closed = Arc::new(Notify::new());
    let close = Arc::clone(&closed);
    let taken = tokio::spawn(async move {
        let mut taken = Vec::new();
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 6];
            stream.read_exact(&mut buffer).await.unwrap();
            taken.push(String::from_utf8(buffer.to_vec()).unwrap());
            close.notified().await;
        }
        taken
    });
    assert_eq!(reason(sender.send(&parcel("one")).await), "sent");
    assert_eq!(reason(sender.send(&parcel("two")).await), "sent");
    closed.notify_one();
    until_gone(&sender).await;
    assert_eq!(reason(sender.send(&parcel("three!")).await), "sent");
    closed.notify_one();
    assert_eq!(taken.await.unwrap(), ["onetwo", "three!"]);
}

/// Waits until the connection that is kept is seen to be closed.
async fn until_gone(sender: &Sender) {
    let gone = async {
        let mut open = sender.open.lock().await;
        while open.as_mut().unwrap().is_good().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.unwrap();
}

#[tokio::test]
async fn what_the_other_side_closes_at_once_was_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let sender = sender(&format!("tcp://{address}"), &Tls::default()).unwrap();
    let closing = tokio::spawn(async move {
        drop(listener.accept().await.unwrap());
        listener
    });
    let first = reason(sender.send(&parcel("one")).await);
    assert!(first.starts_with(&format!("retry: tcp://{address}: ")), "{first}");
    drop(closing.await.unwrap());
    let refused = reason(sender.send(&parcel("two")).await);
    assert!(refused.contains("refused"), "{refused}");
}

#[tokio::test]
async fn where_nobody_takes_datagrams_that_is_found_out() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let sender = sender(&format!("udp://{}", taken.local_addr().unwrap()), &Tls::default()).unwrap();
    assert_eq!(reason(sender.send(&parcel("one")).await), "sent");
    let mut buffer = [0; 8];
    assert_eq!(taken.recv(&mut buffer).unwrap(), 3);
    drop(taken);
    let refused = reason(sender.send(&parcel("two")).await);
    assert!(refused.contains("refused"), "{refused}");
    let long = reason(sender.send(&parcel(&"x".repeat(70_000))).await);
    assert!(long.contains("Never") && long.contains("lower `max_size`"), "{long}");
}

#[tokio::test]
async fn of_several_datagrams_only_the_one_that_is_too_long_is_given_up() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    taken.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let sender = sender(&format!("udp://{}", taken.local_addr().unwrap()), &Tls::default()).unwrap();
    let long = "x".repeat(70_000);
    let texts = ["one", &long, "three"];
    let mut jobs: Vec<Result<_, String>> = parcels(texts).into_iter().zip(texts).map(Ok).collect();
    jobs.insert(1, Err("no message".to_owned()));
    let outcomes = sender.send_each(jobs, |text| Outcome::done("log", "sent", text.into())).await;
    let shown: Vec<String> = outcomes.iter().map(show).collect();
    assert_eq!((shown[0].as_str(), shown[1].as_str()), ("done log.sent \"one\"", "never no message"));
    assert!(shown[2].starts_with("never udp://") && shown[2].contains("lower `max_size`"), "{}", shown[2]);
    assert_eq!(shown[3], "done log.sent \"three\"");
    let mut buffer = [0; 8];
    assert_eq!([taken.recv(&mut buffer).unwrap(), taken.recv(&mut buffer).unwrap()], [3, 5]);
}

#[tokio::test]
async fn only_who_the_ca_vouches_for_is_sent_to() {
    let folder = tempfile::tempdir().unwrap();
    let made = |name: &str| rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let (ours, other) = (made("localhost"), made("localhost"));
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        path
    };
    let config = rustls::ServerConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![ours.cert.der().clone()],
            rustls::pki_types::PrivateKeyDer::try_from(ours.signing_key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("tls://localhost:{}", listener.local_addr().unwrap().port());
    let (say, mut said) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut buffer = [0; 3];
            while stream.read_exact(&mut buffer).await.is_ok() {
                say.send(String::from_utf8(buffer.to_vec()).unwrap()).await.unwrap();
            }
        }
    });
    let trusting = |ca: &str| Tls { ca: Some(file("ca.pem", ca)), ..Tls::default() };
    let refused = reason(sender(&address, &trusting(&other.cert.pem())).unwrap().send(&parcel("no!")).await);
    assert!(refused.starts_with("retry: ") && refused.contains("certificate"), "{refused}");
    let kept = sender(&address, &trusting(&ours.cert.pem())).unwrap();
    assert_eq!(reason(kept.send(&parcel("yes")).await), "sent");
    assert_eq!(said.recv().await.unwrap(), "yes");
    let missing = sender(&address, &Tls { ca: Some("/nowhere".into()), ..Tls::default() }).err();
    assert!(missing.is_some_and(|error| error.contains("/nowhere")));
}
