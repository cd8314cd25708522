//! `emote-weight`: what an idle agent costs, beside others that are installed on many machines.
//!
//! `run` is the order of things: `authority` makes keys and certificates, `server` is a real nats-server with TLS that knows
//! users by their JWT, `agent` starts the agent, `peers` are the others, `watched` reads what the system counts of each,
//! `report` shows it. It builds nothing, and everything it starts ends with it.

mod agent;
mod args;
mod authority;
mod peers;
mod report;
mod run;
mod server;
mod watched;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    rustls::crypto::ring::default_provider().install_default().ok();
    let options = args::Options::parse();
    let ended = match tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build() {
        Ok(runtime) => runtime.block_on(run::run(&options)),
        Err(error) => Err(error.into()),
    };
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}
