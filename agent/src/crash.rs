//! What a panic leaves behind, and how the next start tells of it.
//!
//! A report is `crash-<milliseconds since 1970>.txt` in the state folder: lines `version:`, `thread:`, `where:` and, to the
//! end of the file, `message:`. There is no backtrace, as a stripped program has no names for one. A start tells of the newest
//! three, each in the transaction of its first event, and removes all of them once that is on the disk. On macOS the
//! system writes a report of its own, also where nothing panicked; of that only path and time are told. Being killed
//! leaves nothing: that is `previous: crashed` of `agent.started`.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::panic::PanicHookInfo;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use emote_proto::{Draft, EventId, Time};
use serde_json::{Value, json};

use crate::identity::Describe;
use crate::journal::Entry;
use crate::lifecycle::VERSION;
use crate::platform::{Host, System};
use crate::spool::Class;
use crate::vocabulary::Kind;
use emote_proto::Serial;

/// Under this name the spool keeps when the newest of the system's reports that were told was written: milliseconds since
/// 1970 as i64, little endian.
pub(crate) const SNAPSHOT: &str = "crash";

const SYSTEM_REPORTS: &str = "/Library/Logs/DiagnosticReports";
/// So many are told at a start, and so many kept at most while none can be.
const TOLD: usize = 3;
const KEPT: usize = 8;
/// Bytes of a report that are read, and characters of a message and of a word that are told.
const MOST_READ: usize = 16 << 10;
const MESSAGE: usize = 1_000;
const WORD: usize = 200;

static FOLDER: Mutex<Option<PathBuf>> = Mutex::new(None);

/// From now on a panic leaves a report in `folder`, and then does what it did before.
pub fn report_to(folder: &Path) {
    keep_in(folder);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // Whoever panics has worse to care for than a report that could not be written.
        if let Ok(Some(folder)) = FOLDER.try_lock().as_deref() {
            write(folder, panic).ok();
        }
        before(panic);
    }));
}

/// From now on reports are left in `folder`.
pub(crate) fn keep_in(folder: &Path) {
    *FOLDER.lock().unwrap_or_else(PoisonError::into_inner) = Some(folder.to_owned());
}

fn write(folder: &Path, panic: &PanicHookInfo<'_>) -> io::Result<()> {
    let names =
        std::fs::read_dir(folder)?.flatten().filter(|entry| millis(&entry.file_name().to_string_lossy()).is_some());
    if names.count() >= KEPT {
        return Ok(());
    }
    let now = jiff::Timestamp::now().as_millisecond();
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.join(name(now)))?;
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let message = panic.payload_as_str().unwrap_or("");
    write!(file, "version: {VERSION}\nthread: {thread}\nwhere: {place}\nmessage: {message}\n")
}

/// What a start finds.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// When, in milliseconds since 1970, and `info`.
    crashes: Vec<(i64, Value)>,
    reports: Vec<PathBuf>,
    snapshot: Option<Vec<u8>>,
}

impl Found {
    /// Looks; `told` is what the spool keeps as [`SNAPSHOT`]. What cannot be read is not told.
    pub(crate) fn look(host: &dyn Host, folder: &Path, told: Option<&[u8]>) -> Self {
        let mut at: Vec<i64> =
            host.list(folder).unwrap_or_default().iter().filter_map(|file| millis(&file.name)).collect();
        at.sort_unstable();
        let mut found = Self::default();
        for at in at.iter().rev().take(TOLD).rev() {
            let text = host.read_at(&folder.join(name(*at)), 0, MOST_READ).unwrap_or_default();
            found.crashes.push((*at, report(&String::from_utf8_lossy(&text))));
        }
        found.reports = at.into_iter().map(|at| folder.join(name(at))).collect();
        if host.system() == System::Mac {
            found.add_system_report(host, told);
        }
        found
    }

    /// The newest report of the system, if it is newer than the one told last. The first start of all tells none.
    fn add_system_report(&mut self, host: &dyn Host, told: Option<&[u8]>) {
        let Ok(files) = host.list(Path::new(SYSTEM_REPORTS)) else { return };
        let reports =
            files.into_iter().filter(|file| file.name.starts_with("emote-agent-") && file.name.ends_with(".ips"));
        let newest = reports.filter_map(|file| Some((file.modified?, file.name))).max();
        let last = told.and_then(|told| told.try_into().ok()).map(i64::from_le_bytes);
        let at = newest.as_ref().map_or(0, |(at, _)| *at).max(last.unwrap_or(0));
        if last != Some(at) {
            self.snapshot = Some(at.to_le_bytes().into());
        }
        let Some((at, file)) = newest.filter(|(at, _)| last.is_some_and(|last| *at > last)) else { return };
        let time = Time::from_millis(at).map(|time| time.to_string());
        let system_report = json!({"path": format!("{SYSTEM_REPORTS}/{file}"), "time": time});
        match self.crashes.last_mut() {
            Some((_, info)) => info["system_report"] = system_report,
            None => self.crashes.push((at, json!({"system_report": system_report}))),
        }
    }

    /// Lets `entry` tell.
    pub(crate) fn tell(&mut self, entry: &mut Entry, serial: &Serial) {
        let drafts = self.crashes.drain(..).map(|(at, info)| draft(at, info, serial));
        entry.drafts.extend(drafts.map(|draft| (draft, Class::Lifecycle, Describe::Whole)));
        entry.snapshots.extend(self.snapshot.take().map(|snapshot| (SNAPSHOT.to_owned(), snapshot)));
    }

    /// Removes the reports: they are told.
    pub(crate) fn forget(self) {
        for report in self.reports {
            if let Err(error) = std::fs::remove_file(&report) {
                tracing::warn!(%error, report = %report.display(), "not removed");
            }
        }
    }
}

/// One crash is one event, whatever becomes of its report.
fn draft(at: i64, mut info: Value, serial: &Serial) -> Draft {
    let time = Time::from_millis(at);
    info["when"] = time.map(|time| time.to_string()).into();
    let mut draft = Kind::AgentCrashed.draft(info);
    draft.time = time;
    draft.id = Some(EventId::derived(&["crash", serial.as_str(), &at.to_string()]));
    draft
}

fn name(at: i64) -> String {
    format!("crash-{at}.txt")
}

/// When the report of this name was written.
fn millis(name: &str) -> Option<i64> {
    let digits = name.strip_prefix("crash-")?.strip_suffix(".txt")?;
    digits.parse().ok().filter(|at: &i64| *at >= 0 && at.to_string() == digits)
}

/// What a report says, bounded; what is missing in it is left out.
fn report(text: &str) -> Value {
    let mut info = json!({});
    let mut rest = text;
    while let Some((key, value)) = rest.split_once(": ") {
        if key == "message" {
            info[key] = cut(value.trim_end(), MESSAGE).into();
            break;
        }
        let (value, next) = value.split_once('\n').unwrap_or((value, ""));
        if ["version", "thread", "where"].contains(&key) {
            info[key] = cut(value, WORD).into();
        }
        rest = next;
    }
    info
}

fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::recorded::Recorded;
    use proptest::prelude::*;

    fn look(host: &Recorded, told: Option<i64>) -> (Vec<Value>, Option<i64>, usize) {
        let told = told.map(i64::to_le_bytes);
        let mut found = Found::look(host, Path::new("/state"), told.as_ref().map(<[u8; 8]>::as_slice));
        let mut entry = Entry::default();
        found.tell(&mut entry, &Serial::new("C02").unwrap());
        let info = entry.drafts.into_iter().map(|(draft, ..)| draft.info.unwrap().into());
        let snapshot = entry.snapshots.pop().map(|(_, bytes)| i64::from_le_bytes(bytes.try_into().unwrap()));
        (info.collect(), snapshot, found.reports.len())
    }

    #[test]
    fn the_newest_three_reports_are_told_in_order_and_all_forgotten() {
        let report = "version: 0.1.0\nthread: main\nwhere: agent/src/run.rs:1:2\nmessage: two\nlines: of it\n";
        let host = (1..=5).fold(Recorded::linux(), |host, at| host.file(&format!("/state/crash-{at}000.txt"), report));
        let host = host.file("/state/crash-x.txt", "").file("/state/crash-01.txt", "").file("/state/spool.redb", "");
        let (told, snapshot, forgotten) = look(&host, None);
        let info = |when: &str| {
            json!({"version": "0.1.0", "thread": "main", "where": "agent/src/run.rs:1:2", "message": "two\nlines: of it",
                "when": when})
        };
        let times = ["1970-01-01T00:00:03.000Z", "1970-01-01T00:00:04.000Z", "1970-01-01T00:00:05.000Z"];
        assert_eq!((told, snapshot, forgotten), (times.map(info).to_vec(), None, 5));
        assert_eq!(look(&Recorded::linux(), None), (vec![], None, 0));
    }

    #[test]
    fn a_report_of_the_system_is_told_once() {
        let path = format!("{SYSTEM_REPORTS}/emote-agent-2026-11-23-064100.ips");
        let mac = Recorded { modified: 7_000, ..Recorded::mac().file(&path, "{}") };
        let mac = mac.file(&format!("{SYSTEM_REPORTS}/Finder-2026-11-23.ips"), "{}");
        let report = json!({"path": path, "time": "1970-01-01T00:00:07.000Z"});
        let alone = json!({"system_report": report, "when": "1970-01-01T00:00:07.000Z"});
        assert_eq!(look(&mac, None), (vec![], Some(7_000), 0), "what was there before the agent is not its news");
        assert_eq!(look(&mac, Some(6_999)), (vec![alone], Some(7_000), 0));
        assert_eq!(look(&mac, Some(7_000)), (vec![], None, 0));
        let (told, ..) = look(&mac.clone().file("/state/crash-6500.txt", "message: x"), Some(6_000));
        assert_eq!(
            told,
            [json!({"message": "x", "when": "1970-01-01T00:00:06.500Z", "system_report": report})],
            "both tell of the same crash"
        );
        assert_eq!(look(&Recorded::mac(), Some(9)), (vec![], None, 0), "no such folder, nothing told");
    }

    proptest! {
        #[test]
        fn a_report_is_bounded_whatever_it_says(text in "(version: |where: |message: |\n|.){0,300}", long in 0_usize..3_000) {
            let text = format!("{text}{}", "é".repeat(long));
            prop_assert!(report(&text).to_string().chars().count() < 10_000);
        }
    }
}
