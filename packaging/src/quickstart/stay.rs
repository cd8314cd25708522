//! What happens after the account: everything goes on running, for looking around.

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
};

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{
    children::{Agent, Broker},
    place::Stage,
    programs::{Program, Programs},
    tell::{self, BOLD, DIM},
};
use crate::standins::{Command, Request, StandIn, commands, messages};

/// Whether this program is told to stop: by Ctrl-C, by SIGTERM, or because its terminal is gone.
pub(super) struct Stop {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Stop {
    /// From now on these signals do not end the program by themselves.
    pub(super) fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next.
    pub(super) async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

/// The commands to look around with.
pub(super) fn look_around(programs: &Programs, stage: &Stage, broker: &Broker, agent: &Agent, number: u64) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let short = |path: PathBuf| shell(path.strip_prefix(&here).map(Path::to_owned).unwrap_or(path));
    let (emote, emote_agent) = (short(programs.path(Program::Emote)), short(programs.path(Program::Agent)));
    let server = if broker.nats.ends_with(":4222") { String::new() } else { format!(" --server {}", broker.nats) };
    let (serial, state) = (&agent.serial, short(agent.state.clone()));
    let (config, webhooks) = (short(stage.config.clone()), &broker.webhooks);
    let token = short(stage.config.join("secrets/assets-token"));
    let mut text = format!("\n{BOLD}It goes on running.{BOLD:#} In another terminal, from this folder:\n");
    let mut add = |command: String, about: &str| {
        text.push_str(&format!("\n  {DIM}# {about}{DIM:#}\n  {command}\n"));
    };
    add(format!("{emote} events -f{server}"), "everything, live");
    add(format!("{emote} trace {number}{server}"), "what the user's leaving set off");
    add(format!("{emote} nodes{server}"), "the Macs");
    add(format!("{emote} node {serial}{server}"), "this one: agent and MDM side by side");
    add(
        format!("{emote_agent} emit backup done --info files=1200 --communicate --log --state-dir {state}"),
        "say something as this Mac; any script on it may",
    );
    add(
        format!(
            "curl -H \"Authorization: Bearer $(cat {token})\" -H 'Content-Type: application/json' \\\n    \
             -d '{{\"serial\": \"{serial}\", \"room\": \"4.17\"}}' {webhooks}/in/assets"
        ),
        "change the asset record",
    );
    add(format!("nats{server} sub 'events.>'"), "the same with NATS' own program, if you have it");
    add(
        format!("ls {config}/rules {config}/targets {config}/sources"),
        "what is configured; README.md there says more",
    );
    text.push_str(&format!("\n{DIM}What the stand-ins are told shows below. Ctrl-C stops all of it.{DIM:#}"));
    text
}

/// A path as a shell takes it.
fn shell(path: PathBuf) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,@%".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// Shows what the stand-ins are told, until a program ends, which is an error.
pub(super) async fn show_what_comes(stage: &Stage, broker: &mut Broker, agent: &mut Agent) -> anyhow::Error {
    let command = |requests: &[Request]| -> Vec<String> {
        let line = |command: &Command| format!("MDM    {} for {}", command.request_type, command.udid);
        commands(requests).iter().map(line).collect()
    };
    let message = |requests: &[Request]| -> Vec<String> {
        messages(requests).iter().map(|message| format!("Slack  {}", message.text)).collect()
    };
    tokio::select! {
        never = show(&stage.mdm, command) => match never {},
        never = show(&stage.slack, message) => match never {},
        error = broker.ended() => error,
        error = agent.ended() => error,
    }
}

async fn show(stand_in: &StandIn, lines: impl Fn(&[Request]) -> Vec<String>) -> Infallible {
    let mut shown = stand_in.requests().len();
    loop {
        let requests = stand_in.more_than(shown).await;
        for line in lines(&requests[shown..]) {
            let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            tell::show(&format!("  {line}"));
        }
        shown = requests.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_for_a_shell() {
        for (path, quoted) in [("/a/b-1.c", "/a/b-1.c"), ("/a b", "'/a b'"), ("it's", r"'it'\''s'")] {
            assert_eq!(shell(PathBuf::from(path)), quoted);
        }
    }
}
