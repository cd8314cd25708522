use std::path::Path;

use super::*;
use crate::{
    config::Settings,
    targets::{
        Machine, Script,
        testing::{lines, problems, secrets, validate},
    },
};

fn settings(allow: &str) -> Settings {
    let map = serde_json::json!({"exec": {"allow": [allow]}});
    Settings::read(map.as_object().unwrap(), &mut Problems::default())
}

#[test]
fn the_settings_are_checked() {
    insta::assert_snapshot!(problems("kind: exec\nprogram: bin/x\ncwd: .\nmemory: 1kB\ncpu: 0s\nfiles: 1\nargs: x\nshell: true"), @r"
    program: expected an absolute path
    cwd: expected an absolute path
    args: expected a list, found a text
    memory: is too little for any program: give 16MiB or more
    cpu: expected a length of time from 1s to 3600s
    files: expected a whole number from 8 to 65536
    shell: unknown key: expected one of args, batch, breaker, concurrency, cpu, cwd, destructive, env, files, guard, kind, max_age, memory, ordered, program, rate, retry, retry_on, timeout, user
    ");
    insta::assert_snapshot!(problems("kind: exec"), @"program: is missing: for example program: /usr/local/lib/emote/open-ticket");
}

#[test]
fn a_machine_says_itself_what_it_lets_targets_run() {
    let folder = secrets();
    let target = validate("kind: exec\nprogram: /bin/sh\nenv: {LD_PRELOAD: '${file:token}'}").unwrap();
    let found = lines(target.resolve(folder.path()).err().unwrap());
    assert!(found.contains("program: ") && found.contains("not among the programs"), "{found}");
    assert!(found.contains("env.LD_PRELOAD: this machine lets targets set no LD_PRELOAD"), "{found}");
    let target = validate("kind: exec\nprogram: /bin/sh").unwrap();
    assert!(target.resolve(Machine::new(folder.path(), &settings("/bin/sh"))).is_ok());
    assert!(target.resolve(Machine::new(folder.path(), &settings("/bin/*"))).is_ok());
    assert!(target.resolve(Machine::new(folder.path(), &settings("/bin/true"))).is_err());
    let target = validate("kind: exec\nprogram: /bin/sh\ncwd: /nowhere\nuser: nobody-of-that-name").unwrap();
    let found = lines(target.resolve(Machine::new(folder.path(), &settings("/bin/sh"))).err().unwrap());
    assert!(found.contains("cwd: /nowhere cannot be read") && found.contains("user: "), "{found}");
}

#[test]
fn a_run_is_shown_without_the_program_and_without_a_secret() {
    let script = Arc::new(Script::showing());
    let yaml =
        "kind: exec\nprogram: /opt/none\nargs: [--serial, {jq: .event.device.uuid}]\nenv: {TOKEN: 'x ${env:NONE}'}";
    let target = validate(yaml).unwrap().with_script(Path::new("/"), &script).unwrap();
    let job = crate::targets::testing::job();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(target.deliver(&job, &serde_json::json!({"a": 1})));
    let shown = script.seen().remove(0);
    assert_eq!((shown.method.as_str(), shown.url.as_str()), ("RUN", "/opt/none"));
    let expected = [
        ("argument", "--serial"),
        ("argument", "C02XL0GTJGH5"),
        ("$EMOTE_JOB_ID", job.id.as_str()),
        ("$EMOTE_TARGET", "the-target"),
        ("$TOKEN", "x ${env:NONE}"),
    ];
    assert_eq!(shown.headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let given: Value = serde_json::from_str(&shown.body).unwrap();
    assert_eq!((&given["input"]["a"], &given["event"]["source"]), (&Value::from(1), &Value::from("jamf")));
}
