//! What log messages say of a job, whatever they are written in: how bad it is, whom it is about, what happened.

use serde_json::Value;

use super::super::programs::one_text;
use crate::{config::fields::Fields, core::Job, hostname, jq::Program};

/// A number that a file says by itself or by a word, or by a program for each job.
#[derive(Debug)]
pub(crate) enum Level {
    Fixed(u8),
    By(Program, fn(&str) -> Option<u8>),
}

impl Level {
    /// Reads it at `key`: a number or a word that `named` knows, else a jq program that gives one of these.
    pub(crate) fn read(
        fields: &mut Fields<'_>,
        key: &'static str,
        words: &[&str],
        named: fn(&str) -> Option<u8>,
    ) -> Option<Self> {
        let text = fields.value(key).map(|value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })?;
        if let Some(number) = named(&text) {
            return Some(Self::Fixed(number));
        }
        // A word that is none would be a program that is none either.
        if text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            let last = words.len().saturating_sub(1);
            fields.problem(
                key,
                format!("expected one of {}, 0 to {last}, or a jq program that gives one", words.join(", ")),
            );
            return None;
        }
        fields.jq(key).map(|program| Self::By(program, named))
    }

    /// For the job that programs see as `context`.
    pub(crate) fn of(&self, key: &str, context: &Value) -> Result<u8, String> {
        match self {
            Self::Fixed(number) => Ok(*number),
            Self::By(program, named) => {
                let given = program.only(key, context)?;
                let text = given.as_str().map_or_else(|| given.to_string(), str::to_owned);
                named(&text).ok_or_else(|| format!("{key}: the program gave {text}, which is none"))
            }
        }
    }
}

/// The machine that a message is about: what `program` gives, else the job's node, else this machine.
pub(crate) fn host(program: Option<&Program>, key: &str, job: &Job, context: &Value) -> Result<String, String> {
    let given = one_text(program, key, context)?;
    Ok(given.or_else(|| job.node_key()).filter(|host| !host.is_empty()).unwrap_or_else(hostname::own))
}

/// What `program` gives, as a text; else the rule's input, or the event where the rule has none.
pub(crate) fn text_of(program: Option<&Program>, key: &str, context: &Value) -> Result<String, String> {
    Ok(match (program, context.get("input")) {
        (Some(_), _) => one_text(program, key, context)?.unwrap_or_default(),
        (None, Some(Value::String(text))) => text.clone(),
        (None, input) => input.cloned().unwrap_or_default().to_string(),
    })
}
