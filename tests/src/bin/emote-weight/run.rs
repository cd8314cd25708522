//! The order of things.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context;
use emote_tests::Process;

use crate::{
    agent::{self, Agents},
    args::Options,
    peers,
    report::{self, Row},
    server::Server,
    watched::Watched,
};

/// A program that is being watched.
struct Subject {
    name: String,
    version: String,
    bytes: u64,
    first_event: Option<f64>,
    watched: Watched,
    /// Ends with it.
    _process: Process,
}

/// Whether the agent is within its goals.
pub(crate) async fn run(options: &Options) -> anyhow::Result<bool> {
    let folder = match &options.folder {
        Some(folder) => tempfile::tempdir_in(folder),
        None => tempfile::tempdir(),
    };
    let folder = folder.context("a folder")?;
    let auth = agent::auth(&options.agent).await;
    let server = Server::start(folder.path(), auth).await.context("nats-server")?;
    let agents = Agents { program: &options.agent, more: &options.more, server: &server, folder: folder.path() };
    let median = first_events(&agents, options.starts).await?;
    let (process, _) = agents.start("IDLE").await?;
    let version = emote_tests::run(&options.agent, &["--version"]).await;
    let version = String::from_utf8_lossy(&version.stdout).trim().trim_start_matches("emote-agent ").to_owned();
    let mut subjects = vec![subject("emote-agent".into(), version, &options.agent, process, Some(median))?];
    for name in options.peers.iter().filter(|name| *name != "none") {
        match peers::start(name, folder.path()) {
            Ok(peers::Running { name, version, program, process }) => {
                subjects.push(subject(name, version, &program, process, None)?);
            }
            Err(error) => eprintln!("left out: {name}: {error:#}"),
        }
    }
    let rows = watch(subjects, options).await?;
    let (seconds, version) = (options.seconds, &server.version);
    println!("idle for {seconds} s, nats-server {version}, TLS, {auth:?}\n\n{}", report::table(&rows));
    if let Some(path) = &options.json {
        let text = format!("{:#}\n", report::json(&rows, seconds, version));
        std::fs::write(path, text).with_context(|| path.display().to_string())?;
    }
    let misses = rows.first().map(Row::misses).unwrap_or_default();
    misses.iter().for_each(|missed| println!("above its goal: {missed}"));
    Ok(misses.is_empty())
}

/// The median of so many starts, each as if it were the first, in milliseconds.
async fn first_events(agents: &Agents<'_>, starts: u32) -> anyhow::Result<f64> {
    let mut times = Vec::new();
    for start in 0..starts {
        let (mut process, took) = agents.start(&format!("START{start}")).await?;
        process.stop().await;
        times.push(took.as_secs_f64() * 1_000.0);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

fn subject(
    name: String,
    version: String,
    program: &Path,
    process: Process,
    first_event: Option<f64>,
) -> anyhow::Result<Subject> {
    let bytes = std::fs::metadata(program).with_context(|| program.display().to_string())?.len();
    Ok(Subject { name, version, bytes, first_event, watched: Watched::new(process.pid()), _process: process })
}

/// Watches all of them; one that ends is left out, unless it is the agent.
async fn watch(mut subjects: Vec<Subject>, options: &Options) -> anyhow::Result<Vec<Row>> {
    tokio::time::sleep(Duration::from_secs(options.settle)).await;
    let mut lost = Vec::new();
    for subject in &mut subjects {
        if let Err(error) = subject.watched.begin() {
            lost.push((subject.name.clone(), error));
        }
    }
    let (begun, idle) = (Instant::now(), Duration::from_secs(options.seconds));
    while begun.elapsed() < idle {
        tokio::time::sleep(Duration::from_secs(1).min(idle.saturating_sub(begun.elapsed()))).await;
        // What has ended is told by the last look.
        subjects.iter_mut().for_each(|subject| drop(subject.watched.look()));
    }
    let mut rows = Vec::new();
    for Subject { name, version, bytes, first_event, mut watched, _process } in subjects {
        match watched.end() {
            Ok(cost) => rows.push(Row { name, version, bytes, cost, first_event }),
            Err(error) if rows.is_empty() => return Err(error.context(name)),
            Err(error) => lost.push((name, error)),
        }
    }
    lost.iter().for_each(|(name, error)| eprintln!("left out: {name}: {error:#}"));
    Ok(rows)
}
