//! PINs of locks: made from a key, seen by one program alone, shown nowhere.

use serde_json::{Value, json};

use super::super::super::testing::{PIN_KEY, Stand, job, show};
use crate::{config::Secret, targets::pin_for};

const YAML: &str = "kind: http\nurl: '%URL%'\npin_key: '${file:pin}'\nreport: {scope: mdm, action: device_lock, info: '{a: .pin, b: .body}'}\n";

#[tokio::test]
async fn only_the_named_program_sees_the_pin() {
    let uuid = job().id.command_uuid();
    let pin = pin_for(&Secret::new(PIN_KEY), &uuid);
    for (at, expected) in [
        ("body", format!("POST /null?q=null {{\"pin\":\"{}\"}}", pin.expose())),
        ("path", format!("POST /{}?q=null {{\"pin\":null}}", pin.expose())),
        ("query", format!("POST /null?q={} {{\"pin\":null}}", pin.expose())),
    ] {
        let stand = Stand::replying(&[(200, &[], r#"{"got":"%BODY%"}"#)]).await;
        let yaml = format!("{YAML}pin_in: {at}\npath: '\"\\(.pin)\"'\nquery: '{{q: \"\\(.pin)\"}}'\nbody: '{{pin}}'");
        let outcome = show(&stand.deliver(&yaml, &job(), &Value::Null).await);
        assert!(outcome.starts_with("done mdm.device_lock") && !outcome.contains(pin.expose()), "{outcome}");
        assert!(outcome.contains(&format!("\"command_uuid\":\"{uuid}\"")), "{outcome}");
        let seen = stand.seen();
        let (head, body) = seen.split_once("\n\n").unwrap();
        assert_eq!(format!("{} {body}", head.lines().next().unwrap()), expected);
    }
}

#[tokio::test]
async fn a_pin_that_is_repeated_or_misused_is_not_shown() {
    let pin = pin_for(&Secret::new(PIN_KEY), &job().id.command_uuid());
    for (body, reply) in [
        ("{pin}", (400, &[][..], "%BODY%")),
        ("{pin}", (500, &[], "%BODY%")),
        ("error(.pin)", (200, &[], "")),
        (".pin | fromjson.x", (200, &[], "")),
    ] {
        let stand = Stand::replying(&[reply]).await;
        let outcome = stand.deliver(&format!("{YAML}pin_in: body\nbody: '{body}'"), &job(), &Value::Null).await;
        let outcome = show(&outcome);
        assert!(!outcome.starts_with("done") && !outcome.contains(pin.expose()), "{body}: {outcome}");
    }
}

#[tokio::test]
async fn without_a_program_that_sees_it_there_is_none() {
    let stand = Stand::replying(&[(200, &[], "")]).await;
    let outcome = show(&stand.deliver(&format!("{YAML}body: '{{pin}}'"), &job(), &json!({})).await);
    assert!(outcome.starts_with("done") && !outcome.contains("command_uuid"), "{outcome}");
    assert!(stand.seen().ends_with("{\"pin\":null}"));
}
