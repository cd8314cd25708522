//! The package's scripts, as they are, on a Mac that is played: a folder in place of the disk, and tools in it that write
//! down how they were called. A copy of a script differs from it in the one line that says where the disk is.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use emote_packaging::pkg::assemble::app;
use emote_packaging::pkg::{APP, LAUNCH_DAEMON, NEWSYSLOG, PROGRAM};

use crate::tools::{find, left_out, said};

const ROOT: &str = "root=''\n";
pub(crate) const STATE: &str = "var/db/io.emote.agent";
pub(crate) const LINK: &str = "usr/local/bin/emote-agent";
pub(crate) const LOG: &str = "var/log/emote-agent-install.log";
pub(crate) const SWITCH: &str = "Library/Application Support/Emote/allow-downgrade";

/// Tools of macOS, as far as the scripts use them; `$r` is the disk. `play/` holds what they should do and what is so.
pub(crate) const TOOLS: [(&str, &str); 8] = [
    ("usr/bin/sw_vers", "cat \"$r/play/macos\""),
    ("usr/libexec/PlistBuddy", "sed -n '/CFBundleShortVersionString/{n;s/.*<string>\\(.*\\)<.*/\\1/p;}' \"$3\""),
    ("usr/sbin/chown", "exit 0"),
    ("bin/sleep", "exit 0"),
    ("usr/bin/id", "cat \"$r/play/id\""),
    ("usr/bin/security", "[ -e \"$r/play/key\" ] && rm \"$r/play/key\""),
    (
        "usr/sbin/pkgutil",
        "case $1 in
--pkg-info) [ -e \"$r/play/receipt\" ] ;;
--forget) rm \"$r/play/receipt\" ;;
esac",
    ),
    (
        "bin/launchctl",
        "loaded=\"$r/play/loaded\"
case $1 in
print) [ -e \"$loaded\" ] ;;
bootout)
    [ ! -e \"$r/play/stuck\" ] && rm \"$loaded\" ;;
bootstrap)
    failures=$(cat \"$r/play/failures\")
    if [ \"$failures\" -gt 0 ] || [ -e \"$loaded\" ]; then
        echo $((failures - 1)) >\"$r/play/failures\"
        echo 'Bootstrap failed: 5: Input/output error' >&2
        exit 5
    fi
    : >\"$loaded\" ;;
esac",
    ),
];

struct Mac {
    disk: tempfile::TempDir,
    shell: &'static str,
}

impl Mac {
    fn new(shell: &'static str) -> Self {
        let disk = tempfile::Builder::new().prefix("a mac ").tempdir().unwrap();
        let mac = Self { disk, shell };
        for (path, body) in TOOLS {
            let tool = format!(
                "#!/bin/sh\nr='{}'\necho \"{} $*\" >>\"$r/play/calls\"\n{body}\n",
                mac.path("").display(),
                name(path)
            );
            mac.write(path, &tool);
            std::fs::set_permissions(mac.path(path), PermissionsExt::from_mode(0o755)).unwrap();
        }
        for (path, text) in [("play/macos", "14.5\n"), ("play/id", "0\n"), ("play/failures", "0\n"), ("play/calls", "")]
        {
            mac.write(path, text);
        }
        std::fs::create_dir_all(mac.path("var/log")).unwrap();
        mac
    }

    fn path(&self, path: &str) -> PathBuf {
        self.disk.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).unwrap()
    }

    fn has(&self, path: &str) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    fn mode(&self, path: &str) -> u32 {
        std::fs::metadata(self.path(path)).unwrap().mode() & 0o777
    }

    /// How a tool was called since the last time that this was asked.
    fn calls(&self, of: &str) -> Vec<String> {
        let calls = self.read("play/calls");
        self.write("play/calls", "");
        calls.lines().filter(|call| call.starts_with(of)).map(str::to_owned).collect()
    }

    fn script(&self, name: &str, arguments: &[&str]) -> Output {
        let script = std::fs::read_to_string(scripts().join(name)).unwrap();
        assert_eq!(script.matches(ROOT).count(), 1, "{name}");
        let root = self.disk.path().display();
        self.write(&format!("scripts/{name}"), &script.replace(ROOT, &format!("root='{root}'\n")));
        let mut command = Command::new(self.shell);
        // What an environment says must not matter.
        command.env("root", "/nowhere").env("PATH", "/nowhere").env("log", "/nowhere").env("switch", "/");
        command.arg(self.path(&format!("scripts/{name}"))).args(arguments).output().unwrap()
    }

    fn installer(&self, name: &str) -> Output {
        self.script(name, &["/tmp/EmoteAgent.pkg", "/", "/", "/"])
    }

    /// What Installer does with a package of a version: its scripts, and its files between them.
    fn install(&self, version: &str) -> Output {
        self.write("scripts/version", &format!("{version}\n"));
        let before = self.installer("preinstall");
        if !before.status.success() {
            return before;
        }
        let folder = self.path(APP).parent().unwrap().to_owned();
        std::fs::create_dir_all(&folder).unwrap();
        app(&folder, b"program", version.parse().unwrap()).unwrap();
        self.write(LAUNCH_DAEMON, "daemon");
        self.write(NEWSYSLOG, "rule");
        self.write("play/receipt", version);
        self.installer("postinstall")
    }

    fn installed(shell: &'static str, version: &str) -> Self {
        let mac = Self::new(shell);
        let output = mac.install(version);
        assert!(output.status.success(), "{}", said(&output));
        mac.write(&format!("{STATE}/spool.redb"), "events");
        mac.calls("");
        mac
    }
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("pkg-scripts")
}

/// The shells that `/bin/sh` is, here and on Macs.
fn shells() -> impl Iterator<Item = &'static str> {
    ["/bin/sh", "/bin/bash"].into_iter().filter(|shell| Path::new(shell).exists())
}

fn ok(output: &Output) {
    assert!(output.status.success(), "{}", said(output));
}

#[track_caller]
fn refused(output: &Output, expected: &str) {
    assert!(!output.status.success() && said(output).contains(expected), "{expected}: {}", said(output));
}

#[test]
fn a_first_installation_starts_the_agent_and_keeps_its_folder_to_root() {
    for shell in shells() {
        let mac = Mac::new(shell);
        ok(&mac.install("1.2.3"));
        assert!(mac.has("play/loaded"));
        assert_eq!(mac.mode(STATE), 0o700);
        assert_eq!(std::fs::read_link(mac.path(LINK)).unwrap(), mac.path(APP).join(PROGRAM));
        let state = mac.path(STATE).display().to_string();
        let calls = mac.read("play/calls");
        assert!(calls.contains(&format!("chown 0:0 {state}")), "{calls}");
        let plist = mac.path(LAUNCH_DAEMON).display().to_string();
        assert_eq!(
            mac.calls("launchctl"),
            [
                "launchctl bootout system/io.emote.agent".to_owned(),
                "launchctl enable system/io.emote.agent".into(),
                format!("launchctl bootstrap system {plist}"),
            ]
        );
        let log = mac.read(LOG);
        assert!(log.contains("version 1.2.3, on a Mac without one") && log.contains("started, at the 1. try"), "{log}");
        assert_eq!(mac.mode(LOG), 0o640);
    }
}

#[test]
fn an_upgrade_restarts_the_agent_and_loses_nothing_and_can_be_run_again() {
    for shell in shells() {
        let mac = Mac::installed(shell, "1.9.0");
        for version in ["1.10.0", "1.10.0"] {
            ok(&mac.install(version));
            assert!(mac.has("play/loaded"));
            assert_eq!(mac.read(&format!("{STATE}/spool.redb")), "events");
        }
        let log = mac.read(LOG);
        assert!(log.contains("1.10.0, over 1.9.0") && log.contains("1.10.0, over 1.10.0"), "{log}");
    }
}

#[test]
fn bootstrapping_is_tried_until_it_succeeds() {
    for shell in shells() {
        let mac = Mac::installed(shell, "1.0.0");
        mac.write("play/failures", "29\n");
        ok(&mac.install("1.0.1"));
        assert!(mac.read(LOG).contains("started, at the 30. try"));
    }
}

#[test]
fn an_upgrade_that_does_not_start_says_so_and_leaves_what_was_kept() {
    for shell in shells() {
        let mac = Mac::installed(shell, "1.0.0");
        mac.write("play/failures", "1000\n");
        let output = mac.install("1.0.1");
        refused(&output, "launchd did not start the agent in 30 tries: Bootstrap failed: 5");
        let told = said(&output);
        assert!(told.contains("What it has kept is untouched") && mac.read(LOG).contains("FAILED"), "{told}");
        assert_eq!(mac.calls("launchctl bootstrap").len(), 30);
        assert_eq!((mac.read(&format!("{STATE}/spool.redb")).as_str(), mac.mode(STATE)), ("events", 0o700));
        // Once launchd does again what it should, the same package goes in.
        mac.write("play/failures", "0\n");
        ok(&mac.install("1.0.1"));
        assert!(mac.has("play/loaded"));
    }
}

#[test]
fn an_older_version_is_refused_unless_a_file_allows_it_once() {
    for shell in shells() {
        let mac = Mac::installed(shell, "1.10.0");
        refused(&mac.install("1.9.9"), "version 1.9.9 is older than 1.10.0");
        assert!(mac.has("play/loaded"));
        assert_eq!(mac.calls("launchctl"), [""; 0], "what is refused changes nothing");
        mac.write(SWITCH, "");
        ok(&mac.install("1.9.9"));
        assert!(mac.read(LOG).contains("over the newer 1.10.0, because of"));
        assert!(!mac.has(SWITCH));
        ok(&mac.install("1.10.0"));
        refused(&mac.install("1.9.9"), "older than 1.10.0");
    }
}

#[test]
fn another_volume_and_an_old_macos_are_refused() {
    for shell in shells() {
        let mac = Mac::new(shell);
        mac.write("scripts/version", "1.0.0\n");
        for script in ["preinstall", "postinstall"] {
            let output = mac.script(script, &["/tmp/a.pkg", "/Volumes/Other", "/Volumes/Other", "/"]);
            refused(&output, "on the volume that the Mac starts from only, not on /Volumes/Other");
            refused(&mac.script(script, &[]), "not on nothing");
        }
        for (macos, expected) in [("12.7.6", "macOS 12.7.6 is older than 13.0"), ("x", "this is macOS x")] {
            mac.write("play/macos", &format!("{macos}\n"));
            refused(&mac.install("1.0.0"), expected);
        }
        for macos in ["13.0", "13.6.9", "26.0"] {
            mac.write("play/macos", &format!("{macos}\n"));
            ok(&mac.install("1.0.0"));
        }
        for version in ["", "1.0.0; rm", "1..0", "../1"] {
            mac.write("scripts/version", version);
            refused(&mac.installer("preinstall"), "the package's version is none");
        }
    }
}

#[test]
fn what_somebody_else_put_at_the_link_stays_and_a_state_folder_that_leads_elsewhere_is_refused() {
    for shell in shells() {
        let mac = Mac::new(shell);
        mac.write(LINK, "somebody else's");
        ok(&mac.install("1.0.0"));
        assert_eq!(mac.read(LINK), "somebody else's");
        ok(&mac.script("uninstall", &[]));
        assert_eq!(mac.read(LINK), "somebody else's");
        std::fs::remove_dir_all(mac.path(STATE)).unwrap();
        std::os::unix::fs::symlink(mac.path("var/log"), mac.path(STATE)).unwrap();
        refused(&mac.install("1.0.0"), "is a link");
    }
}

#[test]
fn uninstalling_takes_all_but_what_was_kept_and_purging_that_too() {
    for shell in shells() {
        let mac = Mac::installed(shell, "1.0.0");
        mac.write("Library/Application Support/Emote/agent.toml", "settings");
        mac.write("play/key", "");
        ok(&mac.script("uninstall", &[]));
        for gone in [APP, LAUNCH_DAEMON, NEWSYSLOG, LINK, "play/receipt", "play/loaded"] {
            assert!(!mac.has(gone), "{gone}");
        }
        for kept in [&format!("{STATE}/spool.redb"), "Library/Application Support/Emote/agent.toml", "play/key", LOG] {
            assert!(mac.has(kept), "{kept}");
        }
        ok(&mac.script("uninstall", &[]));
        ok(&mac.script("uninstall", &["--purge"]));
        for gone in [STATE, "Library/Application Support/Emote", "play/key", LOG] {
            assert!(!mac.has(gone), "{gone}");
        }
        assert!(mac.has("Library/Application Support"));
        ok(&mac.install("0.9.0"));
    }
}

#[test]
fn uninstalling_is_roots_and_begins_with_stopping() {
    for shell in shells() {
        let mac = Mac::installed(shell, "1.0.0");
        mac.write("play/id", "501\n");
        refused(&mac.script("uninstall", &[]), "only root may");
        mac.write("play/id", "0\n");
        for wrong in [&["--force"][..], &["--purge", "x"], &["x"]] {
            let output = mac.script("uninstall", wrong);
            assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        }
        mac.write("play/stuck", "");
        refused(&mac.script("uninstall", &[]), "launchd did not stop the agent in 30 seconds; nothing was deleted");
        assert!(mac.has(APP) && mac.has(LAUNCH_DAEMON) && mac.has(LINK));
    }
}

#[test]
fn shellcheck_finds_nothing() {
    let Some(shellcheck) = std::env::var_os("EMOTE_TEST_SHELLCHECK").map(PathBuf::from).or_else(|| find("shellcheck"))
    else {
        return left_out("what shellcheck says of the package's scripts", "shellcheck");
    };
    let mut command = Command::new(shellcheck);
    for entry in std::fs::read_dir(scripts()).unwrap() {
        command.arg(entry.unwrap().path());
    }
    ok(&command.output().unwrap());
}
