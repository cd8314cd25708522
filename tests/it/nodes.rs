//! What is known of nodes, whatever the order in which it becomes known.

use emote_tests::{Stack, until, webhook};
use serde_json::{Value, json};

#[tokio::test]
async fn what_came_under_a_udid_is_joined_when_its_serial_number_is_known() {
    let stack = Stack::new().start().await;
    assert_eq!(stack.nanomdm(&webhook::token_update("U-1", "t", 1)).await.status, 200);
    stack.settled().await;
    let before: Value = serde_json::from_str(&stack.shown(&["node", "U-1", "-o", "json"]).await).unwrap();
    assert_eq!((&before["key"], &before["record"]["serial"]), (&json!("U-1"), &Value::Null));

    assert_eq!(stack.asset(&json!({"serial": "C02", "owner": "ada@example.com", "name": "ada-mbp"})).await.status, 200);
    assert_eq!(stack.nanomdm(&webhook::authenticate("C02", "U-1", "a")).await.status, 200);
    stack.settled().await;
    for key in ["U-1", "C02"] {
        let node: Value = serde_json::from_str(&stack.shown(&["node", key, "-o", "json"]).await).unwrap();
        assert_eq!(node["key"], "C02", "by {key}");
        assert_eq!(node["record"]["sources"]["nanomdm"]["enrolled"]["value"], true, "{node}");
    }
    assert_eq!(stack.shown(&["nodes", "-o", "json"]).await.lines().count(), 1);
    // What the asset record was told under the UDID stands in the joined one.
    let node: Value = serde_json::from_str(&stack.shown(&["node", "C02", "-o", "json"]).await).unwrap();
    assert_eq!(
        (&node["record"]["asset"]["enrolled"], &node["record"]["asset"]["name"]),
        (&json!(true), &json!("ada-mbp"))
    );
    assert_eq!(stack.streams.dead().await.len(), 0);

    // From now on the MDM's events go under the serial number, and her leaving finds the Mac.
    assert_eq!(stack.nanomdm(&webhook::token_update("U-1", "t2", 2)).await.status, 200);
    assert_eq!(stack.okta(&webhook::okta_deactivated(&["ada@example.com"], "h")).await.status, 200);
    let events = stack.settled().await;
    assert!(events.iter().any(|event| event.subject == "events.nanomdm.C02.device.checkin"));
    until("the lock is sent", async || stack.mdm.seen().iter().any(|seen| seen.text().contains("DeviceLock"))).await;
    let (folded, shown) = stack.records().await;
    assert_eq!(folded, shown);
}

#[tokio::test]
async fn an_agent_cannot_speak_for_others_nor_write_its_own_asset_record() {
    let stack = Stack::new().start().await;
    assert_eq!(stack.asset(&json!({"serial": "C02", "owner": "ada@example.com"})).await.status, 200);
    let claim = json!({"scope": "asset", "action": "updated", "info": {"set": {"owner": "mallory@example.com"}}, "device": {"uuid": "C02", "udid": "U-OF-ANOTHER"}});
    stack.streams.publish("events.agent.C02.asset.updated", claim.to_string()).await;
    let login = json!({"scope": "session", "action": "login", "user": {"id": "mallory@example.com"}, "trust": "verified", "cause": null});
    stack.streams.publish("events.agent.C02.session.login", login.to_string()).await;
    stack.settled().await;
    let (folded, shown) = stack.records().await;
    assert_eq!(folded, shown);
    assert_eq!(shown["C02"]["owner"], "ada@example.com");
    let found: Value = serde_json::from_str(&stack.shown(&["node", "C02", "-o", "json"]).await).unwrap();
    assert_eq!(found["record"]["asset"]["owner"], "ada@example.com");
    assert_eq!(stack.emote(&["node", "U-OF-ANOTHER"]).await.status.code(), Some(5));
}

#[tokio::test]
async fn an_event_stream_restored_from_a_backup_is_folded_on() {
    let mut stack = Stack::new().start().await;
    publish_number(&stack, 1).await;
    stack.settled().await;
    // The server's store as it is now comes back later, as after a power cut that took what was not yet synced.
    stack.nats.stop().await;
    let (store, backup) = (stack.config.with_file_name("nats"), stack.config.with_file_name("backup"));
    copy(&store, &backup);
    stack.nats.start_again().await;
    for n in 2..10 {
        publish_number(&stack, n).await;
    }
    stack.settled().await;
    stack.broker.stop().await;
    stack.nats.stop().await;
    std::fs::remove_dir_all(&store).unwrap();
    copy(&backup, &store);
    stack.nats.start_again().await;
    stack.broker.start().await;
    publish_number(&stack, 10).await;
    let log = stack.config.join("data/events.jsonl");
    until("what comes after the backup is folded", async || {
        let text = std::fs::read_to_string(&log).unwrap();
        text.lines().any(|line| serde_json::from_str::<Value>(line).unwrap()["event"]["info"]["n"] == 10)
    })
    .await;
    let (folded, shown) = stack.records().await;
    assert_eq!(folded, shown);
}

#[tokio::test]
async fn jobs_that_are_lost_with_the_end_of_their_stream_are_made_again() {
    let mut stack = Stack::new().start().await;
    publish_number(&stack, 0).await;
    stack.settled().await;
    stack.nats.stop().await;
    let nats = stack.config.with_file_name("nats/jetstream/$G/streams/DELIVERIES");
    let backup = stack.config.with_file_name("backup");
    copy(&nats, &backup);
    stack.nats.start_again().await;
    for n in 1..10 {
        publish_number(&stack, n).await;
    }
    stack.settled().await;
    stack.broker.stop().await;
    stack.nats.stop().await;
    std::fs::remove_dir_all(&nats).unwrap();
    copy(&backup, &nats);
    stack.nats.start_again().await;
    let counted = async |stack: &Stack| {
        let jobs = stack.streams.read("DELIVERIES", "deliver.log.log").await;
        let mut counted: Vec<u64> = jobs.iter().filter_map(|job| job.json()["event"]["info"]["n"].as_u64()).collect();
        counted.sort_unstable();
        counted
    };
    let kept = counted(&stack).await;
    assert!(kept.len() < 10, "some are lost: {kept:?}");
    stack.broker.start().await;
    until("every job is there once", async || counted(&stack).await == (0..10).collect::<Vec<_>>()).await;
    let (folded, shown) = stack.records().await;
    assert_eq!(folded, shown);
}

async fn publish_number(stack: &Stack, n: u64) {
    let event = json!({"scope": "test", "action": "counted", "info": {"n": n}, "log": true});
    stack.streams.publish("events.manual.C02.test.counted", event.to_string()).await;
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    let copied = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}
