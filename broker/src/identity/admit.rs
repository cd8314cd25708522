//! Whether a Mac that asks gets a credential. Pure: records, time and what the MDM says go in; the answer comes out with
//! the records as they are to be stored, together and only if nobody changed them meanwhile.
//!
//! The same machine that asks again with the same key is given the same answer, and nothing is counted twice: that is
//! what makes a crash between any two steps harmless.

use emote_proto::{
    Serial, Time,
    enroll::{TokenId, UserKey},
};

use super::{
    Policy, Vouch,
    record::{Asked, DeviceRecord, Issued, MAX_ASKED, State, TokenRecord, Word},
};

/// Who asks.
#[derive(Debug, Clone)]
pub struct Ask {
    /// With which token; NATS proved it.
    pub token: TokenId,
    /// For which serial number.
    pub serial: Serial,
    /// For which key; its signature was checked.
    pub key: UserKey,
    /// The agent's version.
    pub agent: String,
}

/// What applies.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// The broker's policy.
    pub policy: Policy,
    /// How long a credential holds, in ms.
    pub lifetime: i64,
    /// What the MDM says.
    pub vouch: Vouch,
    /// Now.
    pub now: Time,
}

/// What it comes to, and the records that change with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The answer.
    pub answer: Answer,
    /// The device's record, where it changes.
    pub device: Option<DeviceRecord>,
    /// The token's record, where it changes.
    pub token: Option<TokenRecord>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is let in.
    Enrolled(Issued),
    /// Not yet.
    Waits(Asked, Waiting),
    /// No.
    Denied(Denied),
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Waiting {
    /// An administrator.
    #[error("an administrator has to approve it (`emote agents pending`)")]
    Word,
    /// The MDM.
    #[error("the MDM has not told of this Mac yet")]
    Mdm,
    /// An administrator, as the serial number has another key already.
    #[error(
        "this serial number is enrolled with another key: an administrator has to approve the new one (`emote agents pending`)"
    )]
    OtherKey,
}

impl Waiting {
    /// Seconds until it is worth asking again.
    pub fn retry_after(self) -> u32 {
        match self {
            Self::Mdm => 30,
            Self::Word | Self::OtherKey => 60,
        }
    }
}

/// Why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Denied {
    /// The registry has no such token.
    #[error("this enrolment token is not known here: create one with `emote agents token create`")]
    UnknownToken,
    /// Somebody took it back.
    #[error("this enrolment token was revoked")]
    RevokedToken,
    /// Its time is over.
    #[error("this enrolment token is expired")]
    ExpiredToken,
    /// As many asked with it as may.
    #[error("this enrolment token has no uses left")]
    UsedUp,
    /// It is for another serial number.
    #[error("this enrolment token is for another serial number")]
    OtherSerial,
    /// An administrator denied it, or this key.
    #[error("an administrator denied it")]
    DeniedByAdmin,
    /// An administrator revoked it.
    #[error("an administrator revoked its credential")]
    RevokedByAdmin,
    /// Too many keys wait for this serial number.
    #[error("too many keys ask for this serial number already: an administrator has to look (`emote agents pending`)")]
    TooManyKeys,
}

/// Decides.
pub fn decide(ask: &Ask, token: Option<&TokenRecord>, device: Option<&DeviceRecord>, terms: &Terms) -> Decision {
    let token = match token {
        Some(token) => match refused(ask, token, terms.now) {
            None => token,
            Some(reason) => return Decision::denied(reason),
        },
        None => return Decision::denied(Denied::UnknownToken),
    };
    let mut device = device.cloned().unwrap_or_else(|| DeviceRecord::new(ask.serial.clone()));
    device.tidy(terms.now);
    if let Some(decision) = again(ask, &device, terms) {
        return decision;
    }
    let counted = match note(ask, token, &mut device, terms.now) {
        Ok(counted) => counted,
        Err(reason) => return Decision::denied(reason),
    };
    let answer = verdict(ask, token, &device, terms);
    if let Ok(None) = answer {
        let issued = issue(ask, &mut device, terms);
        return Decision { answer: Answer::Enrolled(issued), device: Some(device), token: counted };
    }
    let noted = device.asked(&ask.key).cloned();
    let answer = match (answer, noted) {
        (Ok(Some(waiting)), Some(asked)) => Answer::Waits(asked, waiting),
        (Err(reason), _) => Answer::Denied(reason),
        // What was noted is there.
        (Ok(_), _) => Answer::Denied(Denied::TooManyKeys),
    };
    let changed = counted.is_some();
    Decision { answer, device: changed.then_some(device), token: counted }
}

impl Decision {
    fn denied(reason: Denied) -> Self {
        Self { answer: Answer::Denied(reason), device: None, token: None }
    }
}

/// Why nobody may ask with this token, or not this one.
fn refused(ask: &Ask, token: &TokenRecord, now: Time) -> Option<Denied> {
    if token.revoked.is_some() {
        Some(Denied::RevokedToken)
    } else if token.expires <= now {
        Some(Denied::ExpiredToken)
    } else if token.serial.as_ref().is_some_and(|serial| *serial != ask.serial) {
        Some(Denied::OtherSerial)
    } else {
        None
    }
}

/// The machine that is let in already asks again: it may not have got the answer.
fn again(ask: &Ask, device: &DeviceRecord, terms: &Terms) -> Option<Decision> {
    let issued = device.key.as_ref().filter(|key| device.state == State::Enrolled && key.key == ask.key)?;
    let (answer, device) = if issued.is_due(terms.now) {
        let next = Issued {
            issued: terms.now,
            expires: after(terms.now, terms.lifetime),
            agent: ask.agent.clone(),
            request: None,
            told: false,
            ..issued.clone()
        };
        (next.clone(), Some(DeviceRecord { key: Some(next), ..device.clone() }))
    } else {
        (issued.clone(), None)
    };
    Some(Decision { answer: Answer::Enrolled(answer), device, token: None })
}

/// Notes a key that asks for the first time; the token then counts it.
fn note(ask: &Ask, token: &TokenRecord, device: &mut DeviceRecord, now: Time) -> Result<Option<TokenRecord>, Denied> {
    if device.asked(&ask.key).is_some() {
        return Ok(None);
    }
    if token.used >= token.uses {
        return Err(Denied::UsedUp);
    }
    if device.asked.len() >= MAX_ASKED {
        let denied = device.asked.iter().position(|asked| asked.word == Some(Word::Denied));
        device.asked.remove(denied.ok_or(Denied::TooManyKeys)?);
    }
    let (key, agent, token_id) = (ask.key.clone(), ask.agent.clone(), Some(token.id.clone()));
    device.asked.push(Asked { key, at: now, token: token_id, agent, word: None, told: false });
    Ok(Some(TokenRecord { used: token.used + 1, ..token.clone() }))
}

/// Nothing where it is let in.
fn verdict(ask: &Ask, token: &TokenRecord, device: &DeviceRecord, terms: &Terms) -> Result<Option<Waiting>, Denied> {
    match device.asked(&ask.key).and_then(|asked| asked.word) {
        Some(Word::Approved) => return Ok(None),
        Some(Word::Denied) => return Err(Denied::DeniedByAdmin),
        None => {}
    }
    let policy = token.policy.map_or(terms.policy, |policy| policy.max(terms.policy));
    match device.state {
        State::Denied => Err(Denied::DeniedByAdmin),
        State::Revoked => Err(Denied::RevokedByAdmin),
        State::Enrolled => Ok((!may_replace(token, device, policy, terms.vouch)).then_some(Waiting::OtherKey)),
        State::Pending => Ok(match (policy, terms.vouch) {
            (Policy::Open, _) | (Policy::Mdm, Vouch::Enrolled { .. }) => None,
            (Policy::Mdm, _) => Some(Waiting::Mdm),
            (Policy::Approve, _) => Some(Waiting::Word),
        }),
    }
}

/// Whether a machine that lost its key may have another one without anybody's word: somebody made a token for it since,
/// or the MDM enrolled it again since.
fn may_replace(token: &TokenRecord, device: &DeviceRecord, policy: Policy, vouch: Vouch) -> bool {
    let Some(since) = device.key.as_ref().map(|key| key.since) else { return false };
    let bound = token.serial.is_some() && token.created > since;
    let enrolled_again = matches!(vouch, Vouch::Enrolled { since: mdm } if mdm > since);
    match policy {
        Policy::Open => bound,
        Policy::Mdm => enrolled_again || (bound && matches!(vouch, Vouch::Enrolled { .. })),
        Policy::Approve => false,
    }
}

/// Lets the key in; the one before is shut out.
fn issue(ask: &Ask, device: &mut DeviceRecord, terms: &Terms) -> Issued {
    let token = device.asked(&ask.key).and_then(|asked| asked.token.clone());
    device.asked.retain(|asked| asked.key != ask.key);
    if device.key.as_ref().is_some_and(|before| before.key != ask.key) && device.state == State::Enrolled {
        device.shut_key(terms.now);
    }
    let at = device.issue_at(&ask.key, terms.now);
    device.shut.retain(|shut| shut.key != ask.key || shut.from < at);
    let issued = Issued {
        key: ask.key.clone(),
        since: at,
        issued: at,
        expires: after(at, terms.lifetime),
        token: Some(token.unwrap_or_else(|| ask.token.clone())),
        agent: ask.agent.clone(),
        request: None,
        told: false,
    };
    device.key = Some(issued.clone());
    device.state = State::Enrolled;
    device.rotate = None;
    issued
}

impl Issued {
    /// Whether two thirds of its life are over.
    pub fn is_due(&self, now: Time) -> bool {
        self.is_past(now, 2, 3)
    }

    /// Whether `part` of `whole` parts of its life are over.
    pub(super) fn is_past(&self, now: Time, part: i64, whole: i64) -> bool {
        now.millis_since(self.issued) >= self.expires.millis_since(self.issued) / whole * part
    }
}

/// `ms` behind `time`.
pub(super) fn after(time: Time, ms: i64) -> Time {
    Time::from_millis(time.as_millis().saturating_add(ms)).unwrap_or(time)
}

#[cfg(test)]
mod tests;
