//! As whom to connect: as the settings say, or with a credential of this machine's own, which is asked for where it is
//! missing and an enrolment token is there.
//!
//! Each visit of a server ends in a connection or in a pause. Who is refused comes back slowly, and by another way than a
//! network that fails: what a server says about a credential does not change because the network did.

use std::sync::Arc;
use std::time::Duration;

use async_nats::ServerAddr;
use emote_proto::Time;
use emote_proto::enroll::{EnrollAnswer, EnrollmentToken};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::Nudge;
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

/// Between two looks at the enrolment token.
const LOOK: Duration = Duration::from_secs(30);

/// Why there is no connection, and when to come back.
pub(super) struct Pause {
    pub(super) trouble: String,
    /// `None`: by the uplink's own doubling; else not before, whatever the network does.
    pub(super) until: Option<Duration>,
}

impl Pause {
    /// Says so in the log.
    pub(super) fn log(&self) {
        let Self { trouble, until } = self;
        match until {
            // There may well have been a connection: what it was for did not come.
            Some(wait) => tracing::warn!(again_in_seconds = wait.as_secs(), "{trouble}"),
            None => tracing::warn!(%trouble, "cannot connect"),
        }
    }
}

/// What became of a try as this machine.
enum Door {
    Open(Box<Connection>),
    /// There is nothing to try with.
    NoKey,
    /// Nothing that there is was taken, so many times in a row.
    Shut {
        times: u32,
        trouble: String,
    },
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
            self.keeper.stands(Standing::Settings, None, None);
            return self.connector.connect(server, As::Settings).await.map_err(soon);
        }
        let (times, trouble) = match self.as_machine(server).await? {
            Door::Open(connection) => return Ok(*connection),
            Door::NoKey => (0, String::new()),
            Door::Shut { times, trouble } => (times, trouble),
        };
        match self.token().await? {
            None if times == 0 => self.as_nobody(server).await,
            None => Err(self.shut_out(times, &trouble).await),
            Some(_) if (1..PATIENCE).contains(&times) && !self.keeper.is_over(now()) => {
                Err(Pause { trouble, until: None })
            }
            Some(token) => {
                if times > 0 {
                    self.tell_refused(&trouble).await;
                }
                self.enrol(server, &token).await?;
                self.outcome = None;
                self.take_up(server).await
            }
        }
    }

    /// With nothing to show: some servers take anyone.
    async fn as_nobody(&self, server: &ServerAddr) -> Result<Connection, Pause> {
        let connected = self.connector.connect(server, As::Settings).await;
        let trouble = match connected {
            Ok(connection) => {
                self.keeper.stands(Standing::None, None, None);
                return Ok(connection);
            }
            Err(ConnectTrouble::Denied(trouble)) => trouble,
            Err(trouble) => return Err(soon(trouble)),
        };
        let place = self.settings().place_to_set();
        let trouble = format!(
            "{trouble}: it takes nobody without a credential, and this machine has neither one nor an enrolment token to ask \
             with: set enrollment_token in {place} (`emote agents token create` makes one)"
        );
        self.keeper.stands(Standing::None, Some(trouble.clone()), None);
        Err(Pause { trouble, until: None })
    }

    /// With what was given just now.
    async fn take_up(&self, server: &ServerAddr) -> Result<Connection, Pause> {
        let (times, trouble) = match self.as_machine(server).await? {
            Door::Open(connection) => return Ok(*connection),
            Door::NoKey => (1, "what was given is gone".into()),
            Door::Shut { times, trouble } => (times, trouble),
        };
        let wait = pace::after_refusal(times, random());
        self.keeper.stands(Standing::Refused, Some(trouble.clone()), after(wait));
        Err(Pause { trouble, until: Some(wait) })
    }

    /// Waits, but no longer than the enrolment token stays what it is, as another one may do; and not when somebody has
    /// said so, more than `asked` times by now.
    pub(super) async fn sleep(&self, wait: Duration, nudges: &mut watch::Receiver<Nudge>, asked: u32) {
        let before = read_token(self.settings()).await;
        let until = Instant::now() + wait;
        while Instant::now() < until && read_token(self.settings()).await == before {
            tokio::select! {
                () = sleep(LOOK.min(until - Instant::now())) => {}
                Ok(_) = nudges.wait_for(|nudge| nudge.asked != asked) => return,
            }
        }
    }

    /// With what there is, best first.
    async fn as_machine(&self, server: &ServerAddr) -> Result<Door, Pause> {
        loop {
            let Some(usable) = self.keeper.usable().map_err(|error| self.broken(&error))? else {
                return Ok(Door::NoKey);
            };
            let which: Which = usable.which;
            match self.connector.connect(server, As::Machine(Box::new(usable))).await {
                Ok(connection) => {
                    if let Err(error) = self.keeper.accepted(which, now()) {
                        // It works all the same, and is tried again with the next connection.
                        tracing::error!(%error, "identity");
                    }
                    return Ok(Door::Open(Box::new(connection)));
                }
                Err(ConnectTrouble::Denied(trouble)) => match self.keeper.refused(which) {
                    Some(times) => return Ok(Door::Shut { times, trouble }),
                    None => tracing::warn!(%trouble, "the new credential is not taken: the one before it is tried"),
                },
                Err(trouble) => return Err(soon(trouble)),
            }
        }
    }

    /// There is no other way in.
    async fn shut_out(&self, times: u32, trouble: &str) -> Pause {
        let (serial, place) = (&self.connector.serial, self.settings().place_to_set());
        let trouble = format!(
            "{trouble}: this machine's credential is revoked or over, and there is no enrolment token to ask for another: \
             see `emote agents show {serial}`, and set enrollment_token in {place}"
        );
        if times >= PATIENCE || self.keeper.is_over(now()) {
            self.tell_refused(&trouble).await;
        }
        let wait = pace::after_refusal(times, random());
        self.keeper.stands(Standing::Refused, Some(trouble.clone()), after(wait));
        Pause { trouble, until: Some(wait) }
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
        let (outcome, standing, trouble) = match understood(answer) {
            Ok(jwt) => match self.keeper.enrolled(&jwt, token, now()) {
                Ok(()) => {
                    tracing::info!("enrolled");
                    return Ok(());
                }
                Err(error) => (Outcome::Wrong, Standing::Asking, error.to_string()),
            },
            Err(not) => not,
        };
        Err(self.pause(outcome, standing, trouble))
    }

    fn pause(&mut self, outcome: Outcome, standing: Standing, trouble: String) -> Pause {
        let same = self.outcome.filter(|(last, _)| std::mem::discriminant(last) == std::mem::discriminant(&outcome));
        let times = same.map_or(1, |(_, times)| times.saturating_add(1));
        self.outcome = Some((outcome, times));
        let wait = pace::after(outcome, times, random());
        self.keeper.stands(standing, Some(trouble.clone()), after(wait));
        Pause { trouble, until: Some(wait) }
    }

    fn broken(&self, error: &impl std::fmt::Display) -> Pause {
        Pause { trouble: error.to_string(), until: None }
    }

    fn settings(&self) -> &Settings {
        &self.connector.settings
    }
}

/// The JWT that was given; or what came of asking, how it stands then, and what people are told.
fn understood(answer: Result<EnrollAnswer, AskError>) -> Result<String, (Outcome, Standing, String)> {
    Err(match answer {
        Ok(EnrollAnswer::Enrolled { jwt }) => return Ok(jwt),
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
    })
}

/// The enrolment token, from text or file.
pub(crate) async fn read_token(settings: &Settings) -> Result<Option<EnrollmentToken>, String> {
    let Some(path) = &settings.enrollment_token_file else { return Ok(settings.enrollment_token.clone()) };
    let text = zeroize::Zeroizing::new(secret::read(path).await.map_err(|error| error.to_string())?);
    text.parse().map(Some).map_err(|error| format!("{}: {error}", path.display()))
}

/// When `wait` is over.
fn after(wait: Duration) -> Option<Time> {
    let millis = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
    Time::from_millis(now().as_millis().saturating_add(millis))
}

fn soon(trouble: ConnectTrouble) -> Pause {
    Pause { trouble: trouble.to_string(), until: None }
}
