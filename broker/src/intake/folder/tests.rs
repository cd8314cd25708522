use std::{
    fs::{self, File},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use emote_proto::Name;
use proptest::prelude::*;
use serde_json::{Value, json};

mod passing;

use super::{
    Folders,
    place::{Found, Opened, Place},
    watcher::{Trouble, Watcher},
};
use crate::{
    ingest::SourceSpec,
    poll::testing::{InMemory, source},
};

const MAP: &str = "(if type == \"array\" then .[] else . end) \
                   | {scope: \"hr\", action: \"said\", info: {n: .n, file: $query.file, line: $query.line}}";

/// A folder, its log, and whoever looks at it.
struct Dropbox {
    root: tempfile::TempDir,
    file: Value,
    log: Arc<InMemory>,
    watcher: Watcher,
    clock: Instant,
}

impl Dropbox {
    fn new(folder: Value) -> Self {
        Self::of(json!({"map": MAP, "decode": "json"}), folder)
    }

    /// Of a source's file, and what it says under `folder` beside the path.
    fn of(mut file: Value, mut folder: Value) -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("in")).unwrap();
        folder["path"] = "in".into();
        file["folder"] = folder;
        let log = Arc::new(InMemory::default());
        let watcher = watcher(&root, &file, &log);
        Self { root, file, log, watcher, clock: Instant::now() }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.root.path().join("in").join(name)
    }

    fn put(&self, name: &str, text: &str) {
        fs::write(self.at(name), text).unwrap();
    }

    /// Whoever looks is another one, as after a crash.
    fn restart(&mut self) {
        self.watcher = watcher(&self.root, &self.file, &self.log);
    }

    async fn look(&mut self) -> Result<Duration, Trouble> {
        self.watcher.look(self.clock).await
    }

    async fn look_again_and_tell(&mut self) {
        match self.look().await {
            Ok(_) => {}
            Err(trouble) => self.watcher.went_wrong(trouble, 1).await,
        }
    }

    /// What was told, `file:line n` of each, in order.
    fn told(&self) -> Vec<String> {
        let of = |event: &Value| {
            let info = &event["info"];
            let line = info["line"].as_u64().map(|line| format!(":{line}")).unwrap_or_default();
            format!("{}{line} {}", info["file"].as_str().unwrap_or("-"), info["n"])
        };
        self.log.told().iter().filter(|event| event["scope"] == "hr").map(of).collect()
    }

    /// The names in a folder within, in order.
    fn names(&self, of: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.at(of)) else { return Vec::new() };
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Nothing is left but what was put away.
    fn is_empty(&self) -> bool {
        self.names("") == [".taking", "done", "failed"] && self.names(".taking").is_empty()
    }
}

#[tokio::test]
async fn an_empty_file_is_waited_for_and_then_told_as_what_it_is() {
    let mut dropbox = Dropbox::new(json!({"match": "*.json", "settle": "0s"}));
    for name in ["late.json", "never.json"] {
        dropbox.put(name, "");
    }
    dropbox.look().await.unwrap();
    dropbox.clock += Duration::from_secs(59);
    dropbox.look().await.unwrap();
    assert_eq!(dropbox.names(""), [".taking", "done", "failed", "late.json", "never.json"]);
    dropbox.put("late.json", r#"{"n": 1}"#);
    dropbox.clock += Duration::from_secs(2);
    dropbox.look().await.unwrap();
    assert_eq!(dropbox.told(), ["late.json 1"]);
    assert_eq!(
        (dropbox.names("done"), dropbox.names("failed")),
        (vec!["late.json".to_owned()], vec!["never.json".to_owned(), "never.json.error".to_owned()])
    );
    let failed = dropbox.log.told().into_iter().find(|event| event["action"] == "file_failed").unwrap();
    assert!(failed["info"]["problems"][0].as_str().unwrap().contains("it is empty"), "{failed}");
    assert!(dropbox.is_empty());
}

fn watcher(root: &tempfile::TempDir, file: &Value, log: &Arc<InMemory>) -> Watcher {
    let source = Arc::new(source("hr", file, root.path()));
    let folder = Arc::clone(source.folder().unwrap());
    Watcher::of(source, folder, Arc::<InMemory>::clone(log), Folders::default())
}

/// The one file that lies there.
fn found(place: &Place) -> Found {
    place.look(|_| true).unwrap().found.pop().unwrap()
}

fn written(path: &Path, seconds_ago: u64) {
    let when = std::time::SystemTime::from(jiff::Timestamp::now()) - Duration::from_secs(seconds_ago);
    File::options().append(true).open(path).unwrap().set_modified(when).unwrap();
}

#[tokio::test]
async fn complete_files_are_taken_oldest_first_and_what_is_no_file_of_the_folder_is_passed_over() {
    let mut dropbox = Dropbox::new(json!({"match": "*.json", "settle": "0s"}));
    for (name, ago) in [("b.json", 3), ("a.json", 2), (".c.json", 1), ("d.txt", 1), ("e.json.tmp", 1)] {
        dropbox.put(name, &json!({"n": ago}).to_string());
        written(&dropbox.at(name), ago);
    }
    let outside = dropbox.root.path().join("secret.json");
    fs::write(&outside, r#"{"n": 99}"#).unwrap();
    symlink(&outside, dropbox.at("link.json")).unwrap();
    fs::hard_link(&outside, dropbox.at("hard.json")).unwrap();
    fs::create_dir(dropbox.at("folder.json")).unwrap();
    dropbox.look().await.unwrap();
    assert_eq!(dropbox.told(), ["b.json 3", "a.json 2"]);
    assert_eq!(dropbox.names("done"), ["a.json", "b.json"]);
    let left = [".c.json", ".taking", "d.txt", "done", "e.json.tmp", "failed", "folder.json", "hard.json", "link.json"];
    assert_eq!(dropbox.names(""), left);
    let event = &dropbox.log.stored()[0];
    assert_eq!(event["trust"], "unverified");
}

#[tokio::test]
async fn a_file_is_taken_once_it_has_not_changed_for_as_long_as_it_must() {
    let mut dropbox = Dropbox::new(json!({"settle": "2s", "every": "10s"}));
    let begin = dropbox.clock;
    dropbox.put("a", r#"{"n": 1"#);
    let mut waits = Vec::new();
    for (millis, writes) in [(0, None), (1500, None), (1900, Some("}")), (2000, None), (3900, None), (4000, None)] {
        if let Some(text) = writes {
            use std::io::Write as _;
            File::options().append(true).open(dropbox.at("a")).unwrap().write_all(text.as_bytes()).unwrap();
        }
        dropbox.clock = begin + Duration::from_millis(millis);
        waits.push(dropbox.look().await.unwrap().as_millis());
        assert_eq!(dropbox.told().len(), usize::from(millis == 3900), "{millis}");
        if millis == 3900 {
            break;
        }
    }
    assert_eq!(waits, [2000, 500, 2000, 1900, 10_000]);
    assert!(dropbox.is_empty());
}

#[tokio::test]
async fn wherever_the_log_goes_away_and_a_broker_dies_everything_is_told_once() {
    let lines: Vec<String> = (0..5).map(|n| json!({"n": n}).to_string()).collect();
    for stored in 0..=7 {
        let mut dropbox =
            Dropbox::of(json!({"map": MAP, "decode": "ndjson"}), json!({"settle": "0s", "done": "delete"}));
        dropbox.put("a", &lines.join("\n"));
        dropbox.put("b", "{\"n\": 5}\n\n{\"n\": 6}\n");
        written(&dropbox.at("a"), 5);
        dropbox.log.away_after(Some(stored));
        let looked = dropbox.look().await;
        assert_eq!(looked.is_ok(), stored == 7, "{stored}: {looked:?}");
        dropbox.restart();
        dropbox.log.away_after(None);
        dropbox.look().await.unwrap();
        let expected = ["a:1 0", "a:2 1", "a:3 2", "a:4 3", "a:5 4", "b:1 5", "b:3 6"];
        assert_eq!(dropbox.told(), expected, "{stored}");
        assert!(dropbox.is_empty(), "{stored}");
    }
}

#[tokio::test]
async fn a_file_that_comes_again_is_the_same_one_and_another_of_its_name_is_not() {
    let mut dropbox = Dropbox::new(json!({"settle": "0s"}));
    for (name, text) in [
        ("a", r#"{"n": 1}"#),
        ("a", r#"{"n": 1}"#),
        ("a", r#"{"n": 2}"#),
        ("b", r#"{"n": 1}"#),
        ("c", r#"[{"n": 3}, {"n": 3}]"#),
    ] {
        dropbox.put(name, text);
        dropbox.look().await.unwrap();
        assert!(dropbox.is_empty());
    }
    assert_eq!(dropbox.told(), ["a 1", "a 2", "b 1", "c 3", "c 3"]);
    let done = dropbox.names("done");
    assert_eq!(done.len(), 5, "nothing is overwritten: {done:?}");
    assert_eq!(done.iter().filter(|name| name.starts_with("a.")).count(), 2);
}

#[tokio::test]
async fn without_dedupe_each_file_is_another_and_one_that_was_left_is_still_itself() {
    let mut dropbox = Dropbox::of(json!({"map": MAP, "decode": "json", "dedupe": "none"}), json!({"settle": "0s"}));
    for (ago, stored) in [(9, Some(1)), (5, None)] {
        dropbox.put("a", r#"[{"n": 1}, {"n": 2}]"#);
        written(&dropbox.at("a"), ago);
        dropbox.log.away_after(stored);
        dropbox.look_again_and_tell().await;
        dropbox.log.away_after(None);
        dropbox.restart();
        dropbox.look().await.unwrap();
    }
    assert_eq!(dropbox.told(), ["a 1", "a 2", "a 1", "a 2"]);
}

#[tokio::test]
async fn what_cannot_be_taken_is_told_and_lies_aside_with_the_reason() {
    let file = json!({"map": MAP, "decode": "json", "unmapped": "refuse", "max_body": 30});
    let mut dropbox = Dropbox::of(file, json!({"settle": "0s", "max_size": 40}));
    for (name, text, said) in [
        ("no.json", "{\"n\": ", "line 1 column 6"),
        ("large.json", "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]", "larger than `max_body` of the source, 30 bytes"),
        ("huge.json", "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]", "larger than `max_size` of the folder, 40 bytes"),
        ("odd.json", "7", "cannot index"),
    ] {
        dropbox.put(name, text);
        dropbox.look().await.unwrap();
        assert!(dropbox.is_empty(), "{name}");
        assert_eq!(fs::read_to_string(dropbox.at("failed").join(name)).unwrap(), text);
        let why = fs::read_to_string(dropbox.at("failed").join(format!("{name}.error"))).unwrap();
        let told = dropbox.log.own("file_failed").pop().unwrap();
        assert!(why.contains(said), "{name}: {why}");
        assert_eq!(told["file"], name);
        assert!(told["problems"][0].as_str().unwrap().contains(said), "{told}");
    }
    assert_eq!(dropbox.told(), Vec::<String>::new());
    let report = dropbox.watcher.folders.reports().remove("hr").unwrap();
    assert_eq!((report.state.as_str(), report.files, report.refused), ("watching", 0, 4));
    assert!(report.last_error.unwrap().starts_with("odd.json: "));
}

#[tokio::test]
async fn of_a_file_with_bad_lines_the_others_are_told_and_once_mended_the_rest() {
    let mut dropbox = Dropbox::of(json!({"map": MAP, "decode": "ndjson"}), json!({"settle": "0s"}));
    dropbox.put("a", "{\"n\": 1}\n{\"n\": \n{\"n\": 3}\n{]\n");
    dropbox.look().await.unwrap();
    assert_eq!(dropbox.told(), ["a:1 1", "a:3 3"]);
    let told = dropbox.log.own("file_failed").pop().unwrap();
    assert_eq!((&told["refused"], &told["events"]), (&json!(2), &json!(2)));
    let why = fs::read_to_string(dropbox.at("failed/a.error")).unwrap();
    assert!(why.starts_with("line 2: ") && why.contains("\nline 4: ") && why.contains("The rest"), "{why}");
    dropbox.put("a", "{\"n\": 1}\n{\"n\": 2}\n{\"n\": 3}\n{\"n\": 4}\n");
    dropbox.look().await.unwrap();
    assert_eq!(dropbox.told(), ["a:1 1", "a:3 3", "a:2 2", "a:4 4"]);
    assert_eq!(dropbox.names("done"), ["a"]);
}

#[tokio::test]
async fn trouble_is_told_once_and_no_folder_is_none() {
    let mut dropbox = Dropbox::new(json!({"settle": "0s"}));
    dropbox.put("done", "");
    dropbox.put("a", r#"{"n": 1}"#);
    for _ in 0..3 {
        dropbox.look_again_and_tell().await;
    }
    dropbox.restart();
    dropbox.look_again_and_tell().await;
    let told = dropbox.log.own("folder_failed");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0]["reason"].as_str().unwrap().contains("/in: done: "), "{told:?}");
    assert_eq!(dropbox.watcher.folders.reports()["hr"].state, "failing");
    fs::remove_file(dropbox.at("done")).unwrap();
    dropbox.look().await.unwrap();
    assert_eq!(dropbox.told(), ["a 1"]);
    fs::remove_dir_all(dropbox.at("")).unwrap();
    assert_eq!(dropbox.look().await.unwrap(), Duration::from_secs(10));
    let report = dropbox.watcher.folders.reports().remove("hr").unwrap();
    assert_eq!((report.state.as_str(), report.failures), ("no_folder", 0));
}

#[tokio::test]
async fn nobody_is_led_elsewhere_by_a_link_in_place_of_a_folder() {
    for name in [".taking", "done", "failed"] {
        let mut dropbox = Dropbox::new(json!({"settle": "0s"}));
        let elsewhere = dropbox.root.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        symlink(&elsewhere, dropbox.at(name)).unwrap();
        dropbox.put("a", r#"{"n": 1}"#);
        assert!(matches!(dropbox.look().await, Err(Trouble::Folder(_))), "{name}");
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0, "{name}");
        assert!(dropbox.at("a").exists());
    }
}

#[tokio::test]
async fn what_is_believed_must_be_written_by_nobody_else() {
    let mut dropbox = Dropbox::new(json!({"settle": "0s", "trust": "authenticated"}));
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    dropbox.put("a", r#"{"n": 1}"#);
    mode(&dropbox.at(""), 0o777);
    let Err(Trouble::Folder(why)) = dropbox.look().await else { panic!("taken") };
    assert!(why.contains("mode 777") && why.contains("trust: unverified"), "{why}");
    mode(&dropbox.at(""), 0o755);
    dropbox.look().await.unwrap();
    assert_eq!(dropbox.log.stored()[0]["trust"], "authenticated");
    dropbox.put("b", r#"{"n": 2}"#);
    mode(&dropbox.at("b"), 0o666);
    dropbox.look().await.unwrap();
    assert_eq!(dropbox.told(), ["a 1"]);
    let why = fs::read_to_string(dropbox.at("failed/b.error")).unwrap();
    assert!(why.contains("it can be changed by others"), "{why}");
}

#[tokio::test]
async fn two_brokers_at_one_folder_tell_everything_once() {
    let mut dropbox = Dropbox::new(json!({"settle": "0s"}));
    let mut other = watcher(&dropbox.root, &dropbox.file, &dropbox.log);
    for n in 0..40 {
        dropbox.put(&format!("f{n}"), &json!({"n": n}).to_string());
    }
    let (one, two) = tokio::join!(dropbox.watcher.look(dropbox.clock), other.look(dropbox.clock));
    one.unwrap();
    two.unwrap();
    dropbox.look().await.unwrap();
    let mut told = dropbox.told();
    told.sort();
    told.dedup();
    assert_eq!((told.len(), dropbox.told().len()), (40, 40));
    assert_eq!(dropbox.names("done").len(), 40);
    assert!(dropbox.is_empty());
}

#[tokio::test]
async fn what_another_broker_reads_is_left_to_it_and_what_somebody_writes_still_to_them() {
    let mut dropbox = Dropbox::new(json!({"settle": "0s"}));
    dropbox.put("a", r#"{"n": 1}"#);
    let place = Place::open(&dropbox.at("")).unwrap();
    let claimed = place.claim(found(&place)).unwrap().unwrap();
    assert!(place.look(|_| true).unwrap().found.is_empty());
    let Ok(Opened::File(file, stamp)) = place.take(&claimed) else { panic!("not opened") };
    dropbox.look().await.unwrap();
    assert_eq!((dropbox.told().len(), dropbox.names(".taking").len()), (0, 1));

    let source = source("hr", &dropbox.file, dropbox.root.path());
    let mut reading = super::reading::Reading::of(&source, file, stamp);
    let within = dropbox.at(".taking").join(&dropbox.names(".taking")[0]).join("a");
    fs::write(within, r#"{"n": 1, "m": 2}"#).unwrap();
    let dropped = crate::ingest::Dropped { name: "a", written: 0, trust: emote_proto::Trust::Unverified };
    let next = reading.next(&source, &dropped, &*dropbox.log).unwrap();
    assert!(matches!(next, super::reading::Next::Changed));
    drop(reading);
    dropbox.look().await.unwrap();
    assert_eq!(dropbox.told(), ["a 1"]);
    assert!(dropbox.is_empty());
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let file = json!({"map": ".", "folder": {
        "match": "**", "done": "keep", "settle": "2 days", "every": "1ms", "max_size": "65GiB", "trust": "verified", "x": 1,
    }});
    let spec: SourceSpec = serde_json::from_value(file).unwrap();
    let problems = spec.validate(&Name::new("x").unwrap()).unwrap_err();
    let lines: Vec<String> = problems.iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    folder.path: is missing: for example path: /var/spool/emote/in
    folder.match: expected a text such as *.json, in which each * stands for anything
    folder.done: a file that stays would be read again and again: expected move or delete
    folder.trust: expected unverified, or authenticated where none but root and the broker's user can write
    folder.settle: expected a length of time from 0ns to 86400s
    folder.every: expected a length of time from 100ms to 86400s
    folder.max_size: at most 64GiB
    folder.x: unknown key: expected one of done, every, match, max_size, path, settle, trust
    ");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is dropped whenever, and wherever the log goes away or a broker dies.
    #[test]
    fn whatever_happens_everything_is_told_once(
        steps in proptest::collection::vec((0_usize..4, 0_usize..6, any::<bool>()), 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut dropbox =
                Dropbox::of(json!({"map": MAP, "decode": "ndjson"}), json!({"settle": "0s"}));
            let mut wanted = Vec::new();
            for (at, (files, room, dies)) in steps.into_iter().enumerate() {
                for file in 0..files {
                    // The same names again and again, with other content.
                    let lines: Vec<String> = (0..=file).map(|line| json!({"n": at * 100 + line}).to_string()).collect();
                    wanted.extend((0..=file).map(|line| format!("f{file}:{} {}", line + 1, at * 100 + line)));
                    let path = dropbox.at(&format!("f{file}"));
                    // Renamed into place, perhaps where one is that was not taken yet: that one would be lost by its writer.
                    if path.exists() { dropbox.log.away_after(None); dropbox.look().await.unwrap(); }
                    dropbox.put(".new", &lines.join("\n"));
                    fs::rename(dropbox.at(".new"), path).unwrap();
                }
                dropbox.log.away_after(Some(room));
                dropbox.look_again_and_tell().await;
                if dies {
                    dropbox.restart();
                }
            }
            dropbox.log.away_after(None);
            dropbox.look().await.unwrap();
            let mut told = dropbox.told();
            told.sort();
            wanted.sort();
            assert_eq!(told, wanted);
            assert!(dropbox.is_empty());
        });
    }
}
