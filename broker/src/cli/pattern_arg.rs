//! A pattern given on the command line, as text or in a file, and how one that is wrong is told.

use std::path::Path;

use emote_rules::{Pattern, PatternError};

use crate::config::{
    self,
    excerpt::excerpt,
    file::{FileError, read_text},
};

/// A pattern that is none; displayed with its line and a caret.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct BadPattern(String);

/// A file in which a pattern was looked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadFile {
    #[error("behind @ stands a file with a pattern (JSON) or a rule (YAML): @pattern.json")]
    NotNamed,
    #[error("{name}: {error}; a file with a pattern (JSON) or a rule (YAML) is expected")]
    Unreadable { name: String, error: FileError },
}

impl BadFile {
    /// Whether there is no such file.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Unreadable { error, .. } if error.is_not_found())
    }
}

/// A pattern's JSON text, or `@FILE`.
pub(super) fn parse(argument: &str) -> anyhow::Result<Pattern> {
    match argument.strip_prefix('@') {
        Some("") => Err(BadFile::NotNamed.into()),
        Some(file) => read(Path::new(file)),
        None => {
            let parsed = Pattern::parse(argument);
            let is_file = || Path::new(argument).is_file();
            parsed.map_err(|error| match told("PATTERN", argument, &error) {
                told if is_file() => BadPattern(format!("{told}\n  to take it from the file write @{argument}")).into(),
                told => BadPattern(told).into(),
            })
        }
    }
}

/// A file with a pattern (JSON) or a rule (YAML).
pub(super) fn read(file: &Path) -> anyhow::Result<Pattern> {
    let name = file.display().to_string();
    let text = read_text(file).map_err(|error| BadFile::Unreadable { name: name.clone(), error })?;
    if file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
        return Ok(config::pattern_in(file, &text)?);
    }
    Pattern::parse(&text).map_err(|error| BadPattern(told(&name, &text, &error)).into())
}

/// `PATTERN:1:22: device.model: what is wrong`, the line with a caret, and what would do.
fn told(name: &str, text: &str, error: &PatternError) -> String {
    let field = if error.path().is_empty() { String::new() } else { format!("{}: ", error.path()) };
    let (problem, remedy) = (error.problem(), error.remedy());
    if text.trim().is_empty() {
        return format!("{name}: is empty; {remedy}");
    }
    let Some(place) = error.position() else { return format!("{name}: {field}{problem}; {remedy}") };
    let line = excerpt(text, place.line, place.column).map(|lines| format!("\n{lines}")).unwrap_or_default();
    format!("{name}:{}:{}: {field}{problem}{line}\n  {remedy}", place.line, place.column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_pattern_is_told_with_its_line_and_what_would_do() {
        insta::assert_snapshot!(parse("{\"scope\": [\"device\"],\n  \"device\": {\"model\": [{\"prefix\": 14}]}}").unwrap_err(), @r#"
        PATTERN:2:35: device.model: prefix takes a string, not a number
          2 |   "device": {"model": [{"prefix": 14}]}}
            |                                   ^
          write {"prefix": "MacBook"}
        "#);
        insta::assert_snapshot!(parse(r#"{"部署": ["東京", {"prefix": 14}]}"#).unwrap_err(), @r#"
        PATTERN:1:26: 部署: prefix takes a string, not a number
          1 | {"部署": ["東京", {"prefix": 14}]}
            |                              ^
          write {"prefix": "MacBook"}
        "#);
        insta::assert_snapshot!(parse("{\"a\": [1}").unwrap_err(), @r#"
        PATTERN:1:9: expected , or ] behind the value
          1 | {"a": [1}
            |         ^
          write names and texts in double quotes, a comma between two and none behind the last, and a backslash twice
        "#);
    }

    #[test]
    fn a_file_is_read_whether_it_is_a_pattern_or_a_rule() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let write = |name: &str, text: &str| std::fs::write(path(name), text).unwrap();
        write("good.json", "{\"scope\": [\"device\"]}\n");
        write("good.yaml", "pattern: {scope: [device]}\ntargets: [whatever]\n");
        write("bad.json", "{\"scope\":\n \"device\"}");
        write("bad.yaml", "pattern: {scope: device}\n");
        write("marked.json", "\u{feff}{\"scope\": [\"device\"]}\r\n");
        write("empty.json", "\n");
        write("cut.json", "{\"scope\": [\n\n");
        std::fs::create_dir(path("folder.yaml")).unwrap();
        std::fs::write(path("latin1.json"), b"{\"name\": [\"Zo\xeb\"]}").unwrap();
        let argument = |name: &str| format!("@{}", path(name).display());
        assert_eq!(parse(&argument("good.json")).unwrap(), parse(&argument("marked.json")).unwrap());
        assert!(parse("@").unwrap_err().to_string().starts_with("behind @ stands a file"));
        assert!(parse(" ").unwrap_err().to_string().starts_with("PATTERN: is empty; a pattern is"));
        assert_eq!(parse(&argument("good.json")).unwrap(), parse(&argument("good.yaml")).unwrap());
        for (name, said) in [
            (
                "bad.json",
                "bad.json:2:2: scope: a field's pattern is a list, not a string\n  2 |  \"device\"}\n    |  ^\n  write [\"device\"]",
            ),
            (
                "bad.yaml",
                "bad.yaml:1:18: pattern.scope: a field's pattern is a list, not a string; write [\"device\"]\n  1 | pattern: {scope: device}\n    |                  ^",
            ),
            ("none.json", "none.json: cannot be read: No such file or directory"),
            ("latin1.json", "latin1.json: is not UTF-8; a file with a pattern"),
            ("empty.json", "empty.json: is empty; a pattern is a JSON object such as {"),
            ("", ": is a folder; a file with a pattern"),
            ("cut.json", "cut.json:1:12: the text ends too early\n  1 | {\"scope\": [\n    |            ^\n"),
            ("none.yaml", "none.yaml: cannot be read: No such file or directory"),
            ("folder.yaml", "folder.yaml: is a folder; a file with a pattern"),
        ] {
            let error = format!("{:#}", parse(&argument(name)).unwrap_err());
            assert!(error.contains(said), "{name}: {error}");
        }
        let forgotten = parse(path("good.json").to_str().unwrap()).unwrap_err().to_string();
        assert!(forgotten.contains("to take it from the file write @"), "{forgotten}");
    }
}
