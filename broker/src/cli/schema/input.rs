//! Events from files or standard input, one after another.

use std::{
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::cli::json_stream::{JsonStream, Piece, open};

/// Hands each event to `take` with the file and line that it begins on, until that wants no more. How many could not be
/// read; each is told on standard error.
pub(super) fn each(
    files: &[PathBuf],
    mut take: impl FnMut(&str, usize, &Value) -> anyhow::Result<bool>,
) -> anyhow::Result<usize> {
    let stdin = [PathBuf::from("-")];
    let files = if files.is_empty() { &stdin[..] } else { files };
    let mut bad = 0;
    for file in files {
        let (name, input) = match input(file) {
            Ok(input) => input,
            Err(error) => {
                anstream::eprintln!("{}: cannot be read: {error}", file.display());
                bad += 1;
                continue;
            }
        };
        for Piece { line, object } in JsonStream::new(BufReader::with_capacity(64 * 1024, input)) {
            let event = object.and_then(|json| serde_json::from_slice(&json).map_err(|error| error.to_string()));
            match event {
                Ok(event) => {
                    if !take(&name, line, &event)? {
                        return Ok(bad);
                    }
                }
                Err(problem) => {
                    anstream::eprintln!("{name}:{line}: {problem}");
                    bad += 1;
                }
            }
        }
    }
    Ok(bad)
}

fn input(file: &Path) -> std::io::Result<(String, Box<dyn Read>)> {
    if file.as_os_str() == "-" {
        return Ok(("stdin".to_owned(), Box::new(std::io::stdin().lock())));
    }
    Ok((file.display().to_string(), Box::new(open(file)?)))
}
