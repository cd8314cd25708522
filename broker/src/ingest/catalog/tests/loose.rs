//! What comes through exports, pollers and log archives: in pages, and with types that changed on the way.

use super::*;

/// Vendors write a text where a number was, a list where there was one, or nothing: what else can be told is.
#[test]
fn whatever_stands_where_something_else_should_fails_no_map() {
    let odd = [
        json!(null),
        json!(""),
        json!("null"),
        json!(7),
        json!(true),
        json!([]),
        json!([7]),
        json!({}),
        json!({"a": [null]}),
    ];
    let mut wrong = BTreeSet::new();
    for entry in all() {
        let plan = plan(entry.name);
        for name in names_in(&folder("fixtures").join(entry.name)) {
            let path = folder("fixtures").join(entry.name).join(format!("{name}.yaml"));
            let fixture: Fixture = serde_saphyr::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            let Some(json) = fixture.json.as_ref().map(with_base64) else { continue };
            let mut at = Vec::new();
            places(&json, "", &mut at);
            // Of a large payload not every place.
            for (nth, place) in at.iter().enumerate().step_by(at.len() / 8 + 1) {
                let value = &odd[nth % odd.len()];
                let mut payload = json.clone();
                *payload.pointer_mut(place).unwrap() = value.clone();
                let request = request(
                    fixture.r#type.as_deref().or(Some("application/json")),
                    &fixture.headers,
                    payload.to_string().into_bytes(),
                );
                let drafts = match plan.rehearse(request, &fixture.serials, &moment()) {
                    Ok(drafts) => drafts,
                    // Of a sender that is told what to do better.
                    Err(Refusal::Undecodable(_) | Refusal::Unmapped { .. }) if is_strict(entry) => continue,
                    Err(refusal) => {
                        wrong.insert(format!("{}/{name} with {value} at {place}: {refusal}", entry.name));
                        continue;
                    }
                };
                for draft in drafts {
                    if let (Some(problem), false) =
                        (serde_json::to_value(&draft).unwrap()["info"].get("problem"), is_strict(entry))
                    {
                        wrong.insert(format!("{}/{name} with {value} at {place}: {problem}", entry.name));
                    }
                }
            }
        }
    }
    let wrong: Vec<_> = wrong.into_iter().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether its senders are told what is wrong: they speak a protocol that says what is right.
fn is_strict(entry: &Entry<Body>) -> bool {
    entry.body.unmapped == Unmapped::Refuse || entry.body.protocol == Protocol::Scim || entry.name == "gelf"
}

/// What is polled comes in a page now and in another later.
#[test]
fn an_entry_is_the_same_event_whatever_page_it_comes_in() {
    let duo = |at: u64| json!({"action": "admin_login", "timestamp": at, "username": "ada"});
    let activity = |id: &str| {
        let events = json!([{"type": "login", "name": "login_success"}, {"type": "login", "name": "logout"}]);
        json!({"kind": "admin#reports#activity", "id": {"time": "2026-03-04T05:06:07Z", "uniqueQualifier": id}, "events": events})
    };
    let mosyle = |at: u64| json!({"serial_number": "C02XL0GTJGH5", "date_info": at});
    let intune = |serial: &str| json!({"category": "Devices", "properties": {"SerialNumber": serial}});
    let event = |id: &str| json!({"event_type": "user_create", "service": "directory", "id": id});
    let audit = |id: &str| json!({"id": id, "action": "create", "target_type": "blueprint"});
    for (preset, page, one, other) in [
        ("duo", "items", duo(1_772_600_767), duo(1_772_600_768)),
        ("google-workspace", "items", activity("-1"), activity("-2")),
        ("intune", "records", intune("C02XL0GTJGH5"), intune("C02XL0GTJGH6")),
        ("jumpcloud", "events", event("1"), event("2")),
        ("kandji", "results", audit("1"), audit("2")),
        ("mosyle", "devices", mosyle(1_772_600_767), mosyle(1_772_600_768)),
        ("mosyle-manager", "devices", mosyle(1_772_600_767), mosyle(1_772_600_768)),
    ] {
        let plan = plan(preset);
        let ids = |body: &Value| -> Vec<_> {
            let request = request(Some("application/json"), &BTreeMap::new(), body.to_string().into_bytes());
            plan.rehearse(request, &Serials::default(), &moment()).unwrap().iter().map(|draft| draft.id).collect()
        };
        let alone = ids(&one);
        assert_eq!(ids(&json!({page: [other, one]}))[alone.len()..], alone, "{preset}");
        assert!(ids(&other).iter().all(|id| !alone.contains(id)), "{preset}");
        assert_eq!(BTreeSet::from_iter(alone.iter().map(|id| format!("{id:?}"))).len(), alone.len(), "{preset}");
    }
}

/// Google opens a channel with a message that is all headers.
#[test]
fn a_message_without_a_body_needs_no_content_type() {
    let headers = [("x-goog-resource-state", "sync"), ("x-goog-channel-id", "users")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let drafts = plan("google-workspace").rehearse(request(None, &headers, vec![]), &Serials::default(), &moment());
    let info = json!({"channel": "users", "event": "sync"});
    assert_eq!(plain(&drafts.unwrap()), [json!({"scope": "source", "action": "verification", "info": info})]);
}

/// Every value of `value`, by where it stands, the whole last.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                let key = key.replace('~', "~0").replace('/', "~1");
                places(inner, &format!("{at}/{key}"), found);
            }
        }
        Value::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                places(inner, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
    found.push(at.to_owned());
}
