//! What administrators order about agents and tokens, and what it comes to. Pure. An order is carried out at least once;
//! a record remembers the last ones that it followed, so that one that comes again changes nothing.

use emote_proto::{
    Event, EventId, Serial, Time,
    enroll::{TokenId, UserKey},
};
use serde_json::Value;

use super::{
    Policy,
    record::{Asked, DeviceRecord, Ordered, State, TokenRecord, Word},
};

/// Serial numbers that one order may name.
pub const MAX_SERIALS: usize = 500;
/// Longest reason that is kept, in characters.
const MAX_REASON: usize = 500;
/// Most uses of a token.
pub const MAX_USES: u32 = 1_000_000;
/// Longest name of a token, in characters.
pub const MAX_NAME: usize = 100;

/// What is ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// About devices.
    Devices {
        /// What.
        what: What,
        /// Whose.
        serials: Vec<Serial>,
        /// The key to let in, where one is named; for one serial number only.
        key: Option<UserKey>,
    },
    /// A token was made, with the NATS user that it is.
    CreateToken(Box<TokenRecord>),
    /// A token is to hold no longer.
    RevokeToken(TokenId),
}

/// What is ordered about a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Let a key in.
    Approve,
    /// Do not.
    Deny,
    /// Take the credential away.
    Revoke,
    /// Have it change its key.
    Rotate,
}

impl What {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Approve, Self::Deny, Self::Revoke, Self::Rotate];

    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Deny => "deny",
            Self::Revoke => "revoke",
            Self::Rotate => "rotate",
        }
    }

    /// The action of the event that orders it.
    pub fn ordered(self) -> String {
        format!("{}_ordered", self.word())
    }

    /// The action of the event that tells that it is done.
    pub fn done(self) -> &'static str {
        match self {
            Self::Approve => "approved",
            Self::Deny => "denied",
            Self::Revoke => "revoked",
            Self::Rotate => "rotation_asked",
        }
    }
}

/// The action that orders a token to be taken up into the registry.
pub const TOKEN_CREATE: &str = "token_create_ordered";
/// The action that orders a token to hold no longer.
pub const TOKEN_REVOKE: &str = "token_revoke_ordered";

/// Why an order is not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// It is not understood.
    #[error("agent.{action} without {wanted}")]
    Lacks {
        /// The order's action.
        action: String,
        /// What is missing.
        wanted: &'static str,
    },
    /// The registry has no such device.
    #[error("no agent of this serial number ever asked for a credential (`emote agents ls`)")]
    Unknown,
    /// Nothing asked that could be let in.
    #[error("no key of it waits: it has to ask first")]
    NothingWaits,
    /// Several keys asked.
    #[error("several keys ask for it: say which with --fingerprint (`emote agents show` lists them)")]
    SeveralWait,
    /// The key that was named did not ask.
    #[error("no such key asks for it (`emote agents show`)")]
    NoSuchKey,
    /// It has no credential.
    #[error("it has no credential")]
    NotEnrolled,
    /// The registry has no such token, or another one of the same id.
    #[error("the registry has no such token (`emote agents token ls`)")]
    NoToken,
    /// The registry's record cannot be read.
    #[error("{0}")]
    Damaged(String),
    /// The id is taken.
    #[error("a token of this id is there already")]
    TokenThere,
}

impl Order {
    /// The order that `event` is, if it is one.
    pub fn read(event: &Event) -> Result<Option<Self>, OrderError> {
        if event.scope.as_str() != "agent" {
            return Ok(None);
        }
        let action = event.action.as_str();
        let lacks = |wanted| OrderError::Lacks { action: action.to_owned(), wanted };
        if let Some(what) = What::ALL.into_iter().find(|what| what.ordered() == action) {
            let serials: Option<Vec<Serial>> = read(event, "serials");
            let serials = serials.filter(|serials| (1..=MAX_SERIALS).contains(&serials.len()));
            let serials = serials.ok_or_else(|| lacks("info.serials, 1 to 500 serial numbers"))?;
            let key =
                event.info_at(&["key"]).map(|_| read(event, "key").ok_or_else(|| lacks("a public key in info.key")));
            return Ok(Some(Self::Devices { what, serials, key: key.transpose()? }));
        }
        Ok(Some(match action {
            TOKEN_CREATE => {
                Self::CreateToken(Box::new(token(event).ok_or_else(|| {
                    lacks("a token in info: id, name, key, uses, expires, perhaps serial and policy")
                })?))
            }
            TOKEN_REVOKE => Self::RevokeToken(read(event, "token").ok_or_else(|| lacks("info.token, a token's id"))?),
            _ => return Ok(None),
        }))
    }
}

/// Who ordered it, and why.
pub fn signed(event: &Event, what: &str, at: Time) -> Ordered {
    let reason = event.info_at(&["reason"]).and_then(Value::as_str);
    Ordered {
        what: what.to_owned(),
        by: event.user_id().unwrap_or("somebody").to_owned(),
        reason: reason.map(|reason| reason.chars().take(MAX_REASON).collect()),
        at,
    }
}

fn read<T: serde::de::DeserializeOwned>(event: &Event, key: &str) -> Option<T> {
    serde_json::from_value(event.info_at(&[key])?.clone()).ok()
}

/// A token as its order describes it; how often it was used, and whether it holds, no order can say.
fn token(event: &Event) -> Option<TokenRecord> {
    let name: String = read(event, "name")?;
    let uses = read(event, "uses").filter(|uses| (1..=MAX_USES).contains(uses))?;
    if name.chars().count() > MAX_NAME {
        return None;
    }
    let optional = |key: &str| event.info_at(&[key]).filter(|value| !value.is_null()).is_some();
    Some(TokenRecord {
        id: read(event, "token")?,
        name,
        key: read(event, "key")?,
        uses,
        used: 0,
        created: event.time,
        expires: read(event, "expires")?,
        serial: if optional("serial") { Some(read(event, "serial")?) } else { None },
        policy: if optional("policy") { Some(read::<Policy>(event, "policy")?) } else { None },
        by: event.user_id().unwrap_or("somebody").to_owned(),
        revoked: None,
    })
}

impl DeviceRecord {
    /// Carries an order out. Gives whether anything was left to do: one that was carried out before changes nothing.
    pub fn follow(
        &mut self,
        id: EventId,
        what: What,
        key: Option<&UserKey>,
        order: Ordered,
        now: Time,
    ) -> Result<bool, OrderError> {
        if self.orders.contains(&id) {
            return Ok(false);
        }
        match what {
            What::Approve => self.approve(key, now)?,
            What::Deny => self.deny()?,
            What::Revoke => self.revoke(now)?,
            What::Rotate if self.state == State::Enrolled => self.rotate = Some(now),
            What::Rotate => return Err(OrderError::NotEnrolled),
        }
        self.tidy(now);
        self.carried_out(id, order);
        Ok(true)
    }

    /// The key that an approval without a key means: the only one that waits, else the only one that was denied, else
    /// the one that it had.
    pub fn meant(&self) -> Result<UserKey, OrderError> {
        for word in [None, Some(Word::Approved), Some(Word::Denied)] {
            let mut asked = self.asked.iter().filter(|asked| asked.word == word);
            match (asked.next(), asked.next()) {
                (Some(asked), None) => return Ok(asked.key.clone()),
                (Some(_), Some(_)) => return Err(OrderError::SeveralWait),
                (None, _) => {}
            }
        }
        let had = self.key.as_ref().filter(|_| self.state != State::Enrolled);
        had.map(|had| had.key.clone()).ok_or(OrderError::NothingWaits)
    }

    fn approve(&mut self, key: Option<&UserKey>, now: Time) -> Result<(), OrderError> {
        let key = key.cloned().map_or_else(|| self.meant(), Ok)?;
        if let Some(asked) = self.asked.iter_mut().find(|asked| asked.key == key) {
            asked.word = Some(Word::Approved);
            return Ok(());
        }
        let had = self.key.as_ref().filter(|had| had.key == key && self.state != State::Enrolled);
        let had = had.ok_or(OrderError::NoSuchKey)?;
        let (agent, token, word) = (had.agent.clone(), had.token.clone(), Some(Word::Approved));
        self.asked.push(Asked { key, at: now, token, agent, word, told: true });
        Ok(())
    }

    /// Those that ask are denied; a machine that has a credential keeps it.
    fn deny(&mut self) -> Result<(), OrderError> {
        if self.state == State::Enrolled && self.asked.is_empty() {
            return Err(OrderError::NothingWaits);
        }
        for asked in &mut self.asked {
            asked.word = Some(Word::Denied);
        }
        if self.state == State::Pending {
            self.state = State::Denied;
        }
        Ok(())
    }

    fn revoke(&mut self, now: Time) -> Result<(), OrderError> {
        if self.key.is_none() {
            return Err(OrderError::NotEnrolled);
        }
        // Whoever was approved before is in need of another word.
        for asked in &mut self.asked {
            asked.word = asked.word.filter(|word| *word == Word::Denied);
        }
        for shut in &mut self.shut {
            shut.bring_forward(now);
        }
        if self.state != State::Revoked {
            self.shut_key(now);
        }
        (self.state, self.rotate) = (State::Revoked, None);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
