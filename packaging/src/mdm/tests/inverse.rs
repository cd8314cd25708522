//! Profiles and the agent's reader of managed preferences are inverses.

use emote_agent::settings::{Layer, Origin, Tree, evaluate, keys};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{file, made};
use crate::mdm::Kind;
use crate::mdm::settings::tests::{parse, token};

/// Settings that an agent takes: some of its keys, each with its default or its example.
fn agent_settings() -> impl Strategy<Value = Tree> {
    let known: Vec<_> = keys::all()
        .into_iter()
        .chain(keys::of_unified_log("sudo"))
        .filter(|key| !["token_file", "enrollment_token_file", "serial"].contains(&&*key.name))
        .map(|key| {
            let default = match &key.default {
                keys::Fallback::Is(text) => text.to_string(),
                keys::Fallback::Means(_) => key.example.to_string(),
            };
            (key.name.to_string(), [key.kind.json(&key.example), key.kind.json(&default)])
        })
        .collect();
    let count = known.len();
    const TEXTS: &[&str] = &["unified_log.a & <b>.predicate", "state_dir"];
    (
        prop::sample::subsequence(known, 0..count),
        any::<bool>(),
        prop::collection::vec((prop::sample::select(TEXTS), "[^\\p{C}\\\\]{0,40}[a-z\"'<&>ä\u{1F600}]"), 0..3),
    )
        .prop_map(|(keys, which, texts)| {
            let mut tree = Tree::default();
            for (name, values) in keys {
                tree.set(&name, values[usize::from(which)].clone());
            }
            for (name, text) in texts {
                tree.set(name, text.into());
            }
            if tree.get("unified_log.sudo").is_some() {
                tree.set("unified_log.sudo.predicate", "process == \"sudo\" && a < b".into());
            }
            tree
        })
}

/// A tree as TOML, table by table.
fn toml(tree: &Tree, table: &str) -> String {
    let (mut keys, mut tables) = (String::new(), String::new());
    for (key, value) in &tree.values {
        match value {
            Json::Object(map) => {
                let below = Tree { values: map.clone(), ..Tree::default() };
                tables += &toml(&below, &format!("{table}.{}", json!(key)));
            }
            // What JSON writes of texts, lists and numbers is TOML.
            value => keys += &format!("{key} = {value}\n"),
        }
    }
    format!("[{table}]\n{keys}{tables}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_agent_reads_from_a_profile_exactly_what_was_said(agent in agent_settings()) {
        let folder = tempfile::tempdir().unwrap();
        let mut agent = agent;
        let token_line = agent.get("enrollment_token").cloned();
        agent.values.remove("enrollment_token");
        let mut text = "organization = 'Example <&> Corp'\n".to_owned();
        if token_line.is_some() {
            let path = folder.path().join("t");
            std::fs::write(&path, token()).unwrap();
            std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            text += "enrollment.token = '${file:t}'\n";
        }
        text += &toml(&agent, "agent");
        let settings = parse(&text, folder.path()).map_err(|told| TestCaseError::fail(format!("{told}\n{text}")))?;
        if let Some(token) = token_line {
            agent.set("enrollment_token", token);
        }
        for single in [false, true] {
            let made = made(&settings, None, single, &[Kind::Settings]).unwrap();
            let read = Tree::from_plist(file(&made, "emote-agent.mobileconfig")).unwrap();
            prop_assert_eq!(&read.values, &agent.values);
            let (values, problems) = evaluate(&[Layer::new(Origin::Managed, read)]);
            prop_assert_eq!(problems, vec![]);
            let managed = values.iter().filter(|(_, value)| value.origin == Origin::Managed).map(|(key, _)| key);
            for key in managed {
                prop_assert!(agent.get(key).is_some() || agent.get("poll").is_some(), "{} was not said", key);
            }
        }
    }
}
