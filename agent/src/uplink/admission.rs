//! As whom to connect: as the settings say, or with a credential of this machine's own, which is asked for where it is
//! missing and an enrolment token is there.
//!
//! Each visit of a server ends in a connection or in a pause. Who is refused comes back slowly, and by another way than a
//! network that fails: what a server says about a credential does not change because the network did.

use std::sync::Arc;
use std::time::Duration;

use async_nats::ServerAddr;
use emote_proto::enroll::{EnrollAnswer, EnrollmentToken};
use tokio::time::{Instant, sleep};

use super::backoff::random;
use super::connect::{As, ConnectTrouble, Connection, Connector};
use super::{now, secret};
use crate::credential::ask::{self, AskError};
use crate::credential::pace::{self, Outcome};
use crate::credential::{Keeper, Which};
use crate::health::Standing;
use crate::journal::{Entry, Journal};
use crate::settings::Settings;

/// Refusals in a row before another credential is asked for: a server may be without its accounts for a moment.
const PATIENCE: u32 = 3;

/// Between two looks at the enrolment token's file.
const LOOK: Duration = Duration::from_secs(30);

/// Why there is no connection, and when to come back.
pub(super) struct Pause {
    pub(super) trouble: String,
    /// `None`: by the uplink's own doubling; else not before, whatever the network does.
    pub(super) until: Option<Duration>,
}

/// Connects.
pub(super) struct Admission {
    pub(super) connector: Connector,
    pub(super) keeper: Arc<Keeper>,
    pub(super) journal: Journal,
    /// The last outcome of a request to enrol, and how often it was the same in a row.
    pub(super) outcome: Option<(Outcome, u32)>,
}

impl Admission {
    /// Visits `server` once.
    pub(super) async fn visit(&mut self, server: &ServerAddr) -> Result<Connection, Pause> {
        if self.settings().say_who() {
            self.keeper.stands(Standing::Settings, None);
            return self.connector.connect(server, As::Settings).await.map_err(soon);
        }
        let refused = match self.as_machine(server).await? {
            Ok(connection) => return Ok(connection),
            Err(refused) => refused,
        };
        let token = self.token().await?;
        match (refused, token) {
            (None, None) => self.connector.connect(server, As::Settings).await.map_err(soon),
            (Some((times, trouble)), None) => Err(self.shut_out(times, &trouble).await),
            (Some((times, trouble)), Some(_)) if times < PATIENCE && !self.keeper.is_over(now()) => {
                Err(Pause { trouble, until: None })
            }
            (refused, Some(token)) => {
                if let Some((_, trouble)) = &refused {
                    self.tell_refused(trouble).await;
                }
                self.enrol(server, &token).await?;
                self.outcome = None;
                match self.as_machine(server).await? {
                    Ok(connection) => Ok(connection),
                    Err(refused) => {
                        let (times, trouble) = refused.unwrap_or_else(|| (1, "what was given is gone".into()));
                        Err(Pause { trouble, until: Some(pace::after_refusal(times, random())) })
                    }
                }
            }
        }
    }

    /// Waits, but no longer than the enrolment token stays what it is: another one may do.
    pub(super) async fn sleep(&self, wait: Duration) {
        let before = read_token(self.settings()).await;
        let until = Instant::now() + wait;
        while Instant::now() < until && read_token(self.settings()).await == before {
            sleep(LOOK.min(until - Instant::now())).await;
        }
    }

    /// With what there is, best first: a connection, or `None` where there is nothing, or how often it was refused now.
    async fn as_machine(&self, server: &ServerAddr) -> Result<Result<Connection, Option<(u32, String)>>, Pause> {
        loop {
            let usable = self.keeper.usable().map_err(|error| self.broken(&error))?;
            let Some(usable) = usable else { return Ok(Err(None)) };
            let which: Which = usable.which;
            match self.connector.connect(server, As::Machine(Box::new(usable))).await {
                Ok(connection) => {
                    self.keeper.accepted(which, now()).map_err(|error| self.broken(&error))?;
                    return Ok(Ok(connection));
                }
                Err(ConnectTrouble::Denied(trouble)) => match self.keeper.refused(which) {
                    Some(times) => return Ok(Err(Some((times, trouble)))),
                    None => tracing::warn!(%trouble, "the new credential is not taken: the one before it is tried"),
                },
                Err(trouble) => return Err(soon(trouble)),
            }
        }
    }

    /// There is no other way in.
    async fn shut_out(&self, times: u32, trouble: &str) -> Pause {
        let serial = &self.connector.serial;
        let trouble = format!(
            "{trouble}: this machine's credential is revoked or over, and there is no enrolment token to ask for another: \
             see `emote agents show {serial}`, and set enrollment_token"
        );
        self.keeper.stands(Standing::Refused, Some(trouble.clone()));
        if times >= PATIENCE || self.keeper.is_over(now()) {
            self.tell_refused(&trouble).await;
        }
        Pause { trouble, until: Some(pace::after_refusal(times, random())) }
    }

    async fn tell_refused(&self, trouble: &str) {
        let Some(draft) = self.keeper.tell_refused(trouble) else { return };
        tracing::error!(%trouble, "no server takes this machine's credential");
        if let Err(error) = self.journal.write(Entry::event(draft)).await {
            tracing::warn!(%error, "identity");
        }
    }

    /// The enrolment token, if the settings have one.
    async fn token(&self) -> Result<Option<EnrollmentToken>, Pause> {
        read_token(self.settings()).await.map_err(|trouble| Pause { trouble, until: None })
    }

    /// Asks once, and keeps what it is given.
    async fn enrol(&mut self, server: &ServerAddr, token: &EnrollmentToken) -> Result<(), Pause> {
        let connection = match self.connector.connect(server, As::Token(token)).await {
            Ok(connection) => connection,
            Err(ConnectTrouble::Denied(trouble)) => {
                let trouble = format!("{trouble}: the enrolment token {} is revoked or over", token.id());
                return Err(self.pause(Outcome::TokenRefused, Standing::Denied, trouble));
            }
            Err(trouble) => return Err(soon(trouble)),
        };
        let request = self.keeper.request(token, now()).map_err(|error| self.broken(&error))?;
        let answer = ask::ask(&connection.client, token, &request).await;
        drop(connection);
        let (outcome, standing, trouble) = match answer {
            Ok(EnrollAnswer::Enrolled { jwt }) => match self.keeper.enrolled(&jwt, token, now()) {
                Ok(()) => {
                    tracing::info!("enrolled");
                    return Ok(());
                }
                Err(error) => (Outcome::Wrong, Standing::Asking, error.to_string()),
            },
            Ok(EnrollAnswer::Pending { reason, retry_after }) => {
                (Outcome::Pending(retry_after), Standing::Pending, format!("not enrolled yet: {reason}"))
            }
            Ok(EnrollAnswer::Denied { reason }) => {
                (Outcome::Denied, Standing::Denied, format!("the broker does not enrol this machine: {reason}"))
            }
            Ok(EnrollAnswer::Unavailable { reason, retry_after }) => {
                (Outcome::Unavailable(retry_after), Standing::Asking, format!("the broker cannot enrol now: {reason}"))
            }
            Err(error @ AskError::Wrong(_)) => (Outcome::Wrong, Standing::Asking, error.to_string()),
            Err(error) => (Outcome::Silent, Standing::Asking, error.to_string()),
        };
        Err(self.pause(outcome, standing, trouble))
    }

    fn pause(&mut self, outcome: Outcome, standing: Standing, trouble: String) -> Pause {
        let same = self.outcome.filter(|(last, _)| std::mem::discriminant(last) == std::mem::discriminant(&outcome));
        let times = same.map_or(1, |(_, times)| times.saturating_add(1));
        self.outcome = Some((outcome, times));
        let wait = pace::after(outcome, times, random());
        self.keeper.stands(standing, Some(trouble.clone()));
        Pause { trouble, until: Some(wait) }
    }

    fn broken(&self, error: &impl std::fmt::Display) -> Pause {
        Pause { trouble: error.to_string(), until: None }
    }

    fn settings(&self) -> &Settings {
        &self.connector.settings
    }
}

/// The enrolment token, from text or file.
pub(crate) async fn read_token(settings: &Settings) -> Result<Option<EnrollmentToken>, String> {
    let Some(path) = &settings.enrollment_token_file else { return Ok(settings.enrollment_token.clone()) };
    let text = zeroize::Zeroizing::new(secret::read(path).await.map_err(|error| error.to_string())?);
    text.parse().map(Some).map_err(|error| format!("{}: {error}", path.display()))
}

fn soon(trouble: ConnectTrouble) -> Pause {
    Pause { trouble: trouble.to_string(), until: None }
}
