//! `emote`: the broker and the admin's command line.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use emote::cli::{Cli, run};

fn main() -> ExitCode {
    let cli = Cli::read();
    // No thread of this program may be there when it bounds itself.
    if let Some(exit) = cli.becomes_another() {
        return exit.into();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: starting the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let exit = runtime.block_on(run(cli));
    // A blocked read of standard input must not keep the program from ending.
    runtime.shutdown_background();
    exit.into()
}
