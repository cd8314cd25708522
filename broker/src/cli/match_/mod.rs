//! `emote match`: grep for events.

mod conformance;

use std::{
    io::{BufReader, Read, Write},
    path::{Path, PathBuf},
};

use emote_rules::{Pattern, RuleSet, Scratch};
use serde_json::{json, value::RawValue};

use super::{
    Exit, Output,
    explain::painted,
    is_read,
    json_stream::{JsonStream, Piece, open},
    language, pattern_arg,
};

/// How many bad events are told one by one.
const MAX_TOLD: usize = 20;

const HELP: &str = r#"Examples:
  emote match '{"scope": ["device"]}' events.jsonl
  emote events -n 1000 -o json | emote match '{"device": {"model": [{"prefix": "Mac14"}]}}'
  emote match @pattern.json -c < events.jsonl         how many
  emote match @rules/log.yaml -v events.jsonl         those that the rule does not take
  emote match --explain '{"scope": ["Device"]}' event.json

Events are JSON objects one after another, 16 MiB each at most: a line each, or pretty-printed. What is none is told as file:line on standard error, and reading goes on behind it.

With --jsonl, lines {"id", "rules": [{"name", "pattern"}], "event"} come back with "matches" or "error", and lines {"id", "pattern"} with "valid"; patterns and events are JSON texts in strings. A line has 64 MiB at most; one that is no case comes back with its id and "error".

Exit codes: 0 some event was printed; with --jsonl, all lines were cases · 1 none was, or an event or case could not be read · 2 wrong usage · 3 the pattern is bad or cannot be read · 5 no such file with a pattern"#;

#[derive(Debug, clap::Args)]
#[command(after_help = HELP, after_long_help = language::with_language(HELP))]
pub(super) struct Args {
    /// The pattern as JSON text, or @FILE with a pattern (JSON) or a rule (YAML)
    #[arg(required_unless_present = "jsonl")]
    pattern: Option<String>,
    /// Files of events; standard input where there are none, or as -
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print the events that do not match
    #[arg(long, short = 'v')]
    invert: bool,
    /// Print only how many events it would print
    #[arg(long, short, conflicts_with = "explain")]
    count: bool,
    /// Say of each event that does not match why it does not; on standard error where the output is a table
    #[arg(long)]
    explain: bool,
    /// What to print: table, the events as they stand; or json, a line each with file, line and event
    #[arg(long, short, value_enum, hide_possible_values = true, default_value_t)]
    output: Output,
    /// Answer test cases from standard input, line by line
    #[arg(long, conflicts_with_all = ["pattern", "files", "invert", "count", "explain", "output"])]
    jsonl: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    if args.jsonl {
        return match conformance::run(std::io::stdin().lock(), std::io::stdout().lock()) {
            Ok(true) => Ok(Exit::Ok),
            Ok(false) => Ok(Exit::Failed),
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(Exit::Ok),
            Err(error) => Err(error.into()),
        };
    }
    let pattern = pattern_arg::parse(args.pattern.as_deref().unwrap_or_default())?;
    let rules = RuleSet::build([((), pattern.clone())]);
    let mut matching = Matching { args, pattern, rules, scratch: Scratch::default(), selected: 0, bad: 0 };
    let stdin = [PathBuf::from("-")];
    let files = if args.files.is_empty() { &stdin[..] } else { &args.files };
    for file in files {
        if !matching.file(file)? {
            return Ok(Exit::Ok);
        }
    }
    matching.end()
}

struct Matching<'a> {
    args: &'a Args,
    pattern: Pattern,
    rules: RuleSet<()>,
    scratch: Scratch,
    selected: u64,
    bad: usize,
}

impl Matching<'_> {
    /// Whether anybody still reads.
    fn file(&mut self, file: &Path) -> anyhow::Result<bool> {
        let (name, input): (String, Box<dyn Read>) = if file.as_os_str() == "-" {
            ("stdin".to_owned(), Box::new(std::io::stdin().lock()))
        } else {
            let name = file.display().to_string();
            match open(file) {
                Ok(input) => (name, Box::new(input)),
                Err(error) => {
                    self.tell_bad(&name, None, &format!("cannot be read: {error}"));
                    return Ok(true);
                }
            }
        };
        for Piece { line, object } in JsonStream::new(BufReader::with_capacity(64 * 1024, input)) {
            match object {
                Ok(event) => {
                    if !self.event(&name, line, &event)? {
                        return Ok(false);
                    }
                }
                Err(problem) => self.tell_bad(&name, Some(line), &problem),
            }
        }
        Ok(true)
    }

    fn event(&mut self, file: &str, line: usize, event: &[u8]) -> anyhow::Result<bool> {
        let found = self.rules.find(event, &mut self.scratch).map(|found| found.len() > 0);
        let matched = match found {
            Ok(matched) => matched,
            Err(error) => {
                self.tell_bad(file, Some(line), &error.to_string());
                return Ok(true);
            }
        };
        let selected = matched != self.args.invert;
        self.selected += u64::from(selected);
        let explain = self.args.explain && !matched;
        if self.args.output == Output::Table && explain {
            let explanation = self.pattern.explain_json(event);
            anstream::eprintln!("{file}:{line}: {}", painted(&explanation.to_string()));
        }
        match self.args.output {
            _ if self.args.count => Ok(true),
            Output::Table if selected => written(event),
            Output::Json if selected || explain => {
                let raw: &RawValue = serde_json::from_slice(event)?;
                let mut line = json!({"file": file, "line": line, "matched": matched});
                if explain {
                    line["explanation"] = self.pattern.explain_json(event).to_json();
                }
                let line = line.to_string();
                // The event stands as it is: parsed, its numbers and its repeated keys would be lost.
                let raw = raw.get().replace(['\n', '\r'], " ");
                written(format!("{},\"event\":{raw}}}", &line[..line.len() - 1]).as_bytes())
            }
            _ => Ok(true),
        }
    }

    fn tell_bad(&mut self, file: &str, line: Option<usize>, problem: &str) {
        self.bad += 1;
        if self.bad <= MAX_TOLD {
            let line = line.map(|line| format!(":{line}")).unwrap_or_default();
            anstream::eprintln!("{file}{line}: {problem}");
        }
    }

    fn end(self) -> anyhow::Result<Exit> {
        if self.bad > MAX_TOLD {
            anstream::eprintln!("and {} more that cannot be read", self.bad - MAX_TOLD);
        }
        if self.args.count {
            written(
                match self.args.output {
                    Output::Table => self.selected.to_string(),
                    Output::Json => json!({"count": self.selected}).to_string(),
                }
                .as_bytes(),
            )?;
        }
        Ok(if self.selected > 0 && self.bad == 0 { Exit::Ok } else { Exit::Failed })
    }
}

/// Writes a line as it stands; whether anybody still reads.
fn written(line: &[u8]) -> anyhow::Result<bool> {
    let mut output = std::io::stdout().lock();
    is_read(output.write_all(line).and_then(|()| output.write_all(b"\n")))
}
