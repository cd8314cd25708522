//! Secrets that a target was given, taken out of whatever comes back from where they were sent.

use serde_json::Value;

use super::{Outcome, Report};
use crate::config::Secret;

/// A shorter text is no secret worth hiding, and hiding it would garble every reason.
const MIN_SECRET: usize = 4;

/// What must not be shown.
#[derive(Default)]
pub(crate) struct Hidden(Vec<Secret>);

impl Hidden {
    /// From now on `secret` is taken out.
    pub(crate) fn hide(&mut self, secret: Secret) {
        if secret.expose().len() >= MIN_SECRET && !self.0.contains(&secret) {
            self.0.push(secret);
            // A secret that holds another one goes first, else the rest of it would stay.
            self.0.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
        }
    }

    /// `text` without secrets; `also` are more of them.
    pub(crate) fn clean(&self, text: &str, also: &[Secret]) -> String {
        let also = also.iter().filter(|secret| !secret.expose().is_empty());
        also.chain(&self.0).fold(text.to_owned(), |text, secret| text.replace(secret.expose(), "…"))
    }

    /// `value` without secrets in any of its texts and keys.
    pub(crate) fn clean_value(&self, value: Value, also: &[Secret]) -> Value {
        match value {
            Value::String(text) => Value::String(self.clean(&text, also)),
            Value::Array(items) => items.into_iter().map(|item| self.clean_value(item, also)).collect(),
            Value::Object(map) => {
                map.into_iter().map(|(key, value)| (self.clean(&key, also), self.clean_value(value, also))).collect()
            }
            other => other,
        }
    }

    /// `outcome` without secrets. The events of a report are cleaned by whoever reads them.
    pub(crate) fn clean_outcome(&self, outcome: Outcome, also: &[Secret]) -> Outcome {
        match outcome {
            Outcome::Done(report) => Outcome::Done(Report { info: self.clean_value(report.info, also), ..report }),
            Outcome::Retry { after, reason } => Outcome::Retry { after, reason: self.clean(&reason, also) },
            Outcome::Never { reason } => Outcome::Never { reason: self.clean(&reason, also) },
        }
    }
}

impl FromIterator<Secret> for Hidden {
    fn from_iter<I: IntoIterator<Item = Secret>>(secrets: I) -> Self {
        let mut hidden = Self::default();
        secrets.into_iter().for_each(|secret| hidden.hide(secret));
        hidden
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_longer_secret_goes_first_and_keys_are_cleaned_too() {
        let hidden: Hidden = ["hunter", "hunter2", "abc"].map(Secret::new).into_iter().collect();
        let also = [Secret::new("pin")];
        assert_eq!(hidden.clean("hunter2 hunter abc pin", &also), "… … abc …");
        assert_eq!(hidden.clean_value(json!({"hunter2": ["x hunter", 1]}), &[]), json!({"…": ["x …", 1]}));
    }
}
