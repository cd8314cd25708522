//! `emote schema ls`

use std::path::Path;

use serde_json::json;

use crate::{
    cli::{Exit, Output, connect::Asking, print_line, render, table},
    config::Folder,
    schema::{discover::Record, events::Vocabulary},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The actions of this scope
    #[arg(conflicts_with = "discovered")]
    scope: Option<String>,
    /// What the broker has discovered; asks NATS
    #[arg(long)]
    discovered: bool,
    #[command(flatten)]
    ask: Asking,
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    if args.discovered {
        return discovered(&args.ask).await;
    }
    let own = args.ask.server.folder.vocabulary()?;
    let vocabulary = own.as_deref().unwrap_or_else(|| Vocabulary::built_in());
    match &args.scope {
        Some(scope) => actions(vocabulary, scope, args.ask.output),
        None => scopes(vocabulary, args.ask.output),
    }
}

fn scopes(vocabulary: &Vocabulary, output: Output) -> anyhow::Result<Exit> {
    let mut table = table::table(&["scope", "actions", "such as", "from"]);
    for scope in vocabulary.scopes() {
        let names: Vec<&str> = vocabulary.actions(scope).into_iter().map(|(action, _)| action).collect();
        let is_own = vocabulary.schema(scope) != Vocabulary::built_in().schema(scope);
        match output {
            Output::Json => drop(print_line(json!({"scope": scope, "actions": names, "own": is_own}))?),
            Output::Table => {
                let such: Vec<&str> = names.iter().copied().take(4).collect();
                let from = if is_own { format!("schemas/{scope}.yaml") } else { "built in".to_owned() };
                table.add_row([scope, &names.len().to_string(), &such.join(", "), &from]);
            }
        }
    }
    if output == Output::Table {
        print_line(table::lines(&mut table))?;
    }
    Ok(Exit::Ok)
}

fn actions(vocabulary: &Vocabulary, scope: &str, output: Output) -> anyhow::Result<Exit> {
    if !vocabulary.scopes().any(|known| known == scope) {
        anstream::eprintln!("There is no schema of the scope {scope}: `emote schema ls` lists them");
        return Ok(Exit::NotFound);
    }
    if vocabulary.actions(scope).is_empty() {
        anstream::eprintln!("The schema of {scope} tells no actions apart: `emote schema show {scope}` shows it");
        return Ok(Exit::Ok);
    }
    let mut table = table::table(&["action", "what happened"]);
    for (action, about) in vocabulary.actions(scope) {
        match output {
            Output::Json => drop(print_line(json!({"scope": scope, "action": action, "about": about}))?),
            Output::Table => {
                table.add_row([action, about]);
            }
        }
    }
    if output == Output::Table {
        print_line(table::lines(&mut table))?;
    }
    Ok(Exit::Ok)
}

async fn discovered(ask: &Asking) -> anyhow::Result<Exit> {
    let bus = ask.connect().await?;
    let now = jiff::Timestamp::now().into();
    let mut table = table::table(&["events", "seen", "version", "compatible", "since"]);
    let records = bus.schemas().await?;
    for (name, entry) in &records {
        let Ok(record) = serde_json::from_slice::<Record>(&entry.value) else {
            anstream::eprintln!("{name}: the record cannot be read");
            continue;
        };
        let last = record.version(None);
        match ask.output {
            Output::Json => {
                let versions = last.map_or(0, |last| last.version);
                let compatibility = last.map(|last| last.compatibility);
                let since = last.map(|last| last.since);
                let line = json!({"name": name, "seen": record.seen.count, "version": versions,
                    "compatibility": compatibility, "since": since});
                print_line(line)?;
            }
            Output::Table => {
                let (version, word, since) = match last {
                    Some(last) => (last.version.to_string(), last.compatibility.word(), render::ago(last.since, now)),
                    None => ("too few".to_owned(), "", String::new()),
                };
                table.add_row([name, &record.seen.count.to_string(), &version, word, &since]);
            }
        }
    }
    if ask.output == Output::Table {
        if records.is_empty() {
            anstream::eprintln!("{}", nothing_discovered(ask.server.folder.known()));
        } else {
            print_line(table::lines(&mut table))?;
        }
    }
    Ok(Exit::Ok)
}

/// Why nothing was, as far as the folder says.
fn nothing_discovered(folder: Option<&Path>) -> String {
    let settings = folder.and_then(|folder| Some((folder.join("emote.yaml"), Folder::settings(folder).ok()?.schemas)));
    match settings {
        Some((_, schemas)) if schemas.discover => "Nothing was discovered yet. The broker that leads looks at events as they \
            come in, from its start with schemas: {discover: true} on; what came before is not looked at: `emote schema infer \
            --since 24h` does that."
            .to_owned(),
        Some((file, _)) => format!(
            "Nothing was discovered: {} does not say schemas: {{discover: true}}. Write it there, and start the brokers anew.",
            file.display()
        ),
        None => "Nothing was discovered: that is done where emote.yaml of the brokers says schemas: {discover: true}. --config \
            names its folder."
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_nothing_was_discovered_is_told_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        for (yaml, said) in
            [("schemas: {discover: true}\n", "looks at events"), ("{}\n", "does not say schemas: {disc")]
        {
            std::fs::write(folder.path().join("emote.yaml"), yaml).unwrap();
            let told = nothing_discovered(Some(folder.path()));
            assert!(told.contains(said), "{told}");
        }
        assert!(nothing_discovered(None).contains("--config"));
    }
}
