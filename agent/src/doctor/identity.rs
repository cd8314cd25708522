//! This machine's own credential: whether it is there, for how long it holds, and what could bring another one.

use emote_proto::Time;
use emote_proto::enroll::EnrollmentToken;
use emote_proto::jwt::Claims;

use super::Finding;
use crate::credential::{Look, Machine};
use crate::health::{ConflictStatus, IdentityStatus, Standing};

const CHECK: &str = "identity";
const HOUR_MS: i64 = 3_600_000;

/// What is looked at.
pub(crate) struct Seen<'a> {
    /// Whether the settings say as whom to connect.
    pub(crate) say_who: bool,
    /// The enrolment token of the settings, or why it cannot be used.
    pub(crate) token: Result<Option<EnrollmentToken>, String>,
    /// What is in the state folder, or why it cannot be read.
    pub(crate) folder: Result<Option<Look>, String>,
    /// What the running agent says, if one runs.
    pub(crate) running: Option<&'a IdentityStatus>,
    /// Of the running agent.
    pub(crate) conflict: Option<ConflictStatus>,
    /// The machine that this is.
    pub(crate) machine: Option<Machine>,
}

/// The findings.
pub(crate) fn identity(seen: &Seen<'_>, now: Time) -> Vec<Finding> {
    let mut findings = vec![credential(seen, now)];
    findings.extend(token(seen, now));
    findings.extend(seen.conflict.map(|conflict| {
        let ConflictStatus { at, expected, found, count } = conflict;
        let said = format!(
            "somebody else wrote under this serial number {count} times, last {at} (sequence {found}, where {expected} was \
             the last of this machine)"
        );
        let remedy = "find the other machine: a copied disk image, the same `serial` in its settings, or stolen credentials; \
                      `emote agents revoke` this serial number and enrol it anew";
        Finding::warn("conflict", said, remedy)
    }));
    findings
}

fn credential(seen: &Seen<'_>, now: Time) -> Finding {
    if seen.say_who {
        return Finding::skipped(CHECK, "the settings say as whom to connect");
    }
    let look = match &seen.folder {
        Err(error) => return Finding::fail(CHECK, error, "run the doctor as root; else move the folder identity away"),
        Ok(look) => look.as_ref(),
    };
    if let Some(status) = seen.running.filter(|status| status.standing == Standing::Refused) {
        let said = status.said.clone().unwrap_or_else(|| "no server takes it".into());
        return Finding::fail(
            CHECK,
            said,
            "see `emote agents show` of this serial number; set `enrollment_token` to enrol anew",
        );
    }
    let Some(look) = look.filter(|look| look.status.standing == Standing::Enrolled) else { return asking(seen, look) };
    let said = format!("key {}", look.status.fingerprint.as_deref().unwrap_or("?"));
    if seen.machine.as_ref().is_some_and(|machine| machine.differs(&look.machine)) {
        let remedy = "restart the agent: it sets the old one aside and makes a key for this machine";
        return Finding::fail(CHECK, format!("{said}, made for another machine"), remedy);
    }
    let Some(place) = look.seed else {
        return Finding::fail(CHECK, format!("{said}, and its seed is gone"), "restart the agent: it makes a new key");
    };
    let Some(expires) = look.status.expires else { return Finding::ok(CHECK, format!("{said} in {place}, for ever")) };
    let said = format!("{said} in {place}, until {expires}");
    match expires.millis_since(now) {
        ..=0 => Finding::fail(
            CHECK,
            format!("{said}: over"),
            "look at this machine's clock; set `enrollment_token` to enrol anew",
        ),
        left if left < 48 * HOUR_MS => Finding::warn(
            CHECK,
            format!("{said}: {} hours are left", left / HOUR_MS),
            "it should have been renewed: see that the agent is connected and that `emote serve` runs",
        ),
        _ => Finding::ok(CHECK, said),
    }
}

/// There is no credential yet.
fn asking(seen: &Seen<'_>, look: Option<&Look>) -> Finding {
    let key =
        look.and_then(|look| look.status.fingerprint.clone()).map_or_else(String::new, |key| format!(", key {key}"));
    let said = seen.running.and_then(|status| status.said.clone());
    let standing = seen.running.map_or(Standing::None, |status| status.standing);
    match standing {
        Standing::Pending => Finding::warn(
            CHECK,
            format!("{}{key}", said.unwrap_or_else(|| standing.words().into())),
            "compare the key with `emote agents pending`, and approve it there",
        ),
        Standing::Denied => Finding::fail(
            CHECK,
            format!("{}{key}", said.unwrap_or_else(|| standing.words().into())),
            "ask an administrator of Emote; another `enrollment_token` is tried at once, the same one after SIGHUP",
        ),
        _ if matches!(seen.token, Ok(None)) => Finding::skipped(
            CHECK,
            "there is none, and no `enrollment_token` to ask for one: any agent can be in its place",
        ),
        _ => Finding::warn(
            CHECK,
            format!("{}{key}", said.unwrap_or_else(|| "not enrolled yet".into())),
            "start the agent: it asks with the enrolment token",
        ),
    }
}

fn token(seen: &Seen<'_>, now: Time) -> Option<Finding> {
    const CHECK: &str = "enrolment token";
    let token = match &seen.token {
        Ok(token) => token.as_ref()?,
        Err(error) => return Some(Finding::fail(CHECK, error, "put `enrollment_token` right, or its file")),
    };
    let expires =
        Claims::unverified(token.jwt()).ok().and_then(|claims| Time::from_millis(claims.exp?.saturating_mul(1_000)));
    let said = format!("{}{}", token.id(), expires.map_or_else(String::new, |at| format!(", until {at}")));
    Some(match expires {
        Some(at) if at.millis_since(now) <= 0 => {
            Finding::warn(CHECK, format!("{said}: over"), "make another one: `emote agents token create`")
        }
        _ => Finding::ok(CHECK, said),
    })
}

#[cfg(test)]
mod tests;
