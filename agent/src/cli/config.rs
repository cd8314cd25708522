//! `emote-agent config`.

use std::fmt::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use emote_proto::EventId;

use super::{Exit, Failure, Output, Place};
use crate::health::Config;
use crate::settings::{self, Problem, profile, template};
use crate::socket::{Answer, Ask};

const EXAMPLES: &str = "\
Examples:
  emote-agent config show
  emote-agent config check /etc/emote-agent.toml
  emote-agent config template --format toml > agent.toml
  emote-agent config template --format profile > emote-agent.mobileconfig

Layers, each over the one before: defaults, TOML file, managed preferences (io.emote.agent), EMOTE_AGENT_ variables, \
flags. A key that is wrong in file or managed preferences counts as not written there: the agent runs on, and tells of it \
with an event agent.misconfigured. Changes are applied within a minute, at once after SIGHUP.";

/// Show, check and write settings
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the value of each key and which layer it comes from; asks the running agent if there is one
    #[command(after_help = "Examples:\n  emote-agent config show\n  emote-agent config show -o json | jq .problems")]
    Show(ShowArgs),
    /// Tell all that is wrong, in a file or on this machine
    #[command(after_help = CHECK_EXAMPLES)]
    Check(CheckArgs),
    /// Write a file to begin with
    #[command(after_help = TEMPLATE_EXAMPLES)]
    Template(TemplateArgs),
}

const CHECK_EXAMPLES: &str = "\
Examples:
  emote-agent config check
  emote-agent config check agent.toml
  emote-agent config check emote-agent.mobileconfig
  emote-agent config check -o json | jq '.[].key'

Without a file, the layers of this machine are checked. A file is TOML, or a property list: managed preferences or a \
configuration profile. The exit code is 2 when something is wrong.";

const TEMPLATE_EXAMPLES: &str = "\
Examples:
  emote-agent config template --format toml > /etc/emote-agent.toml
  emote-agent config template --format profile > emote-agent.mobileconfig
  emote-agent config template --format manifest > io.emote.agent.plist

A profile goes to an MDM. A manifest goes to a profile editor, which then offers every key with its description.";

#[derive(Debug, Args)]
struct ShowArgs {
    #[command(flatten)]
    place: Place,
    /// How to print it
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Debug, Args)]
struct CheckArgs {
    /// TOML or property list
    file: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
    /// How to print it
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Debug, Args)]
struct TemplateArgs {
    /// What to write
    #[arg(long, short, value_enum)]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// The file, every key as a comment
    Toml,
    /// A configuration profile (.mobileconfig), every key but the server as a comment
    Profile,
    /// A preference manifest for profile editors
    Manifest,
    /// The tables of the documentation
    Markdown,
}

pub(super) async fn run(arguments: ConfigArgs) -> Result<(), Failure> {
    match arguments.command {
        Command::Show(arguments) => show(arguments).await,
        Command::Check(arguments) => check(&arguments),
        Command::Template(arguments) => super::print(&written(arguments.format)?),
    }
}

async fn show(arguments: ShowArgs) -> Result<(), Failure> {
    let config = match arguments.place.call(&Ask::Config {}).await {
        Ok(Answer::Config(config)) => *config,
        Err((Exit::NotRunning, _)) => Config::of(&arguments.place.places().load(), false),
        Ok(other) => return Err((Exit::Failure, anyhow::anyhow!("not an answer to config: {other:?}"))),
        Err(failure) => return Err(failure),
    };
    let text = match arguments.output {
        Output::Table => table(&config),
        Output::Json => super::pretty(&config)?,
    };
    super::print(&text)
}

fn check(arguments: &CheckArgs) -> Result<(), Failure> {
    let problems = match &arguments.file {
        Some(file) => settings::check(file),
        None => arguments.place.places().load().problems,
    };
    super::print(&match arguments.output {
        Output::Json => super::pretty(&problems)?,
        Output::Table if problems.is_empty() => "nothing is wrong\n".to_owned(),
        Output::Table => lines(&problems),
    })?;
    if problems.is_empty() {
        return Ok(());
    }
    let count = match problems.len() {
        1 => "one problem".to_owned(),
        count => format!("{count} problems"),
    };
    Err((Exit::Usage, anyhow::anyhow!(count)))
}

fn written(format: Format) -> Result<String, Failure> {
    Ok(match format {
        Format::Toml => template::toml(),
        Format::Markdown => template::markdown(),
        Format::Profile => profile::profile(&uuid()?, &uuid()?),
        Format::Manifest => profile::manifest(&jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
    })
}

fn uuid() -> Result<String, Failure> {
    let mut random = [0; 10];
    getrandom::fill(&mut random).map_err(|error| (Exit::Failure, anyhow::anyhow!("no random bytes: {error}")))?;
    let millis = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0);
    Ok(EventId::fresh(millis, &random).to_string().to_uppercase())
}

fn table(config: &Config) -> String {
    let width = |cells: &mut dyn Iterator<Item = usize>| cells.max().unwrap_or(0);
    let keys = width(&mut config.values.iter().map(|row| row.key.chars().count()));
    let values = width(&mut config.values.iter().map(|row| row.value.chars().count())).min(60);
    let mut text = String::new();
    for row in &config.values {
        // Writing to a string cannot fail.
        writeln!(text, "{:<keys$}  {:<values$}  {}", row.key, row.value, row.origin.words()).ok();
    }
    if !config.running {
        text += "\nNo agent answers: this is what one started like this would use.\n";
    }
    if !config.problems.is_empty() {
        text += &format!("\nWrong, and not used:\n{}", lines(&config.problems));
    }
    text
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Origin, Row};

    #[test]
    fn the_table_says_where_each_value_comes_from_and_what_is_wrong() {
        let row = |key: &str, value: &str, origin| Row { key: key.into(), value: value.into(), origin };
        let config = Config {
            running: false,
            values: vec![row("server", "tls://a:4222", Origin::Managed), row("poll", "1m", Origin::File)],
            problems: vec![Problem::new("quota", Origin::File, None, "it is empty").using("64MiB (default)")],
        };
        let expected = "\
server  tls://a:4222  managed
poll    1m            file

No agent answers: this is what one started like this would use.

Wrong, and not used:
quota: it is empty (file); used instead: 64MiB (default)
";
        assert_eq!(table(&config), expected);
    }
}
