//! `emote-agent completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, Failure};

/// Print what a shell needs to complete this program's words
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  emote-agent completions zsh > /usr/local/share/zsh/site-functions/_emote-agent")]
pub(super) struct CompletionsArgs {
    /// Which shell
    shell: Shell,
}

pub(super) fn run(arguments: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "emote-agent", &mut script);
    super::print(&String::from_utf8_lossy(&script))
}
