//! What the system counts of one process, from proc(5).

use std::{collections::BTreeMap, path::PathBuf, time::Instant};

use anyhow::Context;

/// A second, as Linux tells times to programs on every machine of today (USER_HZ).
const TICKS: f64 = 100.0;

/// A process that is watched.
pub(crate) struct Watched {
    folder: PathBuf,
    /// The switches of each thread as last seen, voluntary and not; those of threads that have ended stay.
    switches: BTreeMap<(u32, u64), [u64; 2]>,
    begun: Option<(Instant, Counts)>,
}

/// What only grows.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    /// Of CPU time, user and system.
    ticks: u64,
    switches: [u64; 2],
    /// Caused to be written to the disk.
    written: u64,
}

/// What it cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) rss_kib: u64,
    pub(crate) pss_kib: u64,
    pub(crate) threads: u64,
    /// Percent of one core.
    pub(crate) cpu: f64,
    /// A second.
    pub(crate) wakeups: f64,
    /// Involuntary switches a second.
    pub(crate) preempted: f64,
    /// Bytes an hour.
    pub(crate) written: f64,
}

impl Watched {
    /// Of this id.
    pub(crate) fn new(pid: u32) -> Self {
        Self { folder: format!("/proc/{pid}").into(), switches: BTreeMap::new(), begun: None }
    }

    /// Counts from here.
    pub(crate) fn begin(&mut self) -> anyhow::Result<()> {
        self.look()?;
        self.begun = Some((Instant::now(), self.counts()?));
        Ok(())
    }

    /// Sees threads before they end: to be called about every second.
    pub(crate) fn look(&mut self) -> anyhow::Result<()> {
        for thread in std::fs::read_dir(self.folder.join("task")).context("it has ended")?.flatten() {
            // One that has ended meanwhile keeps what was last seen of it.
            let (Ok(status), Ok(stat)) = (
                std::fs::read_to_string(thread.path().join("status")),
                std::fs::read_to_string(thread.path().join("stat")),
            ) else {
                continue;
            };
            // Its number may be given again: together with its start it is one thread.
            let id = (thread.file_name().to_string_lossy().parse()?, stat_field(&stat, 22)?);
            let switches = ["voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"].map(|name| line(&status, name));
            self.switches.insert(id, switches.map(Option::unwrap_or_default));
        }
        Ok(())
    }

    /// Since [`Self::begin`].
    #[expect(clippy::cast_precision_loss, reason = "to be read by people")]
    pub(crate) fn end(&mut self) -> anyhow::Result<Cost> {
        self.look()?;
        let (begun, before) = self.begun.context("never begun")?;
        let (seconds, now) = (begun.elapsed().as_secs_f64(), self.counts()?);
        let per_second = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
        let memory = self.read("smaps_rollup")?;
        Ok(Cost {
            rss_kib: line(&memory, "Rss:").context("no Rss")?,
            pss_kib: line(&memory, "Pss:").context("no Pss")?,
            threads: line(&self.read("status")?, "Threads:").context("no Threads")?,
            cpu: per_second(now.ticks, before.ticks) / TICKS * 100.0,
            wakeups: per_second(now.switches[0], before.switches[0]),
            preempted: per_second(now.switches[1], before.switches[1]),
            written: per_second(now.written, before.written) * 3_600.0,
        })
    }

    fn counts(&self) -> anyhow::Result<Counts> {
        let stat = self.read("stat")?;
        let switches = self.switches.values().fold([0, 0], |sum, each| [sum[0] + each[0], sum[1] + each[1]]);
        let written = line(&self.read("io")?, "write_bytes:").context("no write_bytes")?;
        Ok(Counts { ticks: stat_field(&stat, 14)? + stat_field(&stat, 15)?, switches, written })
    }

    fn read(&self, name: &str) -> anyhow::Result<String> {
        let path = self.folder.join(name);
        std::fs::read_to_string(&path).with_context(|| path.display().to_string())
    }
}

/// The number behind the name that a line begins with.
fn line(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

/// Numbered from 1, as in proc(5). The second, a name in brackets, may hold spaces.
fn stat_field(stat: &str, number: usize) -> anyhow::Result<u64> {
    let rest = stat.rsplit(')').next().unwrap_or_default();
    let field = rest.split_whitespace().nth(number - 3).with_context(|| format!("no field {number} in {stat:?}"))?;
    Ok(field.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_behind_their_names_and_places() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194560 110 0 0 0 31 12 0 0 20 0 3 0 99 5 6";
        assert_eq!([14, 15, 22].map(|field| stat_field(stat, field).unwrap()), [31, 12, 99]);
        assert!(stat_field("7 (a) S", 14).is_err());
        assert_eq!(line("Rss:     12 kB\nPss: 5 kB", "Pss:"), Some(5));
        assert_eq!(line("Rss: 12 kB", "Pss:"), None);
    }

    #[test]
    fn this_process_is_seen() {
        let mut watched = Watched::new(std::process::id());
        watched.begin().unwrap();
        let cost = watched.end().unwrap();
        assert!(cost.rss_kib >= cost.pss_kib && cost.threads > 0, "{cost:?}");
    }
}
