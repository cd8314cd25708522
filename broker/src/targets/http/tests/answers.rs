//! What answers mean, and requests for several jobs.

use std::io::Read as _;

use serde_json::{Value, json};

use super::super::super::testing::{Stand, job, problems, show};
use super::job_of;

#[tokio::test]
async fn a_program_knows_better_than_the_status() {
    let yaml = |answer: &str| {
        format!("kind: http\nurl: '%URL%'\nreport: {{scope: mdm, action: device_lock}}\nanswer: '{answer}'")
    };
    for (answer, reply, expected) in [
        (
            "null",
            (200, &[][..], ""),
            "done mdm.device_lock {\"method\":\"POST\",\"status\":200,\"target\":\"the-target\"}",
        ),
        ("true", (500, &[], "x"), "retry answered 500 Internal Server Error: x"),
        ("false", (200, &[], "no"), "never answered 200 OK: no"),
        (
            "if .body.ok then null else {never: .body.error} end",
            (200, &[], "{\"ok\":false,\"error\":\"no_such\"}"),
            "never no_such",
        ),
        ("{retry: \"busy\"}", (200, &[("retry-after", "4")], ""), "retry 4s busy"),
        (
            "{report: {id: .body.id, node: .serial}}",
            (409, &[], "{\"id\":3}"),
            "done mdm.device_lock {\"id\":3,\"method\":\"POST\",\"node\":\"C02XL0GTJGH5\",\"status\":409,\"target\":\"the-target\"}",
        ),
        (
            "{report: {a: .headers[\"x-id\"]}}",
            (200, &[("x-id", "7")], ""),
            "done mdm.device_lock {\"a\":\"7\",\"method\"",
        ),
        (
            "{report: {a: (\"x\" * 20000)}}",
            (200, &[], ""),
            "done mdm.device_lock {\"method\":\"POST\",\"report\":\"left out: it is too large\"",
        ),
        (
            "{}",
            (200, &[], ""),
            "never answer: the program gave an object without one of retry, never and report; the status is 200",
        ),
        ("{retry: 1, never: 2}", (200, &[], ""), "never answer: the program gave an object"),
        ("3", (200, &[], ""), "never answer: the program gave a number"),
        ("error(\"x\")", (200, &[], ""), "never answer: x; the status is 200"),
        ("error(\"x\")", (503, &[], ""), "retry answered 503 Service Unavailable"),
    ] {
        let stand = Stand::replying(&[reply]).await;
        let outcome = show(&stand.deliver(&yaml(answer), &job(), &Value::Null).await);
        assert!(outcome.starts_with(expected), "{answer}: {outcome}");
    }
}

#[tokio::test]
async fn no_program_shows_a_secret() {
    let yaml = "kind: http\nurl: '%URL%'\nauth: {bearer: '${file:token}'}\nreport: {scope: a, action: b, info: '{c: .body}'}\nanswer: '{report: {d: .body, (.body): 1}}'";
    let stand = Stand::replying(&[(200, &[], r#""t0ken\u002dhunter2""#)]).await;
    let outcome = show(&stand.deliver(yaml, &job(), &Value::Null).await);
    assert!(outcome.starts_with(r#"done a.b {"c":"…","d":"…","method""#), "{outcome}");
}

async fn several(yaml: &str, inputs: &[Value], reply: (u16, &'static str)) -> (Vec<String>, Vec<String>) {
    let stand = Stand::replying(&[(reply.0, &[], reply.1)]).await;
    let target = stand.target(&format!("kind: http\nurl: '%URL%'\nbatch: {{max: 100}}\n{yaml}"));
    let jobs: Vec<_> = (0..inputs.len()).map(|at| job_of(&format!("rule{at}"))).collect();
    let jobs: Vec<_> = jobs.iter().zip(inputs).collect();
    let outcomes = target.deliver_batch(&jobs).await;
    let seen = stand.seen();
    let mut bodies: Vec<String> = seen
        .split("\n---\n")
        .map(|request| {
            let line = request.lines().next().unwrap_or_default();
            let body = request.split_once("\n\n").map(|(_, body)| body).unwrap_or_default();
            format!("{line} {body}")
        })
        .collect();
    bodies.sort();
    (outcomes.iter().map(show).collect(), bodies)
}

#[tokio::test]
async fn one_body_is_made_of_several() {
    let inputs = [json!({"a": 1}), json!({"a": 2})];
    for (yaml, expected) in [
        ("batch_body: '[{logs: .}]'", r#"POST / [{"logs":[{"a":1},{"a":2}]}]"#),
        ("join: \"\\n\"", "POST / {\"a\":1}\n{\"a\":2}"),
        ("join: \"\\n\"\ncontent_type: text/plain\nbody: '\"m a=\\(.input.a)\"'", "POST / m a=1\nm a=2"),
        (
            "batch_body: '{all: .}'\nbody_secrets: {key: '${file:short}'}",
            r#"POST / {"all":[{"a":1},{"a":2}],"key":"hunter2"}"#,
        ),
    ] {
        let (outcomes, bodies) = several(yaml, &inputs, (200, "")).await;
        assert_eq!(bodies, [expected]);
        assert!(outcomes.iter().all(|outcome| outcome.starts_with("done")), "{outcomes:?}");
    }
    let (outcomes, _) = several("batch_body: 'error(\"no\")'", &inputs, (200, "")).await;
    assert!(outcomes.iter().all(|outcome| outcome == "never batch_body: no"), "{outcomes:?}");
}

#[tokio::test]
async fn a_batch_is_split_by_limits_and_by_address() {
    let inputs: Vec<Value> = (0..5).map(|n| json!({"n": n, "at": n % 2})).collect();
    let (_, bodies) = several("limits: {max_items: 2}\nbody: .input.n", &inputs, (200, "")).await;
    assert_eq!(bodies, ["POST / [0,1]", "POST / [2,3]", "POST / [4]"]);
    let (_, bodies) = several("limits: {max_bytes: 6}\nbody: .input.n", &inputs, (200, "")).await;
    assert_eq!(bodies, ["POST / [0,1,2]", "POST / [3,4]"]);
    let (_, bodies) = several("path: '[\"p\", .input.at]'\nbody: .input.n", &inputs, (200, "")).await;
    assert_eq!(bodies, ["POST /p/0 [0,2,4]", "POST /p/1 [1,3]"]);
    let inputs = [json!("short"), json!("far too long for it")];
    let (outcomes, bodies) = several("limits: {max_bytes: 10}", &inputs, (200, "")).await;
    assert_eq!(bodies, ["POST / [\"short\"]"]);
    assert!(outcomes[0].starts_with("done") && outcomes[1] == "never the body has 22 bytes; one request may have 10");
}

#[tokio::test]
async fn jobs_of_one_request_may_end_differently() {
    let inputs = [json!(1), json!(2), json!(3)];
    let each = "answers: '[.body[] | if .ok then null else {retry: .why} end]'";
    let reply = r#"[{"ok":true},{"ok":false,"why":"full"},{"ok":true}]"#;
    let (outcomes, _) = several(each, &inputs, (200, reply)).await;
    assert!(outcomes[0].starts_with("done") && outcomes[1] == "retry full" && outcomes[2].starts_with("done"));
    let (outcomes, _) = several(each, &inputs, (200, "[]")).await;
    assert!(
        outcomes.iter().all(|o| o.starts_with("never answers: the program gave 0 outcomes of 3 jobs")),
        "{outcomes:?}"
    );
    let (outcomes, _) = several(each, &inputs, (503, "[]")).await;
    assert!(outcomes.iter().all(|outcome| outcome.starts_with("retry answered 503")), "{outcomes:?}");
    let (outcomes, _) = several("answers: '{never: \"all\"}'", &inputs, (200, "")).await;
    assert_eq!(outcomes, ["never all"; 3]);
}

#[tokio::test]
async fn bodies_are_written_as_their_type_says() {
    let stand = Stand::replying(&[(200, &[], "")]).await;
    let form = "kind: http\nurl: '%URL%'\ncontent_type: application/x-www-form-urlencoded\nbody: '{a: \"x y&\", b: [1, true], c: null}'";
    stand.deliver(form, &job(), &Value::Null).await;
    assert!(stand.seen().ends_with("\n\na=x+y%26&b=1&b=true"));
    let outcome = show(&stand.deliver(&form.replace("[1, true]", "{}"), &job(), &Value::Null).await);
    assert_eq!(outcome, r#"never body: "b" is an object, not a text"#);
    let xml = "kind: http\nurl: '%URL%'\nmethod: PUT\ncontent_type: text/xml\nbody: '\"<a>\\(\"1 < 2\" | @html)</a>\"'";
    stand.deliver(xml, &job(), &Value::Null).await;
    assert!(stand.seen().ends_with("\n\n<a>1 &lt; 2</a>"));
    stand.deliver("kind: http\nurl: '%URL%'\nmethod: DELETE\nbody: false", &job(), &json!(1)).await;
    let seen = stand.seen();
    assert!(
        seen.starts_with("DELETE /\nidempotency-key") && seen.ends_with("\n\n") && !seen.contains("content-type"),
        "{seen}"
    );
}

#[tokio::test]
async fn a_body_may_be_compressed() {
    let (send, mut receive) = tokio::sync::mpsc::channel(1);
    let app = axum::Router::new().fallback(move |headers: http::HeaderMap, body: axum::body::Bytes| async move {
        send.send((headers["content-encoding"].clone(), body)).await.unwrap();
    });
    let url = crate::testing::serve(app).await;
    let stand = Stand::replying(&[]).await;
    let outcome =
        stand.deliver(&format!("kind: http\nurl: '{url}'\ncompress: gzip"), &job(), &json!("x".repeat(999))).await;
    assert!(show(&outcome).starts_with("done"), "{outcome:?}");
    let (encoding, body) = receive.recv().await.unwrap();
    assert!(encoding == "gzip" && body.len() < 100);
    let mut text = String::new();
    flate2::read::GzDecoder::new(&body[..]).read_to_string(&mut text).unwrap();
    assert_eq!(text, json!("x".repeat(999)).to_string());
}

#[test]
fn what_is_wrong_is_said() {
    insta::assert_snapshot!(problems(
        "kind: http\nurl: https://x\nbatch_body: .\njoin: x\ncompress: zip\nreport: {scope: A}\nlimits: {max_items: 0, max_bytes: x, y: 1}\nsettings: {a: '${env:A}'}\npin_in: head\nanswer: '{'\nbody_secrets: {a: 1}\ntls: {key: k}\ndevice: x"
    ), @r#"
    tls: expected certificate and key: a client certificate is nothing without its key
    compress: expected gzip or none
    join: batch_body makes the body already
    body_secrets.a: expected a text, found a number
    pin_in: expected one of body, path, query: the program that sees .pin
    device: expected true or false, found a text
    answer: line 1, column 2: expected closing brace
    report.scope: "A" is no snake_case word: use a-z, 0-9 and _, starting with a letter or digit, at most 64 characters
    report.action: is missing: for example action: device_lock
    settings.a: programs see no secrets: use auth, headers or body_secrets
    limits.max_items: expected a whole number from 1 to 1000000
    limits.max_bytes: expected a size such as 10MiB, 500kB or a number of bytes
    limits.y: unknown key: expected one of max_bytes, max_items
    "#);
}
