//! Reads a small text file: whole, bounded, without the mark that editors on Windows write in front of it.

use std::{fs::File, io::Read, path::Path};

/// Largest file in bytes.
const MAX_FILE: u64 = 1024 * 1024;
/// What editors on Windows write in front of UTF-8.
pub(crate) const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Why a file's text could not be had. What it is named is not told here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error("cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    #[error("is a folder")]
    Folder,
    #[error("is larger than {} MiB, the most that is read", MAX_FILE >> 20)]
    Large,
    #[error("is not UTF-8")]
    NotUtf8,
}

impl FileError {
    /// Whether there is no such file.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Unreadable(error) if error.kind() == std::io::ErrorKind::NotFound)
    }
}

/// The text of a file.
pub(crate) fn read_text(path: &Path) -> Result<String, FileError> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(FileError::Folder);
    }
    let mut bytes = Vec::new();
    // Devices and pipes do not say how much they hold.
    let read = file.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if u64::try_from(read).is_ok_and(|read| read > MAX_FILE) {
        return Err(FileError::Large);
    }
    let mut text = String::from_utf8(bytes).map_err(|_| FileError::NotUtf8)?;
    if text.starts_with(BYTE_ORDER_MARK) {
        text.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_of_a_bounded_size_is_told_as_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            read_text(&path).map_err(|error| error.to_string())
        };
        assert_eq!(read(b"\xef\xbb\xbfa: 1\n"), Ok("a: 1\n".to_owned()));
        assert_eq!(read(b"\xff"), Err("is not UTF-8".to_owned()));
        assert_eq!(read(&[b' '; 1024 * 1024]).map(|text| text.len()), Ok(1024 * 1024));
        let large = Err("is larger than 1 MiB, the most that is read".to_owned());
        assert_eq!(read(&[b' '; 1024 * 1024 + 1]), large);
        // A device of any length ends too.
        assert_eq!(read_text(Path::new("/dev/zero")).map_err(|error| error.to_string()), large);
        assert!(matches!(read_text(folder.path()), Err(FileError::Folder)));
        assert!(read_text(&folder.path().join("none")).unwrap_err().is_not_found());
    }
}
