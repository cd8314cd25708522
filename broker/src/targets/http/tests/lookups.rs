//! What is looked up before a request.

use serde_json::{Value, json};

use super::super::super::testing::{Reply, Stand, job, problems, show};
use crate::core::Job;

const YAML: &str = r#"
    kind: http
    url: '%URL%/api'
    auth: {bearer: '${file:token}'}
    settings: {site: north}
    lookup:
      - name: computer
        path: '"computers"'
        query: '{serial: .serial, site: .settings.site}'
        take: '.serial as $serial | [.body.results[] | select(.serial == $serial)] | first'
        missing: '"no computer with the serial number \(.serial) at the MDM"'
      - name: group
        method: POST
        read: true
        path: '["groups", .lookup.computer.id]'
        body: '{of: .lookup.computer.id}'
        take: .body.name
    path: '["computers", .lookup.computer.id, "lock"]'
    body: '{group: .lookup.group, why: .input.why}'
    device: true
"#;
const FOUND: Reply = (200, &[], r#"{"results":[{"serial":"OTHER","id":1},{"serial":"C02XL0GTJGH5","id":7}]}"#);

#[tokio::test]
async fn each_step_sees_what_those_before_it_found() {
    let stand = Stand::replying(&[FOUND, (200, &[], r#"{"name":"staff"}"#), (201, &[], "")]).await;
    let outcome = stand.deliver(YAML, &job(), &json!({"why": "lost"})).await;
    assert!(show(&outcome).starts_with("done http.request"), "{outcome:?}");
    insta::assert_snapshot!(stand.seen(), @r#"
    GET /api/computers?serial=C02XL0GTJGH5&site=north
    authorization: Bearer t0ken-hunter2


    ---
    POST /api/groups/7
    authorization: Bearer t0ken-hunter2
    content-type: application/json

    {"of":7}
    ---
    POST /api/computers/7/lock
    authorization: Bearer t0ken-hunter2
    content-type: application/json
    idempotency-key: a64c29d5-87af-5257-b215-b904e4a840d8/the-rule/the-target

    {"group":"staff","why":"lost"}
    "#);
}

#[tokio::test]
async fn what_is_not_found_ends_the_job_by_name_and_nothing_else_is_sent() {
    for (reply, expected) in [
        ((200, &[][..], r#"{"results":[]}"#), "never no computer with the serial number C02XL0GTJGH5 at the MDM"),
        (
            (404, &[], "gone"),
            "never no computer with the serial number C02XL0GTJGH5 at the MDM (answered 404 Not Found: gone)",
        ),
        ((200, &[], "no JSON"), "never the lookup computer: take: cannot index"),
        ((500, &[], "%AUTH%"), "retry the lookup computer: answered 500 Internal Server Error: Bearer …"),
        ((429, &[("retry-after", "3")], ""), "retry 3s the lookup computer: answered 429 Too Many Requests"),
        ((403, &[], ""), "never the lookup computer: answered 403 Forbidden"),
    ] {
        let stand = Stand::replying(&[reply]).await;
        let outcome = show(&stand.deliver(YAML, &job(), &Value::Null).await);
        assert!(outcome.starts_with(expected), "{outcome}");
        assert_eq!(stand.seen().matches("\n---\n").count(), 0);
    }
}

#[tokio::test]
async fn a_job_about_no_device_asks_nobody() {
    let stand = Stand::replying(&[FOUND]).await;
    let mut nobody = Job { node: None, ..job() };
    nobody.event.device = None;
    let outcome = show(&stand.deliver(YAML, &nobody, &Value::Null).await);
    assert!(outcome.starts_with("never the event is about no device"), "{outcome}");
    assert_eq!(stand.seen(), "");
}

#[tokio::test]
async fn what_is_found_holds_no_secret() {
    let yaml = "kind: http\nurl: '%URL%'\nauth: {bearer: '${file:token}'}\nlookup: [{name: it, take: .body}]\nbody: .lookup.it";
    let stand = Stand::replying(&[(200, &[], r#""t0ken\u002dhunter2""#), (200, &[], "")]).await;
    stand.deliver(yaml, &job(), &Value::Null).await;
    assert!(stand.seen().ends_with("\n\n\"…\""));
}

#[test]
fn a_step_changes_nothing_and_says_what_it_takes() {
    let yaml = r#"
        kind: http
        url: https://x
        lookup:
          - {name: one, method: POST, take: .}
          - {name: one, method: DELETE, read: true, take: .}
          - {name: Two, body: .}
          - x
        batch: {max: 3}
    "#;
    insta::assert_snapshot!(problems(yaml), @r#"
    lookup[0].method: a lookup changes nothing: expected GET, or POST with read: true
    lookup[1].method: a lookup changes nothing: expected GET, or POST with read: true
    lookup[2].name: expected a word in lower case such as computer
    lookup[2].body: a GET has none: say method: POST and read: true
    lookup[2].take: is missing: for example take: .body.id
    lookup[3]: expected an object, found a text
    lookup[1].name: another step has this name
    batch: a request for several jobs can neither look up nor have a PIN for each of them
    "#);
}
