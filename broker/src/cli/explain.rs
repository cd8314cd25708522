//! `emote explain`: why a rule matches an event or does not.

use std::{
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use anyhow::Context;
use emote_proto::{EventId, Name};
use emote_rules::{Nearest, Pattern, RuleSet, SeenPaths};
use serde_json::json;

use super::{
    Exit, Output,
    connect::Asking,
    events,
    json_stream::{JsonStream, Piece, open},
    language, pattern_arg, print_line, render, trace,
};
use crate::{
    bus::{Bus, TailStart},
    config,
};

/// How many of the latest events tell which paths there are.
const SEEN: usize = 500;
/// How many rules are named to choose from.
const MAX_NAMES: usize = 20;

const HELP: &str = "\
Examples:
  emote explain enrolled 17              rules/enrolled.yaml and event 17 of the stream
  emote explain enrolled 0198c0de-0000-7000-8000-000000000000 --config my-emote
  emote explain pattern.json event.json  a pattern or rule in a file, an event in another
  emote explain '{\"scope\": [\"user\"]}' -  a pattern, and an event on standard input
  emote events -n 1 -o json | emote explain enrolled -
  emote explain --nearest 17             which rules match, and which almost did

The event is named by its number in the stream or its id, as `emote events` shows them, or is in a file, 16 MiB at most; - is \
standard input. An event in a file is taken as it stands: id, time and source are filled in only when an event is received.

A missing field that no event of late had is marked as such: the rule is more likely mistyped than the event odd. For an \
event of the stream the latest 500 are looked at; for one in a file none, unless -n says so.

Exit codes: 0 the rule matches (with --nearest: a rule does) · 1 it does not, or the event cannot be read · 2 wrong usage \
· 3 the pattern or rule is bad or cannot be read · 4 NATS cannot be reached · 5 no such rule, file or event";

#[derive(Debug, clap::Args)]
#[command(
    override_usage = "emote explain [OPTIONS] <RULE> <EVENT>\n       emote explain [OPTIONS] --nearest <EVENT>",
    after_help = HELP,
    after_long_help = language::with_language(HELP)
)]
pub(super) struct Args {
    /// A rule of the configuration folder by name, a file with a pattern (JSON) or a rule (YAML), which may be written @FILE,
    /// or a pattern as JSON text
    #[arg(value_name = "RULE")]
    first: String,
    /// A file, - for standard input, a number in the stream, or an event id
    #[arg(value_name = "EVENT", required_unless_present = "nearest", conflicts_with = "nearest")]
    second: Option<String>,
    /// Rank the rules of the configuration folder that almost matched the event
    #[arg(long)]
    nearest: bool,
    /// With --nearest, how many rules to rank; 100 at most
    #[arg(
        long,
        value_name = "COUNT",
        default_value = "5",
        value_parser = clap::value_parser!(u8).range(1..=100),
        conflicts_with = "second"
    )]
    limit: u8,
    /// How many of the latest events tell which paths there are, 100000 at most [default: 500; for an event in a file 0]
    #[arg(short = 'n', long, value_name = "COUNT", value_parser = events::count())]
    last: Option<usize>,
    #[command(flatten)]
    ask: Asking,
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    let (rule, event) = match &args.second {
        Some(event) => (Some(args.first.as_str()), event.as_str()),
        None => (None, args.first.as_str()),
    };
    let folder = args.ask.server.folder().unwrap_or_else(|| PathBuf::from("."));
    // What is on this machine first: it needs no NATS to be found wrong.
    let rules = match rule {
        Some(rule) => match one_rule(&folder, rule)? {
            Some(pattern) => vec![(rule.to_owned(), pattern)],
            None => return Ok(Exit::NotFound),
        },
        None => {
            let patterns = config::patterns(&folder)?;
            patterns.into_iter().map(|(name, pattern)| (name.to_string(), pattern)).collect()
        }
    };
    if rules.is_empty() {
        anstream::eprintln!("{}: name the configuration folder with --config.", no_rules(&folder));
        return Ok(Exit::NotFound);
    }
    let Some(found) = find(&args, event).await? else { return Ok(Exit::NotFound) };
    match rule {
        Some(_) => one(&args, &rules[0], &found),
        None => nearest(&args, &rules, &found),
    }
}

/// An event's JSON, and the paths that others had.
struct Found {
    json: Vec<u8>,
    seen: Option<SeenPaths>,
}

/// The rule's pattern; what is not there is told.
fn one_rule(folder: &Path, rule: &str) -> anyhow::Result<Option<Pattern>> {
    if rule.trim_start().starts_with('{') || rule.starts_with('@') {
        return pattern_arg::parse(rule).map(Some);
    }
    if let Ok(name) = Name::new(rule)
        && let Some(pattern) = config::pattern_of(folder, &name)?
    {
        return Ok(Some(pattern));
    }
    if Path::new(rule).exists() {
        return pattern_arg::read(Path::new(rule)).map(Some);
    }
    let there = match config::patterns(folder) {
        Ok(_) if !folder.is_dir() => {
            format!("there is no folder {}: name the configuration folder with --config", folder.display())
        }
        Ok(rules) if rules.is_empty() => {
            "of rules there are none: name the configuration folder with --config".to_owned()
        }
        Ok(rules) => {
            let names: Vec<&str> = rules.iter().map(|(name, _)| name.as_str()).take(MAX_NAMES).collect();
            let more = if rules.len() > names.len() { ", …" } else { "" };
            format!("of rules there are {}{more}", names.join(", "))
        }
        Err(_) => format!("some rules have problems: `emote check {}` tells them", folder.display()),
    };
    anstream::eprintln!(
        "{} is neither a rule of {} nor a file; {there}.",
        render::clip(rule, 100),
        folder.join("rules").display()
    );
    Ok(None)
}

async fn find(args: &Args, event: &str) -> anyhow::Result<Option<Found>> {
    let number = event.strip_prefix('#').unwrap_or(event);
    let in_stream = event != "-" && (number.parse::<u64>().is_ok() || event.parse::<EventId>().is_ok());
    let last = args.last.unwrap_or(if in_stream { SEEN } else { 0 });
    let bus = if in_stream || last > 0 { Some(args.ask.connect().await?) } else { None };
    let json = match &bus {
        Some(bus) if in_stream => trace::find(bus, event).await?.map(|(_, event)| event.to_json()),
        _ => read(event)?,
    };
    let Some(json) = json else {
        if in_stream {
            anstream::eprintln!(
                "EVENTS has no event {event}: it may be older than what the stream keeps. `emote events` shows what there is."
            );
        }
        return Ok(None);
    };
    let seen = match &bus {
        Some(bus) if last > 0 => Some(seen(bus, last).await?),
        _ => None,
    };
    Ok(Some(Found { json, seen }))
}

/// The event in a file; what is not there is told.
fn read(file: &str) -> anyhow::Result<Option<Vec<u8>>> {
    let input: Box<dyn Read> = match file {
        "-" => Box::new(std::io::stdin().lock()),
        path if !Path::new(path).exists() => {
            anstream::eprintln!(
                "{} is neither a file nor an event id (a UUID) or a number in the stream.",
                render::clip(path, 100)
            );
            return Ok(None);
        }
        path => Box::new(open(Path::new(path)).with_context(|| format!("reading {path}"))?),
    };
    let name = if file == "-" { "stdin" } else { file };
    let mut pieces = JsonStream::new(BufReader::new(input));
    match pieces.next() {
        Some(Piece { object: Ok(json), .. }) => {
            match pieces.next() {
                None => {}
                Some(Piece { line, object: Ok(_) }) => {
                    anstream::eprintln!("{name}:{line}: there is more than one event; the first is explained.");
                }
                Some(Piece { line, object: Err(problem) }) => {
                    anstream::eprintln!("{name}:{line}: {problem}; the event before it is explained.");
                }
            }
            Ok(Some(json))
        }
        Some(Piece { line, object: Err(problem) }) => anyhow::bail!("{name}:{line}: {problem}"),
        None => anyhow::bail!("{name} is empty: an event is a JSON object"),
    }
}

async fn seen(bus: &Bus, last: usize) -> anyhow::Result<SeenPaths> {
    let (_, end) = bus.events_state().await?;
    let start = (end + 1).saturating_sub(u64::try_from(last).unwrap_or(u64::MAX)).max(1);
    let mut seen = SeenPaths::new(last);
    let reading = events::read(bus, Vec::new(), TailStart::Sequence(start), events::READING, |_, event| {
        // What the fold itself made of the event is JSON that can be read.
        let _ = seen.see(&event.to_json());
        Ok(true)
    });
    reading.await?;
    Ok(seen)
}

/// Why the configuration folder has no rules.
fn no_rules(folder: &Path) -> String {
    match folder.is_dir() {
        true => format!("There are no rules in {}", folder.join("rules").display()),
        false => format!("There is no folder {}", folder.display()),
    }
}

fn one(args: &Args, (name, pattern): &(String, Pattern), found: &Found) -> anyhow::Result<Exit> {
    let explanation = pattern.explain_with(&found.json, found.seen.as_ref());
    match args.ask.output {
        Output::Table => print_line(painted(&explanation.to_string()))?,
        Output::Json => print_line(json!({"rule": name, "explanation": explanation.to_json()}))?,
    };
    Ok(if explanation.matched { Exit::Ok } else { Exit::Failed })
}

fn nearest(args: &Args, rules: &[(String, Pattern)], found: &Found) -> anyhow::Result<Exit> {
    let set = RuleSet::build(rules.iter().cloned());
    let matches = set.matches(&found.json)?;
    let nearest = set.nearest_with(&found.json, usize::from(args.limit), found.seen.as_ref())?;
    match args.ask.output {
        Output::Table => print_line(ranking(&matches, &nearest, rules.len()))?,
        Output::Json => {
            let rules: Vec<_> = nearest
                .rules
                .iter()
                .map(|near| {
                    json!({"rule": near.id, "failed": near.failed, "near": near.near, "fields": near.fields,
                        "distance": near.distance(), "explanation": near.explanation.to_json()})
                })
                .collect();
            print_line(json!({"matches": matches, "nearest": rules, "left_out": nearest.left_out}))?
        }
    };
    Ok(if matches.is_empty() { Exit::Failed } else { Exit::Ok })
}

fn ranking(matches: &[String], nearest: &Nearest<String>, all: usize) -> String {
    let (bold, dim) = (render::BOLD, render::DIM);
    let mut text = match matches {
        [] if all == 1 => "The only rule does not match.".to_owned(),
        [one] if all == 1 => format!("The only rule matches: {bold}{one}{bold:#}."),
        [] => format!("Of {all} rules none matches."),
        [one] => format!("Of {all} rules one matches: {bold}{one}{bold:#}."),
        many => format!("Of {all} rules {} match: {bold}{}{bold:#}.", many.len(), many.join(", ")),
    };
    text.push_str(match (nearest.rules.as_slice(), all - matches.len().min(all)) {
        (_, 0) => "",
        ([], _) if nearest.left_out > 0 => "",
        ([], _) if matches.is_empty() => " None has anything in common with the event.",
        ([], _) => " No other has anything in common with the event.",
        _ => " Almost:",
    });
    for near in &nearest.rules {
        let how = match (near.failed, near.near) {
            (0, _) => "each field matches, but in different elements".to_owned(),
            (failed, 0) => format!("{failed} of {} fields", near.fields),
            (failed, slight) => format!("{failed} of {} fields, {slight} nearly right", near.fields),
        };
        let explanation = near.explanation.to_string();
        let (said, fields) = explanation.split_once('\n').unwrap_or((&explanation, ""));
        let alternatives = said.trim_start_matches("The event does not match.").trim_end_matches(':');
        text.push_str(&format!("\n\n{bold}{}{bold:#}  {dim}{how}.{alternatives}{dim:#}\n{}", near.id, painted(fields)));
    }
    match nearest.left_out {
        0 => {}
        1 => text.push_str("\n\nOf one other it is not known how near it came: to find out would take too long."),
        many => text.push_str(&format!(
            "\n\nOf {many} others it is not known how near they came: to find out would take too long."
        )),
    }
    text
}

/// An explanation in colour: what fails stands out, what is fine stands back.
pub(super) fn painted(explanation: &str) -> String {
    let (error, dim) = (render::ERROR, render::DIM);
    let paint = |line: &str| match line.trim_start() {
        rest if rest.starts_with('✗') => {
            let indent = &line[..line.len() - rest.len()];
            format!("{indent}{error}✗{error:#}{}", &rest['✗'.len_utf8()..])
        }
        rest if rest.starts_with('✓') => format!("{dim}{line}{dim:#}"),
        _ => line.to_owned(),
    };
    explanation.lines().map(paint).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ranking_names_what_matches_and_explains_what_almost_does() {
        let rules: Vec<(String, Pattern)> = [
            ("archive", r#"{"scope": [{"exists": true}]}"#),
            ("enrolled", r#"{"scope": ["device"], "action": ["Enroll"]}"#),
            ("leavers", r#"{"scope": ["user"], "action": ["deactivated"]}"#),
            ("large", r#"{"scope": ["device"], "$or": [{"device": {"disk": [1]}}, {"info": {"disk": [1]}}]}"#),
        ]
        .map(|(name, pattern)| (name.to_owned(), Pattern::parse(pattern).unwrap()))
        .into();
        let set = RuleSet::build(rules.iter().cloned());
        let event = br#"{"scope": "device", "action": "enroll", "device": {"disks": 1}}"#;
        let text = ranking(&set.matches(event).unwrap(), &set.nearest(event, 5).unwrap(), rules.len());
        insta::assert_snapshot!(anstream::adapter::strip_str(&text).to_string(), @r#"
        Of 4 rules one matches: archive. Almost:

        enrolled  1 of 2 fields, 1 nearly right.
          ✗ action: expected "Enroll"; found "enroll"
              "enroll" differs from "Enroll" only in case; to ignore case write {"equals-ignore-case": "Enroll"}
          ✓ scope: expected "device"; found "device"

        large  1 of 2 fields, 1 nearly right. Of 2 alternatives, this one is the nearest
          ✗ device.disk: expected 1; found nothing
              device is there, device.disk is not; did you mean device.disks?
          ✓ scope: expected "device"; found "device"
          alternative 2: ✗ info.disk: expected 1; found nothing
        "#);
        for (matches, all, said) in [
            (&[][..], 1, "The only rule does not match. None has anything in common with the event."),
            (&["a"], 1, "The only rule matches: a."),
            (&[], 2, "Of 2 rules none matches. None has anything in common with the event."),
            (&["a"], 2, "Of 2 rules one matches: a. No other has anything in common with the event."),
            (&["a", "b"], 2, "Of 2 rules 2 match: a, b."),
        ] {
            let matches: Vec<String> = matches.iter().map(ToString::to_string).collect();
            let none = Nearest { rules: Vec::new(), left_out: 0 };
            assert_eq!(anstream::adapter::strip_str(&ranking(&matches, &none, all)).to_string(), said);
        }
        let left_out = Nearest { rules: Vec::new(), left_out: 2 };
        assert_eq!(
            ranking(&[], &left_out, 2),
            "Of 2 rules none matches.\n\nOf 2 others it is not known how near they came: to find out would take too long."
        );
    }
}
