//! Mails, at a mail server that is not ours.

use std::{collections::BTreeMap, path::Path, process::Command, time::Duration};

use emote_tests::{Process, Stack, free_port, planted, private_file, required, until, until_listening};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::counted::{COUNTED, count};

const SERVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/it/mail_server.py");
const MAILS: u64 = 40;

/// A mail server with a certificate that its own CA vouches for.
struct MailServer {
    port: u16,
    folder: TempDir,
    _process: Process,
}

impl MailServer {
    /// `None`, loudly, where there is none.
    async fn start() -> Option<Self> {
        let python = required("receivers/bin/python")?;
        let (folder, port) = (TempDir::with_prefix("emote-test-").unwrap(), free_port());
        let at = |name: &str| folder.path().join(name);
        let ca_key = rcgen::KeyPair::generate().unwrap();
        let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca_cert = ca.self_signed(&ca_key).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let server = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let cert = server.signed_by(&key, &rcgen::Issuer::new(ca, ca_key)).unwrap();
        std::fs::write(at("ca.pem"), ca_cert.pem()).unwrap();
        std::fs::write(at("server.pem"), cert.pem()).unwrap();
        private_file(&at("server.key"), &key.serialize_pem());
        let mut command = Command::new(python);
        command.arg(SERVER).arg(port.to_string()).args([at("server.pem"), at("server.key"), at("mails")]);
        command.env("MAIL_PASSWORD", planted("mail-password"));
        let process = Process::start("mail", command, folder.path());
        until_listening("mail", port).await;
        Some(Self { port, folder, _process: process })
    }

    fn mails(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.path().join("mails")).unwrap_or_default();
        // The last line may be under way.
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn target(&self, ca: &Path) -> String {
        format!(
            "kind: email\nserver: smtp://localhost:{}\ntls: {{ca: {}}}\n\
            auth: {{basic: {{user: emote, password: \"${{file:secrets/mail-password}}\"}}}}\n\
            from: Emote <emote@example.com>\nto: '[.serial + \"@example.com\"]'\nthread: node\n\
            subject: '\"Mac \\(.input.n) ✓\"'\ntext: '.input | tojson'\ntimeout: 5s\nbreaker: {{failures: 0}}\n\
            retry: {{max_attempts: 10000, backoff: {{initial: 10ms, max: 50ms}}}}\n",
            self.port,
            ca.display()
        )
    }
}

/// Whatever breaks, every job's mail arrives, and one that arrives twice has one Message-ID.
#[tokio::test]
async fn each_job_is_a_mail_though_the_broker_is_killed_and_replies_are_lost() {
    let Some(server) = MailServer::start().await else { return };
    let rule =
        format!("{COUNTED}targets: [{{target: mail, input: '{{serial: .event.device.uuid, n: .event.info.n}}'}}]");
    let mut stack = Stack::new()
        .secret("mail-password")
        .file("targets/mail.yaml", &server.target(&server.folder.path().join("ca.pem")))
        .file("rules/count.yaml", &rule)
        .start()
        .await;
    for n in 0..MAILS {
        count(&stack, &format!("C02-{}", n % 4), n).await;
    }
    for some in [5, 15, 25] {
        until("more mails have come", || async { server.mails().len() >= some }).await;
        stack.broker.kill();
        stack.broker.start().await;
    }
    stack.settled().await;
    let mails = server.mails();
    let mut ids: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for mail in &mails {
        let said: Value = serde_json::from_str(mail["text"].as_str().unwrap()).unwrap();
        let n = said["n"].as_u64().unwrap();
        let expected = json!({
            "id": mail["id"], "subject": format!("Mac {n} ✓"), "auto": "auto-generated", "text": mail["text"],
            "from": "emote@example.com", "to": [format!("C02-{}@example.com", n % 4)], "login": true, "tls": true,
        });
        assert_eq!(*mail, expected);
        *ids.entry(n.to_string()).or_default().entry(mail["id"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(ids.len() as u64, MAILS);
    assert!(ids.values().all(|ids| ids.len() == 1), "{ids:?}");
    let all: std::collections::BTreeSet<_> = ids.values().flat_map(BTreeMap::keys).collect();
    assert_eq!(all.len() as u64, MAILS, "each job has an id of its own");
    assert!(mails.len() as u64 > MAILS, "none was sent again, though replies were lost");
    assert_eq!(stack.streams.dead().await.len(), 0);
    let reported = stack.streams.events().await.into_iter().filter(|event| event.json()["action"] == "email_sent");
    assert_eq!(reported.count() as u64, MAILS);
}

/// A server that a CA of one's own does not vouch for is told nothing, and the jobs wait.
#[tokio::test]
async fn a_mail_server_that_nobody_vouches_for_gets_no_mail() {
    let Some(server) = MailServer::start().await else { return };
    let other = TempDir::with_prefix("emote-test-").unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let wrong = other.path().join("ca.pem");
    std::fs::write(&wrong, made.cert.pem()).unwrap();
    let stack = Stack::new()
        .secret("mail-password")
        .file("targets/mail.yaml", &server.target(&wrong))
        .file("rules/count.yaml", &crate::counted::rule(&["mail"]))
        .start()
        .await;
    count(&stack, "C02-0", 0).await;
    until("the failure is shown", || async {
        let output = emote_tests::emote(&["targets", "show", "mail", "--server", &stack.nats.url()]).await;
        String::from_utf8_lossy(&output.stdout).contains("invalid peer certificate")
    })
    .await;
    assert_eq!(server.mails().len(), 0);
    // It waits for a server that is vouched for, such as this one with its CA in the same place.
    std::fs::copy(server.folder.path().join("ca.pem"), &wrong).unwrap();
    tokio::time::timeout(Duration::from_secs(30), stack.settled()).await.unwrap();
    assert_eq!(server.mails().len(), 1);
}
