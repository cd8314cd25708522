use super::*;
use crate::config::{pattern_in, pattern_of};

fn told(root: &Path) -> String {
    Folder::load(root).err().map(|report| report.to_string()).unwrap_or_default()
}

#[test]
fn what_is_no_configuration_folder_says_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pattern.json");
    std::fs::write(&file, "{}").unwrap();
    for (root, said) in [
        (folder.path().to_owned(), format!("emote.yaml: is not in {}; name a", folder.path().display())),
        (file.clone(), format!("{}: is no folder; name a", file.display())),
        (folder.path().join("none"), "/none: there is no such folder; name a".to_owned()),
    ] {
        let told = told(&root);
        assert!(told.contains(&said) && told.ends_with("or write one with `emote init DIR`"), "{told}");
    }
}

#[test]
fn a_secret_that_is_missing_is_told_where_its_reference_stands() {
    let folder = tempfile::tempdir().unwrap();
    for kind in ["sources", "targets"] {
        std::fs::create_dir(folder.path().join(kind)).unwrap();
    }
    let archive = "archive: {to: \"s3://a/b\", region: x, access_key_id: a, secret_access_key: \"${file:s3}\"}\n";
    for (file, text) in [
        ("emote.yaml", archive),
        ("sources/okta.yaml", "preset: okta\nsettings:\n  secret: ${env:EMOTE_TEST_UNSET_1}\n"),
        (
            "targets/lock.yaml",
            "preset: simplemdm\naction: lock\nsettings:\n  api_key: ${env:EMOTE_TEST_UNSET_2}\n  pin_key: ${file:pin}\n",
        ),
        (
            "targets/web.yaml",
            "kind: http\nurl: https://example.com\nheaders:\n  X-A: a\n  X-Key: Key ${env:EMOTE_TEST_UNSET_3}!\n",
        ),
    ] {
        std::fs::write(folder.path().join(file), text).unwrap();
    }
    let loaded = Folder::load(folder.path()).unwrap_or_else(|report| panic!("{report}"));
    let told = loaded.try_secrets().unwrap_err().to_string();
    for said in [
        "emote.yaml:1:75: archive.secret_access_key: the secret file",
        "sources/okta.yaml:3:11: settings.secret: the environment variable EMOTE_TEST_UNSET_1",
        "targets/lock.yaml:4:12: settings.api_key: the environment variable EMOTE_TEST_UNSET_2",
        "targets/lock.yaml:5:12: settings.pin_key: the secret file",
        "targets/web.yaml:5:10: headers.X-Key: the environment variable EMOTE_TEST_UNSET_3",
    ] {
        assert!(told.contains(said), "{said} is not in {told}");
    }
}

#[test]
fn a_file_that_is_no_rule_is_not_shown_when_it_is_no_yaml_either() {
    for (text, is_shown) in [
        ("kind: slack\nwebhook: \"hunter2\n", false),
        ("patterns: 1\nwebhook: \"hunter2\n", false),
        ("pattern: {a: [\"hunter2]}\n", true),
    ] {
        let told = pattern_in(Path::new("file.yaml"), text).unwrap_err().to_string();
        assert_eq!(told.contains("hunter2"), is_shown, "{told}");
    }
}

#[cfg(unix)]
#[test]
fn a_rule_that_is_a_link_to_nowhere_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("rules")).unwrap();
    std::os::unix::fs::symlink("nowhere", folder.path().join("rules/log.yaml")).unwrap();
    let name = |text: &str| Name::new(text).unwrap();
    let told = pattern_of(folder.path(), &name("log")).unwrap_err().to_string();
    assert!(told.starts_with("rules/log.yaml: cannot be read: No such file"), "{told}");
    assert!(pattern_of(folder.path(), &name("other")).unwrap().is_none());
}

#[test]
fn a_place_is_told_once_and_a_missing_target_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("rules")).unwrap();
    for (name, text) in [
        ("emote.yaml", "{}"),
        ("rules/tab.yaml", "pattern:\n\t- a\n"),
        ("rules/log.yaml", "pattern: {scope: [user]}\ntargets: [log]\n"),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    std::fs::write(folder.path().join("rules/binary.yaml"), b"\xff\xfe").unwrap();
    let told = told(folder.path());
    for said in [
        "rules/binary.yaml: is not UTF-8, as YAML is",
        "rules/tab.yaml:2:2: not YAML: a tab stands here: indent with spaces",
        "targets[0]: there is no target \"log\": there are none, describe one in targets/NAME.yaml",
    ] {
        assert!(told.contains(said), "{told}");
    }
}

/// A folder with these files, by their names.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for kind in [RULES, "targets"] {
        std::fs::create_dir(folder.path().join(kind)).unwrap();
    }
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

#[test]
fn no_rule_is_passed_over_in_silence() {
    use std::os::unix::ffi::OsStrExt;
    let folder = folder(&[("emote.yaml", "{}")]);
    let rules = folder.path().join(RULES);
    std::fs::write(rules.join(std::ffi::OsStr::from_bytes(b"l\xf6ck.yaml")), "pattern: {a: [1]}").unwrap();
    std::fs::create_dir(rules.join("folder.yaml")).unwrap();
    std::os::unix::fs::symlink("nowhere", rules.join("dangling.yaml")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, rules.join("pipe.yaml"), rustix::fs::Mode::RWXU).unwrap();
    let told = told(folder.path());
    for said in [
        "rules/l\u{fffd}ck.yaml: the file's name is not UTF-8: rename it",
        "rules/folder.yaml: is a folder",
        "rules/dangling.yaml: cannot be read: No such file",
        "rules/pipe.yaml: is a pipe or device: only plain files are read",
    ] {
        assert!(told.contains(said), "{told}");
    }
}

#[test]
fn problems_come_in_the_order_of_files_and_lines() {
    let folder = folder(&[
        ("emote.yaml", "{}"),
        ("rules/a.yaml", "targets: [x]\npattern: {scope: device}\n"),
        ("rules/b.yaml", "pattern: [\n"),
        ("targets/slack.yaml", "kind: nothing\n"),
    ]);
    let files: Vec<(PathBuf, Option<usize>)> = Folder::load(folder.path())
        .err()
        .unwrap()
        .problems
        .into_iter()
        .map(|problem| (problem.file, problem.line))
        .collect();
    let mut sorted = files.clone();
    sorted.sort();
    assert_eq!(files, sorted);
    assert!(files.len() >= 4, "{files:?}");
}

#[test]
fn whom_to_believe_is_read_with_the_folder_and_told_by_place() {
    let folder = folder(&[("emote.yaml", "{}"), ("trust.yaml", "# whom\nagent: verified\nmanual: authenticated\n")]);
    let loaded = Folder::load(folder.path()).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(loaded.believed.len(), 2);
    assert!(loaded.core(None).believed().rests_on_credentials() && loaded.may_run_where(false).is_ok());
    let refused = loaded.may_run_where(true).unwrap_err().to_string();
    assert!(refused.starts_with("trust.yaml: this NATS asks nobody for credentials"), "{refused}");
    std::fs::create_dir(folder.path().join("sources")).unwrap();
    std::fs::write(folder.path().join("sources/hr.yaml"), "verify: none\nmap: 'empty'\n").unwrap();
    std::fs::write(folder.path().join("trust.yaml"), "agent: verified\nhr: verified\nmanual: yes\n").unwrap();
    let told = told(folder.path());
    for said in ["trust.yaml:2:1: hr: hr is a webhook", "trust.yaml:3:1: manual: \"yes\" is no level of trust"] {
        assert!(told.contains(said), "{told}");
    }
    std::fs::write(folder.path().join("trust.yaml"), "agent: unverified\n").unwrap();
    std::fs::remove_file(folder.path().join("sources/hr.yaml")).unwrap();
    assert!(Folder::load(folder.path()).unwrap_or_else(|report| panic!("{report}")).may_run_where(true).is_ok());
}

#[test]
fn a_mark_of_the_byte_order_is_no_column() {
    let folder =
        folder(&[("emote.yaml", "\u{feff}{}"), ("rules/a.yaml", "\u{feff}pattern: {scope: device}\ntargets: []\n")]);
    let told = told(folder.path());
    assert!(
        told.starts_with("rules/a.yaml:1:18: pattern.scope") && told.contains("\n    |                  ^"),
        "{told}"
    );
}

#[test]
fn a_rule_is_shown_wherever_its_file_lies() {
    let told = pattern_in(Path::new("elsewhere.yaml"), "pattern: {scope: device}\n").unwrap_err().to_string();
    assert!(told.starts_with("elsewhere.yaml:1:18: ") && told.ends_with("\n    |                  ^"), "{told}");
    let told = pattern_in(Path::new("slack.yaml"), "webhook: hunter2\n").unwrap_err().to_string();
    assert!(told.starts_with("slack.yaml:1:1: pattern: is missing") && !told.contains("hunter2"), "{told}");
}
