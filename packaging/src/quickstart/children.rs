//! The broker and the agent, as processes.
//!
//! Each has a process group of its own, so that Ctrl-C reaches this program only, which then stops them in order.
//! `emote dev` ends by itself with the program that started it; the agent has a guard that sees to it.

use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use serde_json::Value;
use tokio::process::{Child, ChildStdin, Command};

use super::{
    GUARD_COMMAND, Options, guard,
    place::Stage,
    programs::{Program, Programs, output},
    tell::{tail, tell, wait_for},
};
use crate::scenario::http_client;

const READY_WITHIN: Duration = Duration::from_secs(30);
/// An answer that takes longer than this is asked for again.
const PROBE: Duration = Duration::from_secs(1);
const STOP_WITHIN: Duration = Duration::from_secs(20);
/// The agent's exit code for wrong settings: having no serial number is one.
const AGENT_SETTINGS: i32 = 2;
/// The agent's exit code for another one on the same folder.
const AGENT_RUNS_ALREADY: i32 = 4;
/// What this machine is called where it has no serial number of its own.
const SERIAL: &str = "C02EMOTE0001";
/// The longest path that a socket can have everywhere.
const LONGEST_SOCKET: usize = 103;

/// `emote dev`.
pub(super) struct Broker {
    child: Child,
    log: PathBuf,
    /// `nats://127.0.0.1:4222`
    pub(super) nats: String,
    /// `http://127.0.0.1:8480`
    pub(super) webhooks: String,
}

impl Broker {
    /// Starts it on free ports.
    pub(super) async fn start(programs: &Programs, stage: &Stage, options: &Options) -> anyhow::Result<Self> {
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let nats = free(options.nats_port.map(loopback), loopback(4222), "--nats-port")?.port();
        let listen = free(options.listen, loopback(8480), "--listen")?;
        let log = stage.logs.join("emote-dev.log");
        let mut command = programs.command(Program::Emote);
        command.arg("dev").arg(&stage.config);
        command.args(["--nats-port", &nats.to_string(), "--listen", &listen.to_string()]);
        let child = spawn(&mut command, &log)?;
        Ok(Self { child, log, nats: format!("nats://127.0.0.1:{nats}"), webhooks: format!("http://{listen}") })
    }

    /// Waits until it takes webhooks and answers questions.
    pub(super) async fn wait_until_ready(&mut self, programs: &Programs) -> anyhow::Result<()> {
        let client = http_client()?;
        let url = format!("{}/in/", self.webhooks);
        wait_for("emote dev", READY_WITHIN, async || {
            self.check()?;
            Ok(client.get(&url).timeout(PROBE).send().await.ok().map(drop))
        })
        .await?;
        wait_for("the broker's answers", READY_WITHIN, async || {
            self.check()?;
            Ok(programs.nodes(&self.nats).await.ok().map(drop))
        })
        .await?;
        tell(&format!("emote dev: NATS at {}, webhooks at {}/in/…", self.nats, self.webhooks));
        Ok(())
    }

    fn check(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait().context("emote dev")? {
            None => Ok(()),
            Some(status) => Err(ended("emote dev", status, &self.log)),
        }
    }

    /// Waits until it ends, which it does not by itself.
    pub(super) async fn ended(&mut self) -> anyhow::Error {
        match self.child.wait().await {
            Ok(status) => ended("emote dev", status, &self.log),
            Err(error) => anyhow!(error).context("waiting for emote dev"),
        }
    }

    /// Stops it and waits until it has.
    pub(super) async fn stop(mut self) {
        guard::stop(&mut self.child, STOP_WITHIN).await;
    }
}

/// `emote-agent run`, behind its guard.
pub(super) struct Agent {
    guard: Child,
    /// While this is open the guard keeps the agent going. (Waiting for a child closes the pipe it still holds.)
    pipe: Option<ChildStdin>,
    log: PathBuf,
    /// Its state folder.
    pub(super) state: PathBuf,
    /// The serial number that it speaks under; empty until it is known.
    pub(super) serial: String,
    start: (PathBuf, Vec<std::ffi::OsString>),
    own_serial: bool,
}

impl Agent {
    /// Starts it, under `serial` or the machine's own.
    pub(super) async fn start(
        programs: &Programs,
        stage: &Stage,
        nats: &str,
        serial: Option<&str>,
    ) -> anyhow::Result<Self> {
        let state = stage.agent.clone();
        let socket = state.join("agent.sock");
        anyhow::ensure!(
            socket.as_os_str().len() <= LONGEST_SOCKET,
            "{} is too long for the path of a socket: name a shorter folder with --dir",
            socket.display()
        );
        let mut arguments: Vec<std::ffi::OsString> =
            ["run", "--log-stderr", "--server", nats, "--state-dir"].map(Into::into).into();
        arguments.push(state.clone().into());
        arguments.extend(serial.into_iter().flat_map(|serial| ["--serial".into(), serial.into()]));
        let log = stage.logs.join("emote-agent.log");
        let (guard, pipe) = guarded(programs, &programs.path(Program::Agent), &arguments, &log)?;
        let start = (programs.path(Program::Agent), arguments);
        Ok(Self { guard, pipe, log, state, serial: String::new(), start, own_serial: serial.is_none() })
    }

    /// Waits until it runs and its first event of this run is in the stream. Gives its serial number.
    pub(super) async fn wait_until_ready(&mut self, programs: &Programs, nats: &str) -> anyhow::Result<String> {
        let began = tokio::time::Instant::now();
        let since = |began: tokio::time::Instant| began.elapsed() + Duration::from_secs(10);
        let status = wait_for("the agent", READY_WITHIN, async || {
            self.start_again_if_it_should(programs)?;
            let mut command = programs.command(Program::Agent);
            let status = output(command.args(["status", "-o", "json", "--state-dir"]).arg(&self.state), "status").await;
            Ok(status.ok().and_then(|status| serde_json::from_str::<Value>(&status).ok()))
        })
        .await?;
        let serial = status["serial"].as_str().context("emote-agent status names no serial number")?.to_owned();
        let started = status["started"].as_str().unwrap_or_default().to_owned();
        wait_for("the agent's first event", READY_WITHIN, async || {
            self.check()?;
            let events = programs.events(nats, since(began), &["--source", "agent", "--node", &serial]).await?;
            let first = events.iter().find(|event| {
                (event.scope.as_str(), event.action.as_str()) == ("agent", "started")
                    && event.time.to_string() >= started
            });
            Ok(first.map(drop))
        })
        .await?;
        tell(&format!("emote-agent: this machine is {serial}; its first event is in the stream"));
        self.serial.clone_from(&serial);
        Ok(serial)
    }

    /// Two ends are no failure: no serial number, and the agent of a run before that is about to end.
    fn start_again_if_it_should(&mut self, programs: &Programs) -> anyhow::Result<()> {
        let Some(status) = self.guard.try_wait().context("emote-agent")? else { return Ok(()) };
        match status.code() {
            Some(AGENT_SETTINGS) if self.own_serial && tail(&self.log).contains("no serial number") => {
                tell(&format!("This machine has no serial number; the agent speaks as {SERIAL}"));
                self.start.1.extend(["--serial".into(), SERIAL.into()]);
                self.own_serial = false;
            }
            Some(AGENT_RUNS_ALREADY) => {}
            _ => return Err(ended("emote-agent", status, &self.log)),
        }
        (self.guard, self.pipe) = guarded(programs, &self.start.0, &self.start.1, &self.log)?;
        Ok(())
    }

    fn check(&mut self) -> anyhow::Result<()> {
        match self.guard.try_wait().context("emote-agent")? {
            None => Ok(()),
            Some(status) => Err(ended("emote-agent", status, &self.log)),
        }
    }

    /// Waits until it ends, which it does not by itself.
    pub(super) async fn ended(&mut self) -> anyhow::Error {
        match self.guard.wait().await {
            Ok(status) => ended("emote-agent", status, &self.log),
            Err(error) => anyhow!(error).context("waiting for emote-agent"),
        }
    }

    /// Stops it and waits until it has.
    pub(super) async fn stop(mut self) {
        drop(self.pipe.take());
        if tokio::time::timeout(STOP_WITHIN, self.guard.wait()).await.is_err() {
            tell("the agent does not stop");
        }
    }
}

fn guarded(
    programs: &Programs,
    program: &Path,
    arguments: &[std::ffi::OsString],
    log: &Path,
) -> anyhow::Result<(Child, Option<ChildStdin>)> {
    let mut command = programs.command(Program::Quickstart);
    // Were the guard killed with this program, nobody would be left to stop the agent.
    command.kill_on_drop(false).stdin(Stdio::piped());
    let mut guard = spawn(command.arg(GUARD_COMMAND).arg(program).args(arguments), log)?;
    let pipe = guard.stdin.take();
    Ok((guard, pipe))
}

fn spawn(command: &mut Command, log: &Path) -> anyhow::Result<Child> {
    let file = File::create(log).with_context(|| format!("{}", log.display()))?;
    let both = file.try_clone().with_context(|| format!("{}", log.display()))?;
    command.process_group(0).stdout(file).stderr(both);
    command.spawn().with_context(|| format!("starting {}", command.as_std().get_program().to_string_lossy()))
}

fn ended(name: &str, status: ExitStatus, log: &Path) -> anyhow::Error {
    anyhow!("{name} ended ({status}); its last words:\n{}\n", tail(log))
}

/// The wanted address if it is free, else an error; without a wanted one the usual, or any port.
fn free(wanted: Option<SocketAddr>, usual: SocketAddr, option: &str) -> anyhow::Result<SocketAddr> {
    let bind = |address: SocketAddr| TcpListener::bind(address)?.local_addr();
    match wanted {
        Some(address) => bind(address)
            .or_else(|error| bail!("{address} cannot be had ({error}): choose another with {option}, or leave it out")),
        None => {
            bind(usual).or_else(|_| bind(SocketAddr::new(usual.ip(), 0))).context("finding a free port on this machine")
        }
    }
}
