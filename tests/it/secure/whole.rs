//! The broker and the command line in a secure folder: everything works as it does in one that takes anyone.

use emote::identity::files;
use emote_tests::{Process, Secure, Streams, emote, free_port, until};
use serde_json::Value;

const ENROLLED: &str = r#"{"scope":"device","action":"enroll","device":{"uuid":"C02"},"communicate":true,"log":true}"#;

/// What is printed by `emote` with these arguments, which must end well.
async fn shown(secure: &Secure, args: &[&str]) -> String {
    let output = secure.emote(args).await;
    assert!(output.status.success(), "emote {args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn a_broker_serves_and_the_command_line_finds_it_by_the_folder() {
    let mut secure = Secure::start().await;
    secure.broker.start().await;
    let device = secure.connect(&secure.device("C02")).await;
    Streams::of(device.client.clone()).publish("events.agent.C02.device.enroll", ENROLLED).await;
    until("the node is known", async || secure.emote(&["node", "C02"]).await.status.success()).await;
    let events = shown(&secure, &["events", "-o", "json", "--source", "agent"]).await;
    let event: Value = serde_json::from_str(events.lines().next().unwrap()).unwrap();
    assert_eq!((&event["device"]["uuid"], &event["source"]), (&"C02".into(), &"agent".into()));
    for command in [&["nodes"][..], &["targets"], &["config", "history"], &["held", "ls"], &["dead", "ls"]] {
        shown(&secure, command).await;
    }
    // Without the folder nobody is let in.
    let output = emote(&["events", "--server", &secure.url(), "--ca", secure.file(files::CA).to_str().unwrap()]).await;
    assert!(!output.status.success(), "{output:?}");
    assert_eq!(secure.broker.stop().await, Some(0));
}

#[tokio::test]
async fn what_cannot_work_is_told_before_anything_is_tried() {
    let mut secure = Secure::start().await;
    let folder = secure.config.to_str().unwrap().to_owned();
    let output = secure.emote(&["events", "--creds", secure.file(files::SYSTEM).to_str().unwrap()]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("system account, which has no streams"), "{said}");

    std::fs::remove_file(secure.file("secrets/device.nk")).unwrap();
    std::fs::remove_file(secure.file("secrets/enroll.nk")).unwrap();
    std::fs::write(secure.file(files::SYSTEM), "").unwrap();
    let output = emote(&["check", &folder]).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "a folder is checked without its keys, too: {said}");
    assert!(said.contains("identity.device_key: secrets/device.nk cannot be read here"), "{said}");
    assert!(said.contains("identity.enroll_key") && !said.contains("operator_key"), "{said}");
    let output = emote(&["check", "--secrets", &folder]).await;
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("identity.device_key: the secret file"), "{said}");
    assert!(said.contains("identity.system_credentials: ") && said.contains("no user JWT in it"), "{said}");
    assert!(!said.contains("enroll_key"), "a broker does without: {said}");

    // Also while there is no NATS.
    secure.kill();
    secure.broker.begin();
    assert_eq!(secure.broker.wait().await, Some(3));
    assert_eq!((secure.broker.logged("identity.device_key"), secure.broker.logged("emote serves")), (1, 0));
}

#[tokio::test]
async fn orders_are_given_under_the_administrators_name() {
    let mut secure = Secure::start_as("ada@example.com").await;
    secure.broker.start().await;
    let path = secure.file("rules/log.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("# changed\n{text}")).unwrap();
    shown(&secure, &["apply", secure.config.to_str().unwrap(), "-m", "a test"]).await;
    let history = shown(&secure, &["config", "history", "-o", "json"]).await;
    assert!(history.contains("ada@example.com"), "{history}");
}

#[tokio::test]
async fn emote_dev_runs_a_secure_folder_with_its_own_keys() {
    let secure = Secure::stopped(&[]).await;
    let port = free_port().to_string();
    let program = std::env::current_exe().unwrap().parent().unwrap().with_file_name("emote");
    let mut command = std::process::Command::new(program);
    command.args(["dev", "--stay", "--nats-port", &port]).arg(&secure.config);
    let mut dev = Process::start("dev", command, &secure.logs);
    let url = format!("tls://127.0.0.1:{port}");
    until("emote dev says how to go on", async || dev.log().contains("Ctrl-C stops all of it")).await;
    assert!(dev.log().contains(&url) && dev.log().contains("--config"), "{}", dev.log());
    until("its events can be read", async || secure.emote(&["events", "--server", &url]).await.status.success()).await;
    let nobody = emote(&["events", "--server", &format!("nats://127.0.0.1:{port}")]).await;
    assert!(!nobody.status.success(), "{nobody:?}");
    assert!(dev.stop().await.success(), "{}", dev.log());
    // Its certificate does for this machine, or it says so.
    let names = emote::identity::tls::Names::of(&secure.text(files::CERTIFICATE)).unwrap();
    let long_ago = jiff::civil::date(2020, 1, 1);
    let old = emote::identity::tls::server(&secure.text(files::CA_KEY), &names, long_ago).unwrap();
    std::fs::write(secure.file(files::CERTIFICATE), &old.certificate).unwrap();
    std::fs::write(secure.file(files::KEY), &old.key).unwrap();
    let output = emote(&["dev", "--nats-port", &port, secure.config.to_str().unwrap()]).await;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(1) && told.contains("--renew-tls"), "{told}");
}
