use super::*;
use crate::targets::testing::{Reply, Stand, job, problems, show};

const NANO: &str = "kind: mdm\nserver: nanomdm\nurl: '%URL%/base/'\napi_key: '${file:token}'\npin_key: '${file:pin}'";
const MICRO: &str = "kind: mdm\nserver: micromdm\nurl: '%URL%'\napi_key: '${file:token}'\npin_key: '${file:pin}'";
const OK: Reply = (200, &[], r#"{"status":{"A-1":{"push_result":"x"}},"command_uuid":"x"}"#);

#[tokio::test]
async fn a_lock_is_enqueued_with_a_pin_that_only_the_key_gives() {
    let stand = Stand::replying(&[OK]).await;
    let input = json!({"request_type": "DeviceLock", "message": "Call IT"});
    let outcome = stand.deliver(NANO, &job(), &input).await;
    insta::assert_snapshot!(show(&outcome), @r#"done mdm.command_sent {"command_uuid":"0EFA6B20-DC5B-5352-895A-530171847961","request_type":"DeviceLock","udid":"A-1"}"#);
    let seen = stand.seen();
    insta::assert_snapshot!(seen, @r#"
    PUT /base/v1/enqueue/A-1
    authorization: Basic bmFub21kbTp0MGtlbi1odW50ZXIy
    content-type: application/xml
    idempotency-key: a64c29d5-87af-5257-b215-b904e4a840d8/the-rule/the-target

    <?xml version="1.0" encoding="UTF-8"?>
    <!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
    <plist version="1.0">
    <dict>
    	<key>Command</key>
    	<dict>
    		<key>RequestType</key>
    		<string>DeviceLock</string>
    		<key>Message</key>
    		<string>Call IT</string>
    		<key>PIN</key>
    		<string>082117</string>
    	</dict>
    	<key>CommandUUID</key>
    	<string>0EFA6B20-DC5B-5352-895A-530171847961</string>
    </dict>
    </plist>
    "#);
    let pin = pin_for(&Secret::new(crate::targets::testing::PIN_KEY), &job().id.command_uuid());
    assert!(seen.contains(&format!("<string>{}</string>", pin.expose())));
    stand.deliver(NANO, &job(), &input).await;
    assert_eq!(stand.seen(), seen, "a repeated job is the same command");
}

#[tokio::test]
async fn what_nanomdm_says_decides() {
    for (status, reply, expected) in [
        (200, r#"{"command_uuid":"x"}"#, "done mdm.command_sent "),
        (200, "", "done mdm.command_sent "),
        (500, r#"{"status":{"A-1":{"push_error":"no push token"}}}"#, r#"done mdm.command_sent "no push token""#),
        (207, r#"{"status":{"A-1":{"push_error":"BadDeviceToken"}}}"#, r#"done mdm.command_sent "BadDeviceToken""#),
        (500, r#"{"push_error":"no push cert"}"#, r#"done mdm.command_sent "no push cert""#),
        (500, r#"{"command_error":"disk full"}"#, "retry NanoMDM: disk full"),
        (500, r#"{"status":{"A-1":{"command_error":"disk full"}}}"#, "retry NanoMDM: disk full"),
        (500, r#"{"command_error":"decoding command: EOF"}"#, "never NanoMDM: decoding command: EOF"),
        (400, r#"{"command_error":"no"}"#, "never NanoMDM: no"),
        (502, "<html>bad gateway</html>", "retry answered 502 Bad Gateway: <html>bad gateway</html>"),
        (401, "Unauthorized %AUTH%", "never answered 401 Unauthorized: Unauthorized Basic …: check the api_key"),
        (403, "", "never answered 403 Forbidden: check the api_key"),
        (
            404,
            "404 page not found",
            "never answered 404 Not Found: 404 page not found: there is no MDM's API at this url",
        ),
    ] {
        let stand = Stand::replying(&[(status, &[], reply)]).await;
        let outcome = show(&stand.deliver(NANO, &job(), &json!({"request_type": "DeviceLock"})).await);
        let outcome = outcome.split_once('{').map_or(outcome.clone(), |(start, info)| {
            let info: Value = serde_json::from_str(&format!("{{{info}")).unwrap_or_default();
            let error = info.get("push_error").map(Value::to_string).unwrap_or_default();
            format!("{start}{error}")
        });
        assert!(outcome.starts_with(expected), "{outcome}\n{expected}");
    }
}

#[tokio::test]
async fn a_pin_that_the_server_repeats_is_not_shown() {
    let stand = Stand::replying(&[(500, &[], "%BODY%")]).await;
    let pin = pin_for(&Secret::new(crate::targets::testing::PIN_KEY), &job().id.command_uuid());
    for server in [NANO, MICRO] {
        let outcome = show(&stand.deliver(server, &job(), &json!({"request_type": "DeviceLock"})).await);
        assert!(outcome.starts_with("retry ") && !outcome.contains(pin.expose()), "{outcome}");
    }
    assert!(stand.seen().contains(pin.expose()));
}

#[tokio::test]
async fn a_command_that_is_there_already_is_done_and_the_device_woken() {
    for reply in [
        r#"{"command_error":"command already exists: X"}"#,
        r#"{"command_error":"Error 1062 (23000): Duplicate entry 'X' for key 'commands.PRIMARY'"}"#,
        r#"{"command_error":"ERROR: duplicate key value violates unique constraint \"commands_pkey\""}"#,
    ] {
        let stand = Stand::replying(&[(500, &[], reply), OK]).await;
        let outcome = stand.deliver(NANO, &job(), &json!({"request_type": "DeviceInformation"})).await;
        assert!(show(&outcome).contains(r#""already_queued":true"#), "{outcome:?}");
        let seen = stand.seen();
        assert!(seen.contains("\n---\nGET /base/v1/push/A-1\n"), "{seen}");
    }
}

#[tokio::test]
async fn micromdm_takes_the_raw_command_and_is_asked_to_push() {
    let stand = Stand::replying(&[(201, &[], "{}"), (500, &[], "no push cert")]).await;
    let outcome = stand.deliver(MICRO, &job(), &json!({"request_type": "Settings", "name": "ada-mbp"})).await;
    insta::assert_snapshot!(show(&outcome), @r#"done mdm.command_sent {"command_uuid":"0EFA6B20-DC5B-5352-895A-530171847961","push_error":"answered 500 Internal Server Error: no push cert","request_type":"Settings","udid":"A-1"}"#);
    insta::assert_snapshot!(stand.seen(), @r#"
    POST /v1/commands/A-1
    authorization: Basic bWljcm9tZG06dDBrZW4taHVudGVyMg==
    content-type: application/xml
    idempotency-key: a64c29d5-87af-5257-b215-b904e4a840d8/the-rule/the-target

    <?xml version="1.0" encoding="UTF-8"?>
    <!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
    <plist version="1.0">
    <dict>
    	<key>Command</key>
    	<dict>
    		<key>RequestType</key>
    		<string>Settings</string>
    		<key>Settings</key>
    		<array>
    			<dict>
    				<key>Item</key>
    				<string>DeviceName</string>
    				<key>DeviceName</key>
    				<string>ada-mbp</string>
    			</dict>
    		</array>
    	</dict>
    	<key>CommandUUID</key>
    	<string>0EFA6B20-DC5B-5352-895A-530171847961</string>
    </dict>
    </plist>
    ---
    GET /push/A-1
    authorization: Basic bWljcm9tZG06dDBrZW4taHVudGVyMg==
    "#);
    for (status, expected) in [(400, "never"), (401, "never"), (404, "never"), (429, "retry"), (500, "retry")] {
        let stand = Stand::replying(&[(status, &[], "")]).await;
        let outcome = show(&stand.deliver(MICRO, &job(), &json!({"request_type": "DeviceLock"})).await);
        assert!(outcome.starts_with(expected), "{status}: {outcome}");
    }
}

#[tokio::test]
async fn the_command_goes_to_the_jobs_own_device_or_nowhere() {
    let stand = Stand::replying(&[OK]).await;
    let with = |node: Value, udid: Option<&str>| {
        let mut job = job();
        job.node = Some(node).filter(|node| !node.is_null()).map(Into::into);
        job.event.device.get_or_insert_default().udid = udid.map(str::to_owned);
        job
    };
    for (job, expected) in [
        (with(json!({"serial": "C02XL0GTJGH5", "udid": "B"}), Some("A")), "done B"),
        (with(json!({"serial": "C02XL0GTJGH5"}), Some("A")), "done A"),
        (with(Value::Null, Some("A")), "done A"),
        (with(json!({"serial": "OTHER"}), Some("A")), "never the node OTHER has no known UDID"),
        (with(json!({"serial": "OTHER", "udid": ""}), None), "never the node OTHER has no known UDID"),
        (with(json!({"udid": "A,B"}), None), "never the node C02XL0GTJGH5 has a UDID that is none"),
        (with(json!({"udid": "../A"}), None), "never the node C02XL0GTJGH5 has a UDID that is none"),
    ] {
        let outcome = stand.deliver(NANO, &job, &json!({"request_type": "DeviceInformation"})).await;
        let found = match &outcome {
            Outcome::Done(report) => format!("done {}", report.info["udid"].as_str().unwrap()),
            other => show(other),
        };
        assert!(found.starts_with(expected), "{found}");
    }
}

#[tokio::test]
async fn a_lock_without_a_pin_key_is_refused() {
    let stand = Stand::replying(&[OK]).await;
    let yaml = NANO.replace("\npin_key: '${file:pin}'", "");
    let outcome = show(&stand.deliver(&yaml, &job(), &json!({"request_type": "DeviceLock"})).await);
    assert!(outcome.starts_with("never DeviceLock needs a PIN"), "{outcome}");
    assert!(
        show(&stand.deliver(&yaml, &job(), &json!({"request_type": "DeviceInformation"})).await).starts_with("done")
    );
}

#[test]
fn the_settings_are_checked() {
    insta::assert_snapshot!(problems("kind: mdm"), @r#"
    server: is missing: for example server: nanomdm
    url: is missing: for example url: https://mdm.example.com
    api_key: is missing: for example api_key: ${env:NANOMDM_API_KEY}
    "#);
    insta::assert_snapshot!(problems("kind: mdm\nserver: jamf\nurl: x\napi_key: hunter2\npin: 123456"), @r#"
    server: expected micromdm or nanomdm
    url: not a URL (relative URL without a base): for example https://hooks.example.com/emote
    api_key: a secret is given by reference, ${env:NAME} or ${file:PATH}, never in the file itself
    pin: unknown key: expected one of api_key, batch, breaker, command, concurrency, destructive, guard, insecure, kind, max_age, ordered, pin_key, push, rate, retry, server, timeout, url
    "#);
    let folder = crate::targets::testing::secrets();
    let yaml = NANO.replace("%URL%", "https://x").replace("file:pin", "file:short");
    let found = crate::targets::testing::validate(&yaml).unwrap().resolve(folder.path()).err().unwrap();
    insta::assert_snapshot!(crate::targets::testing::lines(found), @"pin_key: is too short: 16 random characters at least");
}

#[tokio::test]
async fn a_target_may_have_a_command_of_its_own() {
    let stand = Stand::replying(&[OK]).await;
    let yaml = format!("{NANO}\ncommand: {{request_type: RestartDevice}}");
    // What the rule says of it does not count, and neither does an event.
    let outcome = show(&stand.deliver(&yaml, &job(), &json!({"RequestType": "DeviceLock"})).await);
    assert!(outcome.contains("\"request_type\":\"RestartDevice\""), "{outcome}");
    let without_input = Job { input: None, ..job() };
    let outcome = show(&stand.deliver(&yaml, &without_input, &json!({"scope": "device"})).await);
    assert!(outcome.starts_with("done"), "{outcome}");
    let name = format!("{NANO}\ncommand: {{request_type: Settings}}");
    let outcome = show(&stand.deliver(&name, &job(), &json!({"name": "ada-mbp"})).await);
    assert!(outcome.starts_with("done"), "{outcome}");
    let push = format!("{NANO}\npush: true");
    let outcome = show(&stand.deliver(&push, &job(), &json!({"request_type": "DeviceLock"})).await);
    assert_eq!(outcome, r#"done mdm.push_sent {"udid":"A-1"}"#);
    assert!(stand.seen().ends_with("GET /base/v1/push/A-1\nauthorization: Basic bmFub21kbTp0MGtlbi1odW50ZXIy\n\n"));
    let stand = Stand::replying(&[(500, &[], r#"{"push_error":"no push cert"}"#)]).await;
    assert_eq!(show(&stand.deliver(&push, &job(), &Value::Null).await), "never no push cert");
}

#[tokio::test]
async fn only_a_target_that_destroys_erases() {
    let stand = Stand::replying(&[OK]).await;
    let input = json!({"request_type": "EraseDevice", "obliteration_behavior": "Default"});
    let outcome = show(&stand.deliver(NANO, &job(), &input).await);
    assert_eq!(outcome, "never EraseDevice is for targets that say destructive: true");
    let outcome = show(&stand.deliver(&format!("{NANO}\ndestructive: true"), &job(), &input).await);
    let seen = stand.seen();
    assert!(outcome.starts_with("done") && seen.contains("<key>PIN</key>"), "{outcome} {seen}");
    insta::assert_snapshot!(problems("kind: mdm\nserver: nanomdm\nurl: https://x\napi_key: '${env:A}'\npush: true\ncommand: {request_type: EraseDevice}"), @r"
    push: sends no command: leave one of them out
    command.request_type: erases the device: say destructive: true
    ");
    assert!(
        problems("kind: mdm\nserver: nanomdm\nurl: https://x\napi_key: '${env:A}'\ncommand: {request_type: X}")
            .contains("cannot be sent")
    );
}
