use super::*;
use crate::identity::record::Issued;
use nkeys::KeyPair;
use serde_json::json;

fn at(ms: i64) -> Time {
    Time::from_millis(ms).unwrap()
}

fn key() -> UserKey {
    UserKey::new(KeyPair::new_user().public_key()).unwrap()
}

fn event(action: &str, info: &Value) -> Event {
    let event = json!({"id": "00000000-0000-7000-8000-000000000000", "time": "2026-01-01T00:00:00Z", "source": "admin",
        "scope": "agent", "action": action, "user": {"id": "ada@example.com"}, "info": info});
    Event::parse(event.to_string().as_bytes()).unwrap()
}

#[test]
fn an_order_names_what_it_is_about() {
    let key = key();
    for what in What::ALL {
        let order = Order::read(&event(&what.ordered(), &json!({"serials": ["C02"], "key": key}))).unwrap().unwrap();
        let serials = vec![Serial::new("C02").unwrap()];
        assert_eq!(order, Order::Devices { what, serials, key: Some(key.clone()) });
    }
    let info = json!({"token": "fleet2026", "name": "fleet", "key": key, "uses": 5, "used": -1, "policy": "mdm",
        "expires": "2026-02-01T00:00:00Z"});
    let Some(Order::CreateToken(token)) = Order::read(&event(TOKEN_CREATE, &info)).unwrap() else { panic!() };
    assert_eq!((token.uses, token.used, token.policy), (5, 0, Some(Policy::Mdm)));
    assert_eq!(token.by, "ada@example.com");
    assert_eq!(Order::read(&event("heartbeat", &json!({}))), Ok(None));
}

#[test]
fn what_is_not_understood_is_refused() {
    let token = |change: Value| {
        let mut info =
            json!({"token": "fleet2026", "name": "f", "key": key(), "uses": 5, "expires": "2026-02-01T00:00:00Z"});
        info.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        info
    };
    for (action, info) in [
        ("revoke_ordered", json!({})),
        ("revoke_ordered", json!({"serials": []})),
        ("revoke_ordered", json!({"serials": ["*"]})),
        ("revoke_ordered", json!({"serials": ["C02", ">"]})),
        ("revoke_ordered", json!({"serials": vec!["C02"; 501]})),
        ("approve_ordered", json!({"serials": ["C02"], "key": "U"})),
        (TOKEN_REVOKE, json!({"token": ">"})),
        (TOKEN_CREATE, token(json!({"uses": 0}))),
        (TOKEN_CREATE, token(json!({"serial": "*"}))),
        (TOKEN_CREATE, token(json!({"policy": "anyone"}))),
        (TOKEN_CREATE, token(json!({"token": "*"}))),
        (TOKEN_CREATE, token(json!({"name": "x".repeat(101)}))),
    ] {
        assert!(Order::read(&event(action, &info)).is_err(), "{action} {info}");
    }
}

fn asked(key: &UserKey, word: Option<Word>) -> Asked {
    Asked { key: key.clone(), at: at(0), token: None, agent: String::new(), word, told: true }
}

fn issued(key: &UserKey) -> Issued {
    Issued {
        key: key.clone(),
        since: at(0),
        issued: at(0),
        expires: at(1_000_000),
        token: None,
        agent: String::new(),
        request: None,
        told: true,
    }
}

fn order(device: &mut DeviceRecord, n: u8, what: What, key: Option<&UserKey>) -> Result<bool, OrderError> {
    let signed = Ordered { what: what.word().to_owned(), by: "ada".to_owned(), reason: None, at: at(5_000) };
    device.follow(EventId::derived(&[&n.to_string()]), what, key, signed, at(5_000))
}

#[test]
fn an_approval_is_of_the_one_key_that_waits_or_of_the_one_it_names() {
    let (one, two, foreign) = (key(), key(), key());
    let mut device = DeviceRecord::new(Serial::new("C02").unwrap());
    assert_eq!(order(&mut device, 1, What::Approve, None), Err(OrderError::NothingWaits));
    device.asked = vec![asked(&one, None), asked(&two, None)];
    assert_eq!(order(&mut device, 2, What::Approve, None), Err(OrderError::SeveralWait));
    assert_eq!(order(&mut device, 3, What::Approve, Some(&foreign)), Err(OrderError::NoSuchKey));
    assert_eq!(order(&mut device, 4, What::Approve, Some(&two)), Ok(true));
    assert_eq!((device.asked[0].word, device.asked[1].word), (None, Some(Word::Approved)));
    assert!(device.waits());
}

#[test]
fn an_order_that_comes_again_changes_nothing_even_behind_another() {
    let key = key();
    let mut device = DeviceRecord::new(Serial::new("C02").unwrap());
    (device.state, device.key) = (State::Enrolled, Some(issued(&key)));
    assert_eq!(order(&mut device, 1, What::Revoke, None), Ok(true));
    assert_eq!(order(&mut device, 2, What::Approve, None), Ok(true));
    let before = device.clone();
    assert_eq!(order(&mut device, 1, What::Revoke, None), Ok(false));
    assert_eq!(device, before);
}

#[test]
fn revoking_shuts_every_key_out_and_takes_back_what_was_approved() {
    let (key, old, next) = (key(), key(), key());
    let mut device = DeviceRecord::new(Serial::new("C02").unwrap());
    assert_eq!(order(&mut device, 1, What::Revoke, None), Err(OrderError::NotEnrolled));
    (device.state, device.key) = (State::Enrolled, Some(issued(&old)));
    device.shut_key(at(900_000));
    device.key = Some(issued(&key));
    device.asked = vec![asked(&next, Some(Word::Approved))];
    assert_eq!(order(&mut device, 2, What::Revoke, None), Ok(true));
    let shut: Vec<_> = device.shut.iter().map(|shut| (shut.key.clone(), shut.from)).collect();
    assert_eq!(shut, [(old, at(5_000)), (key, at(5_000))]);
    assert_eq!((device.state, device.asked[0].word), (State::Revoked, None));
}

#[test]
fn denying_takes_nothing_from_who_is_in() {
    let (key, other) = (key(), key());
    let mut device = DeviceRecord::new(Serial::new("C02").unwrap());
    device.asked = vec![asked(&other, None)];
    assert_eq!(order(&mut device, 1, What::Deny, None), Ok(true));
    assert_eq!((device.state, device.asked[0].word), (State::Denied, Some(Word::Denied)));
    (device.state, device.key) = (State::Enrolled, Some(issued(&key)));
    assert_eq!(order(&mut device, 2, What::Deny, None), Ok(true));
    assert_eq!((device.state, device.shut.len()), (State::Enrolled, 0));
    device.asked.clear();
    assert_eq!(order(&mut device, 3, What::Deny, None), Err(OrderError::NothingWaits));
    assert_eq!(order(&mut device, 4, What::Rotate, None), Ok(true));
    assert_eq!(device.rotate, Some(at(5_000)));
}
