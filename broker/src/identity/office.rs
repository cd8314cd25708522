//! Everything that a broker does about agents' credentials, started together once its keys are found to be sound.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use emote_proto::{Serial, Time, enroll::UserKey};
use nkeys::KeyPair;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    Counts, Registry,
    check::{Scope, unfit},
    jwt::{AccountKey, Validity},
    limits::{Rates, Told},
    overseer::{self, Overseer},
    role::Role,
    service::Service,
    worker::Worker,
};
use crate::{
    bus::{Bus, BusError, BusSettings, Probed},
    config::{Identity, Secret},
    store::Store,
};

/// While NATS does not answer, the keys are tried again after so long.
const AGAIN_AFTER: Duration = Duration::from_secs(2);
/// The credential that is tried holds so long, in ms.
const PROBE_HOLDS: i64 = 60_000;
const PROBE: &str = "EMOTE-PROBE";

/// What it takes.
pub struct Office {
    /// The broker's connection.
    pub bus: Bus,
    /// Where nodes are.
    pub store: Arc<Store>,
    /// Whether this broker leads.
    pub leads: watch::Receiver<bool>,
    /// Policy and keys.
    pub identity: Identity,
    /// What is counted.
    pub counts: Counts,
}

impl Office {
    /// Runs until told to stop. Keys that do not do what they should are an error, at once.
    pub async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let system = self.system();
        let checked = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            checked = self.check(system.as_ref()) => checked,
        };
        checked?;
        let Self { bus, store, leads, identity, counts } = self;
        let (registry, signer) = (Registry::new(bus), Arc::new(identity.device_key));
        let service = Service {
            registry: registry.clone(),
            store,
            signer: Arc::clone(&signer),
            policy: identity.policy,
            lifetime: identity.lifetime,
            mdm: identity.mdm,
            counts: counts.clone(),
            rates: Mutex::new(Rates::of_requests()),
            told: Mutex::new(Told::default()),
            tells: Mutex::new(Rates::of_refusals()),
            turn: tokio::sync::Mutex::new(()),
        };
        let worker = Worker {
            registry: registry.clone(),
            signer: Arc::clone(&signer),
            lifetime: identity.lifetime,
            counts: counts.clone(),
            told: Mutex::new(Told::default()),
        };
        let operator = identity.operator.map(Arc::new);
        let overseer = Overseer { registry, account: signer.account().to_owned(), operator, system, leads, counts };
        tracing::info!(policy = %identity.policy, "Macs may ask for credentials");
        tokio::try_join!(
            Arc::new(service).run(shutdown.clone()),
            worker.run(shutdown.clone()),
            overseer.run(shutdown.clone())
        )?;
        Ok(())
    }

    /// How to connect to the system account.
    fn system(&self) -> Option<BusSettings> {
        let credentials = self.identity.system_credentials.clone()?;
        let own = self.bus.settings();
        let servers =
            if self.identity.system_servers.is_empty() { &own.servers } else { &self.identity.system_servers };
        let name = "emote identity".to_owned();
        Some(BusSettings { servers: servers.clone(), name, credentials: Some(credentials), user: None, ..own.clone() })
    }

    async fn check(&self, system: Option<&BusSettings>) -> anyhow::Result<()> {
        loop {
            let checked = match system {
                Some(system) => self.check_account(system).await,
                None => self.check_by_trying().await,
            };
            match checked {
                Ok(None) => return Ok(()),
                Ok(Some(unfit)) => anyhow::bail!(unfit),
                Err(error @ (BusError::NoAnswer { .. } | BusError::Unreachable { .. })) => {
                    tracing::warn!(%error, "the keys for agents cannot be checked yet");
                }
                Err(error) => return Err(error.into()),
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }

    /// What the account's JWT says of the keys; what is wrong, if something is.
    async fn check_account(&self, system: &BusSettings) -> Result<Option<String>, BusError> {
        let key: &AccountKey = &self.identity.device_key;
        let connection = Bus::connect(system).await?;
        let claims = overseer::newest(&connection, key.account(), self.identity.operator.as_ref()).await;
        connection.close().await;
        let claims = claims?;
        let of = |key: &str, role| unfit(&Scope::of(&claims, key, role), &claims.name, key, role);
        let enroll = self.identity.enroll_key.as_deref().and_then(|key| of(key, Role::Enroll));
        Ok(of(&key.public_key(), Role::Device).or(enroll))
    }

    /// What a credential made with the key may do; what is wrong, if something is.
    async fn check_by_trying(&self) -> Result<Option<String>, BusError> {
        let wrong = |error: &dyn std::fmt::Display| BusError::Settings(format!("trying the key: {error}"));
        let pair = KeyPair::new_user();
        let seed = Secret::new(pair.seed().map_err(|error| wrong(&error))?);
        let user = UserKey::new(pair.public_key()).map_err(|error| wrong(&error))?;
        let now = Time::from(jiff::Timestamp::now());
        let end = Time::from_millis(now.as_millis() + PROBE_HOLDS).unwrap_or(now);
        let serial = Serial::new(PROBE).map_err(|error| wrong(&error))?;
        let key = &self.identity.device_key;
        let jwt = key.device(&serial, &user, Validity::from(now).until(end)).map_err(|error| wrong(&error))?;
        let public = key.public_key();
        let said = match self.bus.probe(&jwt, &seed, &format!("_INBOX.{PROBE}.probe")).await? {
            Probed::Bounded => None,
            Probed::Unbounded => unfit(&Scope::Unbound, "", &public, Role::Device),
            Probed::NotItsOwn => unfit(&Scope::Other, "", &public, Role::Device),
            Probed::NotLetIn(reason) => Some(format!(
                "NATS does not let in whom device_key signs ({reason}): is {public} a signing key of the account {}, and NATS in operator mode?",
                key.account()
            )),
        };
        Ok(said)
    }
}
