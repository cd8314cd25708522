//! `emote schema compare`

use std::path::Path;

use anyhow::Context;
use clap::ValueEnum;
use serde_json::{Value, json};

use super::{Named, none_known, record, version_of};
use crate::{
    cli::{Exit, Output, connect::Asking, print_line},
    config::file::read_text,
    schema::{
        compat::{Change, Compatibility, changes},
        events::Vocabulary,
    },
};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
  emote schema compare okta.user.created@1 okta.user.created@2
  emote schema compare old.json new.json --require backward     for CI: exit code 3 where it is not

backward: who reads by the new one reads what was written by the old one. forward: who reads by the old one reads what is \
written by the new one. full: both. Where it cannot be told what a change means (allOf, if, $ref), it counts as breaking.")]
pub(super) struct Args {
    /// A file, or a schema as `emote schema show` names it
    old: String,
    /// Likewise
    new: String,
    /// How they must be compatible; exit code 3 where they are not
    #[arg(long, value_name = "HOW")]
    require: Option<Required>,
    #[command(flatten)]
    ask: Asking,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Required {
    Backward,
    Forward,
    Full,
}

impl Required {
    fn is_met_by(self, changes: &[Change]) -> bool {
        let backward = changes.iter().all(|change| !change.breaks_backward);
        let forward = changes.iter().all(|change| !change.breaks_forward);
        match self {
            Self::Backward => backward,
            Self::Forward => forward,
            Self::Full => backward && forward,
        }
    }
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    let (Some(old), Some(new)) = (schema(&args.old, &args.ask).await?, schema(&args.new, &args.ask).await?) else {
        return Ok(Exit::NotFound);
    };
    let changes = changes(&old, &new);
    let compatibility = Compatibility::of(&changes);
    match args.ask.output {
        Output::Json => drop(print_line(json!({"compatibility": compatibility, "changes": changes}))?),
        Output::Table => {
            for change in &changes {
                print_line(line(change))?;
            }
            print_line(format!("compatible: {}", compatibility.word()))?;
        }
    }
    let met = args.require.is_none_or(|required| required.is_met_by(&changes));
    Ok(if met { Exit::Ok } else { Exit::Config })
}

/// A change in one line.
pub(super) fn line(change: &Change) -> String {
    let field = if change.field.is_empty() { "the whole" } else { &change.field };
    let breaks = match (change.breaks_backward, change.breaks_forward) {
        (false, false) => "",
        (true, false) => "  (breaks backward)",
        (false, true) => "  (breaks forward)",
        (true, true) => "  (breaks both ways)",
    };
    format!("{field} {}{breaks}", change.change)
}

async fn schema(name: &str, ask: &Asking) -> anyhow::Result<Option<Value>> {
    if Path::new(name).is_file() {
        let text = read_text(Path::new(name)).map_err(|error| anyhow::anyhow!("{name}: {error}"))?;
        let schema: Value = serde_json::from_str(&text).with_context(|| format!("{name}: not JSON"))?;
        anyhow::ensure!(schema.is_object(), "{name}: no JSON Schema: expected an object");
        return Ok(Some(schema));
    }
    match Named::read(name)? {
        Named::Discovered(kind, version) => {
            let record = record(&ask.connect().await?, kind).await?;
            let version = version_of(record.as_ref(), kind, version).map_err(|said| anstream::eprintln!("{said}"));
            Ok(version.ok().map(|version| version.schema.clone()))
        }
        Named::Known(name) => {
            let own = ask.server.folder.vocabulary()?;
            let found = own.as_deref().unwrap_or_else(|| Vocabulary::built_in()).schema(name);
            if found.is_none() {
                anstream::eprintln!("There is no file {name}.");
                none_known(name);
            }
            Ok(found)
        }
    }
}
