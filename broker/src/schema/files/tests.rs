use std::path::Path;

use clap::Parser;
use jsonschema::Validator;

use super::*;
use crate::{
    cli::{self, Cli},
    config::{Folder, explore::explore},
    ingest,
    targets::{self, TargetSpec},
};

/// The validators of all kinds of files, made once: exploring what targets ask for takes a second.
static VALIDATORS: LazyLock<Vec<(&'static str, Validator)>> =
    LazyLock::new(|| FILES.iter().map(|file| (file.name, jsonschema::draft7::new(&file.schema()).unwrap())).collect());

fn validator(name: &str) -> &'static Validator {
    &VALIDATORS.iter().find(|(kind, _)| *kind == name).unwrap().1
}

/// What the schema of a file's kind says against a text.
fn wrong(kind: &str, yaml: &str) -> Vec<String> {
    let value: Option<Value> = serde_saphyr::from_str(yaml).unwrap();
    let value = value.unwrap_or(Value::Null);
    validator(kind).iter_errors(&value).map(|error| format!("{} {error}", error.instance_path())).collect()
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn yaml_files(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut todo = vec![folder.to_owned()];
    while let Some(next) = todo.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                found.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found
}

#[test]
fn every_schema_is_one_of_its_draft() {
    for file in FILES {
        let schema = file.schema();
        assert!(jsonschema::draft7::meta::is_valid(&schema), "{}", file.name);
        assert_eq!(schema["$id"], format!("urn:emote:config:{}", file.name));
    }
}

#[tokio::test]
async fn every_file_that_init_writes_is_as_its_schema_says() {
    let temp = tempfile::tempdir().unwrap();
    for secure in [false, true] {
        let folder = temp.path().join(format!("emote-{secure}"));
        let secure = if secure { &["--secure", "--admin", "ada"][..] } else { &[] };
        let args = [&["emote", "init", folder.to_str().unwrap()], secure].concat();
        assert_eq!(cli::run(Cli::parse_from(args)).await, cli::Exit::Ok);
        let secure = !secure.is_empty();
        let files = yaml_files(&folder);
        let mut kinds: Vec<&str> = files
            .iter()
            .map(|(path, text)| {
                let file = File::at(path).unwrap_or_else(|| panic!("{path}: of no kind"));
                assert_eq!(wrong(file.name, text), Vec::<String>::new(), "{path}");
                file.name
            })
            .collect();
        kinds.sort_unstable();
        kinds.dedup();
        let written = FILES.iter().map(|file| file.name).filter(|name| !["deploy", "schema"].contains(name));
        assert_eq!(kinds, written.filter(|name| secure || *name != "trust").collect::<Vec<_>>());
    }
}

/// Whatever is commented out is what somebody will write.
#[test]
fn every_example_in_the_documentation_is_as_its_schema_says() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut count = 0;
    for entry in std::fs::read_dir(docs).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        for block in text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()) {
            let named = block.lines().next().and_then(|line| File::at(line.strip_prefix("# ")?));
            let kinds = named.map_or(FILES, std::slice::from_ref);
            let told: Vec<_> = kinds.iter().map(|file| (file.name, wrong(file.name, block))).collect();
            assert!(told.iter().any(|(_, wrong)| wrong.is_empty()), "{}: {block}\n{told:#?}", path.display());
            count += 1;
        }
    }
    assert!(count > 50, "{count}");
}

#[test]
fn every_preset_is_known_with_its_settings_and_actions() {
    for entry in ingest::catalog::all() {
        let settings = entry.card.settings.iter().map(|(name, setting)| (name.clone(), json!(setting.example)));
        let settings: Map<String, Value> = settings.collect();
        let file = json!({"preset": entry.name, "settings": settings});
        assert!(validator("source").is_valid(&file), "{file}");
        let file = json!({"preset": entry.name, "settings": {"no_such_setting": "x"}});
        assert!(!validator("source").is_valid(&file), "{file}");
    }
    for entry in targets::catalog::all() {
        let actions = entry.body.actions.keys().map(|action| Some(action.as_str()));
        let actions: Vec<_> = if entry.body.actions.is_empty() { vec![None] } else { actions.collect() };
        for action in actions {
            let file = serde_json::to_value(TargetSpec::example(entry, action)).unwrap();
            let told: Vec<_> = validator("target").iter_errors(&file).map(|error| error.to_string()).collect();
            assert!(told.is_empty(), "{file}: {told:?}");
            let mut odd = file.clone();
            odd["settings"]["no_such_setting"] = json!("x");
            assert!(!validator("target").is_valid(&odd), "{odd}");
            odd = file;
            odd["action"] = json!("no_such_action");
            assert!(!validator("target").is_valid(&odd), "{odd}");
        }
    }
}

/// What `emote check` refuses by itself, the schema refuses.
#[test]
fn what_check_refuses_of_keys_and_values_the_schema_refuses_too() {
    let right = [
        ("emote.yaml", "nats: {servers: ['nats://127.0.0.1:4222']}\nops: {listen: off}\narchive: {to: archive}\n"),
        ("sources/hr.yaml", "verify: {bearer: {token: '${env:T}'}}\ndecode: json\nmap: .\nrate: {per_second: 5}\n"),
        ("targets/log.yaml", "kind: log\npath: log.jsonl\nretry: {jitter: full, backoff: {max: 1m}}\n"),
        (
            "targets/hook.yaml",
            "kind: http\nurl: https://x.example\nauth: {bearer: '${env:T}'}\nmethod: PUT\nbody: false\n",
        ),
        ("targets/queue.yaml", "kind: aws\nservice: sqs\nqueue_url: https://sqs.eu-central-1.amazonaws.com/1/q\n"),
        ("rules/all.yaml", "pattern: {scope: [device]}\ntargets: [log, {target: hook, input: .event}]\n"),
        ("tests/one.yaml", "given: [{source: okta, event: {scope: user, action: created}}]\nexpect: []\n"),
        (
            "targets/install-agent.yaml",
            "preset: nanomdm\naction: install_agent\nsettings: {url: https://mdm.example.com, api_key: '${env:T}'}\n",
        ),
        ("deploy.yaml", "url: https://emote.example.com\ntarget: install-agent\noverdue_after: 72h\n"),
        ("trust.yaml", "agent: authenticated\n"),
    ];
    let whole = folder(&right);
    Folder::load(whole.path()).map(drop).unwrap_or_else(|report| panic!("{report}"));
    for (path, text) in right {
        assert_eq!(wrong(File::at(path).unwrap().name, text), Vec::<String>::new(), "{path}");
    }
    for (path, bad) in [
        ("emote.yaml", "nat: {}\n"),
        ("emote.yaml", "nats: {server: x}\n"),
        ("emote.yaml", "nats: {password: hunter2, user: x}\n"),
        ("emote.yaml", "streams: {replicas: 9}\n"),
        ("emote.yaml", "streams: {events_max_age: soon}\n"),
        ("emote.yaml", "console: {oidc: {issuer: 'https://i.example'}}\n"),
        ("emote.yaml", "console: {listen: 8482}\n"),
        ("emote.yaml", "archive: {size: 1MiB}\n"),
        ("sources/hr.yaml", "verify: none\nmap: .\nmaps: .\n"),
        ("sources/hr.yaml", "verify: {bearer: {tokn: '${env:T}'}}\nmap: .\n"),
        ("sources/hr.yaml", "verify: {bearer: {token: hunter2}}\nmap: .\n"),
        ("sources/hr.yaml", "verify: nothing\nmap: .\n"),
        ("sources/hr.yaml", "verify: none\ndecode: jsn\nmap: .\n"),
        ("sources/hr.yaml", "verify: none\nmap: .\ndedupe: always\n"),
        ("sources/hr.yaml", "preset: oktta\n"),
        ("sources/hr.yaml", "preset: okta\nsettings: {secrt: '${env:T}'}\n"),
        ("sources/hr.yaml", "preset: okta\nsettings: {secret: hunter2}\n"),
        ("sources/hr.yaml", "verify: none\nmap: .\npoll: {url: 'https://x.example', evry: 5m}\n"),
        ("sources/hr.yaml", "verify: none\nmap: .\npoll: {url: 'https://x.example', auth: {basic: {usr: x}}}\n"),
        ("sources/hr.yaml", "verify: none\nmap: .\nfolder: {path: /in, dn: move}\n"),
        ("sources/hr.yaml", "verify: none\nmap: .\nfolder: {match: '*.csv'}\n"),
        ("sources/hr.yaml", "verify: none\nmap: .\nfolder: {path: /in, done: keep}\n"),
        ("sources/hr.yaml", "verify: none\nmap: .\nfolder: {path: /in, settle: soon}\n"),
        ("sources/hr.yaml", "decode: syslog\nmap: .\nlisten: {transport: udp, adress: '127.0.0.1:514'}\n"),
        ("sources/hr.yaml", "decode: syslog\nmap: .\nlisten: {transport: quic, address: '127.0.0.1:514'}\n"),
        ("sources/hr.yaml", "decode: syslog\nmap: .\nlisten: [{transport: udp}]\n"),
        ("sources/hr.yaml", "decode: syslog\nmap: .\nlisten: []\n"),
        ("targets/log.yaml", "kind: lgo\n"),
        ("targets/log.yaml", "path: log.jsonl\n"),
        ("targets/log.yaml", "kind: log\npth: log.jsonl\n"),
        ("targets/log.yaml", "kind: log\nretry: {jitter: some}\n"),
        ("targets/log.yaml", "kind: log\nretry: {backoff: {most: 1m}}\n"),
        ("targets/log.yaml", "kind: log\nwebhook: '${env:X}'\n"),
        ("targets/log.yaml", "kind: http\nurl: https://x.example\nmethod: FETCH\n"),
        (
            "targets/log.yaml",
            "kind: http\nurl: https://x.example\nauth: {oauth2: {token_url: 'https://x', client_id: x}}\n",
        ),
        ("targets/log.yaml", "kind: http\nurl: https://x.example\nlookup: [{name: x, tak: .}]\n"),
        ("targets/log.yaml", "kind: aws\nservice: sqs\nfunction: f\n"),
        ("targets/log.yaml", "kind: aws\nservice: squs\n"),
        ("targets/log.yaml", "preset: jamf-pro\nsettings: {}\n"),
        ("targets/log.yaml", "preset: slack\nkind: slack\n"),
        ("rules/all.yaml", "pattern: {scope: device}\ntargets: [log]\n"),
        ("rules/all.yaml", "pattern: {}\ntargets: [log]\n"),
        ("rules/all.yaml", "pattern: {scope: [{prefx: d}]}\ntargets: [log]\n"),
        ("rules/all.yaml", "pattern: {scope: [{numeric: ['<', x]}]}\ntargets: [log]\n"),
        ("rules/all.yaml", "pattern: {scope: []}\ntargets: [log]\n"),
        ("rules/all.yaml", "pattern: {scope: [device]}\n"),
        ("rules/all.yaml", "pattern: {scope: [device]}\ntargets: [{target: log, inputs: .}]\n"),
        ("rules/all.yaml", "pattern: {scope: [device]}\nfor_each: group\ntargets: [log]\n"),
        ("tests/one.yaml", "given: [{source: okta, evnt: {}}]\nexpect: []\n"),
        ("tests/one.yaml", "given: [{source: okta, event: {scope: user}}]\nexpect: []\n"),
        ("tests/one.yaml", "given: []\n"),
        ("deploy.yaml", "url: https://emote.example.com\n"),
        ("deploy.yaml", "url: https://emote.example.com\ntarget: install-agent\npackage: x\n"),
        ("trust.yaml", "agent: yes\n"),
        ("trust.yaml", "broker: verified\n"),
    ] {
        let others = right.iter().filter(|(other, _)| *other != path);
        let files: Vec<_> = others.copied().chain([(path, bad)]).collect();
        let report = Folder::load(folder(&files).path()).err().map(|report| report.to_string()).unwrap_or_default();
        assert!(report.contains(path), "check takes {path}: {bad}{report}");
        assert_ne!(wrong(File::at(path).unwrap().name, bad), Vec::<String>::new(), "the schema takes {path}: {bad}");
    }
}

#[test]
fn every_pattern_of_the_language_is_one_to_the_schema_and_every_operator_is_known() {
    let schema = json!({"definitions": PATTERN["definitions"], "$ref": "#/definitions/pattern"});
    let validator = jsonschema::draft7::new(&schema).unwrap();
    let language = include_str!("../../../rules/PATTERNS.md");
    let patterns = language.split("```pattern\n").skip(1).filter_map(|rest| rest.lines().next());
    let mut count = 0;
    for text in patterns {
        let pattern: Value = serde_json::from_str(text).unwrap();
        let told: Vec<_> = validator.iter_errors(&pattern).map(|error| error.to_string()).collect();
        assert!(told.is_empty(), "{text}: {told:?}");
        count += 1;
    }
    assert!(count > 20, "{count}");
    let known = PATTERN["definitions"]["pattern_operator"]["properties"].as_object().unwrap();
    let mut operators: Vec<&str> = emote_rules::OPERATORS.to_vec();
    operators.sort_unstable();
    assert_eq!(known.keys().map(String::as_str).collect::<Vec<_>>(), operators);
}

/// Keys are found by reading, so each is one that a reader asked for; this is how many there are.
#[test]
fn what_targets_of_each_kind_ask_for_is_found() {
    for kind in KINDS {
        let shape = kind.shape();
        let asks = |key: &str| shape.keys.contains_key(key);
        assert!(asks("kind") && asks("retry") && asks("guard"), "{}", kind.name);
        assert!(shape.at(&["retry", "backoff"]).is_some_and(|backoff| backoff.keys.contains_key("initial")));
    }
    let http = KINDS.iter().find(|kind| kind.name == "http").unwrap().shape();
    assert!(http.at(&["auth", "oauth2"]).is_some_and(|auth| auth.keys["client_secret"].required));
    let aws = KINDS.iter().find(|kind| kind.name == "aws").unwrap().shape();
    assert_eq!(aws.fork.as_ref().map(|(key, _)| *key), Some("service"));
    let emote = explore(&|fields| drop(Settings::of(fields)));
    assert!(emote.at(&["console", "oidc", "roles"]).is_some_and(|roles| roles.keys.contains_key("approver")));
    assert!(emote.at(&["archive"]).is_some_and(|archive| archive.keys.contains_key("account_key")));
}
