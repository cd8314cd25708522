//! `emote schema validate`

use std::path::PathBuf;

use serde_json::{Value, json};

use super::input;
use crate::{
    cli::{Exit, Output, folder::FolderArgs, print_line},
    schema::events::{ANY, Vocabulary},
};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
  emote schema validate events.jsonl
  emote events -n 1000 -o json | emote schema validate --strict
  emote-agent simulate --print --macs 1 | emote schema validate

Each violation is a line: the file, the line on which the event begins, where in the event (a JSON pointer), what is wrong.
The folder's own schemas/ stand in for what is built in.
Exit codes: 0 every event is as it should be · 1 something could not be read, or there is no event · 3 an event is not.")]
pub(super) struct Args {
    /// Files of events; standard input where there are none, or as -
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Also refuse what no schema names: scopes and actions that are nobody's
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    folder: FolderArgs,
    /// What to print: table, or json, one violation a line
    #[arg(long, short, value_enum, hide_possible_values = true, default_value_t)]
    output: Output,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let own = args.folder.vocabulary()?;
    let vocabulary = own.as_deref().unwrap_or_else(|| Vocabulary::built_in());
    let (mut events, mut wrong) = (0_u64, 0_u64);
    let bad = input::each(&args.files, |file, line, event| {
        events += 1;
        let told = violations(vocabulary, event, args.strict);
        wrong += u64::from(!told.is_empty());
        for (schema, pointer, problem) in told {
            let read = match args.output {
                Output::Table => print_line(format!("{file}:{line}: {pointer}: {problem}")),
                Output::Json => print_line(
                    json!({"file": file, "line": line, "schema": schema, "pointer": pointer, "problem": problem}),
                ),
            };
            if !read? {
                return Ok(false);
            }
        }
        Ok(true)
    })?;
    if events == 0 {
        anstream::eprintln!(
            "There are no events to hold against schemas: one JSON object a line, as `emote events -o json` prints them"
        );
        return Ok(Exit::Failed);
    }
    if args.output == Output::Table {
        anstream::eprintln!("{events} events, {wrong} not as their schemas say");
    }
    Ok(match (wrong, bad) {
        (0, 0) => Exit::Ok,
        (0, _) => Exit::Failed,
        _ => Exit::Config,
    })
}

/// The schema, the place and the problem of each.
fn violations(vocabulary: &Vocabulary, event: &Value, strict: bool) -> Vec<(String, String, String)> {
    let verdict = vocabulary.check(event);
    let mut told: Vec<_> = verdict
        .into_iter()
        .flat_map(|verdict| {
            let schema = verdict.schema;
            let more =
                (verdict.more > 0).then(|| (schema.clone(), String::new(), format!("and {} more", verdict.more)));
            let all = verdict.violations.into_iter();
            all.map(move |violation| (schema.clone(), violation.pointer, violation.problem))
                .chain(more)
                .collect::<Vec<_>>()
        })
        .collect();
    let word = |key: &str| event.get(key).and_then(Value::as_str).unwrap_or_default();
    let (scope, action) = (word("scope"), word("action"));
    if strict && told.is_empty() && !vocabulary.knows(scope, action) {
        told.push((ANY.to_owned(), "/action".to_owned(), format!("no schema names {scope}.{action}")));
    }
    told
}
