//! The broker, as `emote serve` runs it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{Process, programs::built, until_listening};

/// `emote serve`.
pub struct Broker {
    pub(crate) config: PathBuf,
    pub(crate) logs: PathBuf,
    /// Where it takes webhooks.
    pub port: u16,
    /// Where it tells of its health.
    pub ops: u16,
    /// Where its console is.
    pub console: u16,
    pub(crate) env: Vec<(&'static str, String)>,
    pub(crate) process: Option<Process>,
}

impl Broker {
    pub(crate) fn ports(&self) -> (u16, u16, u16) {
        (self.port, self.ops, self.console)
    }

    /// Of a folder whose listeners are at these ports: webhooks, health, console. Not started.
    pub fn of(config: &Path, logs: &Path, (port, ops, console): (u16, u16, u16)) -> Self {
        Self { config: config.to_owned(), logs: logs.to_owned(), port, ops, console, env: Vec::new(), process: None }
    }

    /// Its configuration folder.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Adds lines to its `emote.yaml`, for its next start.
    pub fn add_settings(&self, lines: &str) {
        let file = self.config.join("emote.yaml");
        let before = std::fs::read_to_string(&file).unwrap();
        std::fs::write(file, format!("{before}{lines}")).unwrap();
    }

    /// Starts it and waits until it takes webhooks.
    pub async fn start(&mut self) {
        self.begin();
        until_listening("the broker", self.port).await;
    }

    /// Starts it.
    pub fn begin(&mut self) {
        let mut command = Command::new(built().join("emote"));
        command.args(["serve", "--config"]).arg(&self.config);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        self.process = Some(Process::start(&self.name(), command, &self.logs));
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Ends it with SIGTERM; its exit code.
    pub async fn stop(&mut self) -> Option<i32> {
        self.process.take().unwrap().stop().await.code()
    }

    /// Stops it where it is, as a machine that is put to sleep does, or has it go on.
    pub fn freeze(&self, frozen: bool) {
        self.process.as_ref().unwrap().freeze(frozen);
    }

    /// Waits until it ends by itself; its exit code.
    pub async fn wait(&mut self) -> Option<i32> {
        self.process.take().unwrap().wait().await.code()
    }

    /// Its process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.ended().is_none())
    }

    /// When it last said that it leads, as its log has it.
    pub fn last_led(&self) -> Option<String> {
        let log = self.log();
        let line = log.lines().rfind(|line| line.contains("leading: this broker folds"))?;
        line.split_whitespace().next().map(str::to_owned)
    }

    /// How many lines of its log, over all its starts, have this text.
    pub fn logged(&self, text: &str) -> usize {
        self.log().lines().filter(|line| line.contains(text)).count()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.logs.join(format!("{}.log", self.name()))).unwrap_or_default()
    }

    pub(crate) fn name(&self) -> String {
        if self.config.ends_with("config") {
            return "broker".to_owned();
        }
        self.config.file_name().unwrap().to_string_lossy().into_owned()
    }

    /// The store of its core.
    pub fn store(&self) -> PathBuf {
        self.config.join("data/store.redb")
    }
}
