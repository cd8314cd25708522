//! Where a setting was said, and what is wrong with it.

use serde::{Deserialize, Serialize};

/// Characters of a key that nobody knows, at most.
const MOST_KEY: usize = 100;
/// What is said to be used instead where a file must be there and is not.
pub(super) const KEPT: &str = "the same: no connection until it is there";
/// Characters of one explanation, at most.
const MOST_TEXT: usize = 400;

/// A layer of settings; each goes over those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// The TOML file.
    File,
    /// Managed preferences.
    Managed,
    /// A variable of the environment.
    Environment,
    /// The command line.
    Flag,
}

impl Origin {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File => "file",
            Self::Managed => "managed",
            Self::Environment => "environment",
            Self::Flag => "flag",
        }
    }

    /// Whether a mistake here is one of whoever started the program.
    pub fn is_command_line(self) -> bool {
        matches!(self, Self::Environment | Self::Flag)
    }
}

/// Something that is wrong. Holds no value of a secret-adjacent key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Problem {
    /// The key; empty when it is the whole layer.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// Where it was said.
    pub layer: Origin,
    /// The file, and line and column when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// What is wrong.
    pub problem: String,
    /// What is used instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<String>,
}

impl Problem {
    /// Texts are cut to a bounded length.
    pub fn new(key: &str, layer: Origin, place: Option<String>, problem: impl Into<String>) -> Self {
        Self { key: cut(key, MOST_KEY), layer, place, problem: cut(&problem.into(), MOST_TEXT), used: None }
    }

    /// Whether it keeps the agent from connecting.
    pub fn disconnects(&self) -> bool {
        self.used.as_deref() == Some(KEPT)
    }

    /// Says what is used instead.
    #[must_use]
    pub fn using(mut self, used: &str) -> Self {
        self.used = Some(cut(used, MOST_TEXT));
        self
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{} ({}", self.problem, self.layer.words())?;
        if let Some(place) = &self.place {
            write!(f, ", {place}")?;
        }
        f.write_str(")")?;
        match &self.used {
            Some(used) => write!(f, "; used instead: {used}"),
            None => Ok(()),
        }
    }
}

/// At most so many characters of `text`, and a sign where there were more.
pub(crate) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
