//! One compiled pattern.

use crate::compile::{Alternative, compile};
use crate::error::PatternError;
use crate::explain::{Explanation, explain};
use crate::tree::{Node, Tree};

/// A pattern: which events a rule is about.
///
/// ```
/// use emote_rules::Pattern;
///
/// let pattern = Pattern::parse(r#"{"scope": ["device"], "action": [{"anything-but": "heartbeat"}]}"#)?;
/// assert!(pattern.explain(&serde_json::json!({"scope": "device", "action": "enroll"})).matched);
/// # Ok::<(), emote_rules::PatternError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern {
    /// One of these must match.
    pub(crate) alternatives: Vec<Alternative>,
}

impl Pattern {
    /// Compiles a pattern from its JSON text. As in the reference, what follows the object is not read.
    ///
    /// # Errors
    /// If it is no JSON, no pattern, or a pattern of more than 256 fields, 1,000 alternatives, 100,000 values or 128
    /// levels.
    pub fn parse(json: &str) -> Result<Self, PatternError> {
        Self::from_text(json, false).map_err(|error| error.in_text(json))
    }

    /// Compiles a pattern from a JSON value.
    ///
    /// A value has lost some of what counts in a text, so that [`Pattern::parse`] is better where there is one:
    ///
    /// - the order of keys (unless `serde_json` keeps it) and repeated ones, which decide between fields of one path: here
    ///   `$or` comes last, so that what is inside counts, and of `a.b` and `a: {b}` the one that the value tells last;
    /// - digits of numbers that no double or 64 bits hold.
    ///
    /// ```
    /// use emote_rules::Pattern;
    /// use serde_json::json;
    ///
    /// let pattern = Pattern::from_value(&json!({"device": {"model": [{"prefix": "Mac"}]}}))?;
    /// assert_eq!(pattern, Pattern::parse(r#"{"device.model": [{"prefix": "Mac"}]}"#)?);
    /// # Ok::<(), emote_rules::PatternError>(())
    /// ```
    ///
    /// # Errors
    /// As [`Pattern::parse`], without a position; [`PatternError::steps`] lead to what is wrong.
    pub fn from_value(value: &serde_json::Value) -> Result<Self, PatternError> {
        Self::from_text(&value.to_string(), true)
    }

    fn from_text(json: &str, or_last: bool) -> Result<Self, PatternError> {
        let mut root = Node::read(json).map_err(|error| PatternError::json(&error, json))?;
        if or_last {
            put_or_last(&mut root);
        }
        compile(&root).map(|alternatives| Self { alternatives }).map_err(|error| error.in_tree(&root))
    }

    /// Why this pattern matches an event or does not, field by field.
    ///
    /// This is for people to read; to match many events use a [`RuleSet`](crate::RuleSet).
    pub fn explain(&self, event: &serde_json::Value) -> Explanation {
        explain(self, event)
    }
}

fn put_or_last(node: &mut Node<'_>) {
    match &mut node.value {
        Tree::Object(members) => {
            members.sort_by_key(|(name, _)| name == "$or");
            members.iter_mut().for_each(|(_, node)| put_or_last(node));
        }
        Tree::List(nodes) => nodes.iter_mut().for_each(put_or_last),
        Tree::Scalar(_) => {}
    }
}
