//! Programs as targets: the real ones, well-behaved and hostile.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Instant,
};

use emote_tests::{Stack, emote, until};
use rustix::process::{Pid, test_kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::counted::{count, rule};

/// A configuration folder with programs that its machine lets targets run.
struct Machine {
    root: TempDir,
}

impl Machine {
    fn new() -> Self {
        let root = TempDir::with_prefix("emote-test-").unwrap();
        for folder in ["bin", "targets"] {
            std::fs::create_dir(root.path().join(folder)).unwrap();
        }
        let machine = Self { root };
        let allow = machine.bin().join("*");
        std::fs::write(machine.path("emote.yaml"), format!("exec: {{allow: [{allow:?}], env: ['*']}}\n")).unwrap();
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().canonicalize().unwrap().join(name)
    }

    fn bin(&self) -> PathBuf {
        self.path("bin")
    }

    /// What becomes of a job whose target runs this shell script: the last line that `emote target test --send` prints.
    async fn run(&self, name: &str, script: &str, more: &str) -> Value {
        program(&self.bin().join(name), script);
        self.run_program(name, more).await
    }

    async fn run_program(&self, name: &str, more: &str) -> Value {
        let target = format!("kind: exec\nprogram: {}\n{more}\n", self.bin().join(name).display());
        std::fs::write(self.path(&format!("targets/{name}.yaml")), target).unwrap();
        let folder = self.root.path().to_str().unwrap();
        let input = r#"{"a": "b"}"#;
        let ran = emote(&["target", "test", name, "--folder", folder, "--send", "--input", input, "-o", "json"]).await;
        let text = String::from_utf8(ran.stdout).unwrap();
        match text.lines().last() {
            Some(line) => serde_json::from_str(line).unwrap(),
            None => Value::from(String::from_utf8(ran.stderr).unwrap()),
        }
    }

    /// The process whose id a script wrote there; it has ended.
    async fn has_ended(&self, pid_file: &str) {
        let pid = std::fs::read_to_string(self.path(pid_file)).unwrap().trim().parse().unwrap();
        let pid = Pid::from_raw(pid).unwrap();
        until("what the program left behind has ended", async || {
            // One that has ended and waits for its parent to take note is as good as gone.
            test_kill_process(pid).is_err() || is_zombie(pid)
        })
        .await;
    }
}

fn is_zombie(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'))
}

fn program(path: &Path, script: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn a_program_is_given_the_job_and_nothing_else() {
    let machine = Machine::new();
    let script = r#"
        input=$(cat)
        variables=$(env | grep -v '^_=\|^PWD=\|^SHLVL=' | cut -d= -f1 | sort | tr '\n' ' ')
        printf '{"scope":"a","action":"b","info":{"args":"%s","env":"%s","cwd":"%s","given":%s,"limits":"%s"}}\n' \
            "$*" "$variables" "$(pwd)" "$input" "$(ulimit -v) $(ulimit -t) $(ulimit -n) $(ulimit -c)"
    "#;
    let more = "args: ['$(id)', {jq: .event.device.uuid}]\nenv: {GREETING: hello}\nmemory: 512MiB\ncpu: 7s\nfiles: 32";
    let ended = machine.run("tell", script, more).await;
    assert_eq!(ended["done"], "exec.ran", "{ended}");
    let info = &ended["events"][0]["info"];
    assert_eq!(info["args"], "$(id) C02XL0GTJGH5");
    assert_eq!(info["env"], "EMOTE_JOB_ID EMOTE_TARGET GREETING ");
    assert_eq!((&info["cwd"], &info["limits"]), (&json!("/"), &json!("524288 7 32 0")));
    let given = &info["given"];
    assert_eq!((&given["input"], &given["event"]["device"]["uuid"]), (&json!({"a": "b"}), &json!("C02XL0GTJGH5")));
}

#[tokio::test]
async fn how_it_ends_is_what_becomes_of_the_job() {
    let machine = Machine::new();
    for (name, script, more, expected) in [
        ("fine", "exit 0", "", "done exec.ran"),
        ("later", "echo 'try again' >&2; exit 75", "", "retry exited with 75: try again"),
        ("wrong", "echo no >&2; exit 1", "", "never exited with 1: no"),
        ("own", "exit 9", "retry_on: [9]", "retry exited with 9"),
        ("killed", "kill -SEGV $$", "", "never was ended by signal 11"),
        ("deaf", "exec 0<&-; exit 0", "", "done exec.ran"),
        ("silent", "exec 1>&- 2>&-; exit 0", "", "done exec.ran"),
        ("garbage", "echo hello", "", "never it ended well, but what it wrote is no events: line 1: not JSON"),
        ("secret", "echo \"it was $PASS\" >&2; exit 1", "env: {PASS: '${file:pass}'}", "never exited with 1: it was …"),
        // Within its memory it cannot have that much.
        ("greedy", "head -c 300000000 /dev/zero | tail >/dev/null", "memory: 64MiB", "never exited with 1: tail:"),
        ("busy", "while :; do :; done", "cpu: 1s\ntimeout: 30s", "never was ended by signal 24"),
    ] {
        emote_tests::private_file(&machine.path("pass"), "hunter22");
        let ended = machine.run(name, script, more).await;
        let found = match (ended["done"].as_str(), ended["retry"].as_str(), ended["never"].as_str()) {
            (Some(done), ..) => format!("done {done}"),
            (_, Some(reason), _) => format!("retry {reason}"),
            (.., Some(reason)) => format!("never {reason}"),
            _ => ended.to_string(),
        };
        assert!(found.starts_with(expected), "{name}: {found}");
    }
}

#[tokio::test]
async fn what_cannot_be_run_is_told() {
    let machine = Machine::new();
    let none = machine.run_program("none", "").await.to_string();
    assert!(none.contains("cannot be run: No such file"), "{none}");
    program(&machine.bin().join("text"), "");
    std::fs::set_permissions(machine.bin().join("text"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let text = machine.run_program("text", "").await.to_string();
    assert!(text.contains("is no program: make it one with chmod 755"), "{text}");
    std::fs::write(machine.bin().join("noise"), [0x7f, 1, 2, 3]).unwrap();
    std::fs::set_permissions(machine.bin().join("noise"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let noise = machine.run_program("noise", "").await.to_string();
    assert!(noise.contains("is no program: it begins neither with #! nor as programs of this system do"), "{noise}");
    std::fs::write(machine.path("emote.yaml"), "{}\n").unwrap();
    let refused = machine.run("fine", "exit 0", "").await.to_string();
    assert!(refused.contains("not among the programs that this machine lets targets run"), "{refused}");
}

#[tokio::test]
async fn whatever_it_does_it_ends_in_time_and_leaves_nothing_behind() {
    let machine = Machine::new();
    let pid = |name: &str| machine.path(name).display().to_string();
    let stubborn = format!("trap '' TERM; echo $$ > {}; while :; do sleep 60; done", pid("stubborn.pid"));
    let orphan = format!("sleep 600 & echo $! > {}; exit 0", pid("orphan.pid"));
    let forks = format!("f() {{ sleep 600 & sleep 600 & wait; }}; f & f & f & echo $! > {}; wait", pid("forks.pid"));
    for (name, script, expected) in [
        ("stubborn", stubborn, Some("did not end within")),
        ("forks", forks, Some("did not end within")),
        ("orphan", orphan, None),
    ] {
        let began = Instant::now();
        let ended = machine.run(name, &script, "timeout: 2s").await;
        match expected {
            Some(expected) => assert!(ended["retry"].as_str().unwrap().contains(expected), "{ended}"),
            None => assert_eq!(ended["done"], "exec.ran", "{ended}"),
        }
        assert!(began.elapsed().as_secs() < 20, "{name}");
        machine.has_ended(&format!("{name}.pid")).await;
    }
    let flood = machine.run("flood", "yes", "timeout: 30s").await;
    assert!(flood["never"].as_str().unwrap().contains("wrote more than 1048576 bytes"), "{flood}");
    let noise = machine.run("noise", "yes no | head -c 50000000 >&2; exit 3", "timeout: 30s").await;
    assert!(noise["never"].as_str().unwrap().starts_with("exited with 3: …"), "{noise}");
}

#[tokio::test]
async fn what_it_tells_is_in_the_log_once_though_the_broker_is_killed_under_it() {
    let machine = Machine::new();
    let runs = machine.path("runs");
    let script = format!(
        r#"echo "$EMOTE_JOB_ID" >> {runs}
        if [ "$(wc -l < {runs})" = 1 ]; then sleep 60; fi
        echo '{{"scope":"ticket","action":"opened","info":{{"number":7}}}}'"#,
        runs = runs.display()
    );
    program(&machine.bin().join("open-ticket"), &script);
    let target = format!("kind: exec\nprogram: {}\ntimeout: 100s\n", machine.bin().join("open-ticket").display());
    let follow = "pattern: {source: [broker], scope: [ticket]}\ntargets:\n  - {target: asset, input: '{ticket: .event.info.number}'}\n";
    let mut stack = Stack::new()
        .file("targets/ticket.yaml", &target)
        .file("targets/asset.yaml", "kind: asset\n")
        .file("rules/count.yaml", &rule(&["ticket"]))
        .file("rules/follow.yaml", follow)
        .lines("emote.yaml", &format!("exec: {{allow: [{:?}]}}\n", machine.bin().join("*")))
        .start()
        .await;
    count(&stack, "C02XL0GTJGH5", 1).await;
    until("the program runs", async || runs.exists()).await;
    let mut broker = stack.take_broker();
    broker.kill();
    broker.start().await;
    let events =
        async || -> Vec<Value> { stack.streams.events().await.into_iter().map(|event| event.json()).collect() };
    until("a rule has acted on what the program told", async || {
        events().await.iter().any(|event| event["scope"] == "asset" && event["info"]["set"]["ticket"] == 7)
    })
    .await;
    let runs = std::fs::read_to_string(&runs).unwrap();
    let ids: Vec<&str> = runs.lines().collect();
    assert!(ids.len() == 2 && ids[0] == ids[1], "{ids:?}");
    let told: Vec<Value> = events().await.into_iter().filter(|event| event["scope"] == "ticket").collect();
    assert_eq!(told.len(), 1);
    assert_eq!((&told[0]["cause"]["target"], &told[0]["cause"]["depth"]), (&json!("ticket"), &json!(1)));
    assert_eq!(told[0]["device"]["uuid"], "C02XL0GTJGH5");
}

/// Where the examples are.
fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("broker/examples/wasm").join(name)
}

/// Builds a module; what cannot be built here is told, and fails in CI.
async fn build(what: &str, mut command: tokio::process::Command) -> bool {
    let built = command.kill_on_drop(true).output().await;
    let is_built = built.as_ref().is_ok_and(|output| output.status.success());
    if !is_built {
        eprintln!("LEFT OUT: {what} cannot be built here: {built:?}");
        assert!(std::env::var_os("CI").is_none(), "{what} cannot be built, and in CI that is a failure");
    }
    is_built
}

/// What becomes of a job for the module, and what it tells.
async fn ended(machine: &Machine, module: &str, input: &Value) -> Value {
    let target = format!("kind: wasm\nmodule: modules/{module}.wasm\ntimeout: 60s\n");
    std::fs::write(machine.path(&format!("targets/{module}.yaml")), target).unwrap();
    let (folder, input) = (machine.root.path().to_str().unwrap(), input.to_string());
    let ran = emote(&["target", "test", module, "--folder", folder, "--send", "--input", &input, "-o", "json"]).await;
    let text = String::from_utf8(ran.stdout).unwrap();
    let last = text.lines().last().unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&ran.stderr)));
    serde_json::from_str(last).unwrap()
}

#[tokio::test]
async fn a_module_in_rust_runs_in_the_broker() {
    let machine = Machine::new();
    std::fs::create_dir(machine.path("modules")).unwrap();
    let out = machine.path("build");
    let mut cargo = tokio::process::Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--release", "--locked", "--target", "wasm32-wasip1", "--target-dir"]).arg(&out);
    cargo.current_dir(example("os-minimum"));
    if !build("os-minimum (rustup target add wasm32-wasip1)", cargo).await {
        return;
    }
    let module = out.join("wasm32-wasip1/release/os-minimum.wasm");
    std::fs::copy(module, machine.path("modules/os-minimum.wasm")).unwrap();
    for (version, action) in [("15.4.1", "failed"), ("15.6", "passed"), ("15.6.0", "passed"), ("15.10", "passed")] {
        let ended = ended(&machine, "os-minimum", &json!({"version": version, "minimum": "15.6"})).await;
        assert_eq!(ended["events"][0]["action"], action, "{version}: {ended}");
    }
    let wrong = ended(&machine, "os-minimum", &json!({"version": "fifteen", "minimum": "15.6"})).await;
    assert_eq!(wrong["never"], "exited with 1: \"fifteen\" is no version");
}

#[tokio::test]
async fn a_module_in_go_runs_in_the_broker() {
    let machine = Machine::new();
    std::fs::create_dir(machine.path("modules")).unwrap();
    let mut go = tokio::process::Command::new("go");
    go.arg("build").arg("-o").arg(machine.path("modules/site-of-address.wasm"));
    go.current_dir(example("site-of-address")).env("GOOS", "wasip1").env("GOARCH", "wasm");
    if !build("site-of-address (Go)", go).await {
        return;
    }
    let sites = json!({"10.0.0.0/8": "somewhere", "10.1.0.0/16": "Berlin"});
    for (address, site) in [("10.1.2.3", json!("Berlin")), ("10.2.0.1", json!("somewhere")), ("192.0.2.1", Value::Null)]
    {
        let ended = ended(&machine, "site-of-address", &json!({"address": address, "sites": sites})).await;
        assert_eq!(ended["done"], "wasm.ran", "{ended}");
        assert_eq!(ended["events"][0]["info"]["site"], site, "{address}: {ended}");
    }
}
