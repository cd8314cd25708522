//! The nodes, a page at a time.

use emote_proto::Time;
use maud::{Markup, html};
use serde_json::Value;

use super::{ago, encoded, node_link, page};
use crate::console::{
    NodeRecord, ask,
    http::{
        answer::{Answer, Refusal},
        enter,
        visit::Call,
    },
};

pub(in crate::console::http) async fn list(call: Call) -> Result<Answer, Refusal> {
    let after = call.visit.query("after").unwrap_or_default();
    let found = ask::page_of_nodes(call.visit.bus(), after).await?;
    let now = enter::now();
    let main = html! {
        div .wide { table {
            caption .quiet { "What is known of each node, by serial number" }
            thead { tr { th scope="col" { "Node" } th scope="col" { "Name" } th scope="col" { "Owner" } th scope="col" { "OS" } th scope="col" { "Enrolled in" } th scope="col" { "Last seen" } } }
            tbody { @for node in &found.nodes { (row(node, now)) } }
        } }
        @if found.nodes.is_empty() { p { "No nodes here: they appear with the first event that names one." } }
        @if let Some(last) = found.nodes.last().filter(|_| found.more) {
            p { a href={ "/nodes?after=" (encoded(&last.key)) } { "More" } }
        }
    };
    Ok(Answer::Page(page(&call, "/nodes", "Nodes", &main)))
}

fn row(node: &NodeRecord, now: Time) -> Markup {
    let text = |field: &str| node.record[field].as_str().unwrap_or("–");
    let enrolled = |claims: &Value| claims["enrolled"]["value"].as_bool();
    let sources = node.record["sources"].as_object().into_iter().flatten();
    let enrolled: Vec<String> = sources
        .filter_map(|(source, claims)| Some(if enrolled(claims)? { source.clone() } else { format!("not {source}") }))
        .collect();
    html! {
        tr {
            th scope="row" { (node_link(&node.key)) }
            td { (text("name")) }
            td { (text("owner")) }
            td { (text("os_version")) }
            td { (if enrolled.is_empty() { "–".to_owned() } else { enrolled.join(", ") }) }
            td {
                @for (source, at) in node.record["last_seen"].as_object().into_iter().flatten() {
                    @if let Some(at) = at.as_str().and_then(|at| at.parse().ok()) { span .seen { (source) " " (ago(at, now)) } " " }
                }
            }
        }
    }
}
