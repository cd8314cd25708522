//! `emote dead`: jobs that were given up.

use emote_proto::{Name, Time};
use serde_json::{Value, json};

use super::{
    Exit, Output,
    applying::Signed,
    connect::{Asking, ServerArgs},
    events::{before_now, parse_since},
    print_line, render, table,
};
use crate::{
    bus::{Bus, DeadLetter},
    console::order::dead::{self, What},
    core::CORE_RULE,
};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
A job is given up when its target says that trying again would not help, or when it was tried often or long enough. The
dead letter keeps the event, what was sent, every attempt's outcome and the reason.

  emote dead ls --target slack --since 24h
  emote dead show 17
  emote dead redrive --target slack -m 'the token is valid again'
  emote dead drop 17 18

A redrive gives the job out again under the same id; like a drop it is an event that says who and why.")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List dead letters, the oldest first
    Ls {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        ask: Asking,
    },
    /// Show one dead letter: event, input, attempts, reason
    Show {
        /// Its number, as `emote dead ls` shows it
        letter: u64,
        #[command(flatten)]
        ask: Asking,
    },
    /// Give the jobs out again
    Redrive(Chosen),
    /// Throw dead letters away
    Drop(Chosen),
}

#[derive(Debug, Clone, clap::Args)]
struct Chosen {
    /// Numbers of letters, as `emote dead ls` shows them
    letters: Vec<u64>,
    #[command(flatten)]
    which: Which,
    /// All of them
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    signed: Signed,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Clone, clap::Args)]
struct Which {
    /// Only for this target
    #[arg(long, value_name = "NAME")]
    target: Option<Name>,
    /// Only of this rule
    #[arg(long, value_name = "NAME")]
    rule: Option<Name>,
    /// Only about this node: serial number, UDID or user id
    #[arg(long, value_name = "KEY")]
    node: Option<String>,
    /// Only given up within this time: 15m, 24h, 7d
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    since: Option<std::time::Duration>,
}

impl Which {
    fn is_any(&self) -> bool {
        self.target.is_none() && self.rule.is_none() && self.node.is_none() && self.since.is_none()
    }

    async fn find(&self, bus: &Bus) -> anyhow::Result<Vec<DeadLetter>> {
        let mut letters =
            bus.dead_letters(self.target.as_ref(), self.rule.as_ref(), self.since.map(before_now)).await?;
        if let Some(node) = &self.node {
            letters.retain(|letter| letter.job().is_some_and(|job| job.node_key().as_ref() == Some(node)));
        }
        Ok(letters)
    }
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    match args.command {
        Command::Ls { which, ask } => ls(&ask.connect().await?, &which, ask.output).await,
        Command::Show { letter, ask } => show(&ask.connect().await?, letter, ask.output).await,
        Command::Redrive(chosen) => order(chosen, What::Redrive, "redriven").await,
        Command::Drop(chosen) => order(chosen, What::Drop, "dropped").await,
    }
}

async fn ls(bus: &Bus, which: &Which, output: Output) -> anyhow::Result<Exit> {
    let letters = which.find(bus).await?;
    match output {
        Output::Json => {
            for letter in letters {
                let body: Value = serde_json::from_slice(&letter.payload).unwrap_or_default();
                print_line(json!({"letter": letter.sequence, "id": letter.id, "stored": letter.stored, "body": body}))?;
            }
        }
        Output::Table if letters.is_empty() => drop(print_line("No dead letters.")?),
        Output::Table => drop(print_line(rows(&letters, jiff::Timestamp::now().into()))?),
    }
    Ok(Exit::Ok)
}

fn rows(letters: &[DeadLetter], now: Time) -> String {
    let mut table = table::table(&["letter", "age", "target", "rule", "node", "attempts", "reason"]);
    for letter in letters {
        let body: Value = serde_json::from_slice(&letter.payload).unwrap_or_default();
        let mut words = letter.subject.split('.').skip(1);
        let mut word = || words.next().unwrap_or("-").to_owned();
        let (target, rule) = (word(), word());
        let node = letter.job().and_then(|job| job.node_key()).unwrap_or_else(|| "-".to_owned());
        table.add_row([
            letter.sequence.to_string(),
            render::ago(letter.stored, now),
            target,
            rule,
            render::clip(&node, 24),
            body["attempts"].as_u64().map_or_else(|| "-".to_owned(), |attempts| attempts.to_string()),
            render::clip(body["reason"].as_str().unwrap_or("-"), 80),
        ]);
    }
    table::lines(&mut table)
}

async fn show(bus: &Bus, letter: u64, output: Output) -> anyhow::Result<Exit> {
    let Some(found) = bus.dead_letter(letter).await? else {
        anstream::eprintln!("There is no dead letter {letter}.");
        return Ok(Exit::NotFound);
    };
    let body: Value = serde_json::from_slice(&found.payload).unwrap_or_default();
    match output {
        Output::Json => drop(print_line(json!({
            "letter": letter, "subject": found.subject, "id": found.id, "stored": found.stored, "body": body,
        }))?),
        Output::Table => drop(print_line(letter_shown(&found, &body)?)?),
    }
    Ok(Exit::Ok)
}

fn letter_shown(letter: &DeadLetter, body: &Value) -> anyhow::Result<String> {
    use std::fmt::Write as _;
    let (bold, dim) = (render::BOLD, render::DIM);
    let mut text = String::new();
    writeln!(text, "{bold}{}{bold:#}", letter.id)?;
    writeln!(text, "  {}", body["reason"].as_str().unwrap_or("no reason is given"))?;
    writeln!(text, "  given up {} as letter {} on {}", letter.stored, letter.sequence, letter.subject)?;
    let history = body["history"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !history.is_empty() {
        writeln!(text, "\n{dim}attempts{dim:#}")?;
    }
    for attempt in history {
        let took = attempt["took_ms"].as_u64().map(|took| format!(" ({took} ms)")).unwrap_or_default();
        let what = attempt["outcome"].as_str().or(attempt["reason"].as_str()).unwrap_or_default();
        let why = attempt["reason"].as_str().filter(|why| *why != what).unwrap_or_default();
        writeln!(text, "  {}  {what} {why}{took}", attempt["at"].as_str().unwrap_or("-"))?;
    }
    for key in ["input", "poison"] {
        if !body[key].is_null() {
            writeln!(text, "\n{dim}{key}{dim:#}\n{}", serde_json::to_string_pretty(&body[key])?)?;
        }
    }
    if !body["job"]["event"].is_null() {
        write!(text, "\n{dim}event{dim:#}\n{}", serde_json::to_string_pretty(&body["job"]["event"])?)?;
    }
    Ok(text.trim_end().to_owned())
}

async fn order(chosen: Chosen, what: What, done: &str) -> anyhow::Result<Exit> {
    let bus = chosen.server.connect().await?;
    let letters = letters(&bus, &chosen).await?;
    if letters.is_empty() {
        anstream::eprintln!("No such dead letters.");
        return Ok(Exit::NotFound);
    }
    let left = dead::order(&bus, what, &letters, &chosen.signed.signature(&bus)?).await?;
    if left == 0 {
        print_line(format!("{done}: see `emote dead ls` for what is left."))?;
        return Ok(Exit::Ok);
    }
    anyhow::bail!("{}", dead::still_there(left))
}

async fn letters(bus: &Bus, chosen: &Chosen) -> anyhow::Result<Vec<DeadLetter>> {
    if !chosen.letters.is_empty() {
        return dead::named(bus, &chosen.letters).await;
    }
    if chosen.which.is_any() && !chosen.all {
        anyhow::bail!("say which: numbers of letters, --target, --rule, --node, --since, or --all");
    }
    let found = chosen.which.find(bus).await?;
    // What the core itself could not deal with is no job; it goes when it is named.
    Ok(found.into_iter().filter(|letter| !letter.subject.ends_with(&format!(".{CORE_RULE}"))).collect())
}
