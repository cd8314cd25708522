//! `emote-agent doctor`: tries each thing the agent needs and says what to do about what is missing.
//!
//! It changes nothing and sends no event. Every check is one function that ends in [`Finding`]s; what one looks at is
//! handed to it, so that its words are tested without the trouble they are about.

mod identity;
mod local;
mod running;
mod servers;
mod settings;

use serde::Serialize;

pub(crate) use identity::{Seen, identity};
pub(crate) use local::{folder, machine, sources, tools};
pub(crate) use running::running;
pub(crate) use servers::servers;
pub(crate) use settings::settings;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// As it should be.
    Ok,
    /// It works, and may not for long.
    Warn,
    /// It does not work.
    Fail,
    /// It could not be tried.
    Skipped,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// What was checked.
    pub(crate) check: String,
    pub(crate) outcome: Outcome,
    /// What was seen.
    pub(crate) said: String,
    /// What to do.
    pub(crate) remedy: Option<String>,
}

impl Finding {
    pub(crate) fn ok(check: impl Into<String>, said: impl Into<String>) -> Self {
        Self { check: check.into(), outcome: Outcome::Ok, said: said.into(), remedy: None }
    }

    pub(crate) fn skipped(check: impl Into<String>, said: impl Into<String>) -> Self {
        Self { outcome: Outcome::Skipped, ..Self::ok(check, said) }
    }

    pub(crate) fn warn(check: impl Into<String>, said: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { outcome: Outcome::Warn, remedy: Some(remedy.into()), ..Self::ok(check, said) }
    }

    pub(crate) fn fail(check: impl Into<String>, said: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { outcome: Outcome::Fail, remedy: Some(remedy.into()), ..Self::ok(check, said) }
    }
}
