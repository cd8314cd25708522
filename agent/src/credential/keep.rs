//! Holds what there is of a credential, on the disk and in memory, and takes each step of [`super::state`] on both.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use emote_proto::enroll::{EnrollError, EnrollRequest, EnrollmentToken, RenewRequest, UserKey};
use emote_proto::{Draft, Serial, Time};
use nkeys::KeyPair;
use serde_json::json;

use super::check::{self, CheckError};
use super::seeds::Seeds;
use super::state::{Came, Machine, State, Which, account_of_token};
use super::{FOLDER, MOST_STATE, STATE, files};
use crate::health::{Health, IdentityStatus, Standing};
use crate::lifecycle::VERSION;
use crate::vocabulary::Kind;

/// Folders set aside that are kept.
const ASIDE: usize = 2;

/// Why something could not be done with a credential.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepError {
    #[error("the identity in the state folder cannot be kept: {0}")]
    Disk(#[from] io::Error),
    #[error("what the broker sent cannot be used: {0}")]
    Check(#[from] CheckError),
    #[error("{0}")]
    Enroll(#[from] EnrollError),
    #[error("there is no key to ask with")]
    NoKey,
}

/// What a connection is made with.
pub(crate) struct Usable {
    pub(crate) which: Which,
    pub(crate) jwt: String,
    pub(crate) pair: KeyPair,
}

/// Keeps this machine's credential.
pub(crate) struct Keeper {
    folder: PathBuf,
    seeds: Seeds,
    health: Arc<Health>,
    inner: Mutex<Inner>,
}

struct Inner {
    state: State,
    /// No server took the next one, for now.
    next_failed: bool,
    /// In a row: no server took anything there is.
    refusals: u32,
    /// Whether it was told that none does.
    told: bool,
    /// The last request for a JWT, in milliseconds since 1970, and how many there were for this one.
    asked: Option<i64>,
    asks: u32,
    /// What must be told of how the folder was found.
    aside: Option<Draft>,
    /// The folder could not be read.
    unread: bool,
}

impl Keeper {
    /// Opens what is in `state_dir`, or begins with nothing. What cannot be used is set aside.
    pub(crate) fn open(state_dir: &Path, machine: Machine, health: Arc<Health>) -> Self {
        let folder = state_dir.join(FOLDER);
        let inner = Inner {
            state: State::new(machine),
            next_failed: false,
            refusals: 0,
            told: false,
            asked: None,
            asks: 0,
            aside: None,
            unread: true,
        };
        let keeper = Self { seeds: Seeds::of(&folder), folder, health, inner: Mutex::new(inner) };
        if let Err(error) = keeper.read(&mut keeper.lock()) {
            tracing::error!(%error, "the identity in the state folder cannot be read");
        }
        keeper
    }

    /// Reads the folder unless that was done.
    fn read(&self, inner: &mut Inner) -> io::Result<()> {
        if inner.unread {
            (inner.state, inner.aside) = found(&self.folder, inner.state.machine.clone())?;
            inner.unread = false;
            self.seeds.sweep(inner.state.keys());
            self.show(&inner.state, None, None, None);
        }
        Ok(())
    }

    /// The serial number.
    pub(crate) fn serial(&self) -> Serial {
        self.lock().state.machine.serial.clone()
    }

    /// What there is to connect with; a pair whose seed is gone is none.
    pub(crate) fn usable(&self) -> Result<Option<Usable>, KeepError> {
        let mut inner = self.lock();
        self.read(&mut inner)?;
        loop {
            let Some((which, pair, jwt)) = inner.state.usable(inner.next_failed) else { return Ok(None) };
            let (key, jwt) = (pair.key.clone(), jwt.text.clone());
            if let Some((pair, _)) = self.seeds.get(&key)? {
                return Ok(Some(Usable { which, jwt, pair }));
            }
            tracing::error!(key = key.fingerprint(), "the seed of this machine's key is gone: it needs a new one");
            let keep = |pair: Option<super::state::Pair>| pair.filter(|pair| pair.key != key);
            let (current, next) = (keep(inner.state.current.clone()), keep(inner.state.next.clone()));
            let state = State { current, next, ..inner.state.clone() };
            self.change(&mut inner, state)?;
        }
    }

    /// A server has taken `which`.
    pub(crate) fn accepted(&self, which: Which, now: Time) -> Result<(), KeepError> {
        let mut inner = self.lock();
        (inner.refusals, inner.told) = (0, false);
        let before = inner.state.clone();
        let state = match which {
            Which::Next => inner.state.promoted(),
            Which::Current if inner.next_failed => inner.state.with_next_refused(),
            Which::Current => before.clone(),
        };
        if which == Which::Next {
            (inner.asked, inner.asks) = (None, 0);
        } else if inner.next_failed {
            // What is given next may not be taken either.
            (inner.asked, inner.asks) = (Some(now.as_millis()), inner.asks.max(1));
        }
        inner.next_failed = false;
        if state != before {
            self.change(&mut inner, state)?;
            for key in before.keys().filter(|key| inner.state.keys().all(|kept| kept != *key)) {
                self.seeds.remove(key);
            }
        }
        self.show(&inner.state, Some(Standing::Enrolled), None, None);
        Ok(())
    }

    /// No server takes `which`. Whether there is another one to try, or else how often there was none.
    pub(crate) fn refused(&self, which: Which) -> Option<u32> {
        let mut inner = self.lock();
        if which == Which::Next {
            inner.next_failed = true;
            if inner.state.usable(true).is_some() {
                return None;
            }
        }
        inner.next_failed = false;
        inner.refusals = inner.refusals.saturating_add(1);
        Some(inner.refusals)
    }

    /// Whether what there is must be over, by this machine's clock.
    pub(crate) fn is_over(&self, now: Time) -> bool {
        self.lock().state.is_over(now.as_millis())
    }

    /// A request to enrol with `token`, by a key that is made if there is none.
    pub(crate) fn request(&self, token: &EnrollmentToken, now: Time) -> Result<EnrollRequest, KeepError> {
        let mut inner = self.lock();
        let known = inner.state.key_to_enrol().cloned();
        let known = known.map(|key| self.seeds.get(&key)).transpose()?.flatten();
        let pair = match known {
            Some((pair, _)) => pair,
            None => self.begin(&mut inner)?,
        };
        Ok(EnrollRequest::sign(token.id(), inner.state.machine.serial.clone(), &pair, now, VERSION)?)
    }

    /// Makes the next key.
    fn begin(&self, inner: &mut Inner) -> Result<KeyPair, KeepError> {
        files::folder(&self.folder)?;
        let key = self.seeds.make()?;
        let state = inner.state.with_next_key(key.clone());
        self.change(inner, state)?;
        tracing::info!(key = key.fingerprint(), "made a key");
        self.seeds.get(&key)?.map(|(pair, _)| pair).ok_or(KeepError::NoKey)
    }

    /// Takes in the JWT that `token` brought.
    pub(crate) fn enrolled(&self, jwt: &str, token: &EnrollmentToken, now: Time) -> Result<(), KeepError> {
        let account = account_of_token(token.jwt());
        self.take(jwt, account.as_deref(), Came::ByToken, now).map(drop)
    }

    /// Takes in the JWT that a request over the connection brought; returns whether it is another one.
    pub(super) fn issued(&self, jwt: &str, now: Time) -> Result<bool, KeepError> {
        let account = self.lock().state.account().map(str::to_owned);
        // Whoever has none was let in as somebody else.
        self.take(jwt, Some(&account.ok_or(KeepError::NoKey)?), Came::ByConnection, now)
    }

    fn take(&self, jwt: &str, account: Option<&str>, came: Came, now: Time) -> Result<bool, KeepError> {
        let mut inner = self.lock();
        let checked = check::check(jwt, &inner.state.machine.serial, account)?;
        let state = inner.state.with_jwt(checked, came, now.as_millis())?;
        if state == inner.state {
            return Ok(false);
        }
        self.change(&mut inner, state)?;
        inner.next_failed = false;
        self.show(&inner.state, None, None, None);
        Ok(true)
    }

    /// Another key is to be made; one that is under way already is.
    pub(super) fn rotate(&self) -> Result<(), KeepError> {
        let mut inner = self.lock();
        if inner.state.current.is_none() {
            return Err(KeepError::NoKey);
        }
        if !inner.state.is_changing_keys() {
            self.begin(&mut inner)?;
            (inner.asked, inner.asks) = (None, 0);
        }
        Ok(())
    }

    /// When a JWT is to be asked for; `None`: never.
    pub(super) fn ask_at(&self) -> Option<i64> {
        let inner = self.lock();
        inner.state.ask_at(inner.asked, inner.asks)
    }

    /// A request for the next JWT; the next one is not to be made before its time.
    pub(super) fn renewal(&self, now: Time) -> Result<Draft, KeepError> {
        let mut inner = self.lock();
        (inner.asked, inner.asks) = (Some(now.as_millis()), inner.asks.saturating_add(1));
        let state = &inner.state;
        let pair = |key: &UserKey| self.seeds.get(key)?.map(|(pair, _)| pair).ok_or(KeepError::NoKey);
        let current = pair(&state.current.as_ref().ok_or(KeepError::NoKey)?.key)?;
        let next = state.next.as_ref().map(|next| pair(&next.key)).transpose()?;
        // This machine's clock may be wrong, and the broker's is known.
        let time = Time::from_millis(now.as_millis().saturating_add(self.health.clock_offset())).unwrap_or(now);
        let request = RenewRequest::sign(&state.machine.serial, &current, next.as_ref().unwrap_or(&current), time)?;
        let info = serde_json::to_value(request).map_err(io::Error::other)?;
        Ok(Kind::AgentCredentialDue.draft(info))
    }

    /// What is to be told and was not: call [`Self::told`] once it is written.
    pub(crate) fn untold(&self) -> Vec<Draft> {
        let inner = self.lock();
        let change = inner.state.untold.zip(inner.state.current.as_ref()).map(|(change, pair)| {
            Kind::AgentCredentialChanged.draft(json!({"how": change, "public_key": pair.key,
                "fingerprint": pair.key.fingerprint(), "expires": inner.state.expires()}))
        });
        inner.aside.iter().cloned().chain(change).collect()
    }

    /// It is written.
    pub(crate) fn told(&self) {
        let mut inner = self.lock();
        inner.aside = None;
        if inner.state.untold.is_some() {
            let state = State { untold: None, ..inner.state.clone() };
            if let Err(error) = self.change(&mut inner, state) {
                tracing::warn!(%error, "identity");
            }
        }
    }

    /// Once, until something is taken again: what is told when no server takes what there is.
    pub(crate) fn tell_refused(&self, reason: &str) -> Option<Draft> {
        let mut inner = self.lock();
        self.show(&inner.state, Some(Standing::Refused), Some(reason.to_owned()), None);
        if std::mem::replace(&mut inner.told, true) {
            return None;
        }
        let key = inner.state.key_to_enrol();
        Some(Kind::AgentCredentialRefused.draft(json!({"by": "server", "reason": reason, "public_key": key})))
    }

    /// What is told when a broker says no.
    pub(super) fn refusal(&self, reason: &str) -> Draft {
        let inner = self.lock();
        self.show(&inner.state, None, Some(format!("a broker gives no other credential: {reason}")), None);
        let key = inner.state.key_to_enrol();
        Kind::AgentCredentialRefused.draft(json!({"by": "broker", "reason": reason, "public_key": key}))
    }

    /// How it stands, for people; and when it asks next.
    pub(crate) fn stands(&self, standing: Standing, said: Option<String>, asks_next: Option<Time>) {
        self.show(&self.lock().state, Some(standing), said, asks_next);
    }

    /// When the next JWT will be asked for, for people.
    pub(super) fn asks_next(&self, at: Option<i64>) {
        self.health.asks_next(at.and_then(Time::from_millis));
    }

    fn show(&self, state: &State, standing: Option<Standing>, said: Option<String>, asks_next: Option<Time>) {
        let standing = standing.or_else(|| state.current.as_ref().map(|_| Standing::Enrolled)).unwrap_or_default();
        let known = state.status();
        // What nobody takes has no time left, whatever it says of itself.
        let expires = known.expires.filter(|_| standing == Standing::Enrolled);
        self.health.identity(IdentityStatus { standing, said, asks_next, expires, ..known });
    }

    /// On the disk first.
    fn change(&self, inner: &mut Inner, state: State) -> io::Result<()> {
        files::folder(&self.folder)?;
        let text = serde_json::to_vec_pretty(&state).map_err(io::Error::other)?;
        files::write(&self.folder.join(STATE), &text)?;
        inner.state = state;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state in a folder, or a new one; and what must be told of it.
fn found(folder: &Path, machine: Machine) -> io::Result<(State, Option<Draft>)> {
    let reason = match read(folder) {
        Ok(None) => return Ok((State::new(machine), None)),
        Ok(Some(state)) if !state.is_of_another(&machine) => {
            // What was not known when it was made may be known now.
            let hardware_uuid = machine.hardware_uuid.or(state.machine.hardware_uuid);
            let machine = Machine { hardware_uuid, ..state.machine };
            return Ok((State { machine, ..state }, None));
        }
        Ok(Some(_)) => "it was made for another machine".to_owned(),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => error.to_string(),
        // It may be as good as ever: it is looked for again, and nothing is put in its place.
        Err(error) => return Err(error),
    };
    tracing::error!(reason, "the identity in the state folder is set aside: this machine needs a new one");
    set_aside(folder)?;
    Ok((State::new(machine), Some(Kind::AgentCredentialSetAside.draft(json!({"reason": reason})))))
}

/// What is in the folder, if there is something.
pub(super) fn read(folder: &Path) -> io::Result<Option<State>> {
    let text = match files::read(&folder.join(STATE), MOST_STATE, false) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text?,
    };
    let damaged = |error: String| io::Error::new(io::ErrorKind::InvalidData, format!("{STATE}: {error}"));
    let state: State = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
    if state.version == 1 { Ok(Some(state)) } else { Err(damaged("it is a newer agent's".into())) }
}

fn set_aside(folder: &Path) -> io::Result<()> {
    let Some(parent) = folder.parent() else { return Ok(()) };
    let millis = jiff::Timestamp::now().as_millisecond();
    std::fs::rename(folder, parent.join(format!("{FOLDER}-{millis}")))?;
    let mut old: Vec<PathBuf> = std::fs::read_dir(parent)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    let number =
        |path: &PathBuf| path.file_name()?.to_str()?.strip_prefix(FOLDER)?.strip_prefix('-')?.parse::<i64>().ok();
    old.retain(|path| number(path).is_some());
    old.sort_by_key(number);
    for path in old.iter().rev().skip(ASIDE) {
        std::fs::remove_dir_all(path)?;
    }
    files::sync(parent)
}

#[cfg(test)]
mod tests;
