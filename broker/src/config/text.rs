//! Texts: cut to size, and with references to secrets in them.

use crate::config::{Secret, SecretError, SecretRef};

/// `text` cut to at most `max` characters; what is cut leaves a `…`.
pub(crate) fn clip(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        None => text.to_owned(),
        Some(_) => text.chars().take(max.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// A text that may hold references to secrets: `Splunk ${env:HEC_TOKEN}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Plain(String),
    Secret(SecretRef),
}

/// A resolved [`Template`]: the whole text, and the secrets in it.
pub(crate) struct Filled {
    pub(crate) text: Secret,
    pub(crate) secrets: Vec<Secret>,
}

impl Template {
    /// A text without a secret in it.
    pub(crate) fn of(text: &str) -> Self {
        Self(vec![Part::Plain(text.to_owned())])
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            let (plain, reference) = rest.split_at(start);
            let end =
                reference.find('}').ok_or("a ${ without its }: a secret is written ${env:NAME} or ${file:PATH}")?;
            let (reference, after) = reference.split_at(end.saturating_add(1));
            if !plain.is_empty() {
                parts.push(Part::Plain(plain.to_owned()));
            }
            parts.push(Part::Secret(reference.parse()?));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Plain(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// The references in it.
    pub(crate) fn references(&self) -> impl Iterator<Item = &SecretRef> {
        self.0.iter().filter_map(|part| match part {
            Part::Plain(_) => None,
            Part::Secret(reference) => Some(reference),
        })
    }

    /// The text, where no secret is in it.
    pub(crate) fn plain(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Part::Plain(text)] => Some(text),
            _ => None,
        }
    }

    /// The text with what `resolve` gives for its references.
    pub(crate) fn fill(
        &self,
        resolve: impl Fn(&SecretRef) -> Result<Secret, SecretError>,
    ) -> Result<Filled, SecretError> {
        let secrets = self.references().map(resolve).collect::<Result<Vec<_>, _>>()?;
        let mut of_references = secrets.iter();
        let parts: Vec<&str> = self
            .0
            .iter()
            .filter_map(|part| match part {
                Part::Plain(plain) => Some(plain.as_str()),
                Part::Secret(_) => of_references.next().map(Secret::expose),
            })
            .collect();
        let text = Secret::of_parts(&parts);
        Ok(Filled { text, secrets })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clipped_text_has_at_most_that_many_characters() {
        for (text, max, clipped) in
            [("abc", 3, "abc"), ("abcd", 3, "ab…"), ("äöü…", 3, "äö…"), ("a", 0, "…"), ("", 0, "")]
        {
            assert_eq!(clip(text, max), clipped);
        }
    }

    #[test]
    fn references_stand_anywhere_in_a_text() {
        let parts = |text: &str| Template::parse(text).map(|template| template.0.len());
        assert_eq!(parts(""), Ok(0));
        assert_eq!(parts("plain"), Ok(1));
        assert_eq!(parts("${env:A}"), Ok(1));
        assert_eq!(parts("Splunk ${env:A}/${file:b}!"), Ok(5));
        assert!(parts("${env:A").is_err());
        let error = parts("${hunter2}").unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
