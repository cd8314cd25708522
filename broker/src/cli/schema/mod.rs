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
use crate::{
    bus::Bus,
    schema::discover::{Record, Version},
};

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

/// A schema as the command line names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named<'n> {
    /// Of the vocabulary: `<scope>`, `<scope>.<action>`, or `event`.
    Known(&'n str),
    /// A discovered one: `<source>.<scope>.<action>`, and a version behind `@`.
    Discovered(&'n str, Option<u32>),
}

impl<'n> Named<'n> {
    fn read(text: &'n str) -> anyhow::Result<Self> {
        let (name, version) = match text.split_once('@') {
            Some((name, version)) => (name, Some(version)),
            None => (text, None),
        };
        let number = version.map(str::parse::<u32>).transpose();
        let number =
            number.with_context(|| format!("{text}: behind the @ stands the number of a version, such as {name}@1"))?;
        match (name.matches('.').count(), version) {
            (2, _) => Ok(Self::Discovered(name, number)),
            (_, None) => Ok(Self::Known(name)),
            _ => anyhow::bail!(
                "{text}: what has versions is discovered, and is named by source, scope and action, such as okta.user.created@1"
            ),
        }
    }
}

/// Says that there is no such schema of the vocabulary.
fn none_known(name: &str) -> Exit {
    anstream::eprintln!(
        "There is no schema {name}: `emote schema ls` lists them, `emote schema ls --discovered` others"
    );
    Exit::NotFound
}

/// A version of what was discovered of these events, the last where none is named; what there is in its place where there is none.
fn version_of<'r>(record: Option<&'r Record>, name: &str, version: Option<u32>) -> Result<&'r Version, String> {
    let Some(record) = record else {
        return Err(format!("No schema of {name} was discovered: `emote schema ls --discovered` lists them"));
    };
    record.version(version).ok_or_else(|| match record.versions.as_slice() {
        [] => format!("No schema of {name} was discovered yet: {} events are too few", record.seen.count),
        versions => {
            let known: Vec<String> = versions.iter().map(|version| format!("{name}@{}", version.version)).collect();
            format!("There is no such version of {name}: there is {}", known.join(", "))
        }
    })
}

/// What was discovered of the events of this name.
async fn record(bus: &Bus, name: &str) -> anyhow::Result<Option<Record>> {
    let Some(entry) = bus.schema(name).await? else { return Ok(None) };
    Ok(Some(serde_json::from_slice(&entry.value).with_context(|| format!("the record of {name}"))?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::infer::Seen;

    #[test]
    fn a_version_is_of_what_was_discovered() {
        for (text, named) in [
            ("event", Named::Known("event")),
            ("device.enroll", Named::Known("device.enroll")),
            ("okta.user.created", Named::Discovered("okta.user.created", None)),
            ("okta.user.created@2", Named::Discovered("okta.user.created", Some(2))),
        ] {
            assert_eq!(Named::read(text).unwrap(), named);
        }
        for (text, said) in [
            ("okta.user.created@last", "such as okta.user.created@1"),
            ("user.created@1", "named by source, scope and action"),
            ("user@1", "named by source, scope and action"),
        ] {
            let error = Named::read(text).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn what_is_not_there_is_told_with_what_is() {
        let mut record = Record { name: "a.b.c".to_owned(), seen: Seen::default(), versions: Vec::new() };
        let told = |record: Option<&Record>| version_of(record, "a.b.c", Some(7)).map(|it| it.version).unwrap_err();
        assert!(told(None).contains("`emote schema ls --discovered`"));
        assert!(told(Some(&record)).contains("0 events are too few"));
        let version = serde_json::json!({"version": 1, "since": "2026-11-26T06:41:00Z", "events": 9, "compatibility": "full",
            "changes": [], "schema": {}});
        record.versions.push(serde_json::from_value(version).unwrap());
        assert_eq!(told(Some(&record)), "There is no such version of a.b.c: there is a.b.c@1");
        assert_eq!(version_of(Some(&record), "a.b.c", None).unwrap().version, 1);
    }
}
