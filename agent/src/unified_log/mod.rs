//! Lines of macOS's unified log as events: for each `[unified_log.NAME]` of the settings one `log stream` runs as long as
//! the agent, and is ended with it (after a `kill -9`, by its next line).
//!
//! This is the one place where a tool is given an argument that is not known when the agent is built. It comes from the
//! settings, which only an admin of this machine or its MDM can write, never from the network; it is the value of
//! `--predicate`, passed without a shell, and a predicate can look at log entries and do nothing else.
//!
//! Unverified on a Mac: that the child's output is not held back in a buffer while it is a pipe.

mod line;
mod rate;

use std::time::Duration;

use emote_proto::Draft;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::{Instant, sleep, sleep_until};

use crate::identity::Describe;
use crate::journal::{Entry, Journal};
use crate::platform::Tool;
use crate::settings::UnifiedLog;
use crate::spool::Class;
use crate::uplink::backoff;
use crate::vocabulary::Kind;
use line::{Lines, matched};
use rate::Rate;

/// A child that ran so long has not failed at the start.
const STEADY: Duration = Duration::from_secs(600);

/// Writes what `wanted` finds, until it is dropped. `tool` is given the predicate as its last argument.
pub(crate) async fn watch(wanted: UnifiedLog, tool: &'static Tool, journal: Journal) {
    let mut follower = Follower { rate: Rate::new(wanted.rate, Instant::now()), name: wanted.name, journal };
    let mut failures = 0;
    loop {
        let begun = Instant::now();
        let ended = match start(tool, &wanted.predicate) {
            Ok((child, output)) => follower.follow(child, output).await,
            Err(error) => error.to_string(),
        };
        failures = if begun.elapsed() > STEADY { 1 } else { failures + 1 };
        tracing::warn!(name = follower.name, ended, failures, "log stream");
        sleep(Duration::from_millis(backoff::delay_ms(failures, backoff::random()))).await;
    }
}

/// The child is ended when it is dropped.
fn start(tool: &'static Tool, predicate: &str) -> std::io::Result<(Child, ChildStdout)> {
    let mut child = Command::from(tool.command()).arg(predicate).kill_on_drop(true).spawn()?;
    let output = child.stdout.take().ok_or_else(|| std::io::Error::other("it has no output"))?;
    Ok((child, output))
}

struct Follower {
    name: String,
    rate: Rate,
    journal: Journal,
}

impl Follower {
    /// Until the child ends; says how.
    async fn follow(&mut self, mut child: Child, mut output: ChildStdout) -> String {
        let (mut lines, mut buffer) = (Lines::default(), vec![0; 16 << 10]);
        loop {
            let report = self.rate.report_at();
            tokio::select! {
                read = output.read(&mut buffer) => match read {
                    Ok(count @ 1..) => self.take(lines.push(buffer.get(..count).unwrap_or_default())).await,
                    Ok(0) => break,
                    Err(error) => return error.to_string(),
                },
                () = sleep_until(report.unwrap_or_else(Instant::now)), if report.is_some() => self.report().await,
            }
        }
        match child.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        }
    }

    async fn take(&mut self, lines: Vec<Vec<u8>>) {
        let now = Instant::now();
        let found: Vec<_> = lines.iter().filter_map(|line| matched(line, &self.name)).collect();
        let drafts: Vec<_> = found.into_iter().filter(|_| self.rate.take(now)).collect();
        if drafts.is_empty() {
            return;
        }
        let count = drafts.len();
        if !self.write(drafts).await {
            self.rate.suppress(count, now);
        }
    }

    async fn report(&mut self) {
        let now = Instant::now();
        let Some(count) = self.rate.report(now) else { return };
        let draft = Kind::UnifiedLogSuppressed.draft(json!({"name": self.name, "count": count}));
        if !self.write(vec![draft]).await {
            self.rate.suppress(count, now);
        }
    }

    /// Whether they are on the disk. When it is full they go before events of the machine's life, so they are of the class
    /// that does.
    async fn write(&self, drafts: Vec<Draft>) -> bool {
        let drafts = drafts.into_iter().map(|draft| (draft, Class::Heartbeat, Describe::Serial)).collect();
        let written = self.journal.write(Entry { drafts, ..Entry::default() }).await;
        written.inspect_err(|error| tracing::warn!(%error, name = self.name, "unified log")).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;
    use crate::spool::Spool;
    use emote_proto::Device;
    use emote_proto::Serial;
    use serde_json::Value;
    use std::sync::Arc;

    /// What is in the spool once `enough` says so, with `tool` in place of `log`.
    async fn events(tool: &'static Tool, rate: u32, enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let dir = tempfile::tempdir().unwrap();
        let now = jiff::Timestamp::now().into();
        let spool = Arc::new(Spool::open(dir.path(), 1 << 20, now, Box::new(|_| None)).unwrap().spool);
        let identity = Arc::new(Identity::new(Serial::new("C02").unwrap(), Device::default()));
        let (sender, mut written) = tokio::sync::watch::channel(0);
        let (journal, writer) = Journal::new(Arc::clone(&spool), identity, sender, Arc::default());
        let wanted = UnifiedLog { name: "sudo".into(), predicate: "process == \"sudo\"".into(), rate };
        let read = || -> Vec<Value> {
            let records = spool.read(&(1..=u64::MAX)).unwrap();
            records.iter().map(|(_, record)| serde_json::from_slice(&record.json).unwrap()).collect()
        };
        let found = async {
            while !enough(&read()) {
                written.changed().await.unwrap();
            }
            read()
        };
        tokio::select! {
            () = watch(wanted, tool, journal) => unreachable!(),
            () = writer.run() => unreachable!(),
            found = tokio::time::timeout(Duration::from_secs(60), found) => found.unwrap(),
        }
    }

    #[tokio::test]
    async fn lines_become_events_within_the_rate_and_the_child_ends_with_the_agent() {
        static STAND_IN: Tool = Tool::new(
            "/bin/sh",
            &[
                "-c",
                r#"echo "Filtering the log data using \"$0\""
                for n in 1 2 3; do
                    echo '{"timestamp":"2026-06-29 15:54:42.063082+0200","eventMessage":"'"${0%% *} $n"'","processID":'$$'}'
                done
                exec sleep 600"#,
            ],
        );
        let events = events(&STAND_IN, 2, |events| events.len() >= 2).await;
        assert_eq!(events.len(), 2, "the third is one too many: {events:?}");
        let pid = events[0]["info"]["pid"].as_u64().unwrap();
        assert_eq!(events[0]["info"], json!({"name": "sudo", "message": "process 1", "pid": pid}));
        assert_eq!(events[0]["time"], "2026-06-29T13:54:42.063Z");
        // It was ended, and is gone as soon as somebody has waited for it.
        let is_alive = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            !stat.is_empty() && !stat.contains(") Z")
        };
        let begun = Instant::now();
        while cfg!(target_os = "linux") && is_alive() {
            assert!(begun.elapsed() < Duration::from_secs(60), "{pid} goes on");
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_child_that_ends_is_started_again() {
        static ENDS: Tool =
            Tool::new("/bin/sh", &["-c", r#"echo '{"eventMessage":"'$$'"}'; echo '{"count":1,"finished":1}'"#]);
        let events = events(&ENDS, 60, |events| events.len() == 2).await;
        assert_ne!(events[0]["info"]["message"], events[1]["info"]["message"]);
    }
}
