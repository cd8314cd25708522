//! Entries that are fetched from, against a server that stands in for the vendor: pages, tokens that end, being asked to
//! slow down, trouble.

use std::sync::Arc;

use super::*;
use crate::poll::{
    Kind,
    testing::{ByHand, Exchange, InMemory, StandIn},
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Polled {
    /// The time of the rounds.
    now: String,
    /// What is known of nodes.
    #[serde(default)]
    nodes: BTreeMap<String, Value>,
    exchanges: Vec<Exchange>,
}

fn fixtures(name: &str) -> impl Iterator<Item = (String, Fixture)> {
    let of = folder("fixtures").join(name);
    names_in(&of).into_iter().map(move |name| {
        let text = std::fs::read_to_string(of.join(format!("{name}.yaml"))).unwrap();
        (name.clone(), serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}")))
    })
}

/// Settings as they might be: addresses are the server's, secrets are in files.
fn settings(entry: &Entry<Body>, url: &str) -> BTreeMap<String, Value> {
    let of = |(name, setting): (&String, &catalog::Setting)| {
        let value = match (name.as_str(), setting.secret) {
            ("service_account", _) => "${file:account}".to_owned(),
            ("key", _) => "${file:p256}".to_owned(),
            (name, true) => format!("${{file:{name}}}"),
            (_, false) if setting.example.starts_with("https://") => url.to_owned(),
            (_, false) => setting.example.clone(),
        };
        (name.clone(), Value::from(value))
    };
    entry.card.settings.iter().map(of).collect()
}

/// `text` with every vendor's host in it replaced by the server.
fn at(url: &str, text: &str) -> String {
    let mut parts = text.split("https://");
    let mut whole = parts.next().unwrap().to_owned();
    for part in parts {
        whole.push_str(url);
        whole.push_str(part.find(['/', '"']).map_or("", |end| &part[end..]));
    }
    whole
}

fn parts(body: &Body) -> [(Kind, Option<&Value>); 2] {
    [(Kind::Poll, body.poll.as_ref()), (Kind::Reconcile, body.reconcile.as_ref())]
}

#[test]
fn everything_that_is_fetched_has_a_fixture_and_is_right_with_the_settings_of_the_examples() {
    for entry in all() {
        for (kind, template) in parts(&entry.body) {
            let has = fixtures(entry.name).any(|(_, fixture)| match kind {
                Kind::Poll => fixture.poll.is_some(),
                Kind::Reconcile => fixture.reconcile.is_some(),
            });
            assert_eq!(has, template.is_some(), "{}: {} and its fixture", entry.name, kind.key());
            if template.is_some() {
                let mut spec = SourceSpec::example(entry);
                match kind {
                    Kind::Poll => spec.poll = Some(true.into()),
                    Kind::Reconcile => spec.reconcile = Some(true.into()),
                }
                let plan = spec.validate(&Name::new("x").unwrap());
                plan.unwrap_or_else(|problems| panic!("{}: {problems:?}", entry.name));
            }
        }
    }
}

#[tokio::test]
async fn what_is_fetched_becomes_the_events_that_its_fixture_names() {
    let mut wrong = Vec::new();
    for entry in all() {
        for (name, fixture) in fixtures(entry.name) {
            let place = format!("{}/{name} ({})", entry.name, fixture.title);
            for (kind, polled) in [(Kind::Poll, fixture.poll), (Kind::Reconcile, fixture.reconcile)] {
                let Some(polled) = polled else { continue };
                wrong.extend(run(entry, kind, polled, &fixture.events).await.map(|said| format!("{place} {said}")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What does not come as the fixture says.
async fn run(entry: &Entry<Body>, kind: Kind, polled: Polled, events: &[Value]) -> Option<String> {
    let stand_in = StandIn::new(polled.exchanges).await;
    let settings = settings(entry, &stand_in.url);
    let template = parts(&entry.body).into_iter().find(|(of, _)| *of == kind)?.1?;
    let template: Value = serde_json::from_str(&at(&stand_in.url, &template.to_string())).unwrap();
    let own = entry.card.fill(&template, &settings);
    let file = json!({"preset": entry.name, "settings": settings, kind.key(): own});
    let log = Arc::new(InMemory::knowing(polled.nodes));
    let mut source = ByHand::new(entry.name, &file, kind, &log);
    let mut ended = Vec::new();
    for _ in 0..30 {
        if stand_in.left() == 0 {
            break;
        }
        ended.push(source.round(&polled.now).await);
    }
    let told = log.told();
    // What was fetched once is not told again.
    let is_right = told == events && stand_in.wrong().is_empty() && stand_in.left() == 0;
    let last_is_whole = ended.last().is_some_and(|ended| ended == "whole");
    let left = stand_in.left();
    (!is_right || !last_is_whole).then(|| {
        format!("gives {}\nasked wrongly: {:#?}\nleft: {left}\nrounds: {ended:?}", json!(told), stand_in.wrong())
    })
}
