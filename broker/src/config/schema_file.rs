//! `schemas/<scope>.yaml`: the JSON Schema (2020-12) of a scope of one's own, or of a built-in one in place of what is
//! built in. It is part of the set of rules, for sources that say `schema: report` or `enforce` are held to it.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::{
    Problems, Report,
    documents::{Files, SCHEMAS, each},
};
use crate::schema::events::{self, Vocabulary};

/// The schemas of a configuration over those that are built in; none where it has none, or wrong ones, which are told.
pub(super) fn read_all(files: Files<'_>, report: &mut Report) -> Option<Arc<Vocabulary>> {
    let own: BTreeMap<String, Value> = each(files, SCHEMAS, report, |document, problems| {
        let scope = document.name.as_str();
        let schema = Value::Object(document.map.clone());
        check(scope, &schema, problems).map(|()| (scope.to_owned(), schema))
    })
    .into_iter()
    .collect();
    if own.is_empty() {
        return None;
    }
    Vocabulary::of(own).ok().map(Arc::new)
}

fn check(scope: &str, schema: &Value, problems: &mut Problems) -> Option<()> {
    if scope == events::ANY {
        problems.add("", "what every event has is not for a configuration to say: name a scope");
        return None;
    }
    if let Err(error) = emote_proto::Token::new(scope) {
        problems.add("", format!("the file's name is a scope: {error}"));
        return None;
    }
    let compiled = events::compile(schema).map_err(|error| format!("not a JSON Schema that can be used: {error}"));
    problems.take("", compiled.map(drop))
}

#[cfg(test)]
mod tests {
    use crate::config::{Folder, Set};

    #[test]
    fn schemas_of_ones_own_are_of_the_set_and_sources_are_held_to_them() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("emote.yaml", "{}\n");
        write("schemas/coffee.yaml", "$ref: urn:emote:event\nproperties: {info: {required: [cups]}}\n");
        let loaded = Folder::load(folder.path()).unwrap_or_else(|report| panic!("{report}"));
        let vocabulary = loaded.vocabulary.unwrap();
        let event = |info| serde_json::json!({"scope": "coffee", "action": "brewed", "info": info});
        assert!(vocabulary.check(&event(serde_json::json!({"cups": 1}))).is_none());
        assert!(vocabulary.check(&event(serde_json::json!({}))).is_some_and(|verdict| verdict.schema == "coffee"));
        let set = Set::read(folder.path()).unwrap();
        assert!(set.text("schemas/coffee.yaml").is_some());
        for (path, text, said) in [
            ("schemas/tea.yaml", "type: cup\n", "schemas/tea.yaml:1:1: not a JSON Schema that can be used"),
            ("schemas/tea.yaml", "$ref: https://example.com/tea.json\n", "schemas/tea.yaml:1:1: not a JSON Schema"),
            ("schemas/tea-time.yaml", "{}\n", "schemas/tea-time.yaml:1:1: the file's name is a scope"),
            ("schemas/event.yaml", "{}\n", "schemas/event.yaml:1:1: what every event has"),
        ] {
            write(path, text);
            let told = Folder::load(folder.path()).err().map(|report| report.to_string()).unwrap_or_default();
            assert!(told.contains(said), "{told}");
            std::fs::remove_file(folder.path().join(path)).unwrap();
        }
    }
}
