//! `events.<source>.<node>.<scope>.<action>`: building and parsing are inverse.

use crate::{Name, NodeError, NodeKey, Token, TokenError};

const PREFIX: &str = "events";
const NO_NODE: &str = "-";

/// Why a subject is not one of an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// Not five tokens behind `events.`.
    #[error("the subject {0:?} is not events.<source>.<node>.<scope>.<action>")]
    Shape(String),
    /// The source, scope or action is no token.
    #[error("the subject's {part}: {error}")]
    Token {
        /// Which token.
        part: &'static str,
        /// What is wrong with it.
        error: TokenError,
    },
    /// The node is not written as it must be.
    #[error("the subject's node: {0}")]
    Node(#[from] NodeError),
}

/// The parsed subject of an event.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subject {
    /// Who says it: `agent`, `nanomdm`, `okta`, `broker`, …
    pub source: Name,
    /// Whom it is about; `None` is written `-`.
    pub node: Option<NodeKey>,
    /// What kind of thing.
    pub scope: Token,
    /// What happened to it.
    pub action: Token,
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let node = self.node.as_ref().map_or_else(|| NO_NODE.to_owned(), NodeKey::to_subject_token);
        write!(f, "{PREFIX}.{}.{node}.{}.{}", self.source, self.scope, self.action)
    }
}

impl std::str::FromStr for Subject {
    type Err = SubjectError;

    fn from_str(subject: &str) -> Result<Self, SubjectError> {
        let shape = || SubjectError::Shape(subject.chars().take(300).collect());
        let mut tokens = subject.split('.');
        let mut next = || tokens.next().ok_or_else(shape);
        if next()? != PREFIX {
            return Err(shape());
        }
        let (source, node, scope, action) = (next()?, next()?, next()?, next()?);
        if tokens.next().is_some() {
            return Err(shape());
        }
        let token = |part| move |error| SubjectError::Token { part, error };
        Ok(Self {
            source: Name::new(source).map_err(token("source"))?,
            node: if node == NO_NODE { None } else { Some(NodeKey::from_subject_token(node)?) },
            scope: Token::new(scope).map_err(token("scope"))?,
            action: Token::new(action).map_err(token("action"))?,
        })
    }
}

/// A subscription over events; whatever is not named is any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only this source.
    pub source: Option<Name>,
    /// Only this node.
    pub node: Option<NodeKey>,
    /// Only this scope.
    pub scope: Option<Token>,
    /// Only this action.
    pub action: Option<Token>,
}

impl std::fmt::Display for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let part = |word: Option<String>| word.unwrap_or_else(|| "*".to_owned());
        write!(
            f,
            "{PREFIX}.{}.{}.{}.{}",
            part(self.source.as_ref().map(Name::to_string)),
            part(self.node.as_ref().map(NodeKey::to_subject_token)),
            part(self.scope.as_ref().map(Token::to_string)),
            part(self.action.as_ref().map(Token::to_string)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_subject() -> impl Strategy<Value = Subject> {
        (
            "[a-z0-9][a-z0-9_-]{0,20}",
            proptest::option::of("[^\\x00-\\x1f\\x7f-\\u{9f}]{1,30}"),
            "[a-z0-9][a-z0-9_]{0,20}",
            "[a-z0-9][a-z0-9_]{0,20}",
        )
            .prop_map(|(source, node, scope, action)| Subject {
                source: Name::new(source).unwrap(),
                node: node.map(|key| NodeKey::new(key).unwrap()),
                scope: Token::new(scope).unwrap(),
                action: Token::new(action).unwrap(),
            })
    }

    proptest! {
        #[test]
        fn parsing_what_was_built_gives_it_back(subject in any_subject()) {
            let text = subject.to_string();
            prop_assert!(text.bytes().all(|b| b.is_ascii_graphic()), "{}", text);
            prop_assert_eq!(text.split('.').count(), 5);
            prop_assert!(!text.contains(['*', '>']));
            prop_assert_eq!(text.parse::<Subject>().unwrap(), subject);
        }

        #[test]
        fn building_what_was_parsed_gives_it_back(text in "events\\.[a-z*>%.-]{0,8}\\.[A-Za-z0-9%*>-]{0,8}\\.[a-z_]{0,4}\\.[a-z_.]{0,4}") {
            if let Ok(subject) = text.parse::<Subject>() {
                prop_assert_eq!(subject.to_string(), text);
            }
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = text.parse::<Subject>();
        }
    }

    #[test]
    fn wrong_subjects_say_what_is_wrong() {
        for (text, said) in [
            ("", "is not events."),
            ("events.a.b.c", "is not events."),
            ("events.a.b.c.d.e", "is not events."),
            ("orders.a.b.c.d", "is not events."),
            ("events.A.b.c.d", "source"),
            ("events.a.*.c.d", "node"),
            ("events.a.-.c-c.d", "scope"),
            ("events.a.-.c.D", "action"),
        ] {
            let error = text.parse::<Subject>().unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn a_filter_names_what_it_wants() {
        let filter = Filter { node: Some(NodeKey::new("ada@example.com").unwrap()), ..Filter::default() };
        assert_eq!(filter.to_string(), "events.*.ada@example%2Ecom.*.*");
        assert_eq!(Filter::default().to_string(), "events.*.*.*.*");
    }
}
