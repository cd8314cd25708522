//! A file of lines that is put aside when it grows too large: `name`, `name.1` (the newest), … `name.<keep>`.
//!
//! One [`Lines`] a path and process, however many targets write there. A line is one write to the end of the file, so it
//! is whole or it is not there: what a failed write leaves is cut off, and a torn end that a crash left is closed. The
//! file may be removed, replaced or shortened by others at any time.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

static OPEN: LazyLock<Mutex<HashMap<PathBuf, Weak<Lines>>>> = LazyLock::new(Mutex::default);

/// When a file is put aside, and how many of them stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rotation {
    /// The largest file, in bytes. A longer line has a file of its own.
    pub(super) max_size: u64,
    /// How many files stay beside the one that is written.
    pub(super) keep: u32,
}

/// The file at a path.
pub(super) struct Lines {
    path: PathBuf,
    file: Mutex<Option<File>>,
}

impl Lines {
    /// The one for `path`; the file is made when the first line is written.
    pub(super) fn at(path: &Path) -> Arc<Self> {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, lines| lines.strong_count() > 0);
        if let Some(lines) = open.get(path).and_then(Weak::upgrade) {
            return lines;
        }
        let lines = Arc::new(Self { path: path.to_owned(), file: Mutex::default() });
        open.insert(path.to_owned(), Arc::downgrade(&lines));
        lines
    }

    /// Appends `line`, or several with line breaks between them, and a line break.
    pub(super) fn append(&self, line: &str, rotation: Rotation) -> std::io::Result<()> {
        let mut slot = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = Vec::with_capacity(line.len().saturating_add(2));
        let mut file = self.current(slot.take())?;
        let mut size = file.metadata()?.len();
        if size > 0 && size.saturating_add(line.len() as u64) >= rotation.max_size {
            self.rotate(rotation.keep)?;
            (file, size) = (self.open()?, 0);
        }
        if size > 0 && !ends_with_line_break(&mut file)? {
            bytes.push(b'\n');
        }
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
        if let Err(error) = file.write_all(&bytes) {
            // Half a line would spoil the next one; where cutting fails too, its end is closed next time.
            drop(file.set_len(size));
            return Err(error);
        }
        *slot = Some(file);
        Ok(())
    }

    /// The open file if it still is the one at the path, else that one.
    fn current(&self, open: Option<File>) -> std::io::Result<File> {
        let Some(file) = open else { return self.open() };
        let (ours, there) = (file.metadata()?, std::fs::metadata(&self.path));
        match there {
            Ok(there) if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) => Ok(file),
            _ => self.open(),
        }
    }

    fn open(&self) -> std::io::Result<File> {
        let open = || OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&self.path);
        match open() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if let Some(folder) = self.path.parent() {
                    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
                }
                open()
            }
            opened => opened,
        }
    }

    fn rotate(&self, keep: u32) -> std::io::Result<()> {
        if keep == 0 {
            return ignore_missing(std::fs::remove_file(&self.path));
        }
        for number in (1..keep).rev() {
            ignore_missing(std::fs::rename(self.aside(number), self.aside(number.saturating_add(1))))?;
        }
        ignore_missing(std::fs::rename(&self.path, self.aside(1)))
    }

    fn aside(&self, number: u32) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(format!(".{number}"));
        path.into()
    }
}

fn ends_with_line_break(file: &mut File) -> std::io::Result<bool> {
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

fn ignore_missing(result: std::io::Result<()>) -> std::io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const LARGE: Rotation = Rotation { max_size: 1 << 20, keep: 5 };

    fn read(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap()
    }

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/events.jsonl");
        (folder, path)
    }

    #[test]
    fn the_file_is_made_with_its_folders_and_is_private() {
        let (_folder, path) = folder();
        Lines::at(&path).append("a", LARGE).unwrap();
        Lines::at(&path).append("b", LARGE).unwrap();
        assert_eq!(read(&path), "a\nb\n");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_full_file_is_put_aside_and_only_so_many_stay() {
        let (_folder, path) = folder();
        let lines = Lines::at(&path);
        for number in 0..9 {
            lines.append(&format!("line{number}"), Rotation { max_size: 12, keep: 2 }).unwrap();
        }
        assert_eq!(read(&path), "line8\n");
        assert_eq!(read(&lines.aside(1)), "line6\nline7\n");
        assert_eq!(read(&lines.aside(2)), "line4\nline5\n");
        assert!(!lines.aside(3).exists());
        lines.append("a line that is longer than a whole file", Rotation { max_size: 12, keep: 0 }).unwrap();
        assert_eq!(read(&path), "a line that is longer than a whole file\n");
        assert_eq!(read(&lines.aside(1)), "line6\nline7\n");
    }

    #[test]
    fn others_may_remove_replace_or_shorten_the_file() {
        let (_folder, path) = folder();
        let lines = Lines::at(&path);
        lines.append("a", LARGE).unwrap();
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
        lines.append("b", LARGE).unwrap();
        assert_eq!(read(&path), "b\n");
        std::fs::rename(&path, path.with_extension("old")).unwrap();
        std::fs::write(&path, "").unwrap();
        lines.append("c", LARGE).unwrap();
        assert_eq!(read(&path), "c\n");
        OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
        lines.append("d", LARGE).unwrap();
        assert_eq!(read(&path), "d\n");
    }

    #[test]
    fn a_torn_line_does_not_spoil_the_next_one() {
        let (_folder, path) = folder();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "{\"torn\":").unwrap();
        Lines::at(&path).append("whole", LARGE).unwrap();
        assert_eq!(read(&path), "{\"torn\":\nwhole\n");
    }

    #[test]
    fn many_writers_lose_and_mix_nothing() {
        let (_folder, path) = folder();
        let rotation = Rotation { max_size: 300, keep: 100 };
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let path = &path;
                scope.spawn(move || {
                    for number in 0..50 {
                        Lines::at(path).append(&format!("{writer}-{number}"), rotation).unwrap();
                    }
                });
            }
        });
        let mut found = Vec::new();
        for entry in std::fs::read_dir(path.parent().unwrap()).unwrap() {
            let text = read(&entry.unwrap().path());
            assert!(text.len() <= 300);
            found.extend(text.lines().map(str::to_owned));
        }
        found.sort();
        let mut expected: Vec<String> = (0..8).flat_map(|w| (0..50).map(move |n| format!("{w}-{n}"))).collect();
        expected.sort();
        assert_eq!(found, expected);
    }
}
