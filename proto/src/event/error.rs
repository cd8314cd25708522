//! Why bytes are no event.

use crate::NodeError;

/// Why bytes are no event. Every text names the field and says what would do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Not JSON at all.
    #[error("not JSON: {0}")]
    NotJson(String),
    /// Larger than [`limits::MAX_EVENT`], or than [`limits::MAX_COMPLETED`] where it is complete.
    ///
    /// [`limits::MAX_EVENT`]: crate::limits::MAX_EVENT
    /// [`limits::MAX_COMPLETED`]: crate::limits::MAX_COMPLETED
    #[error("{length} bytes: an event may have at most {max}")]
    TooLarge {
        /// How long it is.
        length: usize,
        /// How long it may be.
        max: usize,
    },
    /// JSON, but no object.
    #[error("an event is a JSON object such as {{\"scope\":\"device\",\"action\":\"enroll\"}}, not {0}")]
    NotObject(&'static str),
    /// A required field is not there.
    #[error("the field {0:?} is missing")]
    Missing(&'static str),
    /// A field holds something else than it must.
    #[error("the field {field:?}: {problem}")]
    Field {
        /// Dotted path.
        field: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// The body says another thing than the subject it was published under.
    #[error(
        "{field:?} is {body:?}, but the subject says {subject:?}: publish under the subject of what the event says"
    )]
    Conflict {
        /// Dotted path in the body.
        field: &'static str,
        /// What the body says.
        body: String,
        /// What the subject says.
        subject: String,
    },
}

impl EventError {
    pub(super) fn field(field: &'static str, error: &NodeError) -> Self {
        Self::Field { field, problem: error.to_string() }
    }

    pub(super) fn conflict(field: &'static str, body: &str, subject: &str) -> Self {
        Self::Conflict { field, body: body.to_owned(), subject: subject.to_owned() }
    }
}
