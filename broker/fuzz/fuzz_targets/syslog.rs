//! What a connection brings: the first byte is how many are read at once. Nothing panics, no more is kept than a message, and
//! a message that is read is the same when it is written and read again.
#![no_main]

use bytes::BytesMut;
use emote::{
    framing::{Framer, Piece},
    syslog::{self, Form},
};
use libfuzzer_sys::fuzz_target;

const MOST: usize = 512;

fuzz_target!(|data: &[u8]| {
    let Some((at_once, data)) = data.split_first() else { return };
    let (mut framer, mut buffer) = (Framer::syslog(MOST), BytesMut::new());
    for chunk in data.chunks(usize::from(*at_once).max(1)) {
        buffer.extend_from_slice(chunk);
        loop {
            match framer.next(&mut buffer) {
                Ok(Some(Piece::Message(message))) => read(&message),
                Ok(Some(Piece::TooLong)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
        assert!(buffer.len() <= MOST + 11, "{} bytes are kept", buffer.len());
    }
    if let Some(Piece::Message(message)) = framer.last(&mut buffer) {
        read(&message);
    }
});

fn read(bytes: &[u8]) {
    let Ok(message) = syslog::parse(bytes) else { return };
    message.to_value();
    if message.form == Form::Rfc3164 || message.problem.is_some() {
        return;
    }
    let (written, cut) = message.write(usize::MAX).expect("there is room");
    assert_eq!(cut, None);
    // What a field cannot hold is replaced once, and then no more.
    let again = syslog::parse(written.as_bytes()).expect("what was written is read");
    assert_eq!(again.write(usize::MAX).expect("there is room").0, written);
    assert_eq!((again.priority, &again.text), (message.priority, &message.text));
}
