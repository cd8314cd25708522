//! Runs the catalogue: every entry's fixtures, without a network.
//!
//! A fixture is a YAML file: `title`, the `action`, `settings` (without them those of the examples) and further `fields` of
//! the target's file; the job by its `event`, `node` and `input`, or by several `inputs` for a batch; the `answers` that are
//! given; the `requests` that must be sent, of whose headers those named are looked at, and the `outcome`, or `outcomes`.
//! Info that every report has (target, method, status) is not named. `token` holds the request for a token and its answer;
//! without it one stands in.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::http::{HeaderMap, HeaderName};
use emote_proto::{Name, deploy::Manifest};
use serde_json::json;

use super::{super::testing, *};
use crate::{
    core::{Input, Job, JobId},
    targets::{Outcome, Role, Script, Shown, TargetSpec, Told},
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixture {
    title: String,
    action: Option<String>,
    settings: Option<Map<String, Value>>,
    #[serde(default)]
    fields: Map<String, Value>,
    event: Option<Value>,
    node: Option<Value>,
    installs: Option<Manifest>,
    input: Option<Value>,
    inputs: Option<Vec<Value>>,
    #[serde(default)]
    answers: Vec<Answer>,
    token: Option<Token>,
    requests: Vec<Request>,
    outcome: Option<Value>,
    outcomes: Option<Vec<Value>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Token {
    request: Request,
    answer: Answer,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    json: Option<Value>,
    text: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    request: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    json: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    form: Option<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

impl Answer {
    fn told(&self) -> Told {
        let headers: HeaderMap = self
            .headers
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
            .collect();
        let body = self.json.as_ref().map(Value::to_string).or_else(|| self.text.clone()).unwrap_or_default();
        Told { status: self.status, headers, body }
    }
}

impl Request {
    /// A request as a fixture says it, with the headers that `expected` names.
    fn of(shown: &Shown, expected: Option<&Self>) -> Self {
        let named = |name: &str| match expected {
            Some(expected) => expected.headers.contains_key(name),
            None => !["idempotency-key", "content-type"].contains(&name),
        };
        let headers = shown.headers.iter().filter(|(name, _)| named(name)).cloned().collect();
        let says =
            |media: &str| shown.headers.iter().any(|(name, value)| name == "content-type" && value.contains(media));
        let (mut json, mut form, mut text) = (None, None, None);
        match shown.body.as_str() {
            "" => {}
            body if says("json") && serde_json::from_str::<Value>(body).is_ok() => {
                json = serde_json::from_str(body).ok();
            }
            body if says("urlencoded") => form = serde_urlencoded::from_str(body).ok(),
            body => text = Some(body.to_owned()),
        }
        Self { request: format!("{} {}", shown.method, shown.url), headers, json, form, text }
    }
}

impl Fixture {
    fn job(&self, input: Option<&Value>, rule: &str) -> Job {
        let plain = testing::job();
        let event = match &self.event {
            None => plain.event.clone(),
            Some(event) => {
                let mut whole = serde_json::to_value(&*plain.event).unwrap();
                for key in ["scope", "action", "device"] {
                    whole.as_object_mut().unwrap().remove(key);
                }
                whole.as_object_mut().unwrap().extend(event.as_object().unwrap().clone());
                serde_json::from_value::<emote_proto::Event>(whole).unwrap().into()
            }
        };
        let node = match (&self.node, &self.event) {
            (Some(node), _) => Some(node.clone().into()),
            (None, Some(_)) => None,
            (None, None) => plain.node.clone(),
        };
        let rule = Name::new(rule).unwrap();
        Job {
            node,
            id: JobId::new(event.id, &rule, &plain.target, None),
            input: input.map(|_| Input::Jq(".".to_owned())),
            installs: self.installs.clone(),
            event,
            rule,
            ..plain
        }
    }

    fn spec(&self, entry: &Entry<Body>) -> TargetSpec {
        let mut map: Map<String, Value> = self.fields.clone();
        let example = serde_json::to_value(TargetSpec::example(entry, self.action.as_deref())).unwrap();
        for (key, value) in example.as_object().unwrap() {
            map.entry(key.clone()).or_insert_with(|| value.clone());
        }
        if let Some(settings) = &self.settings {
            map.insert("settings".to_owned(), Value::Object(settings.clone()));
        }
        TargetSpec::new(map)
    }

    /// What is wrong with it, if anything is.
    async fn run(&self, entry: &Entry<Body>) -> Result<(), Value> {
        let target = self.spec(entry).validate(Name::new("the-target").unwrap());
        let target = target.unwrap_or_else(|problems| panic!("{} {}: {problems:?}", entry.name, self.title));
        let answers = self.answers.iter().map(Answer::told).collect();
        let script = Arc::new(Script::answering(answers, self.token.as_ref().map(|token| token.answer.told())));
        let ready = target.with_script(Path::new("/"), &script).unwrap_or_else(|problems| panic!("{problems:?}"));
        let inputs: Vec<Option<&Value>> = match &self.inputs {
            Some(inputs) => inputs.iter().map(Some).collect(),
            None => vec![self.input.as_ref()],
        };
        let names: Vec<String> = (0..inputs.len()).map(|at| format!("rule{at}")).collect();
        let jobs: Vec<Job> = inputs.iter().zip(&names).map(|(input, name)| self.job(*input, name)).collect();
        let events: Vec<Value> = jobs.iter().map(|job| serde_json::to_value(&*job.event).unwrap()).collect();
        let inputs: Vec<&Value> = inputs.iter().zip(&events).map(|(input, event)| input.unwrap_or(event)).collect();
        let both: Vec<(&Job, &Value)> = jobs.iter().zip(inputs.iter().copied()).collect();
        let outcomes = match both.as_slice() {
            [(job, input)] if self.inputs.is_none() => vec![ready.deliver(job, input).await],
            several => ready.deliver_batch(several).await,
        };
        let outcomes: Vec<Value> = outcomes.iter().map(|outcome| said(outcome, &script)).collect();
        let (tokens, sent): (Vec<_>, Vec<_>) = script.seen().into_iter().partition(|shown| shown.role == Role::Token);
        let expected = |at: usize| self.requests.get(at);
        let sent: Vec<Request> = sent.iter().enumerate().map(|(at, shown)| Request::of(shown, expected(at))).collect();
        let token = self.token.as_ref().map(|token| &token.request);
        let asked = tokens.first().map(|shown| Request::of(shown, token)).filter(|_| token.is_some());
        let wanted = self.outcomes.clone().unwrap_or_else(|| self.outcome.iter().cloned().collect());
        if sent == self.requests && outcomes == wanted && asked.as_ref() == token {
            return Ok(());
        }
        Err(json!({"requests": sent, "outcomes": outcomes, "token": asked}))
    }
}

fn said(outcome: &Outcome, script: &Script) -> Value {
    let said = match outcome {
        Outcome::Done(report) => {
            let mut info = report.info.clone();
            for key in ["target", "method", "status"] {
                info.as_object_mut().unwrap().remove(key);
            }
            json!({"done": format!("{}.{}", report.scope, report.action), "info": info})
        }
        Outcome::Retry { after: None, reason } => json!({"retry": reason}),
        Outcome::Retry { after: Some(after), reason } => json!({"retry": reason, "after": after.as_secs()}),
        Outcome::Never { reason } => json!({"never": reason}),
    };
    serde_json::from_str(&script.shown(&said.to_string())).unwrap()
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("catalog").join(name)
}

fn names_in(path: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

fn fixtures(entry: &str) -> Vec<(String, Fixture)> {
    let folder = folder("fixtures-targets").join(entry);
    let read = |name: String| {
        let path = folder.join(format!("{name}.yaml"));
        let text = std::fs::read_to_string(&path).unwrap();
        (name, serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    };
    names_in(&folder).into_iter().map(read).collect()
}

#[test]
fn every_file_is_an_entry_and_every_action_has_a_fixture() {
    for entry in catalog::entries::<Body>(&FILES) {
        entry.unwrap_or_else(|problem| panic!("{problem}"));
    }
    let entries: BTreeSet<String> = all().iter().map(|entry| entry.name.to_owned()).collect();
    assert_eq!(names_in(&folder("targets")), entries, "a file that was added is not built in");
    assert_eq!(names_in(&folder("fixtures-targets")), entries, "each entry needs fixtures, and each fixture an entry");
    for entry in all() {
        assert!(entry.card.docs.starts_with("https://"), "{}", entry.name);
        let fixtures = fixtures(entry.name);
        let tried: BTreeSet<_> = fixtures.iter().filter_map(|(_, fixture)| fixture.action.as_ref()).collect();
        let actions: BTreeSet<_> = entry.body.actions.keys().collect();
        assert_eq!(tried, actions, "{}: each action needs a fixture", entry.name);
        assert!(!fixtures.is_empty(), "{} has no fixture", entry.name);
        let asks = entry.body.target.get("auth").is_some_and(|auth| auth.get("oauth2").or(auth.get("login")).is_some());
        assert!(!asks || fixtures.iter().any(|(_, f)| f.token.is_some()), "{}: no fixture has its token", entry.name);
        for need in entry.body.actions.values().flat_map(|action| &action.needs) {
            assert!(entry.card.settings.contains_key(need), "{}: there is no setting {need}", entry.name);
        }
    }
}

#[tokio::test]
async fn every_fixture_sends_the_requests_it_names() {
    let mut wrong = Vec::new();
    for entry in all() {
        for (name, fixture) in fixtures(entry.name) {
            if let Err(found) = fixture.run(entry).await {
                wrong.push(format!("{}/{name} ({}) gives {found}", entry.name, fixture.title));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A device that is not there, or an event about none, must never end in a command for another one.
#[tokio::test]
async fn no_action_acts_where_it_is_not_told_on_which_device() {
    for entry in all() {
        for (name, fixture) in fixtures(entry.name) {
            let Some(action) = fixture.action.as_ref().and_then(|action| entry.body.actions.get(action)) else {
                continue;
            };
            if !action.destructive {
                continue;
            }
            let nobody = Fixture {
                event: Some(json!({"scope": "user", "action": "suspended", "user": {"id": "ada@example.com"}})),
                node: None,
                ..fixture
            };
            let found = nobody.run(entry).await.unwrap_err();
            assert_eq!(found["requests"], json!([]), "{}/{name}: {found}", entry.name);
            assert!(found["outcomes"][0].get("never").is_some(), "{}/{name}: {found}", entry.name);
        }
    }
}

#[test]
fn every_preset_would_do_with_its_examples() {
    for entry in all() {
        let actions = entry.body.actions.keys().map(|action| Some(action.as_str()));
        let actions: Vec<Option<&str>> = if entry.body.actions.is_empty() { vec![None] } else { actions.collect() };
        for action in actions {
            let spec = TargetSpec::example(entry, action);
            let target = spec.validate(Name::new("example").unwrap());
            let target = target.unwrap_or_else(|problems| panic!("{} {action:?}: {problems:?}", entry.name));
            let destroys = action.is_some_and(|action| entry.body.actions[action].destructive);
            assert_eq!(target.policy.guard.is_some(), destroys, "{} {action:?}", entry.name);
        }
    }
}
