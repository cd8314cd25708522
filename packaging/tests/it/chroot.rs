//! The package as it is built, unpacked into a root of its own and its scripts run there as they are, byte by byte: an
//! upgrade, one that fails, an older version, and what takes it all away. Only what Linux has not is played.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use emote_packaging::pkg::tree::{Kind, Tree};
use emote_packaging::pkg::{APP, LAUNCH_DAEMON, NEWSYSLOG, PROGRAM, UNINSTALL, cpio, xar};
use flate2::read::GzDecoder;

use crate::macho;
use crate::scripts::{LINK, LOG, STATE, SWITCH, TOOLS};
use crate::tools::{Place, find, left_out, said};

/// Where Installer unpacks scripts.
const SANDBOX: &str = "/private/tmp/PKInstallSandbox/Scripts";

/// Where a cpio archive says of when its first entry is.
const TIME: std::ops::Range<usize> = 48..59;

/// What the scripts use that Linux has too, and where they look for it.
const OWN: [&str; 15] = [
    "bin/sh",
    "bin/cat",
    "bin/chmod",
    "bin/date",
    "bin/ln",
    "bin/mkdir",
    "bin/rm",
    "bin/rmdir",
    "usr/bin/dirname",
    "usr/bin/head",
    "usr/bin/id",
    "usr/bin/readlink",
    "usr/bin/sed",
    "usr/bin/sort",
    "usr/sbin/chown",
];

/// A disk that a process takes for all there is.
struct Disk {
    root: tempfile::TempDir,
    enter: Enter,
}

/// How to become root of a folder.
#[derive(Clone, Copy)]
enum Enter {
    /// By a namespace of users, which takes no rights.
    Unshare,
    Chroot,
}

impl Enter {
    fn command(self, root: &Path) -> Command {
        let mut command = match self {
            Self::Unshare => {
                let mut command = Command::new("unshare");
                command.args(["--user", "--map-root-user", "--root"]);
                command
            }
            Self::Chroot => Command::new("chroot"),
        };
        command.arg(root).env_clear();
        command
    }
}

impl Disk {
    /// Nothing where this machine lets nobody have one.
    fn new() -> Option<Self> {
        let root = tempfile::tempdir().unwrap();
        for place in OWN {
            copy(&find(name(place)).unwrap(), root.path(), place);
        }
        for (place, body) in TOOLS.iter().filter(|(place, _)| !OWN.contains(place)) {
            let tool = format!("#!/bin/sh\nr=''\necho \"{} $*\" >>/play/calls\n{body}\n", name(place));
            write(&root.path().join(place), tool.as_bytes(), 0o755);
        }
        for (file, text) in [("macos", "14.5\n"), ("failures", "0\n"), ("calls", "")] {
            write(&root.path().join("play").join(file), text.as_bytes(), 0o644);
        }
        fs::create_dir_all(root.path().join("var/log")).unwrap();
        // No device can be made without rights; a file takes what nobody reads as well.
        write(&root.path().join("dev/null"), b"", 0o666);
        let enters = |enter: &Enter| {
            let output = enter.command(root.path()).args(["/bin/sh", "-c", "exit 0"]).output();
            output.is_ok_and(|output| output.status.success())
        };
        let enter = [Enter::Unshare, Enter::Chroot].into_iter().find(enters)?;
        Some(Self { root, enter })
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    fn has(&self, path: &str) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    /// The files and links that lie there, but for what is played, for scripts and for what these say.
    fn files(&self) -> BTreeSet<PathBuf> {
        let mut files = BTreeSet::new();
        let mut folders = vec![self.root.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let here = path.strip_prefix(self.root.path()).unwrap().to_owned();
                if path.symlink_metadata().unwrap().is_dir() {
                    folders.push(path);
                } else if !here.starts_with("play") && !here.starts_with(&SANDBOX[1..]) && here != Path::new(LOG) {
                    files.insert(here);
                }
            }
        }
        files
    }

    fn play(&self, file: &str, text: &str) {
        write(&self.path("play").join(file), text.as_bytes(), 0o644);
    }

    /// Runs a program of this disk with the disk as its root.
    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        self.enter.command(self.root.path()).arg(program).args(arguments).output().unwrap()
    }

    /// What Installer does with a package.
    fn install(&self, package: &[u8]) -> Output {
        let archive = xar::read(package).unwrap();
        let tree = |file: &str| {
            let (mut data, file) = (Vec::new(), archive.files.iter().find(|known| known.path.ends_with(file)).unwrap());
            GzDecoder::new(file.data).read_to_end(&mut data).unwrap();
            let time = std::str::from_utf8(&data[TIME]).unwrap();
            cpio::read(&data, u32::from_str_radix(time, 8).unwrap()).unwrap()
        };
        unpack(&tree("/Scripts"), &self.path(&SANDBOX[1..]));
        let script = |name: &str| {
            let arguments = ["/tmp/EmoteAgent.pkg", "/", "/", "/"];
            self.run(&format!("{SANDBOX}/{name}"), &arguments)
        };
        let before = script("preinstall");
        if !before.status.success() {
            return before;
        }
        unpack(&tree("/Payload"), self.root.path());
        self.play("receipt", "");
        script("postinstall")
    }
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}

fn write(path: &Path, bytes: &[u8], mode: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

/// Copies a program, and to where they are the libraries that it is linked with.
fn copy(program: &Path, root: &Path, to: &str) {
    write(&root.join(to), &fs::read(program).unwrap(), 0o755);
    let linked = Command::new("ldd").arg(program).output().unwrap();
    let linked = String::from_utf8(linked.stdout).unwrap();
    for library in linked.split_whitespace().filter(|word| word.starts_with('/')) {
        write(&root.join(&library[1..]), &fs::read(library).unwrap(), 0o755);
    }
}

/// Writes a tree's folders and files, with their modes, over what is there.
fn unpack(tree: &Tree, to: &Path) {
    for (path, entry) in tree.iter() {
        let place = to.join(path);
        match &entry.kind {
            Kind::Folder => fs::create_dir_all(&place).unwrap(),
            Kind::File(bytes) => write(&place, bytes, u32::from(entry.mode)),
            Kind::Link(_) => unreachable!("the package has no links"),
        }
    }
}

/// A package of a version, of programs that say they are it.
fn package(version: &str) -> Vec<u8> {
    let place = Place::new();
    for (name, cpu) in [("arm64", macho::ARM64), ("x86_64", macho::X86_64)] {
        fs::write(place.path(name), macho::program(cpu, 0x000d_0000, Some(version))).unwrap();
    }
    place.unsigned()
}

fn disk() -> Option<Disk> {
    let disk = Disk::new();
    if disk.is_none() {
        assert!(std::env::var_os("CI").is_none(), "neither unshare nor chroot gives a root of its own");
        left_out("what the package's scripts do in a root of their own", "namespaces of users, or root");
    }
    disk
}

#[track_caller]
fn ok(output: &Output) {
    assert!(output.status.success(), "{}", said(output));
}

#[test]
fn a_disk_is_installed_on_upgraded_and_left_as_it_was() {
    let Some(disk) = disk() else { return };
    let before = disk.files();
    let (old, new) = (package("1.9.0"), package("1.10.0"));
    ok(&disk.install(&old));
    let state = fs::metadata(disk.path(STATE)).unwrap();
    assert_eq!(state.mode() & 0o777, 0o700);
    let link = fs::read_link(disk.path(LINK)).unwrap();
    assert_eq!(link, Path::new("/").join(APP).join(PROGRAM), "as it is where the disk is all there is");
    assert!(disk.path(&link.to_str().unwrap()[1..]).metadata().unwrap().mode() & 0o111 == 0o111);
    for file in [LAUNCH_DAEMON, NEWSYSLOG, "play/loaded"] {
        assert!(disk.has(file), "{file}");
    }
    write(&disk.path(STATE).join("spool.redb"), b"events", 0o600);

    ok(&disk.install(&new));
    assert!(disk.read(LOG).contains("version 1.10.0, over 1.9.0"), "{}", disk.read(LOG));
    let program = fs::read(disk.path(APP).join(PROGRAM)).unwrap();
    let has = |mark: &[u8]| program.windows(mark.len()).any(|part| part == mark);
    assert!(has(b"VERSION:1.10.0\0") && !has(b"VERSION:1.9.0\0"));
    assert_eq!(disk.read(&format!("{STATE}/spool.redb")), "events");
    let calls = disk.read("play/calls");
    assert!(calls.ends_with("launchctl bootstrap system /Library/LaunchDaemons/io.emote.agent.plist\n"), "{calls}");

    let uninstall = format!("/{APP}/{UNINSTALL}");
    ok(&disk.run(&uninstall, &[]));
    assert!(disk.has(&format!("{STATE}/spool.redb")) && !disk.has(APP) && !disk.has("play/loaded"));
    ok(&disk.install(&new));
    ok(&disk.run(&uninstall, &["--purge"]));
    assert_eq!(disk.files(), before, "nothing is left");
}

#[test]
fn an_upgrade_that_fails_and_an_older_version_leave_the_disk_so_that_it_can_go_on() {
    let Some(disk) = disk() else { return };
    let (old, new) = (package("1.9.0"), package("1.10.0"));
    ok(&disk.install(&new));
    write(&disk.path(STATE).join("spool.redb"), b"events", 0o600);

    let before = disk.files();
    let refused = disk.install(&old);
    assert!(!refused.status.success() && said(&refused).contains("version 1.9.0 is older than 1.10.0"), "{refused:?}");
    assert_eq!(disk.files(), before);

    disk.play("failures", "1000\n");
    let failed = disk.install(&new);
    assert!(!failed.status.success() && said(&failed).contains("launchd did not start the agent"), "{failed:?}");
    assert_eq!(disk.read(&format!("{STATE}/spool.redb")), "events");
    disk.play("failures", "0\n");
    ok(&disk.install(&new));
    assert!(disk.has("play/loaded") && disk.read(&format!("{STATE}/spool.redb")) == "events");

    write(&disk.path(SWITCH), b"", 0o644);
    ok(&disk.install(&old));
    assert!(!disk.has(SWITCH) && disk.read(LOG).contains("over the newer 1.10.0"));
}

#[test]
fn another_volume_is_refused_with_nothing_changed() {
    let Some(disk) = disk() else { return };
    ok(&disk.install(&package("1.0.0")));
    let before = disk.files();
    for script in ["preinstall", "postinstall"] {
        let script = format!("{SANDBOX}/{script}");
        let output = disk.run(&script, &["/tmp/EmoteAgent.pkg", "/Volumes/Other", "/Volumes/Other", "/"]);
        assert!(!output.status.success() && said(&output).contains("not on /Volumes/Other"), "{output:?}");
    }
    assert_eq!(disk.files(), before);
}
