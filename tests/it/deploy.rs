//! The agent's package, from a file to the first word of the agent: kept in NATS, served by every broker, ordered through
//! NanoMDM, and told once each, whoever is killed meanwhile.

use std::path::{Path, PathBuf};

use data_encoding::{BASE64, HEXLOWER};
use emote_tests::{Broker, NanoMdm, Stack, private_file, required, until};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const SERIAL: &str = "C02XL0GTJGH5";
const UDID: &str = "0F1E2D3C-0000-4000-8000-000000000001";
/// What `emote init` calls the target that sends commands is not the one that installs.
const TARGET: &str = "preset: nanomdm\naction: install_agent\nsettings: {url: @URL@, api_key: \"${file:secrets/nanomdm-api-key}\"}\n\
                      timeout: 2s\nretry: {max_attempts: 20, backoff: {initial: 20ms, max: 200ms}}\n";
/// The one in the package that is built.
const DISTRIBUTION: &str = include_str!("../../packaging/macos/Distribution.xml");
/// What the agent of these tests says of itself.
const VERSION: &str = env!("CARGO_PKG_VERSION");

fn package_of(id: &str, version: &str) -> Vec<u8> {
    packed(id, version, jiff::Timestamp::UNIX_EPOCH)
}

/// The same that was made at another time has other bytes.
fn packed(id: &str, version: &str, at: jiff::Timestamp) -> Vec<u8> {
    let distribution = DISTRIBUTION
        .replace("{version}", version)
        .replace("<product id=\"io.emote.agent\"", &format!("<product id=\"{id}\""));
    let payload: Vec<u8> = (0..600_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24).to_le_bytes()[0]).collect();
    let files = [("Distribution", distribution.as_bytes()), ("EmoteAgent.pkg/Payload", &payload)];
    emote_xar::write(&files, at).unwrap()
}

fn package(stack: &Stack, id: &str, version: &str) -> PathBuf {
    let path = stack.config.with_file_name(format!("{id}-{version}.pkg"));
    std::fs::write(&path, package_of(id, version)).unwrap();
    path
}

/// Files that say how the agent is deployed from `url` through the NanoMDM at `mdm`.
fn deployed_from(config: &Path, url: &str, mdm: &str, more: &str) {
    std::fs::write(config.join("deploy.yaml"), format!("url: {url}\ntarget: install-agent\n{more}")).unwrap();
    std::fs::write(config.join("targets/install-agent.yaml"), TARGET.replace("@URL@", mdm)).unwrap();
}

/// What was told of installs on the node, in order.
async fn told(stack: &Stack, node: &str) -> Vec<Value> {
    let events = stack.streams.read("EVENTS", &format!("events.broker.{node}.deploy.*")).await;
    events.iter().map(emote_tests::Stored::json).collect()
}

async fn actions(stack: &Stack, node: &str) -> Vec<String> {
    told(stack, node).await.iter().map(|event| event["action"].as_str().unwrap().to_owned()).collect()
}

/// What `emote` says of why it did not do it.
async fn refused(stack: &Stack, args: &[&str], code: i32, said: &str) {
    let output = stack.emote(args).await;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
    assert!(text.contains(said), "{args:?}: {text}");
}

/// Gives the broker's webhooks TLS; whoever trusts that alone.
fn with_tls(broker: &Broker) -> reqwest::Client {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(broker.config().join("tls.pem"), certificate.pem()).unwrap();
    private_file(&broker.config().join("tls.key"), &key.serialize_pem());
    let file = broker.config().join("emote.yaml");
    let listens = format!("ingest: {{listen: \"127.0.0.1:{}\"", broker.port);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains(&listens), "{text}");
    std::fs::write(&file, text.replace(&listens, &format!("{listens}, certificate: tls.pem, key: tls.key"))).unwrap();
    let root = reqwest::Certificate::from_pem(certificate.pem().as_bytes()).unwrap();
    reqwest::Client::builder().no_proxy().tls_certs_only([root]).build().unwrap()
}

/// Takes the package as macOS' downloader does, in two parts, and proves each chunk as the manifest says.
async fn install(http: &reqwest::Client, command: &plist::Value) {
    let fields = command.as_dictionary().unwrap()["Command"].as_dictionary().unwrap();
    let item = fields["Manifest"].as_dictionary().unwrap()["items"].as_array().unwrap()[0].as_dictionary().unwrap();
    let asset = item["assets"].as_array().unwrap()[0].as_dictionary().unwrap();
    let url = asset["url"].as_string().unwrap();
    let head = http.head(url).send().await.unwrap();
    assert_eq!((head.status().as_u16(), &head.headers()["accept-ranges"]), (200, &"bytes".parse().unwrap()));
    let length: usize = head.headers()["content-length"].to_str().unwrap().parse().unwrap();
    let mut whole = Vec::new();
    for range in [format!("bytes=0-{}", length / 3), format!("bytes={}-", length / 3 + 1)] {
        let part = http.get(url).header("Range", range).send().await.unwrap();
        assert_eq!(part.status().as_u16(), 206);
        whole.extend(part.bytes().await.unwrap());
    }
    let hashes = asset["sha256s"].as_array().unwrap();
    assert_eq!((whole.len(), hashes.len()), (length, 1));
    assert_eq!(hashes[0].as_string(), Some(HEXLOWER.encode(&Sha256::digest(&whole)).as_str()));
    assert_eq!(whole, package_of("io.emote.agent", VERSION));
    let manifest = http.get(url.replace(&format!("EmoteAgent-{VERSION}.pkg"), "manifest.plist")).send().await.unwrap();
    let manifest = plist::Value::from_reader_xml(&manifest.bytes().await.unwrap()[..]).unwrap();
    assert_eq!(&manifest, &fields["Manifest"]);
}

#[tokio::test]
async fn a_mac_of_a_real_nanomdm_installs_the_agent_and_its_first_word_is_the_proof() {
    let Some(nanomdm) = required("nanomdm") else { return };
    let mut stack = Stack::new().without_broker().start().await;
    let server = NanoMdm::start(&nanomdm, &stack).await;
    stack.lead_broker_to_mdm(&server.url);
    let mut other = stack.other_broker();
    let url = format!("https://127.0.0.1:{}", other.port);
    deployed_from(&stack.config, &url, &server.url, "");
    deployed_from(other.config(), &url, &server.url, "");
    let http = with_tls(&other);
    stack.broker.start().await;
    other.start().await;

    let built = package(&stack, "io.emote.agent", VERSION).display().to_string();
    refused(&stack, &["deploy", "send", SERIAL], 1, "no package is deployed: `emote deploy add").await;
    refused(&stack, &["deploy", "add", &built], 1, "it is not signed, and a Mac installs no such package").await;
    let added = stack.shown(&["deploy", "add", "--unsigned", &built]).await;
    assert!(added.contains(&format!("{url}/deploy/EmoteAgent-{VERSION}.pkg")), "{added}");
    until("every broker knows what is deployed", async || {
        let listed: Value = serde_json::from_str(&stack.shown(&["deploy", "ls", "-o", "json"]).await).unwrap();
        listed["package"]["version"] == VERSION && listed["deployed"] == true
    })
    .await;

    let device = server.device(&stack, UDID);
    let model = "<key>Model</key><string>Mac14,2</string>";
    device.check_in("Authenticate", &format!("<key>SerialNumber</key><string>{SERIAL}</string>{model}")).await;
    until("the first check-in is in the log", async || {
        !stack.streams.read("EVENTS", &format!("events.nanomdm.{SERIAL}.>")).await.is_empty()
    })
    .await;
    device
        .check_in("TokenUpdate", "<key>PushMagic</key><string>magic</string><key>Token</key><data>AAECAw==</data>")
        .await;
    until("it is known as enrolled", async || {
        let found = stack.emote(&["deploy", "send", "--all-without-agent", "--dry-run", "-o", "json"]).await;
        String::from_utf8_lossy(&found.stdout).contains(SERIAL)
    })
    .await;
    refused(
        &stack,
        &["deploy", "send", "--all-without-agent"],
        1,
        "1 Mac by the target install-agent, and nobody is here to ask",
    )
    .await;
    let ordered = stack.shown(&["deploy", "send", "--all-without-agent", "--yes", "-m", "HD-1"]).await;
    assert!(ordered.contains("is ordered for 1 Mac"), "{ordered}");

    // Whoever leads is killed: another broker sends the command, or has sent it.
    stack.broker.kill();
    let command = device.next_command().await;
    let command = plist::Value::from_reader_xml(command.as_bytes()).unwrap();
    install(&http, &command).await;
    until("the other broker tells that it is sent", async || actions(&stack, SERIAL).await == ["started"]).await;
    stack.broker.start().await;
    let command_uuid = command.as_dictionary().unwrap()["CommandUUID"].as_string().unwrap().to_owned();
    assert_eq!(device.acknowledge(&command_uuid).await, "", "installed once");
    until("the MDM's word is told", async || actions(&stack, SERIAL).await == ["started", "acknowledged"]).await;

    stack.broker.kill();
    other.kill();
    let mut agent = stack.new_agent(SERIAL, &stack.nats.url());
    agent.start().await;
    other.start().await;
    let watched = stack.shown(&["deploy", "watch", SERIAL, "--timeout", "60"]).await;
    assert!(watched.contains("installed") && watched.contains(VERSION), "{watched}");
    stack.broker.start().await;
    stack.settled().await;
    let told = told(&stack, SERIAL).await;
    let expected = ["started", "acknowledged", "installed"];
    assert_eq!(told.iter().map(|event| event["action"].as_str().unwrap()).collect::<Vec<_>>(), expected);
    let order = &stack.streams.read("EVENTS", "events.admin.*.deploy.ordered").await[0].json();
    assert_eq!((&order["info"]["nodes"], &order["info"]["reason"]), (&json!([SERIAL]), &json!("HD-1")));
    for event in &told {
        assert_eq!((&event["cause"]["root"], &event["info"]["version"]), (&order["id"], &json!(VERSION)));
        assert_eq!(event["info"]["command_uuid"], json!(command_uuid));
    }
    until("every broker's records say so", async || {
        let status: Value = serde_json::from_str(&stack.shown(&["deploy", "status", "-o", "json"]).await).unwrap();
        status["node"] == SERIAL && status["state"] == "installed"
    })
    .await;
    refused(&stack, &["deploy", "send", SERIAL], 1, &format!("it has {VERSION} already")).await;
    agent.kill();
    other.kill();
}

/// A Mac's answer to a command, as NanoMDM tells it.
fn answer(command_uuid: &str, status: &str, more: &str) -> Value {
    let plist = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><plist version=\"1.0\"><dict><key>CommandUUID</key>\
         <string>{command_uuid}</string><key>Status</key><string>{status}</string><key>UDID</key><string>{UDID}</string>{more}</dict></plist>"
    );
    let event = json!({"udid": UDID, "status": status, "command_uuid": command_uuid,
        "ids": {"id": UDID, "type": "Device"}, "raw_payload": BASE64.encode(plist.as_bytes())});
    json!({"topic": "mdm.Connect", "event_id": format!("{command_uuid}-{status}"), "created_at": "2026-11-23T06:41:00.5Z",
        "acknowledge_event": event})
}

const NO_ROOM: &str = "<key>ErrorChain</key><array><dict><key>ErrorCode</key><integer>12</integer>\
                       <key>ErrorDomain</key><string>MDMErrorDomain</string>\
                       <key>USEnglishDescription</key><string>no room on the disk</string></dict></array>";

#[tokio::test]
async fn what_a_mac_refuses_and_what_takes_too_long_is_told_and_what_nobody_can_do_is_said() {
    let mut stack = Stack::new().without_broker().start().await;
    deployed_from(&stack.config, "https://emote.example.com", &stack.mdm.url, "overdue_after: 3s\n");
    stack.broker.start().await;
    for (file, said) in [
        (b"#!/bin/sh".to_vec(), "it is no flat package"),
        (package_of("com.example.app", "1.0"), "it is of the product \"com.example.app\": expected"),
    ] {
        let path = stack.config.with_file_name("other.pkg");
        std::fs::write(&path, file).unwrap();
        refused(&stack, &["deploy", "add", "--unsigned", path.to_str().unwrap()], 1, said).await;
    }
    let built = package(&stack, "io.emote.agent", "9.9.9").display().to_string();
    stack.shown(&["deploy", "add", "--unsigned", &built]).await;
    refused(&stack, &["deploy", "rm", "9.9.9"], 1, "9.9.9 is deployed: deploy another one first").await;
    let other = stack.config.with_file_name("other.pkg").display().to_string();
    std::fs::write(&other, packed("io.emote.agent", "9.9.9", jiff::Timestamp::from_second(1).unwrap())).unwrap();
    let add_other = ["deploy", "add", "--unsigned", &other];
    refused(&stack, &add_other, 1, "another package of version 9.9.9 is kept").await;
    stack.shown(&["deploy", "rm", "9.9.9", "--force", "-m", "HD-3"]).await;
    refused(&stack, &["deploy", "send", SERIAL], 1, "9.9.9 is deployed and kept no longer").await;
    let kept: Value = serde_json::from_str(&stack.shown(&["deploy", "ls", "-o", "json"]).await).unwrap();
    assert_eq!((&kept["package"]["version"], &kept["kept"]), (&json!("9.9.9"), &json!(false)));
    let removed = &stack.streams.read("EVENTS", "events.admin.*.deploy.package_removed").await[0].json();
    assert_eq!((&removed["info"]["version"], &removed["info"]["reason"]), (&json!("9.9.9"), &json!("HD-3")));
    refused(&stack, &["deploy", "use", "9.9.9"], 5, "No package of version 9.9.9 is kept").await;
    refused(&stack, &add_other, 1, "another package of version 9.9.9 was kept").await;
    let added = stack.shown(&["deploy", "add", "--unsigned", &built]).await;
    assert!(added.contains("9.9.9 is deployed from now on"), "{added}");
    refused(&stack, &["deploy", "use", "1.0"], 5, "No package of version 1.0 is kept").await;
    refused(&stack, &["deploy", "send", SERIAL], 5, &format!("No event has named {SERIAL}")).await;
    refused(&stack, &["deploy", "watch", SERIAL], 5, &format!("No event has named {SERIAL}")).await;
    stack
        .streams
        .publish(
            &format!("events.agent.{SERIAL}.agent.started"),
            r#"{"scope":"agent","action":"started","info":{"version":"9.9.8"}}"#,
        )
        .await;
    until("the agent is known", async || {
        let found = stack.emote(&["deploy", "send", "--older-than", "9.9.9", "--dry-run"]).await;
        String::from_utf8_lossy(&found.stderr).contains("as no UDID of it is known: 1 Mac")
    })
    .await;
    refused(&stack, &["deploy", "send", SERIAL], 1, &format!("the node {SERIAL} has no known UDID")).await;

    let hook = emote_tests::webhook::authenticate(SERIAL, UDID, "h-1");
    assert_eq!(stack.nanomdm(&hook).await.status, 200);
    stack.settled().await;
    stack.shown(&["deploy", "send", SERIAL, "-m", "HD-2"]).await;
    refused(&stack, &["deploy", "send", SERIAL], 1, "9.9.9 is being installed there since").await;
    let bulk = stack.emote(&["deploy", "send", "--older-than", "9.9.9", "--yes"]).await;
    let text = String::from_utf8_lossy(&bulk.stderr).into_owned();
    assert!(bulk.status.success() && text.contains("as it is being installed there: 1 Mac"), "{text}");
    let next = package(&stack, "io.emote.agent", "9.9.10").display().to_string();
    let kept = stack.shown(&["deploy", "add", "--unsigned", "--only-keep", &next]).await;
    assert!(kept.contains("`emote deploy use 9.9.10` deploys it"), "{kept}");
    stack.shown(&["deploy", "use", "9.9.10"]).await;
    refused(&stack, &["deploy", "rm", "9.9.9"], 1, &format!("9.9.9 is being installed on {SERIAL}: wait")).await;
    stack.shown(&["deploy", "use", "9.9.9"]).await;
    stack.shown(&["deploy", "rm", "9.9.10"]).await;
    until("it is overdue", async || actions(&stack, SERIAL).await == ["started", "overdue"]).await;
    let overdue = stack.emote(&["deploy", "watch", SERIAL, "--timeout", "1"]).await;
    assert_eq!(overdue.status.code(), Some(1), "it is waited for further: {overdue:?}");

    let status: Value = serde_json::from_str(&stack.shown(&["deploy", "status", SERIAL, "-o", "json"]).await).unwrap();
    assert_eq!((&status["state"], &status["had"]), (&json!("overdue"), &json!("9.9.8")));
    assert_eq!(status["note"], "HD-2");
    let command_uuid = told(&stack, SERIAL).await[0]["info"]["command_uuid"].as_str().unwrap().to_owned();
    let commands: Vec<String> =
        stack.mdm.seen().into_iter().map(|seen| String::from_utf8_lossy(&seen.body).into_owned()).collect();
    assert_eq!(commands.iter().filter(|body| body.contains(&command_uuid)).count(), 1, "{commands:?}");
    assert_eq!(stack.nanomdm(&answer(&command_uuid, "NotNow", "")).await.status, 200);
    assert_eq!(stack.nanomdm(&answer(&command_uuid, "Error", NO_ROOM)).await.status, 200);
    until("the failure is told", async || {
        actions(&stack, SERIAL).await == ["started", "overdue", "deferred", "failed"]
    })
    .await;
    let failed = &told(&stack, SERIAL).await[3];
    assert_eq!(failed["info"]["reason"], "no room on the disk");
    assert_eq!(failed["info"]["error_chain"][0]["code"], 12);
    let watched = stack.emote(&["deploy", "watch", SERIAL]).await;
    let text = String::from_utf8_lossy(&watched.stdout).into_owned();
    assert!(watched.status.code() == Some(1) && text.contains("no room on the disk"), "{text}");
    let table = stack.shown(&["deploy", "status"]).await;
    assert!(table.contains("failed") && table.contains("no room on the disk"), "{table}");
}

#[tokio::test]
async fn a_folder_that_cannot_deploy_says_what_is_missing() {
    let stack = Stack::new().without_nats().start().await;
    let folder = stack.config.display().to_string();
    let check = async |said: &str| {
        let output = emote_tests::emote(&["check", &folder]).await;
        let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        assert_eq!(
            (output.status.code(), text.contains(said)),
            (Some(if said.is_empty() { 0 } else { 3 }), true),
            "{said}: {text}"
        );
    };
    let file = stack.config.join("deploy.yaml");
    deployed_from(&stack.config, "https://emote.example.com", "https://mdm.example.com", "");
    check("").await;
    std::fs::remove_file(&file).unwrap();
    check("targets/install-agent.yaml: it installs the agent, and deploy.yaml is missing").await;
    for (text, said) in [
        (
            "url: http://emote.example.com\ntarget: install-agent\n",
            "deploy.yaml:1:1: url: \"http://emote.example.com\" is no address that a Mac installs from",
        ),
        (
            "url: https://emote.example.com\ntarget: mdm\n",
            "deploy.yaml:2:1: target: mdm does not install the agent: expected one of install-agent",
        ),
        ("url: https://emote.example.com\ntarget: x\n", "target: x is no target: expected one of install-agent"),
        ("url: http://emote.example.com\ntarget: x\n", "target: x is no target: expected one of install-agent"),
        ("url: https://emote.example.com\n", "target: is missing"),
        (
            "url: https://emote.example.com\ntarget: install-agent\noverdue_after: 90d\n",
            "overdue_after: expected a length of time",
        ),
        ("url: https://emote.example.com\ntarget: install-agent\npackage: x\n", "package: unknown key"),
    ] {
        std::fs::write(&file, text).unwrap();
        check(said).await;
    }
}

/// As for a broker that comes a month later.
#[tokio::test]
async fn what_is_deployed_outlives_the_event_that_said_so() {
    let mut stack = Stack::new().without_broker().start().await;
    deployed_from(&stack.config, "https://127.0.0.1:1", "http://127.0.0.1:1", "");
    stack.broker.start().await;
    let built = package(&stack, "io.emote.agent", VERSION).display().to_string();
    stack.shown(&["deploy", "add", "--unsigned", &built]).await;
    until("the checkpoint has it", async || {
        let checkpoints = stack.streams.read("DELIVERIES", "checkpoint.>").await;
        checkpoints.last().is_some_and(|checkpoint| checkpoint.json()["package"]["version"] == VERSION)
    })
    .await;
    stack.broker.kill();
    stack.streams.js.get_stream("EVENTS").await.unwrap().purge().await.unwrap();
    std::fs::remove_file(stack.broker.store()).unwrap();
    stack.broker.start().await;
    until("it is deployed still", async || {
        let listed = stack.emote(&["deploy", "ls", "-o", "json"]).await;
        serde_json::from_slice::<Value>(&listed.stdout)
            .is_ok_and(|listed| listed["package"]["version"] == VERSION && listed["deployed"] == true)
    })
    .await;
}
