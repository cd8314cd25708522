//! What a local process may emit: any event about this machine, in its own words, but nothing only others may say.

use emote_proto::Draft;
use serde_json::{Map, Value};

use emote_proto::Serial;

/// Checks a draft from outside; the error names the field.
pub fn check(mut draft: Draft, serial: &Serial) -> Result<Draft, String> {
    if draft.cause.is_some() {
        return Err("the field \"cause\": only the broker knows what caused an event".into());
    }
    if draft.trust.is_some() {
        return Err("the field \"trust\": it is set by whoever receives the event".into());
    }
    if draft.id.is_some() {
        return Err("the field \"id\": the agent chooses it and answers with it".into());
    }
    if let Some(source) = draft.source.as_ref().filter(|source| source.as_str() != "agent") {
        return Err(format!("the field \"source\": {source} cannot be said here, only agent"));
    }
    if let Some(uuid) =
        draft.device.as_ref().and_then(|device| device.uuid.as_deref()).filter(|u| *u != serial.as_str())
    {
        return Err(format!("the field \"device.uuid\": {uuid:?} is another device; this one is {serial}"));
    }
    if draft.info.as_ref().is_some_and(|info| !info.is_object()) {
        return Err("the field \"info\": expected an object".into());
    }
    if let Some(id) = draft.user.as_mut().and_then(|user| user.id.as_mut()) {
        *id = id.to_lowercase();
    }
    Ok(draft)
}

/// Reads `k=v` arguments into an object: a value that is a JSON number, `true`, `false` or `null` is that, any other is
/// a string; `k:=json` takes the value as JSON.
pub fn info(arguments: &[String]) -> Result<Option<Value>, String> {
    let mut info = Map::new();
    for argument in arguments {
        let problem = || format!("{argument:?}: write key=value, or key:=JSON");
        let (key, value) = argument.split_once('=').ok_or_else(problem)?;
        let (key, value) = match key.strip_suffix(':') {
            Some(key) => (key, serde_json::from_str(value).map_err(|error| format!("{argument:?}: {error}"))?),
            None => (key, scalar(value)),
        };
        if key.is_empty() {
            return Err(problem());
        }
        if info.insert(key.to_owned(), value).is_some() {
            return Err(format!("{argument:?}: {key:?} is given twice"));
        }
    }
    Ok(if info.is_empty() { None } else { Some(Value::Object(info)) })
}

fn scalar(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(value @ (Value::Number(_) | Value::Bool(_) | Value::Null)) => value,
        _ => Value::String(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_script_may_not_say_what_only_others_know() {
        let serial = Serial::new("C02").unwrap();
        let id = "018bcfe5-687b-7707-8707-070707070707";
        for (field, value, said) in [
            ("source", json!("okta"), "\"source\""),
            ("id", json!(id), "\"id\""),
            ("trust", json!("verified"), "\"trust\""),
            ("device", json!({"uuid": "C03"}), "another device"),
            ("info", json!([1]), "\"info\""),
            ("cause", json!({"event": id, "rule": "r", "target": "t", "root": id, "depth": 1}), "\"cause\""),
        ] {
            let draft = Draft::from_value(json!({"scope": "a", "action": "b", field: value})).unwrap();
            let error = check(draft, &serial).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
        let fine = json!({"scope": "a", "action": "b", "source": "agent", "device": {"uuid": "C02", "udid": "x"},
            "user": {"id": "Ada@Example.com"}, "extra": 1});
        let draft = check(Draft::from_value(fine).unwrap(), &serial).unwrap();
        assert_eq!(draft.user.unwrap().id.as_deref(), Some("ada@example.com"));
    }

    #[test]
    fn values_are_what_they_look_like() {
        let arguments =
            ["n=5", "t=true", "s=5 apples", "q=\"x\"", "e=", "v=1.2.3", "a=b=c", "j:=[1,2]", "z=null", "o={}"];
        let arguments: Vec<String> = arguments.map(str::to_owned).into();
        assert_eq!(
            info(&arguments).unwrap(),
            Some(
                json!({"n": 5, "t": true, "s": "5 apples", "q": "\"x\"", "e": "", "v": "1.2.3", "a": "b=c", "j": [1, 2],
                "z": null, "o": "{}"})
            )
        );
        for bad in [&["x"][..], &["=1"], &[":=1"], &["k:=nope"], &["k=1", "k=2"]] {
            assert!(info(&bad.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()).is_err(), "{bad:?}");
        }
        assert_eq!(info(&[]).unwrap(), None);
    }
}
