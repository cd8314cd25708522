//! What can be wrong with a pattern or an event, and what would do.

use crate::json::{JsonError, TOO_DEEP};
use crate::shown::ShownPath;
use crate::tree::{Node, Tree};

/// Why a pattern cannot be used.
///
/// Displayed in one line, or told by its parts:
///
/// ```
/// use emote_rules::{Pattern, Position};
///
/// let error = Pattern::parse("{\n  \"scope\": [{\"prefix\": 14}]\n}").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     r#"scope (line 2, column 24): prefix takes a string, not a number; write {"prefix": "MacBook"}"#,
/// );
/// assert_eq!((error.path(), error.position()), ("scope", Some(Position { line: 2, column: 24 })));
/// assert_eq!(error.problem(), "prefix takes a string, not a number");
/// assert_eq!(error.remedy(), r#"write {"prefix": "MacBook"}"#);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {problem}; {remedy}", self.place())]
pub struct PatternError {
    path: String,
    at: usize,
    /// In a box, so that the error stays small beside what it stands in for.
    steps: Box<[Step]>,
    position: Option<Position>,
    problem: String,
    remedy: String,
}

/// One step from a value to a value in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// To the value of this key; a dot in it is a part of the key.
    Key(String),
    /// To the element of this index, from 0.
    Index(usize),
}

/// A place in a text; both count from 1, columns in characters, however wide or long these are.
///
/// ```
/// use emote_rules::Pattern;
///
/// let error = Pattern::parse(r#"{"部署": 7}"#).unwrap_err();
/// assert_eq!(error.position().map(|place| (place.line, place.column)), Some((1, 8)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character of the line.
    pub column: usize,
}

impl PatternError {
    pub(crate) fn new(path: &str, at: usize, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        let (problem, remedy) = (problem.into(), remedy.into());
        Self { path: path.to_owned(), at, steps: Box::default(), position: None, problem, remedy }
    }

    /// The text is not JSON.
    pub(crate) fn json(error: &JsonError, text: &str) -> Self {
        let remedy = match error {
            _ if !text.trim_start().starts_with('{') => "a pattern is a JSON object such as {\"scope\": [\"device\"]}",
            JsonError { what: TOO_DEEP, .. } => {
                "name fields by their dotted paths, as in {\"device.model\": [\"Mac14,2\"]}"
            }
            JsonError { at, .. } if *at >= text.len() => "close what is open: every \", [ and { needs its counterpart",
            _ => {
                "write names and texts in double quotes, a comma between two and none behind the last, and a backslash twice"
            }
        };
        Self::new("", error.at, error.what, remedy)
    }

    /// Turns the byte at which it is into a line and column of the pattern's text. Where a text ends too early is behind
    /// what it has, not on an empty line further down.
    pub(crate) fn in_text(mut self, text: &str) -> Self {
        self.position = Some(Position::of(text, self.at.min(text.trim_ascii_end().len())));
        self
    }

    /// Notes the way to the value that is wrong.
    pub(crate) fn in_tree(mut self, root: &Node<'_>) -> Self {
        let mut steps = Vec::new();
        steps_to(root, self.at, &mut steps);
        self.steps = steps.into();
        self
    }

    /// The dotted path of the field that is wrong; empty for the pattern as a whole.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Where it is in the pattern's text; nowhere if the pattern was not given as text.
    pub fn position(&self) -> Option<Position> {
        self.position
    }

    /// The way from the pattern to the very value that is wrong; none if it is the pattern as a whole, or no JSON. Where
    /// [`PatternError::path`] names a field of the event, these lead through the pattern as it is written.
    ///
    /// ```
    /// use emote_rules::{Pattern, Step::{Index, Key}};
    ///
    /// let error = Pattern::parse(r#"{"device.model": [{"prefix": 14}]}"#).unwrap_err();
    /// assert_eq!(error.steps(), [Key("device.model".into()), Index(0), Key("prefix".into())]);
    /// ```
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// What is wrong.
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// What would do instead.
    pub fn remedy(&self) -> &str {
        &self.remedy
    }

    fn place(&self) -> String {
        let path = if self.path.is_empty() { "the pattern".to_owned() } else { ShownPath(&self.path).to_string() };
        match self.position {
            Some(Position { line, column }) => format!("{path} (line {line}, column {column})"),
            None => path,
        }
    }
}

/// Whether the node that stands at this byte is this one or in it; if so, `steps` lead there.
fn steps_to(node: &Node<'_>, at: usize, steps: &mut Vec<Step>) -> bool {
    let mut through = |step: Step, node: &Node<'_>| {
        steps.push(step);
        let found = steps_to(node, at, steps);
        if !found {
            steps.pop();
        }
        found
    };
    node.at == at
        || match &node.value {
            Tree::Object(members) => members.iter().any(|(name, node)| through(Step::Key(name.clone()), node)),
            Tree::List(nodes) => nodes.iter().enumerate().any(|(index, node)| through(Step::Index(index), node)),
            Tree::Scalar(_) => false,
        }
}

impl Position {
    fn of(text: &str, at: usize) -> Self {
        let before = &text[..text.floor_char_boundary(at)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
    }
}

/// Why an event cannot be matched.
///
/// ```
/// use emote_rules::{EventError, Pattern, RuleSet};
///
/// let rules = RuleSet::build([("locked", Pattern::parse(r#"{"action": ["lock"]}"#)?)]);
/// assert_eq!(rules.matches(b"[]"), Err(EventError::NotAnObject));
/// assert!(matches!(rules.matches(br#"{"action": lock}"#), Err(EventError::Json { at: 11, .. })));
/// # Ok::<(), emote_rules::PatternError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Not UTF-8.
    #[error("the event is not UTF-8: the bytes from {at} on are none")]
    Utf8 {
        /// The first byte that is wrong.
        at: usize,
    },
    /// Not JSON, or nested more than 128 levels deep.
    #[error("the event is not JSON: {what} (byte {at})")]
    Json {
        /// What is wrong.
        what: &'static str,
        /// At which byte.
        at: usize,
    },
    /// JSON, but not an object.
    #[error("the event is not a JSON object")]
    NotAnObject,
    /// Matching it would take too long: too many values would be tested, too long strings be searched, or its arrays
    /// combine in too many ways.
    #[error("the event takes more than {limit} steps to match: its arrays or strings are too long for these rules")]
    TooIntricate {
        /// How many steps an event may take.
        limit: usize,
    },
}

impl From<JsonError> for EventError {
    fn from(error: JsonError) -> Self {
        Self::Json { what: error.what, at: error.at }
    }
}

#[cfg(test)]
mod tests {
    use crate::pattern::Pattern;

    #[test]
    fn a_slip_of_json_has_its_own_remedy() {
        for (text, remedy) in [
            ("", "a pattern is a JSON object such as"),
            ("scope: [device]", "a pattern is a JSON object such as"),
            (r#"{"a": ["x"]"#, "close what is open"),
            (r#"{"a": ["x]}"#, "close what is open"),
            (r#"{"a": ['x']}"#, "write names and texts in double quotes"),
            (r#"{"a": ["x",]}"#, "a comma between two and none behind the last"),
            (r#"{"a": ["\."]}"#, "a backslash twice"),
            (&"{\"a\":".repeat(200), "name fields by their dotted paths"),
        ] {
            let error = Pattern::parse(text).unwrap_err();
            assert!(error.remedy().contains(remedy), "{text:.20}: {error}");
        }
    }
}
