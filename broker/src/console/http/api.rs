//! Questions of programs: JSON, bounded.

pub(super) mod agents;

use emote_proto::{Filter, Name, NodeKey, Token};
use serde_json::{Value, json};

use super::{
    answer::{Answer, Refusal},
    visit::{Call, Visit},
};
use crate::{
    bus::{Bus, DeadLetter},
    console::{
        ask_brokers, deploys,
        view::{
            events,
            history::{History, json_of},
            in_force, rules,
            rules::RulesView,
            sources, targets,
            targets::View,
        },
    },
};

/// Events in an answer.
const MAX_EVENTS: usize = 1_000;
/// Where nothing is said.
const SOME_EVENTS: usize = 100;
/// Held jobs and dead letters in an answer: the oldest.
pub(super) const MAX_LISTED: usize = 1_000;

type Outcome = Result<Answer, Refusal>;

/// Who this is. Tells a browser's session the word that its actions must carry.
pub(super) async fn me(call: Call) -> Outcome {
    let word = call.who.session.as_ref().map(super::session::SessionId::form_word);
    let (person, role) = (&call.who.person, call.who.role);
    Ok(Answer::Json(json!({"who": person.shown(), "how": person.how, "role": role, "csrf": word})))
}

pub(super) async fn brokers(call: Call) -> Outcome {
    Ok(Answer::Json(json!({"brokers": ask_brokers(call.visit.bus()).await?})))
}

/// A page of nodes: `?after=KEY`.
pub(super) async fn nodes(call: Call) -> Outcome {
    let after = call.visit.query("after").unwrap_or_default();
    let page = crate::console::ask::page_of_nodes(call.visit.bus(), after).await?;
    Ok(Answer::Json(json!({"nodes": page.nodes, "more": page.more})))
}

pub(super) async fn node(call: Call) -> Outcome {
    let key = node_key(call.visit.param("key"))?;
    let node = crate::console::ask::node(call.visit.bus(), key.as_str()).await?;
    let node = node.ok_or_else(|| Refusal::not_found("no event has named such a node", "/api/v1/nodes lists them."))?;
    Ok(Answer::Json(json!(node)))
}

pub(super) fn node_key(text: &str) -> Result<NodeKey, Refusal> {
    NodeKey::new(text).map_err(|error| Refusal::bad(error.to_string(), "Give a serial number or a UDID."))
}

/// The latest events, the oldest first: `?last=100&node=…&source=…&scope=…&action=…`.
pub(super) async fn events(call: Call) -> Outcome {
    let (filter, last) = asked_events(&call.visit, SOME_EVENTS)?;
    let filters = events::filters(call.visit.bus(), &filter).await;
    let found = events::latest(call.visit.bus(), filters, last).await?;
    let found: Vec<Value> =
        found.iter().map(|(sequence, event)| json!({"sequence": sequence, "event": event})).collect();
    Ok(Answer::Json(json!({"events": found})))
}

/// Which events are asked for.
pub(super) fn asked_events(visit: &Visit, default: usize) -> Result<(Filter, usize), Refusal> {
    let wrong = |key: &str| {
        Refusal::bad(format!("{key} is not one that there can be"), "For example ?source=agent&scope=device.")
    };
    let name = |key| visit.query(key).map(|text| Name::new(text).map_err(|_| wrong(key))).transpose();
    let token = |key| visit.query(key).map(|text| Token::new(text).map_err(|_| wrong(key))).transpose();
    let node = visit.query("node").map(node_key).transpose()?;
    let last = visit.query("last").map(|text| text.parse::<usize>().map_err(|_| wrong("last"))).transpose()?;
    let filter = Filter { source: name("source")?, node, scope: token("scope")?, action: token("action")? };
    Ok((filter, last.unwrap_or(default).min(MAX_EVENTS)))
}

pub(super) async fn rules(call: Call) -> Outcome {
    let view = RulesView::ask(call.visit.bus()).await?;
    let rows = rules::rows(view.in_force.rules.iter(), &view.tallies);
    let rows: Vec<Value> = rows.iter().map(|(rule, tally)| rules::json_of(rule, tally)).collect();
    Ok(Answer::Json(json!({"rules": rows, "broker": view.broker.id})))
}

pub(super) async fn targets(call: Call) -> Outcome {
    let view = View::ask(call.visit.bus()).await?;
    let rows: Vec<Value> = view.rows().iter().map(|row| targets::json_of(row, &view)).collect();
    Ok(Answer::Json(json!({"targets": rows, "archive": targets::archive_json(&view)})))
}

pub(super) async fn sources(call: Call) -> Outcome {
    let view = sources::View::ask(call.visit.bus()).await?;
    let rows: Vec<Value> = view.rows().iter().map(sources::json_of).collect();
    Ok(Answer::Json(json!({"sources": rows})))
}

/// What is deployed, and a page of installs: `?after=KEY`.
pub(super) async fn deploy(call: Call) -> Outcome {
    let after = call.visit.query("after").unwrap_or_default().to_owned();
    let page = deploys::page(call.visit.bus(), after).await?;
    Ok(Answer::Json(
        json!({"package": page.package, "terms": page.terms, "installs": page.deployments, "more": page.more}),
    ))
}

pub(super) async fn held(call: Call) -> Outcome {
    let held = call.visit.bus().all_held(None).await?;
    let some: Vec<Value> =
        held.iter().take(MAX_LISTED).map(|held| json!({"since": held.since, "job": held.job})).collect();
    Ok(Answer::Json(json!({"held": some, "all": held.len()})))
}

/// Dead letters without their bodies, the oldest first: `?target=…&rule=…`.
pub(super) async fn dead(call: Call) -> Outcome {
    let letters = asked_letters(&call.visit).await?;
    let some: Vec<Value> = letters.iter().take(MAX_LISTED).map(listed).collect();
    Ok(Answer::Json(json!({"letters": some, "all": letters.len()})))
}

pub(super) async fn asked_letters(visit: &Visit) -> Result<Vec<DeadLetter>, Refusal> {
    let name = |key: &str| {
        let wrong = |_| Refusal::bad(format!("{key} is no name"), "Names are as in the configuration folder.");
        visit.query(key).map(|text| Name::new(text).map_err(wrong)).transpose()
    };
    Ok(visit.bus().dead_letters(name("target")?.as_ref(), name("rule")?.as_ref(), None).await?)
}

fn listed(letter: &DeadLetter) -> Value {
    let body: Value = serde_json::from_slice(&letter.payload).unwrap_or_default();
    let node = letter.job().and_then(|job| job.node_key());
    json!({"letter": letter.sequence, "id": letter.id, "subject": letter.subject, "stored": letter.stored,
        "reason": body["reason"], "attempts": body["attempts"], "node": node})
}

pub(super) async fn letter(call: Call) -> Outcome {
    let letter = one_letter(&call.visit).await?;
    let body: Value = serde_json::from_slice(&letter.payload).unwrap_or_default();
    Ok(Answer::Json(json!({"letter": letter.sequence, "id": letter.id, "subject": letter.subject,
        "stored": letter.stored, "body": body})))
}

/// The letter that the path names.
pub(super) async fn one_letter(visit: &Visit) -> Result<DeadLetter, Refusal> {
    let none = || Refusal::not_found("there is no such dead letter", "/dead and /api/v1/dead list them.");
    let text = visit.param("letter");
    let number = text.parse::<u64>().ok().filter(|number| *number > 0 && number.to_string() == text);
    visit.bus().dead_letter(number.ok_or_else(none)?).await?.ok_or_else(none)
}

pub(super) async fn history(call: Call) -> Outcome {
    let history = History::ask(call.visit.bus()).await?;
    let sets: Vec<Value> = history.sets.iter().map(|set| json_of(set, history.order(set))).collect();
    Ok(Answer::Json(json!({"sets": sets})))
}

/// The set in force with its files; nothing in it is secret, secrets are references.
pub(super) async fn current(call: Call) -> Outcome {
    let bus: &Bus = call.visit.bus();
    let none = || Refusal::not_found("nothing was ever applied", "Apply a folder: `emote apply DIR`.");
    let now = bus.in_force().await?.ok_or_else(none)?;
    let set = in_force::stored(bus, &now.hash).await?;
    let files: serde_json::Map<String, Value> =
        set.files().map(|(path, text)| (path.to_owned(), json!(text))).collect();
    Ok(Answer::Json(json!({"hash": now.hash, "sequence": now.sequence, "since": now.since, "files": files})))
}
