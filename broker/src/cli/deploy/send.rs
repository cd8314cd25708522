//! `emote deploy send`: on which Macs the agent is to be installed.

use std::{
    collections::BTreeMap,
    io::{IsTerminal, Write as _},
};

use emote_proto::NodeKey;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Exit, Output, ServerArgs, Signed, ask, packages::lost, print_line, render, table};
use crate::{
    bus::Bus,
    console::{
        NodeRecord,
        deploys::{self, DeploysAnswer},
        order,
    },
    core::{Deployment, State, is_at_least},
};

/// Nodes that are named of those that are left out for one reason.
const MAX_NAMED: usize = 10;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The target of deploy.yaml is given a job for each Mac, as rules give them: tried again, paced by the target's `rate`, given up
as a dead letter. A Mac that has the version, or on which it is being installed, is left out unless --again is said.")]
pub(super) struct Args {
    /// Serial numbers or UDIDs
    #[arg(required_unless_present_any = ["all_without_agent", "older_than"], conflicts_with_all = ["all_without_agent", "older_than"])]
    nodes: Vec<NodeKey>,
    /// Every Mac that an MDM has and of which no agent ever spoke
    #[arg(long)]
    all_without_agent: bool,
    /// Every Mac whose agent is older than this version
    #[arg(long, value_name = "VERSION", value_parser = version)]
    older_than: Option<String>,
    /// Also where it is there already, or under way
    #[arg(long)]
    again: bool,
    /// Show which Macs it would be, and order nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask before it is ordered for all that are found
    #[arg(long, short)]
    yes: bool,
    /// What --dry-run prints: table, or json, one value a line
    #[arg(long, short, value_enum, hide_possible_values = true, default_value_t)]
    output: Output,
    #[command(flatten)]
    signed: Signed,
    #[command(flatten)]
    server: ServerArgs,
}

fn version(text: &str) -> Result<String, String> {
    let is_number = |part: &str| (1..=9).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    if text.split('.').all(is_number) {
        Ok(text.to_owned())
    } else {
        Err("expected a version such as 1.2.3".to_owned())
    }
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    let bus = args.server.connect().await?;
    let kept = bus.kept_packages().await?;
    let is_ready =
        |answer: &DeploysAnswer| answer.terms.is_some() && answer.package.is_some() && lost(answer, &kept).is_none();
    let deployed = deploys::ask_for(&bus, Vec::new(), is_ready).await?;
    if let Some(lost) = lost(&deployed, &kept) {
        anyhow::bail!(
            "{0} is deployed and kept no longer, so that no Mac could fetch it: add it again, or deploy another one \
             (`emote deploy ls`)",
            lost.version
        )
    }
    let Some(terms) = deployed.terms else {
        anyhow::bail!(
            "no deploy.yaml is in force, which says from where and by which target: see `emote deploy --help`"
        )
    };
    let Some(package) = deployed.package else {
        anyhow::bail!("no package is deployed: `emote deploy add EmoteAgent.pkg`")
    };
    let chosen = match args.choose(&bus).await? {
        Ok(chosen) => chosen,
        Err(unknown) => {
            anstream::eprintln!("No event has named {}. `emote nodes` lists the nodes there are.", unknown.join(", "));
            return Ok(Exit::NotFound);
        }
    };
    if chosen.is_empty() {
        anstream::eprintln!("No Mac is such a one: nothing is to be ordered.");
        return Ok(Exit::Ok);
    }
    let chosen = args.without_left_out(&bus, chosen, &package.version).await?;
    if args.dry_run {
        return shown(&chosen, args.output);
    }
    if chosen.is_empty() {
        anstream::eprintln!("No Mac is left to order it for.");
        return Ok(Exit::Ok);
    }
    let what = format!("{} on {} by the target {}", package.version, counted(chosen.len()), terms.target);
    if args.nodes.is_empty() && !args.yes && !asked(&what)? {
        anstream::eprintln!("Nothing is ordered.");
        return Ok(Exit::Failed);
    }
    let keys: Vec<String> = chosen.into_iter().map(|node| node.key).collect();
    let became = order::deploy::install(&bus, &keys, args.again, &args.signed.signature(&bus)?).await?;
    ended(&package.version, became)
}

impl Args {
    /// The nodes that are meant; those that nobody knows, where there are such.
    async fn choose(&self, bus: &Bus) -> anyhow::Result<Result<Vec<NodeRecord>, Vec<String>>> {
        if self.nodes.is_empty() {
            return Ok(Ok(self.all_meant(bus).await?));
        }
        let (mut found, mut unknown) = (Vec::<NodeRecord>::new(), Vec::new());
        for key in &self.nodes {
            match ask::node(bus, key.as_str()).await? {
                Some(node) if found.iter().any(|known| known.key == node.key) => {}
                Some(node) => found.push(node),
                None => unknown.push(key.to_string()),
            }
        }
        Ok(if unknown.is_empty() { Ok(found) } else { Err(unknown) })
    }

    /// Those of which it can be ordered; which are left out, and why, is said. Of nodes that were named the core says it, which
    /// knows best.
    async fn without_left_out(
        &self,
        bus: &Bus,
        chosen: Vec<NodeRecord>,
        version: &str,
    ) -> anyhow::Result<Vec<NodeRecord>> {
        if !(self.nodes.is_empty() || self.dry_run) {
            return Ok(chosen);
        }
        let installs = deploys::ask_all(bus).await?.deployments;
        let installs: BTreeMap<&str, &Deployment> = installs.iter().map(|known| (known.key(), known)).collect();
        let mut left_out: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        let mut left = Vec::new();
        for node in chosen {
            match unfit(&node.record, installs.get(node.key.as_str()).copied(), version, self.again) {
                None => left.push(node),
                Some(reason) => left_out.entry(reason).or_default().push(node.key),
            }
        }
        for (reason, nodes) in &left_out {
            let named: Vec<&str> = nodes.iter().take(MAX_NAMED).map(String::as_str).collect();
            let more = if nodes.len() > MAX_NAMED { ", …" } else { "" };
            anstream::eprintln!("Left out, {reason}: {} ({}{more})", counted(nodes.len()), named.join(", "));
        }
        Ok(left)
    }

    /// All that are meant; that there are none is believed after a while: a broker that stands by may answer, whose records
    /// are a moment behind.
    async fn all_meant(&self, bus: &Bus) -> anyhow::Result<Vec<NodeRecord>> {
        let until = Instant::now() + deploys::BEHIND;
        loop {
            let mut nodes = ask::nodes(bus).await?;
            nodes.retain(|node| self.means(&node.record));
            if !nodes.is_empty() || Instant::now() >= until {
                return Ok(nodes);
            }
            tokio::time::sleep(deploys::LOOK_EVERY).await;
        }
    }

    fn means(&self, record: &Value) -> bool {
        let version = agent_version(record);
        let without = self.all_without_agent && record["last_seen"]["agent"].is_null() && is_enrolled(record);
        let older = self.older_than.as_deref().zip(version).is_some_and(|(wanted, has)| !is_at_least(has, wanted));
        without || older
    }
}

/// Why nothing can be ordered for a node, as the fold would say it; nothing where something can.
fn unfit(record: &Value, install: Option<&Deployment>, version: &str, again: bool) -> Option<&'static str> {
    let Some(udid) = record["udid"].as_str() else { return Some("as no UDID of it is known") };
    let is_this = |install: &&Deployment| install.version == version && install.udid == udid;
    if again {
        None
    } else if install.filter(is_this).is_some_and(|install| install.state < State::Overdue) {
        Some("as it is being installed there")
    } else if agent_version(record).is_some_and(|has| is_at_least(has, version)) {
        Some("as it, or a later one, runs there")
    } else {
        None
    }
}

/// The version that the agent said last.
pub(super) fn agent_version(record: &Value) -> Option<&str> {
    record["sources"]["agent"]["agent_version"]["value"].as_str()
}

/// Whether a source other than the agent says that it is enrolled, and by which UDID it is reached is known.
fn is_enrolled(record: &Value) -> bool {
    let mut sources = record["sources"].as_object().into_iter().flatten();
    record["udid"].is_string() && sources.any(|(name, claims)| name != "agent" && claims["enrolled"]["value"] == true)
}

fn counted(nodes: usize) -> String {
    if nodes == 1 { "1 Mac".to_owned() } else { format!("{nodes} Macs") }
}

/// Asks whoever is there whether to go on.
fn asked(what: &str) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        anyhow::bail!("it would install {what}, and nobody is here to ask: say --yes, or look with --dry-run");
    }
    anstream::eprint!("Install {what}? To go on, write yes: ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}

fn shown(chosen: &[NodeRecord], output: Output) -> anyhow::Result<Exit> {
    match output {
        Output::Json => {
            for NodeRecord { key, record } in chosen {
                let line =
                    json!({"node": key, "name": record["name"], "udid": record["udid"], "had": agent_version(record)});
                print_line(line)?;
            }
        }
        Output::Table => {
            let mut table = table::table(&["node", "name", "udid", "has"]);
            for NodeRecord { key, record } in chosen {
                let text = |field: &str| render::clip(record[field].as_str().unwrap_or("-"), 40);
                let has = agent_version(record).unwrap_or("-");
                table.add_row([render::clip(key, 40), text("name"), text("udid"), render::clip(has, 20)]);
            }
            print_line(table::lines(&mut table))?;
            anstream::eprintln!("{}. Nothing is ordered.", counted(chosen.len()));
        }
    }
    Ok(Exit::Ok)
}

/// Says what became of the order.
fn ended(version: &str, became: order::deploy::Became) -> anyhow::Result<Exit> {
    let order::deploy::Became { ordered, mut refused, unheard } = became;
    if ordered > 0 {
        print_line(format!(
            "{version} is ordered for {}: `emote deploy status` shows how far it is.",
            counted(ordered)
        ))?;
    }
    if unheard > 0 {
        let nodes = counted(unheard);
        refused.push(format!(
            "of {nodes} nothing was heard: it is ordered, but no broker has come to it yet (`emote deploy status`)"
        ));
    }
    if refused.is_empty() { Ok(Exit::Ok) } else { anyhow::bail!("{}", refused.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_meant_is_told_from_what_is_known() {
        let claim = |value: Value| json!({"value": value, "since": "2026-01-01T00:00:00Z"});
        let enrolled = json!({"udid": "U-1", "sources": {"nanomdm": {"enrolled": claim(json!(true))}}});
        let left = json!({"udid": "U-1", "sources": {"nanomdm": {"enrolled": claim(json!(false))}}});
        let no_udid = json!({"udid": null, "sources": {"nanomdm": {"enrolled": claim(json!(true))}}});
        let with = |version: &str| {
            json!({"udid": "U-1", "last_seen": {"agent": "2026-01-01T00:00:00Z"},
                "sources": {"nanomdm": {"enrolled": claim(json!(true))}, "agent": {"agent_version": claim(json!(version))}}})
        };
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: Args,
        }
        let args =
            |line: &[&str]| <Line as clap::Parser>::try_parse_from([&["send"], line].concat()).map(|line| line.args);
        let (without, older) = (args(&["--all-without-agent"]).unwrap(), args(&["--older-than", "1.10.0"]).unwrap());
        let both = args(&["--all-without-agent", "--older-than", "2"]).unwrap();
        for (record, expected) in [
            (&enrolled, [true, false, true]),
            (&left, [false; 3]),
            (&no_udid, [false; 3]),
            (&with("1.9.0"), [false, true, true]),
            (&with("1.10.0"), [false, false, true]),
            (&with("2.0"), [false; 3]),
            (&json!({}), [false; 3]),
        ] {
            assert_eq!([&without, &older, &both].map(|args| args.means(record)), expected, "{record}");
        }
        for (record, expected) in [
            (&enrolled, None),
            (&no_udid, Some("as no UDID of it is known")),
            (&with("1.9.0"), None),
            (&with("1.10"), Some("as it, or a later one, runs there")),
        ] {
            assert_eq!(unfit(record, None, "1.10", false), expected, "{record}");
        }
        assert_eq!(unfit(&with("1.10"), None, "1.10", true), None, "once more");
        assert!(args(&[]).is_err() && args(&["C02", "--all-without-agent"]).is_err());
        assert!(args(&["--older-than", "new"]).is_err());
    }

    #[test]
    fn what_is_being_installed_is_left_out_until_it_is_overdue() {
        let record = json!({"udid": "U-1"});
        let event = "00000000-0000-7000-8000-000000000000";
        let install = |state: &str, version: &str, udid: &str| {
            let at = "2026-01-01T00:00:00Z";
            serde_json::from_value::<Deployment>(json!({"udid": udid, "job": "e/deploy/t/C02", "version": version,
                "target": "t", "state": state, "since": at, "ordered": at,
                "cause": {"event": event, "rule": "deploy", "target": "t", "root": event, "depth": 1}}))
            .unwrap()
        };
        let under_way = Some("as it is being installed there");
        for (state, version, udid, expected) in [
            ("ordered", "1.2.3", "U-1", under_way),
            ("acknowledged", "1.2.3", "U-1", under_way),
            ("overdue", "1.2.3", "U-1", None),
            ("failed", "1.2.3", "U-1", None),
            ("ordered", "1.2.2", "U-1", None),
            ("ordered", "1.2.3", "U-2", None),
        ] {
            assert_eq!(
                unfit(&record, Some(&install(state, version, udid)), "1.2.3", false),
                expected,
                "{state} {version}"
            );
        }
        assert_eq!(unfit(&record, Some(&install("ordered", "1.2.3", "U-1")), "1.2.3", true), None);
    }
}
