//! What a program is to a target, native or WebAssembly: what it is given, and what its end means for a job.
//!
//! - Standard input is one line of JSON: `{event, node, user, rule, target, job, input}`, what jq programs see too.
//! - Standard output is nothing, or events, one JSON object a line: `{"scope", "action", …}`. They are published when the
//!   program has ended well, as results of its target: source, id, trust and cause are the broker's to say.
//! - Standard error is for people: its end is the reason where the job fails.
//! - Exit code 0 is done, 75 (`EX_TEMPFAIL` of sysexits.h), or what `retry_on` lists, is tried again, every other is final,
//!   but for those by which whoever runs it knows that it was asked to end, or never began.
//!
//! In the environment are `EMOTE_JOB_ID`, which is the same whenever the job is done again, `EMOTE_TARGET`, and what `env`
//! names.

use std::{sync::Arc, time::Duration};

use emote_proto::{Draft, Name, limits, source};
use serde_json::{Value, json};

use super::{Outcome, Role, Script, Shown, hidden::Hidden, programs, spec::Setup};
use crate::{
    config::{
        Problems, Secret,
        fields::{Fields, expected, kind},
        text::Template,
    },
    core::Job,
    jq::Program,
};

/// The most bytes of standard output.
pub(super) const MAX_OUTPUT: usize = 1024 * 1024;
/// How much of standard error is kept, from its end, in bytes.
pub(super) const MAX_SAID: usize = 8 * 1024;
/// The most events of one job.
const MAX_EVENTS: usize = 100;
/// The largest event in bytes of JSON; what the broker adds to it needs room too.
const MAX_EVENT: usize = limits::MAX_EVENT - 32 * 1024;
/// How much of standard error is quoted, in characters.
const MAX_QUOTE: usize = 500;
/// The most arguments, and the most bytes of one.
const MAX_ARGS: usize = 256;
const MAX_ARG: usize = 32 * 1024;
/// `EX_TEMPFAIL`.
const TEMPFAIL: u32 = 75;
/// What the broker itself tells: a program that told it could be taken for the broker.
const OWN_SCOPES: [&str; 11] =
    ["agent", "config", "delivery", "deploy", "event", "guard", "order", "rule", "schema", "source", "timer"];

/// What the file of a target says of its program, whatever runs it.
#[derive(Debug)]
pub(super) struct ProgramSpec {
    args: Vec<Arg>,
    env: Vec<(String, Template)>,
    retry_on: Vec<u32>,
    /// Exit codes that are tried again whatever the file says.
    passing: &'static [u32],
}

#[derive(Debug)]
enum Arg {
    Fixed(String),
    Made(Program, String),
}

/// The same, with the values of its environment.
pub(super) struct Contract {
    scope: &'static str,
    about: String,
    env: Vec<(String, Secret)>,
    hidden: Hidden,
    script: Option<Arc<Script>>,
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// With an exit code.
    Code(u32),
    /// By a signal, or a trap: as people call it.
    Killed(String),
    /// By a signal with which somebody else asked it to end: as people call it.
    Stopped(String),
    /// Not within this time.
    Late(Duration),
    /// It wrote more than [`MAX_OUTPUT`].
    Flooded,
}

/// A program that has ended, and what it wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ran {
    pub(super) ended: Ended,
    /// Standard output.
    pub(super) output: Vec<u8>,
    /// The end of standard error.
    pub(super) said: String,
}

impl ProgramSpec {
    /// Reads `args`, `env` and `retry_on`. Exit codes of `passing` say nothing of the job, and are tried again always.
    pub(super) fn read(fields: &mut Fields<'_>, passing: &'static [u32]) -> Self {
        let args = fields.list("args", |fields, path, value| arg(fields, path, value)).unwrap_or_default();
        let mut env = Vec::new();
        for (name, value) in fields.entries("env").into_iter().flatten() {
            let template = match value.as_str() {
                Some(text) => Template::parse(text),
                None => Err(expected("a text", value)),
            };
            match template {
                Ok(_) if !is_variable(name) => {
                    fields.problem(&format!("env.{name}"), "not the name of a variable: for example TICKETS_TOKEN");
                }
                Ok(_) if name.starts_with("EMOTE_") => {
                    fields.problem(&format!("env.{name}"), "variables that begin with EMOTE_ are set by Emote");
                }
                Ok(template) => env.push((name.clone(), template)),
                Err(problem) => fields.problem(&format!("env.{name}"), problem),
            }
        }
        let retry_on = fields.list("retry_on", |fields, path, value| {
            let code = value.as_u64().and_then(|code| u32::try_from(code).ok()).filter(|code| (1..=255).contains(code));
            if code.is_none() {
                fields.problem(path, "expected an exit code from 1 to 255");
            }
            code
        });
        Self { args, env, retry_on: retry_on.unwrap_or_else(|| vec![TEMPFAIL]), passing }
    }

    /// The names of the variables.
    pub(super) fn variables(&self) -> impl Iterator<Item = &str> {
        self.env.iter().map(|(name, _)| name.as_str())
    }

    /// The arguments for a job, whose programs see `context`.
    pub(super) fn args(&self, context: &Value) -> Result<Vec<String>, String> {
        let mut args = Vec::with_capacity(self.args.len());
        for arg in &self.args {
            match arg {
                Arg::Fixed(text) => args.push(text.clone()),
                Arg::Made(program, key) => {
                    let options_end = args.iter().any(|arg| arg == "--");
                    args.extend(made(&program.only(key, context)?, key, options_end)?);
                }
            }
        }
        if args.len() > MAX_ARGS {
            return Err(format!("args: {} of them; there may be {MAX_ARGS}", args.len()));
        }
        Ok(args)
    }

    /// With the environment's values. `about` is how people know the program, `scope` that of what is reported.
    pub(super) fn resolve(
        &self,
        scope: &'static str,
        about: String,
        setup: &Setup<'_>,
        problems: &mut Problems,
    ) -> Option<Contract> {
        let (mut env, mut hidden) = (Vec::new(), Hidden::default());
        for (name, template) in &self.env {
            let filled = problems.take(&format!("env.{name}"), setup.filled(template))?;
            if filled.text.expose().contains('\0') {
                problems.add(format!("env.{name}"), "has a zero byte in it, which no variable can hold");
                return None;
            }
            filled.secrets.into_iter().for_each(|secret| hidden.hide(secret));
            env.push((name.clone(), filled.text));
        }
        Some(Contract { scope, about, env, hidden, script: setup.script.cloned() })
    }
}

fn arg(fields: &mut Fields<'_>, path: &str, value: &Value) -> Option<Arg> {
    match value {
        Value::String(text) if text.contains('\0') => {
            fields.problem(path, "has a zero byte in it, which no argument can hold");
            None
        }
        Value::String(text) if text.contains("${env:") || text.contains("${file:") => {
            fields.problem(path, "everybody on the machine can read arguments: a secret goes into env");
            None
        }
        Value::String(text) => Some(Arg::Fixed(text.clone())),
        Value::Number(number) => Some(Arg::Fixed(number.to_string())),
        Value::Object(_) => {
            let program = fields.element(path, value, |fields| {
                let program = fields.jq("jq");
                fields.require("jq", program, "jq: .event.device.uuid")
            });
            Some(Arg::Made(program??, path.to_owned()))
        }
        other => {
            fields.problem(path, expected("a text, or {jq: a program}", other));
            None
        }
    }
}

/// The arguments that a program gave: none for null, several for a list.
fn made(value: &Value, key: &str, options_end: bool) -> Result<Vec<String>, String> {
    let values = match value {
        Value::Null => &[],
        Value::Array(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    let arg = |value: &Value| {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            other => return Err(format!("{key}: the program gave {}, not a text", kind(other))),
        };
        if text.starts_with('-') && !options_end {
            return Err(format!("{key}: {:?} would be taken for an option: put \"--\" before it", clip(&text)));
        }
        if text.contains('\0') || text.len() > MAX_ARG {
            return Err(format!("{key}: an argument has no zero bytes, and {MAX_ARG} bytes at most"));
        }
        Ok(text)
    };
    values.iter().map(arg).collect()
}

fn is_variable(name: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(is_word) && name.starts_with(|first: char| !first.is_ascii_digit())
}

/// What a run is given.
pub(super) struct Given {
    pub(super) args: Vec<String>,
    /// The whole environment.
    pub(super) env: Vec<(String, Secret)>,
    /// What goes to standard input: a line of JSON.
    pub(super) input: Vec<u8>,
}

impl Contract {
    /// What a run for `job` is given; how the job ends where nothing is to be run.
    pub(super) fn given(&self, spec: &ProgramSpec, job: &Job, input: &Value) -> Result<Given, Box<Outcome>> {
        let context = programs::of_job(job, input);
        let args = spec.args(&context).map_err(|reason| Box::new(Outcome::never(reason)))?;
        let given = Given { args, env: self.env(job), input: format!("{context}\n").into_bytes() };
        self.rehearsed(&given).map_or(Ok(given), |outcome| Err(Box::new(outcome)))
    }

    /// How people know the program.
    pub(super) fn about(&self) -> &str {
        &self.about
    }

    /// The whole environment for a job.
    fn env(&self, job: &Job) -> Vec<(String, Secret)> {
        let mut env = vec![
            ("EMOTE_JOB_ID".to_owned(), Secret::new(job.id.as_str())),
            ("EMOTE_TARGET".to_owned(), Secret::new(job.target.as_str())),
        ];
        env.extend(self.env.iter().cloned());
        env
    }

    /// `text` without the secrets of the environment.
    fn clean(&self, text: &str) -> String {
        self.hidden.clean(text, &[])
    }

    /// Shows a run to whoever asked for it. Gives how it ends where nothing is to be run.
    fn rehearsed(&self, given: &Given) -> Option<Outcome> {
        let script = self.script.as_ref()?;
        script.show(self.shown(given, script.stands_in()));
        script.stands_in().then(|| Outcome::done(self.scope, "ran", Value::Null))
    }

    /// A run as people read it: arguments, variables and input. What stands in for a secret is shown as it is.
    fn shown(&self, Given { args, env, input }: &Given, stands_in: bool) -> Shown {
        let args = args.iter().map(|arg| ("argument".to_owned(), arg.clone()));
        let env = env.iter().map(|(name, value)| {
            let value = if stands_in { value.expose().to_owned() } else { self.clean(value.expose()) };
            (format!("${name}"), value)
        });
        Shown {
            role: Role::Job,
            method: "RUN".to_owned(),
            url: self.about.clone(),
            headers: args.chain(env).collect(),
            body: String::from_utf8_lossy(input).trim_end().to_owned(),
            frames: Vec::new(),
            answer: None,
        }
    }

    /// What the end of the program means for the job.
    pub(super) fn outcome(&self, spec: &ProgramSpec, job: &Job, ran: &Ran) -> Outcome {
        if let (Some(script), Ended::Code(code)) = (&self.script, &ran.ended) {
            let output = self.clean(&String::from_utf8_lossy(&ran.output));
            script.note_answer(u16::try_from(*code).unwrap_or(u16::MAX), &output);
        }
        let said = end_of(&self.clean(&ran.said));
        if !said.is_empty() {
            tracing::debug!(target_name = %job.target, job = %job.id, said, "a program's standard error");
        }
        let because = |what: String| if said.is_empty() { what } else { format!("{what}: {said}") };
        match &ran.ended {
            Ended::Code(0) => self.done(job, ran),
            Ended::Code(code) if spec.retry_on.contains(code) || spec.passing.contains(code) => {
                Outcome::retry(because(format!("exited with {code}")))
            }
            Ended::Code(code) => Outcome::never(because(format!("exited with {code}"))),
            Ended::Killed(how) => Outcome::never(because(how.clone())),
            Ended::Stopped(how) => Outcome::retry(because(how.clone())),
            Ended::Late(within) => Outcome::retry(because(format!("did not end within {within:.1?} and was ended"))),
            Ended::Flooded => Outcome::never(because(format!(
                "wrote more than {MAX_OUTPUT} bytes to its standard output, and was ended"
            ))),
        }
    }

    fn done(&self, job: &Job, ran: &Ran) -> Outcome {
        let events = match self.events(&ran.output) {
            Ok(events) => events,
            Err(problem) => return Outcome::never(format!("it ended well, but what it wrote is no events: {problem}")),
        };
        let info = json!({"target": job.target, "program": self.about, "events": events.len()});
        match Outcome::done(self.scope, "ran", info) {
            Outcome::Done(report) => Outcome::Done(super::Report { events, ..report }),
            other => other,
        }
    }

    fn events(&self, output: &[u8]) -> Result<Vec<Draft>, String> {
        let mut events = Vec::new();
        for (number, line) in (1_usize..).zip(output.split(|byte| *byte == b'\n')) {
            if line.trim_ascii().is_empty() {
                continue;
            }
            if events.len() == MAX_EVENTS {
                return Err(format!("line {number}: a job may tell {MAX_EVENTS} events, and this is one more"));
            }
            events.push(self.event(line).map_err(|problem| format!("line {number}: {}", clip(&self.clean(&problem))))?);
        }
        Ok(events)
    }

    fn event(&self, line: &[u8]) -> Result<Draft, String> {
        if line.len() > MAX_EVENT {
            return Err(format!("{} bytes; an event may have {MAX_EVENT}", line.len()));
        }
        let value: Value = serde_json::from_slice(line).map_err(|error| format!("not JSON: {error}"))?;
        let draft = Draft::from_value(self.hidden.clean_value(value, &[])).map_err(|error| error.to_string())?;
        if OWN_SCOPES.contains(&draft.scope.as_str()) {
            return Err(format!("events of the scope {} are told by Emote itself", draft.scope));
        }
        let broker = Name::new(source::BROKER).map_err(|error| error.to_string())?;
        draft.subject(broker).map_err(|error| error.to_string())?;
        Ok(draft)
    }
}

/// The end of what a program said, on one line.
fn end_of(text: &str) -> String {
    let printable: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = printable.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.chars().count().checked_sub(MAX_QUOTE) {
        None | Some(0) => line,
        Some(over) => std::iter::once('…').chain(line.chars().skip(over)).collect(),
    }
}

fn clip(text: &str) -> String {
    crate::config::text::clip(text, MAX_QUOTE)
}

#[cfg(test)]
mod tests;
