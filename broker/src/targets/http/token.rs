//! Tokens that are asked for: by OAuth 2.0 with client credentials (RFC 6749, 4.4), or by a login of a vendor's own. One is
//! asked for, however many jobs wait for it, and used until shortly before it expires.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use reqwest::{
    RequestBuilder, Url,
    header::{HeaderMap, HeaderValue},
};
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;

use super::super::{
    Outcome, Role,
    wire::{Auth, Client, header_value},
};
use super::signed::Signer;
use crate::{config::Secret, jq::Program};

/// How long a token is used where its answer does not say.
const LIFE: Duration = Duration::from_secs(5 * 60);
/// How long before its end it is not used any more; a tenth of its life where that is less.
const MARGIN: Duration = Duration::from_secs(30);
/// The longest time for which one is used.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Where tokens come from.
pub(crate) struct Source {
    pub(crate) url: Url,
    pub(crate) asking: Asking,
    pub(crate) held: Mutex<Option<Held>>,
}

/// How one is asked for.
pub(crate) enum Asking {
    /// By a form with these pairs, and by user and password where they stand there.
    OAuth2 { form: Vec<(String, Secret)>, basic: Option<Auth> },
    /// By a form with what a private key signs each time.
    Signed(Box<Signer>),
    /// By JSON with these texts.
    Login {
        body: Vec<(String, Secret)>,
        basic: Option<Auth>,
        headers: HeaderMap,
        /// Takes the token of `{status, headers, body}`.
        token: std::sync::Arc<Reading>,
    },
}

/// What is taken of the answer to a login.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) token: Program,
    /// Seconds from now, or a point in time.
    pub(crate) expires: Option<Program>,
    pub(crate) life: Option<Duration>,
}

/// A token in use.
pub(crate) struct Held {
    token: Secret,
    until: Instant,
}

impl Source {
    /// A token that holds.
    pub(crate) async fn token(&self, client: &Client) -> Result<Secret, Outcome> {
        let mut held = self.held.lock().await;
        if let Some(held) = held.as_ref().filter(|held| Instant::now() < held.until) {
            return Ok(held.token.clone());
        }
        *held = None;
        let (token, life) = self.ask(client).await.map_err(about_the_token)?;
        let life = life.min(LONGEST);
        let until = Instant::now() + life.saturating_sub(MARGIN.min(life / 10));
        *held = Some(Held { token: token.clone(), until });
        Ok(token)
    }

    /// Forgets `token`, which was refused; not one that another job has got since.
    pub(crate) async fn forget(&self, token: &Secret) {
        let mut held = self.held.lock().await;
        if held.as_ref().is_some_and(|held| held.token == *token) {
            *held = None;
        }
    }

    async fn ask(&self, client: &Client) -> Result<(Secret, Duration), Outcome> {
        let answer = client.fetch(self.request(client)?, |headers, body| self.read(headers, body)).await?;
        if let Some(script) = client.stand_in()
            && script.makes_up(Role::Token)
        {
            return Ok((script.stand_in("<token>".to_owned()), LIFE));
        }
        let (token, life) = answer.map_err(Outcome::never)?;
        header_value(&token).map_err(Outcome::never)?;
        Ok((token, life))
    }

    fn request(&self, client: &Client) -> Result<RequestBuilder, Outcome> {
        let request = client.request(reqwest::Method::POST, self.url.clone());
        let texts = |pairs: &[(String, Secret)]| -> Vec<(String, String)> {
            pairs.iter().map(|(key, value)| (key.clone(), value.expose().to_owned())).collect()
        };
        let (request, basic) = match &self.asking {
            Asking::OAuth2 { form, basic } => {
                let form = serde_urlencoded::to_string(texts(form)).map_err(Outcome::never)?;
                let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
                (request.header(reqwest::header::CONTENT_TYPE, form_type).body(form), basic)
            }
            Asking::Signed(signer) => {
                let form = signer.form(Timestamp::now()).map_err(Outcome::never)?;
                let form = serde_urlencoded::to_string(form).map_err(Outcome::never)?;
                let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
                (request.header(reqwest::header::CONTENT_TYPE, form_type).body(form), &None)
            }
            Asking::Login { body, basic, headers, .. } => {
                let mut request = request.headers(headers.clone());
                if !body.is_empty() {
                    let map: Map<String, Value> =
                        texts(body).into_iter().map(|(key, text)| (key, Value::from(text))).collect();
                    let json_type = HeaderValue::from_static("application/json");
                    request =
                        request.header(reqwest::header::CONTENT_TYPE, json_type).body(Value::Object(map).to_string());
                }
                (request, basic)
            }
        };
        Ok(match basic {
            Some(basic) => basic.apply(request),
            None => request,
        })
    }

    /// The token in an answer, and how long it holds. No message repeats what the answer says.
    fn read(&self, headers: &HeaderMap, body: &str) -> Result<(Secret, Duration), String> {
        match &self.asking {
            Asking::OAuth2 { .. } | Asking::Signed(_) => {
                let answer: Value = serde_json::from_str(body).map_err(|_| "the answer is not JSON".to_owned())?;
                let token = answer.get("access_token").and_then(Value::as_str).filter(|token| !token.is_empty());
                let token = token.ok_or("the answer has no access_token")?;
                let life = answer.get("expires_in").and_then(|value| lasts(value, Timestamp::now())).unwrap_or(LIFE);
                Ok((Secret::new(token), life))
            }
            Asking::Login { token: reading, .. } => reading.read(headers, body),
        }
    }
}

impl Reading {
    fn read(&self, headers: &HeaderMap, body: &str) -> Result<(Secret, Duration), String> {
        let headers: Map<String, Value> = headers
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()))
            .collect();
        let body = serde_json::from_str(body).unwrap_or_else(|_| Value::from(body));
        let answer = json!({"headers": headers, "body": body});
        let token = self.token.first(&answer, &[]).ok();
        let token = token.as_ref().and_then(Value::as_str).map(|token| token.strip_prefix("Bearer ").unwrap_or(token));
        let token = token.map(str::trim).filter(|token| !token.is_empty()).ok_or("the answer has no token")?;
        let expires = self.expires.as_ref().and_then(|program| program.first(&answer, &[]).ok());
        let life = expires.and_then(|value| lasts(&value, Timestamp::now())).or(self.life).unwrap_or(LIFE);
        Ok((Secret::new(token), life))
    }
}

/// How long something holds that ends in so many seconds, or at that time.
fn lasts(value: &Value, now: Timestamp) -> Option<Duration> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return None,
    };
    match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => {
            let end: Timestamp = text.parse().ok()?;
            Some(Duration::try_from(end.duration_since(now)).unwrap_or_default())
        }
    }
}

fn about_the_token(outcome: Outcome) -> Outcome {
    let about = |reason: String| format!("asking for a token: {reason}");
    match outcome {
        Outcome::Retry { after, reason } => Outcome::Retry { after, reason: about(reason) },
        Outcome::Never { reason } => Outcome::never(about(reason)),
        done @ Outcome::Done(_) => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_seconds_or_an_end() {
        let now: Timestamp = "2026-11-23T06:41:00Z".parse().unwrap();
        for (value, seconds) in [
            (json!(3599), Some(3599)),
            (json!("1200"), Some(1200)),
            (json!(59.5), Some(59)),
            (json!("2026-11-23T07:01:00.123Z"), Some(1200)),
            (json!("2026-11-23T06:00:00Z"), Some(0)),
            (json!(-5), None),
            (json!("soon"), None),
            (json!(null), None),
            (json!({}), None),
        ] {
            assert_eq!(lasts(&value, now).map(|life| life.as_secs()), seconds, "{value}");
        }
    }
}
