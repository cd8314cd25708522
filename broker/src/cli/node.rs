//! `emote node`

use std::fmt::Write as _;

use emote_proto::{Event, Filter, NodeKey, Time};
use serde_json::Value;

use super::{Exit, Output, ask, connect::Asking, events, print_line, render, table};
use crate::{bus::TailStart, console::NodeRecord};

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: emote node C02XL0GTJGH5 -n 50")]
pub(super) struct Args {
    /// Serial number or UDID
    node: NodeKey,
    /// Length of the timeline, 100000 events at most
    #[arg(short = 'n', long, default_value_t = 20, value_name = "COUNT", value_parser = events::count())]
    last: usize,
    #[command(flatten)]
    ask: Asking,
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    let bus = args.ask.connect().await?;
    let Some(node) = ask::node(&bus, args.node.as_str()).await? else {
        anstream::eprintln!("No event has named a node {}. `emote nodes` lists those there are.", args.node);
        return Ok(Exit::NotFound);
    };
    let keys = ["serial", "udid"].iter().filter_map(|field| NodeKey::new(node.record[*field].as_str()?).ok());
    let filters = keys.map(|key| Filter { node: Some(key), ..Filter::default() }.to_string()).collect();
    let (events, _) = events::collect(&bus, filters, TailStart::First, args.last).await?;
    let events: Vec<(u64, Event)> = events.into();
    match args.ask.output {
        Output::Json => {
            let timeline: Vec<Value> =
                events.iter().map(|(_, event)| serde_json::to_value(event)).collect::<Result<_, _>>()?;
            print_line(serde_json::json!({"key": node.key, "record": node.record, "timeline": timeline}))?;
        }
        Output::Table => {
            print_line(page(&node, &events, jiff::Timestamp::now().into()))?;
        }
    }
    Ok(Exit::Ok)
}

fn page(node: &NodeRecord, events: &[(u64, Event)], now: Time) -> String {
    let record = &node.record;
    let text = |field: &str| render::clip(record[field].as_str().unwrap_or("-"), 60);
    let (bold, dim) = (render::BOLD, render::DIM);
    let mut page =
        format!("{bold}{}{bold:#}  {}  owner {}  UDID {}\n\n", node.key, text("name"), text("owner"), text("udid"));
    page.push_str(&claims(record, now));
    let _ = writeln!(
        page,
        "\n\n{bold}Timeline{bold:#}   {dim}← the agent's events left, the MDM's and others' right →{dim:#}"
    );
    for (sequence, event) in events {
        page.push_str(&side_by_side(*sequence, event));
        page.push('\n');
    }
    page.trim_end().to_owned()
}

/// One row a field, one column a source: where they differ is where to look.
fn claims(record: &Value, now: Time) -> String {
    let sources: Vec<(&String, &Value)> = record["sources"].as_object().into_iter().flatten().collect();
    let mut fields: Vec<&str> = sources
        .iter()
        .filter_map(|(_, claims)| claims.as_object())
        .flatten()
        .map(|(field, _)| field.as_str())
        .collect();
    fields.extend(record["asset"].as_object().into_iter().flatten().map(|(field, _)| field.as_str()));
    fields.sort_unstable();
    fields.dedup();
    let mut headings = vec!["field", "asset record"];
    headings.extend(sources.iter().map(|(source, _)| source.as_str()));
    let mut table = table::table(&headings);
    for field in fields {
        let mut row = vec![field.to_owned(), cell(&record["asset"][field], None)];
        row.extend(sources.iter().map(|(_, claims)| {
            let claim = &claims[field];
            cell(
                &claim["value"],
                claim["since"].as_str().and_then(|since| since.parse().ok()).map(|since| render::ago(since, now)),
            )
        }));
        table.add_row(row);
    }
    let mut seen = vec!["last seen".to_owned(), String::new()];
    seen.extend(sources.iter().map(|(source, _)| {
        let at = record["last_seen"][source.as_str()].as_str().and_then(|at| at.parse().ok());
        at.map_or(String::new(), |at| format!("{} ago", render::ago(at, now)))
    }));
    table.add_row(seen);
    table::lines(&mut table)
}

fn cell(value: &Value, age: Option<String>) -> String {
    match (value, age) {
        (Value::Null, _) => String::new(),
        (value, None) => render::clip(&render::plain(value), 40),
        (value, Some(age)) => format!("{} ({age})", render::clip(&render::plain(value), 40)),
    }
}

const SIDE: usize = 46;

fn side_by_side(sequence: u64, event: &Event) -> String {
    let what = format!("{}.{}", event.scope, event.action);
    let dim = render::DIM;
    let head = format!("{dim}{:>7}{dim:#}  {}", format!("#{sequence}"), render::clock(event.time));
    if event.source.as_str() == "agent" {
        let left = render::clip(&format!("{what}  {}", render::summary(event)), SIDE);
        format!("{head}  {left:<SIDE$}  │")
    } else {
        let right = render::clip(&format!("{} {what}  {}", event.source, render::summary(event)), SIDE * 2);
        format!("{head}  {:<SIDE$}  │  {right}", "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_page_sets_agent_and_mdm_side_by_side() {
        let claim = |value: Value| json!({"value": value, "since": "2026-01-01T00:00:00Z"});
        let record = json!({"name": "ada-mbp", "owner": "ada@example.com", "serial": "C02", "udid": "U-1", "asset": {"name": "ADA-01"},
            "sources": {"agent": {"name": claim(json!("ada-mbp"))}, "nanomdm": {"enrolled": claim(json!(true)), "name": claim(json!("Mac"))}},
            "last_seen": {"agent": "2026-01-01T00:04:55Z"}});
        let event = |source: &str, action: &str| {
            let json = json!({"id": "00000000-0000-7000-8000-000000000000", "time": "2026-01-01T06:41:00Z", "source": source,
                "scope": "device", "action": action, "device": {"uuid": "C02"}, "info": {"n": 1}});
            Event::parse(json.to_string().as_bytes()).unwrap()
        };
        let node = NodeRecord { key: "C02".into(), record };
        let page = page(
            &node,
            &[(1, event("agent", "boot")), (2, event("nanomdm", "enroll"))],
            "2026-01-01T00:05:00Z".parse().unwrap(),
        );
        insta::assert_snapshot!(anstream::adapter::strip_str(&page).to_string(), @r"
        C02  ada-mbp  owner ada@example.com  UDID U-1

        FIELD      ASSET RECORD  AGENT         NANOMDM
        enrolled                               true (5m)
        name       ADA-01        ada-mbp (5m)  Mac (5m)
        last seen                5s ago

        Timeline   ← the agent's events left, the MDM's and others' right →
             #1  06:41:00.000  device.boot  n=1                                │
             #2  06:41:00.000                                                  │  nanomdm device.enroll  n=1
        ");
    }
}
