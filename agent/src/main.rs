//! The `emote-agent` program: see `emote-agent --help`.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use emote_agent::cli::{self, Cli};

fn main() -> ExitCode {
    let cli = Cli::parse();
    cli.begin_log();
    match cli::start(cli) {
        Ok(()) => cli::Exit::Ok.into(),
        Err((exit, error)) => {
            cli::end(&error);
            exit.into()
        }
    }
}
