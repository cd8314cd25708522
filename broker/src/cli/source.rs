//! `emote source test`: what a payload becomes, without a server or a secret.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use bytes::Bytes;
use emote_proto::{Draft, Name, Time, Trust};
use serde_json::{Value, json};

use super::{Exit, Output, folder::FolderArgs, given, print_line, render, ssf};
use crate::{
    config::{self, nearest},
    ingest::{Aliases, Conform, Moment, Plan, Refusal, Request, SourceSpec, catalog, media_type},
    schema::events::Vocabulary,
};

/// Largest file that is read, in bytes: more than any source takes.
const MAX_FILE: u64 = 64 * 1024 * 1024;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the events that a payload becomes
    Test(Test),
    /// The stream at a transmitter of security events (SSF): create, show, verify, delete
    Ssf(ssf::Args),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Needs no server and no secret: a signature is not looked at, and nothing is sent. What is shown as trust is that of a \
request that passes. An event that is not as its schema says (`emote schema show`) is told, whether the source is held to it or \
not; with -o json as {\"violates\": …} on a line behind it, or as the event schema.violation that a source with `schema: report` \
or `enforce` would tell. For a source that listens for syslog or GELF, the file is what its socket would be sent.

  emote source test jamf-pro --file payload.json
  emote source test okta --file - < payload.json
  emote source test kolide --file body.bin --header 'Content-Type: application/json' -o json
  emote source test scim-okta --file users.patch.json --path /Users/2819c223
  emote source test nanomdm --file token_update.json --serial 6AB1E5E2-1D2F-4A4E-8B0B-3D4C6E1F9A77=C02XL0GTJGH5

Exit codes: 0 these are its events · 1 the payload would be refused · 3 the source's file has problems · 5 no such source, preset or file")]
struct Test {
    /// A source of the folder (sources/NAME.yaml), or a preset of the catalogue
    name: Name,
    /// The payload as it is sent; - for standard input
    #[arg(long, short, value_name = "FILE")]
    file: PathBuf,
    /// A header that is sent with it, such as 'X-GitHub-Event: ping'; guessed is Content-Type, from the payload
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", value_parser = header_line)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// What stands behind the ? of the URL
    #[arg(long, value_name = "QUERY", default_value = "", hide_default_value = true)]
    query: String,
    /// How it is sent, to a source whose clients change users and groups; guessed from the payload
    #[arg(long, value_name = "METHOD")]
    method: Option<Method>,
    /// Where it is sent to, such as /Users/ID; guessed from the payload
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// A Mac that is known already, for payloads that name the UDID alone
    #[arg(long = "serial", value_name = "UDID=SERIAL", value_parser = known)]
    serials: Vec<(String, String)>,
    #[command(flatten)]
    folder: FolderArgs,
    /// What to print: table, or json, one event a line
    #[arg(long, short, value_enum, hide_possible_values = true, default_value_t)]
    output: Output,
}

fn header_line(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("write it as 'Name: value'")?;
    let name = name.trim().parse().map_err(|_| format!("{:?} is no name of a header", name.trim()))?;
    Ok((name, value.trim().parse().map_err(|_| "the value cannot stand in a header".to_owned())?))
}

fn known(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(udid, serial)| !udid.is_empty() && !serial.is_empty());
    pair.map(|(udid, serial)| (udid.to_owned(), serial.to_owned())).ok_or_else(|| "write it as UDID=SERIAL".to_owned())
}

struct Known(BTreeMap<String, String>);

impl Aliases for Known {
    fn serial_of(&self, udid: &str, _: Trust) -> Option<String> {
        self.0.get(udid).cloned()
    }
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    match args.command {
        Command::Test(test) => test.run(),
        Command::Ssf(args) => args.run().await,
    }
}

impl Test {
    fn run(self) -> anyhow::Result<Exit> {
        let folder = self.folder.found()?;
        let vocabulary = self.folder.vocabulary()?;
        let Some(plan) = self.plan(folder)?.map(|plan| plan.with_vocabulary(vocabulary.clone())) else {
            anstream::eprintln!(
                "There is no sources/{}.yaml in {}, and no such preset: {}",
                self.name,
                folder.display(),
                nearest::one_of(self.name.as_str(), catalog::all().iter().map(|entry| entry.name))
            );
            return Ok(Exit::NotFound);
        };
        let Some(body) = given::read(&self.file, MAX_FILE)?.map(Bytes::from) else { return Ok(Exit::NotFound) };
        let aliases = Known(self.serials.iter().cloned().collect());
        let moment = Moment::drawn().map_err(|error| anyhow::anyhow!("{error}"))?;
        match self.rehearsed(&plan, &body, &aliases, &moment) {
            Ok(drafts) => {
                let vocabulary = vocabulary.as_deref().unwrap_or_else(|| Vocabulary::built_in());
                self.show(&drafts, (plan.conform(), vocabulary), moment.now)
            }
            Err(refusal) => self.refused(&refusal),
        }
    }

    fn plan(&self, folder: &Path) -> anyhow::Result<Option<Plan>> {
        if let Some(spec) = config::source_of(folder, &self.name)? {
            return Ok(spec.validate(&self.name).ok());
        }
        let Some(entry) = catalog::find(self.name.as_str()) else { return Ok(None) };
        let plan = SourceSpec::example(entry).validate(&self.name);
        Ok(Some(plan.map_err(|problems| anyhow::anyhow!("the preset {}: {problems:?}", self.name))?))
    }

    fn rehearsed(&self, plan: &Plan, body: &Bytes, aliases: &Known, moment: &Moment) -> Result<Vec<Draft>, Refusal> {
        if self.is_file_alone() {
            if plan.takes_files() {
                let name = self.file.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
                return plan.rehearse_file(&name, body, aliases, moment);
            }
            if plan.takes_messages() {
                return plan.rehearse_messages(body, aliases, moment);
            }
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.append(name.clone(), value.clone());
        }
        let said = headers.contains_key(header::CONTENT_TYPE);
        if !said {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type(body)));
        }
        let rehearse = |headers: HeaderMap| {
            let request = Request::new(headers, &self.query, body.clone());
            plan.rehearse(request.sent(self.method.clone(), self.path.clone()), aliases, moment)
        };
        match rehearse(headers.clone()) {
            // What was guessed is not held against the payload.
            Err(refusal @ Refusal::Type { .. }) if !said => {
                headers.remove(header::CONTENT_TYPE);
                rehearse(headers).map_err(|_| refusal)
            }
            rehearsed => rehearsed,
        }
    }

    /// Whether nothing is said of how the payload is sent.
    fn is_file_alone(&self) -> bool {
        self.headers.is_empty() && self.query.is_empty() && self.method.is_none() && self.path.is_none()
    }

    fn show(&self, drafts: &[Draft], schemas: (Conform, &Vocabulary), now: Time) -> anyhow::Result<Exit> {
        for draft in drafts {
            match self.output {
                Output::Json => print_line(serde_json::to_string(draft)?)?,
                Output::Table => print_line(shown(draft, &self.name, now)?)?,
            };
            self.violations(draft, schemas)?;
        }
        if drafts.is_empty() {
            anstream::eprintln!("{}No events: the map passes this payload over.{:#}", render::DIM, render::DIM);
        }
        Ok(Exit::Ok)
    }

    /// Says what the event's schema does not take. A source that is held to it tells that itself, by an event.
    fn violations(&self, draft: &Draft, (mode, vocabulary): (Conform, &Vocabulary)) -> anyhow::Result<()> {
        let verdict = (mode == Conform::Off).then(|| vocabulary.check(&serde_json::to_value(draft).ok()?)).flatten();
        let (Some(verdict), Some(event)) = (verdict, draft.id) else { return Ok(()) };
        let info = verdict.info(event, draft.scope.as_str(), draft.action.as_str());
        match self.output {
            Output::Json => print_line(json!({"violates": info}))?,
            Output::Table => {
                let each = verdict.violations.iter().map(|one| format!("\n  {}: {}", one.pointer, one.problem));
                let more = (verdict.more > 0).then(|| format!("\n  and {} more", verdict.more));
                let all: String = each.chain(more).collect();
                let (error, plain) = (render::ERROR, render::ERROR.render_reset());
                print_line(format!(
                    "{error}not as the schema {} says{plain}; `schema: report` in the source's file would tell it by an event \
                     schema.violation, `schema: enforce` in place of this event:{}",
                    verdict.schema,
                    all.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}")
                ))?
            }
        };
        Ok(())
    }

    fn refused(&self, refusal: &Refusal) -> anyhow::Result<Exit> {
        let status = refusal.status().as_u16();
        match self.output {
            Output::Json => print_line(json!({"refused": refusal.to_string(), "status": status}))?,
            Output::Table => {
                anstream::eprintln!("{}refused{:#} with {status}: {refusal}", render::ERROR, render::ERROR);
                true
            }
        };
        Ok(Exit::Failed)
    }
}

/// The subject and the event below it.
fn shown(draft: &Draft, source: &Name, now: Time) -> anyhow::Result<String> {
    let (bold, dim) = (render::BOLD, render::DIM);
    let subject = draft.subject(source.clone())?;
    let mut text = vec![format!("{bold}{subject}{bold:#}")];
    if draft.time.is_none() {
        text.push(format!("{dim}  no time of its own: it gets that of its receipt, such as {now}{dim:#}"));
    }
    let event: Value = serde_json::to_value(draft)?;
    text.extend(
        serde_json::to_string_pretty(&event)?
            .lines()
            .map(|line| format!("  {}", line.replace(char::is_control, "\u{fffd}"))),
    );
    Ok(text.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_written_as_they_are_sent() {
        let (name, value) = header_line("X-GitHub-Event:  ping ").unwrap();
        assert_eq!((name.as_str(), value.to_str().unwrap()), ("x-github-event", "ping"));
        for wrong in ["ping", "a b: c", "a: \u{1}"] {
            assert!(header_line(wrong).is_err(), "{wrong}");
        }
        assert!(known("a=b").is_ok() && known("a=").is_err() && known("ab").is_err());
    }
}
