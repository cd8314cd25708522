//! What sources see the first time they look, as few `device.inventory` events as it fits into.

use emote_proto::{Draft, limits};
use serde_json::{Map, Value};

use crate::vocabulary::Kind;

/// Bytes of one event's parts at most: room is left for what the event says besides.
const MOST: usize = limits::MAX_EVENT * 3 / 4;

/// One `info` object by source, in several events when one would be too large. A list that alone is too large goes on
/// in the next event.
pub(crate) fn drafts(parts: Vec<(&'static str, Value)>) -> Vec<Draft> {
    let mut events: Vec<(Map<String, Value>, usize)> = Vec::new();
    for (name, part) in parts {
        for piece in pieces(part) {
            let size = size(&piece);
            match events.iter_mut().find(|(event, used)| used + size <= MOST && !event.contains_key(name)) {
                Some((event, used)) => {
                    event.insert(name.to_owned(), piece);
                    *used += size;
                }
                None => events.push((Map::from_iter([(name.to_owned(), piece)]), size)),
            }
        }
    }
    events.into_iter().map(|(event, _)| Kind::DeviceInventory.draft(Value::Object(event))).collect()
}

/// `part`, or its longest list in halves until each is small enough.
fn pieces(part: Value) -> Vec<Value> {
    if size(&part) <= MOST {
        return vec![part];
    }
    let Value::Object(object) = &part else { return vec![part] };
    let longest = object.iter().filter_map(|(key, value)| Some((key, value.as_array()?)));
    let Some((key, list)) = longest.max_by_key(|(_, list)| list.len()).filter(|(_, list)| list.len() > 1) else {
        return vec![part];
    };
    let (first, rest) = list.split_at(list.len() / 2);
    let with = |half: &[Value]| {
        let mut object = object.clone();
        object.insert(key.clone(), Value::Array(half.to_vec()));
        Value::Object(object)
    };
    [with(first), with(rest)].into_iter().flat_map(pieces).collect()
}

fn size(value: &Value) -> usize {
    value.to_string().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_usual_inventory_is_one_event() {
        let drafts = drafts(vec![("os", json!({"v": 1})), ("boot", json!({}))]);
        assert_eq!(drafts, [Kind::DeviceInventory.draft(json!({"os": {"v": 1}, "boot": {}}))]);
        assert_eq!(super::drafts(Vec::new()), []);
    }

    #[test]
    fn a_large_one_goes_on_in_the_next_event_and_loses_nothing() {
        let apps: Vec<Value> =
            (0..5_000).map(|n| json!({"n": n, "path": "/Applications/Some.app".repeat(5)})).collect();
        let drafts =
            drafts(vec![("os", json!({"v": 1})), ("apps", json!({"apps": apps, "x": 1})), ("boot", json!({}))]);
        assert!(drafts.len() > 2);
        let infos: Vec<Value> = drafts.into_iter().map(|draft| draft.info.unwrap().into_value()).collect();
        assert!(infos.iter().all(|info| size(info) < limits::MAX_EVENT));
        let mut found: Vec<Value> =
            infos.iter().filter_map(|info| info.pointer("/apps/apps")?.as_array()).flatten().cloned().collect();
        found.sort_by_key(|app| app["n"].as_u64());
        assert_eq!(found, apps);
        assert_eq!(infos.iter().filter(|info| info.get("os").is_some()).count(), 1);
    }
}
