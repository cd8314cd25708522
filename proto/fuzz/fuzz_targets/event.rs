//! A message of EVENTS: the first line is the subject, the rest the body. Nothing panics; what is accepted is what a JSON
//! value of it says, and is written and read back as it was.
#![no_main]

use emote_proto::{Draft, Event, Receipt, Subject, Time, Trust};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (subject, body) = match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &[][..]),
    };
    let subject = std::str::from_utf8(subject).ok().and_then(|text| {
        let subject: Subject = text.parse().ok()?;
        assert_eq!(subject.to_string(), text);
        Some(subject)
    });
    let draft = Draft::parse(body);
    if let Ok(draft) = &draft {
        let value = serde_json::from_slice(body).expect("what is accepted is JSON");
        assert_eq!(Draft::from_value(value).expect("either way it is read"), *draft);
    }
    let (Some(subject), Ok(draft)) = (subject, draft) else { return };
    let received = Time::from_millis(1_767_225_600_000).expect("a time");
    let receipt = Receipt { subject: &subject, message_id: None, sequence: 1, received };
    if let Ok(event) = draft.receive(&receipt, Trust::Unverified) {
        assert_eq!(Event::parse(&event.to_json()).expect("what was written is read"), event);
    }
});
