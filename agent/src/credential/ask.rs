//! Asks for the first JWT, over a connection that an enrolment token opened.

use std::time::Duration;

use async_nats::{Client, Request, RequestErrorKind};
use emote_proto::enroll::{EnrollAnswer, EnrollRequest, EnrollmentToken, MAX_MESSAGE};
use emote_proto::subjects;

/// A broker that is there answers within this.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error("nobody takes requests to enrol: is `emote serve` running, with `identity` in emote.yaml?")]
    Nobody,
    #[error("no answer to the request to enrol: {0}")]
    Silent(String),
    #[error("what came as an answer to the request to enrol is none: {0}")]
    Wrong(String),
}

/// Asks once.
pub(crate) async fn ask(
    client: &Client,
    token: &EnrollmentToken,
    request: &EnrollRequest,
) -> Result<EnrollAnswer, AskError> {
    let payload = serde_json::to_vec(request).map_err(|error| AskError::Wrong(error.to_string()))?;
    let request = Request::new().payload(payload.into()).timeout(Some(PATIENCE));
    let answer = client.send_request(subjects::enroll(token.id()), request).await;
    let answer = answer.map_err(|error| match error.kind() {
        RequestErrorKind::NoResponders => AskError::Nobody,
        _ => AskError::Silent(error.to_string()),
    })?;
    read(&answer.payload)
}

fn read(payload: &[u8]) -> Result<EnrollAnswer, AskError> {
    if payload.len() > MAX_MESSAGE {
        return Err(AskError::Wrong(format!("more than {MAX_MESSAGE} bytes")));
    }
    serde_json::from_slice(payload).map_err(|error| AskError::Wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_an_answer_and_not_too_long_is_one() {
        let pending = r#"{"state":"pending","reason":"by hand","retry_after":60}"#;
        assert!(matches!(read(pending.as_bytes()), Ok(EnrollAnswer::Pending { retry_after: 60, .. })));
        let long = format!(r#"{{"state":"denied","reason":"{}"}}"#, "x".repeat(MAX_MESSAGE));
        for payload in ["", "+OK", "{}", r#"{"state":"enrolled"}"#, r#"{"state":"approved"}"#, &long] {
            assert!(matches!(read(payload.as_bytes()), Err(AskError::Wrong(_))), "{}", payload.len());
        }
    }
}
