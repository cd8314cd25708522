//! `emote-chaos`: breaks a whole Emote in every way it knows, by a plan that a seed gives, and then proves from the
//! streams and from what the target saw that nothing was lost and nothing doubled.
//!
//! `run` is the order of things: `stage` starts {`nats`, `programs`, `target`}, {`send`, `garbage`} speak, `strike` breaks
//! by the `plan`, `gather` reads what is there, `check` judges it and knows none of the others.

#![forbid(unsafe_code)]

mod args;
mod check;
mod child;
mod fault;
mod garbage;
mod gather;
mod ledger;
mod nats;
mod place;
mod plan;
mod programs;
mod progress;
mod report;
mod rules;
mod run;
mod send;
mod stage;
mod story;
mod strike;
mod target;

use std::process::ExitCode;

use clap::Parser;

/// The exit code after Ctrl-C, as shells have it.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    if let Some(code) = child::become_program() {
        return code;
    }
    let options = args::Options::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&anyhow::Error::new(error).context("starting tokio")),
    };
    let ended = runtime.block_on(async {
        tokio::select! {
            ended = run::run(options) => Some(ended),
            () = interrupted() => None,
        }
    });
    runtime.shutdown_background();
    match ended {
        Some(Ok(true)) => ExitCode::SUCCESS,
        Some(Ok(false)) => ExitCode::FAILURE,
        Some(Err(error)) => failed(&error),
        None => {
            eprintln!("\ninterrupted; everything that was started is ended");
            ExitCode::from(INTERRUPTED)
        }
    }
}

/// Ctrl-C, or SIGTERM.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}
