//! `emote schema`: JSON Schemas of events and of the files that configure Emote. One file a subcommand.

mod compare;
mod config;
mod infer;
mod input;
mod ls;
mod show;
mod validate;

use anyhow::Context;

use super::Exit;
use crate::{bus::Bus, schema::discover::Record};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Events:
  emote schema ls                                   the scopes that have a schema
  emote schema ls device                            what can happen to a device
  emote schema show device.enroll                   what an enrolment says, as JSON Schema 2020-12
  emote events --since 1h -n 1000 -o json | emote schema validate
  emote schema infer --since 24h --source okta      the schemas that Okta's events have

Discovered, where emote.yaml says schemas: {discover: true}:
  emote schema ls --discovered
  emote schema show okta.user.created --versions    what changed when, and for whom that breaks
  emote schema compare okta.user.created@1 okta.user.created@2

Files, for editors:
  emote schema config target                        what a file in targets/ may say, as JSON Schema draft 7
  emote schema config --all my-emote                where editors look for them, as `emote init` does

A source is held to the schemas by `schema: report` (what is wrong is told by an event) or `schema: enforce` (in place of \
the event) in its file. Schemas of one's own are schemas/SCOPE.yaml.")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List schemas: scopes, the actions of one, or what was discovered
    Ls(ls::Args),
    /// Print a schema: of a scope, of SCOPE.ACTION, of any event, or a discovered one
    Show(show::Args),
    /// Hold events against their schemas. Exit code 3 where one is not as it should be
    Validate(validate::Args),
    /// Print the schemas that events have
    Infer(infer::Args),
    /// Say what differs between two schemas, field by field, and for whom that breaks
    Compare(compare::Args),
    /// Print the schema of a kind of configuration file
    Config(config::Args),
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    match args.command {
        Command::Ls(args) => ls::run(args).await,
        Command::Show(args) => show::run(args).await,
        Command::Validate(args) => validate::run(&args),
        Command::Infer(args) => infer::run(args).await,
        Command::Compare(args) => compare::run(args).await,
        Command::Config(args) => config::run(&args),
    }
}

pub(super) use config::{heading, write_schemas};

/// A discovered schema's name: `<source>.<scope>.<action>`, and a version behind `@`.
fn discovered_name(name: &str) -> Option<(&str, Option<u32>)> {
    let (name, version) = match name.split_once('@') {
        Some((name, version)) => (name, Some(version.parse().ok()?)),
        None => (name, None),
    };
    (name.matches('.').count() == 2).then_some((name, version))
}

/// What was discovered of the events of this name.
async fn record(bus: &Bus, name: &str) -> anyhow::Result<Option<Record>> {
    let Some(entry) = bus.schema(name).await? else { return Ok(None) };
    Ok(Some(serde_json::from_slice(&entry.value).with_context(|| format!("the record of {name}"))?))
}
