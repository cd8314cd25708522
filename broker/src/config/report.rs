//! All that is wrong with a configuration folder, each with file, line and column.

use std::path::{Path, PathBuf};

use super::{Problems, locate::locate};

/// One problem in one file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FileProblem {
    /// The file, relative to the folder.
    pub file: PathBuf,
    /// Line from 1, where it is known.
    pub line: Option<usize>,
    /// Column from 1, where it is known.
    pub column: Option<usize>,
    /// Dotted path inside the file; empty for the whole of it.
    pub path: String,
    /// What is wrong and what would do.
    pub message: String,
}

/// Problems in the order of files.
#[derive(Debug, Default, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Report {
    /// The problems.
    pub problems: Vec<FileProblem>,
}

impl Report {
    /// Adds the problems of a file whose text is `yaml`.
    pub fn add_all(&mut self, file: &Path, yaml: &str, problems: Problems) {
        for problem in problems {
            let place = locate(yaml, &problem.path);
            self.problems.push(FileProblem {
                file: file.to_owned(),
                line: place.map(|place| place.0),
                column: place.map(|place| place.1),
                path: problem.path,
                message: problem.message,
            });
        }
    }

    /// Adds a problem with the file as such.
    pub fn add(&mut self, file: &Path, message: impl std::fmt::Display) {
        let message = message.to_string();
        self.problems.push(FileProblem {
            file: file.to_owned(),
            line: None,
            column: None,
            path: String::new(),
            message,
        });
    }

    /// Adds a problem at a known place.
    pub fn add_at(&mut self, file: &Path, place: Option<(usize, usize)>, message: String) {
        let (line, column) = (place.map(|place| place.0), place.map(|place| place.1));
        self.problems.push(FileProblem { file: file.to_owned(), line, column, path: String::new(), message });
    }

    /// The value if nothing is wrong.
    pub fn ok<T>(self, value: T) -> Result<T, Self> {
        if self.problems.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}", problem.file.display())?;
            if let (Some(line), Some(column)) = (problem.line, problem.column) {
                write!(f, ":{line}:{column}")?;
            }
            f.write_str(": ")?;
            if !problem.path.is_empty() {
                write!(f, "{}: ", problem.path)?;
            }
            f.write_str(&problem.message)?;
        }
        Ok(())
    }
}
