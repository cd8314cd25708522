use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

const MOST: usize = 4096;
const BOUNDS: Bounds = Bounds { messages: 3, bytes: 1000, within: Duration::from_secs(5) };

fn peer(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

fn compressions() -> impl Strategy<Value = Compression> {
    prop_oneof![Just(Compression::None), Just(Compression::Gzip), Just(Compression::Zlib)]
}

#[test]
fn a_message_is_read_however_it_is_packed() {
    let message =
        br#"{"version":"1.1","host":"example.org","short_message":"A short message","level":5,"_user_id":9001}"#;
    let expected: Value = serde_json::from_slice(message).unwrap();
    for compression in [Compression::None, Compression::Gzip, Compression::Zlib] {
        assert_eq!(decode(&pack(message, compression).unwrap(), MOST).as_ref(), Ok(&expected), "{compression:?}");
    }
    assert_eq!(decode(&[&message[..], b"\0"].concat(), MOST), Ok(expected));
}

#[test]
fn what_is_no_message_says_why() {
    for (bytes, said) in [
        (&b""[..], "EOF"),
        (b"[]", "object"),
        (b"{\"a\":", "EOF"),
        (b"\x1f\x8bx", "unpacked"),
        (b"\x78\x9cx", "unpacked"),
        (b"\xff\xff", "expected value"),
    ] {
        let error = decode(bytes, MOST).unwrap_err().to_string();
        assert!(error.contains(said), "{bytes:?}: {error}");
    }
    let deep = [vec![b'['; 2000], vec![b']'; 2000]].concat();
    assert!(decode(&deep, MOST).is_err());
}

#[test]
fn a_small_datagram_that_stands_for_much_is_refused() {
    for compression in [Compression::Gzip, Compression::Zlib] {
        let bomb = pack(&vec![b' '; 20_000_000], compression).unwrap();
        assert!(bomb.len() < 32_000);
        assert_eq!(decode(&bomb, MOST), Err(GelfError::TooLarge(MOST)), "{compression:?}");
    }
}

#[test]
fn a_field_is_named_as_gelf_allows() {
    let message = |fields: Value| Message {
        host: "C02XL0GTJGH5".to_owned(),
        short_message: "device.enroll".to_owned(),
        full_message: None,
        time: "2026-11-23T06:41:00.25Z".parse().unwrap(),
        level: 6,
        fields: fields.as_object().cloned().unwrap_or_else(Map::new),
    };
    let built = message(json!({"a.b-C_1": "x", "n": 1.5, "list": [1, true], "none": null, "flag": true}));
    insta::assert_snapshot!(built.to_value().unwrap(), @r#"{"_a.b-C_1":"x","_flag":"true","_list":"[1,true]","_n":1.5,"host":"C02XL0GTJGH5","level":6,"short_message":"device.enroll","timestamp":1795416060.25,"version":"1.1"}"#);
    assert_eq!(message(json!({"id": 1})).to_value(), Err(FieldError::Id));
    for name in ["", "a b", "ä", "a/b"] {
        assert_eq!(message(json!({name: 1})).to_value(), Err(FieldError::Name(name.to_owned())));
    }
}

#[test]
fn chunks_of_several_senders_are_put_together_in_any_order() {
    let (message, now) = (vec![b'x'; 100], Instant::now());
    let pieces = chunks(&message, *b"01234567", 40).unwrap();
    assert_eq!(pieces.len(), 4);
    assert_eq!(&pieces[3][..12], b"\x1e\x0f01234567\x03\x04");
    let mut assembly = Assembly::new(BOUNDS);
    for piece in pieces.iter().rev().take(3) {
        assert_eq!(assembly.add(piece.clone().into(), peer(1), now), (Added::Waiting, 0));
        assert_eq!(assembly.add(piece.clone().into(), peer(1), now), (Added::Waiting, 0), "the same again");
    }
    let first = Bytes::from(pieces[0].clone());
    assert_eq!(assembly.add(first.clone(), peer(2), now), (Added::Waiting, 0), "of somebody else");
    assert_eq!(assembly.add(first, peer(1), now), (Added::Whole(message.into()), 0));
    assert_eq!(assembly.add(Bytes::from_static(b"{}"), peer(1), now), (Added::Whole(Bytes::from_static(b"{}")), 0));
    assert_eq!(assembly.expire(now + Duration::from_secs(6)), 1, "the other one's");
    assert_eq!(assembly.expire(now + Duration::from_secs(60)), 0);
}

#[test]
fn chunks_without_end_are_given_up_from_the_oldest() {
    let (mut assembly, now) = (Assembly::new(BOUNDS), Instant::now());
    let first = |id: u8, size: usize| Bytes::from([&b"\x1e\x0f"[..], &[id; 8], &[0, 2], &vec![b'x'; size]].concat());
    let given_up: Vec<u64> = (0..5).map(|id| assembly.add(first(id, 10), peer(1), now).1).collect();
    assert_eq!(given_up, [0, 0, 0, 1, 1], "three messages at once");
    assert_eq!(assembly.add(first(9, 995), peer(1), now), (Added::Waiting, 3), "a thousand bytes at once");
    for datagram in
        [&b"\x1e\x0f"[..], b"\x1e\x0f01234567\x02\x02", b"\x1e\x0f01234567\x00\x81", b"\x1e\x0f01234567\x00\x00"]
    {
        assert_eq!(assembly.add(Bytes::from_static(datagram), peer(1), now).0, Added::Malformed, "{datagram:?}");
    }
    // How many there are is what the first one says.
    let other = Bytes::from_static(b"\x1e\x0f\x09\x09\x09\x09\x09\x09\x09\x09\x05\x06");
    assert_eq!(assembly.add(other, peer(1), now).0, Added::Malformed);
}

#[test]
fn a_message_of_too_many_chunks_is_not_sent() {
    assert_eq!(chunks(&[0; 128], [0; 8], 13).map(|chunks| chunks.len()), Some(128));
    assert_eq!(chunks(&[0; 129], [0; 8], 13), None);
    assert_eq!(chunks(&[0; 13], [0; 8], 12), None);
    assert_eq!(chunks(&[0; 13], [0; 8], 13).map(|chunks| chunks.len()), Some(1));
}

proptest! {
    #[test]
    fn what_is_packed_and_cut_is_found_again(
        text in any::<String>(), compression in compressions(), size in 20..200_usize, order in any::<prop::sample::Index>(),
    ) {
        let message = json!({"short_message": text}).to_string();
        let packed = pack(message.as_bytes(), compression).unwrap();
        let mut pieces = chunks(&packed, [7; 8], size).unwrap();
        let at = order.index(pieces.len());
        pieces.rotate_left(at);
        let mut assembly = Assembly::new(Bounds { bytes: 1 << 20, ..BOUNDS });
        let added: Vec<Added> = pieces.into_iter().map(|piece| assembly.add(piece.into(), peer(1), Instant::now()).0).collect();
        let (last, before) = added.split_last().unwrap();
        prop_assert!(before.iter().all(|added| *added == Added::Waiting));
        let Added::Whole(whole) = last else { panic!("{last:?}") };
        prop_assert_eq!(decode(whole, 1 << 20), Ok(json!({"short_message": text})));
    }

    #[test]
    fn no_datagrams_panic_or_hold_more_than_is_allowed(
        datagrams in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..60), any::<bool>()), 0..60),
    ) {
        let (mut assembly, now) = (Assembly::new(BOUNDS), Instant::now());
        for (mut datagram, is_chunk) in datagrams {
            if is_chunk {
                datagram.splice(0..0, *b"\x1e\x0f");
            }
            if let (Added::Whole(whole), _) = assembly.add(datagram.into(), peer(1), now) {
                let _ = decode(&whole, MOST);
            }
        }
    }
}
