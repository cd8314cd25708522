//! The real counterparts: the `nats` command line, and NanoMDM with a device that enrols.

use std::process::Command;

use emote_tests::{NanoMdm, Process, Seen, Stack, required, string_after, until};
use serde_json::{Value, json};

#[tokio::test]
async fn the_nats_command_line_reads_and_writes_events_and_shows_the_lag() {
    let Some(nats) = required("nats") else { return };
    let stack = Stack::new().start().await;
    let url = stack.nats.url();
    let with = |args: &[&'static str]| {
        let mut command = Command::new(&nats);
        command.args(["--server", &url, "--no-context"]).args(args);
        command
    };
    let subscribed = Process::start("nats-sub", with(&["sub", "--raw", "events.>"]), &stack.logs);
    // The smallest event there is, as it stands in the README.
    let event =
        r#"{"scope":"device","action":"enroll","device":{"uuid":"C02XL0GTJGH5"},"communicate":true,"log":true}"#;
    until("what `nats pub` publishes is shown by `nats sub`", async || {
        let published = with(&["pub", "events.manual.C02XL0GTJGH5.device.enroll", event]).output().unwrap();
        assert!(published.status.success(), "{published:?}");
        subscribed.log().contains(event)
    })
    .await;
    until("its results are shown, too", async || {
        let log = subscribed.log();
        let found = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let actions: Vec<Value> = found.map(|event| event["action"].clone()).collect();
        actions.contains(&json!("slack_post")) && actions.contains(&json!("written"))
    })
    .await;
    stack.settled().await;
    let info = with(&["consumer", "info", "EVENTS", "core-0", "--json"]).output().unwrap();
    let info: Value = serde_json::from_slice(&info.stdout).unwrap_or_else(|_| panic!("{info:?}"));
    assert_eq!((&info["name"], &info["num_pending"]), (&json!("core-0"), &json!(0)), "{info}");
    let jobs = with(&["consumer", "info", "DELIVERIES", "target-slack", "--json"]).output().unwrap();
    let jobs: Value = serde_json::from_slice(&jobs.stdout).unwrap_or_else(|_| panic!("{jobs:?}"));
    assert_eq!(jobs["num_ack_pending"], 0, "{jobs}");
}

#[tokio::test]
async fn a_device_of_a_real_nanomdm_is_named_when_it_enrols_and_locked_when_its_owner_leaves() {
    let Some(nanomdm) = required("nanomdm") else { return };
    let mut stack = Stack::new().without_broker().start().await;
    let server = NanoMdm::start(&nanomdm, &stack).await;
    stack.lead_broker_to_mdm(&server.url);
    stack.broker.start().await;

    let asset = json!({"serial": "C02XL0GTJGH5", "name": "ada-mbp", "owner": "ada@example.com"});
    assert_eq!(stack.asset(&asset).await.status, 200);
    let udid = "0F1E2D3C-0000-4000-8000-000000000001";
    let device = server.device(&stack, udid);
    device
        .check_in(
            "Authenticate",
            "<key>SerialNumber</key><string>C02XL0GTJGH5</string><key>Model</key><string>Mac14,2</string>",
        )
        .await;
    // NanoMDM sends each webhook by itself, and two that are a millisecond apart in any order; a Mac takes its time.
    until("the first check-in is in the log", async || {
        !stack.streams.read("EVENTS", "events.nanomdm.C02XL0GTJGH5.>").await.is_empty()
    })
    .await;
    device
        .check_in("TokenUpdate", "<key>PushMagic</key><string>magic</string><key>Token</key><data>AAECAw==</data>")
        .await;
    stack.settled().await;
    let named = device.next_command().await;
    assert_eq!(string_after(&named, "DeviceName"), "ada-mbp");
    assert_eq!(device.acknowledge(&string_after(&named, "CommandUUID")).await, "", "no other command");

    let leaver = emote_tests::webhook::okta_deactivated(&["ada@example.com"], "h");
    assert_eq!(stack.okta(&leaver).await.status, 200);
    stack.settled().await;
    let lock = device.next_command().await;
    assert_eq!(string_after(&lock, "RequestType"), "DeviceLock");
    let pin = string_after(&lock, "PIN");
    assert!(pin.len() == 6 && pin.bytes().all(|byte| byte.is_ascii_digit()), "{pin}");
    let command_uuid = string_after(&lock, "CommandUUID");
    assert_eq!(device.acknowledge(&command_uuid).await, "", "locked once");

    let mut acknowledged = Vec::new();
    until("the acknowledgement comes back as an event", async || {
        acknowledged = stack.streams.read("EVENTS", "events.nanomdm.C02XL0GTJGH5.mdm.command_acknowledged").await;
        acknowledged.len() == 2
    })
    .await;
    assert_eq!(acknowledged[1].json()["info"]["command_uuid"], json!(command_uuid));
    assert_eq!(acknowledged[1].json()["trust"], "verified");
    stack.settled().await;
    let asked: Vec<Seen> = stack.mdm.seen();
    assert!(asked.is_empty(), "nobody asked the stand-in");
}
