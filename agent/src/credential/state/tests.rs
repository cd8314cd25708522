//! Each step of a credential's life, and when the next JWT is asked for.

use super::*;
use nkeys::KeyPair;
use proptest::prelude::*;

const DAY: i64 = 86_400;
const NOW: i64 = 1_795_000_000;

fn machine() -> Machine {
    Machine { serial: Serial::new("C02").unwrap(), hardware_uuid: Some("H1".into()) }
}

fn key() -> UserKey {
    UserKey::new(KeyPair::new_user().public_key()).unwrap()
}

fn checked(key: &UserKey, text: &str) -> Checked {
    let (account, text) = ("A".to_owned(), text.to_owned());
    Checked { key: key.clone(), text, account, issued: NOW, expires: Some(NOW + 30 * DAY) }
}

/// With a current JWT that came at `received` seconds.
fn enrolled(received: i64) -> (State, UserKey) {
    let key = key();
    let asked = State::new(machine()).with_next_key(key.clone());
    (asked.with_jwt(checked(&key, "one"), Came::ByToken, received * 1_000).unwrap().promoted(), key)
}

fn used(state: &State) -> Option<(Which, String)> {
    state.usable(false).map(|(which, _, jwt)| (which, jwt.text.clone()))
}

#[test]
fn a_machine_asks_and_is_enrolled_when_a_server_has_taken_what_it_was_given() {
    let (none, key) = (State::new(machine()), key());
    assert_eq!((used(&none), none.key_to_enrol()), (None, None));
    let asked = none.with_next_key(key.clone());
    assert_eq!((used(&asked), asked.key_to_enrol()), (None, Some(&key)));
    let given = asked.with_jwt(checked(&key, "one"), Came::ByToken, 0).unwrap();
    assert_eq!(used(&given), Some((Which::Next, "one".into())));
    let taken = given.promoted();
    assert_eq!((used(&taken), taken.untold), (Some((Which::Current, "one".into())), Some(Change::Enrolled)));
    assert_eq!((taken.account(), taken.expires()), (Some("A"), Time::from_millis((NOW + 30 * DAY) * 1_000)));
}

#[test]
fn what_works_is_there_until_what_is_new_has_worked() {
    let (state, key) = enrolled(NOW);
    let renewed = state.with_jwt(checked(&key, "two"), Came::ByConnection, 0).unwrap();
    assert_eq!(used(&renewed), Some((Which::Next, "two".into())));
    assert_eq!(renewed.usable(true).map(|(which, _, jwt)| (which, jwt.text.as_str())), Some((Which::Current, "one")));
    assert_eq!(renewed.with_next_refused(), state, "no server takes it: as before");
    let promoted = renewed.promoted();
    assert_eq!((used(&promoted), promoted.untold), (Some((Which::Current, "two".into())), Some(Change::Renewed)));
    assert_eq!(state.with_jwt(checked(&key, "one"), Came::ByConnection, 9).unwrap(), state, "the same again is none");
}

#[test]
fn whoever_had_one_and_comes_back_with_a_token_is_enrolled_again_with_whatever_key() {
    let (state, old) = enrolled(NOW);
    let new = key();
    for (state, key) in [(&state, &old), (&state.with_next_key(new.clone()), &new)] {
        let given = state.with_jwt(checked(key, "two"), Came::ByToken, 0).unwrap();
        assert_eq!(given.promoted().untold, Some(Change::Reenrolled));
    }
}

#[test]
fn another_key_takes_over_when_a_server_has_taken_it() {
    let (state, old) = enrolled(NOW);
    let new = key();
    let changing = state.with_next_key(new.clone());
    assert!(changing.is_changing_keys() && changing.key_to_enrol() == Some(&new));
    assert_eq!(used(&changing), Some((Which::Current, "one".into())));
    assert_eq!(
        changing.with_jwt(checked(&old, "late"), Came::ByConnection, 0),
        Err(CheckError::Key),
        "it was not asked for"
    );
    assert_eq!(changing.with_jwt(checked(&key(), "x"), Came::ByConnection, 0), Err(CheckError::Key));
    let given = changing.with_jwt(checked(&new, "two"), Came::ByConnection, 0).unwrap();
    assert_eq!(given.keys().collect::<Vec<_>>(), [&old, &new]);
    assert_eq!(given.with_next_refused(), changing, "it is asked for again, for the same key");
    let taken = given.promoted();
    assert_eq!((taken.keys().collect::<Vec<_>>(), taken.untold), (vec![&new], Some(Change::Rotated)));
}

#[test]
fn the_next_jwt_is_asked_for_at_two_thirds_each_hour_and_by_the_earlier_clock() {
    let serial = machine().serial;
    let offset = spread(&serial) * (30 * DAY / 12);
    let due = |received: i64, asked: Option<i64>| enrolled(received).0.ask_at(asked.map(|at| at * 1_000), 1).unwrap();
    let at = (NOW + 20 * DAY) * 1_000 + offset;
    assert_eq!(due(NOW, None), at);
    // This machine's clock was a year ahead; a year behind: it is asked at once, and once an hour at most.
    assert_eq!(due(NOW + 365 * DAY, None), at);
    assert_eq!(due(NOW - 365 * DAY, None), at - 365 * DAY * 1_000);
    assert_eq!(due(NOW - 365 * DAY, Some(NOW)), (NOW + 3_600) * 1_000);
    assert_eq!(due(NOW, Some(NOW)), at, "asked before it was time");
    let (state, key) = enrolled(NOW);
    let given = state.with_jwt(checked(&key, "two"), Came::ByConnection, 0).unwrap();
    assert_eq!(given.ask_at(None, 0), None, "it came, and was not taken up yet");
    assert_eq!(State::new(machine()).ask_at(None, 0), None);
    let for_ever = Checked { expires: None, ..checked(&key, "three") };
    assert_eq!(state.with_jwt(for_ever, Came::ByConnection, 0).unwrap().promoted().ask_at(None, 0), None);
}

#[test]
fn for_another_key_it_is_asked_at_once_and_then_ever_more_slowly() {
    let changing = enrolled(NOW).0.with_next_key(key());
    assert_eq!(changing.ask_at(None, 0), Some(i64::MIN));
    for (asks, seconds) in [(1, 30), (2, 60), (3, 120), (8, 3_600), (u32::MAX, 3_600)] {
        assert_eq!(changing.ask_at(Some(0), asks), Some(seconds * 1_000), "{asks}");
    }
}

#[test]
fn a_copy_on_another_machine_is_noticed_and_what_is_not_known_makes_no_difference() {
    let state = State::new(machine());
    for (serial, uuid, another) in [
        ("C02", Some("H1"), false),
        ("C02", None, false),
        ("C02", Some("H2"), true),
        ("C03", Some("H1"), true),
        ("C03", None, true),
    ] {
        let machine = Machine { serial: Serial::new(serial).unwrap(), hardware_uuid: uuid.map(str::to_owned) };
        assert_eq!(state.is_of_another(&machine), another, "{serial} {uuid:?}");
    }
}

#[test]
fn what_is_over_by_this_clock_is_known() {
    let (state, _) = enrolled(NOW);
    assert!(!state.is_over(NOW * 1_000) && state.is_over((NOW + 30 * DAY) * 1_000));
    assert!(State::new(machine()).is_over(0), "nothing is over");
}

proptest! {
    #[test]
    fn machines_do_not_all_ask_at_the_same_moment_and_all_within_a_twelfth(serial in "[A-Z0-9]{1,12}") {
        let (state, _) = enrolled(NOW);
        let machine = Machine { serial: Serial::new(serial).unwrap(), hardware_uuid: None };
        let at = State { machine, ..state }.ask_at(None, 0).unwrap() - NOW * 1_000;
        prop_assert!((20 * DAY * 1_000..45 * DAY * 500).contains(&at));
    }

    #[test]
    fn foreign_bytes_are_no_state(text: String) {
        prop_assert!(serde_json::from_str::<State>(&text).is_err());
    }
}
