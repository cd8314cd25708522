//! A process that panics leaves a report, and the next start of the real program tells of it once; one that is killed
//! leaves none. Run with `--panic-in FOLDER`, this program is the one that panics.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that finds something missing has failed")]

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use emote_agent::socket::{Ask, call};
use emote_agent::spool::Spool;
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(60);

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, flag, folder] = &arguments[..]
        && flag == "--panic-in"
    {
        emote_agent::crash::report_to(Path::new(folder));
        panic!("on purpose: {}", arguments.len());
    }
    a_panic_is_told_once_by_the_next_start_and_being_killed_leaves_nothing();
    println!("a panic is told once by the next start, and being killed leaves nothing: ok");
}

fn a_panic_is_told_once_by_the_next_start_and_being_killed_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path();
    let mut panics = Command::new(std::env::current_exe().unwrap());
    let output = panics.arg("--panic-in").arg(state).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("on purpose: 3"), "it is said as ever: {output:?}");
    assert_eq!(reports(state), 1);

    kill(start(state));
    assert_eq!(reports(state), 0, "told and forgotten");
    kill(start(state));
    assert_eq!(reports(state), 0, "being killed leaves no report");

    let events = events(state);
    let crashed: Vec<&Value> = events.iter().filter(|event| event["action"] == "crashed").collect();
    let [crashed] = crashed[..] else { panic!("{crashed:?}") };
    let info = &crashed["info"];
    assert_eq!((&info["message"], &info["version"]), (&"on purpose: 3".into(), &emote_agent::VERSION.into()));
    assert!(info["where"].as_str().unwrap().contains("tests/crash.rs:"), "{info}");
    assert_eq!((&info["thread"], &info["when"]), (&"main".into(), &crashed["time"]));
    let previous: Vec<&Value> =
        events.iter().filter(|event| event["action"] == "started").map(|event| &event["info"]["previous"]).collect();
    assert_eq!(previous, ["first", "crashed"]);
    let read = |name: &str| std::fs::read_to_string(state.join(name)).unwrap();
    assert_eq!(read("agent.log").matches("running").count(), 2, "{}", read("agent.log"));
    assert_eq!(read("stderr"), "", "nobody asked for lines there");
}

fn reports(state: &Path) -> usize {
    let names = std::fs::read_dir(state).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().starts_with("crash-")).count()
}

/// The real program, once it answers.
fn start(state: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_emote-agent"));
    let stderr = File::options().create(true).append(true).open(state.join("stderr")).unwrap();
    command.env_remove("EMOTE_LOG");
    // Nobody is there: everything stays in the spool.
    command.args(["run", "--serial", "T1", "--server", "nats://127.0.0.1:1", "--state-dir"]).arg(state);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).spawn().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let socket = state.join("agent.sock");
    let begun = Instant::now();
    runtime.block_on(async {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        while call(&socket, &Ask::Status {}).await.is_err() {
            assert!(begun.elapsed() < DEADLINE, "the agent does not answer");
            tick.tick().await;
        }
    });
    child
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

fn events(state: &Path) -> Vec<Value> {
    let now = jiff::Timestamp::now().into();
    let opened = Spool::open(state, 64 << 20, now, Box::new(|_| None)).unwrap();
    let count = opened.spool.totals().count;
    let records = opened.spool.read(&(1..=count)).unwrap();
    records.iter().map(|(_, record)| serde_json::from_slice(&record.json).unwrap()).collect()
}
