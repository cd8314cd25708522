//! What is told of a folder itself, and of files that could not be taken.

use bytes::Bytes;
use emote_proto::{EventError, EventId, Name, Subject, Time};
use serde_json::json;

use super::reading::Bad;
use crate::{config::text::clip, hostname, ingest::own};

/// The most characters of a reason.
const MAX_REASON: usize = 500;

/// A file that lies in `failed/` now: `file`, written then, of which so many events are stored all the same.
pub(super) fn file_failed(
    source: &Name,
    (file, written): (&str, i128),
    bad: &Bad,
    stored: u64,
    now: Time,
) -> Result<(Subject, EventId, Bytes), EventError> {
    let problems: Vec<String> = bad.said.iter().map(|problem| clip(problem, MAX_REASON)).collect();
    let info = json!({
        "file": file, "problems": problems, "refused": bad.count, "events": stored, "host": hostname::own(),
    });
    let id = EventId::derived(&["source", source.as_str(), "file_failed", file, &written.to_string()]);
    own::event(source, "file_failed", id, info, now)
}

/// What is written beside such a file.
pub(super) fn explained(bad: &Bad, stored: u64) -> String {
    let mut text: String = bad.said.iter().map(|problem| format!("{}\n", clip(problem, MAX_REASON))).collect();
    let more = bad.count - bad.said.len() as u64;
    if more > 0 {
        text.push_str(&format!("and {more} more\n"));
    }
    if stored > 0 {
        text.push_str(
            "\nThe rest of it is taken. Mend these lines and put the file back under its name: what was taken is not told again.\n",
        );
    }
    text
}

/// The folder cannot be read or written to. Told once a day where it stays so.
pub(super) fn folder_failed(source: &Name, reason: &str, now: Time) -> Result<(Subject, EventId, Bytes), EventError> {
    let (host, day) = (hostname::own(), now.to_string().chars().take(10).collect::<String>());
    let id = EventId::derived(&["source", source.as_str(), "folder_failed", &host, reason, &day]);
    own::event(source, "folder_failed", id, json!({"reason": clip(reason, MAX_REASON), "host": host}), now)
}
