//! Files that are dropped into a folder: brokers killed at any moment, two of them at one folder, tell every line once.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use emote_tests::{Stack, emote, until, until_some};
use serde_json::{Value, json};

const MAP: &str = "map: '.[] | {scope: \"hr\", action: \"said\", info: {n: .n, file: $query.file}}'\ndecode: ndjson\n";

fn source(inbox: &Path, more: &str) -> String {
    format!("{MAP}folder: {{path: {}, match: \"*.jsonl\", settle: 0s, every: 100ms{more}}}\n", inbox.display())
}

/// Writes aside and renames into place.
fn drop_into(inbox: &Path, name: &str, numbers: impl Iterator<Item = u64>) {
    let lines: String = numbers.map(|n| format!("{}\n", json!({"n": n}))).collect();
    let aside = inbox.join(format!("{name}.tmp"));
    std::fs::write(&aside, lines).unwrap();
    std::fs::rename(aside, inbox.join(name)).unwrap();
}

fn names(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some()).collect()
}

/// How often each number was told.
async fn told(stack: &Stack) -> BTreeMap<u64, usize> {
    let mut told = BTreeMap::new();
    for event in stack.streams.read("EVENTS", "events.drop.-.hr.said").await {
        *told.entry(event.json()["info"]["n"].as_u64().unwrap()).or_default() += 1;
    }
    told
}

#[tokio::test]
async fn brokers_killed_again_and_again_at_one_folder_tell_every_line_once() {
    const FILES: u64 = 60;
    const LINES: u64 = 25;
    let inbox = tempfile::tempdir().unwrap();
    let mut stack = Stack::new().file("sources/drop.yaml", &source(inbox.path(), "")).start().await;
    let mut brokers = [stack.take_broker(), stack.other_broker()];
    brokers[1].start().await;
    let done = Arc::new(AtomicBool::new(false));
    let killer = async {
        let mut kills = 0_u64;
        while !done.load(Ordering::Relaxed) || kills < 6 {
            let broker = &mut brokers[usize::try_from(kills % 3 / 2).unwrap()];
            // Somewhere between moving aside, reading, telling and putting away.
            tokio::time::sleep(Duration::from_millis(40 + 97 * kills % 400)).await;
            broker.kill();
            kills += 1;
            broker.start().await;
        }
        kills
    };
    let writer = async {
        for file in 0..FILES {
            // Now and then the same name again.
            drop_into(inbox.path(), &format!("f{}.jsonl", file % 40), file * LINES..(file + 1) * LINES);
            until("the file is taken from its place", async || {
                !inbox.path().join(format!("f{}.jsonl", (file + 1) % 40)).exists()
            })
            .await;
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
        done.store(true, Ordering::Relaxed);
    };
    let (kills, ()) = tokio::join!(killer, writer);
    until("every file is put away", async || names(&inbox.path().join("done")).len() == 60).await;
    let told = told(&stack).await;
    assert!(told.len() as u64 == FILES * LINES && told.values().all(|times| *times == 1), "{kills} kills: {told:?}");
    assert_eq!(names(&inbox.path().join("failed")), Vec::<PathBuf>::new());
    until("nothing is left aside", async || std::fs::read_dir(inbox.path().join(".taking")).unwrap().count() == 0)
        .await;
    brokers.iter_mut().for_each(emote_tests::Broker::kill);
}

#[tokio::test]
async fn what_is_stored_and_not_put_away_is_put_away_and_not_told_again() {
    let inbox = tempfile::tempdir().unwrap();
    let mut stack = Stack::new().file("sources/drop.yaml", &source(inbox.path(), "")).start().await;
    drop_into(inbox.path(), "a.jsonl", 0..3);
    until("it is told", async || told(&stack).await.len() == 3).await;
    until("it is put away", async || !names(&inbox.path().join("done")).is_empty()).await;
    let mut broker = stack.take_broker();
    broker.kill();
    // As a kill right behind the stream's acknowledgement leaves it, with the server's own memory of ids gone, too.
    let left = inbox.path().join(".taking/0123456789abcdef");
    std::fs::create_dir_all(&left).unwrap();
    std::fs::rename(inbox.path().join("done/a.jsonl"), left.join("a.jsonl")).unwrap();
    let mut events = stack.streams.js.get_stream("EVENTS").await.unwrap();
    let mut config = events.info().await.unwrap().config.clone();
    config.duplicate_window = Duration::from_millis(100);
    stack.streams.js.update_stream(config).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    broker.start().await;
    until("it is put away again", async || !names(&inbox.path().join("done")).is_empty()).await;
    drop_into(inbox.path(), "b.jsonl", 3..4);
    until("the next one is told", async || told(&stack).await.len() == 4).await;
    assert!(told(&stack).await.values().all(|times| *times == 1));
    broker.kill();
}

#[tokio::test]
async fn a_bad_file_and_a_bad_folder_are_told_and_shown() {
    let inbox = tempfile::tempdir().unwrap();
    let file = source(inbox.path(), ", trust: authenticated");
    let stack = Stack::new().file("sources/drop.yaml", &file).start().await;
    std::fs::write(inbox.path().join("bad.jsonl"), "{\"n\": 1}\n{\"n\"\n").unwrap();
    let of =
        async |subject: &str| stack.streams.read("EVENTS", subject).await.into_iter().map(|event| event.json()).last();
    let failed = until_some("the bad file is told", async || of("events.drop.-.source.file_failed").await).await;
    assert_eq!((&failed["info"]["file"], &failed["info"]["events"]), (&json!("bad.jsonl"), &json!(1)));
    let said = until_some("and so is what was good of it", async || of("events.drop.-.hr.said").await).await;
    assert_eq!(said["trust"], "authenticated");
    until("the reason lies beside it", async || inbox.path().join("failed/bad.jsonl.error").exists()).await;

    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(inbox.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    drop_into(inbox.path(), "a.jsonl", 7..8);
    let failed = until_some("the bad folder is told", async || of("events.drop.-.source.folder_failed").await).await;
    assert!(failed["info"]["reason"].as_str().unwrap().contains("mode 777"), "{failed}");
    assert!(inbox.path().join("a.jsonl").exists());
    let shown: Value = serde_json::from_str(&stack.shown(&["sources", "show", "drop", "-o", "json"]).await).unwrap();
    assert_eq!((&shown["kind"], &shown["state"]), (&json!("folder"), &json!("failing")));
    assert_eq!((&shown["folder"]["refused"], &shown["events"]), (&json!(1), &json!(1)));
    let page = stack.http.get(format!("http://127.0.0.1:{}/metrics", stack.broker.ops)).send().await.unwrap();
    let page = page.text().await.unwrap();
    assert!(page.contains("emote_folder_failing{source=\"drop\"} 1"), "{page}");
    std::fs::set_permissions(inbox.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    until("it is taken after all", async || told(&stack).await.contains_key(&7)).await;
    assert_eq!(stack.streams.read("EVENTS", "events.drop.-.source.folder_failed").await.len(), 1);

    // The same without a server.
    let dropped = inbox.path().join("done/a.jsonl");
    let folder = stack.config.to_str().unwrap();
    let args = ["source", "test", "drop", "--folder", folder, "--file", dropped.to_str().unwrap(), "-o", "json"];
    let tried = emote(&args).await;
    let tried: Value = serde_json::from_slice(&tried.stdout).unwrap();
    assert_eq!(tried["info"], json!({"file": "a.jsonl", "n": 7}));
}
