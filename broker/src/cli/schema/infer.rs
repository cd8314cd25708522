//! `emote schema infer`

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use emote_proto::{Event, Filter, Name, Token};
use serde_json::{Value, json};

use super::input;
use crate::{
    bus::TailStart,
    cli::{
        Exit, Output,
        connect::Asking,
        events::{READING, before_now, parse_since, read},
        print_line, render, table,
    },
    schema::infer::Seen,
};

/// Kinds of events that are told apart; those beyond them are counted as others.
const MAX_KINDS: usize = 1_000;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
  emote schema infer events.jsonl
  emote schema infer --since 24h --source okta               from the stream
  emote schema infer --since 7d --scope app -o json | jq -s 'map({(.name): .schema}) | add'

One schema for each source, scope and action: types, what is always there, formats (date-time, date, uuid, ipv4, ipv6, \
email, uri, serial numbers), words where there are few of them and each was seen often, null where it was. It takes every \
event that was read.")]
pub(super) struct Args {
    /// Files of events; standard input where there are none, or as -
    #[arg(value_name = "FILE", conflicts_with = "since")]
    files: Vec<PathBuf>,
    /// Read the stream instead: what was received in the last while, such as 15m, 24h, 7d
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    since: Option<Duration>,
    /// Only this source, such as agent, nanomdm, okta
    #[arg(long)]
    source: Option<Name>,
    /// Only this scope, such as device, user, mdm
    #[arg(long)]
    scope: Option<Token>,
    /// Only this action, such as enroll, lock
    #[arg(long)]
    action: Option<Token>,
    #[command(flatten)]
    ask: Asking,
}

#[derive(Default)]
struct Kinds {
    seen: BTreeMap<String, Seen>,
    others: u64,
}

impl Kinds {
    fn add(&mut self, name: String, event: &Value) {
        if self.seen.contains_key(&name) || self.seen.len() < MAX_KINDS {
            self.seen.entry(name).or_default().add(event);
        } else {
            self.others += 1;
        }
    }
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    let mut kinds = Kinds::default();
    let bad = match args.since {
        Some(since) => {
            of_stream(&args, since, &mut kinds).await?;
            0
        }
        None => of_files(&args, &mut kinds)?,
    };
    if kinds.others > 0 {
        anstream::eprintln!("{} events of more than {MAX_KINDS} kinds were left out", kinds.others);
    }
    if kinds.seen.is_empty() {
        anstream::eprintln!("No such events.");
    }
    for (name, seen) in &kinds.seen {
        let read = match args.ask.output {
            Output::Json => print_line(json!({"name": name, "events": seen.count, "schema": seen.schema()}))?,
            Output::Table => print_line(shown(name, seen))?,
        };
        if !read {
            break;
        }
    }
    Ok(if bad == 0 { Exit::Ok } else { Exit::Failed })
}

fn of_files(args: &Args, kinds: &mut Kinds) -> anyhow::Result<usize> {
    input::each(&args.files, |_, _, event| {
        let word = |key: &str| event.get(key).and_then(Value::as_str);
        let fits = |key: &str, wanted: Option<&str>| wanted.is_none_or(|wanted| word(key) == Some(wanted));
        if fits("source", args.source.as_ref().map(Name::as_str))
            && fits("scope", args.scope.as_ref().map(Token::as_str))
            && fits("action", args.action.as_ref().map(Token::as_str))
        {
            let name = ["source", "scope", "action"].map(|key| word(key).unwrap_or("-"));
            kinds.add(name.join("."), event);
        }
        Ok(true)
    })
}

async fn of_stream(args: &Args, since: Duration, kinds: &mut Kinds) -> anyhow::Result<()> {
    let bus = args.ask.connect().await?;
    let (source, scope, action) = (args.source.clone(), args.scope.clone(), args.action.clone());
    let filter = Filter { source, node: None, scope, action }.to_string();
    let start = TailStart::Time(before_now(since));
    read(&bus, vec![filter], start, READING, |_, event: Event| {
        kinds.add(format!("{}.{}.{}", event.source, event.scope, event.action), &serde_json::to_value(&event)?);
        Ok(true)
    })
    .await?;
    Ok(())
}

/// A table of its fields.
fn shown(name: &str, seen: &Seen) -> String {
    let mut rows = table::table(&["field", "what it is", ""]);
    fields("", &seen.schema(), &mut |field, what, always| {
        rows.add_row([field, what, always]);
    });
    let (bold, dim) = (render::BOLD, render::DIM);
    format!("{bold}{name}{bold:#}  {dim}{} events{dim:#}\n{}\n", seen.count, table::lines(&mut rows))
}

fn fields(prefix: &str, schema: &Value, add: &mut impl FnMut(&str, &str, &str)) {
    let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    for (name, inner) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let field = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let always = if required.iter().any(|one| one == name) { "always" } else { "" };
        add(&render::plain(&json!(field)), &render::plain(&json!(what(inner))), always);
        fields(&field, inner, add);
        if let Some(items) = inner.get("items") {
            fields(&format!("{field}[]"), items, add);
        }
    }
}

fn what(schema: &Value) -> String {
    let mut words = match schema.get("type") {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => vec!["anything".to_owned()],
    };
    if let Some(format) = schema.get("format").or(schema.get("pattern")).and_then(Value::as_str) {
        words.push(format.to_owned());
    }
    if let Some(items) = schema.get("items") {
        words.push(format!("of {}", what(items)));
    }
    match schema.get("enum").and_then(Value::as_array) {
        Some(of) => of.iter().map(Value::to_string).collect::<Vec<_>>().join(" | "),
        None => words.join(" "),
    }
}
