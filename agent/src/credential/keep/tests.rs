//! What is on the disk after each step, killed at each step, copied, damaged and exposed.

use super::super::files;
use super::super::look::look;
use super::*;
use data_encoding::BASE64URL_NOPAD;
use emote_proto::enroll::IdentityNotice;
use serde_json::Value;
use tempfile::TempDir;

fn machine(uuid: &str) -> Machine {
    Machine { serial: Serial::new("C02").unwrap(), hardware_uuid: Some(uuid.into()) }
}

fn open(dir: &TempDir) -> Keeper {
    Keeper::open(dir.path(), machine("H1"), Arc::default())
}

fn now() -> Time {
    Time::from_millis(1_795_000_000_000).unwrap()
}

/// Whoever signs JWTs.
struct Account(KeyPair);

impl Account {
    fn new() -> Self {
        Self(KeyPair::new_account())
    }

    fn sign(&self, name: &str, key: &str, serial: i64) -> String {
        self.signed(
            json!({"jti": serial.to_string(), "iat": 1_795_000_000 + serial, "exp": 1_797_000_000, "name": name,
            "iss": self.0.public_key(), "sub": key, "nats": {"type": "user", "version": 2}}),
        )
    }

    fn signed(&self, claims: Value) -> String {
        let part = |value: Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let signed = format!("{}.{}", part(json!({"typ": "JWT", "alg": "ed25519-nkey"})), part(claims));
        let signature = BASE64URL_NOPAD.encode(&self.0.sign(signed.as_bytes()).unwrap());
        format!("{signed}.{signature}")
    }

    fn token(&self) -> EnrollmentToken {
        let pair = KeyPair::new_user();
        EnrollmentToken::new(self.sign("fleet2026", &pair.public_key(), 0), pair.seed().unwrap()).unwrap()
    }
}

/// Asks and is given what it asked for.
fn enrol(keeper: &Keeper, account: &Account) -> String {
    let token = account.token();
    let request = keeper.request(&token, now()).unwrap();
    request.verify(token.id(), now()).unwrap();
    let jwt = account.sign("C02", request.public_key.as_str(), 1);
    keeper.enrolled(&jwt, &token, now()).unwrap();
    keeper.accepted(Which::Next, now()).unwrap();
    request.public_key.to_string()
}

fn uses(keeper: &Keeper) -> Option<(Which, String)> {
    keeper.usable().unwrap().map(|usable| (usable.which, usable.pair.public_key()))
}

fn files(dir: &TempDir) -> Vec<String> {
    let folder = std::fs::read_dir(dir.path().join(FOLDER)).unwrap();
    let mut names: Vec<_> = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn an_agent_that_needs_no_identity_makes_none() {
    let dir = TempDir::new().unwrap();
    assert!(open(&dir).usable().unwrap().is_none());
    assert!(!dir.path().join(FOLDER).exists() && look(dir.path()).unwrap().is_none());
}

#[test]
fn what_was_given_is_there_after_a_restart_and_is_told_once() {
    let (dir, account) = (TempDir::new().unwrap(), Account::new());
    let key = enrol(&open(&dir), &account);
    let keeper = open(&dir);
    assert_eq!(uses(&keeper), Some((Which::Current, key.clone())));
    let untold = keeper.untold();
    let info: Value = untold[0].info.clone().unwrap().into();
    assert_eq!((&info["how"], &info["public_key"]), (&json!("enrolled"), &json!(key)));
    keeper.told();
    assert!(open(&dir).untold().is_empty());
    assert_eq!(files(&dir), [format!("{key}.seed"), "state.json".into()]);
    let found = look(dir.path()).unwrap().unwrap();
    assert_eq!((found.status.public_key, found.seed), (Some(key), Some("a file")));
    let text = std::fs::read_to_string(dir.path().join(FOLDER).join(STATE)).unwrap();
    assert!(!text.contains("SUA"), "no seed is in the state");
}

#[test]
fn only_what_is_for_this_machine_key_and_account_replaces_anything() {
    let (dir, account, other) = (TempDir::new().unwrap(), Account::new(), Account::new());
    let keeper = open(&dir);
    let (token, stranger) = (account.token(), KeyPair::new_user().public_key());
    let key = keeper.request(&token, now()).unwrap().public_key.to_string();
    let claims = |change: &dyn Fn(&mut Value)| {
        let mut claims = json!({"iat": 7, "exp": 9, "name": "C02", "iss": account.0.public_key(), "sub": key,
            "nats": {"type": "user", "version": 2}});
        change(&mut claims);
        account.signed(claims)
    };
    let (good, twin) = (account.sign("C02", &key, 1), account.sign("C02", &key, 2));
    let (signed, signature) = (good.rsplit_once('.').unwrap().0, twin.rsplit_once('.').unwrap().1);
    for (jwt, said) in [
        (account.sign("C02", &stranger, 1), "another key"),
        (account.sign("C03", &key, 1), "\"C03\""),
        (other.sign("C02", &key, 1), "another account"),
        (claims(&|claims| claims["exp"] = 7.into()), "at any time"),
        (claims(&|claims| claims["nats"]["type"] = "account".into()), "not a user's"),
        (claims(&|claims| claims["x"] = "x".repeat(20_000).into()), "longer than"),
        (format!("{signed}.{signature}"), "signature"),
        ("a.b".into(), "no NATS JWT"),
        (String::new(), "no NATS JWT"),
    ] {
        let error = keeper.enrolled(&jwt, &token, now()).unwrap_err().to_string();
        assert!(error.contains(said), "{said}: {error}");
        assert_eq!(uses(&keeper), None, "{said}");
    }
    keeper.enrolled(&good, &token, now()).unwrap();
    keeper.accepted(Which::Next, now()).unwrap();
    assert!(keeper.issued(&other.sign("C02", &key, 2), now()).unwrap_err().to_string().contains("another account"));
    assert!(!keeper.issued(&good, now()).unwrap(), "the same again");
    assert!(keeper.issued(&account.sign("C02", &key, 2), now()).unwrap());
}

#[test]
fn keys_change_in_steps_and_whenever_it_is_killed_there_is_a_way_on() {
    let (dir, account) = (TempDir::new().unwrap(), Account::new());
    let old = enrol(&open(&dir), &account);
    open(&dir).told();
    // Killed between the seed of a new key and the state that names it: the next start sweeps it away.
    let folder = dir.path().join(FOLDER);
    let orphan = Seeds::of(&folder).make().unwrap();
    assert_eq!(uses(&open(&dir)), Some((Which::Current, old.clone())));
    assert!(!files(&dir).contains(&format!("{orphan}.seed")));
    // Killed before the answer: the same key is asked for again.
    open(&dir).rotate().unwrap();
    let asked = |keeper: &Keeper| -> RenewRequest {
        serde_json::from_value(keeper.renewal(now()).unwrap().info.unwrap().into()).unwrap()
    };
    let request = asked(&open(&dir));
    request.verify(&Serial::new("C02").unwrap()).unwrap();
    let new = request.next_key.to_string();
    assert_eq!(request.public_key.as_str(), old);
    open(&dir).rotate().unwrap();
    assert_eq!(asked(&open(&dir)).next_key.as_str(), new);
    assert_eq!(uses(&open(&dir)), Some((Which::Current, old.clone())));
    // Killed after the answer was kept, before a server took it.
    open(&dir).issued(&account.sign("C02", &new, 3), now()).unwrap();
    let keeper = open(&dir);
    assert_eq!(uses(&keeper), Some((Which::Next, new.clone())));
    // The server takes the old one only: both stay.
    assert_eq!(keeper.refused(Which::Next), None);
    assert_eq!(uses(&keeper), Some((Which::Current, old.clone())));
    keeper.accepted(Which::Current, now()).unwrap();
    assert_eq!(files(&dir).len(), 3);
    keeper.issued(&account.sign("C02", &new, 4), now()).unwrap();
    // Killed after the state changed, before the old seed was forgotten.
    let seed = std::fs::read_to_string(folder.join(format!("{old}.seed"))).unwrap();
    keeper.accepted(Which::Next, now()).unwrap();
    files::write(&folder.join(format!("{old}.seed")), seed.as_bytes()).unwrap();
    let keeper = open(&dir);
    assert_eq!(uses(&keeper), Some((Which::Current, new.clone())));
    assert_eq!(files(&dir), [format!("{new}.seed"), "state.json".into()]);
    let info: Value = keeper.untold()[0].info.clone().unwrap().into();
    assert_eq!(info["how"], "rotated");
}

#[test]
fn a_next_one_that_no_server_takes_is_asked_for_ever_more_slowly() {
    let (dir, account) = (TempDir::new().unwrap(), Account::new());
    let keeper = open(&dir);
    enrol(&keeper, &account);
    keeper.rotate().unwrap();
    let (mut at, mut pauses) = (now().as_millis(), Vec::new());
    for serial in 0..4 {
        let time = Time::from_millis(at).unwrap();
        let draft = keeper.renewal(time).unwrap();
        let request: RenewRequest = serde_json::from_value(draft.info.unwrap().into()).unwrap();
        keeper.issued(&account.sign("C02", request.next_key.as_str(), 10 + serial), time).unwrap();
        assert_eq!((keeper.refused(Which::Next), keeper.accepted(Which::Current, time).is_ok()), (None, true));
        let next = keeper.ask_at().unwrap();
        pauses.push((next - at) / 1_000);
        at = next;
    }
    assert_eq!(pauses, [30, 60, 120, 240]);
}

#[test]
fn whoever_has_no_credential_takes_none_from_a_stranger() {
    let (dir, account) = (TempDir::new().unwrap(), Account::new());
    let keeper = open(&dir);
    assert!(keeper.rotate().is_err() && !dir.path().join(FOLDER).exists());
    let key = keeper.request(&account.token(), now()).unwrap().public_key;
    assert!(keeper.issued(&account.sign("C02", key.as_str(), 1), now()).is_err());
    assert_eq!(uses(&keeper), None);
}

#[test]
fn a_request_says_the_brokers_time_where_that_is_known() {
    let (dir, account) = (TempDir::new().unwrap(), Account::new());
    let keeper = open(&dir);
    enrol(&keeper, &account);
    keeper.health.clock(crate::health::ClockStatus { offset_ms: -7_200_000, uncertainty_ms: 5 });
    let info: Value = keeper.renewal(now()).unwrap().info.unwrap().into();
    assert_eq!(info["time"], json!(Time::from_millis(now().as_millis() - 7_200_000).unwrap()));
}

#[test]
fn refusals_are_counted_and_told_once_until_something_is_taken() {
    let (dir, account) = (TempDir::new().unwrap(), Account::new());
    let keeper = open(&dir);
    enrol(&keeper, &account);
    assert_eq!([keeper.refused(Which::Current), keeper.refused(Which::Current)], [Some(1), Some(2)]);
    assert!(keeper.tell_refused("revoked").is_some() && keeper.tell_refused("revoked").is_none());
    keeper.accepted(Which::Current, now()).unwrap();
    assert_eq!(keeper.refused(Which::Current), Some(1));
    assert!(keeper.tell_refused("revoked").is_some());
}

#[test]
fn a_copied_disk_takes_no_identity_along_and_a_damaged_one_is_set_aside() {
    let (dir, account) = (TempDir::new().unwrap(), Account::new());
    let old = enrol(&open(&dir), &account);
    let other = Keeper::open(dir.path(), machine("H2"), Arc::default());
    assert_eq!(uses(&other), None);
    let told: Value = other.untold()[0].info.clone().unwrap().into();
    assert!(told["reason"].as_str().unwrap().contains("another machine"), "{told}");
    let aside: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(aside.len() == 1 && aside[0].join(format!("{old}.seed")).exists(), "{aside:?}");
    let token = account.token();
    assert_ne!(other.request(&token, now()).unwrap().public_key.as_str(), old);
    drop(other);
    for _ in 0..3 {
        std::fs::write(dir.path().join(FOLDER).join(STATE), "{\"version\":").unwrap();
        assert_eq!(open(&dir).untold().len(), 1);
        open(&dir).request(&token, now()).unwrap();
    }
    assert!(std::fs::read_dir(dir.path()).unwrap().count() <= 1 + ASIDE);
}

#[test]
fn a_state_that_cannot_be_read_for_now_is_not_replaced() {
    let (dir, account) = (TempDir::new().unwrap(), Account::new());
    let key = enrol(&open(&dir), &account);
    let (state, away) = (dir.path().join(FOLDER).join(STATE), dir.path().join("away"));
    std::fs::rename(&state, &away).unwrap();
    std::fs::create_dir(&state).unwrap();
    let keeper = open(&dir);
    assert!(keeper.usable().is_err());
    std::fs::remove_dir(&state).unwrap();
    std::fs::rename(&away, &state).unwrap();
    assert_eq!(uses(&keeper), Some((Which::Current, key)));
}

#[test]
fn a_key_whose_seed_is_gone_is_asked_for_anew() {
    let (dir, account) = (TempDir::new().unwrap(), Account::new());
    let keeper = open(&dir);
    let key = enrol(&keeper, &account);
    std::fs::remove_file(dir.path().join(FOLDER).join(format!("{key}.seed"))).unwrap();
    assert_eq!(uses(&keeper), None);
    assert_ne!(keeper.request(&account.token(), now()).unwrap().public_key.as_str(), key);
}

#[test]
fn notices_that_are_none_change_nothing() {
    let notice = serde_json::to_string(&IdentityNotice::Rotate).unwrap();
    assert_eq!(notice, r#"{"notice":"rotate"}"#);
    let (dir, account) = (TempDir::new().unwrap(), Account::new());
    let keeper = open(&dir);
    enrol(&keeper, &account);
    let before = keeper.lock().state.clone();
    let long = format!("{notice}{}", " ".repeat(20_000));
    for payload in ["", "{}", "rotate", r#"{"notice":"issued","jwt":"x"}"#, r#"{"notice":"erase"}"#, &long] {
        keeper.hear(payload.as_bytes());
        assert_eq!(keeper.lock().state, before, "{payload:.40}");
    }
}
