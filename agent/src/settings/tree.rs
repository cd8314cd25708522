//! A layer's text as a tree: TOML with the place of each key, or a property list. Pure, for any bytes.

use std::collections::BTreeMap;

use plist::{Dictionary, Value as Plist};
use serde_json::{Map, Value as Json};
use toml::de::{DeTable, DeValue};

use super::problem::cut;
use crate::gather::Gather;
use crate::platform::plist as reader;

/// The domain of managed preferences, and the type of the payload that sets them.
pub const DOMAIN: &str = "io.emote.agent";

/// What a layer says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tree {
    /// By key; tables nest.
    pub values: Map<String, Json>,
    /// Line and column by path with dots, for TOML.
    pub places: BTreeMap<String, String>,
}

impl Tree {
    /// Reads TOML; an error names line and column and none of the text.
    pub fn from_toml(text: &str) -> Result<Self, String> {
        let table = DeTable::parse(text).map_err(|error| {
            let place = error.span().map_or_else(String::new, |span| place(text, span.start) + ": ");
            format!("{place}{}", error.message().lines().next().unwrap_or("it cannot be read"))
        })?;
        let mut tree = Self::default();
        tree.values = tree.table(text, "", table.get_ref());
        Ok(tree)
    }

    /// Reads managed preferences, or a configuration profile that sets them.
    pub fn from_plist(bytes: &[u8]) -> Result<Self, String> {
        let Plist::Dictionary(mut root) = reader::parse(bytes).map_err(|error| error.to_string())? else {
            return Err("expected a dictionary".into());
        };
        if let Some(command) = root.get("Command").and_then(Plist::as_dictionary) {
            let kind = command.get("RequestType").and_then(Plist::as_string).unwrap_or_default();
            return Err(format!(
                "it is a command by which an MDM has something done ({}), no settings: check the profile that it brings",
                cut(kind, 40)
            ));
        }
        if root.get("PayloadType").and_then(Plist::as_string) == Some("Configuration") {
            let ours = |payload: &&Plist| payload_type(payload) == Some(DOMAIN);
            let payload = root.get("PayloadContent").and_then(Plist::as_array).and_then(|all| all.iter().find(ours));
            let payload = payload.and_then(Plist::as_dictionary).cloned();
            root = payload.ok_or_else(|| format!("the profile has no payload of type {DOMAIN}"))?;
        }
        // What describes the payload is among its settings, and may come along into the managed preferences.
        let settings = root.into_iter().filter(|(key, _)| !key.starts_with("Payload"));
        Ok(Self { values: settings.map(|(key, value)| (key, json(value))).gather(), places: BTreeMap::new() })
    }

    /// What is said at a path with dots.
    pub fn get(&self, path: &str) -> Option<&Json> {
        let mut pieces = path.split('.');
        let first = self.values.get(pieces.next()?)?;
        pieces.try_fold(first, |value, piece| value.as_object()?.get(piece))
    }

    /// What the table at a path says, as a tree of its own; empty where there is none.
    pub fn below(&self, path: &str) -> Self {
        let values = self.get(path).and_then(Json::as_object).cloned().unwrap_or_default();
        let prefix = format!("{path}.");
        let place = |(key, place): (&String, &String)| Some((key.strip_prefix(&prefix)?.to_owned(), place.clone()));
        Self { values, places: self.places.iter().filter_map(place).gather() }
    }

    /// As managed preferences: what [`Tree::from_plist`] reads back.
    pub fn to_plist(&self) -> Dictionary {
        dictionary(&self.values)
    }

    /// Says something at a path with dots.
    pub fn set(&mut self, path: &str, value: Json) {
        let (parents, last) = path.rsplit_once('.').unwrap_or(("", path));
        let mut map = &mut self.values;
        for piece in parents.split('.').filter(|piece| !piece.is_empty()) {
            let slot = map.entry(piece).or_insert_with(|| Json::Object(Map::new()));
            if !slot.is_object() {
                *slot = Json::Object(Map::new());
            }
            let Json::Object(next) = slot else { return };
            map = next;
        }
        map.insert(last.to_owned(), value);
    }

    fn table(&mut self, text: &str, path: &str, table: &DeTable<'_>) -> Map<String, Json> {
        let mut map = Map::new();
        for (key, value) in table {
            let path = join(path, key.get_ref());
            self.places.insert(path.clone(), place(text, key.span().start));
            map.insert(key.get_ref().to_string(), self.value(text, &path, value.get_ref()));
        }
        map
    }

    fn value(&mut self, text: &str, path: &str, value: &DeValue<'_>) -> Json {
        match value {
            DeValue::String(text) => Json::from(text.as_ref()),
            DeValue::Integer(number) => {
                i64::from_str_radix(number.as_str(), number.radix()).map_or(Json::Null, Json::from)
            }
            DeValue::Float(number) => number.as_str().parse::<f64>().map_or(Json::Null, Json::from),
            DeValue::Boolean(flag) => Json::Bool(*flag),
            DeValue::Datetime(time) => Json::from(time.to_string()),
            DeValue::Array(items) => items.iter().map(|item| self.value(text, path, item.get_ref())).collect(),
            DeValue::Table(table) => Json::Object(self.table(text, path, table)),
        }
    }
}

/// A path and what is below it.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn payload_type(payload: &Plist) -> Option<&str> {
    payload.as_dictionary()?.get("PayloadType")?.as_string()
}

fn place(text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
    format!("line {line}, column {column}")
}

fn dictionary(map: &Map<String, Json>) -> Dictionary {
    map.iter().filter_map(|(key, value)| Some((key.clone(), plist(value)?))).gather()
}

/// A property list has no null.
fn plist(value: &Json) -> Option<Plist> {
    Some(match value {
        Json::Null => return None,
        Json::Bool(flag) => Plist::Boolean(*flag),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => number.into(),
            (_, Some(number)) => number.into(),
            _ => Plist::Real(number.as_f64()?),
        },
        Json::String(text) => Plist::String(text.clone()),
        Json::Array(items) => Plist::Array(items.iter().filter_map(plist).collect()),
        Json::Object(map) => Plist::Dictionary(dictionary(map)),
    })
}

fn json(value: Plist) -> Json {
    match value {
        Plist::Array(items) => items.into_iter().map(json).collect(),
        Plist::Dictionary(entries) => Json::Object(entries.into_iter().map(|(key, value)| (key, json(value))).gather()),
        Plist::Boolean(flag) => Json::Bool(flag),
        Plist::Real(number) => Json::from(number),
        Plist::Integer(number) => match (number.as_signed(), number.as_unsigned()) {
            (Some(number), _) => number.into(),
            (_, Some(number)) => number.into(),
            _ => Json::Null,
        },
        Plist::String(text) => Json::String(text),
        _ => Json::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn keys_of_a_file_have_their_places() {
        let tree = Tree::from_toml("server = 'tls://a'\n\n[sources.disk]\n  interval = 5\nenabled = true").unwrap();
        assert_eq!(tree.get("sources.disk.interval"), Some(&json!(5)));
        assert_eq!(tree.places["sources.disk.interval"], "line 4, column 3");
        assert_eq!(tree.get("server.x"), None);
        let error = Tree::from_toml("token = 'hunter2'\nserver = hunter2").unwrap_err();
        assert!(error.starts_with("line 2, column ") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_payload_is_its_settings_whether_installed_or_not() {
        let payload =
            "<dict><key>PayloadType</key><string>io.emote.agent</string><key>heartbeat</key><string>1m</string>
            <key>sources</key><dict><key>disk</key><dict><key>enabled</key><false/></dict></dict></dict>";
        let other = "<dict><key>PayloadType</key><string>com.example</string></dict>";
        let installed = Tree::from_plist(format!("<plist>{payload}</plist>").as_bytes()).unwrap();
        assert_eq!(
            Json::from(installed.values.clone()),
            json!({"heartbeat": "1m", "sources": {"disk": {"enabled": false}}})
        );
        let profile = |content: &str| {
            let profile = format!(
                "<plist><dict><key>PayloadType</key><string>Configuration</string>
                <key>PayloadContent</key><array>{content}</array></dict></plist>"
            );
            Tree::from_plist(profile.as_bytes())
        };
        assert_eq!(profile(&format!("{other}{payload}")), Ok(installed));
        assert!(profile(other).unwrap_err().contains("no payload of type io.emote.agent"));
        let command = "<plist><dict><key>Command</key><dict><key>RequestType</key><string>InstallProfile</string>
            <key>Payload</key><data>PHBsaXN0Lz4=</data></dict><key>CommandUUID</key><string>A</string></dict></plist>";
        let told = Tree::from_plist(command.as_bytes()).unwrap_err();
        assert!(told.starts_with("it is a command by which an MDM has something done (InstallProfile)"), "{told}");
    }

    #[test]
    fn a_table_is_a_tree_of_its_own_with_its_places() {
        let tree = Tree::from_toml("a = 1\n[agent]\npoll = '1m'\n[agent.sources.disk]\ninterval = '5m'").unwrap();
        let below = tree.below("agent");
        assert_eq!(Json::from(below.values), json!({"poll": "1m", "sources": {"disk": {"interval": "5m"}}}));
        assert_eq!(below.places["sources.disk.interval"], "line 5, column 1");
        assert_eq!(below.places.get("a"), None);
        assert_eq!((tree.below("a"), tree.below("b")), (Tree::default(), Tree::default()));
    }

    fn values() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            "[^\\p{C}]{0,20}".prop_map(Json::from)
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
                prop::collection::btree_map("[a-z<&]{1,8}", inner, 0..4)
                    .prop_map(|map| Json::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn managed_preferences_are_read_back_as_they_were_said(
            values in prop::collection::btree_map("[a-z_]{1,8}", values(), 0..6)
        ) {
            let tree = Tree { values: values.into_iter().collect(), places: BTreeMap::new() };
            let mut bytes = Vec::new();
            Plist::Dictionary(tree.to_plist()).to_writer_xml(&mut bytes).unwrap();
            prop_assert_eq!(Tree::from_plist(&bytes), Ok(tree));
        }

        #[test]
        fn no_bytes_panic(text: String, bytes: Vec<u8>) {
            drop((Tree::from_toml(&text), Tree::from_plist(&bytes), Tree::from_plist(text.as_bytes())));
        }

        #[test]
        fn what_was_set_is_there(path in "[a-c](\\.[a-c]){0,3}", other in "[a-c](\\.[a-c]){0,3}") {
            let mut tree = Tree::default();
            tree.set(&other, json!(1));
            tree.set(&path, json!(2));
            prop_assert_eq!(tree.get(&path), Some(&json!(2)));
        }
    }
}
