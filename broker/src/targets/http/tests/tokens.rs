//! Tokens that are asked for.

use serde_json::{Value, json};

use super::super::super::testing::{Stand, job, problems, show};

const OAUTH: &str = r#"
    kind: http
    url: '%URL%/things'
    auth:
      oauth2: {token_url: '%URL%/token', client_id: emote, client_secret: '${file:token}', scope: 'a b', params: {resource: r}}
"#;
const TOKEN: (u16, &[(&str, &str)], &str) = (200, &[], r#"{"access_token":"acc-hunter2","expires_in":3600}"#);

#[tokio::test]
async fn a_token_is_asked_for_once_for_many_jobs() {
    let stand = Stand::replying(&[TOKEN, (200, &[], "")]).await;
    let target = stand.target(OAUTH);
    let (job, input) = (job(), json!({"a": 1}));
    let all = futures_util::future::join_all((0..5).map(|_| target.deliver(&job, &input))).await;
    assert!(all.iter().all(|outcome| show(outcome).starts_with("done")), "{all:?}");
    let seen = stand.seen();
    assert_eq!((seen.matches("POST /token").count(), seen.matches("Bearer acc-hunter2").count()), (1, 5), "{seen}");
    insta::assert_snapshot!(seen.split("\n---\n").next().unwrap(), @r#"
    POST /token
    content-type: application/x-www-form-urlencoded

    grant_type=client_credentials&client_id=emote&client_secret=t0ken-hunter2&scope=a+b&resource=r
    "#);
}

#[tokio::test]
async fn id_and_secret_may_go_in_the_header() {
    let stand = Stand::replying(&[TOKEN, (200, &[], "")]).await;
    let yaml = OAUTH.replace("scope: 'a b', params: {resource: r}", "in: basic");
    stand.deliver(&yaml, &job(), &Value::Null).await;
    insta::assert_snapshot!(stand.seen().split("\n---\n").next().unwrap(), @r#"
    POST /token
    authorization: Basic ZW1vdGU6dDBrZW4taHVudGVyMg==
    content-type: application/x-www-form-urlencoded

    grant_type=client_credentials
    "#);
}

#[tokio::test]
async fn a_token_that_is_refused_is_asked_for_again_once() {
    let second = (200, &[][..], r#"{"access_token":"acc2-hunter2","expires_in":"3600"}"#);
    let stand = Stand::replying(&[TOKEN, (401, &[], "no"), second, (200, &[], "")]).await;
    let outcome = stand.deliver(OAUTH, &job(), &Value::Null).await;
    assert!(show(&outcome).starts_with("done"), "{outcome:?}");
    let seen = stand.seen();
    assert!(seen.contains("Bearer acc-hunter2") && seen.contains("Bearer acc2-hunter2"), "{seen}");
    let stand = Stand::replying(&[TOKEN, (401, &[], ""), second, (401, &[], "%AUTH%")]).await;
    let outcome = show(&stand.deliver(OAUTH, &job(), &Value::Null).await);
    assert_eq!(outcome, "never answered 401 Unauthorized: Bearer …");
}

#[tokio::test]
async fn a_token_that_has_ended_is_not_used_again() {
    let brief = (200, &[][..], r#"{"access_token":"acc-hunter2","expires_in":0}"#);
    let stand = Stand::replying(&[brief, (200, &[], ""), brief, (200, &[], "")]).await;
    let target = stand.target(OAUTH);
    for _ in 0..2 {
        target.deliver(&job(), &Value::Null).await;
    }
    assert_eq!(stand.seen().matches("POST /token").count(), 2);
}

#[tokio::test]
async fn where_no_token_is_had_the_job_says_so_and_shows_nothing() {
    for (reply, expected) in [
        (
            (400, &[][..], r#"{"error":"invalid_client","got":"%BODY%"}"#),
            "never asking for a token: answered 400 Bad Request: {\"error\":\"invalid_client\"",
        ),
        ((503, &[("retry-after", "9")], ""), "retry 9s asking for a token: answered 503 Service Unavailable"),
        ((200, &[], "acc-hunter2"), "never asking for a token: the answer is not JSON"),
        ((200, &[], r#"{"token":"acc-hunter2"}"#), "never asking for a token: the answer has no access_token"),
        ((200, &[], "{\"access_token\":\"acc-hunter2\\n\"}"), "never asking for a token: cannot be sent in a header"),
    ] {
        let stand = Stand::replying(&[reply]).await;
        let outcome = show(&stand.deliver(OAUTH, &job(), &Value::Null).await);
        assert!(outcome.starts_with(expected), "{outcome}");
    }
}

#[tokio::test]
async fn a_login_is_a_request_of_the_vendors_own() {
    let yaml = r#"
        kind: http
        url: '%URL%/things'
        auth:
          login:
            url: '%URL%/login'
            headers: {X-Tenant: t1}
            body: {email: ada@example.com, password: '${file:token}'}
            token: .headers.authorization
        body_secrets: {key: '${file:path}'}
        body: '{a: 1}'
    "#;
    let stand =
        Stand::replying(&[(200, &[("authorization", "Bearer acc-hunter2")], "{}"), (400, &[], "%AUTH% %BODY%")]).await;
    let outcome = show(&stand.deliver(yaml, &job(), &Value::Null).await);
    assert_eq!(outcome, r#"never answered 400 Bad Request: Bearer … {"a":1,"key":"…"}"#);
    insta::assert_snapshot!(stand.seen(), @r#"
    POST /login
    content-type: application/json
    x-tenant: t1

    {"email":"ada@example.com","password":"t0ken-hunter2"}
    ---
    POST /things
    authorization: Bearer acc-hunter2
    content-type: application/json
    idempotency-key: a64c29d5-87af-5257-b215-b904e4a840d8/the-rule/the-target

    {"a":1,"key":"T000/B000/pathhunter2"}
    "#);
    let yaml = r#"
        kind: http
        url: '%URL%'
        auth:
          login: {url: '%URL%/login', basic: {user: emote, password: '${file:token}'}, token: .body.token, expires: .body.expires}
    "#;
    let stand = Stand::replying(&[
        (200, &[], r#"{"token":"acc-hunter2","expires":"2020-01-01T00:00:00Z"}"#),
        (200, &[], ""),
        (200, &[], r#"{"token":"","expires":"2020-01-01T00:00:00Z"}"#),
    ])
    .await;
    let target = stand.target(yaml);
    assert!(show(&target.deliver(&job(), &Value::Null).await).starts_with("done"));
    let outcome = show(&target.deliver(&job(), &Value::Null).await);
    assert_eq!(outcome, "never asking for a token: the answer has no token");
}

#[tokio::test]
async fn a_header_of_its_own_proves_who_sends() {
    let yaml = "kind: http\nurl: '%URL%'\nauth: {header: {name: Authorization, value: 'Splunk ${file:token}'}}";
    let stand = Stand::replying(&[(403, &[], "%AUTH%")]).await;
    let outcome = show(&stand.deliver(yaml, &job(), &Value::Null).await);
    assert_eq!(outcome, "never answered 403 Forbidden: Splunk …");
    assert!(stand.seen().contains("authorization: Splunk t0ken-hunter2"));
}

#[test]
fn what_is_wrong_is_said() {
    for (auth, expected) in [
        ("{}", "auth: expected one of basic, bearer, duo, header, login, oauth2, signed"),
        ("{bearer: '${env:A}', header: {}}", "auth: expected one of basic, bearer, duo, header, login, oauth2, signed"),
        ("{header: {name: X-Key, value: hunter2}}", "auth.header.value: is a secret, given by reference"),
        ("{header: {name: 'a b', value: '${env:A}'}}", "auth.header.name: not the name of a header"),
        ("{oauth2: {}}", "auth.oauth2.token_url: is missing"),
        (
            "{oauth2: {token_url: https://x, client_id: a, client_secret: hunter2}}",
            "auth.oauth2.client_secret: a secret is",
        ),
        (
            "{oauth2: {token_url: http://x.example, client_id: a, client_secret: '${env:A}'}}",
            "auth.oauth2.token_url: plain",
        ),
        (
            "{oauth2: {token_url: https://x, client_id: a, client_secret: '${env:A}', in: header}}",
            "auth.oauth2.in: expected",
        ),
        ("{login: {url: https://x}}", "auth.login.token: is missing"),
        ("{login: {url: https://x, token: '{'}}", "auth.login.token: line 1"),
        ("{login: {url: https://x, token: ., body: {a: 1}}}", "auth.login.body.a: expected a text, found a number"),
    ] {
        let found = problems(&format!("kind: http\nurl: https://x\nauth: {auth}"));
        assert!(found.starts_with(expected), "{auth}: {found}");
    }
}
