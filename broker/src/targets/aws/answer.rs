//! What AWS's answers mean for a job: the error's code, wherever a service writes it, decides.

use serde_json::Value;

use super::super::{Outcome, wire::Answer};
use crate::jq::xml;

/// Codes of errors that pass by themselves: throttles, trouble inside AWS, and credentials that are renewed.
const PASSING: [&str; 26] = [
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "ExpiredToken",
    "ExpiredTokenException",
    "InternalError",
    "InternalException",
    "InternalFailure",
    "InternalServerError",
    "InternalServerException",
    "InternalServiceError",
    "KMSThrottlingException",
    "LimitExceededException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestExpired",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestTimeTooSkewed",
    "ServiceException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "SlowDown",
    "TooManyRequestsException",
    "TransactionInProgressException",
    "RequestTimeout",
];

/// An answer that is none of success.
#[derive(Debug)]
pub(super) struct Refusal {
    /// The error's code, where one was found.
    pub(super) code: Option<String>,
    pub(super) outcome: Box<Outcome>,
    /// The body of the answer.
    pub(super) body: String,
}

impl Refusal {
    pub(super) fn of(outcome: Outcome) -> Self {
        Self { code: None, outcome: Box::new(outcome), body: String::new() }
    }

    pub(super) fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }
}

/// The answer where it is one of success, else what it means.
pub(super) fn judge(answer: Answer) -> Result<Answer, Refusal> {
    let code = code(&answer);
    let body = answer.body.clone();
    let passes = code.as_deref().is_some_and(passes);
    let because = code.as_deref().map(advice).unwrap_or_default();
    let retry = answer.retry(answer.describe());
    answer.success().map_err(|outcome| {
        let outcome = match outcome {
            Outcome::Never { .. } if passes => retry,
            Outcome::Never { reason } => Outcome::Never { reason: format!("{reason}{because}") },
            other => other,
        };
        Refusal { code, outcome: Box::new(outcome), body }
    })
}

/// Whether what an error of this code says will be otherwise in a while.
pub(super) fn passes(code: &str) -> bool {
    code.starts_with("Throttl") || PASSING.contains(&code)
}

fn advice(code: &str) -> &'static str {
    match code {
        "AccessDenied" | "AccessDeniedException" | "AuthorizationError" | "NotAuthorized" => {
            ": allow the action to whom the credentials belong"
        }
        "UnrecognizedClientException" | "InvalidClientTokenId" | "InvalidAccessKeyId" | "SignatureDoesNotMatch" => {
            ": check the credentials, and the clock"
        }
        _ => "",
    }
}

/// The code of an error: a header, a member of a JSON body, or an element of an XML one.
fn code(answer: &Answer) -> Option<String> {
    if (200..300).contains(&answer.status) {
        return None;
    }
    let in_header = answer.headers.get("x-amzn-errortype").and_then(Value::as_str).map(str::to_owned);
    let found = in_header.or_else(|| in_body(&answer.body))?;
    // `com.amazonaws.events#InternalException:http://internal.amazon.com/…` is an InternalException.
    let code = found.split(':').next()?.rsplit('#').next()?.trim();
    (!code.is_empty()).then(|| code.to_owned())
}

fn in_body(body: &str) -> Option<String> {
    let named = |value: &Value| {
        let code = ["__type", "code", "Code"].into_iter().find_map(|key| value.get(key)?.as_str());
        code.map(str::to_owned)
    };
    if let Ok(value) = serde_json::from_str::<Value>(body) {
        return named(&value);
    }
    let document = xml::parse(body.trim().as_bytes()).ok()?;
    let root = document.as_object()?.values().next()?;
    [root.pointer("/Error"), root.pointer("/Errors/Error"), Some(root)].into_iter().flatten().find_map(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, header: Option<&str>, body: &str) -> Answer {
        let mut answer = Answer { status, body: body.to_owned(), ..Answer::default() };
        answer.headers.extend(header.map(|code| ("x-amzn-errortype".to_owned(), Value::from(code))));
        answer
    }

    #[test]
    fn the_code_is_found_wherever_a_service_writes_it() {
        let xml = "<?xml version=\"1.0\"?>\n<ErrorResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\">\
            <Error><Type>Sender</Type><Code>NotFound</Code><Message>no</Message></Error><RequestId>1</RequestId></ErrorResponse>";
        for (header, body, expected) in [
            (Some("ResourceNotFoundException"), "{}", Some("ResourceNotFoundException")),
            (Some("ValidationException:http://internal.amazon.com/coral/"), "", Some("ValidationException")),
            (None, r#"{"__type":"com.amazonaws.events#InternalException","message":"x"}"#, Some("InternalException")),
            (None, r#"{"__type":"ThrottlingException"}"#, Some("ThrottlingException")),
            (None, r#"{"code":"TooManyRequestsException"}"#, Some("TooManyRequestsException")),
            (None, xml, Some("NotFound")),
            (None, "<Error><Code>SlowDown</Code></Error>", Some("SlowDown")),
            (None, r#"{"__type":7}"#, None),
            (None, "<html>", None),
            (None, "", None),
        ] {
            assert_eq!(code(&answer(400, header, body)).as_deref(), expected, "{header:?} {body}");
        }
    }

    #[test]
    fn what_passes_is_tried_again_whatever_its_status() {
        for (status, code, expected) in [
            (400, "ThrottlingException", "retry"),
            (400, "Throttling", "retry"),
            (400, "ProvisionedThroughputExceededException", "retry"),
            (403, "ExpiredTokenException", "retry"),
            (400, "SlowDown", "retry"),
            (503, "AnythingElse", "retry"),
            (429, "AnythingElse", "retry"),
            (400, "ValidationException", "never"),
            (403, "AccessDeniedException", "never"),
            (404, "ResourceNotFoundException", "never"),
            (200, "ThrottlingException", "done"),
        ] {
            let found = match judge(answer(status, Some(code), "")) {
                Ok(_) => "done",
                Err(refusal) if matches!(*refusal.outcome, Outcome::Retry { .. }) => "retry",
                Err(_) => "never",
            };
            assert_eq!(found, expected, "{status} {code}");
        }
    }
}
