//! `emote nodes`

use emote_proto::Time;
use serde_json::Value;

use super::{Exit, Output, ask, connect::Asking, print_line, render, table};
use crate::console::NodeRecord;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: emote nodes -o json | jq -r 'select(.record.owner == \"ada@example.com\").key'")]
pub(super) struct Args {
    #[command(flatten)]
    ask: Asking,
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    let bus = args.ask.connect().await?;
    let nodes = ask::nodes(&bus).await?;
    match args.ask.output {
        Output::Json => {
            for node in nodes {
                print_line(serde_json::to_string(&node)?)?;
            }
        }
        Output::Table if nodes.is_empty() => {
            print_line("No nodes yet: they appear with the first event that names one.")?;
        }
        Output::Table => {
            print_line(rows(&nodes, jiff::Timestamp::now().into()))?;
        }
    }
    Ok(Exit::Ok)
}

fn rows(nodes: &[NodeRecord], now: Time) -> String {
    let mut table = table::table(&["node", "name", "owner", "os", "enrolled in", "last seen"]);
    for NodeRecord { key, record } in nodes {
        let text = |field: &str| record[field].as_str().map_or("-".to_owned(), |text| render::clip(text, 40));
        table.add_row([
            render::clip(key, 40),
            text("name"),
            text("owner"),
            text("os_version"),
            enrolled(record),
            seen(record, now),
        ]);
    }
    table::lines(&mut table)
}

/// The sources that say the node is enrolled; those that say it no longer is, with a `not`.
fn enrolled(record: &Value) -> String {
    let sources = record["sources"].as_object().into_iter().flatten();
    let words: Vec<String> = sources
        .filter_map(|(source, claims)| match claims["enrolled"]["value"].as_bool() {
            Some(true) => Some(source.clone()),
            Some(false) => Some(format!("not {source}")),
            None => None,
        })
        .collect();
    if words.is_empty() { "-".to_owned() } else { words.join(", ") }
}

/// `agent 5s, nanomdm 3m`
fn seen(record: &Value, now: Time) -> String {
    let sources = record["last_seen"].as_object().into_iter().flatten();
    let words: Vec<String> = sources
        .filter_map(|(source, at)| Some(format!("{source} {}", render::ago(at.as_str()?.parse().ok()?, now))))
        .collect();
    if words.is_empty() { "-".to_owned() } else { words.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_node_is_one_row() {
        let record = json!({"name": "ada-mbp", "owner": "ada@example.com", "os_version": "15.1",
            "sources": {"nanomdm": {"enrolled": {"value": true}}, "jamf": {"enrolled": {"value": false}}},
            "last_seen": {"agent": "2026-01-01T00:00:00Z", "nanomdm": "2026-01-01T00:01:00Z"}});
        let nodes = [NodeRecord { key: "C02".into(), record }, NodeRecord { key: "U-1".into(), record: json!({}) }];
        insta::assert_snapshot!(rows(&nodes, "2026-01-01T00:05:00Z".parse().unwrap()), @r"
        NODE  NAME     OWNER            OS    ENROLLED IN        LAST SEEN
        C02   ada-mbp  ada@example.com  15.1  not jamf, nanomdm  agent 5m, nanomdm 4m
        U-1   -        -                -     -                  -
        ");
    }
}
