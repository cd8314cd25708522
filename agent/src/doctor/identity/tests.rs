//! Each state of a credential, with its remedy.

use nkeys::KeyPair;

use super::*;
use crate::doctor::Outcome;
use emote_proto::Serial;

const DAY: i64 = 24 * HOUR_MS;

fn at(millis: i64) -> Time {
    Time::from_millis(millis).unwrap()
}

fn machine(uuid: &str) -> Machine {
    Machine { serial: Serial::new("C02").unwrap(), hardware_uuid: Some(uuid.into()) }
}

fn there(expires: Option<i64>) -> Look {
    let status = IdentityStatus {
        standing: Standing::Enrolled,
        fingerprint: Some("ABCD-EFGH".into()),
        expires: expires.map(at),
        ..IdentityStatus::default()
    };
    Look { status, machine: machine("H1"), seed: Some("a file"), usable: None }
}

fn token(expires: i64) -> EnrollmentToken {
    let pair = KeyPair::new_user();
    let part = |value: serde_json::Value| data_encoding::BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let claims = serde_json::json!({"iss": "A", "name": "fleet2026", "sub": pair.public_key(), "exp": expires});
    let jwt = format!("{}.{}.c2ln", part(serde_json::json!({"alg": "ed25519-nkey"})), part(claims));
    EnrollmentToken::new(jwt, pair.seed().unwrap()).unwrap()
}

fn seen(folder: Result<Option<Look>, String>) -> Seen<'static> {
    Seen { say_who: false, token: Ok(None), folder, running: None, conflict: None, machine: Some(machine("H1")) }
}

fn check(seen: &Seen<'_>, outcome: Outcome, said: &str) {
    let found = &identity(seen, at(0))[0];
    let text = format!("{} → {}", found.said, found.remedy.clone().unwrap_or_default());
    assert!(found.outcome == outcome && text.contains(said), "{said}: {found:?}");
}

#[test]
fn each_state_of_a_credential_is_told_with_what_to_do() {
    use Outcome::{Fail, Ok as Good, Skipped, Warn};
    check(&Seen { say_who: true, ..seen(Ok(None)) }, Skipped, "the settings say");
    check(&seen(Ok(None)), Skipped, "no `enrollment_token`");
    check(&Seen { token: Ok(Some(token(9))), ..seen(Ok(None)) }, Warn, "start the agent");
    check(&seen(Err("state.json: permission denied".into())), Fail, "as root");
    check(&seen(Ok(Some(there(None)))), Good, "key ABCD-EFGH in a file, for ever");
    check(&seen(Ok(Some(there(Some(20 * DAY))))), Good, "until 1970-01-21");
    check(&seen(Ok(Some(there(Some(DAY))))), Warn, "24 hours are left");
    check(&seen(Ok(Some(there(Some(0))))), Fail, "over");
    check(&seen(Ok(Some(Look { seed: None, ..there(None) }))), Fail, "its seed is gone");
    check(&Seen { machine: Some(machine("H2")), ..seen(Ok(Some(there(None)))) }, Fail, "another machine");
    for (standing, outcome, said) in [
        (Standing::Pending, Warn, "by hand, key ABCD-EFGH → compare the key"),
        (Standing::Denied, Fail, "by hand, key ABCD-EFGH → ask an administrator"),
    ] {
        let status = IdentityStatus { standing, said: Some("by hand".into()), ..IdentityStatus::default() };
        let asked = IdentityStatus { standing: Standing::Asking, ..there(None).status };
        let folder = Ok(Some(Look { status: asked, ..there(None) }));
        check(&Seen { running: Some(&status), token: Ok(Some(token(9))), ..seen(folder) }, outcome, said);
    }
    let refused =
        IdentityStatus { standing: Standing::Refused, said: Some("revoked".into()), ..IdentityStatus::default() };
    check(&Seen { running: Some(&refused), ..seen(Ok(Some(there(None)))) }, Fail, "revoked → see `emote agents show`");
}

#[test]
fn a_token_that_is_over_or_damaged_and_a_foreign_writer_are_findings_of_their_own() {
    let outcome = |token| {
        let found = identity(&Seen { token, ..seen(Ok(Some(there(None)))) }, at(10_000));
        found.get(1).map(|found| (found.outcome, found.said.clone()))
    };
    assert_eq!(outcome(Ok(None)), None);
    assert_eq!(outcome(Ok(Some(token(10)))).unwrap().0, Outcome::Warn);
    assert_eq!(
        outcome(Ok(Some(token(11)))).unwrap(),
        (Outcome::Ok, "fleet2026, until 1970-01-01T00:00:11.000Z".into())
    );
    assert_eq!(outcome(Err("/t: no such file".into())).unwrap().0, Outcome::Fail);
    let conflict = Some(ConflictStatus { at: at(0), expected: 7, found: 9, count: 3 });
    let found = identity(&Seen { conflict, ..seen(Ok(Some(there(None)))) }, at(0));
    assert!(found[1].outcome == Outcome::Warn && found[1].said.contains("3 times"), "{found:?}");
}
