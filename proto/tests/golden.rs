//! The wire files: what earlier versions wrote is read, and what is written stays as it was, byte for byte.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::path::{Path, PathBuf};

use emote_proto::{Draft, Event, Receipt, Subject, Trust};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(golden(name)).unwrap().trim_end().to_owned()
}

#[test]
fn drafts_become_the_events_on_file() {
    for (case, subject, trust) in [
        ("minimal", "events.manual.C02XL0GTJGH5.device.enroll", Trust::Unverified),
        ("full", "events.nanomdm.C02XL0GTJGH5.device.enroll", Trust::Verified),
        ("result", "events.broker.C02XL0GTJGH5.communicate.slack_post", Trust::Verified),
    ] {
        let subject: Subject = subject.parse().unwrap();
        let received = "2026-01-02T03:04:05.678Z".parse().unwrap();
        let receipt = Receipt { subject: &subject, message_id: None, sequence: 7, received };
        let event =
            Draft::parse(read(&format!("{case}.draft.json")).as_bytes()).unwrap().receive(&receipt, trust).unwrap();
        let written = String::from_utf8(event.to_json()).unwrap();
        assert_eq!(written, read(&format!("{case}.event.json")), "{case}");
        assert_eq!(Event::parse(written.as_bytes()).unwrap(), event, "{case}");
        assert_eq!(event.subject().unwrap(), subject, "{case}");
    }
}

#[test]
fn every_wire_file_is_read() {
    let mut read_files = 0;
    for entry in std::fs::read_dir(golden("")).unwrap() {
        let json = std::fs::read(entry.unwrap().path()).unwrap();
        Draft::parse(&json).unwrap();
        read_files += 1;
    }
    assert!(read_files >= 6);
}
