//! Lines of `log stream --style ndjson`: a preamble (`Filtering the log data using …`), one JSON object a line, and at the
//! end `{"count":3,"finished":1}`. An object has `timestamp` ("2026-06-29 15:54:42.063082+0200"), `eventMessage`,
//! `messageType` (Default, Info, Debug, Error, Fault), `subsystem`, `category`, `processImagePath`, `processID` and more.

use emote_proto::{Draft, Time};
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::vocabulary::Kind;

/// Bytes of a line; a longer one is skipped.
const LONGEST: usize = 64 << 10;
/// Characters of the message and of any other text in an event.
const MESSAGE: usize = 2_000;
const WORD: usize = 200;

/// Puts lines together from what is read.
#[derive(Debug, Default)]
pub(super) struct Lines {
    begun: Vec<u8>,
    /// Up to the end of a line that is too long.
    skipping: bool,
}

impl Lines {
    /// The lines that `read` completes.
    pub(super) fn push(&mut self, read: &[u8]) -> Vec<Vec<u8>> {
        let mut complete = Vec::new();
        for part in read.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = part.strip_suffix(b"\n").map_or((part, false), |text| (text, true));
            self.skipping |= self.begun.len() + text.len() > LONGEST;
            if self.skipping {
                self.begun = Vec::new();
            } else {
                self.begun.extend_from_slice(text);
            }
            if ends {
                let line = std::mem::take(&mut self.begun);
                if !std::mem::take(&mut self.skipping) {
                    complete.push(line);
                }
            }
        }
        complete
    }
}

/// The event of a line; `None` for what is no entry of the log.
pub(super) fn matched(line: &[u8], name: &str) -> Option<Draft> {
    let Value::Object(entry) = serde_json::from_slice(line).ok()? else { return None };
    let text = |key: &str, most: usize| {
        let text: String = entry.get(key)?.as_str()?.chars().take(most).collect();
        Some(text).filter(|text| !text.is_empty())
    };
    let mut info = Map::new();
    info.insert("name".into(), name.into());
    info.insert("message".into(), text("eventMessage", MESSAGE)?.into());
    let process = entry.get("processImagePath").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
    let process = process.map(|process| process.chars().take(WORD).collect::<String>());
    for (key, value) in [
        ("subsystem", text("subsystem", WORD)),
        ("category", text("category", WORD)),
        ("process", process),
        ("level", text("messageType", WORD).map(|level| level.to_lowercase())),
    ] {
        info.extend(value.map(|value| (key.to_owned(), value.into())));
    }
    info.extend(entry.get("processID").and_then(Value::as_u64).map(|pid| ("pid".to_owned(), pid.into())));
    let mut draft = Kind::UnifiedLogMatched.draft(Value::Object(info));
    draft.time = entry.get("timestamp").and_then(Value::as_str).and_then(time);
    Some(draft)
}

fn time(text: &str) -> Option<Time> {
    Timestamp::strptime("%Y-%m-%d %H:%M:%S%.f%z", text).ok().map(Time::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const RECORDED: &str = r#"Filtering the log data using "process == "sudo""
{"traceID":1,"eventMessage":"ada : TTY=ttys001 ; PWD=/Users/ada ; USER=root ; COMMAND=/usr/bin/true","eventType":"logEvent","source":null,"formatString":"%{public}s","userID":0,"activityIdentifier":0,"subsystem":"com.apple.sudo","category":"auth","threadID":7001,"senderImageUUID":"0C3E5D4A","backtrace":{"frames":[]},"bootUUID":"","processImagePath":"\/usr\/bin\/sudo","senderImagePath":"\/usr\/bin\/sudo","timestamp":"2026-06-29 15:54:42.063082+0200","machTimestamp":1,"messageType":"Default","processImageUUID":"0C3E5D4A","processID":501,"senderProgramCounter":1,"parentActivityIdentifier":0,"timezoneName":""}
{"eventMessage":null,"eventType":"activityCreateEvent","processID":501}
{"count":1,"finished":1}
"#;

    fn drafts(text: &[u8], step: usize) -> Vec<Draft> {
        let mut lines = Lines::default();
        let complete = text.chunks(step.max(1)).flat_map(|read| lines.push(read)).collect::<Vec<_>>();
        complete.iter().filter_map(|line| matched(line, "sudo")).collect()
    }

    #[test]
    fn an_entry_is_an_event_of_its_own_time_and_the_rest_is_skipped() {
        for step in [1, 7, 100_000] {
            let found = drafts(RECORDED.as_bytes(), step);
            let [draft] = &found[..] else { panic!("{found:?}") };
            let info = json!({"name": "sudo", "message": "ada : TTY=ttys001 ; PWD=/Users/ada ; USER=root ; COMMAND=/usr/bin/true",
                "subsystem": "com.apple.sudo", "category": "auth", "process": "sudo", "pid": 501, "level": "default"});
            assert_eq!(draft.info, Some(info.into()));
            assert_eq!(draft.time.unwrap().to_string(), "2026-06-29T13:54:42.063Z");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped_and_the_next_is_not() {
        let long = format!("{{\"eventMessage\":\"{}\"}}\n{{\"eventMessage\":\"x\"}}\n", "a".repeat(LONGEST));
        for step in [1_000, 1 << 20] {
            let found = drafts(long.as_bytes(), step);
            assert_eq!(found.len(), 1);
            assert_eq!((&found[0].info, found[0].time), (&Some(json!({"name": "sudo", "message": "x"}).into()), None));
        }
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_bounded_and_upsets_nothing(text: Vec<u8>, message in ".{0,50}", step in 1_usize..40) {
            drafts(&text, step);
            let line = json!({"eventMessage": message.repeat(100), "messageType": message, "timestamp": message});
            let length = matched(line.to_string().as_bytes(), "n").map_or(0, |draft| draft.to_json().len());
            prop_assert!(length < 40_000, "{length}");
        }
    }
}
