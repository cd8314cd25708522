//! What strangers send about identity: the first line says what the rest is. Nothing panics; what is taken as signed is
//! signed by the key that it names, and what was read is written and read again as the same.
#![no_main]

use std::{fmt::Debug, sync::LazyLock};

use emote_proto::{
    Serial, Time, creds,
    enroll::{EnrollAnswer, EnrollRequest, EnrollmentToken, IdentityNotice, MAX_MESSAGE, RenewRequest, TokenId},
    jwt::{Claims, MAX_JWT},
};
use libfuzzer_sys::fuzz_target;
use serde::{Serialize, de::DeserializeOwned};

/// The token that the seeds ask with, their serial number, and about when.
static TOKEN: LazyLock<TokenId> = LazyLock::new(|| TokenId::new("fleet2026").expect("an id"));
static SERIAL: LazyLock<Serial> = LazyLock::new(|| Serial::new("C02XL0GTJGH5").expect("a serial number"));
const NOW: i64 = 1_800_000_000_000;

fuzz_target!(|data: &[u8]| {
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else { return };
    let (kind, rest) = (&data[..end], &data[end + 1..]);
    let text = std::str::from_utf8(rest);
    match (kind, text) {
        (b"jwt", Ok(text)) => jwt(text),
        (b"creds", Ok(text)) => credentials(text),
        (b"token", Ok(text)) => token(text),
        (b"ask", _) => ask(rest),
        (b"renew", _) => renew(rest),
        (b"answer", _) => drop(read::<EnrollAnswer>(rest)),
        (b"notice", _) => drop(read::<IdentityNotice>(rest)),
        _ => {}
    }
});

fn jwt(text: &str) {
    let (unverified, verified) = (Claims::unverified(text), Claims::verified(text));
    if let Ok(claims) = verified {
        assert!(text.len() <= MAX_JWT);
        assert_eq!(unverified.as_ref(), Ok(&claims), "a signature changes nothing of what is read");
        let (signed, signature) = text.rsplit_once('.').expect("it has parts");
        let signature = data_encoding::BASE64URL_NOPAD.decode(signature.as_bytes()).expect("it was decoded before");
        let issuer = nkeys::KeyPair::from_public_key(&claims.iss).expect("it was a key before");
        assert!(issuer.verify(signed.as_bytes(), &signature).is_ok(), "whoever it names has signed it");
    }
}

fn credentials(text: &str) {
    if let Ok(found) = creds::parse(text) {
        assert!(text.contains(found.jwt) && !found.jwt.contains('\n'));
        let seed = found.key.seed().expect("a file has the seed");
        assert!(text.contains(&*seed), "the key is the file's own");
        jwt(found.jwt);
    }
}

fn token(line: &str) {
    let Ok(token) = line.parse::<EnrollmentToken>() else { return };
    assert!(!format!("{token:?}").contains(token.seed()), "its seed is not shown");
    let again: EnrollmentToken = token.to_line().parse().expect("what was read is read again");
    assert!(again == token);
}

fn ask(json: &[u8]) {
    let Some(request) = read::<EnrollRequest>(json) else { return };
    let now = Time::from_millis(NOW).expect("a time");
    if request.verify(&TOKEN, now).is_ok() {
        let another = TokenId::new("another1").expect("an id");
        assert!(request.verify(&another, now).is_err(), "it holds for the token that it was signed for");
    }
}

fn renew(json: &[u8]) {
    let Some(request) = read::<RenewRequest>(json) else { return };
    if request.verify(&SERIAL).is_ok() {
        let another = Serial::new("C02XL0GTJGH6").expect("a serial number");
        assert!(request.verify(&another).is_err(), "it holds for the serial number that it was signed for");
    }
}

/// As broker and agent read it: what is too large is not looked at.
fn read<T: DeserializeOwned + Serialize + PartialEq + Debug>(json: &[u8]) -> Option<T> {
    let read: T = serde_json::from_slice(json.get(..).filter(|json| json.len() <= MAX_MESSAGE)?).ok()?;
    let written = serde_json::to_vec(&read).expect("what was read can be written");
    assert_eq!(serde_json::from_slice::<T>(&written).expect("and read again"), read);
    Some(read)
}
