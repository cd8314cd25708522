//! Which layer each value comes from. Pure: layers in, values and problems out.
//!
//! A value that is wrong counts as not said, and the next layer below is asked; what is wrong is told.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::identity;
use super::keys::{self, Context, Key, UNIFIED_LOG};
use super::layer::{Layer, parent};
use super::problem::{Origin, Problem};
use super::proxy::Proxy;
use super::server;
use super::value::{Kind, Value};
use crate::gather::Gather;

/// A value and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// `None` when nobody said anything, and there is no default to put here.
    pub value: Option<Value>,
    /// Which layer said so.
    pub origin: Origin,
    /// For people, without secrets.
    pub shown: String,
}

/// Every key's value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Values(BTreeMap<String, Effective>);

/// One line of `emote-agent config show`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Its name.
    pub key: String,
    /// Without secrets.
    pub value: String,
    /// Which layer said so.
    pub origin: Origin,
}

/// What applies, given layers from the strongest to the weakest.
pub fn evaluate(layers: &[Layer]) -> (Values, Vec<Problem>) {
    let mut problems: Vec<Problem> = layers.iter().filter_map(Layer::problem).collect();
    let names = unified_log(layers, &mut problems);
    let mut keys = keys::all();
    keys.extend(names.keys().flat_map(|name| keys::of_unified_log(name)));
    problems.extend(layers.iter().flat_map(|layer| layer.unknown(&keys)));
    let mut context = Context::default();
    let mut values = Values::default();
    // Whether plain connections are allowed decides which servers are, and they whether there may be a proxy.
    keys.sort_by_key(|key| ["insecure", "server"].iter().position(|first| *first == key.name).unwrap_or(2));
    for key in keys {
        values.0.insert(key.name.to_string(), key_value(&key, layers, context, &mut problems));
        match &*key.name {
            "insecure" => context.insecure = values.flag("insecure"),
            "server" => context.past_proxies = values.texts("server").iter().any(|text| !text.starts_with("wss://")),
            _ => {}
        }
    }
    values.spread_poll();
    for (key, other) in identity::EITHER {
        values.choose((key, other), layers, &mut problems);
    }
    for (name, layer) in names {
        let (table, key) = (format!("{UNIFIED_LOG}.{name}"), format!("{UNIFIED_LOG}.{name}.predicate"));
        if values.value(&key).is_none() && !problems.iter().any(|problem| [&table, &key].contains(&&problem.key)) {
            problems.push(layer.problem_of(&key, "it must be said: nothing is looked for without one"));
        }
    }
    (values, problems)
}

/// The names that are looked for in the unified log, each with the strongest layer that says something of it.
fn unified_log<'a>(layers: &'a [Layer], problems: &mut Vec<Problem>) -> BTreeMap<&'a str, &'a Layer> {
    let mut names = BTreeMap::new();
    for layer in layers {
        for name in layer.names(UNIFIED_LOG).filter(|name| keys::is_name(name)) {
            if names.contains_key(name) {
                continue;
            }
            if names.len() == keys::MOST_UNIFIED_LOG {
                let problem = format!("at most {}, each is a process of its own", keys::MOST_UNIFIED_LOG);
                problems.push(layer.problem_of(&format!("{UNIFIED_LOG}.{name}"), problem).using("the others"));
                return names;
            }
            names.insert(name, layer);
        }
    }
    names
}

fn key_value(key: &Key, layers: &[Layer], context: Context, problems: &mut Vec<Problem>) -> Effective {
    let mut wrong = Vec::new();
    let mut found = None;
    for layer in layers {
        let Some(written) = layer.tree.get(&key.name) else { continue };
        match key.read(written, context) {
            Ok(value) => {
                found =
                    Some(Effective { shown: shown(key, &value, written), value: Some(value), origin: layer.origin });
                break;
            }
            Err(error) => wrong.push(Problem::new(&key.name, layer.origin, layer.place(&key.name), error)),
        }
    }
    let effective = found.unwrap_or_else(|| Effective {
        value: key.default_value(),
        origin: Origin::Default,
        shown: key.default_text().to_owned(),
    });
    let used = match (effective.origin, key.secret) {
        (Origin::Default, _) | (_, false) => format!("{} ({})", effective.shown, effective.origin.words()),
        (origin, true) => format!("what is said by the layer {}", origin.words()),
    };
    problems.extend(wrong.into_iter().map(|problem| problem.using(&used)));
    effective
}

/// For people: as it was written, but for what may be secret.
fn shown(key: &Key, value: &Value, written: &Json) -> String {
    match value {
        // The only lists that may hold a secret are addresses.
        Value::Texts(texts) if key.secret => {
            let servers = texts.iter().filter_map(|text| Some(server::name(&text.parse().ok()?)));
            servers.collect::<Vec<_>>().join(", ")
        }
        // The only text that may lead to a secret is a proxy.
        Value::Text(text) if key.secret => {
            text.parse::<Proxy>().map_or_else(|_| String::new(), |proxy| proxy.to_string())
        }
        Value::Secret(secret) => identity::shown(secret),
        Value::Texts(texts) => texts.join(", "),
        _ if key.kind == Kind::Pem => "certificates".into(),
        _ => written.as_str().map_or_else(|| written.to_string(), str::to_owned),
    }
}

impl Values {
    /// What [`evaluate`] found for a key.
    pub fn get(&self, key: &str) -> Option<&Effective> {
        self.0.get(key)
    }

    /// The keys that differ.
    pub fn changed(&self, older: &Self) -> Vec<String> {
        let keys: BTreeSet<&String> = self.0.keys().chain(older.0.keys()).gather();
        keys.into_iter().filter(|key| self.value(key) != older.value(key)).cloned().collect()
    }

    /// Name and value of every key that has one.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Effective)> {
        self.0.iter().map(|(key, effective)| (key.as_str(), effective))
    }

    /// For people, in the order of the registry.
    pub fn rows(&self) -> Vec<Row> {
        let row = |key: Key| {
            let effective = self.0.get(&*key.name)?;
            Some(Row { key: key.name.into_owned(), value: effective.shown.clone(), origin: effective.origin })
        };
        let more = self.unified_log().into_iter().flat_map(keys::of_unified_log);
        keys::all().into_iter().chain(more).filter_map(row).collect()
    }

    /// The names that are looked for in the unified log.
    pub(super) fn unified_log(&self) -> BTreeSet<&str> {
        let below = |key: &'_ String| Some(key.strip_prefix(UNIFIED_LOG)?.strip_prefix('.')?.len());
        let names = self.0.keys().filter(|key| below(key).is_some());
        names.filter_map(|key| parent(key).split_once('.').map(|(_, name)| name)).gather()
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        if let Value::Text(text) = self.value(key)? { Some(text) } else { None }
    }

    pub(super) fn secret(&self, key: &str) -> Option<&str> {
        if let Value::Secret(secret) = self.value(key)? { Some(secret.expose()) } else { None }
    }

    pub(super) fn texts(&self, key: &str) -> &[String] {
        if let Some(Value::Texts(texts)) = self.value(key) { texts } else { &[] }
    }

    pub(super) fn path(&self, key: &str) -> Option<PathBuf> {
        if let Value::Path(path) = self.value(key)? { Some(path.clone()) } else { None }
    }

    pub(super) fn duration(&self, key: &str) -> Duration {
        if let Some(Value::Duration(duration)) = self.value(key) { *duration } else { Duration::ZERO }
    }

    pub(super) fn size(&self, key: &str) -> u64 {
        if let Some(Value::Size(size)) = self.value(key) { *size } else { 0 }
    }

    pub(super) fn count(&self, key: &str) -> u32 {
        if let Some(Value::Count(count)) = self.value(key) { *count } else { 0 }
    }

    pub(super) fn flag(&self, key: &str) -> bool {
        self.value(key) == Some(&Value::Flag(true))
    }

    fn value(&self, key: &str) -> Option<&Value> {
        self.0.get(key)?.value.as_ref()
    }

    /// The files that must be there: key and path.
    pub(super) fn files(&self) -> Vec<(String, PathBuf)> {
        let files = keys::all().into_iter().filter(|key| key.kind == Kind::File);
        files.filter_map(|key| Some((key.name.to_string(), self.path(&key.name)?))).collect()
    }

    /// Of two keys one is enough: the one that the stronger layer says, or else the second.
    fn choose(&mut self, (one, two): (&str, &str), layers: &[Layer], problems: &mut Vec<Problem>) {
        let origin = |key| self.0.get(key).filter(|said: &&Effective| said.value.is_some()).map(|said| said.origin);
        let (Some(of_one), Some(of_two)) = (origin(one), origin(two)) else { return };
        let (key, other, origin) = if of_one > of_two { (two, one, of_two) } else { (one, two, of_one) };
        let place = layers.iter().filter(|layer| layer.origin == origin).find_map(|layer| {
            layer.tree.get(key)?;
            layer.place(key)
        });
        let problem = Problem::new(key, origin, place, format!("there is {other} too; one of them is enough"));
        problems.push(problem.using(other));
        if let Some(left) = self.0.get_mut(key) {
            *left = Effective { value: None, origin: Origin::Default, shown: "none".into() };
        }
    }

    /// Sources without an interval of their own look as often as `poll` says.
    fn spread_poll(&mut self) {
        let Some(poll) = self.0.get("poll").filter(|poll| poll.value.is_some()).cloned() else { return };
        let intervals = self.0.iter_mut().filter(|(key, _)| key.starts_with("sources.") && key.ends_with(".interval"));
        for (_, interval) in intervals.filter(|(_, interval)| interval.origin == Origin::Default) {
            *interval = poll.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Tree;
    use crate::settings::layer::MOST_UNKNOWN;
    use proptest::prelude::*;
    use serde_json::json;

    fn layer(origin: Origin, toml: &str) -> Layer {
        Layer::new(origin, Tree::from_toml(toml).unwrap())
    }

    #[test]
    fn the_strongest_layer_that_is_right_wins_and_wrong_ones_are_told() {
        let layers = [
            layer(Origin::Managed, "heartbeat = 300\nquota = '2MiB'"),
            layer(Origin::File, "heartbeat = '1m'\nquota = '3MiB'\npoll = '1ms'"),
        ];
        let (values, problems) = evaluate(&layers);
        let said = |key: &str| (values.get(key).unwrap().shown.clone(), values.get(key).unwrap().origin);
        assert_eq!(said("heartbeat"), ("1m".into(), Origin::File));
        assert_eq!(said("quota"), ("2MiB".into(), Origin::Managed));
        assert_eq!(said("insecure"), ("false".into(), Origin::Default));
        assert_eq!(values.get("poll").unwrap().value, None);
        let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "heartbeat: expected a duration such as \"5m\", not a number (managed, line 1, column 1); \
                 used instead: 1m (file)",
                "poll: \"1ms\" is too short: at least 1s (file, line 3, column 1); \
                 used instead: each source its own (default)",
            ]
        );
    }

    #[test]
    fn a_file_that_is_none_of_ours_is_told_in_so_many_words() {
        let many: String = (0..6_000).map(|n| format!("x{n} = 1\n")).collect();
        let (_, problems) = evaluate(&[layer(Origin::File, &many)]);
        assert_eq!(problems.len(), MOST_UNKNOWN);
        assert!(problems[63].problem.ends_with("and 5936 more are not told"), "{}", problems[63]);
    }

    #[test]
    fn keys_that_nobody_knows_are_told_with_what_is_expected() {
        let text =
            "hartbeat = '5m'\n'sources.disk.enabled' = true\n[sources.disc]\nx = 1\n[sources.disk]\nintervall = 1\n
            [sources]\nboot = 1";
        let text = text.replace("\n            [sources]\nboot = 1", "\n[sources.boot]\nenabled.x = 1");
        let (_, problems) = evaluate(&[layer(Origin::File, &text)]);
        let find = |key: &str| problems.iter().find(|problem| problem.key == key).unwrap().to_string();
        assert!(find("hartbeat").contains("no such key; expected one of server, serial, "));
        assert!(find("sources.disc").contains("no such source; expected one of boot, "));
        assert!(find("sources.disk.intervall").contains("expected one of enabled, interval, debounce (file, line 6, "));
        assert!(find("sources.disk.enabled").contains("no such"), "a dot in a name is no path");
        assert!(find("sources.boot.enabled").contains("expected true or false, not a table"));
        assert_eq!(problems.len(), 5);
        let (_, problems) = evaluate(&[layer(Origin::File, "sources = 5")]);
        assert!(problems[0].to_string().starts_with("sources: expected a table of boot, "), "{problems:?}");
    }

    #[test]
    fn plain_servers_need_insecure_from_whatever_layer() {
        let file = layer(Origin::File, "server = 'nats://u:hunter2@a.example.com'");
        let (values, problems) = evaluate(std::slice::from_ref(&file));
        assert_eq!((values.texts("server").len(), problems.len()), (0, 1));
        let (values, problems) = evaluate(&[layer(Origin::Managed, "insecure = true"), file]);
        assert_eq!((values.texts("server").len(), problems.len()), (1, 0));
        assert_eq!(values.get("server").unwrap().shown, "nats://a.example.com:4222");
    }

    #[test]
    fn a_proxy_needs_servers_that_it_leads_to_and_shows_nobody() {
        let proxy = "proxy = 'http://ada:${file:/etc/hunter2}@p:3128'";
        let (values, problems) = evaluate(&[layer(Origin::File, &format!("server = 'wss://a'\n{proxy}"))]);
        assert_eq!((values.get("proxy").unwrap().shown.as_str(), problems), ("http://p:3128", vec![]));
        let (values, problems) = evaluate(&[
            layer(Origin::Managed, "server = 'tls://a'"),
            layer(Origin::File, &format!("server = 'wss://a'\n{proxy}")),
        ]);
        assert_eq!((values.text("proxy"), problems.len()), (None, 1));
        assert!(problems[0].to_string().starts_with("proxy: only wss:// servers"), "{problems:?}");
    }

    #[test]
    fn of_token_and_credentials_the_stronger_layer_is_used_and_the_other_told() {
        let (token, credentials) = ("token_file = '/t'", "credentials = '/c'");
        for (managed, file, left, origin) in [
            (token, credentials, "credentials", Origin::File),
            (credentials, token, "token_file", Origin::File),
            ("token_file = '/t'\ncredentials = '/c'", "", "token_file", Origin::Managed),
        ] {
            let (values, problems) = evaluate(&[layer(Origin::Managed, managed), layer(Origin::File, file)]);
            assert_eq!(values.files().len(), 1, "{managed}");
            assert_eq!((values.path(left), problems.len()), (None, 1), "{managed}");
            assert_eq!((problems[0].key.as_str(), problems[0].layer), (left, origin), "{problems:?}");
            assert!(problems[0].to_string().contains("one of them is enough") && problems[0].place.is_some());
        }
    }

    #[test]
    fn names_of_the_unified_log_are_keys_and_what_is_wrong_with_them_is_told() {
        let said = |text: &str| evaluate(&[layer(Origin::File, text)]);
        let (values, problems) = evaluate(&[
            layer(Origin::Managed, "[unified_log.sudo]\nrate = 5"),
            layer(Origin::File, "[unified_log.sudo]\npredicate = 'p'\nrate = 7\n[unified_log.su]\npredicate = 'q'"),
        ]);
        assert_eq!((problems, values.unified_log()), (vec![], ["su", "sudo"].into()));
        assert_eq!((values.text("unified_log.sudo.predicate"), values.count("unified_log.sudo.rate")), (Some("p"), 5));
        assert_eq!(values.count("unified_log.su.rate"), 60);
        assert_eq!(values.rows().iter().filter(|row| row.key.starts_with("unified_log.")).count(), 4);
        let long = "x".repeat(65);
        for (text, key, told) in [
            ("unified_log = 5", "unified_log", "expected a table of names"),
            ("[unified_log]\nsudo = 5", "unified_log.sudo", "expected a table of predicate, rate"),
            ("[unified_log.sudo]", "unified_log.sudo.predicate", "it must be said"),
            ("[unified_log.sudo]\npredicate = ' '", "unified_log.sudo.predicate", "no predicate"),
            ("[unified_log.sudo]\npredicate = \"a\\u0000\"", "unified_log.sudo.predicate", "no predicate"),
            ("[unified_log.sudo]\npredicate = 'p'\nrate = 0", "unified_log.sudo.rate", "from 1 to 6000"),
            ("[unified_log.sudo]\npredicate = 'p'\nrat = 1", "unified_log.sudo.rat", "expected one of predicate, rate"),
            ("[unified_log.'a.b']\npredicate = 'p'", "unified_log.a.b", "without dots"),
            (&format!("[unified_log.{long}]\npredicate = 'p'"), &format!("unified_log.{long}"), "of 1 to 64 bytes"),
        ] {
            let problems = said(text).1;
            assert_eq!(problems.len(), 1, "{text}: {problems:?}");
            assert!(problems[0].key == key && problems[0].problem.contains(told), "{text}: {problems:?}");
        }
        let many: String = (0..10).map(|n| format!("[unified_log.x{n}]\npredicate = 'p'\n")).collect();
        let (values, problems) = said(&many);
        assert_eq!((values.unified_log().len(), problems.len()), (8, 1));
        assert!(problems[0].key == "unified_log.x8" && problems[0].problem.contains("at most 8"), "{problems:?}");
        let none = said("").0;
        assert_eq!(none.changed(&values).len(), 16, "what is gone has changed too");
        assert_eq!(none.changed(&values), values.changed(&none));
    }

    #[test]
    fn sources_without_an_interval_of_their_own_follow_poll() {
        let (values, _) = evaluate(&[layer(Origin::File, "poll = '7s'\n[sources.disk]\ninterval = '9s'")]);
        assert_eq!(values.duration("sources.disk.interval").as_secs(), 9);
        assert_eq!(values.duration("sources.boot.interval").as_secs(), 7);
        assert_eq!(values.get("sources.boot.interval").unwrap().origin, Origin::File);
    }

    fn value() -> impl Strategy<Value = Json> {
        prop_oneof![
            Just(json!(["://hunter2@"])),
            Just(json!("nats://hunter2@a.example.com")),
            Just(json!(["tls://a", "ws://x:hunter2@b", "hunter2:"])),
            Just(json!({"hunter2": 1})),
            Just(json!(5)),
            Just(json!("tls://ok:hunter2@c")),
            Just(json!("/hunter2")),
        ]
    }

    proptest! {
        #[test]
        fn no_problem_holds_the_value_of_a_secret_adjacent_key(high in value(), low in value()) {
            for key in keys::all().into_iter().filter(|key| key.secret) {
                let layers = [(Origin::Managed, &high), (Origin::File, &low)].map(|(origin, value)| {
                    let mut tree = Tree::default();
                    tree.set(&key.name, value.clone());
                    Layer::new(origin, tree)
                });
                let (values, problems) = evaluate(&layers);
                let told = serde_json::to_string(&problems).unwrap();
                prop_assert!(!told.contains("hunter2"), "{}", told);
                prop_assert!(key.kind == Kind::File || !values.get(&key.name).unwrap().shown.contains("hunter2"));
            }
        }

        #[test]
        fn every_key_has_a_value_or_says_what_it_means_instead(text in "[a-z]{1,9} = ('[a-z0-9]{0,5}'|[1-9]{1,3}|true)") {
            let (values, _) = evaluate(&[layer(Origin::File, &text)]);
            for key in keys::all() {
                let effective = values.get(&key.name).unwrap();
                prop_assert!(!effective.shown.is_empty());
                prop_assert!(effective.value.is_some() || matches!(key.default, keys::Fallback::Means(_)));
            }
        }
    }
}
