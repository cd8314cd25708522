//! What changes between a look and the reading, and trouble that passes.

use super::*;
use crate::intake::folder::{place::OF_THE_FILE, reading::Reading, watcher::Unread};

#[tokio::test]
async fn a_file_that_changed_since_it_was_found_settles_again_where_it_was_moved_to() {
    let mut dropbox = Dropbox::new(json!({"settle": "2s"}));
    let begin = dropbox.clock;
    dropbox.put("a", r#"{"n": 1}"#);
    let place = Place::open(&dropbox.at("")).unwrap();
    let settled = found(&place);
    // Half of the next one lies there when it is moved aside.
    fs::remove_file(dropbox.at("a")).unwrap();
    dropbox.put("a", r#"{"n": 2, "#);
    let claimed = place.claim(settled).unwrap().unwrap();
    assert!(matches!(place.take(&claimed).unwrap(), Opened::Changed));
    let within = dropbox.at(".taking").join(&dropbox.names(".taking")[0]).join("a");
    for (millis, writes) in [(0, None), (1900, None), (1950, Some(r#"{"n": 2, "m": 3}"#)), (2000, None), (3900, None)] {
        if let Some(text) = writes {
            fs::write(&within, text).unwrap();
        }
        dropbox.clock = begin + Duration::from_millis(millis);
        dropbox.look().await.unwrap();
        assert_eq!((dropbox.told().len(), dropbox.names("failed").len()), (0, 0), "{millis}");
    }
    dropbox.clock = begin + Duration::from_millis(3950);
    dropbox.look().await.unwrap();
    assert_eq!(dropbox.told(), ["a 2"]);
    assert!(dropbox.is_empty());
}

#[tokio::test]
async fn what_may_pass_does_not_make_a_file_a_bad_one() {
    use rustix::io::Errno;
    let passing = [Errno::MFILE, Errno::NFILE, Errno::IO, Errno::STALE, Errno::NOMEM, Errno::INTR, Errno::TIMEDOUT];
    assert!(passing.iter().all(|error| !OF_THE_FILE.contains(error)));
    let dropbox = Dropbox::new(json!({"settle": "0s"}));
    dropbox.put("a", "{}");
    let place = Place::open(&dropbox.at("")).unwrap();
    let claimed = place.claim(found(&place)).unwrap().unwrap();
    let Ok(Opened::File(_, stamp)) = place.take(&claimed) else { panic!("not opened") };
    // What reads it is given an error by the system: a folder has nothing to read.
    let unreadable = File::open(dropbox.root.path()).unwrap();
    let reading = Reading::of(&dropbox.watcher.source, unreadable, stamp);
    assert!(matches!(dropbox.watcher.next(&claimed, reading, 0).await, Err(Unread::Now(_))));
}

#[tokio::test]
async fn folders_within_that_are_anothers_are_not_used() {
    // Only root gives a folder away; whose folders are refused is told by the tests of `private`, too.
    let gives_away = rustix::process::geteuid().is_root();
    for name in [".taking", "done", "failed"] {
        let mut dropbox = Dropbox::new(json!({"settle": "0s"}));
        dropbox.put("a", r#"{"n": 1}"#);
        fs::create_dir(dropbox.at(name)).unwrap();
        if gives_away {
            std::os::unix::fs::chown(dropbox.at(name), Some(4321), None).unwrap();
            let Err(Trouble::Folder(why)) = dropbox.look().await else { panic!("{name} is used") };
            assert!(why.contains(&format!("{name}: it belongs to another user (uid 4321)")), "{why}");
            assert!(dropbox.at("a").exists());
            std::os::unix::fs::chown(dropbox.at(name), Some(0), None).unwrap();
        }
        dropbox.look().await.unwrap();
        assert_eq!(dropbox.told(), ["a 1"]);
    }
}
