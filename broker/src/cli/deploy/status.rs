//! `emote deploy status`: how far installs are.

use std::collections::{BTreeMap, BTreeSet};

use emote_proto::{NodeKey, Time};
use serde_json::{Value, json};

use super::{Asking, Exit, Output, ask, print_line, render, send::agent_version, table};
use crate::{
    bus::Bus,
    console::deploys,
    core::{Deployment, Said},
    identity::{Registry, record::DeviceRecord},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only on these: serial numbers or UDIDs
    nodes: Vec<NodeKey>,
    /// Only those of which more is to come
    #[arg(long)]
    open: bool,
    #[command(flatten)]
    ask: Asking,
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    let bus = args.ask.connect().await?;
    let mut found = match args.nodes.as_slice() {
        [] => deploys::ask_all(&bus).await?.deployments,
        nodes => {
            let mut found = Vec::new();
            for node in nodes {
                match of_node(&bus, node).await? {
                    Some(deployment) => found.push(deployment),
                    None => return Ok(Exit::NotFound),
                }
            }
            found
        }
    };
    found.retain(|deployment| !args.open || deployment.state.is_open());
    match args.ask.output {
        Output::Json => {
            for deployment in &found {
                let mut line = json!(deployment);
                line["node"] = json!(deployment.key());
                print_line(line)?;
            }
        }
        Output::Table if found.is_empty() => drop(print_line("Nothing was ordered: `emote deploy send NODE`")?),
        Output::Table => {
            let known = Known::ask(&bus).await?;
            print_line(rows(&found, &known, jiff::Timestamp::now().into()))?;
        }
    }
    Ok(Exit::Ok)
}

/// The last install on a node; where there is none, that is said.
pub(super) async fn of_node(bus: &Bus, node: &NodeKey) -> anyhow::Result<Option<Deployment>> {
    let record = ask::node(bus, node.as_str()).await?;
    let is_known = record.is_some();
    let known = record.map_or_else(|| node.to_string(), |node| node.key);
    let answer = deploys::ask_for(bus, vec![known], |answer| !answer.deployments.is_empty()).await?;
    let found = answer.deployments.into_iter().next();
    match found {
        Some(_) => {}
        None if is_known => anstream::eprintln!("Nothing was ordered for {node}: `emote deploy send {node}`"),
        None => anstream::eprintln!("No event has named {node}. `emote nodes` lists the nodes there are."),
    }
    Ok(found)
}

/// What else is known of nodes.
#[derive(Default)]
struct Known {
    records: BTreeMap<String, Value>,
    /// Whose agents ask for a credential.
    waiting: BTreeSet<String>,
}

impl Known {
    async fn ask(bus: &Bus) -> anyhow::Result<Self> {
        let records = ask::nodes(bus).await?.into_iter().map(|node| (node.key, node.record)).collect();
        let devices = Registry::new(bus.clone()).devices().await;
        let devices = devices.inspect_err(|error| tracing::debug!(%error, "who waits for a credential is not known"));
        let waiting = devices.into_iter().flatten().filter(DeviceRecord::waits);
        Ok(Self { records, waiting: waiting.map(|device| device.serial.to_string()).collect() })
    }

    fn name(&self, node: &str) -> Option<&str> {
        self.records.get(node)?["name"].as_str()
    }

    /// Why an install failed, or what holds its proof up.
    fn why(&self, deployment: &Deployment) -> String {
        let open = deployment.state.is_open().then(|| deployment.key());
        let speaks = || {
            let record = self.records.get(open?)?;
            let last: Time = record["last_seen"]["agent"].as_str()?.parse().ok()?;
            let version = agent_version(record).filter(|version| *version != deployment.version)?;
            let version = Some(version).filter(|_| last > deployment.ordered)?;
            Some(format!("an agent speaks there: {version}"))
        };
        let asks = || {
            let waits = open.is_some_and(|node| self.waiting.contains(node));
            waits.then(|| "its agent asks for a credential: emote agents pending".to_owned())
        };
        asks().or_else(|| deployment.reason.clone()).or_else(speaks).unwrap_or_default()
    }
}

fn rows(found: &[Deployment], known: &Known, now: Time) -> String {
    let mut table = table::table(&["node", "name", "wanted", "had", "state", "for", "mdm", "why"]);
    for deployment in found {
        let Deployment { version, had, state, since, .. } = deployment;
        let name = known.name(deployment.key()).unwrap_or("-");
        table.add_row([
            render::clip(deployment.key(), 40),
            render::clip(name, 30),
            render::clip(version, 20),
            render::clip(had.as_deref().unwrap_or("-"), 20),
            state.word().to_owned(),
            render::ago(*since, now),
            deployment.said.as_ref().map_or_else(|| "-".to_owned(), |said| last_word(said, now)),
            render::clip(&known.why(deployment), 60),
        ]);
    }
    table::lines(&mut table)
}

/// `Acknowledged 5m`
fn last_word(said: &Said, now: Time) -> String {
    format!("{} {}", render::clip(&said.status, 20), render::ago(said.at, now))
}

/// One line of what an event of an install says.
pub(super) fn step(event: &Value) -> String {
    let info = &event["info"];
    let mut line =
        format!("{}  {}", event["action"].as_str().unwrap_or_default(), info["version"].as_str().unwrap_or("-"));
    for (key, before, after) in [
        ("installed", "runs ", ""),
        ("took_s", "after ", " s"),
        ("waited_s", "waited ", " s"),
        ("mdm_status", "", ""),
        ("reason", "", ""),
    ] {
        if !info[key].is_null() {
            line = format!("{line}  {before}{}{after}", render::clip(&render::plain(&info[key]), 120));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_install_is_one_row() {
        let at = |minute: u32| format!("2026-01-01T00:{minute:02}:00Z");
        let deployment = |serial: Value, more: Value| {
            let mut whole = json!({"serial": serial, "udid": "U-1", "job": "e/deploy/install-agent/C02", "target": "install-agent",
                "version": "1.2.3", "state": "ordered", "since": at(1), "ordered": at(0),
                "cause": {"event": "00000000-0000-7000-8000-000000000000", "rule": "deploy", "target": "install-agent",
                    "root": "00000000-0000-7000-8000-000000000000", "depth": 1}});
            for (key, value) in more.as_object().unwrap() {
                whole[key] = value.clone();
            }
            serde_json::from_value::<Deployment>(whole).unwrap()
        };
        let found = [
            deployment(
                json!("C02"),
                json!({"had": "1.0.0", "state": "failed", "reason": "no room",
                "said": {"status": "Error", "at": at(3)}}),
            ),
            deployment(json!("C03"), json!({"state": "installed"})),
            deployment(json!("C04"), json!({"state": "acknowledged"})),
            deployment(json!("C05"), json!({"state": "sent"})),
            deployment(Value::Null, json!({})),
        ];
        let agent = json!({"last_seen": {"agent": at(2)}, "sources": {"agent": {"agent_version": {"value": "0.1.0"}}}});
        let records = [("C02", json!({"name": "ada-mbp"})), ("C03", agent.clone()), ("C04", agent)];
        let records = records.map(|(key, record)| (key.to_owned(), record)).into();
        let known = Known { records, waiting: [String::from("C05")].into() };
        insta::assert_snapshot!(rows(&found, &known, at(5).parse().unwrap()), @r"
        NODE  NAME     WANTED  HAD    STATE         FOR  MDM       WHY
        C02   ada-mbp  1.2.3   1.0.0  failed        4m   Error 2m  no room
        C03   -        1.2.3   -      installed     4m   -
        C04   -        1.2.3   -      acknowledged  4m   -         an agent speaks there: 0.1.0
        C05   -        1.2.3   -      sent          4m   -         its agent asks for a credential: emote agents pending
        U-1   -        1.2.3   -      ordered       4m   -
        ");
    }

    #[test]
    fn a_step_says_what_it_proves() {
        for (event, said) in [
            (
                json!({"action": "installed", "info": {"version": "1.2.3", "installed": "1.2.4", "took_s": 40}}),
                "installed  1.2.3  runs 1.2.4  after 40 s",
            ),
            (
                json!({"action": "failed", "info": {"version": "1.2.3", "mdm_status": "Error", "reason": "no\nroom"}}),
                "failed  1.2.3  Error  no room",
            ),
            (json!({}), "  -"),
        ] {
            assert_eq!(step(&event), said);
        }
    }
}
