//! Keeps the account's JWT and the fleet in step with the registry: who is shut out there is shut out of NATS, at once and
//! for good. Only the broker that leads does: an account has one JWT, and two writers would undo each other's.
//!
//! The registry is looked through at the start, each minute, and when a record with a key to be shut out is written. So a
//! crash between registry and push heals, as does an account that somebody else pushed in between.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use emote_proto::{
    Serial, Time,
    enroll::{IdentityNotice, UserKey},
    jwt::Claims,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    Counts, Fleet, Registry,
    duplicate::{self, Watch},
    operator::{Held, Operator},
    record::{DeviceRecord, State, TokenRecord},
    revocation::{Wanted, resign, says},
};
use crate::bus::{Bus, BusError, BusSettings, Heartbeats, Hints, Presences};

const EVERY: Duration = Duration::from_secs(60);
/// Where something is in the way it is tried again after so long. Records are seen as they are written: since a look may
/// come before one is stored, there is another one then.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Records that come together are looked at together.
const TOGETHER: Duration = Duration::from_millis(100);

/// Keeps it.
pub(super) struct Overseer {
    pub(super) registry: Registry,
    pub(super) account: String,
    pub(super) operator: Option<Arc<Operator>>,
    pub(super) system: Option<BusSettings>,
    pub(super) leads: watch::Receiver<bool>,
    pub(super) counts: Counts,
}

/// What is known while leading.
struct Leading {
    system: Option<Bus>,
    hints: Hints,
    heartbeats: Heartbeats,
    presences: Option<Presences>,
    watch: Watch,
    /// Whose key it is.
    keys: HashMap<UserKey, Serial>,
    /// Those that are to change their keys.
    rotating: Vec<Serial>,
}

impl Overseer {
    /// Does so until told to stop.
    pub(super) async fn run(self, shutdown: CancellationToken) -> Result<(), BusError> {
        loop {
            let mut leads = self.leads.clone();
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                gone = async { leads.wait_for(|leads| *leads).await.is_err() } => if gone { return Ok(()) },
            }
            let led = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                led = self.lead() => led,
            };
            self.counts.fleet(None);
            if let Err(error) = led {
                tracing::warn!(%error, "the account of the agents is not looked after; trying again");
                tokio::select! {
                    () = shutdown.cancelled() => return Ok(()),
                    () = tokio::time::sleep(AGAIN_AFTER) => {}
                }
            }
        }
    }

    async fn lead(&self) -> Result<(), BusError> {
        let mut leading = self.begin().await?;
        let (mut look_at, mut again_at) = (Instant::now(), Instant::now());
        let mut leads = self.leads.clone();
        loop {
            tokio::select! {
                () = async { drop(leads.wait_for(|leads| !leads).await) } => return Ok(()),
                () = tokio::time::sleep_until(look_at.into()) => {
                    look_at = self.look(&mut leading).await;
                    if again_at > Instant::now() {
                        look_at = look_at.min(again_at);
                    }
                },
                hint = leading.hints.next() => match hint {
                    Some(record) if is_urgent(&record) => {
                        look_at = look_at.min(Instant::now() + TOGETHER);
                        again_at = Instant::now() + AGAIN_AFTER;
                    }
                    Some(_) => {}
                    None => return Ok(()),
                },
                serial = leading.heartbeats.next() => match serial {
                    Some(serial) => self.remind(&leading, &serial).await?,
                    None => return Ok(()),
                },
                presence = next(&mut leading.presences) => match presence {
                    Some(presence) => leading.watch.note(presence, Instant::now()),
                    None => return Ok(()),
                },
            }
        }
    }

    async fn begin(&self) -> Result<Leading, BusError> {
        let system = match &self.system {
            Some(settings) => Some(Bus::connect(settings).await?),
            None => None,
        };
        let presences = match &system {
            Some(system) => Some(system.presence(&self.account).await?),
            None => None,
        };
        let bus = self.registry.bus();
        Ok(Leading {
            system,
            hints: bus.identity_hints().await?,
            heartbeats: bus.heartbeats().await?,
            presences,
            watch: Watch::default(),
            keys: HashMap::new(),
            rotating: Vec::new(),
        })
    }

    /// Looks through the registry; gives when to look again.
    async fn look(&self, leading: &mut Leading) -> Instant {
        let (looked, now) = (Instant::now(), Time::from(jiff::Timestamp::now()));
        match self.reconcile(leading, now).await {
            Ok(next) => {
                let wait = next.map_or(EVERY, |next| {
                    Duration::from_millis(u64::try_from(next.millis_since(now)).unwrap_or(0)) + TOGETHER
                });
                looked + wait.min(EVERY)
            }
            Err(error) => {
                tracing::warn!(%error, "who is shut out may still be let in by NATS; trying again");
                looked + AGAIN_AFTER
            }
        }
    }

    async fn reconcile(&self, leading: &mut Leading, now: Time) -> Result<Option<Time>, BusError> {
        let (devices, tokens) = (self.registry.devices().await?, self.registry.tokens().await?);
        leading.rotating = devices
            .iter()
            .filter(|device| device.rotate.is_some() && device.state == State::Enrolled)
            .map(|device| device.serial.clone())
            .collect();
        leading.keys = devices
            .iter()
            .filter_map(|device| Some((device.key.as_ref()?.key.clone(), device.serial.clone())))
            .collect();
        self.counts.fleet(Some(Fleet::of(&devices, now)));
        self.tell_duplicates(leading, now).await?;
        let mut wanted = Wanted::default();
        devices.iter().for_each(|device| wanted.device(device, now));
        tokens.iter().for_each(|token| wanted.token(token, now));
        if let (Some(system), Some(operator)) = (&leading.system, &self.operator) {
            let claims = self.push(system, operator, &wanted, now).await?;
            self.note_pushed(&devices, &claims, now).await?;
            self.counts.fleet(Some(Fleet::of(&self.registry.devices().await?, now)));
        }
        Ok(wanted.next)
    }

    /// Has the account say what is wanted; gives what it says.
    async fn push(&self, system: &Bus, operator: &Operator, wanted: &Wanted, now: Time) -> Result<Claims, BusError> {
        let Held { claims, left_behind } = held(system, &self.account, Some(operator)).await?;
        let Some(nats) = wanted.applied_to(&claims) else {
            if let Some(jwt) = left_behind {
                system.push_account(jwt).await?;
                tracing::info!("a nats-server that was away has the agents' account as the others have it");
            }
            return Ok(claims);
        };
        let jwt = resign(&claims, nats.clone(), operator.key(), now)
            .map_err(|error| BusError::Refused { doing: "signing the account", reason: error.to_string() })?;
        system.push_account(jwt).await?;
        tracing::info!(keys = wanted.out.len(), "NATS knows which keys of agents are shut out");
        Ok(Claims { nats, ..claims })
    }

    async fn note_pushed(&self, devices: &[DeviceRecord], claims: &Claims, now: Time) -> Result<(), BusError> {
        let is_new = |device: &DeviceRecord| {
            device.shut.iter().any(|shut| !shut.pushed && shut.from <= now && says(claims, &shut.key, shut.from))
        };
        for device in devices.iter().filter(|device| is_new(device)) {
            let change = self.registry.change_device(&device.serial, |device| {
                let Some(mut device) = device.cloned() else { return ((), None) };
                for shut in device.shut.iter_mut().filter(|shut| shut.from <= now) {
                    shut.pushed = says(claims, &shut.key, shut.from);
                }
                ((), Some(device))
            });
            change.await?;
        }
        Ok(())
    }

    async fn tell_duplicates(&self, leading: &Leading, now: Time) -> Result<(), BusError> {
        for (user, hosts) in leading.watch.duplicates(Instant::now()) {
            let serial = UserKey::new(user).ok().and_then(|key| leading.keys.get(&key));
            if let Some(serial) = serial {
                let seen = format!("its credential is connected several times: from {}", hosts.join(" and "));
                duplicate::report(&self.registry, serial, &seen, None, now).await?;
            }
        }
        Ok(())
    }

    /// A Mac that is to change its key is there: it may not have been when it was told.
    async fn remind(&self, leading: &Leading, serial: &Serial) -> Result<(), BusError> {
        if leading.rotating.contains(serial) {
            let notice = serde_json::to_vec(&IdentityNotice::Rotate).unwrap_or_default();
            self.registry.bus().tell_agent(serial, notice).await?;
        }
        Ok(())
    }
}

/// The newest JWT of an account that any server has, of those that the operator issued.
pub(super) async fn newest(system: &Bus, account: &str, operator: Option<&Operator>) -> Result<Claims, BusError> {
    Ok(held(system, account, operator).await?.claims)
}

async fn held(system: &Bus, account: &str, operator: Option<&Operator>) -> Result<Held, BusError> {
    let (held, foreign) = Held::of(system.account_jwts(account).await?, account, operator);
    let foreign = foreign.join(", ");
    if held.is_some() && !foreign.is_empty() {
        tracing::warn!(
            account,
            issuers = foreign,
            "a server has the account's JWT from somebody who is not its operator"
        );
    }
    let reason = if foreign.is_empty() {
        format!("no nats-server knows the account {account}: is emote.yaml's identity.account that of the agents?")
    } else {
        format!(
            "the servers have the account {account} from {foreign}, and the operator is not known to have that key: \
             give the operator's JWT as emote.yaml's identity.operator_jwt, if it is the operator's"
        )
    };
    held.ok_or(BusError::Refused { doing: "looking up the account", reason })
}

/// Whether a record that is being written may shut a key out, or asks for another one.
fn is_urgent(record: &[u8]) -> bool {
    if let Ok(device) = serde_json::from_slice::<DeviceRecord>(record) {
        return device.shut.iter().any(|shut| !shut.pushed) || device.rotate.is_some();
    }
    serde_json::from_slice::<TokenRecord>(record).is_ok_and(|token| token.revoked.is_some())
}

async fn next(presences: &mut Option<Presences>) -> Option<crate::bus::Presence> {
    match presences {
        Some(presences) => presences.next().await,
        None => std::future::pending().await,
    }
}
