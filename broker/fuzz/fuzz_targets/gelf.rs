//! Datagrams, each behind a byte that is its length: chunks are put together, messages unpacked and read. Nothing panics,
//! and nothing larger than it may be is made.
#![no_main]

use std::time::{Duration, Instant};

use bytes::Bytes;
use emote::gelf::{self, Added, Assembly, Bounds};
use libfuzzer_sys::fuzz_target;

const MOST: usize = 4096;

fuzz_target!(|data: &[u8]| {
    let mut assembly = Assembly::new(Bounds { messages: 4, bytes: 2048, within: Duration::from_secs(5) });
    let (mut rest, mut now) = (data, Instant::now());
    while let Some((length, behind)) = rest.split_first() {
        let (datagram, behind) = behind.split_at(usize::from(*length).min(behind.len()));
        let peer = ([127, 0, 0, 1], u16::from(*length) % 2 + 1).into();
        if let (Added::Whole(whole), _) = assembly.add(Bytes::copy_from_slice(datagram), peer, now)
            && let Ok(message) = gelf::decode(&whole, MOST)
        {
            assert!(message.is_object());
        }
        now += Duration::from_millis(u64::from(*length) * 10);
        rest = behind;
    }
});
