//! A target file that names a preset: what the catalogue says of it, with the file's own settings and fields.

use std::collections::BTreeMap;

use emote_proto::Name;
use serde_json::{Map, Value};

use super::{
    KINDS,
    catalog::{self, Action, Body},
};
use crate::{
    catalog::Entry,
    config::{Problem, Problems, fields::expected, nearest},
};

/// The keys that only a file with a preset has.
const OWN: [&str; 3] = ["preset", "action", "settings"];

/// The whole of a target, and where each of its fields comes from.
#[derive(Debug, Clone, Default)]
pub(super) struct Expanded {
    /// The fields as if the file had said all of them.
    pub(super) map: Map<String, Value>,
    origins: Origins,
}

/// Where a problem with a field is to be told: where somebody can do something about it.
#[derive(Debug, Clone, Default)]
pub(super) struct Origins {
    /// The preset, if there is one.
    preset: Option<&'static str>,
    /// Fields that the file itself says.
    own: Vec<String>,
    /// Fields that the catalogue says, the settings in them still to be filled in.
    template: Map<String, Value>,
}

/// What `map` says together with its preset, if it names one; None where that cannot be said.
pub(super) fn expand(map: &Map<String, Value>, target: &Name, problems: &mut Problems) -> Option<Expanded> {
    let Some(preset) = map.get("preset").filter(|preset| !preset.is_null()) else {
        if map.contains_key("action") {
            problems.add("action", "is for targets with a preset: name one, such as preset: jamf-pro");
            return None;
        }
        return Some(Expanded { map: map.clone(), origins: Origins::default() });
    };
    let entry = found(preset, problems)?;
    if map.contains_key("kind") {
        problems.add("kind", format!("the preset {} says it: leave it out", entry.name));
    }
    let file = format!("targets/{target}.yaml");
    let settings = settings(map, problems);
    let action = action(entry, map.get("action"), problems);
    let settings = settings.filter(|settings| entry.card.check((entry.name, &file), settings, (None, ""), problems));
    let (action, settings) = (action?, settings?);
    if let Some((name, action)) = action {
        let missing = action.needs.iter().filter(|need| !settings.contains_key(*need));
        let before = problems.iter().count();
        for need in missing {
            let setting = entry.card.settings.get(need);
            let (about, example) = setting.map_or(("", ""), |setting| (&setting.about, &setting.example));
            problems.add(
                format!("settings.{need}"),
                format!("the action {name} needs it: {about} Write `{need}: {example}` under `settings` in {file}."),
            );
        }
        if problems.iter().count() > before {
            return None;
        }
        if action.destructive && map.get("destructive") == Some(&Value::Bool(false)) {
            problems.add(
                "destructive",
                format!(
                    "{name} of {} destroys, whatever a file says: leave this out, and say how much with guard",
                    entry.name
                ),
            );
            return None;
        }
    }
    Some(merged(entry, action.map(|(_, action)| action), map, &settings))
}

fn found(preset: &Value, problems: &mut Problems) -> Option<&'static Entry<Body>> {
    let Some(name) = preset.as_str() else {
        problems.add("preset", expected("a text", preset));
        return None;
    };
    let entry = catalog::find(name);
    if entry.is_none() {
        let names = catalog::all().iter().map(|entry| entry.name);
        problems.add("preset", format!("unknown preset: {}", nearest::one_of(name, names)));
    }
    entry
}

fn settings(map: &Map<String, Value>, problems: &mut Problems) -> Option<BTreeMap<String, Value>> {
    match map.get("settings") {
        None | Some(Value::Null) => Some(BTreeMap::new()),
        Some(Value::Object(map)) => {
            Some(map.iter().filter(|(_, value)| !value.is_null()).map(|(k, v)| (k.clone(), v.clone())).collect())
        }
        Some(other) => {
            problems.add("settings", expected("an object", other));
            None
        }
    }
}

/// What it is to do; nothing where the preset does one thing only.
#[expect(clippy::option_option, reason = "a problem is another thing than an entry without actions")]
fn action(
    entry: &'static Entry<Body>,
    said: Option<&Value>,
    problems: &mut Problems,
) -> Option<Option<(&'static str, &'static Action)>> {
    let actions = &entry.body.actions;
    let names = || actions.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    match said.filter(|said| !said.is_null()) {
        None if actions.is_empty() => Some(None),
        None => {
            problems.add("action", format!("is missing: {} can do {}", entry.name, names()));
            None
        }
        Some(_) if actions.is_empty() => {
            problems.add("action", format!("{} does one thing only: leave it out", entry.name));
            None
        }
        Some(said) => {
            let found = said.as_str().and_then(|said| actions.get_key_value(said));
            if found.is_none() {
                problems.add("action", format!("{} can do {}", entry.name, names()));
            }
            found.map(|(name, action)| Some((name.as_str(), action)))
        }
    }
}

fn merged(
    entry: &'static Entry<Body>,
    action: Option<&Action>,
    own: &Map<String, Value>,
    settings: &BTreeMap<String, Value>,
) -> Expanded {
    let mut template = entry.body.target.clone();
    if let Some(action) = action {
        template.extend(action.fields.clone());
    }
    let mut origins = Origins { preset: Some(entry.name), own: Vec::new(), template: template.clone() };
    let mut map = match entry.card.fill(&Value::Object(template), settings) {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    map.insert("kind".to_owned(), entry.body.kind.clone().into());
    if KINDS.iter().any(|kind| kind.name == entry.body.kind && kind.sees_settings) {
        map.insert("settings".to_owned(), Value::Object(plain(entry, settings)));
    }
    for (key, value) in own.iter().filter(|(key, _)| !OWN.contains(&key.as_str())) {
        origins.own.push(key.clone());
        map.insert(key.clone(), value.clone());
    }
    if action.is_some_and(|action| action.destructive) {
        map.insert("destructive".to_owned(), true.into());
    }
    Expanded { map, origins }
}

/// The settings that are no secrets, with those that were not said as they are by default.
fn plain(entry: &Entry<Body>, settings: &BTreeMap<String, Value>) -> Map<String, Value> {
    let open = entry.card.settings.iter().filter(|(_, setting)| !setting.secret);
    let values = open
        .filter_map(|(name, setting)| Some((name.clone(), settings.get(name).or(setting.default.as_ref())?.clone())));
    values.collect()
}

impl Expanded {
    /// The fields and where they come from.
    pub(super) fn parts(self) -> (Map<String, Value>, Origins) {
        (self.map, self.origins)
    }
}

impl Origins {
    /// The problems at places that the file has.
    pub(super) fn place(&self, found: Problems) -> Problems {
        let Some(preset) = self.preset else { return found };
        let mut placed = Problems::default();
        for problem in found {
            let top = problem.path.split(['.', '[']).next().unwrap_or_default().to_owned();
            match self.template.get(&top).filter(|_| !self.own.contains(&top)) {
                Some(value) => match setting_in(value, &problem) {
                    Some(setting) => placed.add_moved(format!("settings.{setting}"), problem),
                    None => placed.add("preset", format!("{preset}: {}: {}", problem.path, problem.message)),
                },
                None if problem.steps.is_empty() => placed.add_moved(problem.path.clone(), problem),
                None => placed.add_at(problem.path, problem.steps, problem.message),
            }
        }
        placed
    }
}

/// The first setting in what the catalogue says at the problem's place, or in as much of it as is there.
fn setting_in(top: &Value, problem: &Problem) -> Option<String> {
    let steps = problem.path.split('.').skip(1);
    let at = steps.scan(top, |value, key| {
        *value = value.get(key)?;
        Some(*value)
    });
    let text = at.last().unwrap_or(top).to_string();
    let (_, behind) = text.split_once("${setting:")?;
    behind.split_once('}').map(|(name, _)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{lines, problems, validate};

    const JAMF: &str =
        "preset: jamf-pro\nsettings: {url: https://x.example, client_id: '${env:A}', client_secret: '${env:B}'";

    #[test]
    fn a_preset_is_a_target_with_settings_and_fields_of_its_own() {
        let target = validate(&format!("{JAMF}}}\naction: restart\nguard: {{limit: 2}}\ntimeout: 30s")).unwrap();
        assert_eq!((target.kind, target.delivery.timeout.as_secs()), ("http", 30));
        assert_eq!(target.policy.guard.map(|guard| guard.limit), Some(2));
        let target = validate(&format!("{JAMF}}}\naction: push\nbody: '{{own: true}}'")).unwrap();
        assert_eq!(target.policy.guard, None);
        assert!(validate(&format!("{JAMF}}}\naction: push\ndestructive: true")).unwrap().policy.guard.is_some());
    }

    #[test]
    fn what_is_wrong_is_told_where_the_file_says_it() {
        for (yaml, expected) in [
            ("preset: 3".to_owned(), "preset: expected a text, found a number"),
            ("preset: jamf".to_owned(), "preset: unknown preset: did you mean jamf-pro? There are "),
            ("kind: http\nurl: https://x\naction: lock".to_owned(), "action: is for targets with a preset"),
            (format!("{JAMF}}}"), "action: is missing: jamf-pro can do asset_tag, "),
            (format!("{JAMF}}}\naction: explode"), "action: jamf-pro can do asset_tag, "),
            (format!("{JAMF}}}\naction: push\nkind: http"), "kind: the preset jamf-pro says it: leave it out"),
            (
                format!("{JAMF}}}\naction: restart\ndestructive: false"),
                "destructive: restart of jamf-pro destroys, whatever",
            ),
            (
                format!("{JAMF}}}\naction: lock"),
                "settings.pin_key: the action lock needs it: What PINs are derived from, 16 random characters at least; for lock, lock_classic and erase. Write `pin_key: ${file:/etc/emote/pin.key}` under `settings` in targets/the-target.yaml.",
            ),
            (
                format!("{JAMF}, secret: x}}\naction: push"),
                "settings.secret: jamf-pro has no such setting; it has client_id, ",
            ),
            ("preset: jamf-pro\naction: push".to_owned(), "settings.client_id: Jamf Pro: The API client's ID. Write"),
            (
                "preset: kandji\naction: push\nsettings: {url: 'http://x.example', token: '${env:A}'}".to_owned(),
                "settings.url: plain http",
            ),
            (
                "preset: kandji\naction: push\nsettings: {url: 'https://x.example', token: hunter2}".to_owned(),
                "settings.token: a secret is given by reference",
            ),
            ("preset: kandji\naction: push\nsettings: x".to_owned(), "settings: expected an object, found a text"),
            (format!("{JAMF}}}\naction: push\nbody: '{{'"), "body: line 1"),
            (format!("{JAMF}}}\naction: push\nbdoy: x"), "bdoy: unknown key"),
            (format!("{JAMF}}}\naction: push\nbatch: {{max: 3}}"), "batch: a request for several jobs"),
        ] {
            let found = problems(&yaml);
            assert!(found.starts_with(expected), "{yaml}: {found}");
        }
    }

    #[test]
    fn a_secret_that_is_not_there_is_told_at_its_setting() {
        let yaml = format!("{}\naction: push", JAMF.replace("env:B", "file:no") + "}");
        let found = lines(validate(&yaml).unwrap().resolve(std::path::Path::new("/nowhere")).err().unwrap());
        assert!(found.contains("settings.client_secret: the secret file /nowhere/no cannot be read"), "{found}");
        let yaml = "preset: kandji\naction: push\nsettings: {url: https://x.example, token: '${file:no}'}";
        let found = lines(validate(yaml).unwrap().resolve(std::path::Path::new("/nowhere")).err().unwrap());
        assert!(found.starts_with("settings.token: the secret file /nowhere/no cannot be read"), "{found}");
    }
}
