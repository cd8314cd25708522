use super::super::testing::{self, Stand, TOKEN, job, lines, problems, show};
use super::*;

mod answers;
mod lookups;
mod pins;
mod tls;
mod tokens;

const PLAIN: &str = "kind: http\nurl: '%URL%/hook'";

async fn outcome_of(reply: testing::Reply) -> String {
    let stand = Stand::replying(&[reply]).await;
    show(&stand.deliver(PLAIN, &job(), &json!({"a": 1})).await)
}

#[tokio::test]
async fn an_answer_decides_what_becomes_of_the_job() {
    for (reply, expected) in [
        ((200, &[][..], "thanks"), r#"done http.request {"method":"POST","status":200,"target":"the-target"}"#),
        ((202, &[], ""), r#"done http.request {"method":"POST","status":202,"target":"the-target"}"#),
        (
            (302, &[("location", "http://127.0.0.1:1/")], ""),
            "never answered 302 Found: redirects are not followed; give the address that it leads to",
        ),
        ((400, &[], "no\nsuch field"), "never answered 400 Bad Request: no such field"),
        ((404, &[("retry-after", "5")], ""), "never answered 404 Not Found"),
        ((429, &[("retry-after", "7")], "slow"), "retry 7s answered 429 Too Many Requests: slow"),
        ((503, &[("retry-after", "999999")], ""), "retry 3600s answered 503 Service Unavailable"),
        ((500, &[], "oops"), "retry answered 500 Internal Server Error: oops"),
    ] {
        assert_eq!(outcome_of(reply).await, expected);
    }
}

#[tokio::test]
async fn a_request_says_what_the_target_and_the_job_say() {
    let stand = Stand::replying(&[(200, &[], "")]).await;
    stand.deliver(PLAIN, &job(), &json!({"a": [1, "ä"]})).await;
    insta::assert_snapshot!(stand.seen(), @r#"
    POST /hook
    content-type: application/json
    idempotency-key: a64c29d5-87af-5257-b215-b904e4a840d8/the-rule/the-target

    {"a":[1,"ä"]}
    "#);
    let yaml = r#"
        kind: http
        url: '%URL%/${file:path}?x=1'
        method: PUT
        auth: {basic: {user: emote, password: '${file:token}'}}
        headers: {X-Team: client platform, X-Key: 'Splunk ${file:token}'}
        content_type: text/plain
        body: '"\(.event.action) \(.node.name) \(.rule) \(.target) \(.job) \(.input.a)"'
    "#;
    stand.deliver(yaml, &job(), &json!({"a": 1})).await;
    insta::assert_snapshot!(stand.seen(), @r#"
    PUT /T000/B000/pathhunter2?x=1
    authorization: Basic ZW1vdGU6dDBrZW4taHVudGVyMg==
    content-type: text/plain
    idempotency-key: a64c29d5-87af-5257-b215-b904e4a840d8/the-rule/the-target
    x-key: Splunk t0ken-hunter2
    x-team: client platform

    enroll ada-mbp the-rule the-target a64c29d5-87af-5257-b215-b904e4a840d8/the-rule/the-target 1
    "#);
    stand.deliver("kind: http\nurl: '%URL%'\nmethod: GET\nauth: {bearer: '${file:token}'}", &job(), &Value::Null).await;
    insta::assert_snapshot!(stand.seen(), @r#"
    GET /
    authorization: Bearer t0ken-hunter2
    idempotency-key: a64c29d5-87af-5257-b215-b904e4a840d8/the-rule/the-target
    "#);
}

#[tokio::test]
async fn several_jobs_are_one_request() {
    let stand = Stand::replying(&[(200, &[], "")]).await;
    let other = job_of("the-other-rule");
    let (one, two) = (json!({"a": 1}), json!("two"));
    for (yaml, expected) in [
        (PLAIN, r#"[{"a":1},"two"]"#),
        ("kind: http\nurl: '%URL%/hook'\ncontent_type: application/x-ndjson", "{\"a\":1}\n\"two\"\n"),
    ] {
        let target = stand.target(yaml);
        let outcomes = target.deliver_batch(&[(&job(), &one), (&other, &two)]).await;
        assert!(outcomes.len() == 2 && outcomes.iter().all(|outcome| show(outcome).starts_with("done")));
        let seen = stand.seen();
        assert!(seen.contains("idempotency-key: batch/") && seen.ends_with(&format!("\n\n{expected}")), "{seen}");
    }
    let target = stand.target(&format!("{PLAIN}\nbody: 'if .input == \"two\" then empty else .input end'"));
    let outcomes = target.deliver_batch(&[(&job(), &one), (&other, &two)]).await;
    let shown: Vec<String> = outcomes.iter().map(show).collect();
    assert!(shown[0].starts_with("done") && shown[1].starts_with("never body"), "{shown:?}");
    assert!(stand.seen().ends_with(r#"[{"a":1}]"#));
}

pub(super) fn job_of(rule: &str) -> Job {
    let rule = emote_proto::Name::new(rule).unwrap();
    let id = crate::core::JobId::new(job().event.id, &rule, &job().target, None);
    Job { id, rule, ..job() }
}

#[tokio::test]
async fn the_other_side_cannot_make_us_show_a_secret() {
    let yaml = "kind: http\nurl: '%URL%/${file:path}'\nauth: {bearer: '${file:token}'}\nheaders: {X-Key: 'Splunk ${file:token}'}";
    let stand = Stand::replying(&[(400, &[], "%PATH% with %AUTH% is wrong")]).await;
    let outcome = stand.deliver(yaml, &job(), &Value::Null).await;
    assert_eq!(show(&outcome), "never answered 400 Bad Request: /… with Bearer … is wrong");
    let basic = "kind: http\nurl: '%URL%'\nauth: {basic: {user: emote, password: '${file:token}'}}";
    let outcome = stand.deliver(basic, &job(), &Value::Null).await;
    assert_eq!(show(&outcome), "never answered 400 Bad Request: / with Basic … is wrong");
}

#[tokio::test]
async fn no_answer_is_tried_again() {
    let silent = Stand::replying(&[]).await;
    let outcome = silent.deliver(&format!("{PLAIN}\ntimeout: 100ms"), &job(), &Value::Null).await;
    assert!(show(&outcome).starts_with("retry no reply in time"), "{}", show(&outcome));
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let closed = format!("kind: http\nurl: 'http://127.0.0.1:{port}/${{file:path}}'");
    let outcome = show(&silent.deliver(&closed, &job(), &Value::Null).await);
    assert!(
        outcome.starts_with(&format!("retry error sending request to 127.0.0.1:{port}: "))
            && outcome.contains("refused"),
        "{outcome}"
    );
    assert!(!outcome.contains("http:"), "{outcome}");
}

#[tokio::test]
async fn a_body_program_gives_one_value() {
    let stand = Stand::replying(&[(200, &[], "")]).await;
    for (body, expected) in [
        ("empty", "never body: the program gave nothing"),
        ("1, 2, 3", "never body: the program gave 3 values"),
        ("error(\"no\")", "never body: "),
        (".input.a", "done"),
    ] {
        let outcome = stand.deliver(&format!("{PLAIN}\nbody: '{body}'"), &job(), &json!({"a": 1})).await;
        assert!(show(&outcome).starts_with(expected), "{body}: {outcome:?}");
    }
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let yaml = r#"
        kind: http
        url: http://example.com/hook
        method: post
        headers: {Authorization: Bearer hunter2, "a b": x, X-N: 3, Content-Type: x, X-S: "${hunter2}"}
        auth: {bearer: hunter2, digest: x}
        timeout: forever
        concurrency: 0
        retry: {max_attempts: 0, backoff: {initial: 1h, max: 1s}, jitter: x}
        destructive: maybe
        bdoy: x
    "#;
    insta::assert_snapshot!(problems(yaml), @r"
    retry.max_attempts: expected a whole number from 1 to 10000
    retry.jitter: expected full or none
    retry.backoff.initial: is longer than max: the wait grows from initial to max
    timeout: expected a length of time such as 10s, 15m, 1h 30m or 7d
    concurrency: expected a whole number from 1 to 256
    destructive: expected true or false, found a text
    url: plain http would show the request to everyone on the way: use https, or say `insecure: true`
    headers.Authorization: is a secret, given by reference: ${env:NAME} or ${file:PATH}
    headers.Content-Type: is set by Emote; the content type is the field `content_type`
    headers.X-N: expected a text, found a number
    headers.X-S: a secret is given by reference, ${env:NAME} or ${file:PATH}, never in the file itself
    headers.a b: not the name of a header
    auth.bearer: a secret is given by reference, ${env:NAME} or ${file:PATH}, never in the file itself
    auth.digest: unknown key: expected one of basic, bearer, duo, header, login, oauth2, signed
    method: expected one of DELETE, GET, PATCH, POST, PUT
    bdoy: unknown key: expected one of answer, answers, auth, batch, batch_body, body, body_secrets, breaker, compress, concurrency, content_type, destructive, device, guard, headers, insecure, join, kind, limits, lookup, max_age, method, ordered, path, pin_in, pin_key, query, rate, report, retry, settings, timeout, tls, url
    ");
    insta::assert_snapshot!(problems("kind: http\nauth: {}"), @r#"
    url: is missing: for example url: https://hooks.example.com/emote
    auth: expected one of basic, bearer, duo, header, login, oauth2, signed
    "#);
    insta::assert_snapshot!(problems("kind: htpp\nurl: 3"), @"kind: unknown kind: did you mean http? There are asset, aws, email, exec, gelf, http, kafka, log, mdm, nats, otlp, prometheus, slack, syslog, wasm");
    insta::assert_snapshot!(problems("{}"), @"kind: is missing: for example kind: http");
}

#[test]
fn a_body_that_is_no_program_is_a_problem() {
    let found = problems("kind: http\nurl: https://x\nbody: '{'");
    assert!(found.starts_with("body: "), "{found}");
}

#[test]
fn missing_secrets_are_all_named() {
    let yaml = "kind: http\nurl: 'https://x/${file:no1}'\nauth: {bearer: '${file:no2}'}\nheaders: {X-A: '${file:no3}'}";
    let folder = tempfile::tempdir().unwrap();
    let found = lines(testing::validate(yaml).unwrap().resolve(folder.path()).err().unwrap());
    let found = found.replace(&folder.path().display().to_string(), "FOLDER");
    insta::assert_snapshot!(found, @r#"
    url: the secret file FOLDER/no1 cannot be read: No such file or directory (os error 2)
    auth.bearer: the secret file FOLDER/no2 cannot be read: No such file or directory (os error 2)
    headers.x-a: the secret file FOLDER/no3 cannot be read: No such file or directory (os error 2)
    "#);
}

#[test]
fn an_address_from_a_secret_is_checked_too() {
    let folder = testing::secrets();
    let found =
        testing::validate("kind: http\nurl: 'http://example.com/${file:token}'").unwrap().resolve(folder.path());
    let found = lines(found.err().unwrap());
    assert!(found.starts_with("url: plain http") && !found.contains(TOKEN), "{found}");
}

#[test]
fn delivery_settings_have_defaults_and_human_durations() {
    let plain = testing::validate("kind: http\nurl: https://x").unwrap();
    insta::assert_debug_snapshot!((plain.delivery, plain.policy), @r#"
    (
        DeliverySettings {
            retry: Retry {
                max_attempts: 185,
                max_age: 86400s,
                backoff: Backoff {
                    initial: 1s,
                    max: 900s,
                },
                jitter: Full,
            },
            timeout: 10s,
            concurrency: 4,
            rate: None,
            breaker: BreakerSettings {
                failures: 5,
                pause: 10s,
                max_pause: 300s,
            },
            batch: None,
        },
        Policy {
            guard: None,
            max_age: None,
            ordered: false,
            installs_agent: false,
        },
    )
    "#);
    let yaml = "kind: log\nretry: {max_attempts: 3, max_age: 1h 30m, backoff: {initial: 2s, max: 5m}}\ntimeout: 30s\nconcurrency: 1\ndestructive: true";
    insta::assert_debug_snapshot!(testing::validate(yaml).unwrap(), @r#"
    Validated {
        name: Name(
            "the-target",
        ),
        kind: "log",
        delivery: DeliverySettings {
            retry: Retry {
                max_attempts: 3,
                max_age: 5400s,
                backoff: Backoff {
                    initial: 2s,
                    max: 300s,
                },
                jitter: Full,
            },
            timeout: 30s,
            concurrency: 1,
            rate: None,
            breaker: BreakerSettings {
                failures: 5,
                pause: 10s,
                max_pause: 300s,
            },
            batch: None,
        },
        policy: Policy {
            guard: Some(
                Guard {
                    limit: 5,
                    rule_limit: 5,
                    window: 3600000,
                    trust: None,
                },
            ),
            max_age: None,
            ordered: false,
            installs_agent: false,
        },
        origins: Origins {
            preset: None,
            own: [],
            template: {},
        },
        unresolved: Spec {
            path: None,
            rotation: Rotation {
                max_size: 10485760,
                keep: 5,
            },
        },
    }
    "#);
}
