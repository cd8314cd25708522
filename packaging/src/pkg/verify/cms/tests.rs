use super::to_der;

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
