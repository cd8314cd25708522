//! `asset`: sets fields of the node's asset record. The result event is the effect: whoever folds the log sees it.
//!
//! ```yaml
//! kind: asset
//! ```
//! The rule's input names the fields: `input: '{owner: .event.user.id, loaned: true, note: null}'`; `null` clears one.

use emote_proto::Token;
use serde_json::{Value, json};

use super::spec::{Setup, Unresolved};
use super::{Outcome, Target, serial};
use crate::config::Problems;
use crate::config::fields::{Fields, kind};
use crate::core::Job;

/// The most fields that one job sets.
const MAX_FIELDS: usize = 64;
/// The longest text in a field, in characters.
const MAX_TEXT: usize = 1000;

#[derive(Debug)]
struct Asset;

pub(super) fn read(_: &mut Fields<'_>) -> Option<Box<dyn Unresolved>> {
    Some(Box::new(Asset))
}

impl Unresolved for Asset {
    fn is_shown(&self) -> bool {
        true
    }

    fn resolve(&self, _: &Setup<'_>, _: &mut Problems) -> Option<Box<dyn Target>> {
        Some(Box::new(Self))
    }
}

#[async_trait::async_trait]
impl Target for Asset {
    async fn deliver(&self, job: &Job, input: &Value) -> Outcome {
        // A Mac of which only the UDID is known yet has a record too; the core joins it to the serial number's.
        let udid = job.node.as_ref().and_then(|node| node.get("udid")).and_then(Value::as_str);
        if serial(job).or(udid).or_else(|| job.event.udid()).is_none() {
            return Outcome::never("the event is about no node of a device: there is no record to set");
        }
        match check(job, input) {
            Ok(()) => Outcome::done("asset", "updated", json!({"set": input})),
            Err(reason) => Outcome::never(reason),
        }
    }
}

fn check(job: &Job, input: &Value) -> Result<(), String> {
    if job.input.is_none() {
        return Err(
            "the rule gives no input: it says which fields to set, for example input: '{owner: .event.user.id}'"
                .to_owned(),
        );
    }
    let fields = input
        .as_object()
        .ok_or_else(|| format!("the input must be an object of fields to set, not {}", kind(input)))?;
    if fields.is_empty() || fields.len() > MAX_FIELDS {
        return Err(format!("the input must set 1 to {MAX_FIELDS} fields, not {}", fields.len()));
    }
    for (key, value) in fields {
        Token::new(key.as_str()).map_err(|error| format!("the field {key:?}: {error}"))?;
        match value {
            Value::Array(_) | Value::Object(_) => {
                return Err(format!(
                    "the field {key:?} must be a text, a number, true, false or null, not {}",
                    kind(value)
                ));
            }
            Value::String(text) if text.chars().nth(MAX_TEXT).is_some() => {
                return Err(format!("the field {key:?} has more than {MAX_TEXT} characters"));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{deliver, job, problems, show};
    use super::*;

    #[tokio::test]
    async fn the_report_is_the_effect() {
        let input = json!({"owner": "ada@example.com", "loaned": true, "price": 1.5, "note": null});
        let outcome = deliver(&Asset, &job(), &input).await;
        let expected =
            r#"done asset.updated {"set":{"loaned":true,"note":null,"owner":"ada@example.com","price":1.5}}"#;
        assert_eq!(show(&outcome), expected);
    }

    #[tokio::test]
    async fn what_is_no_set_of_fields_is_refused() {
        let many: Value = (0..65).map(|number| (format!("f{number}"), json!(1))).collect();
        for (input, said) in [
            (json!("x"), "not a text"),
            (json!({}), "1 to 64 fields, not 0"),
            (many, "1 to 64 fields, not 65"),
            (json!({"Owner": "x"}), "\"Owner\""),
            (json!({"a": [1]}), "\"a\" must be a text, a number, true, false or null, not a list"),
            (json!({"a": "x".repeat(1001)}), "more than 1000"),
        ] {
            let outcome = show(&deliver(&Asset, &job(), &input).await);
            assert!(outcome.starts_with("never ") && outcome.contains(said), "{outcome}");
        }
    }

    #[tokio::test]
    async fn a_rule_without_input_or_a_node_sets_nothing() {
        let input = json!({"a": 1});
        let without_input = Job { input: None, ..job() };
        assert!(show(&deliver(&Asset, &without_input, &input).await).contains("gives no input"));
        let mut without_node = Job { node: None, ..job() };
        assert!(show(&deliver(&Asset, &without_node, &input).await).starts_with("done"));
        without_node.event.device = None;
        assert!(show(&deliver(&Asset, &without_node, &input).await).contains("no node"));
    }

    #[test]
    fn it_has_no_fields_of_its_own() {
        insta::assert_snapshot!(problems("kind: asset\nfields: [a]"), @"fields: unknown key: expected one of batch, breaker, concurrency, destructive, guard, kind, max_age, ordered, rate, retry, timeout");
    }
}
