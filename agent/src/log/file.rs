//! `agent.log`: at most 1 MiB, and one older file `agent.log.1` of the same size, both readable by their owner only. Lines
//! that cannot be written, as on a full disk, are dropped.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const NAME: &str = "agent.log";
const OLDER: &str = "agent.log.1";
const MOST: u64 = 1 << 20;
/// Bytes of a line, which may hold what a server says.
const MOST_LINE: usize = 4 << 10;

/// The open file.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    older: PathBuf,
    most: u64,
    /// With its size; `None` after a failure, until a line comes for which it can be opened again.
    open: Option<(File, u64)>,
}

impl LogFile {
    /// Goes on where the last run stopped.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        Self::with_limit(folder, MOST)
    }

    fn with_limit(folder: &Path, most: u64) -> io::Result<Self> {
        let path = folder.join(NAME);
        Ok(Self { older: folder.join(OLDER), most, open: Some(open(&path)?), path })
    }

    /// Adds a line or its beginning, or drops it.
    pub(super) fn write(&mut self, line: &[u8]) {
        let written = match line.get(..MOST_LINE) {
            Some(beginning) if line.len() > MOST_LINE => self.try_write(&[beginning, b"...\n"].concat()),
            _ => self.try_write(line),
        };
        if written.is_err() {
            self.open = None;
        }
    }

    fn try_write(&mut self, line: &[u8]) -> io::Result<()> {
        let (mut file, mut size) = match self.open.take() {
            Some(open) => open,
            None => open(&self.path)?,
        };
        if is_full(size, line.len() as u64, self.most) {
            std::fs::rename(&self.path, &self.older)?;
            (file, size) = open(&self.path)?;
        }
        file.write_all(line)?;
        self.open = Some((file, size + line.len() as u64));
        Ok(())
    }
}

/// Whether a file of `size` bytes is turned over before `line` more: never an empty one.
fn is_full(size: u64, line: u64, most: u64) -> bool {
    size > 0 && size.saturating_add(line) > most
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_turned_over_before_the_line_that_would_not_fit() {
        for (size, line, full) in
            [(0, 5, false), (0, 50, false), (5, 5, false), (6, 5, true), (10, 0, false), (1, u64::MAX, true)]
        {
            assert_eq!(is_full(size, line, 10), full, "{size} {line}");
        }
    }

    #[test]
    fn one_older_file_is_kept_and_the_next_run_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap_or_default();
        let mut file = LogFile::with_limit(dir.path(), 10).unwrap();
        file.write(b"one\n");
        drop(file);
        let mut file = LogFile::with_limit(dir.path(), 10).unwrap();
        file.write(b"two\n");
        assert_eq!((read(NAME), read(OLDER)), ("one\ntwo\n".into(), String::new()));
        for line in ["three\n", "four\n", "longer than all of it\n", "five\n"] {
            file.write(line.as_bytes());
        }
        assert_eq!((read(NAME), read(OLDER)), ("five\n".into(), "longer than all of it\n".into()));
        let mode = std::fs::metadata(dir.path().join(NAME)).unwrap().permissions().mode();
        assert_eq!((mode & 0o777, std::fs::read_dir(dir.path()).unwrap().count()), (0o600, 2));
    }

    #[test]
    fn a_line_that_cannot_be_written_is_dropped_and_the_next_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("state");
        std::fs::create_dir(&folder).unwrap();
        let mut file = LogFile::with_limit(&folder, 4).unwrap();
        file.write(b"one\n");
        std::fs::remove_dir_all(&folder).unwrap();
        file.write(b"two\n");
        file.write(b"three\n");
        std::fs::create_dir(&folder).unwrap();
        file.write(b"four\n");
        assert_eq!(std::fs::read_to_string(folder.join(NAME)).unwrap(), "four\n");
    }

    #[test]
    fn of_a_long_line_the_beginning_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = LogFile::open(dir.path()).unwrap();
        file.write(&[&[b'x'; 400_000][..], b"\n"].concat());
        file.write(b"next\n");
        let written = std::fs::read_to_string(dir.path().join(NAME)).unwrap();
        assert!(written.len() < 5_000 && written.ends_with("x...\nnext\n"), "{}", written.len());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_survived() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/full", dir.path().join(NAME)).unwrap();
        let mut file = LogFile::open(dir.path()).unwrap();
        for _ in 0..3 {
            file.write(b"lost\n");
            assert!(file.open.is_none());
        }
    }
}
