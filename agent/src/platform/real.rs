//! The [`Host`] this program runs on.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use rustix::fs::OFlags;
use rustix::time::{ClockId, clock_gettime};
use sysinfo::{DiskRefreshKind, Disks, Networks};

use super::host::{Addresses, Clocks, FolderEntry, Host, HostError, Mount, Output, System};
use super::tool::{self, Tool};
use crate::gather::Gather;

const MOST_ENTRIES: usize = 4_096;

/// This machine.
#[derive(Debug, Clone, Copy)]
pub struct Real;

impl Host for Real {
    fn system(&self) -> System {
        System::HERE
    }

    fn run(&self, tool: &'static Tool) -> Result<Output, HostError> {
        tool::run(tool)
    }

    fn read(&self, path: &Path, most: usize) -> Result<Vec<u8>, HostError> {
        let bytes = self.read_at(path, 0, most.saturating_add(1))?;
        if bytes.len() > most {
            return Err(HostError::TooLarge { path: path.display().to_string(), most });
        }
        Ok(bytes)
    }

    fn read_at(&self, path: &Path, offset: u64, most: usize) -> Result<Vec<u8>, HostError> {
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = open(path)?;
            if offset > 0 {
                file.seek(SeekFrom::Start(offset))?;
            }
            let mut bytes = Vec::new();
            file.take(most as u64).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        read().map_err(|error| HostError::io(path.display(), &error))
    }

    fn list(&self, path: &Path) -> Result<Vec<FolderEntry>, HostError> {
        let failed = |error: std::io::Error| HostError::io(path.display(), &error);
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(path).map_err(failed)?.take(MOST_ENTRIES) {
            let entry = entry.map_err(failed)?;
            // Gone since: not in the list.
            let Ok(metadata) = entry.metadata() else { continue };
            let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            entries.push(FolderEntry {
                name: entry.file_name().to_string_lossy().into_owned(),
                is_dir: metadata.is_dir(),
                modified: modified.and_then(|since| i64::try_from(since.as_millis()).ok()),
            });
        }
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn link(&self, path: &Path) -> Result<PathBuf, HostError> {
        std::fs::read_link(path).map_err(|error| HostError::io(path.display(), &error))
    }

    fn mounts(&self) -> Result<Vec<Mount>, HostError> {
        let disks = Disks::new_with_refreshed_list_specifics(DiskRefreshKind::nothing().with_storage());
        let disks = disks.map_err(|error| failed("mounts", error))?;
        let mount = |disk: &sysinfo::Disk| Mount {
            path: disk.mount_point().to_owned(),
            name: disk.name().to_string_lossy().into_owned(),
            file_system: disk.file_system().to_string_lossy().into_owned(),
            total_bytes: disk.total_space(),
            available_bytes: disk.available_space(),
            removable: disk.is_removable(),
        };
        Ok(disks.iter().map(mount).collect())
    }

    fn addresses(&self) -> Result<Addresses, HostError> {
        let networks = Networks::new_with_refreshed_list().map_err(|error| failed("addresses", error))?;
        let addresses = networks.iter().map(|(name, interface)| {
            let addresses = interface.ip_networks().iter().map(|network| network.addr).gather();
            (name.to_string_lossy().into_owned(), addresses)
        });
        Ok(addresses.gather())
    }

    fn hostname(&self) -> Result<String, HostError> {
        sysinfo::System::host_name().map_err(|error| failed("host name", error))
    }

    fn booted_at(&self) -> Result<u64, HostError> {
        sysinfo::System::boot_time().map_err(|error| failed("boot time", error))
    }

    fn clocks(&self) -> Clocks {
        let millis = |id| {
            let time = clock_gettime(id);
            time.tv_sec * 1_000 + time.tv_nsec / 1_000_000
        };
        Clocks { wall_ms: millis(ClockId::Realtime), running_ms: millis(RUNNING) }
    }
}

/// Opens a regular file. Some of the folders looked into belong to users, and whoever opens a pipe waits for its writer.
pub(crate) fn open(path: &Path) -> std::io::Result<File> {
    let nonblock = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = File::options().read(true).custom_flags(nonblock).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(std::io::Error::other("not a regular file")) }
}

/// Goes on while the machine sleeps, and is never set.
#[cfg(target_os = "macos")]
const RUNNING: ClockId = ClockId::Monotonic;
/// Goes on while the machine sleeps, and is never set.
#[cfg(not(target_os = "macos"))]
const RUNNING: ClockId = ClockId::Boottime;

fn failed(what: &str, error: sysinfo::Error) -> HostError {
    HostError::Failed { path: what.into(), problem: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_within_limits_and_folders_listed() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("b");
        std::fs::write(&file, "0123456789").unwrap();
        std::fs::create_dir(dir.path().join("a")).unwrap();
        std::os::unix::fs::symlink("b", dir.path().join("c")).unwrap();
        assert_eq!(Real.read(&file, 10).unwrap(), b"0123456789");
        assert!(matches!(Real.read(&file, 9), Err(HostError::TooLarge { .. })));
        assert_eq!(Real.read_at(&file, 7, 5).unwrap(), b"789");
        assert_eq!(Real.read_at(&file, 70, 5).unwrap(), b"");
        assert!(Real.read(&dir.path().join("x"), 9).unwrap_err().is_missing());
        let names: Vec<(String, bool)> =
            Real.list(dir.path()).unwrap().into_iter().map(|entry| (entry.name, entry.is_dir)).collect();
        assert_eq!(names, [("a".into(), true), ("b".into(), false), ("c".into(), false)]);
        assert_eq!(Real.link(&dir.path().join("c")).unwrap(), Path::new("b"));
    }

    #[test]
    fn what_is_no_regular_file_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        std::os::unix::fs::symlink("/dev/zero", dir.path().join("zero")).unwrap();
        for path in [&pipe, &dir.path().join("zero"), dir.path()] {
            assert!(matches!(Real.read(path, 9), Err(HostError::Failed { .. })), "{}", path.display());
        }
    }

    #[test]
    fn the_clocks_go_on_together() {
        let (one, two) = (Real.clocks(), Real.clocks());
        assert!(two.running_ms >= one.running_ms && one.wall_ms > 1_700_000_000_000);
    }
}
