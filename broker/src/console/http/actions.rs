//! What can be done: each action says its name, the least role, and the page that one comes from. All of them are orders:
//! events in the log, signed with who gave them and why.

mod agents;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use super::{
    answer::{Answer, Kind, Refusal},
    pages,
    role::Role,
    visit::Call,
};
use crate::{
    bus::Bus,
    console::{
        order::{
            Applied, Signature,
            config::apply_stored,
            dead::{self, What},
            held::{self, Outcome},
        },
        view::{
            history::{before_now, find},
            in_force::{short, stored},
        },
    },
    identity::{Registry, order::What as AgentsWhat},
};

/// Characters of a reason.
const MAX_REASON: usize = 500;
/// Jobs or letters that are named at a time.
const MAX_NAMED: usize = 1_000;

/// An action. `run` gets what the body says, without the reason and the form's word.
pub(super) struct Action {
    /// `held/approve`
    pub(super) name: &'static str,
    pub(super) least: Role,
    /// The page that its form is on.
    pub(super) page: &'static str,
    run: fn(Asked) -> BoxFuture<'static, Result<Done, Refusal>>,
}

/// What an action is given.
pub(super) struct Asked {
    pub(super) bus: Bus,
    /// Agents and their credentials, where this broker gives those out.
    pub(super) registry: Option<Registry>,
    pub(super) fields: Map<String, Value>,
    pub(super) signature: Signature,
}

/// What an action came to.
pub(super) struct Done {
    /// For people.
    pub(super) text: String,
    /// For programs.
    pub(super) detail: Value,
}

#[rustfmt::skip]
pub(super) static ACTIONS: &[Action] = &[
    Action { name: "dead/redrive",    least: Role::Operator, page: "/dead", run: |asked| Box::pin(letters(asked, What::Redrive)) },
    Action { name: "dead/drop",       least: Role::Operator, page: "/dead", run: |asked| Box::pin(letters(asked, What::Drop)) },
    Action { name: "held/approve",    least: Role::Approver, page: "/held", run: |asked| Box::pin(approve(asked)) },
    Action { name: "held/deny",       least: Role::Approver, page: "/held", run: |asked| Box::pin(deny(asked)) },
    Action { name: "agents/approve",  least: Role::Approver, page: "/agents", run: |asked| Box::pin(agents::approve(asked)) },
    Action { name: "agents/deny",     least: Role::Approver, page: "/agents", run: |asked| Box::pin(agents::order(asked, AgentsWhat::Deny)) },
    Action { name: "agents/revoke",   least: Role::Admin,    page: "/agents", run: |asked| Box::pin(agents::revoke(asked)) },
    Action { name: "agents/rotate",   least: Role::Admin,    page: "/agents", run: |asked| Box::pin(agents::order(asked, AgentsWhat::Rotate)) },
    Action { name: "config/rollback", least: Role::Admin,    page: "/",     run: |asked| Box::pin(rollback(asked)) },
];

/// Does it, and says so as whoever asked wants it.
pub(super) async fn act(mut call: Call, action: &'static Action) -> Result<Answer, Refusal> {
    let reason = reason(call.fields.remove("reason"))?;
    call.fields.remove("csrf");
    let signature = Signature { who: call.who.person.signs()?, reason: Some(reason) };
    let (bus, registry) = (call.visit.bus().clone(), call.visit.registry().ok().cloned());
    let asked = Asked { bus, registry, fields: std::mem::take(&mut call.fields), signature };
    let done = (action.run)(asked).await?;
    tracing::info!(action = action.name, "an order was given at the console");
    Ok(match call.visit.kind {
        Kind::Api => {
            let mut body = json!({"done": done.text});
            if let (Value::Object(body), Value::Object(detail)) = (&mut body, done.detail) {
                body.extend(detail);
            }
            Answer::Json(body)
        }
        Kind::Page => Answer::Page(pages::done(&call, &done.text, action.page)),
    })
}

fn reason(given: Option<Value>) -> Result<String, Refusal> {
    let text = given.as_ref().and_then(Value::as_str).unwrap_or_default().trim();
    if text.is_empty() {
        return Err(Refusal::bad("a reason is missing", "Say in reason why, for those who read the log later."));
    }
    if text.chars().count() > MAX_REASON || text.chars().any(char::is_control) {
        return Err(Refusal::bad(
            "the reason is too long, or more than one line",
            "Say it in one line of 500 characters.",
        ));
    }
    Ok(text.to_owned())
}

fn read<T: DeserializeOwned>(fields: Map<String, Value>, example: &str) -> Result<T, Refusal> {
    serde_json::from_value(Value::Object(fields)).map_err(|error| {
        Refusal::bad(format!("this is not what is taken here: {error}"), format!("For example {example}."))
    })
}

/// A list, or one thing by itself: a form that has one box ticked sends no list. Numbers may be texts.
fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let word = |value: Value| match value {
        Value::String(word) => Ok(word),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(serde::de::Error::custom("expected texts or numbers")),
    };
    match Value::deserialize(deserializer)? {
        Value::Array(all) => all.into_iter().map(word).collect(),
        one => Ok(vec![word(one)?]),
    }
}

fn some(mut named: Vec<String>) -> Result<Vec<String>, Refusal> {
    named.sort_unstable();
    named.dedup();
    match named.len() {
        1..=MAX_NAMED => Ok(named),
        _ => Err(Refusal::bad("it must be said which ones, at most 1000 at a time", "Name some.")),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Letters {
    #[serde(deserialize_with = "list")]
    letters: Vec<String>,
}

async fn letters(asked: Asked, what: What) -> Result<Done, Refusal> {
    let Letters { letters } = read(asked.fields, r#"{"letters": [17], "reason": "the token is valid again"}"#)?;
    let numbers: Result<Vec<u64>, _> = some(letters)?.iter().map(|letter| letter.parse()).collect();
    let numbers = numbers.map_err(|_| Refusal::bad("letters are numbers", "/api/v1/dead lists them."))?;
    let found = dead::named(&asked.bus, &numbers).await?;
    let left = dead::order(&asked.bus, what, &found, &asked.signature).await?;
    if left > 0 {
        return Err(anyhow::anyhow!(dead::still_there(left)).into());
    }
    let word = if what == What::Redrive { "given out again" } else { "thrown away" };
    Ok(Done { text: format!("{} {word}.", found.len()), detail: json!({"letters": numbers}) })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Jobs {
    #[serde(deserialize_with = "list")]
    jobs: Vec<String>,
}

async fn approve(asked: Asked) -> Result<Done, Refusal> {
    let Jobs { jobs } = read(asked.fields, r#"{"jobs": ["…"], "reason": "HR-4711"}"#)?;
    said("approved", held::approve(&asked.bus, some(jobs)?, &asked.signature).await?)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    rule: emote_proto::Name,
}

async fn deny(asked: Asked) -> Result<Done, Refusal> {
    let Rule { rule } = read(asked.fields, r#"{"rule": "lock-leavers", "reason": "the export was wrong"}"#)?;
    let outcome = held::deny(&asked.bus, rule.as_str(), &asked.signature).await?;
    if outcome.named == 0 {
        return Err(Refusal::not_found(format!("nothing is held of a rule {rule}"), "/api/v1/held lists what is."));
    }
    said("denied", outcome)
}

fn said(what: &str, outcome: Outcome) -> Result<Done, Refusal> {
    match outcome.refused {
        Some(reason) => Err(anyhow::anyhow!(reason).into()),
        None => Ok(Done { text: format!("{} {what}.", outcome.named), detail: json!({"jobs": outcome.named}) }),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Set {
    hash: Option<String>,
}

async fn rollback(asked: Asked) -> Result<Done, Refusal> {
    let Set { hash } = read(asked.fields, r#"{"hash": "0123456789ab", "reason": "too eager"}"#)?;
    let wanted = match hash.as_deref().filter(|hash| !hash.is_empty()) {
        Some(begin) => find(&asked.bus, Some(begin)).await?,
        None => before_now(&asked.bus.sets_over_time().await?).cloned(),
    };
    let none =
        || Refusal::not_found("there is nothing to go back to", "/api/v1/config/history lists what was in force.");
    let wanted = wanted.ok_or_else(none)?;
    let files = stored(&asked.bus, &wanted.hash).await?.files().count();
    let (state, text) = match apply_stored(&asked.bus, &wanted.hash, files, &asked.signature).await? {
        Applied::InForce(now) => {
            ("in_force", format!("{} is in force since entry #{}.", short(&wanted.hash), now.sequence))
        }
        Applied::Waiting => ("ordered", format!("{} is ordered; no broker has come to it yet.", short(&wanted.hash))),
        Applied::Refused(reason) => return Err(anyhow::anyhow!("the broker refused it: {reason}").into()),
    };
    Ok(Done { text, detail: json!({"hash": wanted.hash, "state": state}) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_a_line() {
        for (given, fine) in [
            (json!("HR-4711"), true),
            (json!("  HR-4711 "), true),
            (json!("x".repeat(500)), true),
            (json!("x".repeat(501)), false),
            (json!("a\r\nb"), false),
            (json!(" "), false),
            (json!(5), false),
            (Value::Null, false),
        ] {
            assert_eq!(reason(Some(given.clone())).is_ok(), fine, "{given}");
        }
        assert!(reason(None).is_err());
    }

    #[test]
    fn one_is_as_good_as_a_list_of_one() {
        let letters = |fields: Value| {
            let Value::Object(fields) = fields else { return None };
            read::<Letters>(fields, "").ok().map(|letters| letters.letters)
        };
        for (fields, expected) in [
            (json!({"letters": "17"}), Some(vec!["17"])),
            (json!({"letters": 17}), Some(vec!["17"])),
            (json!({"letters": ["17", 18]}), Some(vec!["17", "18"])),
            (json!({"letters": [["17"]]}), None),
            (json!({"letters": "17", "all": true}), None),
            (json!({}), None),
        ] {
            let expected = expected.map(|words| words.into_iter().map(str::to_owned).collect());
            assert_eq!(letters(fields.clone()), expected, "{fields}");
        }
    }
}
