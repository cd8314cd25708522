use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::limits;

const MINIMAL: &str =
    r#"{"scope":"device","action":"enroll","device":{"uuid":"C02XL0GTJGH5"},"communicate":true,"log":true}"#;

fn receive(subject: &str, body: &str) -> Result<Event, EventError> {
    let subject: Subject = subject.parse().unwrap();
    let received = "2026-01-02T03:04:05.678Z".parse().unwrap();
    Draft::parse(body.as_bytes())?
        .receive(&Receipt { subject: &subject, message_id: None, sequence: 7, received }, Trust::Unverified)
}

#[test]
fn the_smallest_event_is_completed_from_where_it_was_found() {
    let event = receive("events.manual.C02XL0GTJGH5.device.enroll", MINIMAL).unwrap();
    assert_eq!(event.serial(), Some("C02XL0GTJGH5"));
    assert_eq!(event.source.as_str(), "manual");
    assert_eq!(event.time.to_string(), "2026-01-02T03:04:05.678Z");
    assert_eq!(event.trust, Trust::Unverified);
    assert_eq!(event.id, EventId::derived(&["position", "7", "2026-01-02T03:04:05.678Z"]));
    assert_eq!(Event::parse(&event.to_json()).unwrap(), event);
}

#[test]
fn the_node_comes_from_the_subject_where_the_body_leaves_it_out() {
    let device = receive("events.manual.C02.disk.low", r#"{"scope":"disk","action":"low"}"#).unwrap();
    assert_eq!((device.serial(), device.user_id()), (Some("C02"), None));
    let user =
        receive("events.okta.Ada@x%2Eio.user.deactivated", r#"{"scope":"user","action":"deactivated"}"#).unwrap();
    assert_eq!((user.serial(), user.user_id()), (None, Some("ada@x.io")));
    let udid =
        receive("events.nanomdm.U1.device.checkin", r#"{"scope":"device","action":"checkin","device":{"udid":"U1"}}"#)
            .unwrap();
    assert_eq!((udid.serial(), udid.udid()), (None, Some("U1")), "a UDID is no serial number");
    let login =
        receive("events.agent.C02.session.login", r#"{"scope":"session","action":"login","user":{"id":"ADA"}}"#)
            .unwrap();
    assert_eq!((login.serial(), login.user_id()), (Some("C02"), Some("ada")));
    let none = receive("events.broker.-.broker.started", r#"{"scope":"broker","action":"started"}"#).unwrap();
    assert_eq!((none.device, none.user), (None, None));
}

#[test]
fn a_serial_number_is_the_same_however_it_is_written() {
    for node in ["C02", "c02"] {
        for device in [
            "",
            r#","device":{"uuid":"C02"}"#,
            r#","device":{"uuid":"c02","name":"ada"}"#,
            r#","device":{"uuid":"c02","x":1}"#,
        ] {
            let body = format!(r#"{{"scope":"disk","action":"low"{device}}}"#);
            let event = receive(&format!("events.jamf.{node}.disk.low"), &body).unwrap();
            assert_eq!(
                (event.serial(), event.subject().unwrap().to_string().as_str()),
                (Some("C02"), "events.jamf.C02.disk.low")
            );
        }
    }
    let draft = Draft::parse(br#"{"scope":"d","action":"a","device":{"uuid":"c02"}}"#).unwrap();
    assert_eq!(draft.node().unwrap().unwrap().as_str(), "C02", "a webhook is published under it");
    let login = receive("events.okta.ada.session.login", r#"{"scope":"session","action":"login","user":{"id":"ada"}}"#)
        .unwrap();
    assert_eq!((login.serial(), login.user_id()), (None, Some("ada")), "people are not spelled so");
}

#[test]
fn a_body_that_contradicts_its_subject_is_refused() {
    for (subject, body) in [
        ("events.agent.C02.device.boot", r#"{"scope":"device","action":"boot","device":{"uuid":"C03"}}"#),
        ("events.agent.C02.device.boot", r#"{"scope":"device","action":"wipe"}"#),
        ("events.agent.C02.device.boot", r#"{"scope":"os","action":"boot"}"#),
        ("events.agent.C02.device.boot", r#"{"scope":"device","action":"boot","source":"okta"}"#),
        ("events.okta.ada.user.deleted", r#"{"scope":"user","action":"deleted","user":{"id":"bob"}}"#),
        ("events.okta.-.user.deleted", r#"{"scope":"user","action":"deleted","user":{"id":"bob"}}"#),
    ] {
        let error = receive(subject, body).unwrap_err();
        assert!(matches!(error, EventError::Conflict { .. }), "{subject} {body}: {error}");
    }
}

#[test]
fn wrong_fields_are_named() {
    for (body, said) in [
        ("", "not JSON"),
        ("[]", "an array"),
        ("{}", "\"scope\" is missing"),
        (r#"{"scope":"device"}"#, "\"action\" is missing"),
        (r#"{"scope":"Device","action":"a"}"#, "\"scope\""),
        (r#"{"scope":"d","action":"a","device":3}"#, "\"device\": expected an object, found a number"),
        (r#"{"scope":"d","action":"a","device":{"uuid":3}}"#, "\"device.uuid\": expected a string"),
        (r#"{"scope":"d","action":"a","log":"yes"}"#, "\"log\": expected true or false"),
        (r#"{"scope":"d","action":"a","time":"now"}"#, "\"time\""),
        (r#"{"scope":"d","action":"a","id":"x"}"#, "\"id\""),
        (r#"{"scope":"d","action":"a","trust":"full"}"#, "\"trust\""),
        (r#"{"scope":"d","action":"a","cause":{}}"#, "\"cause\""),
    ] {
        let error = Draft::parse(body.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(said), "{body}: {error}");
    }
    let large = format!(r#"{{"scope":"d","action":"a","info":"{}"}}"#, "x".repeat(limits::MAX_EVENT));
    assert!(matches!(Draft::parse(large.as_bytes()), Err(EventError::TooLarge { .. })));
}

#[test]
fn an_event_that_grew_when_it_was_completed_is_read_back() {
    let draft = format!(r#"{{"scope":"d","action":"a","info":"{}"}}"#, "x".repeat(limits::MAX_EVENT - 50));
    let event = receive("events.manual.C02.d.a", &draft).unwrap();
    let json = event.to_json();
    assert!(json.len() > limits::MAX_EVENT);
    assert_eq!(Event::parse(&json).unwrap(), event);
    let too_large = [&json[..json.len() - 1], " ".repeat(64 * 1024).as_bytes(), b"}"].concat();
    assert!(matches!(Event::parse(&too_large), Err(EventError::TooLarge { .. })));
}

#[test]
fn unknown_keys_are_kept() {
    let body = r#"{"scope":"d","action":"a","device":{"uuid":"C","colour":"grey"},"user":{"id":"u","okta_id":"00u"},"extra":[1]}"#;
    let again: Value = serde_json::from_slice(&Draft::parse(body.as_bytes()).unwrap().to_json()).unwrap();
    assert_eq!(again, serde_json::from_str::<Value>(body).unwrap());
}

#[test]
fn trust_is_the_receivers_word() {
    let event = receive("events.agent.C.d.a", r#"{"scope":"d","action":"a","trust":"verified"}"#).unwrap();
    assert_eq!(event.trust, Trust::Unverified);
}

#[test]
fn a_device_that_no_subject_could_name_is_refused() {
    let body = |udid: &str| serde_json::json!({"scope": "device", "action": "enroll", "device": {"udid": udid}, "user": {"id": "ada@example.com"}});
    let of_user = |udid: &str| receive("events.nanomdm.ada@example%2Ecom.device.enroll", &body(udid).to_string());
    assert_eq!(of_user("U 1").unwrap().udid(), Some("U 1"));
    for udid in ["U\r\nNats-Rollup: all", "U\u{85}", &"U".repeat(129)] {
        let error = of_user(udid).unwrap_err().to_string();
        assert!(error.contains("device.udid"), "{error}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Draft::parse(&bytes);
    }

    #[test]
    fn a_completed_event_is_read_back_as_it_was(serial in "[A-Z0-9]{1,12}", name in ".{0,20}", user in "[a-z@.]{1,20}", flag: bool, extra in -1e9..1e9f64) {
        let body = serde_json::json!({"scope": "device", "action": "checkin", "device": {"uuid": serial, "name": name},
            "user": {"id": user}, "log": flag, "info": {"n": extra}, "zz": [extra]});
        let event = receive(&format!("events.jamf.{serial}.device.checkin"), &body.to_string()).unwrap();
        prop_assert_eq!(Event::parse(&event.to_json()).unwrap(), event);
    }
}

/// Events in which anything may be unusual: unknown keys, keys twice, wrong types, escapes, spaces.
fn any_draft() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        Just("null".to_owned()),
        Just("\"\"".to_owned()),
        Just("3".to_owned()),
        Just("\"verified\"".to_owned()),
        Just("\"2026-11-23T08:41:00+02:00\"".to_owned()),
        Just("\"a64c29d5-87af-5257-b215-b904e4a840d8\"".to_owned()),
        "\"[a-z_é-]{1,5}\"",
        "\"[a-z]{0,2}\\\\u00[0-9a-f]{2}\"",
        "\"\\\\ud8[0-9a-f]{2}\"",
    ];
    let object = |keys: &'static [&'static str]| {
        let field = (proptest::sample::select(keys), text.clone());
        proptest::collection::vec(field, 0..4).prop_map(|fields| {
            let fields: Vec<String> = fields.into_iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
            format!("{{{}}}", fields.join(","))
        })
    };
    let info = prop_oneof![
        object(&["a", "a", "b", "c"]),
        "[0-9]{1,3}(\\.[0-9]{1,3})?(e[0-9]{1,3})?",
        text.clone(),
        object(&["a", "b"]).prop_map(|inner| format!("[{inner}, {inner},\n{inner}]")),
        object(&["a", "b"]).prop_map(|inner| format!("{}{inner}{}", "[".repeat(125), "]".repeat(125))),
    ];
    let id = "a64c29d5-87af-5257-b215-b904e4a840d8";
    let cause = proptest::sample::select(&["1", "2", "-1", "1,\"depth\":1", "1,\"job\":\"j\"", "1,\"zz\":0"][..]);
    let cause = cause
        .prop_map(move |depth| format!(r#"{{"event":"{id}","rule":"r","target":"t","root":"{id}","depth":{depth}}}"#));
    let other = (
        proptest::sample::select(&["id", "time", "source", "communicate", "log", "trust", "scope", "zz"][..]),
        prop_oneof![text.clone(), Just("true".to_owned())],
    );
    let device = object(&["uuid", "udid", "hardware_uuid", "name", "model", "os_version", "colour"]);
    let words = ("\"scope\"", prop_oneof![9 => Just("\"d\"".to_owned()), 1 => text.clone()]);
    (words, device, object(&["id", "name", "x"]), info, cause, proptest::collection::vec(other, 0..3), any::<u8>())
        .prop_map(|((scope, word), device, user, info, cause, other, parts)| {
            let mut fields = vec![format!("{scope}:{word}"), "\"action\":\"a\"".to_owned()];
            let optional = [("device", device), ("user", user), ("info", info), ("cause", cause)];
            for (n, (key, value)) in optional.into_iter().enumerate() {
                fields.extend((parts >> n & 1 == 1).then(|| format!("\"{key}\": {value}")));
            }
            fields.extend(other.into_iter().map(|(key, value)| format!("\"{key}\":{value}")));
            format!("{{{}}}", fields.join(", "))
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn the_fast_way_gives_what_the_slow_one_gives(json in any_draft()) {
        if let Some(draft) = fast::draft(json.as_bytes()) {
            let value: Value = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(draft, Draft::from_value(value).unwrap());
        }
    }

    #[test]
    fn the_fast_way_takes_nothing_that_the_slow_one_refuses(
        json in any_draft(), at: prop::sample::Index, with in "[\"{}\\[\\],:0-9a-z \\\\\u{1}\n]{0,2}", cut in 0..3_usize,
    ) {
        let json: Vec<char> = json.chars().collect();
        let at = at.index(json.len());
        let after = json[at..].iter().skip(cut);
        let changed: String = json[..at].iter().copied().chain(with.chars()).chain(after.copied()).collect();
        if let Some(draft) = fast::draft(changed.as_bytes()) {
            let value = serde_json::from_str::<Value>(&changed);
            prop_assert_eq!(Ok(draft), value.map_err(|error| error.to_string()).map(|value| Draft::from_value(value).unwrap()));
        }
    }

    #[test]
    fn an_event_is_written_as_serde_writes_it(json in any_draft(), text in ".{0,12}", trust in 0..3_usize) {
        let Ok(mut draft) = Draft::parse(json.as_bytes()) else { return Ok(()) };
        draft.device.get_or_insert_default().name = Some(text.clone());
        draft.user.get_or_insert_default().other.insert(text, Value::Null);
        let subject = draft.subject(Name::new("jamf").unwrap());
        let Ok(subject) = subject else { return Ok(()) };
        let received = Time::from_millis(1_800_000_000_123).unwrap();
        let receipt = Receipt { subject: &subject, message_id: None, sequence: 7, received };
        let trust = [Trust::Unverified, Trust::Authenticated, Trust::Verified][trust];
        let Ok(event) = draft.receive(&receipt, trust) else { return Ok(()) };
        let (ours, theirs) = (event.to_json(), serde_json::to_vec(&event).unwrap());
        prop_assert_eq!(String::from_utf8(ours).unwrap(), String::from_utf8(theirs).unwrap());
    }
}

#[test]
fn what_only_looks_like_an_event_is_left_to_the_slow_way() {
    let cause =
        |more: &str| format!(r#""cause":{{"event":"{ID}","rule":"r","target":"t","root":"{ID}","depth":1{more}}}"#);
    let read = |fields: &str| fast::draft(format!(r#"{{"scope":"d","action":"a",{fields}}}"#).as_bytes());
    assert!(read(&cause("")).is_some() && read(r#""log":true,"communicate":false"#).is_some());
    for fields in [
        r#""log":truefalse"#,
        r#""log":nulltrue"#,
        r#""log":tru"#,
        r#""device":nullnull"#,
        r#""user":{"id":"a"}{}"#,
        r#""info":{"$serde_json::private::RawValue":"{}"}"#,
        r#""info":{"a":1}{}"#,
        &cause(r#","x":1e999"#),
        &cause(r#","x":"\ud800""#),
        &cause(r#","rule":"r""#),
    ] {
        assert!(read(fields).is_none(), "{fields}");
    }
}

const ID: &str = "a64c29d5-87af-5257-b215-b904e4a840d8";

#[test]
fn usual_events_are_read_the_fast_way() {
    for json in [
        MINIMAL,
        r#"{"scope":"d","action":"a","device":null,"user":{"id":"x\u00e9"},"info":{"a": [1.50, {"b":null}]},"trust":"verified","id":""}"#,
    ] {
        let draft = fast::draft(json.as_bytes()).unwrap();
        assert_eq!(draft, Draft::from_value(serde_json::from_str(json).unwrap()).unwrap());
    }
    assert!(fast::draft(br#"{"scope":"d","action":"a","extra":1}"#).is_none());
}

#[test]
fn an_agent_is_heard_about_its_own_mac_only() {
    for body in [
        r#"{"scope":"device","action":"enroll","device":{"uuid":"VICTIM","udid":"ATTACKER"}}"#,
        r#"{"scope":"user","action":"enroll","device":{"uuid":"VICTIM"},"user":{"id":"attacker"}}"#,
    ] {
        let scope = if body.contains("user\",") { "user" } else { "device" };
        assert!(receive(&format!("events.agent.ATTACKER.{scope}.enroll"), body).is_err(), "{body}");
        assert!(receive(&format!("events.agent.attacker.{scope}.enroll"), body).is_err(), "{body}");
    }
    let by_udid = r#"{"scope":"device","action":"boot","device":{"udid":"A1"}}"#;
    assert_eq!(receive("events.agent.A1.device.boot", by_udid).unwrap().serial(), Some("A1"));
    let user = r#"{"scope":"user","action":"created","user":{"id":"a1"}}"#;
    assert_eq!(receive("events.agent.A1.user.created", user).unwrap().serial(), Some("A1"));
    for body in [by_udid, user] {
        let scope = if body == user { "user.created" } else { "device.boot" };
        assert!(
            receive(&format!("events.agent.a1.{scope}"), body).is_err(),
            "a credential for another spelling is none"
        );
    }
}

#[test]
fn what_an_administrator_says_is_by_that_administrator_whatever_it_names() {
    let subject = "events.admin.ada.agent.revoke_ordered";
    let by = |body: &str| receive(subject, &format!(r#"{{"scope":"agent","action":"revoke_ordered"{body}}}"#));
    for body in ["", r#","user":{"id":"Ada"}"#, r#","device":{"uuid":"ada"}"#, r#","device":{"uuid":"C02"}"#] {
        assert_eq!(by(body).unwrap().user_id(), Some("ada"), "{body}");
    }
    for device in ["", r#","device":{"uuid":"ada"}"#, r#","device":{"udid":"ada"}"#, r#","device":{"uuid":"C02"}"#] {
        assert!(by(&format!(r#"{device},"user":{{"id":"bob"}}"#)).is_err(), "{device}");
    }
}

#[test]
fn users_are_one_whatever_case_they_are_written_in() {
    let body = r#"{"scope":"user","action":"deactivated","user":{"id":"Ada@X.io"}}"#;
    let subject = Draft::parse(body.as_bytes()).unwrap().subject(Name::new("okta").unwrap()).unwrap().to_string();
    assert_eq!(subject, "events.okta.ada@x%2Eio.user.deactivated");
    assert_eq!(receive(&subject, body).unwrap().user_id(), Some("ada@x.io"));
    assert!(receive("events.okta.Ada@X%2Eio.user.deactivated", body).is_ok());
}
