//! What the core does in a second: stream → core → DELIVERIES, beside programs that do less, in the same run on the same
//! nats-server; then what many nodes cost, and how fast records are rebuilt.
//!
//! `cargo bench -p emote-tests --bench throughput [-- --events 200000 --rounds 3 --nodes 100000 --rebuild 200000]`
//!
//! Everything is on loopback and shares this machine with the server. `--rebuild 5000000` needs some 5 GB of disk.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a measurement that cannot go on must stop")]
#![allow(missing_docs, clippy::allow_attributes, reason = "a program")]

mod bare;
mod core;
mod fold;
mod log;
mod nodes;
mod spent;

use async_nats::jetstream::consumer::AckPolicy;
use clap::Parser;
use spent::Spent;

/// Rules that are matched against every event.
const RULES: u64 = 1_000;

/// The pattern of rule `n`; it is about events of this scope.
fn pattern(scope: &str, n: u64) -> String {
    format!(r#"{{"scope": ["{scope}"], "info": {{"kind": ["k{n}"]}}}}"#)
}

#[derive(Debug, Parser)]
struct Options {
    /// Events of each measurement of throughput
    #[arg(long, default_value_t = 200_000)]
    events: u64,
    /// Measurements of each; the middle one is shown
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Nodes in the store, for its memory and its start; 0 leaves that out
    #[arg(long, default_value_t = 100_000)]
    nodes: u64,
    /// Events that records are rebuilt from; 0 leaves that out
    #[arg(long, default_value_t = 200_000)]
    rebuild: u64,
    /// Only the measurements of throughput whose name begins with this; the fold alone is left out
    #[arg(long, default_value = "")]
    only: String,
    /// `cargo bench` says so
    #[arg(long, hide = true)]
    bench: bool,
    /// Be a broker with this folder, until it is ended
    #[arg(long, hide = true)]
    serve: Option<std::path::PathBuf>,
}

fn main() {
    rustls::crypto::ring::default_provider().install_default().expect("TLS");
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        match &options.serve {
            Some(folder) => nodes::serve(folder).await,
            None => measure(&options).await,
        }
    });
    runtime.shutdown_background();
}

async fn measure(options: &Options) {
    let found = emote::localnats::find().unwrap();
    println!(
        "nats-server {}, {RULES} rules, {} events, best and middle of {}\n",
        found.version, options.events, options.rounds
    );
    if options.only.is_empty() {
        fold::alone(options.events);
    }
    throughput(options).await;
    if options.nodes > 0 {
        nodes::many(options.nodes).await;
    }
    if options.rebuild > 0 {
        nodes::rebuild(options.rebuild).await;
    }
}

const FOLD: &str = "core: read, match, job, batch, records";
const BATCH: &str = "(a) read, batch: nothing else";
const NAIVE: &str = "(b) naive: read, match, publish, ack all";
const EACH: &str = "(b) naive: read, match, publish, ack each";
const QUIET: &str = "core: nothing matches";
const READ: &str = "(c) read with AckPolicy::All";

async fn throughput(options: &Options) {
    let log = log::Log::start().await;
    let size = log.fill(options.events, 1_000).await;
    println!("events of {size} bytes");
    let mut times: Vec<(&str, Vec<Spent>)> = Vec::new();
    let mut note = |what, time| match times.iter_mut().find(|(known, _)| *known == what) {
        Some((_, all)) => all.push(time),
        None => times.push((what, vec![time])),
    };
    let wanted = |name: &str| name.starts_with(&options.only);
    let mut job = 1_500;
    for _ in 0..options.rounds {
        if wanted(FOLD) {
            let (time, size) = core::fold(&log, core::MATCHING).await;
            job = size;
            note(FOLD, time);
        }
        if wanted(BATCH) {
            note(BATCH, bare::read_and_batch(&log, job).await);
        }
        if wanted(NAIVE) {
            note(NAIVE, bare::naive(&log, job, AckPolicy::All).await);
        }
        if wanted(EACH) {
            note(EACH, bare::naive(&log, job, AckPolicy::Explicit).await);
        }
        if wanted(QUIET) {
            note(QUIET, core::fold(&log, core::OTHERS).await.0);
        }
        if wanted(READ) {
            note(READ, bare::read(&log).await);
        }
    }
    let taken = if wanted(FOLD) { "" } else { ", as is taken for granted" };
    println!(
        "jobs of {job} bytes{taken}\n\n{:<42}{:>12}{:>12}{:>10}{:>10}{:>10}{:>12}{:>10}",
        "", "best K/s", "middle K/s", "of (a)", "of (c)", "own µs", "server µs", "idle µs"
    );
    #[expect(clippy::cast_precision_loss, reason = "to be read by people")]
    let events = options.events as f64;
    let rates: Vec<(&str, f64, f64, Spent)> = times
        .iter_mut()
        .map(|(what, all)| {
            all.sort();
            let (best, middle) = (all[0], all[options.rounds / 2]);
            let rate = |spent: Spent| events / spent.time.as_secs_f64() / 1_000.0;
            (*what, rate(best), rate(middle), middle)
        })
        .collect();
    let of = |name: &str| rates.iter().find(|(what, ..)| *what == name).map_or(f64::NAN, |rates| rates.2);
    let (batch, read) = (of(BATCH), of(READ));
    for (what, best, middle, spent) in &rates {
        let [own, server, idle] = [spent.own, spent.server, spent.idle].map(|used| match used {
            Some(used) => format!("{:.1}", used.as_secs_f64() * 1e6 / events),
            None => "-".to_owned(),
        });
        let (of_batch, of_read) = (middle / batch, middle / read);
        println!("{what:<42}{best:>12.1}{middle:>12.1}{of_batch:>10.2}{of_read:>10.2}{own:>10}{server:>12}{idle:>10}");
    }
    println!();
}
