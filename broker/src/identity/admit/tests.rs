use emote_proto::EventId;
use nkeys::KeyPair;

use super::*;
use crate::identity::record::Ordered;

const DAY: i64 = 24 * 3600 * 1000;

fn at(ms: i64) -> Time {
    Time::from_millis(ms).unwrap()
}

fn fresh() -> UserKey {
    key()
}

fn token_of(uses: u32) -> TokenRecord {
    token(uses)
}

fn key() -> UserKey {
    UserKey::new(KeyPair::new_user().public_key()).unwrap()
}

fn serial(text: &str) -> Serial {
    Serial::new(text).unwrap()
}

fn token(uses: u32) -> TokenRecord {
    TokenRecord {
        id: TokenId::new("fleet2026").unwrap(),
        name: "fleet".to_owned(),
        key: key(),
        uses,
        used: 0,
        created: at(0),
        expires: at(90 * DAY),
        serial: None,
        policy: None,
        by: String::new(),
        revoked: None,
    }
}

fn ask(key: &UserKey) -> Ask {
    Ask { token: token(1).id, serial: serial("C02"), key: key.clone(), agent: "1.0".to_owned() }
}

fn terms(policy: Policy, vouch: Vouch, now: i64) -> Terms {
    Terms { policy, lifetime: 30 * DAY, vouch, now: at(now) }
}

fn open(now: i64) -> Terms {
    terms(Policy::Open, Vouch::Unknown, now)
}

/// A registry of one token and one device.
struct Book {
    token: TokenRecord,
    device: Option<DeviceRecord>,
}

impl Book {
    fn new(token: TokenRecord) -> Self {
        Self { token, device: None }
    }

    fn ask(&mut self, key: &UserKey, terms: Terms) -> Answer {
        let decision = decide(&ask(key), Some(&self.token), self.device.as_ref(), &terms);
        self.device = decision.device.or(self.device.take());
        self.token = decision.token.unwrap_or_else(|| self.token.clone());
        decision.answer
    }

    fn device(&mut self) -> &mut DeviceRecord {
        self.device.as_mut().unwrap()
    }

    fn say(&mut self, key: &UserKey, word: Word) {
        let asked = self.device().asked.iter_mut().find(|asked| asked.key == *key).unwrap();
        asked.word = Some(word);
    }
}

fn told(answer: &Answer) -> &'static str {
    match answer {
        Answer::Enrolled(_) => "enrolled",
        Answer::Waits(_, Waiting::Word) => "waits for a word",
        Answer::Waits(_, Waiting::Mdm) => "waits for the MDM",
        Answer::Waits(_, Waiting::OtherKey) => "waits: another key",
        Answer::Denied(_) => "denied",
    }
}

#[test]
fn a_token_that_does_not_hold_lets_nobody_in_and_leaves_no_trace() {
    let bound = |serial_number: &str| TokenRecord { serial: Some(serial(serial_number)), ..token(1) };
    for (token, denied) in [
        (None, Denied::UnknownToken),
        (Some(TokenRecord { revoked: Some(at(1)), ..token(1) }), Denied::RevokedToken),
        (Some(TokenRecord { expires: at(DAY), ..token(1) }), Denied::ExpiredToken),
        (Some(TokenRecord { used: 1, ..token(1) }), Denied::UsedUp),
        (Some(bound("C03")), Denied::OtherSerial),
    ] {
        let decision = decide(&ask(&key()), token.as_ref(), None, &open(DAY));
        assert_eq!(decision, Decision::denied(denied));
    }
    let decision = decide(&ask(&key()), Some(&bound("C02")), None, &open(DAY));
    assert_eq!(told(&decision.answer), "enrolled");
}

#[test]
fn the_stricter_of_the_two_policies_says_who_waits() {
    let enrolled = Vouch::Enrolled { since: at(0) };
    for (broker, of_token, vouch, expected) in [
        (Policy::Open, None, Vouch::Unknown, "enrolled"),
        (Policy::Open, Some(Policy::Mdm), Vouch::Unknown, "waits for the MDM"),
        (Policy::Open, Some(Policy::Approve), enrolled, "waits for a word"),
        (Policy::Mdm, None, Vouch::Unknown, "waits for the MDM"),
        (Policy::Mdm, None, Vouch::Unenrolled, "waits for the MDM"),
        (Policy::Mdm, None, enrolled, "enrolled"),
        (Policy::Mdm, Some(Policy::Open), Vouch::Unknown, "waits for the MDM"),
        (Policy::Approve, Some(Policy::Open), enrolled, "waits for a word"),
    ] {
        let mut book = Book::new(TokenRecord { policy: of_token, ..token(5) });
        let answer = book.ask(&key(), terms(broker, vouch, 1));
        assert_eq!(told(&answer), expected, "{broker} {of_token:?} {vouch:?}");
        assert_eq!(book.token.used, 1, "who waits has taken a place");
    }
}

#[test]
fn asking_again_gives_the_same_answer_and_counts_nothing() {
    let (mut book, key) = (Book::new(token(1)), key());
    let first = book.ask(&key, open(1));
    let before = (book.token.clone(), book.device.clone());
    assert_eq!(book.ask(&key, open(2)), first);
    assert_eq!((book.token.clone(), book.device.clone()), before);
    assert_eq!(told(&book.ask(&fresh(), open(2))), "denied", "the only use is taken");
}

#[test]
fn who_lost_a_credential_that_is_nearly_over_gets_a_new_one_for_the_same_key() {
    let (mut book, key) = (Book::new(token(1)), key());
    book.ask(&key, open(0));
    let Answer::Enrolled(again) = book.ask(&key, open(20 * DAY)) else { panic!() };
    assert_eq!((again.since, again.issued, again.expires, again.told), (at(0), at(20 * DAY), at(50 * DAY), false));
    assert_eq!(book.device().shut, []);
}

#[test]
fn the_mdm_that_comes_later_lets_in_who_waited() {
    let (mut book, key) = (Book::new(token(1)), key());
    assert_eq!(told(&book.ask(&key, terms(Policy::Mdm, Vouch::Unknown, 1))), "waits for the MDM");
    let enrolled = Vouch::Enrolled { since: at(0) };
    assert_eq!(told(&book.ask(&key, terms(Policy::Mdm, enrolled, 2))), "enrolled");
    assert_eq!(book.token.used, 1);
}

#[test]
fn another_key_of_an_enrolled_serial_number_waits_unless_somebody_vouches_for_it() {
    let enrolled = |ms| Vouch::Enrolled { since: at(ms) };
    let bound = |created| TokenRecord { serial: Some(serial("C02")), created: at(created), ..token(5) };
    for (token, policy, vouch, expected) in [
        (token(5), Policy::Open, Vouch::Unknown, "waits: another key"),
        (bound(5), Policy::Open, Vouch::Unknown, "waits: another key"),
        (bound(11), Policy::Open, Vouch::Unknown, "enrolled"),
        (token(5), Policy::Open, enrolled(11), "waits: another key"),
        (token(5), Policy::Mdm, enrolled(9), "waits: another key"),
        (token(5), Policy::Mdm, enrolled(11), "enrolled"),
        (bound(11), Policy::Mdm, Vouch::Unknown, "waits: another key"),
        (bound(11), Policy::Mdm, enrolled(9), "enrolled"),
        (bound(11), Policy::Approve, enrolled(11), "waits: another key"),
    ] {
        let mut book = Book::new(token_of(5));
        let (old, new) = (key(), key());
        book.ask(&old, open(10));
        book.token = token.clone();
        let answer = book.ask(&new, terms(policy, vouch, 20));
        assert_eq!(told(&answer), expected, "{token:?} {policy} {vouch:?}");
        let device = book.device();
        if expected == "enrolled" {
            assert_eq!(device.key.as_ref().unwrap().key, new);
            assert_eq!((device.shut[0].key.clone(), device.shut[0].from), (old, at(20)), "the old key is shut out");
        } else {
            assert_eq!(device.key.as_ref().unwrap().key, old, "it goes on with the key it has");
            assert!(device.waits() && device.shut.is_empty());
        }
    }
}

#[test]
fn an_administrators_word_is_on_a_key() {
    let (mut book, approved, other) = (Book::new(token(5)), key(), key());
    let by_hand = |now| terms(Policy::Approve, Vouch::Unknown, now);
    book.ask(&approved, by_hand(1));
    book.ask(&other, by_hand(2));
    book.say(&approved, Word::Approved);
    assert_eq!(told(&book.ask(&other, by_hand(3))), "waits for a word", "the word was not on this one");
    assert_eq!(told(&book.ask(&approved, by_hand(4))), "enrolled");
    assert_eq!(told(&book.ask(&other, by_hand(5))), "waits: another key");
    book.say(&other, Word::Denied);
    assert_eq!(book.ask(&other, by_hand(6)), Answer::Denied(Denied::DeniedByAdmin));
    assert_eq!(told(&book.ask(&approved, by_hand(7))), "enrolled");
}

#[test]
fn who_was_denied_or_revoked_stays_out_until_a_key_is_approved() {
    for (state, denied) in [(State::Denied, Denied::DeniedByAdmin), (State::Revoked, Denied::RevokedByAdmin)] {
        let (mut book, key, other) = (Book::new(token(5)), key(), fresh());
        book.ask(&key, open(1_000));
        book.device().shut_key(at(5_400));
        book.device().state = state;
        for asks in [&key, &other] {
            assert_eq!(book.ask(asks, open(6_000)), Answer::Denied(denied), "{state:?}");
        }
        book.say(&key, Word::Approved);
        assert_eq!(book.ask(&other, open(6_001)), Answer::Denied(denied));
        let Answer::Enrolled(issued) = book.ask(&key, open(5_500)) else { panic!("{state:?}") };
        assert_eq!(issued.issued, at(6_000), "NATS shuts out by the second what was issued up to then");
    }
}

#[test]
fn a_serial_number_keeps_few_keys_and_lets_go_of_those_that_were_denied() {
    let mut book = Book::new(token(100));
    let by_hand = terms(Policy::Approve, Vouch::Unknown, 1);
    let keys: Vec<UserKey> = (0..MAX_ASKED).map(|_| key()).collect();
    for key in &keys {
        book.ask(key, by_hand);
    }
    assert_eq!(book.ask(&key(), by_hand), Answer::Denied(Denied::TooManyKeys));
    book.say(&keys[1], Word::Denied);
    assert_eq!(told(&book.ask(&key(), by_hand)), "waits for a word");
    assert_eq!((book.device().asked.len(), book.token.used), (MAX_ASKED, 5));
    let mut device = book.device().clone();
    for n in 0..40 {
        let order = Ordered { what: "deny".to_owned(), by: String::new(), reason: None, at: at(n) };
        device.carried_out(EventId::derived(&[&n.to_string()]), order);
    }
    assert_eq!(device.orders.len(), 16);
}
