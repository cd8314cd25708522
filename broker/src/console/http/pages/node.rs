//! One node: what each source says of it side by side, and its latest events.

use emote_proto::{Filter, Serial, Time};
use maud::{Markup, html};
use serde_json::Value;

use super::{agent::standing, ago, encoded, events, page};
use crate::{
    console::{
        ask, deploys,
        http::{
            answer::{Answer, Refusal},
            api::node_key,
            enter,
            visit::Call,
        },
        view::{self, words},
    },
    core::Deployment,
    identity::record::DeviceRecord,
};

/// Events that are shown.
const TIMELINE: usize = 50;

pub(in crate::console::http) async fn show(call: Call) -> Result<Answer, Refusal> {
    let (bus, key) = (call.visit.bus(), node_key(call.visit.param("key"))?);
    let none = || Refusal::not_found("no event has named such a node", "The page of nodes lists those there are.");
    let node = ask::node(bus, key.as_str()).await?.ok_or_else(none)?;
    let filter = Filter { node: Some(key), ..Filter::default() };
    let filters = view::events::filters(bus, &filter).await;
    let timeline = view::events::latest(bus, filters, TIMELINE).await?;
    let now = enter::now();
    let credential = credential(&call, &node.key).await?;
    let installs = deploys::ask(bus, vec![node.key.clone()]).await?.deployments;
    let text = |field: &str| node.record[field].as_str().unwrap_or("–");
    let main = html! {
        dl {
            dt { "Name" } dd { (text("name")) }
            dt { "Owner" } dd { (text("owner")) }
            dt { "UDID" } dd { (text("udid")) }
            @if let Some(device) = &credential {
                dt { "Agent's credential" }
                dd { a href={ "/agents/" (encoded(device.serial.as_str())) } { (standing(device, now)) } }
            } @else if call.visit.registry().is_ok() {
                dt { "Agent's credential" } dd { "none: no agent has asked for one under this serial number" }
            }
            @for install in &installs {
                dt { "Agent's install" } dd { (how_far(install, now)) }
            }
        }
        (claims(&node.record, now))
        h2 { "Latest events" }
        (events::table(&timeline))
    };
    Ok(Answer::Page(page(&call, "/nodes", &format!("Node {}", node.key), &main)))
}

/// What the registry has of its agent, where this broker gives out credentials.
async fn credential(call: &Call, key: &str) -> Result<Option<DeviceRecord>, Refusal> {
    match (call.visit.registry(), Serial::new(key)) {
        (Ok(registry), Ok(serial)) => Ok(registry.device(&serial).await?.record),
        _ => Ok(None),
    }
}

/// `1.2.3: failed, 5 min ago, by install-agent for ada@example.com (HD-1234): no room`
fn how_far(install: &Deployment, now: Time) -> Markup {
    let Deployment { version, state, since, target, by, note, reason, .. } = install;
    html! {
        (version) ": " (state.word()) ", " (ago(*since, now)) ", by " (target)
        @if let Some(by) = by { " for " (by) }
        @if let Some(note) = note { " (" (words::clip(note, 100)) ")" }
        @if let Some(reason) = reason { ": " (words::clip(reason, 200)) }
    }
}

/// One row a field, one column a source: where they differ is where to look.
fn claims(record: &Value, now: Time) -> Markup {
    let sources: Vec<(&String, &Value)> = record["sources"].as_object().into_iter().flatten().collect();
    let claimed = sources.iter().filter_map(|(_, claims)| claims.as_object()).chain(record["asset"].as_object());
    let mut fields: Vec<&String> = claimed.flat_map(|map| map.keys()).collect();
    fields.sort_unstable();
    fields.dedup();
    html! {
        div .wide { table {
            caption { "What each source says" }
            thead { tr { th scope="col" { "Field" } th scope="col" { "Asset record" } @for (source, _) in &sources { th scope="col" { (source) } } } }
            tbody {
                @for field in fields {
                    tr {
                        th scope="row" { (field) }
                        td { (shown(&record["asset"][field])) }
                        @for (_, claims) in &sources {
                            td {
                                (shown(&claims[field]["value"]))
                                @if let Some(since) = claims[field]["since"].as_str().and_then(|since| since.parse().ok()) {
                                    " " small { (ago(since, now)) }
                                }
                            }
                        }
                    }
                }
            }
        } }
    }
}

fn shown(value: &Value) -> String {
    if value.is_null() { String::new() } else { words::clip(&words::plain(value), 200) }
}
