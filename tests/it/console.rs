//! The console and the API: who comes in, what they may do, and what is tried against it. The helpers are here.

mod actions;
mod agents;
mod forms;
mod oidc;
mod pages;
mod roles;
mod sessions;

use emote_tests::{Browser, Builder, CLIENT, Idp, Stack, client_secret, private_file};
use serde_json::{Value, json};

/// Where the console is.
fn url(stack: &Stack) -> String {
    at(stack.broker.console)
}

fn at(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// The local token.
fn token(stack: &Stack) -> String {
    std::fs::read_to_string(stack.config.join("data/console-token")).unwrap().trim().to_owned()
}

/// A browser in which the local token was given.
async fn signed_in(stack: &Stack) -> Browser {
    let browser = Browser::at(&url(stack));
    let answered = browser.post("/login", &[("token", &token(stack))]).await;
    assert_eq!((answered.status, answered.header("location")), (303, "/".to_owned()), "{answered:?}");
    browser
}

/// A stack whose console knows this provider.
async fn with_oidc(idp: &Idp, builder: Builder) -> Stack {
    let mut stack = builder.lines("emote.yaml", &oidc(idp)).without_broker().start().await;
    private_file(&stack.config.join(SECRET), &client_secret());
    stack.broker.start().await;
    stack
}

const SECRET: &str = "secrets/oidc";

/// What `console:` of emote.yaml says of it.
fn oidc(idp: &Idp) -> String {
    format!(
        "  url: http://localhost:8482\n  oidc:\n    issuer: {}\n    client_id: {}\n    client_secret: ${{file:{SECRET}}}\n\
         \x20   roles: {{claim: groups, viewer: [viewers], operator: [operators], approver: [approvers], admin: [admins]}}\n",
        idp.issuer, CLIENT
    )
}

/// Somebody of this group, as a provider knows them.
fn ada(group: &str) -> Value {
    json!({"sub": "ada-1", "email": "ada@example.com", "email_verified": true, "groups": ["everybody", group]})
}

/// What the log tells of the console, by action.
async fn told(stack: &Stack, action: &str) -> Vec<Value> {
    let events = stack.streams.read("EVENTS", &format!("events.broker.-.console.{action}")).await;
    events.into_iter().map(|event| event.json()["info"].clone()).collect()
}
