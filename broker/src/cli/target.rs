//! `emote target test`: the requests that a target makes of a job, shown without a server or a secret, or sent.

use std::{
    io::{IsTerminal as _, Write as _},
    path::PathBuf,
    sync::Arc,
};

use anyhow::Context as _;
use emote_proto::{Event, EventId, Name, deploy::Manifest};
use serde_json::{Map, Value, json};

use super::{Exit, Output, connect::ServerArgs, given, print_line, render};
use crate::{
    config::{self, Folder, Settings, nearest},
    core::{Input, Job, JobId, Package},
    targets::{Machine, Outcome, Role, Script, Shown, Target, TargetSpec, Validated, catalog},
};

/// Largest file of an event, in bytes.
const MAX_FILE: u64 = 8 * 1024 * 1024;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the requests that a target makes of a job
    Test(Test),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Sends nothing and needs no secret unless --send is given: a secret is shown as its reference, a token that would be asked \
for as <token>, a PIN as <PIN>, and what would be looked up by an example of it. A preset is shown with the examples of its \
settings.

  emote target test jamf-pro/lock
  emote target test jamf-pro/lock --input '{\"message\": \"Call IT\"}'
  emote target test tickets --event enroll.json --node '{\"serial\": \"C02XL0GTJGH5\"}' -o json
  emote target test tickets --event enroll.json --send          asks first, where the target is destructive

The sample's Mac belongs to its user, so that `.node.owner` is ada@example.com; --event and --node say otherwise. A target of \
kind nats that names no server publishes where the options under NATS say, or emote.yaml.

Exit codes: 0 these are its requests, or it is done · 1 there is none to be made, or it failed · 3 the target's file has \
problems · 5 no such target, preset, action or file")]
struct Test {
    /// A target of the folder (targets/NAME.yaml), or PRESET or PRESET/ACTION of the catalogue
    name: String,
    /// The event that the job is about; - for standard input. Without it: a Mac that has enrolled
    #[arg(long, value_name = "FILE")]
    event: Option<PathBuf>,
    /// What the rule's input would give; without it a target has the event, and a preset a word for each key it knows
    #[arg(long, value_name = "JSON", value_parser = json_value)]
    input: Option<Value>,
    /// The node's record, as `emote node SERIAL -o json` shows it
    #[arg(long, value_name = "JSON", value_parser = json_value)]
    node: Option<Value>,
    /// Do it: fetch the secrets, send the requests, show the answers
    #[arg(long)]
    send: bool,
    /// Do not ask before something that destroys is sent
    #[arg(long, requires = "send")]
    yes: bool,
    /// What to print: table, or json, one request a line
    #[arg(long, short, value_enum, hide_possible_values = true, default_value_t)]
    output: Output,
    #[command(flatten)]
    server: ServerArgs,
}

fn json_value(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))
}

/// What is tried out.
struct Tried {
    target: Validated,
    /// What the catalogue's entry knows of the rule's input.
    input: Option<Value>,
    is_of_folder: bool,
}

impl Tried {
    /// A manifest that stands in for that of whatever is deployed, where the target installs the agent.
    fn installs(&self) -> Option<Manifest> {
        let installs = self.target.policy.installs_agent;
        installs.then(|| Package::example().manifest("https://emote.example.com").ok()).flatten()
    }
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    match args.command {
        Command::Test(test) => test.run().await,
    }
}

impl Test {
    async fn run(self) -> anyhow::Result<Exit> {
        let tried = match self.tried()? {
            Ok(tried) => tried,
            Err(said) => {
                anstream::eprintln!("{said}");
                return Ok(Exit::NotFound);
            }
        };
        let Some(event) = self.event()? else { return Ok(Exit::NotFound) };
        let (job, input) = self.job(&tried, event)?;
        if self.send {
            return self.send(&tried, &job, &input).await;
        }
        if !tried.target.is_shown() {
            let what = json!({"kind": tried.target.kind, "input": input});
            anstream::eprintln!("{} sends no request that could be shown; it is given", tried.target.kind);
            print_line(serde_json::to_string_pretty(&what)?)?;
            return Ok(Exit::Ok);
        }
        let (seen, outcome) = self.rehearsed(&tried, &job, &input).await?;
        self.show(&seen)?;
        // An answer that nobody gave says nothing; that no request was made does.
        if seen.iter().any(|shown| shown.role == Role::Job) {
            return Ok(Exit::Ok);
        }
        self.told(&outcome)?;
        Ok(if outcome.get("done").is_some() { Exit::Ok } else { Exit::Failed })
    }

    /// The requests that would be made, and how the job would end if nothing were answered to them.
    async fn rehearsed(&self, tried: &Tried, job: &Job, input: &Value) -> anyhow::Result<(Vec<Shown>, Value)> {
        let script = Arc::new(Script::showing());
        let ready = self.ready(tried, &script)?;
        let outcome = ended(&ready.deliver(job, input).await).to_string();
        Ok((script.seen(), serde_json::from_str(&script.shown(&outcome))?))
    }

    /// The target with `script` in place of the network, or beside it.
    fn ready(&self, tried: &Tried, script: &Arc<Script>) -> anyhow::Result<Box<dyn Target>> {
        let folder = self.server.folder.found()?;
        // What this machine's own file says, where there is one.
        let is_there = folder.join("emote.yaml").exists();
        let mut settings = if is_there { Folder::settings(folder)? } else { Settings::default() };
        self.server.over(&mut settings.nats)?;
        super::serve::take_data_of_environment(&mut settings)?;
        let ready = tried.target.with_script(Machine::new(folder, &settings), script);
        Ok(ready.map_err(|problems| config::target_problems(folder, &tried.target.name, problems))?)
    }

    /// The target, or what there is instead.
    fn tried(&self) -> anyhow::Result<Result<Tried, String>> {
        let folder = self.server.folder.found()?;
        let (preset, action) = self.name.split_once('/').map_or((&*self.name, None), |(p, a)| (p, Some(a)));
        if action.is_none()
            && let Ok(name) = Name::new(preset)
            && let Some(target) = config::target_of(folder, &name)?
        {
            return Ok(Ok(Tried { target, input: None, is_of_folder: true }));
        }
        let Some(entry) = catalog::find(preset) else {
            let names = catalog::all().iter().map(|entry| entry.name);
            return Ok(Err(format!(
                "There is no targets/{preset}.yaml in {}, and no such preset: {}",
                folder.display(),
                nearest::one_of(preset, names)
            )));
        };
        let actions = &entry.body.actions;
        let found = action.and_then(|action| actions.get(action));
        if found.is_none() && !(action.is_none() && actions.is_empty()) {
            let names: Vec<_> = actions.keys().map(|action| format!("{preset}/{action}")).collect();
            return Ok(Err(match action {
                _ if names.is_empty() => format!("{preset} does one thing only: leave out what is behind the /"),
                None => format!("Say what it is to do: {}", names.join(", ")),
                Some(_) => {
                    format!(
                        "There is no {}: {}",
                        self.name,
                        nearest::one_of(&self.name, names.iter().map(String::as_str))
                    )
                }
            }));
        }
        let known = found.map_or(&entry.body.input, |action| &action.input);
        let words: Map<String, Value> = known.keys().map(|key| (key.clone(), format!("<{key}>").into())).collect();
        let input = (entry.body.kind == "http").then_some(Value::Object(words));
        let target = TargetSpec::example(entry, action).validate(Name::new(entry.name)?);
        let target = target.map_err(|problems| anyhow::anyhow!("the preset {preset}: {problems:?}"))?;
        Ok(Ok(Tried { target, input, is_of_folder: false }))
    }

    /// The event of the file, with what every event has and it lacks; None where there is no file.
    fn event(&self) -> anyhow::Result<Option<Event>> {
        let now = jiff::Timestamp::now();
        let mut whole = json!({
            "id": EventId::derived(&["target test", &now.to_string()]), "time": emote_proto::Time::from(now),
            "source": "test", "trust": "unverified",
        });
        let said = match &self.event {
            None => json!({
                "scope": "device", "action": "enroll", "user": {"id": "ada@example.com", "name": "Ada"},
                "device": {"uuid": "C02XL0GTJGH5", "udid": "6AB1E5E2-1D2F-4A4E-8B0B-3D4C6E1F9A77", "name": "ada-mbp"},
            }),
            Some(file) => match given::read(file, MAX_FILE)? {
                Some(text) => serde_json::from_slice(&text).with_context(|| format!("reading {}", file.display()))?,
                None => return Ok(None),
            },
        };
        let said = said.as_object().context("an event is an object")?;
        if let Value::Object(whole) = &mut whole {
            whole.extend(said.clone());
        }
        Ok(Some(serde_json::from_value(whole).context("this is no event")?))
    }

    /// The job, and what its rule's input would give.
    fn job(&self, tried: &Tried, event: Event) -> anyhow::Result<(Job, Value)> {
        let given = self.input.clone().or_else(|| tried.input.clone());
        let node = self.node.clone().or_else(|| {
            let device = serde_json::to_value(event.device.as_ref()?).ok()?;
            let owner = event.user.as_ref().and_then(|user| user.id.as_ref());
            Some(json!({"serial": device["uuid"], "udid": device["udid"], "name": device["name"], "owner": owner}))
        });
        let (rule, target) = (Name::new("test")?, tried.target.name.clone());
        let job = Job {
            node: node.map(Into::into),
            input: given.as_ref().map(|_| Input::Jq(".".to_owned())),
            installs: tried.installs(),
            ..Job::new(JobId::new(event.id, &rule, &target, None), rule, target, event)
        };
        let input = given.unwrap_or(serde_json::to_value(&*job.event)?);
        Ok((job, input))
    }

    async fn send(&self, tried: &Tried, job: &Job, input: &Value) -> anyhow::Result<Exit> {
        if tried.target.policy.installs_agent {
            let target = &tried.target.name;
            anyhow::bail!("{target} installs the package that is deployed: `emote deploy send NODE` has it do so");
        }
        if !tried.is_of_folder {
            anyhow::bail!("a preset has examples for settings: write a file targets/NAME.yaml, and send by NAME");
        }
        let node = job.node_key().unwrap_or_else(|| "no node".to_owned());
        if tried.target.policy.guard.is_some() && !self.yes && !asked(&tried.target.name, &node)? {
            anyhow::bail!("nothing was sent");
        }
        let script = Arc::new(Script::noting());
        let ready = self.ready(tried, &script)?;
        let limit = tried.target.delivery.timeout;
        let outcome = tokio::time::timeout(limit, ready.deliver(job, input)).await;
        let outcome =
            outcome.unwrap_or_else(|_| Outcome::Retry { after: None, reason: format!("no answer within {limit:?}") });
        self.show(&script.seen())?;
        self.told(&ended(&outcome))?;
        Ok(if matches!(outcome, Outcome::Done(_)) { Exit::Ok } else { Exit::Failed })
    }

    fn show(&self, seen: &[Shown]) -> anyhow::Result<()> {
        for (at, shown) in seen.iter().enumerate() {
            match self.output {
                Output::Json => print_line(serde_json::to_string(shown)?)?,
                Output::Table if at > 0 => print_line(format!("\n{}", text(shown)))?,
                Output::Table => print_line(text(shown))?,
            };
        }
        Ok(())
    }

    fn told(&self, outcome: &Value) -> anyhow::Result<()> {
        let bold = render::BOLD;
        match self.output {
            Output::Json => print_line(outcome)?,
            Output::Table => print_line(format!("\n{bold}outcome{bold:#} {}", printable(&outcome.to_string())))?,
        };
        Ok(())
    }
}

fn ended(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Done(report) => {
            let mut done = json!({"done": format!("{}.{}", report.scope, report.action), "info": report.info});
            if !report.events.is_empty() {
                done["events"] = json!(report.events);
            }
            done
        }
        Outcome::Retry { after: None, reason } => json!({"retry": reason}),
        Outcome::Retry { after: Some(after), reason } => json!({"retry": reason, "after_s": after.as_secs()}),
        Outcome::Never { reason } => json!({"never": reason}),
    }
}

/// Asks whoever is there whether to go on; they answer with the node's name.
fn asked(target: &Name, node: &str) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        anyhow::bail!("{target} is destructive, and nobody is here to ask: say --yes");
    }
    anstream::eprint!("{target} is destructive. To do it to {node}, write {node}: ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(answer.trim() == node)
}

/// A request as people read it, with its answer where there is one.
fn text(shown: &Shown) -> String {
    let (bold, dim) = (render::BOLD, render::DIM);
    let what = match shown.role {
        Role::Token => "asks for a token",
        Role::Lookup => "looks up",
        Role::Page => "fetches",
        Role::Job => "does it",
    };
    let mut lines = vec![format!("{bold}{} {}{bold:#}  {dim}{what}{dim:#}", shown.method, printable(&shown.url))];
    lines.extend(shown.headers.iter().map(|(name, value)| format!("  {dim}{name}: {}{dim:#}", printable(value))));
    lines.extend(body(&shown.body));
    let bytes = shown.frames.iter().map(|frame| format!("  {dim}bytes: {}{dim:#}", printable(frame)));
    lines.extend(bytes);
    if let Some(answer) = &shown.answer {
        lines.push(format!("{bold}answered {}{bold:#}", answer.status));
        lines.extend(body(&answer.body));
    }
    lines.join("\n")
}

/// A body's lines, JSON as people write it.
fn body(text: &str) -> Vec<String> {
    let pretty = serde_json::from_str::<Value>(text).ok().and_then(|value| serde_json::to_string_pretty(&value).ok());
    let text = pretty.as_deref().unwrap_or(text);
    text.lines().map(|line| format!("  {}", printable(line))).collect()
}

fn printable(text: &str) -> String {
    text.replace('\t', "  ").replace(char::is_control, "\u{fffd}")
}

#[cfg(test)]
mod tests;
