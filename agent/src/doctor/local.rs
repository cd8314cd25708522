//! What is on this machine: who it is, the state folder, the system's tools, and whether each source can look.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use super::Finding;
use crate::platform::{self, Host, HostError, System, tools as all_tools};
use crate::sources::{self as all_sources, ObserveError};
use emote_proto::Serial;

/// A look that takes longer is worth a word.
const SLOW: Duration = Duration::from_secs(5);
/// What a Mac's administrator does about a denied file.
const FULL_DISK_ACCESS: &str =
    "grant the agent Full Disk Access (PPPC profile, SystemPolicyAllFiles), and run the doctor as root";

/// The serial number that the agent speaks under.
pub(crate) fn machine(host: &dyn Host, given: Option<&Serial>) -> Finding {
    let hardware = platform::hardware(host);
    match (given, hardware.serial) {
        (Some(given), Some(own)) if *given != own => {
            Finding::ok("serial", format!("{given}, as the settings say; the machine's own is {own}"))
        }
        (Some(serial), _) => Finding::ok("serial", format!("{serial}, as the settings say")),
        (None, Some(serial)) => Finding::ok("serial", serial.to_string()),
        (None, None) => Finding::fail(
            "serial",
            "this machine has no serial number that can be used",
            "give one: the key `serial`, or --serial",
        ),
    }
}

/// The folder of spool and socket.
pub(crate) fn folder(dir: &Path, quota: u64) -> Vec<Finding> {
    const CHECK: &str = "state folder";
    let shown = dir.display();
    let metadata = match std::fs::metadata(dir) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return vec![Finding::warn(
                CHECK,
                format!("{shown}: there is none yet"),
                "start the agent: it makes the folder",
            )];
        }
        Err(error) => return vec![Finding::fail(CHECK, format!("{shown}: {error}"), "run the doctor as root")],
    };
    let mode = metadata.permissions().mode() & 0o7777;
    let me = rustix::process::geteuid().as_raw();
    let mut findings = vec![if !metadata.is_dir() {
        Finding::fail(CHECK, format!("{shown} is no folder"), "move it away; the agent makes the folder")
    } else if mode & 0o022 != 0 {
        Finding::fail(CHECK, format!("{shown}: others may write here (mode {mode:o})"), format!("chmod 700 {shown}"))
    } else if metadata.uid() != me && me != 0 {
        Finding::warn(
            CHECK,
            format!("{shown} belongs to user {}", metadata.uid()),
            "run the doctor as that user, on a Mac as root",
        )
    } else {
        Finding::ok(CHECK, format!("{shown}, mode {mode:o}"))
    }];
    if let Ok(disk) = rustix::fs::statvfs(dir) {
        findings.push(space(disk.f_bavail.saturating_mul(disk.f_frsize), quota));
    }
    findings
}

fn space(free: u64, quota: u64) -> Finding {
    let said = format!("{} MiB free, and the spool may grow to {} MiB", free >> 20, quota >> 20);
    if free >= quota {
        Finding::ok("disk space", said)
    } else {
        Finding::warn("disk space", said, "free some space, or lower `quota`")
    }
}

/// The system tools that sources run.
pub(crate) fn tools(host: &dyn Host) -> Finding {
    if host.system() != System::Mac {
        return Finding::skipped("system tools", "none are used on this system");
    }
    let absent = |path: &str| matches!(host.read_at(Path::new(path), 0, 1), Err(HostError::Missing(_)));
    let mut missing: Vec<&str> = all_tools::ALL.iter().map(|tool| tool.path).filter(|path| absent(path)).collect();
    missing.dedup();
    match missing.as_slice() {
        [] => Finding::ok("system tools", format!("all {} are there", all_tools::ALL.len())),
        missing => Finding::warn(
            "system tools",
            format!("not there: {}", missing.join(", ")),
            "the sources that run them cannot look on this version of macOS: disable them, or tell the agent's makers",
        ),
    }
}

/// Lets each of `names` look. Takes as long as they do.
pub(crate) fn sources(host: &dyn Host, names: &[&str]) -> Vec<Finding> {
    names
        .iter()
        .filter_map(|name| {
            let begun = Instant::now();
            // A source that is not for this system is not looked for.
            let seen = all_sources::look(name, host).ok()?;
            Some(source(name, seen.err().as_ref(), begun.elapsed()))
        })
        .collect()
}

fn source(name: &str, error: Option<&ObserveError>, took: Duration) -> Finding {
    let check = format!("source {name}");
    let disable = format!("or disable it: sources.{name}.enabled = false");
    match error {
        None if took < SLOW => Finding::ok(check, format!("looks, in {} ms", took.as_millis())),
        None => Finding::warn(
            check,
            format!("looks, but takes {} s", took.as_secs()),
            format!("raise sources.{name}.interval"),
        ),
        Some(error @ ObserveError::Host(HostError::Denied(_))) => {
            Finding::fail(check, error.to_string(), format!("{FULL_DISK_ACCESS}; {disable}"))
        }
        Some(error) => Finding::fail(
            check,
            error.to_string(),
            format!("try `emote-agent sources {name}`, tell the agent's makers what it prints; {disable}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Outcome;
    use crate::platform::recorded::Recorded;

    #[test]
    fn a_folder_that_others_can_write_to_is_told_with_its_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let set = |mode| std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        set(0o700);
        assert!(folder(dir.path(), 1).iter().all(|finding| finding.outcome == Outcome::Ok));
        assert_eq!(folder(dir.path(), u64::MAX)[1].outcome, Outcome::Warn);
        set(0o770);
        let found = &folder(dir.path(), 1)[0];
        assert!(
            found.outcome == Outcome::Fail && found.remedy.as_ref().unwrap().starts_with("chmod 700 "),
            "{found:?}"
        );
        assert_eq!(folder(&dir.path().join("none"), 1)[0].outcome, Outcome::Warn);
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(folder(&file, 1)[0].outcome, Outcome::Fail);
    }

    #[test]
    fn a_machine_without_a_serial_number_needs_one() {
        assert_eq!(machine(&Recorded::mac(), None).outcome, Outcome::Fail);
        let given = Serial::new("C02").unwrap();
        assert_eq!(machine(&Recorded::mac(), Some(&given)).said, "C02, as the settings say");
        let own = Recorded::linux().file("/sys/class/dmi/id/product_serial", "ABC");
        assert!(machine(&own, Some(&given)).said.ends_with("own is ABC"));
        assert_eq!(machine(&own, None).said, "ABC");
    }

    #[test]
    fn missing_tools_are_named() {
        assert_eq!(tools(&Recorded::linux()).outcome, Outcome::Skipped);
        let none = tools(&Recorded::mac());
        assert!(none.outcome == Outcome::Warn && none.said.contains("/usr/bin/dscl"), "{none:?}");
        let all = all_tools::ALL.iter().fold(Recorded::mac(), |host, tool| host.file(tool.path, "x"));
        assert_eq!(tools(&all).outcome, Outcome::Ok);
    }

    #[test]
    fn a_source_that_cannot_look_says_what_to_do() {
        let denied = ObserveError::Host(HostError::Denied("/x".into()));
        let answer = ObserveError::Answer("what?".into());
        for (error, millis, outcome, said) in [
            (None, 10, Outcome::Ok, ""),
            (None, 6_000, Outcome::Warn, "interval"),
            (Some(&denied), 0, Outcome::Fail, "Full Disk Access"),
            (Some(&answer), 0, Outcome::Fail, "emote-agent sources x"),
        ] {
            let found = source("x", error, Duration::from_millis(millis));
            assert_eq!(found.outcome, outcome);
            assert!(found.remedy.unwrap_or_default().contains(said), "{said}");
        }
        let found = sources(&Recorded::linux(), &["boot", "nothing"]);
        assert!(found.len() == 1 && found[0].outcome == Outcome::Fail && found[0].check == "source boot");
    }
}
