//! `emote completions`

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Exit, print_line};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which shell
    shell: Shell,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "emote", &mut script);
    print_line(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Exit::Ok)
}
