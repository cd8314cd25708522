//! From a resource as it was and as it is to events: one for what became of a user's access, one for the rest of what
//! changed, one for each member that came or went.

use std::collections::{BTreeMap, BTreeSet};

use emote_proto::Time;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::kind::{ENTERPRISE, Kind};

type Object = Map<String, Value>;

/// Longest user id that can be a node's.
const MAX_USER_ID: usize = 128;

/// What a request does to a resource.
#[derive(Debug)]
pub(super) struct Change<'a> {
    pub(super) kind: Kind,
    /// Not known where a request is only tried out.
    pub(super) id: Option<&'a str>,
    /// None where it was not there.
    pub(super) before: Option<&'a Object>,
    /// None where it is not there any more.
    pub(super) after: Option<&'a Object>,
    pub(super) password: bool,
    /// `PATCH`
    pub(super) method: &'a str,
    /// The revision that it changes, and when; none where a request is only tried out.
    pub(super) at: Option<(u64, Time)>,
    /// Members that are known, by id.
    pub(super) people: &'a BTreeMap<String, Object>,
}

/// The ids of members that only one of the two has.
pub(super) fn members_of(before: Option<&Object>, after: Option<&Object>) -> BTreeSet<String> {
    let (before, after) = (members(before), members(after));
    let only = |these: &BTreeMap<String, Value>, those: &BTreeMap<String, Value>| -> Vec<String> {
        these.keys().filter(|id| !those.contains_key(*id)).cloned().collect()
    };
    only(&before, &after).into_iter().chain(only(&after, &before)).collect()
}

fn members(group: Option<&Object>) -> BTreeMap<String, Value> {
    let list = group.and_then(|group| group.get("members")?.as_array());
    let pair = |member: &Value| Some((member.get("value")?.as_str()?.to_owned(), member.clone()));
    list.into_iter().flatten().filter_map(pair).collect()
}

impl Change<'_> {
    /// In the shape that a map gives: each with its `event_id`.
    pub(super) fn events(&self) -> Vec<Value> {
        let events = match self.kind {
            Kind::User => self.of_user(),
            Kind::Group => self.of_group(),
        };
        events.into_iter().map(|event| self.completed(event)).collect()
    }

    fn completed(&self, mut event: Value) -> Value {
        event["info"]["event"] = Value::from(format!("{} /{}", self.method, self.kind.endpoint()));
        let Some((revision, time)) = self.at else { return event };
        let content = data_encoding::HEXLOWER.encode(&Sha256::digest(event.to_string()));
        event["event_id"] = Value::from(format!("scim {} {revision} {content}", self.id.unwrap_or_default()));
        event["time"] = Value::from(time.to_string());
        event
    }

    fn of_user(&self) -> Vec<Value> {
        let person = |user: &Object| person(user, self.id);
        let event = |action: &str, user: &Object, info: Value| json!({"scope": "user", "action": action, "user": person(user), "info": info});
        let (before, after) = match (self.before, self.after) {
            (None, None) => return Vec::new(),
            (None, Some(after)) => return vec![event("created", after, json!({"attributes": attributes(after)}))],
            (Some(before), None) => return vec![event("deleted", before, json!({}))],
            (Some(before), Some(after)) => (before, after),
        };
        let mut events = Vec::new();
        let active = |user: &Object| user.get("active").and_then(Value::as_bool).unwrap_or(true);
        match (active(before), active(after)) {
            (true, false) => events.push(event("deactivated", after, json!({}))),
            (false, true) => events.push(event("activated", after, json!({}))),
            _ => {}
        }
        let mut changes = changes(before, after);
        changes.remove("active");
        if !changes.is_empty() {
            let mut info = json!({"changes": changes});
            let (old, new) = (person(before), person(after));
            if old.get("id").is_some_and(|id| Some(id) != new.get("id")) {
                info["previous_id"] = old["id"].clone();
            }
            events.push(event("updated", after, info));
        }
        if self.password {
            events.push(event("password_changed", after, json!({})));
        }
        events
    }

    fn of_group(&self) -> Vec<Value> {
        let Some(named) = self.after.or(self.before) else { return Vec::new() };
        let info = || {
            let mut info = Map::new();
            insert(&mut info, "group", named.get("displayName"));
            insert(&mut info, "external_id", named.get("externalId"));
            insert(&mut info, "group_id", self.id.map(Value::from).as_ref());
            Value::Object(info)
        };
        let event = |action: &str, info: Value| json!({"scope": "group", "action": action, "info": info});
        let Some(after) = self.after else { return vec![event("deleted", info())] };
        let mut events = Vec::new();
        match self.before {
            None => {
                let mut said = info();
                let mut rest = attributes(after);
                rest.retain(|name, _| !["displayName", "externalId", "members"].contains(&name.as_str()));
                if !rest.is_empty() {
                    said["attributes"] = Value::Object(rest);
                }
                events.push(event("created", said));
            }
            Some(before) => {
                let mut changes = changes(before, after);
                changes.remove("members");
                if !changes.is_empty() {
                    let mut said = info();
                    said["changes"] = Value::Object(changes);
                    events.push(event("updated", said));
                }
            }
        }
        let (old, new) = (members(self.before), members(Some(after)));
        let gone = old.iter().filter(|(id, _)| !new.contains_key(*id)).map(|member| ("member_removed", member));
        let come = new.iter().filter(|(id, _)| !old.contains_key(*id)).map(|member| ("member_added", member));
        for (action, (id, member)) in gone.chain(come) {
            let mut event = event(action, info());
            event["user"] = match self.people.get(id) {
                Some(user) => Value::Object(person(user, Some(id))),
                None => Value::Object(stranger(id, member)),
            };
            events.push(event);
        }
        events
    }
}

fn insert(map: &mut Object, name: &str, value: Option<&Value>) {
    if let Some(value) = value.filter(|value| !value.is_null() && *value != "") {
        map.insert(name.to_owned(), value.clone());
    }
}

/// A user as events name them.
fn person(user: &Object, id: Option<&str>) -> Object {
    let text = |name: &str| user.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let part = |name: &str| user.get("name").and_then(|names| names.get(name)?.as_str());
    let mut person = Map::new();
    let user_name = text("userName");
    let address = user_name.filter(|name| name.contains('@')).or_else(|| email(user)).or(user_name);
    if let Some(address) = address.map(str::to_lowercase).filter(|address| address.len() <= MAX_USER_ID) {
        person.insert("id".to_owned(), Value::from(address));
    }
    let both = match (part("givenName"), part("familyName")) {
        (Some(given), Some(family)) => Some(format!("{given} {family}")),
        (one, other) => one.or(other).map(str::to_owned),
    };
    let name = text("displayName").or_else(|| part("formatted")).map(str::to_owned).or(both);
    insert(&mut person, "name", name.map(Value::from).as_ref());
    insert(&mut person, "email", email(user).map(|email| Value::from(email.to_lowercase())).as_ref());
    insert(&mut person, "external_id", user.get("externalId"));
    insert(&mut person, "scim_id", id.map(Value::from).as_ref());
    person
}

/// The primary address, else that of work, else the first.
fn email(user: &Object) -> Option<&str> {
    let all: Vec<_> = user.get("emails")?.as_array()?.iter().filter(|email| email.get("value").is_some()).collect();
    let primary = all.iter().find(|email| email.get("primary") == Some(&Value::from(true)));
    let work = || all.iter().find(|email| email.get("type").is_some_and(|kind| kind == "work"));
    let email = primary.or_else(work).or_else(|| all.first())?;
    email.get("value")?.as_str().filter(|address| address.contains('@'))
}

/// A member of whom nothing is kept here.
fn stranger(id: &str, member: &Value) -> Object {
    let mut person = Map::new();
    let display = member.get("display").and_then(Value::as_str).filter(|display| !display.is_empty());
    match display {
        Some(address) if address.contains('@') && !address.contains(' ') && address.len() <= MAX_USER_ID => {
            person.insert("id".to_owned(), Value::from(address.to_lowercase()));
        }
        Some(name) => insert(&mut person, "name", Some(&Value::from(name))),
        None => {}
    }
    person.insert("scim_id".to_owned(), Value::from(id));
    person
}

/// A resource's attributes, those of the enterprise extension among the others.
fn attributes(resource: &Object) -> Object {
    let mut attributes = Map::new();
    for (name, value) in resource {
        match value {
            Value::Object(extension) if name == ENTERPRISE => attributes.extend(extension.clone()),
            value => drop(attributes.insert(name.clone(), value.clone())),
        }
    }
    attributes
}

/// What differs, by attribute: `{from, to}`.
fn changes(before: &Object, after: &Object) -> Object {
    let (before, after) = (attributes(before), attributes(after));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differs = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    let change = |name: &String| {
        let mut change = Map::new();
        insert(&mut change, "from", before.get(name));
        insert(&mut change, "to", after.get(name));
        (name.clone(), Value::Object(change))
    };
    differs.map(change).collect()
}
