//! A file that the command line names, or `-` for standard input.

use std::{io::Read as _, path::Path};

use anyhow::Context as _;

/// What is in it, as many as `most` bytes of it. Where there is no such file that is said, and it is none.
pub(super) fn read(file: &Path, most: u64) -> anyhow::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let read = if file.as_os_str() == "-" {
        std::io::stdin().take(most).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(most).read_to_end(&mut bytes))
    };
    match read {
        Ok(_) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            anstream::eprintln!("{}: there is no such file", file.display());
            Ok(None)
        }
        Err(error) => Err(error).with_context(|| format!("reading {}", file.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_as_far_as_it_is_of_use_and_need_not_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        std::fs::write(&file, "abc").unwrap();
        assert_eq!(read(&file, 2).unwrap(), Some(b"ab".to_vec()));
        assert_eq!(read(&folder.path().join("b"), 2).unwrap(), None);
        assert!(read(folder.path(), 2).unwrap_err().to_string().starts_with("reading /"));
    }
}
