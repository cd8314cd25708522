//! `emote-agent emit`.

use std::time::Duration;

use clap::Args;
use emote_proto::{Draft, Token, User};

use super::{Exit, Failure, Output, Place};
use crate::emit;
use crate::socket::{Answer, Ask};

const EXAMPLES: &str = "\
Examples:
  emote-agent emit backup done --info files=1200 --info target=nas
  emote-agent emit app installed --info 'app:={\"id\":\"com.example\",\"version\":\"2.1\"}' --communicate
  emote-agent emit user activated --user ada@example.com

A value that is a JSON number, true, false or null is that, any other is a string; KEY:=VALUE takes any JSON. \
The event's id is printed once the event is on this machine's disk; it is sent as soon as the server is reached. Only the \
user that the agent runs as can send one: root on a Mac.";

/// How long an agent that puts itself together anew is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// Send an event of your own, from a script on this machine
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct EmitArgs {
    /// What kind of thing: a snake_case word
    scope: Token,
    /// What happened to it: a snake_case word
    action: Token,
    /// More about it; repeat for more keys
    #[arg(long, short, value_name = "KEY=VALUE")]
    info: Vec<String>,
    /// Whom it is about: UPN or e-mail address
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// People should be told
    #[arg(long)]
    communicate: bool,
    /// It should be logged
    #[arg(long)]
    log: bool,
    #[command(flatten)]
    place: Place,
    /// How to print the event's id
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    output: Output,
}

pub(super) async fn run(arguments: EmitArgs) -> Result<(), Failure> {
    let mut draft = Draft::new(arguments.scope, arguments.action);
    let info = emit::info(&arguments.info).map_err(|problem| (Exit::Usage, anyhow::anyhow!("--info {problem}")))?;
    draft.info = info.map(Into::into);
    draft.user = arguments.user.map(|id| User { id: Some(id), ..User::default() });
    draft.communicate = Some(true).filter(|_| arguments.communicate);
    draft.log = Some(true).filter(|_| arguments.log);
    match arguments.place.call_within(PATIENCE, &Ask::Emit(Box::new(draft))).await? {
        Answer::Id(id) => super::print(&match arguments.output {
            Output::Table => format!("{id}\n"),
            Output::Json => super::pretty(&serde_json::json!({"id": id}))?,
        }),
        other => Err((Exit::Failure, anyhow::anyhow!("not an answer to emit: {other:?}"))),
    }
}
