//! What CONTRIBUTING shows is an entry, and its fixture passes.

use super::*;

fn blocks() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../CONTRIBUTING.md")).unwrap();
    let blocks = text.split("```yaml\n# ").skip(1).map(|block| block.split("```").next().unwrap());
    let named = blocks.map(|block| block.split_once('\n').unwrap());
    named.map(|(file, yaml)| (file.to_owned(), yaml.to_owned())).collect()
}

#[test]
fn the_vendor_of_contributing_is_an_entry_in_ten_lines() {
    let blocks = blocks();
    let yaml = &blocks["broker/catalog/sources/acme.yaml"];
    assert!(yaml.lines().count() <= 10, "{yaml}");
    let entry = catalog::read::<Body>("acme", yaml).unwrap();
    assert_eq!(entry.needs(), ["secret"]);
    let mut own: Map<String, Value> = serde_saphyr::from_str(yaml).unwrap();
    own.retain(|key, _| ["decode", "map"].contains(&key.as_str()));
    let examples = entry.card.settings.iter().map(|(name, setting)| (name.clone(), json!(setting.example)));
    own.insert("verify".to_owned(), entry.card.fill(&entry.body.verify, &examples.collect()));
    let spec: SourceSpec = serde_json::from_value(Value::Object(own)).unwrap();
    let plan = spec.validate(&Name::new("acme").unwrap()).unwrap();

    let fixture: Fixture = serde_saphyr::from_str(&blocks["broker/catalog/fixtures/acme/added.yaml"]).unwrap();
    let become_events = |body: &Value| {
        let request = request(Some("application/json"), &BTreeMap::new(), body.to_string().into_bytes());
        plain(&plan.rehearse(request, &Serials::default(), &moment()).unwrap())
    };
    assert_eq!(become_events(fixture.json.as_ref().unwrap()), fixture.events);
    let odd = become_events(&json!({"type": "computer.added", "computer": {"serial": [7]}, "owner": 7}));
    assert_eq!(odd.first().unwrap()["action"], "enroll");
    assert_eq!(become_events(&json!({"type": 9})).first().unwrap()["action"], "unmapped");
}

#[test]
fn the_target_of_contributing_is_an_entry() {
    let target = catalog::read::<crate::targets::catalog::Body>("acme", &blocks()["broker/catalog/targets/acme.yaml"]);
    let body = target.unwrap().body;
    assert!(body.actions["lock"].destructive && !body.actions["note"].destructive);
    assert!(crate::targets::KINDS.iter().any(|kind| kind.name == body.kind));
}
