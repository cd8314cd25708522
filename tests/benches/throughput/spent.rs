//! What a measurement takes: time, and of the processors.

use std::{
    ops::Sub,
    time::{Duration, Instant},
};

/// A moment, and what this process and the server have used of the processors by then.
#[derive(Clone, Copy)]
pub(crate) struct Moment {
    at: Instant,
    own: Option<Duration>,
    server: Option<Duration>,
    idle: Option<Duration>,
}

/// Between two moments.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spent {
    pub(crate) time: Duration,
    /// Of this process; nothing where the system has no `/proc`.
    pub(crate) own: Option<Duration>,
    pub(crate) server: Option<Duration>,
    /// Of all processors together, in which none had anything to do.
    pub(crate) idle: Option<Duration>,
}

impl Moment {
    /// Now; the server's process has this id.
    pub(crate) fn now(server: u32) -> Self {
        Self { at: Instant::now(), own: used("self"), server: used(&server.to_string()), idle: idle() }
    }
}

impl Sub for Moment {
    type Output = Spent;

    fn sub(self, began: Self) -> Spent {
        let between = |end: Option<Duration>, begin: Option<Duration>| Some(end?.saturating_sub(begin?));
        Spent {
            time: self.at - began.at,
            own: between(self.own, began.own),
            server: between(self.server, began.server),
            idle: between(self.idle, began.idle),
        }
    }
}

/// User and system time, fields 14 and 15 of proc_pid_stat(5), in hundredths of a second.
fn used(process: &str) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}

/// Idle time and time in wait for disks, fields 4 and 5 of the first line of proc_stat(5), in hundredths of a second.
fn idle() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let fields: Vec<&str> = stat.lines().next()?.split_whitespace().collect();
    let ticks: u64 = fields.get(4)?.parse::<u64>().ok()? + fields.get(5)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}
