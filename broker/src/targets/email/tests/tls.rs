//! TLS from the first byte, and TLS that is asked for; nothing without it.

use std::path::Path;

use serde_json::Value;
use tokio_rustls::TlsAcceptor;

use super::{
    super::super::testing::{Certified, deliver, job, show, validate},
    postbox::{Postbox, Tls},
};

async fn send(folder: &Path, server: &str, tls: &str) -> String {
    let yaml = format!("kind: email\nserver: {server}\nfrom: e@example.com\nto: [it@example.com]\n{tls}");
    let target = validate(&yaml).unwrap().resolve(folder).unwrap();
    show(&deliver(target.as_ref(), &job(), &Value::from("hi")).await)
}

#[tokio::test]
async fn a_mail_goes_through_tls_that_is_vouched_for_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let server = Certified::new(folder.path(), "server", "localhost");
    let client = Certified::new(folder.path(), "client", "emote");
    let own = "tls: {ca: server.pem}";
    let mutual = "tls: {certificate: client.pem, key: client.key, ca: server.pem}";
    for (scheme, tls) in [("smtps", Tls::AtOnce as fn(TlsAcceptor) -> Tls), ("smtp", Tls::WhenAsked)] {
        for (client, said, expected) in [
            (None, own, "done"),
            (None, "tls: {ca: client.pem}", "retry TLS: invalid peer certificate"),
            (Some(&client), mutual, "done"),
            (Some(&client), own, "retry"),
        ] {
            let postbox = Postbox::with_tls(tls(TlsAcceptor::from(server.server(client))), &[]).await;
            let outcome = send(folder.path(), &format!("{scheme}://localhost:{}", postbox.port), said).await;
            assert!(outcome.starts_with(expected), "{scheme} {said}: {outcome}");
            let is_done = expected == "done";
            assert_eq!((postbox.mails().len() == 1, postbox.said().contains("MAIL")), (is_done, is_done), "{said}");
        }
    }
}

#[tokio::test]
async fn nobody_on_the_way_can_turn_tls_off_or_speak_into_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = Certified::new(folder.path(), "server", "localhost");
    for (replies, said) in [
        (&[("EHLO", "250-mail.example.com\r\n250 AUTH PLAIN")][..], "STARTTLS: the server does not offer it"),
        (&[("STARTTLS", "454 later")], "STARTTLS: the server says 454 later"),
        (&[("STARTTLS", "220 go on\r\n250-x\r\n250 AUTH PLAIN")], "STARTTLS: something was said in between"),
    ] {
        let postbox = Postbox::with_tls(Tls::WhenAsked(TlsAcceptor::from(server.server(None))), replies).await;
        let url = format!("smtp://localhost:{}", postbox.port);
        let outcome = send(folder.path(), &url, "tls: {ca: server.pem}").await;
        assert!(outcome.starts_with("retry") && outcome.contains(said), "{outcome}");
        assert!(!postbox.said().contains("MAIL"));
    }
}
