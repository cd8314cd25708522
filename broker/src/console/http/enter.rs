//! Who somebody is: by the token that a program sends, or by the session that a browser's cookie names.

use std::time::Instant;

use axum::http::{StatusCode, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use super::{
    answer::{Answer, Refusal},
    audit,
    cookie::Cookie,
    local_token::{Checked, LocalToken},
    lock,
    path::LocalPath,
    role::Role,
    session::{How, Person, SessionId},
    visit::{Known, Visit},
};

/// Who sends this, as of now.
pub(super) async fn who(visit: &Visit) -> Result<Known, Refusal> {
    if let Some(given) = visit.headers.get(header::AUTHORIZATION) {
        let token = given.to_str().ok().and_then(|given| {
            let (scheme, token) = given.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token)
        });
        check_token(visit, token.unwrap_or_default(), "bearer").await?;
        return Ok(Known { person: Person::local(), role: Role::Admin, session: None });
    }
    let id = session_id(visit).ok_or_else(Refusal::signed_out)?;
    let session = visit.console.sessions.find(&id, now()).await?.ok_or_else(Refusal::signed_out)?;
    if session.person.how == How::LocalToken {
        token_is_there(visit).await?;
    }
    let role = role_of(visit, &session.person).ok_or_else(Refusal::signed_out)?;
    Ok(Known { person: session.person, role, session: Some(id) })
}

/// The id that the browser sends.
pub(super) fn session_id(visit: &Visit) -> Option<SessionId> {
    SessionId::parse(&visit.console.jar.read(&visit.headers, Cookie::Session)?)
}

/// What somebody may do, as emote.yaml says now.
pub(super) fn role_of(visit: &Visit, person: &Person) -> Option<Role> {
    match person.how {
        How::LocalToken => visit.console.token.is_some().then_some(Role::Admin),
        How::Oidc => visit.console.oidc.as_ref()?.role_of(person),
    }
}

/// A token that was deleted takes with it what it opened: there is a new one from then on.
async fn token_is_there(visit: &Visit) -> Result<(), Refusal> {
    let renewed = visit.console.token.as_ref().map(LocalToken::ensure).transpose();
    match renewed.map_err(|error| unusable(&error))? {
        Some(true) => {
            end_what_it_opened(visit).await?;
            Err(Refusal::signed_out())
        }
        _ => Ok(()),
    }
}

async fn end_what_it_opened(visit: &Visit) -> Result<(), Refusal> {
    tracing::info!("the console's token was deleted: there is a new one, and what the old one opened is closed");
    Ok(visit.console.sessions.end_all(&Person::local(), now()).await?)
}

fn unusable(error: &anyhow::Error) -> Refusal {
    tracing::error!(error = format!("{error:#}"), "the console's token cannot be used");
    Refusal::signed_out()
}

/// Whether the token is right. A wrong one costs a try, is told in the log, and is answered like every other failure. The
/// right one is taken whatever others tried from the same address: nobody guesses 32 random bytes, and tries are counted
/// for the sake of the log and of those who read it.
pub(super) async fn check_token(visit: &Visit, given: &str, how: &'static str) -> Result<(), Refusal> {
    let checked = match &visit.console.token {
        Some(token) => token.check(given).map_err(|error| unusable(&error))?,
        None => Checked::Wrong,
    };
    if checked == Checked::Right {
        return Ok(());
    }
    if checked == Checked::Renewed {
        end_what_it_opened(visit).await?;
    }
    admit(visit)?;
    Err(failed(visit, how, "wrong token").await)
}

/// Takes a try, or says how long there is none.
pub(super) fn admit(visit: &Visit) -> Result<(), Refusal> {
    lock(&visit.console.failures).admit(visit.from, Instant::now()).map_err(too_often)
}

pub(super) fn too_often(wait: std::time::Duration) -> Refusal {
    let mut refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, "too many tries to sign in", "Wait, then try again.");
    refusal.retry_after = Some(wait.as_secs().max(1));
    refusal
}

/// Tells of a sign-in that failed, and gives what is answered to all of those.
pub(super) async fn failed(visit: &Visit, how: &'static str, why: &str) -> Refusal {
    audit::failed(visit, how, why).await;
    Refusal::new(StatusCode::UNAUTHORIZED, "the sign-in did not work", "Try again at /login.")
}

/// The way to sign in, and back to what was wanted.
pub(super) fn to_login(wanted: &str) -> Answer {
    let next = LocalPath::parse(wanted).filter(|path| path.as_str() != "/");
    let query = next.map(|path| format!("?next={}", utf8_percent_encode(path.as_str(), NON_ALPHANUMERIC)));
    Answer::See(LocalPath::login(&query.unwrap_or_default()))
}

/// Whether a page of ours sent it, as far as the browser says.
pub(super) fn is_from_us(visit: &Visit) -> Option<bool> {
    visit.console.names.is_same_origin(&visit.host, &visit.headers)
}

/// Whether it carries the word of its session. What has no session needs none: no browser adds the token by itself.
pub(super) fn has_form_word(visit: &Visit, who: &Known, fields: &Map<String, Value>) -> bool {
    let Some(session) = &who.session else { return true };
    let sent = visit.headers.get("x-csrf-token").and_then(|word| word.to_str().ok());
    let word = sent.or_else(|| fields.get("csrf").and_then(Value::as_str));
    word.is_some_and(|word| session.is_form_word(word))
}

pub(super) fn now() -> emote_proto::Time {
    jiff::Timestamp::now().into()
}
