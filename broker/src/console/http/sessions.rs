//! Sessions in their bucket, which all brokers share: begun, found again, ended.

use emote_proto::Time;

use super::session::{ABSOLUTE, Person, Session, SessionId};
use crate::bus::{BusError, SessionBucket};

/// How often a write is tried anew where somebody else wrote meanwhile.
const TRIES: usize = 5;

/// The sessions.
#[derive(Clone)]
pub(super) struct Sessions(pub(super) SessionBucket);

impl Sessions {
    /// Begins a session under an id that nobody had before.
    pub(super) async fn begin(&self, person: Person, now: Time) -> Result<SessionId, BusError> {
        let round = self.round(&person).await?.map_or(0, |(round, _)| round);
        let session = Session { person, began: now, seen: now, round };
        let id = SessionId::random().map_err(|error| failed(error.to_string()))?;
        let json = serde_json::to_vec(&session).map_err(|error| failed(error.to_string()))?;
        match self.0.create(&id.key(), json, ABSOLUTE).await? {
            true => Ok(id),
            false => Err(failed("its id is taken".to_owned())),
        }
    }

    /// The session of this id, if it is good.
    pub(super) async fn find(&self, id: &SessionId, now: Time) -> Result<Option<Session>, BusError> {
        let Some(kept) = self.0.find(&id.key()).await? else { return Ok(None) };
        let Ok(mut session) = serde_json::from_slice::<Session>(&kept.value) else { return Ok(None) };
        let round = self.round(&session.person).await?.map_or(0, |(round, _)| round);
        if !session.is_good(round, now) {
            return Ok(None);
        }
        if session.wants_touch(now) {
            session.seen = now;
            let json = serde_json::to_vec(&session).map_err(|error| failed(error.to_string()))?;
            // Another request may have noted it, or ended the session: either is right.
            self.0.replace(&id.key(), json, kept.revision).await?;
        }
        Ok(Some(session))
    }

    /// Ends a session.
    pub(super) async fn end(&self, id: &SessionId) -> Result<(), BusError> {
        self.0.remove(&id.key()).await
    }

    /// Ends all sessions of a person, at all brokers.
    pub(super) async fn end_all(&self, person: &Person, now: Time) -> Result<(), BusError> {
        for _ in 0..TRIES {
            let (round, revision) = self.round(person).await?.unwrap_or_default();
            let next = now.as_millis().max(round + 1);
            if self.0.replace(&person.key(), next.to_string().into_bytes(), revision).await? {
                return Ok(());
            }
        }
        Err(failed("others write at the same time".to_owned()))
    }

    /// Sessions of a person that are of an earlier round than this are over. What was noted is forgotten after twelve hours,
    /// when all of those are over anyway.
    async fn round(&self, person: &Person) -> Result<Option<(i64, u64)>, BusError> {
        let Some(kept) = self.0.find(&person.key()).await? else { return Ok(None) };
        let round = std::str::from_utf8(&kept.value).ok().and_then(|text| text.parse().ok());
        // What cannot be read ends them all.
        Ok(Some((round.unwrap_or(i64::MAX - 1), kept.revision)))
    }
}

fn failed(reason: String) -> BusError {
    BusError::Refused { doing: "keeping a session", reason }
}
