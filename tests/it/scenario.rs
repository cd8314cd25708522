//! The scenario from beginning to end, as the quickstart shows it.

use emote_tests::{Stack, Stored, planted, webhook};
use serde_json::{Value, json};

const ADA_1: (&str, &str) = ("C02XL0GTJGH5", "0F1E2D3C-0000-4000-8000-000000000001");
const ADA_2: (&str, &str) = ("FVFXQ2LKJ1WK", "0F1E2D3C-0000-4000-8000-000000000002");
const GRACE: (&str, &str) = ("C07QR1ABCDEF", "0F1E2D3C-0000-4000-8000-000000000003");

fn of_kind<'a>(events: &'a [Stored], source: &str, scope: &str, action: &str) -> Vec<&'a Stored> {
    let wanted = |event: &&Stored| {
        let tokens: Vec<&str> = event.subject.split('.').collect();
        tokens[1] == source && tokens[3] == scope && tokens[4] == action
    };
    events.iter().filter(wanted).collect()
}

/// How often each (path, request type) was accepted by the MDM.
fn commands(stack: &Stack, request_type: &str) -> Vec<String> {
    let wanted = format!("<string>{request_type}</string>");
    let accepted = stack.mdm.accepted().into_iter().filter(|seen| seen.text().contains(&wanted));
    let mut devices: Vec<String> = accepted.map(|seen| seen.path.rsplit('/').next().unwrap().to_owned()).collect();
    devices.sort();
    devices
}

async fn enrol(stack: &Stack, (serial, udid): (&str, &str)) {
    let first = webhook::authenticate(serial, udid, &format!("{serial}-a"));
    let last = webhook::token_update(udid, &format!("{serial}-t"), 1);
    for payload in [first, last] {
        let posted = stack.nanomdm(&payload).await;
        assert_eq!((posted.status, posted.events().len()), (200, 1), "{posted:?}");
    }
}

#[tokio::test]
async fn from_enrolment_to_lock_everything_happens_exactly_once() {
    let stack = Stack::new().agent(ADA_1.0).start().await;
    for (serial, name, owner) in [
        (ADA_1.0, "ada-mbp", "ada@example.com"),
        (ADA_2.0, "ada-air", "Ada@Example.com"),
        (GRACE.0, "grace-mbp", "grace@example.com"),
    ] {
        assert_eq!(stack.asset(&json!({"serial": serial, "name": name, "owner": owner})).await.status, 200);
    }
    for device in [ADA_1, ADA_2, GRACE] {
        enrol(&stack, device).await;
    }
    // NanoMDM and Okta may send again what was taken.
    let again = webhook::token_update(ADA_1.1, &format!("{}-t", ADA_1.0), 1);
    assert_eq!(stack.nanomdm(&again).await.status, 200);
    stack.settled().await;
    assert_eq!(commands(&stack, "DeviceName"), [ADA_1.1, ADA_2.1, GRACE.1]);
    assert!(stack.mdm.accepted().iter().any(|seen| seen.text().contains("<string>ada-air</string>")));

    // The MDM is away for a moment when the locks go out.
    let mut left = 5;
    stack.mdm.answer(move |seen| {
        left -= 1;
        if left >= 0 { (500, Vec::new(), "oops".to_owned()) } else { Stack::enqueued(seen) }
    });
    let leaver = webhook::okta_deactivated(&["Ada@Example.com"], "hook-1");
    for _ in 0..3 {
        assert_eq!(stack.okta(&leaver).await.status, 200);
    }
    let emitted = stack.agents[0]
        .emit_by_program(&["security", "changed", "--info", "filevault=false", "--communicate", "--log"])
        .await;
    stack.settled_with(|stack| stack.slack.seen().len() == 1 && commands(stack, "DeviceLock").len() == 2).await;
    let events = stack.settled().await;

    assert_eq!(commands(&stack, "DeviceLock"), [ADA_1.1, ADA_2.1], "hers, each once, and nobody else's");
    let uuids: std::collections::BTreeSet<String> = stack.mdm.seen().iter().map(|seen| seen.key()).collect();
    assert_eq!(uuids.len(), 5, "an attempt is repeated under the same key");
    assert_eq!(stack.slack.accepted().len(), 1);
    assert!(stack.slack.seen()[0].text().contains(ADA_1.0));
    let lines = std::fs::read_to_string(stack.config.join("data/events.jsonl")).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().map(|line| &line["event"]["id"]).collect::<Vec<_>>(), [&json!(emitted)]);

    assert_eq!(of_kind(&events, "nanomdm", "device", "enroll").len(), 3);
    assert_eq!(of_kind(&events, "broker", "asset", "updated").len(), 3);
    assert_eq!(of_kind(&events, "broker", "communicate", "slack_post").len(), 1);
    assert_eq!(of_kind(&events, "broker", "log", "written").len(), 1);
    let deactivated = of_kind(&events, "okta", "user", "deactivated");
    assert_eq!(deactivated.len(), 1);
    let sent = of_kind(&events, "broker", "mdm", "command_sent");
    let locks: Vec<Value> =
        sent.iter().map(|event| event.json()).filter(|event| event["info"]["request_type"] == "DeviceLock").collect();
    assert_eq!(locks.len(), 2);
    for lock in &locks {
        let cause = &lock["cause"];
        assert_eq!(cause["event"], deactivated[0].json()["id"]);
        assert_eq!(cause["root"], deactivated[0].json()["id"]);
        assert_eq!(
            (&cause["rule"], &cause["target"], &cause["depth"]),
            (&json!("lock-leavers"), &json!("mdm-lock"), &json!(1))
        );
    }
    let (folded, shown) = stack.records().await;
    assert_eq!(folded, shown);
    assert_eq!(shown.len(), 3);
    assert_eq!(shown[ADA_2.0]["asset"]["owner"], "ada@example.com");
    assert_eq!(shown[ADA_1.0]["udid"], ADA_1.1);
    no_secret_is_anywhere(&stack, &events).await;
}

/// Neither in a stream, nor in a log, nor in the log target's file.
async fn no_secret_is_anywhere(stack: &Stack, events: &[Stored]) {
    let mut haystack = stack.logged();
    haystack.push_str(&std::fs::read_to_string(stack.config.join("data/events.jsonl")).unwrap());
    for stored in events.iter().chain(&stack.streams.jobs().await).chain(&stack.streams.dead().await) {
        haystack.push_str(&String::from_utf8_lossy(&stored.payload));
        haystack.push_str(&format!("{:?}", stored.headers));
    }
    let mut secrets: Vec<String> = std::fs::read_dir(stack.config.join("secrets"))
        .unwrap()
        .map(|file| stack.secret(file.unwrap().file_name().to_str().unwrap()))
        .collect();
    assert!(secrets.len() >= 6);
    secrets.push(planted("slack-webhook"));
    for lock in stack.mdm.accepted().iter().filter(|seen| seen.text().contains("<key>PIN</key>")) {
        let text = lock.text();
        let pin = text.split("<key>PIN</key>").nth(1).unwrap();
        let pin = pin.split("<string>").nth(1).unwrap().split('<').next().unwrap();
        secrets.push(format!("\"{pin}\""));
    }
    for secret in secrets {
        assert!(
            !haystack.contains(&secret),
            "a secret is shown: …{}",
            &haystack[haystack.find(&secret).unwrap()..][..200]
        );
    }
}
