//! Signing in and out.

use std::time::Instant;

use axum::http::StatusCode;
use serde_json::Value;

use super::{
    answer::{Answer, Refusal},
    audit,
    cookie::Cookie,
    enter, lock,
    oidc::{Came, Problem},
    pages,
    path::LocalPath,
    session::{ABSOLUTE, Person, hash},
    visit::{Call, Visit},
};
use crate::console::http::session::SessionId;

/// The page to sign in at.
pub(super) async fn page(visit: Visit) -> Result<Answer, Refusal> {
    let next = wanted(visit.query("next"));
    Ok(Answer::Page(pages::login::page(&visit, &next, None)))
}

/// Where somebody goes after signing in.
fn wanted(next: Option<&str>) -> LocalPath {
    next.and_then(LocalPath::parse).unwrap_or_else(LocalPath::root)
}

/// Signs in with the local token.
pub(super) async fn with_token(mut visit: Visit) -> Result<Answer, Refusal> {
    if enter::is_from_us(&visit) == Some(false) {
        return Err(Refusal::foreign());
    }
    let fields = visit.fields().await?;
    let text = |key: &str| fields.get(key).and_then(Value::as_str);
    let next = wanted(text("next"));
    match enter::check_token(&visit, text("token").unwrap_or_default().trim(), "form").await {
        Ok(()) => begin_session(&visit, Person::local(), &next).await,
        Err(refusal) if refusal.status == StatusCode::UNAUTHORIZED => Ok(did_not_work(&visit, &next)),
        Err(refusal) => Err(refusal),
    }
}

/// The same for every reason.
fn did_not_work(visit: &Visit, next: &LocalPath) -> Answer {
    let told = "The sign-in did not work. Try again.";
    Answer::Told(StatusCode::UNAUTHORIZED, pages::login::page(visit, next, Some(told)))
}

/// A new session under a new id, whatever the browser had before.
async fn begin_session(visit: &Visit, person: Person, next: &LocalPath) -> Result<Answer, Refusal> {
    let role = enter::role_of(visit, &person).ok_or_else(Refusal::signed_out)?;
    if let Some(before) = enter::session_id(visit) {
        visit.console.sessions.end(&before).await?;
    }
    audit::signed_in(visit, &person, role).await?;
    let id = visit.console.sessions.begin(person, enter::now()).await?;
    let jar = visit.console.jar;
    let cookies = vec![jar.set(Cookie::Session, &id.to_cookie(), ABSOLUTE.as_secs()), jar.clear(Cookie::Flow)];
    Ok(Answer::See(next.clone()).with(cookies))
}

/// Sends the browser to the provider.
pub(super) async fn begin(visit: Visit) -> Result<Answer, Refusal> {
    let provider = visit.console.oidc.as_ref().ok_or_else(Refusal::nothing_here)?;
    lock(&visit.console.beginnings).admit(visit.from, Instant::now()).map_err(enter::too_often)?;
    let browser = SessionId::random().map_err(|error| anyhow::anyhow!("random bytes: {error}"))?.to_cookie();
    let next = wanted(visit.query("next"));
    let begun = provider.begin(&visit.console.sessions.0, &next, hash(browser.as_bytes()), enter::now()).await;
    match begun {
        Ok(url) => {
            let cookie = visit.console.jar.set(Cookie::Flow, &browser, super::oidc::FLOW_WITHIN.as_secs());
            Ok(Answer::Away(url).with(vec![cookie]))
        }
        Err(problem) => Err(not_reached(&problem)),
    }
}

fn not_reached(problem: &Problem) -> Refusal {
    tracing::warn!(%problem, "the identity provider cannot be used");
    let remedy = "Try again; the log of this broker says why. Meanwhile the local token works, where it is on.";
    Refusal::new(StatusCode::BAD_GATEWAY, "the identity provider cannot be used now", remedy)
}

/// The browser comes back from the provider.
pub(super) async fn back(visit: Visit) -> Result<Answer, Refusal> {
    let provider = visit.console.oidc.as_ref().ok_or_else(Refusal::nothing_here)?;
    enter::admit(&visit)?;
    let came = Came {
        state: visit.query("state"),
        code: visit.query("code"),
        error: visit.query("error"),
        issuer: visit.query("iss"),
        browser: visit.console.jar.read(&visit.headers, Cookie::Flow).map(|cookie| hash(cookie.as_bytes())),
    };
    let (person, next) = match provider.finish(&visit.console.sessions.0, came, enter::now()).await {
        Ok(finished) => finished,
        Err(Problem::Bus(error)) => return Err(error.into()),
        Err(problem @ (Problem::Away(_) | Problem::Settings(_))) => {
            enter::failed(&visit, "oidc", problem.word()).await;
            return Err(not_reached(&problem));
        }
        Err(problem) => {
            tracing::info!(%problem, "a sign-in at the identity provider is not believed");
            enter::failed(&visit, "oidc", problem.word()).await;
            return Ok(did_not_work(&visit, &LocalPath::root()).with(vec![visit.console.jar.clear(Cookie::Flow)]));
        }
    };
    lock(&visit.console.failures).succeeded(visit.from);
    if provider.role_of(&person).is_none() {
        audit::failed(&visit, "oidc", &format!("no role: {}", person.shown())).await;
        return Ok(Answer::Told(StatusCode::FORBIDDEN, pages::login::no_role(&person)));
    }
    begin_session(&visit, person, &next).await
}

/// Ends this session.
pub(super) async fn out(call: Call) -> Result<Answer, Refusal> {
    if let Some(session) = &call.who.session {
        call.visit.console.sessions.end(session).await?;
        audit::signed_out(&call.visit, &call.who.person, false).await;
    }
    Ok(gone(&call.visit))
}

/// Ends all sessions of whoever this is.
pub(super) async fn out_everywhere(call: Call) -> Result<Answer, Refusal> {
    call.visit.console.sessions.end_all(&call.who.person, enter::now()).await?;
    audit::signed_out(&call.visit, &call.who.person, true).await;
    Ok(gone(&call.visit))
}

fn gone(visit: &Visit) -> Answer {
    Answer::See(LocalPath::login("")).with(vec![visit.console.jar.clear(Cookie::Session)])
}
