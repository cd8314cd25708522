use proptest::prelude::*;

use super::{Signed, to_der};

fn check(ber: &[u8]) -> Option<Vec<u8>> {
    to_der(ber, super::MOST_DEPTH).filter(|(_, rest)| rest.is_empty()).map(|(der, _)| der)
}

#[test]
fn der_stays_as_it_is() {
    let long = [&[0x30, 0x81, 0x82, 0x04, 0x7e][..], &[7; 0x7e], &[0x05, 0x00]].concat();
    for der in [&[0x05, 0x00][..], &[0x30, 0x03, 0x02, 0x01, 0x05], &long] {
        assert_eq!(check(der).as_deref(), Some(der));
    }
}

#[test]
fn indefinite_lengths_and_strings_in_pieces_become_definite_and_whole() {
    let ber = [0x30, 0x80, 0x24, 0x80, 0x04, 0x01, 0xaa, 0x04, 0x02, 0xbb, 0xcc, 0, 0, 0x05, 0x00, 0, 0];
    assert_eq!(check(&ber), Some(vec![0x30, 0x07, 0x04, 0x03, 0xaa, 0xbb, 0xcc, 0x05, 0x00]));
}

#[test]
fn lengths_that_are_longer_than_need_be_and_what_is_cut_off_are_refused() {
    let deep = [0x30, 0x80].repeat(super::MOST_DEPTH + 1);
    let bad: [&[u8]; 8] = [
        &[],
        &[0x30],
        &[0x30, 0x81, 0x03, 0x02, 0x01, 0x05],
        &[0x30, 0x82, 0x00, 0x80],
        &[0x04, 0x05, 1],
        &[0x04, 0x80, 0, 0],
        &[0x30, 0x80, 0x05, 0x00],
        &deep,
    ];
    for bad in bad {
        assert_eq!(check(bad), None, "{bad:?}");
    }
}

/// Values in one another, as BER may write them.
fn ber() -> impl Strategy<Value = Vec<u8>> {
    let leaf =
        (0_u8..0x1f, prop::collection::vec(any::<u8>(), 0..200)).prop_map(|(tag, content)| of_length(tag, &content));
    leaf.prop_recursive(5, 40, 4, |inner| {
        (any::<bool>(), prop::collection::vec(inner, 0..4)).prop_map(|(definite, values)| {
            let content = values.concat();
            if definite { of_length(0x30, &content) } else { [&[0x30, 0x80][..], &content, &[0, 0]].concat() }
        })
    })
}

fn of_length(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    let head = match content.len() {
        0..0x80 => vec![tag, length[1]],
        0x80..0x100 => vec![tag, 0x81, length[1]],
        _ => vec![tag, 0x82, length[0], length[1]],
    };
    [&head, content].concat()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_brought_into_der_stays_as_it_is(ber in ber()) {
        // A value of tag 0 and no length ends one of no definite length.
        if let Some(der) = check(&ber) {
            prop_assert_eq!(check(&der), Some(der));
        }
    }

    #[test]
    fn no_bytes_are_a_signature_or_make_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Signed::of(&bytes, b"content").is_err());
    }
}
