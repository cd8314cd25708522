//! `slack`: posts a message, to an incoming webhook or by `chat.postMessage`.
//!
//! ```yaml
//! kind: slack
//! token: ${env:SLACK_TOKEN}      # a bot token with chat:write
//! channel: "#clients"            # unless the rule's input names one
//! ```
//! ```yaml
//! kind: slack
//! webhook: ${env:SLACK_WEBHOOK}
//! channel: "#clients"            # only what reports say: a webhook posts to its own channel
//! ```
//! The rule's input is a text or `{text, blocks, channel, thread_ts, …}`; a rule without input posts a summary of its
//! event. What comes from an event into mrkdwn is to be escaped, `@html` does: else a device called `<!channel>` would
//! call everyone. A job that is repeated after a crash may post twice: Slack knows no idempotency key.

use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, Url};
use serde_json::{Map, Value, json};

use super::address;
use super::spec::{Setup, Unresolved};
use super::wire::{self, Answer, Auth, Client};
use super::{Outcome, Target};
use crate::config::fields::Fields;
use crate::config::text::Template;
use crate::config::{Problems, SecretRef};
use crate::core::Job;

mod message;

const API: &str = "https://slack.com/api";
/// `error`s of the Web API that pass by themselves.
const PASSING: [&str; 7] = [
    "ratelimited",
    "rate_limited",
    "message_limit_exceeded",
    "internal_error",
    "fatal_error",
    "service_unavailable",
    "request_timeout",
];

#[derive(Debug)]
struct Spec {
    post: Post<Template, SecretRef>,
    insecure: bool,
    channel: Option<String>,
}

/// The two ways to post: to an address that is a secret in itself, or with a token.
#[derive(Debug)]
enum Post<U, A> {
    Webhook(U),
    Api { url: U, auth: A },
}

struct Slack {
    client: Client,
    post: Post<Url, Auth>,
    channel: Option<String>,
}

pub(super) fn read(fields: &mut Fields<'_>) -> Option<Box<dyn Unresolved>> {
    let insecure = fields.flag("insecure").unwrap_or_default();
    let channel = fields.text("channel");
    let (has_webhook, has_token) = (fields.has("webhook"), fields.has("token"));
    if has_webhook == has_token {
        fields
            .problem("", "expected one of token, webhook: webhook: ${env:SLACK_WEBHOOK}, or token: ${env:SLACK_TOKEN}");
    }
    let base =
        if fields.has("api_base") { address::read(fields, "api_base", insecure, API) } else { Some(Template::of(API)) };
    let webhook = fields.template("webhook");
    if webhook.as_ref().is_some_and(|webhook| webhook.plain().is_some()) {
        fields.problem("webhook", "is a secret, given by reference: ${env:NAME} or ${file:PATH}");
    }
    let token = fields.secret("token");
    let post = match webhook {
        Some(webhook) => Post::Webhook(webhook),
        None => Post::Api { url: base?, auth: token? },
    };
    Some(Box::new(Spec { post, insecure, channel }))
}

impl Unresolved for Spec {
    fn is_shown(&self) -> bool {
        true
    }

    fn resolve(&self, setup: &Setup<'_>, problems: &mut Problems) -> Option<Box<dyn Target>> {
        let (url, post, secrets) = match &self.post {
            Post::Webhook(template) => {
                let (url, secrets) = address::resolve(template, "webhook", self.insecure, setup, problems)?;
                (url.clone(), Post::Webhook(url), secrets)
            }
            Post::Api { url: base, auth: token } => {
                let base = address::resolve(base, "api_base", self.insecure, setup, problems);
                let auth = wire::bearer(token, "token", setup, problems);
                let ((base, mut secrets), auth) = (base?, auth?);
                secrets.extend(auth.secrets());
                let url = wire::join(&base, &["chat.postMessage"]);
                (url.clone(), Post::Api { url, auth }, secrets)
            }
        };
        let client = problems.take("", Client::new(setup, &url, secrets))?;
        Some(Box::new(Slack { client, post, channel: self.channel.clone() }))
    }
}

#[async_trait::async_trait]
impl Target for Slack {
    async fn deliver(&self, job: &Job, input: &Value) -> Outcome {
        let message = match self.message(job, input) {
            Ok(message) => message,
            Err(reason) => return Outcome::never(reason),
        };
        let request = match &self.post {
            Post::Webhook(url) => self.client.request(Method::POST, url.clone()),
            Post::Api { url, auth } => auth.apply(self.client.request(Method::POST, url.clone())),
        };
        let request = request
            .header("Idempotency-Key", wire::idempotency_key(&job.id))
            .header(CONTENT_TYPE, "application/json; charset=utf-8")
            .body(Value::Object(message.clone()).to_string());
        let answer = self.client.send(request, &[]).await.and_then(Answer::success);
        match answer.and_then(|answer| self.accepted(&answer)) {
            Err(outcome) => outcome,
            Ok(ts) => {
                let channel = message.get("channel").cloned().or_else(|| self.channel.clone().map(Value::from));
                let mut info = json!({"channel": channel, "body": message.get("text")});
                if let (Value::Object(info), Some(ts)) = (&mut info, ts) {
                    info.insert("ts".to_owned(), json!(ts));
                }
                Outcome::done("communicate", "slack_post", info)
            }
        }
    }
}

impl Slack {
    fn message(&self, job: &Job, input: &Value) -> Result<Map<String, Value>, String> {
        let mut message = match (&job.input, input) {
            (None, _) | (_, Value::Null) => message::summary(job),
            _ => message::from_input(input)?,
        };
        match &self.post {
            Post::Webhook(_) if message.contains_key("channel") => {
                Err("the input names a channel, but an incoming webhook \
                posts to its own one only: give the target a token instead"
                    .to_owned())
            }
            Post::Webhook(_) => Ok(message),
            Post::Api { .. } => {
                if let (false, Some(channel)) = (message.contains_key("channel"), &self.channel) {
                    message.insert("channel".to_owned(), json!(channel));
                }
                if message.contains_key("channel") {
                    Ok(message)
                } else {
                    Err("no channel to post to: set `channel` in the target or in the rule's input".to_owned())
                }
            }
        }
    }

    /// Whether a reply with a status of success means that the message stands there: `ok` in the Web API's reply.
    /// Gives the message's `ts`.
    fn accepted(&self, answer: &Answer) -> Result<Option<String>, Outcome> {
        if let Post::Webhook(_) = self.post {
            return Ok(None);
        }
        let reply: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        match (reply.get("ok"), reply.get("error").and_then(Value::as_str)) {
            (Some(Value::Bool(true)), _) => Ok(reply.get("ts").and_then(Value::as_str).map(str::to_owned)),
            (_, Some(error)) if PASSING.contains(&error) => Err(answer.retry(format!("Slack says {error}"))),
            (_, Some(error)) => Err(Outcome::never(format!("Slack says {}{}", wire::quote(error), advice(error)))),
            _ => Err(answer.retry(format!("no reply of Slack's: {}", answer.describe()))),
        }
    }
}

fn advice(error: &str) -> &'static str {
    match error {
        "invalid_auth" | "not_authed" | "token_revoked" | "token_expired" | "account_inactive" => ": check the token",
        "channel_not_found" => ": check the channel's name or id",
        "not_in_channel" => ": invite the app to the channel",
        "missing_scope" => ": the app needs the scope chat:write",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Stand, job, problems, show};
    use super::*;

    const WEBHOOK: &str = "kind: slack\nwebhook: '%URL%/services/${file:path}'";
    const API: &str = "kind: slack\ntoken: '${file:token}'\nchannel: '#clients'\napi_base: '%URL%/api'";

    #[tokio::test]
    async fn what_slack_says_decides() {
        for (yaml, status, headers, reply, expected) in [
            (WEBHOOK, 200, &[][..], "ok", r#"done communicate.slack_post {"body":"hi","channel":null}"#),
            (WEBHOOK, 400, &[], "invalid_payload", "never answered 400 Bad Request: invalid_payload"),
            (WEBHOOK, 403, &[], "action_prohibited", "never answered 403 Forbidden: action_prohibited"),
            (WEBHOOK, 404, &[], "no_service", "never answered 404 Not Found: no_service"),
            (WEBHOOK, 404, &[], "no such path: %PATH%", "never answered 404 Not Found: no such path: /…"),
            (WEBHOOK, 410, &[], "channel_is_archived", "never answered 410 Gone: channel_is_archived"),
            (WEBHOOK, 429, &[("retry-after", "30")], "", "retry 30s answered 429 Too Many Requests"),
            (WEBHOOK, 500, &[], "rollup_error", "retry answered 500 Internal Server Error: rollup_error"),
            (
                API,
                200,
                &[],
                r#"{"ok":true,"ts":"1.2"}"#,
                r##"done communicate.slack_post {"body":"hi","channel":"#clients","ts":"1.2"}"##,
            ),
            (API, 200, &[], r#"{"ok":false,"error":"ratelimited"}"#, "retry Slack says ratelimited"),
            (API, 200, &[], r#"{"ok":false,"error":"internal_error"}"#, "retry Slack says internal_error"),
            (API, 200, &[], r#"{"ok":false,"error":"invalid_auth"}"#, "never Slack says invalid_auth: check the token"),
            (
                API,
                200,
                &[],
                r#"{"ok":false,"error":"channel_not_found"}"#,
                "never Slack says channel_not_found: check the channel's name or id",
            ),
            (API, 200, &[], "<html>", "retry no reply of Slack's: answered 200 OK: <html>"),
            (API, 200, &[], r#"{"ok":false}"#, r#"retry no reply of Slack's: answered 200 OK: {"ok":false}"#),
            (
                API,
                429,
                &[("retry-after", "1")],
                r#"{"ok":false,"error":"ratelimited"}"#,
                r#"retry 1s answered 429 Too Many Requests: {"ok":false,"error":"ratelimited"}"#,
            ),
        ] {
            let stand = Stand::replying(&[(status, headers, reply)]).await;
            assert_eq!(show(&stand.deliver(yaml, &job(), &json!("hi")).await), expected);
        }
    }

    #[tokio::test]
    async fn a_rule_without_input_posts_a_summary() {
        let stand = Stand::replying(&[(200, &[], "ok")]).await;
        let mut job = job();
        job.input = None;
        let mut node = job.node.as_ref().unwrap().value().clone();
        node["name"] = json!("<!channel>");
        job.node = Some(node.into());
        stand.deliver(WEBHOOK, &job, &json!({"scope": "device"})).await;
        let seen = stand.seen();
        let body: Value = serde_json::from_str(seen.rsplit_once("\n\n").unwrap().1).unwrap();
        insta::assert_snapshot!(serde_json::to_string_pretty(&body).unwrap(), @r#"
        {
          "blocks": [
            {
              "text": {
                "text": "device enroll",
                "type": "plain_text"
              },
              "type": "header"
            },
            {
              "fields": [
                {
                  "text": "*Node*\n&lt;!channel&gt; (C02XL0GTJGH5)",
                  "type": "mrkdwn"
                },
                {
                  "text": "*Owner*\nada@example.com",
                  "type": "mrkdwn"
                },
                {
                  "text": "*Source*\njamf",
                  "type": "mrkdwn"
                },
                {
                  "text": "*Time*\n2026-11-23T06:41:00.000Z",
                  "type": "mrkdwn"
                }
              ],
              "type": "section"
            },
            {
              "elements": [
                {
                  "text": "rule the-rule · event a64c29d5-87af-5257-b215-b904e4a840d8",
                  "type": "mrkdwn"
                }
              ],
              "type": "context"
            }
          ],
          "text": "device enroll: &lt;!channel&gt; (C02XL0GTJGH5)"
        }
        "#);
    }

    #[tokio::test]
    async fn the_input_may_name_the_channel_where_there_is_a_token() {
        let stand = Stand::replying(&[(200, &[], r#"{"ok":true}"#)]).await;
        let outcome = stand.deliver(API, &job(), &json!({"text": "hi", "channel": "C1"})).await;
        assert_eq!(show(&outcome), r#"done communicate.slack_post {"body":"hi","channel":"C1"}"#);
        insta::assert_snapshot!(stand.seen(), @r#"
        POST /api/chat.postMessage
        authorization: Bearer t0ken-hunter2
        content-type: application/json; charset=utf-8
        idempotency-key: a64c29d5-87af-5257-b215-b904e4a840d8/the-rule/the-target

        {"channel":"C1","text":"hi"}
        "#);
        let outcome = stand.deliver(WEBHOOK, &job(), &json!({"text": "hi", "channel": "C1"})).await;
        assert!(show(&outcome).starts_with("never the input names a channel"), "{outcome:?}");
        let no_channel = API.replace("channel: '#clients'\n", "");
        let outcome = stand.deliver(&no_channel, &job(), &json!("hi")).await;
        assert!(show(&outcome).starts_with("never no channel"), "{outcome:?}");
        assert_eq!(stand.seen(), "");
    }

    #[test]
    fn the_settings_are_checked() {
        insta::assert_snapshot!(problems("kind: slack"), @": expected one of token, webhook: webhook: ${env:SLACK_WEBHOOK}, or token: ${env:SLACK_TOKEN}");
        insta::assert_snapshot!(problems("kind: slack\nwebhook: https://hooks.slack.com/services/hunter2\nchanel: x"), @r#"
        webhook: is a secret, given by reference: ${env:NAME} or ${file:PATH}
        chanel: unknown key: expected one of api_base, batch, breaker, channel, concurrency, destructive, guard, insecure, kind, max_age, ordered, rate, retry, timeout, token, webhook
        "#);
        insta::assert_snapshot!(problems("kind: slack\ntoken: xoxb-hunter2\napi_base: http://example.com"), @r#"
        api_base: plain http would show the request to everyone on the way: use https, or say `insecure: true`
        token: a secret is given by reference, ${env:NAME} or ${file:PATH}, never in the file itself
        "#);
    }
}
