use std::collections::BTreeSet;

use emote_agent::settings::{Tree, keys};

use super::*;
use crate::mdm::settings::tests::{GOOD, folder, parse};
use crate::mdm::tests::{file, made};

#[test]
fn jamfs_schema_is_one_and_takes_what_the_agent_takes() {
    let folder = folder();
    let settings = parse(GOOD, folder.path()).unwrap();
    let found = made(&settings, None, false, &[Kind::Jamf]).unwrap();
    let schema: Json = serde_json::from_slice(file(&found, "io.emote.agent.json")).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let mut tree = Tree::default();
    for key in keys::all().iter().chain(&keys::of_unified_log("sudo")) {
        tree.set(&key.name, key.kind.json(&key.example));
    }
    let all = Json::Object(tree.values.clone());
    assert_eq!(validator.iter_errors(&all).map(|error| error.to_string()).collect::<Vec<_>>(), [""; 0]);
    for (path, wrong) in [
        ("insecure", json!("yes")),
        ("heartbeat", json!(5)),
        ("quota", json!("much!")),
        ("server", json!("tls://a")),
        ("unified_log.sudo.rate", json!(0)),
        ("sources.disk.enabled", json!("on")),
    ] {
        let mut tree = tree.clone();
        tree.set(path, wrong);
        assert!(!validator.is_valid(&Json::Object(tree.values)), "{path}");
    }
    // What is not configured is null, and nothing is written by itself.
    assert!(validator.is_valid(&json!({"heartbeat": null, "insecure": null})));
    fn walk(schema: &Json, path: &str, keys: &mut BTreeSet<String>) {
        assert!(schema.get("default").is_none(), "{path}");
        let below = schema.get("properties").and_then(Json::as_object);
        if below.is_none() && !path.is_empty() {
            keys.insert(path.to_owned());
        }
        for (key, schema) in below.into_iter().flatten() {
            for must in ["title", "description", "property_order"] {
                assert!(schema.get(must).is_some(), "{path}.{key} has no {must}");
            }
            walk(schema, &if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, keys);
        }
    }
    let mut found = BTreeSet::new();
    walk(&schema, "", &mut found);
    let mut expected: BTreeSet<String> = keys::all().iter().map(|key| key.name.to_string()).collect();
    expected.insert(keys::UNIFIED_LOG.to_owned());
    assert_eq!(found, expected);
}
