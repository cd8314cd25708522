//! `emote trace`: what an event set off, as a tree.

use std::collections::BTreeMap;

use emote_proto::{Event, EventId, Time};
use serde_json::json;

use super::{Exit, Output, connect::Asking, events, print_line, render};
use crate::{
    bus::{Bus, TailStart},
    core::Job,
};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
The event is named by its id or by its number in the stream, as `emote events` shows it:
  emote trace 17
  emote trace 0198c0de-0000-7000-8000-000000000000")]
pub(super) struct Args {
    /// Event id (a UUID) or number in the stream
    event: String,
    #[command(flatten)]
    ask: Asking,
}

/// An event and its place in the stream.
type Placed = (u64, Event);

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    let bus = args.ask.connect().await?;
    let Some(named) = find(&bus, &args.event).await? else {
        anstream::eprintln!(
            "EVENTS has no event {}: it may be older than what the stream keeps. `emote events` shows what there is.",
            args.event
        );
        return Ok(Exit::NotFound);
    };
    let root = match &named.1.cause {
        Some(cause) => find(&bus, &cause.root.to_string()).await?.unwrap_or_else(|| named.clone()),
        None => named.clone(),
    };
    let mut results: Vec<Placed> = Vec::new();
    let of_root = |event: &Event| event.cause.as_ref().is_some_and(|cause| cause.root == root.1.id);
    let (filters, start) = (vec!["events.broker.>".to_owned()], TailStart::Sequence(root.0 + 1));
    let reading = events::read(&bus, filters, start, events::READING, |sequence, event| {
        results.extend(of_root(&event).then_some((sequence, event)));
        Ok(true)
    });
    reading.await?;
    // Jobs are stored after the event was received; the event's own time may lie anywhere before that.
    let jobs = bus.jobs_since(received_at_most(&bus, root.0).await?).await?;
    let jobs: Vec<Job> = jobs.into_iter().filter(|job| job.cause().root == root.1.id).collect();
    match args.ask.output {
        Output::Json => {
            let jobs: Vec<_> = jobs.iter().map(|job| json!({"id": job.id, "event": job.event.id, "rule": job.rule, "target": job.target, "node": job.node_key()})).collect();
            let results: Vec<_> =
                results.iter().map(|(sequence, event)| json!({"sequence": sequence, "event": event})).collect();
            print_line(json!({"root": {"sequence": root.0, "event": root.1}, "jobs": jobs, "results": results}))?;
        }
        Output::Table => {
            print_line(tree(&root, &jobs, &results, named.0))?;
        }
    }
    Ok(Exit::Ok)
}

/// The event of this id or number in the stream.
pub(super) async fn find(bus: &Bus, name: &str) -> anyhow::Result<Option<Placed>> {
    if let Ok(sequence) = name.trim_start_matches('#').parse::<u64>() {
        let (first, last) = bus.events_state().await?;
        if sequence < first || sequence > last {
            return Ok(None);
        }
        let mut tail = bus.tail(Vec::new(), TailStart::Sequence(sequence)).await?;
        let Some(message) = tail.read_there().await? else { return Ok(None) };
        return Ok(events::open(&message).filter(|_| message.sequence == sequence).map(|event| (sequence, event)));
    }
    let id: EventId = name
        .parse()
        .map_err(|_| anyhow::anyhow!("{name:?} is neither an event id (a UUID) nor a number in the stream"))?;
    // A version 7 id was made before its event was received, if its maker's clock is right within ten minutes.
    let made = id.unix_millis().and_then(|millis| Time::from_millis(i64::try_from(millis).ok()? - 600_000));
    if let Some(made) = made
        && let Some(found) = scan(bus, id, TailStart::Time(made)).await?
    {
        return Ok(Some(found));
    }
    scan(bus, id, TailStart::First).await
}

async fn scan(bus: &Bus, id: EventId, start: TailStart) -> anyhow::Result<Option<Placed>> {
    let mut tail = bus.tail(Vec::new(), start).await?;
    let mut progress = super::connect::Progress::new("looking for the event", tail.pending);
    while let Some(message) = tail.read_there().await? {
        progress.at(message.pending);
        let by_header = message.message_id().map(EventId::from_message_id);
        if by_header.is_none_or(|header| header == id)
            && let Some(event) = events::open(&message).filter(|event| event.id == id)
        {
            return Ok(Some((message.sequence, event)));
        }
    }
    Ok(None)
}

async fn received_at_most(bus: &Bus, sequence: u64) -> anyhow::Result<Time> {
    let message = bus.tail(Vec::new(), TailStart::Sequence(sequence)).await?.read().await?;
    Ok(message.received)
}

/// The tree under `root`; the line of the event `named` is marked.
fn tree(root: &Placed, jobs: &[Job], results: &[Placed], named: u64) -> String {
    let mut by_job: BTreeMap<String, Vec<&Placed>> = BTreeMap::new();
    let mut told: BTreeMap<EventId, Vec<&Placed>> = BTreeMap::new();
    for result in results {
        let cause = result.1.cause.as_ref();
        match cause.and_then(|cause| cause.job.clone()).filter(|job| jobs.iter().any(|known| known.id.as_str() == job))
        {
            // A job that was given out again has several, and what is followed of one is told in steps.
            Some(job) => by_job.entry(job).or_default().push(result),
            None => told.entry(cause.map_or(root.1.id, |cause| cause.event)).or_default().push(result),
        }
    }
    let mut lines = vec![line(root, named)];
    branch(&mut lines, root.1.id, "", jobs, &by_job, &told, named);
    if jobs.is_empty() && results.is_empty() {
        lines.push("   no rule matched it, or its jobs are older than DELIVERIES keeps".to_owned());
    }
    lines.join("\n")
}

fn branch(
    lines: &mut Vec<String>,
    event: EventId,
    indent: &str,
    jobs: &[Job],
    by_job: &BTreeMap<String, Vec<&Placed>>,
    told: &BTreeMap<EventId, Vec<&Placed>>,
    named: u64,
) {
    let of_event: Vec<&Job> =
        jobs.iter().filter(|job| job.event.id == event && job.rule.as_str() != crate::core::CORE_RULE).collect();
    let told_of_event = told.get(&event).map_or(&[][..], Vec::as_slice);
    let count = of_event.len() + told_of_event.len();
    let mut drawn = 0;
    let mut corner = || {
        drawn += 1;
        if drawn == count { ("└─", "   ") } else { ("├─", "│  ") }
    };
    for job in of_event {
        let (corner, below) = corner();
        let node = job.node_key().map_or(String::new(), |node| format!("  {node}"));
        lines.push(format!("{indent}{corner} {bold}{}{bold:#} → {}{node}", job.rule, job.target, bold = render::BOLD));
        let indent = format!("{indent}{below}");
        let results = by_job.get(job.id.as_str()).map_or(&[][..], Vec::as_slice);
        if results.is_empty() {
            lines.push(format!("{indent}└─ {dim}waiting, or being tried{dim:#}", dim = render::DIM));
        }
        for (place, result) in results.iter().enumerate() {
            let (corner, below) = if place + 1 == results.len() { ("└─", "   ") } else { ("├─", "│  ") };
            lines.push(format!("{indent}{corner} {}", line(result, named)));
            branch(lines, result.1.id, &format!("{indent}{below}"), jobs, by_job, told, named);
        }
    }
    for result in told_of_event {
        let (corner, below) = corner();
        lines.push(format!("{indent}{corner} {}", line(result, named)));
        branch(lines, result.1.id, &format!("{indent}{below}"), jobs, by_job, told, named);
    }
}

fn line((sequence, event): &Placed, named: u64) -> String {
    let (bold, dim, error) = (render::BOLD, render::DIM, render::ERROR);
    let node = event.serial().or(event.udid()).or(event.user_id()).unwrap_or("-");
    let style = if render::is_trouble(event) { error } else { bold };
    let mark = if *sequence == named { " ◀" } else { "" };
    let summary = match render::summary(event) {
        summary if summary.is_empty() => summary,
        summary => format!("  {dim}{summary}{dim:#}"),
    };
    format!(
        "{dim}#{sequence}{dim:#} {} {} {style}{}.{}{style:#} {}{summary}{mark}",
        render::clock(event.time),
        event.source,
        event.scope,
        event.action,
        render::clip(node, 40),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::JobId;
    use emote_proto::Name;

    fn event(n: u8, source: &str, scope: &str, action: &str, cause: Option<serde_json::Value>) -> Event {
        let json = json!({"id": format!("00000000-0000-7000-8000-0000000000{n:02}"), "time": "2026-01-01T06:41:00Z", "source": source,
            "scope": scope, "action": action, "device": {"uuid": "C02"}, "cause": cause});
        Event::parse(json.to_string().as_bytes()).unwrap()
    }

    fn job(event: &Event, rule: &str, target: &str) -> Job {
        let name = |text: &str| Name::new(text).unwrap();
        let id = JobId::new(event.id, &name(rule), &name(target), None);
        Job::new(id, name(rule), name(target), event.clone())
    }

    #[test]
    fn the_tree_goes_from_event_to_rules_to_results_and_on() {
        let root = event(1, "nanomdm", "device", "enroll", None);
        let enrolled = job(&root, "enrolled", "asset");
        let told = job(&root, "told", "slack");
        let updated = event(2, "broker", "asset", "updated", Some(serde_json::to_value(enrolled.cause()).unwrap()));
        let named = job(&updated, "name", "mdm");
        let sent = event(3, "broker", "mdm", "command_sent", Some(serde_json::to_value(told.cause()).unwrap()));
        let installed = event(4, "broker", "deploy", "installed", Some(serde_json::to_value(told.cause()).unwrap()));
        let results = [(9, updated), (10, sent), (12, installed)];
        let tree = tree(&(7, root), &[enrolled, told, named], &results, 9);
        insta::assert_snapshot!(anstream::adapter::strip_str(&tree).to_string(), @r"
        #7 06:41:00.000 nanomdm device.enroll C02
        ├─ enrolled → asset  C02
        │  └─ #9 06:41:00.000 broker asset.updated C02  ← enrolled ◀
        │     └─ name → mdm  C02
        │        └─ waiting, or being tried
        └─ told → slack  C02
           ├─ #10 06:41:00.000 broker mdm.command_sent C02  ← told
           └─ #12 06:41:00.000 broker deploy.installed C02  ← told
        ");
    }
}
