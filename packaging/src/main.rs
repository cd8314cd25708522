//! `emote-quickstart`: what `packaging/quickstart` runs once everything is built.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use emote_packaging::quickstart::{Cli, main_of};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: starting the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let exit = runtime.block_on(main_of(cli));
    // A blocked read of standard input must not keep the program from ending.
    runtime.shutdown_background();
    exit
}
