//! `http`: sends a request. The job's id goes along as `Idempotency-Key`.
//!
//! ```yaml
//! kind: http
//! url: https://tickets.example.com/api/tickets
//! auth: {bearer: "${env:TICKETS_TOKEN}"}
//! headers: {X-Team: client-platform}
//! body: '{title: "\(.node.name): \(.event.action)", serial: .node.serial}'
//! ```
//!
//! With `batch:`, one request is for several jobs: its body is a JSON array of their bodies, or a line each where the
//! content type is `application/x-ndjson`; its `Idempotency-Key` is made from the ids of its jobs.

use std::sync::Arc;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, RequestBuilder, Url};
use serde_json::{Value, json};

use super::spec::{Setup, Unresolved};
use super::wire::{self, Auth, AuthRef, Client};
use super::{Outcome, Target};
use crate::config::fields::{Fields, kind};
use crate::config::text::Template;
use crate::config::{Problems, Secret};
use crate::core::Job;
use crate::jq::Program;

/// A value a line (<https://github.com/ndjson/ndjson-spec>).
const NDJSON: &str = "application/x-ndjson";
const METHODS: [Method; 5] = [Method::DELETE, Method::GET, Method::PATCH, Method::POST, Method::PUT];
/// Set by the kind itself or by HTTP.
const RESERVED_HEADERS: [&str; 6] =
    ["idempotency-key", "content-type", "content-length", "transfer-encoding", "host", "connection"];
/// Their value is a secret in itself.
const SECRET_HEADERS: [&str; 3] = ["authorization", "proxy-authorization", "cookie"];

#[derive(Debug)]
struct Spec {
    url: Template,
    insecure: bool,
    method: Method,
    headers: Vec<(HeaderName, Template)>,
    auth: Option<AuthRef>,
    body: Option<Arc<Program>>,
    content_type: HeaderValue,
}

struct Http {
    client: Client,
    url: Url,
    method: Method,
    headers: HeaderMap,
    auth: Option<Auth>,
    body: Option<Arc<Program>>,
    content_type: HeaderValue,
}

pub(super) fn read(fields: &mut Fields<'_>) -> Option<Box<dyn Unresolved>> {
    let insecure = fields.flag("insecure").unwrap_or_default();
    let url = url(fields, "url", insecure, "url: https://hooks.example.com/emote");
    let method = match fields.text("method") {
        None => Method::POST,
        Some(text) => METHODS.into_iter().find(|method| method.as_str() == text).unwrap_or_else(|| {
            fields.problem("method", "expected one of DELETE, GET, PATCH, POST, PUT");
            Method::POST
        }),
    };
    let headers = headers(fields);
    let auth = fields.object("auth", auth).flatten();
    let body = fields.jq("body").map(Arc::new);
    let content_type = fields.text("content_type").unwrap_or_else(|| "application/json".to_owned());
    let content_type =
        HeaderValue::from_str(&content_type).map_err(|_| fields.problem("content_type", "not a media type"));
    Some(Box::new(Spec { url: url?, insecure, method, headers, auth, body, content_type: content_type.ok()? }))
}

/// The address at `key`, checked as far as no secret is in it.
pub(super) fn url(fields: &mut Fields<'_>, key: &'static str, insecure: bool, example: &str) -> Option<Template> {
    let template = fields.template(key);
    let template = fields.require(key, template, example)?;
    match template.plain().map(|text| wire::endpoint(text, insecure)) {
        Some(Err(error)) => {
            fields.problem(key, error);
            None
        }
        _ => Some(template),
    }
}

fn headers(fields: &mut Fields<'_>) -> Vec<(HeaderName, Template)> {
    let mut headers = Vec::new();
    for (name, value) in fields.entries("headers").into_iter().flatten() {
        let at = format!("headers.{name}");
        let Ok(header) = HeaderName::from_bytes(name.as_bytes()) else {
            fields.problem(&at, "not the name of a header");
            continue;
        };
        let template = match value.as_str().map(Template::parse) {
            None => Err(format!("expected a text, found {}", kind(value))),
            Some(template) => template,
        };
        match template {
            Err(error) => fields.problem(&at, error),
            Ok(_) if RESERVED_HEADERS.contains(&header.as_str()) => {
                fields.problem(&at, "is set by Emote; the content type is the field `content_type`");
            }
            Ok(template) if template.plain().is_some() && SECRET_HEADERS.contains(&header.as_str()) => {
                fields.problem(&at, "is a secret, given by reference: ${env:NAME} or ${file:PATH}");
            }
            Ok(template) => headers.push((header, template)),
        }
    }
    headers
}

fn auth(fields: &mut Fields<'_>) -> Option<AuthRef> {
    if fields.has("bearer") == fields.has("basic") {
        fields.problem("", "expected one of basic, bearer");
        return None;
    }
    if fields.has("bearer") {
        return fields.secret("bearer").map(AuthRef::Bearer);
    }
    fields.object("basic", |fields| {
        let user = fields.template("user");
        let user = fields.require("user", user, "user: emote");
        let password = fields.secret("password");
        user.map(|user| AuthRef::Basic { user, password })
    })?
}

impl Unresolved for Spec {
    fn resolve(&self, setup: &Setup<'_>, problems: &mut Problems) -> Option<Box<dyn Target>> {
        let address = resolve_url(&self.url, "url", self.insecure, setup, problems);
        let auth = self.auth.as_ref().map(|auth| auth.resolve(setup, problems));
        let mut secrets = Vec::new();
        let mut headers = HeaderMap::new();
        for (name, template) in &self.headers {
            let at = format!("headers.{name}");
            let Some(filled) = problems.take(&at, template.fill(setup.folder)) else { continue };
            secrets.extend(filled.secrets);
            if let Some(value) = problems.take(&at, wire::header_value(&filled.text)) {
                headers.insert(name.clone(), value);
            }
        }
        let (url, of_url) = address?;
        let auth = match auth {
            None => None,
            Some(auth) => Some(auth?),
        };
        secrets.extend(of_url);
        secrets.extend(auth.iter().flat_map(Auth::secrets));
        let client = problems.take("", Client::new(setup, &url, secrets))?;
        let (method, body, content_type) = (self.method.clone(), self.body.clone(), self.content_type.clone());
        Some(Box::new(Http { client, url, method, headers, auth, body, content_type }))
    }
}

/// The address with its secrets in it, and what of it must not be shown.
pub(super) fn resolve_url(
    template: &Template,
    key: &str,
    insecure: bool,
    setup: &Setup<'_>,
    problems: &mut Problems,
) -> Option<(Url, Vec<Secret>)> {
    let filled = problems.take(key, template.fill(setup.folder))?;
    let url = problems.take(key, wire::endpoint(filled.text.expose(), insecure))?;
    let mut secrets = filled.secrets;
    if !secrets.is_empty() {
        // Servers like to quote the path that they do not know.
        secrets.push(Secret::new(url.path().trim_matches('/')));
        secrets.push(filled.text);
    }
    Some((url, secrets))
}

impl Http {
    /// The bytes to send for one job. A text goes as it is unless JSON is declared.
    fn body(&self, job: &Job, input: &Value) -> Result<Vec<u8>, String> {
        let json = self.content_type.to_str().is_ok_and(|text| text.contains("json"));
        Ok(match self.value(job, input)? {
            Value::String(text) if !json => text.into_bytes(),
            value => value.to_string().into_bytes(),
        })
    }

    /// The bytes to send for several: a JSON array, or a line each where NDJSON is declared.
    fn joined(&self, values: Vec<Value>) -> Vec<u8> {
        if self.content_type.to_str().is_ok_and(|text| text.starts_with(NDJSON)) {
            return values.iter().flat_map(|value| format!("{value}\n").into_bytes()).collect();
        }
        Value::Array(values).to_string().into_bytes()
    }

    /// What a job has to say: the body program's only result, or the input.
    fn value(&self, job: &Job, input: &Value) -> Result<Value, String> {
        Ok(match &self.body {
            None => input.clone(),
            Some(program) => {
                let mut results = program.run(&context(job, input), &[]).map_err(|error| format!("body: {error}"))?;
                match (results.pop(), results.len()) {
                    (Some(result), 0) => result,
                    (None, _) => return Err("body: the program gave nothing; it must give one value".to_owned()),
                    (_, more) => {
                        return Err(format!(
                            "body: the program gave {} values; it must give one",
                            more.saturating_add(1)
                        ));
                    }
                }
            }
        })
    }

    fn request(&self, key: String) -> RequestBuilder {
        let request = self.client.request(self.method.clone(), self.url.clone()).headers(self.headers.clone());
        let request = request.header("Idempotency-Key", key);
        match &self.auth {
            Some(auth) => auth.apply(request),
            None => request,
        }
    }

    async fn send(&self, request: RequestBuilder, target: &emote_proto::Name) -> Outcome {
        match self.client.send(request, None).await.and_then(wire::Answer::success) {
            Err(outcome) => outcome,
            Ok(answer) => {
                let info = json!({"target": target, "method": self.method.as_str(), "status": answer.status});
                Outcome::done("http", "request", info)
            }
        }
    }
}

/// What a target's jq programs see: `{event, node, rule, target, job, input}`.
fn context(job: &Job, input: &Value) -> Value {
    let mut context = job.context();
    if let Value::Object(map) = &mut context {
        map.insert("input".to_owned(), input.clone());
    }
    context
}

#[async_trait::async_trait]
impl Target for Http {
    async fn deliver(&self, job: &Job, input: &Value) -> Outcome {
        let mut request = self.request(wire::idempotency_key(&job.id));
        if self.method != Method::GET || self.body.is_some() {
            request = match self.body(job, input) {
                Ok(body) => request.header(CONTENT_TYPE, self.content_type.clone()).body(body),
                Err(reason) => return Outcome::never(reason),
            };
        }
        self.send(request, &job.target).await
    }

    fn batches(&self) -> bool {
        true
    }

    /// One request. A job whose body cannot be made is left out; the answer is the outcome of all others.
    async fn deliver_batch(&self, jobs: &[(&Job, &Value)]) -> Vec<Outcome> {
        let (mut outcomes, mut ids, mut values) = (Vec::with_capacity(jobs.len()), Vec::new(), Vec::new());
        for (job, input) in jobs {
            match self.value(job, input) {
                Ok(value) => {
                    ids.push(job.id.as_str());
                    values.push(value);
                    outcomes.push(None);
                }
                Err(reason) => outcomes.push(Some(Outcome::never(reason))),
            }
        }
        let Some((first, _)) = jobs.first().filter(|_| !values.is_empty()) else {
            return outcomes.into_iter().flatten().collect();
        };
        let request = self.request(wire::batch_key(&ids)).header(CONTENT_TYPE, self.content_type.clone());
        let answer = self.send(request.body(self.joined(values)), &first.target).await;
        outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(|| answer.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{self, Stand, TOKEN, job, lines, problems, show};
    use super::*;

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
        stand
            .deliver("kind: http\nurl: '%URL%'\nmethod: GET\nauth: {bearer: '${file:token}'}", &job(), &Value::Null)
            .await;
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

    fn job_of(rule: &str) -> Job {
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
        assert!(outcome.starts_with("retry error sending request") && outcome.contains("refused"), "{outcome}");
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
        insta::assert_snapshot!(problems(yaml), @r#"
        retry.max_attempts: expected a whole number from 1 to 10000
        retry.jitter: expected full or none
        retry.backoff.initial: is longer than max: the wait grows from initial to max
        timeout: expected a length of time such as 10s, 15m, 1h 30m or 7d
        concurrency: expected a whole number from 1 to 256
        destructive: expected true or false, found a text
        url: plain http would show the request to everyone on the way: use https, or say `insecure: true`
        method: expected one of DELETE, GET, PATCH, POST, PUT
        headers.Authorization: is a secret, given by reference: ${env:NAME} or ${file:PATH}
        headers.Content-Type: is set by Emote; the content type is the field `content_type`
        headers.X-N: expected a text, found a number
        headers.X-S: a secret is given by reference, ${env:NAME} or ${file:PATH}, never in the file itself
        headers.a b: not the name of a header
        auth.bearer: a secret is given by reference, ${env:NAME} or ${file:PATH}, never in the file itself
        auth.digest: unknown key: expected one of basic, bearer
        bdoy: unknown key: expected one of auth, batch, body, breaker, concurrency, content_type, destructive, guard, headers, insecure, kind, max_age, method, ordered, rate, retry, timeout, url
        "#);
        insta::assert_snapshot!(problems("kind: http\nauth: {}"), @r#"
        url: is missing: for example url: https://hooks.example.com/emote
        auth: expected one of basic, bearer
        "#);
        insta::assert_snapshot!(problems("kind: htpp\nurl: 3"), @"kind: unknown kind: expected one of asset, http, log, mdm, slack");
        insta::assert_snapshot!(problems("{}"), @"kind: is missing: for example kind: http");
    }

    #[test]
    fn a_body_that_is_no_program_is_a_problem() {
        let found = problems("kind: http\nurl: https://x\nbody: '{'");
        assert!(found.starts_with("body: "), "{found}");
    }

    #[test]
    fn missing_secrets_are_all_named() {
        let yaml =
            "kind: http\nurl: 'https://x/${file:no1}'\nauth: {bearer: '${file:no2}'}\nheaders: {X-A: '${file:no3}'}";
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
        insta::assert_debug_snapshot!(testing::validate("kind: http\nurl: https://x").unwrap(), @r#"
        Validated {
            name: Name(
                "the-target",
            ),
            kind: "http",
            delivery: DeliverySettings {
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
            policy: Policy {
                guard: None,
                max_age: None,
                ordered: false,
            },
            unresolved: Spec {
                url: Template(
                    [
                        Plain(
                            "https://x",
                        ),
                    ],
                ),
                insecure: false,
                method: POST,
                headers: [],
                auth: None,
                body: None,
                content_type: "application/json",
            },
        }
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
}
