//! Does what events ask for: renewals of agents, and orders of administrators. Any broker does; each entry at one of them
//! until it is done, so everything here may happen twice, and comes to the same.
//!
//! Orders have a consumer of their own: a Mac that asks without end must not keep waiting the order that shuts it out.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use emote_proto::{
    Event, EventId, Serial, Time, consumer,
    enroll::{IdentityNotice, RenewRequest, TokenId, UserKey},
    source,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{
    Counts, Registry,
    jwt::AccountKey,
    limits::Told,
    mint,
    order::{Order, OrderError, TOKEN_CREATE, TOKEN_REVOKE, What, signed},
    record::{DeviceRecord, Issued, TokenRecord},
    renew::{Refused, Renewal, renew},
    tell::{Tidings, issued_info, key_info},
};
use crate::{
    bus::{BusError, Task, WriteError},
    core::{Believed, open_entry},
    outage::Outage,
};

/// What cannot be done now is tried again after so long.
const AGAIN_AFTER: Duration = Duration::from_secs(2);
/// And the consumer is opened again after so long.
const REOPEN_AFTER: Duration = Duration::from_secs(1);
/// Trouble that goes on is said once in so long.
const TROUBLE_SAID_EVERY: Duration = Duration::from_secs(60);
/// The same refusal is told of the same agent once in so long, however often it asks.
const REFUSED_TOLD_EVERY: Duration = Duration::from_secs(3600);

/// What an agent asks with.
const CREDENTIAL_DUE: &str = "credential_due";
/// What an agent says over its first connection with a new credential.
const CREDENTIAL_CHANGED: &str = "credential_changed";
/// What an agent says that finds somebody else speaking under its serial number.
const CONFLICT: &str = "conflict";

/// Does it.
pub(super) struct Worker {
    pub(super) registry: Registry,
    pub(super) signer: Arc<AccountKey>,
    pub(super) lifetime: Duration,
    pub(super) counts: Counts,
    pub(super) told: Mutex<Told<(Serial, String)>>,
}

/// What agents ask and tell.
fn asked() -> Vec<String> {
    let actions = [CREDENTIAL_DUE, CREDENTIAL_CHANGED, CONFLICT];
    actions.map(|action| format!("events.{}.*.agent.{action}", source::AGENT)).to_vec()
}

/// What administrators order.
fn ordered() -> Vec<String> {
    let actions = What::ALL.map(What::ordered).into_iter().chain([TOKEN_CREATE, TOKEN_REVOKE].map(str::to_owned));
    actions.map(|action| format!("events.{}.*.agent.{action}", source::ADMIN)).collect()
}

impl Worker {
    /// Works until told to stop.
    pub(super) async fn run(self, shutdown: CancellationToken) -> Result<(), BusError> {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.keep_working(consumer::IDENTITY, asked) => {}
            () = self.keep_working(consumer::IDENTITY_ORDERS, ordered) => {}
        }
        Ok(())
    }

    /// For good.
    async fn keep_working(&self, consumer: &str, subjects: fn() -> Vec<String>) {
        let (mut broken, mut undone) = (Outage::said_every(TROUBLE_SAID_EVERY), Outage::said_every(TROUBLE_SAID_EVERY));
        loop {
            if let Err(error) = self.work(consumer, subjects(), &mut undone).await
                && let Some(times) = broken.failed(Instant::now())
            {
                tracing::warn!(%error, consumer, times, "work on credentials is interrupted; trying again");
            }
            tokio::time::sleep(REOPEN_AFTER).await;
        }
    }

    async fn work(&self, consumer: &str, subjects: Vec<String>, undone: &mut Outage) -> Result<(), BusError> {
        let mut work = self.registry.bus().work(consumer, subjects).await?;
        loop {
            let task = work.next().await?;
            match self.on(&task).await {
                Ok(()) => task.done().await?,
                // It stays so until somebody puts it right: the agent says it again.
                Err(error @ BusError::Damaged { .. }) => {
                    tracing::warn!(%error, subject = %task.entry.subject, "not done");
                    task.done().await?;
                }
                Err(error) => {
                    if let Some(times) = undone.failed(Instant::now()) {
                        tracing::warn!(%error, subject = %task.entry.subject, times, "not done yet");
                    }
                    task.again_after(AGAIN_AFTER).await?;
                }
            }
        }
    }

    async fn on(&self, task: &Task) -> Result<(), BusError> {
        let received = task.entry.received;
        let event = match open_entry(&task.entry.entry(), &Believed::default()) {
            Ok(event) => event,
            Err(error) => {
                tracing::debug!(%error, subject = %task.entry.subject, "no event");
                return Ok(());
            }
        };
        let by_agent = event.source.as_str() == source::AGENT;
        let serial = event.serial().filter(|_| by_agent).and_then(|serial| Serial::new(serial).ok());
        match (event.action.as_str(), serial) {
            (CREDENTIAL_DUE, Some(serial)) => self.renew(&event, &serial, received).await,
            (CREDENTIAL_CHANGED, Some(serial)) => self.in_use(&event, &serial, received).await,
            (CONFLICT, Some(serial)) => {
                let seen = "its agent found events of somebody else under its serial number";
                super::duplicate::report(&self.registry, &serial, seen, Some(event.id), received).await
            }
            _ if by_agent => Ok(()),
            _ => self.order(&event, received).await,
        }
    }

    async fn renew(&self, event: &Event, serial: &Serial, received: Time) -> Result<(), BusError> {
        let request = event.info.as_ref().map(|info| info.value().clone());
        let request: Option<RenewRequest> = request.and_then(|info| serde_json::from_value(info).ok());
        let request = match request.ok_or("it is not understood".to_owned()) {
            Ok(request) => request.verify(serial).map(|()| request).map_err(|error| error.to_string()),
            Err(reason) => Err(reason),
        };
        let request = match request {
            Ok(request) => request,
            Err(reason) => return self.refuse(event, serial, &reason).await,
        };
        let lifetime = i64::try_from(self.lifetime.as_millis()).unwrap_or(i64::MAX);
        let change = |device: Option<&DeviceRecord>| {
            let renewal = renew(device, &request, received, jiff::Timestamp::now().into(), lifetime);
            let changed = if let Renewal::Issued(_, changed) = &renewal { changed.as_deref().cloned() } else { None };
            (renewal, changed)
        };
        let renewal = match self.registry.change_device(serial, change).await {
            Err(BusError::Damaged { .. }) => {
                return self.refuse(event, serial, "its record in the registry is damaged").await;
            }
            renewal => renewal?,
        };
        match renewal {
            Renewal::PassedOver => {
                self.counts.renewal("passed_over");
                tracing::info!(%serial, asked = %request.time, %received, "a request for the next credential is too old or from a time to come");
                Ok(())
            }
            Renewal::Refused(reason) => self.refused(event, serial, reason).await,
            Renewal::Issued(issued, _) => self.issued(event, serial, &request, &issued).await,
        }
    }

    async fn issued(
        &self,
        event: &Event,
        serial: &Serial,
        request: &RenewRequest,
        issued: &Issued,
    ) -> Result<(), BusError> {
        if !issued.told {
            let changed = issued.since == issued.issued;
            let mut info = issued_info(issued);
            if changed {
                info["before"] = json!(request.public_key.fingerprint());
            }
            let action = if changed { "key_changed" } else { "renewed" };
            let at = issued.issued.to_string();
            let tidings = Tidings::of(serial, action, issued.issued, info).known_by(&[issued.key.as_str(), &at]);
            tidings.because_of(event.id).tell(self.registry.bus()).await?;
            self.note_told(serial, issued).await?;
        }
        self.counts.renewal("issued");
        let jwt = mint::device(&self.signer, serial, issued)
            .map_err(|error| BusError::Refused { doing: "signing a credential", reason: error.to_string() })?;
        self.notify(serial, &IdentityNotice::Issued { jwt }).await
    }

    async fn note_told(&self, serial: &Serial, issued: &Issued) -> Result<(), BusError> {
        let change = self.registry.change_device(serial, |device| {
            let Some(mut device) = device.cloned() else { return ((), None) };
            let same = device.key.as_mut().filter(|key| key.key == issued.key && key.issued == issued.issued);
            let noted = same.map(|key| key.told = true).is_some();
            ((), noted.then_some(device))
        });
        change.await
    }

    async fn in_use(&self, event: &Event, serial: &Serial, received: Time) -> Result<(), BusError> {
        let key = event.info_at(&["public_key"]).and_then(Value::as_str).and_then(|key| UserKey::new(key).ok());
        let Some(key) = key else { return Ok(()) };
        let change = self.registry.change_device(serial, |device| {
            let mut device = device.cloned();
            let changed = device.as_mut().is_some_and(|device| device.in_use(&key, received));
            ((), device.filter(|_| changed))
        });
        change.await
    }

    async fn refused(&self, event: &Event, serial: &Serial, reason: Refused) -> Result<(), BusError> {
        self.refuse(event, serial, &reason.to_string()).await
    }

    async fn refuse(&self, event: &Event, serial: &Serial, reason: &str) -> Result<(), BusError> {
        self.counts.renewal("refused");
        let known = (serial.clone(), reason.to_owned());
        if self.told().is_news(known.clone(), REFUSED_TOLD_EVERY, Instant::now()) {
            tracing::info!(%serial, reason, "an agent is not given another credential");
            let tidings = Tidings::of(serial, "renewal_refused", event.time, json!({"reason": reason}));
            let tidings = tidings.known_by(&[&event.id.to_string()]).because_of(event.id);
            if let Err(error) = tidings.tell(self.registry.bus()).await {
                self.told().forget(&known);
                return Err(error);
            }
        }
        self.notify(serial, &IdentityNotice::Refused { reason: reason.to_owned() }).await
    }

    fn told(&self) -> MutexGuard<'_, Told<(Serial, String)>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn notify(&self, serial: &Serial, notice: &IdentityNotice) -> Result<(), BusError> {
        let json = serde_json::to_vec(notice).unwrap_or_default();
        self.registry.bus().tell_agent(serial, json).await
    }

    async fn order(&self, event: &Event, received: Time) -> Result<(), BusError> {
        match Order::read(event) {
            Ok(None) => Ok(()),
            Err(error) => self.order_refused(event, None, &error).await,
            Ok(Some(Order::Devices { what, serials, key })) => {
                let key = key.filter(|_| serials.len() == 1);
                // One that is in trouble does not keep the others waiting; the order comes again for it.
                let mut trouble = Ok(());
                for serial in &serials {
                    let done = self.order_one(event, what, serial, key.as_ref(), received).await;
                    if let Err(BusError::NoAnswer { .. } | BusError::Unreachable { .. }) = done {
                        return done;
                    }
                    trouble = trouble.and(done);
                }
                trouble
            }
            Ok(Some(Order::CreateToken(token))) => {
                let done = self.create_token(event, &token).await;
                self.unless_damaged(event, None, done).await
            }
            Ok(Some(Order::RevokeToken(id))) => {
                let done = self.revoke_token(event, &id, received).await;
                self.unless_damaged(event, None, done).await
            }
        }
    }

    async fn order_one(
        &self,
        event: &Event,
        what: What,
        serial: &Serial,
        key: Option<&UserKey>,
        received: Time,
    ) -> Result<(), BusError> {
        let order = signed(event, what.word(), received);
        let followed = self.registry.change_device(serial, |device| match device.cloned() {
            None => (Err(OrderError::Unknown), None),
            Some(mut device) => {
                let followed = device.follow(event.id, what, key, order.clone(), received);
                let changed = matches!(followed, Ok(true)).then(|| device.clone());
                (followed.map(|_| device), changed)
            }
        });
        match followed.await {
            Ok(Ok(device)) => self.followed(event, what, &device).await,
            Ok(Err(error)) => self.order_refused(event, Some(serial), &error).await,
            Err(error) => self.unless_damaged(event, Some(serial), Err(error)).await,
        }
    }

    /// An order that meets a damaged record is refused: it would be met again for ever.
    async fn unless_damaged(
        &self,
        event: &Event,
        serial: Option<&Serial>,
        done: Result<(), BusError>,
    ) -> Result<(), BusError> {
        match done {
            Err(error @ BusError::Damaged { .. }) => {
                tracing::warn!(%error, "an order about agents is not carried out");
                self.order_refused(event, serial, &OrderError::Damaged(error.to_string())).await
            }
            done => done,
        }
    }

    async fn followed(&self, event: &Event, what: What, device: &DeviceRecord) -> Result<(), BusError> {
        let mut info = by_and_why(event);
        let about = match what {
            What::Approve => device.asked.iter().find(|asked| asked.word.is_some()).map(|asked| &asked.key),
            _ => device.key.as_ref().map(|key| &key.key),
        };
        if let (Some(key), Value::Object(info)) = (about, &mut info) {
            info.extend(key_info(key).as_object().cloned().unwrap_or_default());
        }
        let tidings = Tidings::of(&device.serial, what.done(), event.time, info).known_by(&[&event.id.to_string()]);
        tidings.because_of(event.id).tell(self.registry.bus()).await?;
        tracing::info!(serial = %device.serial, by = event.user_id(), "{} of an agent's credential", what.done());
        match what {
            What::Rotate => self.notify(&device.serial, &IdentityNotice::Rotate).await,
            _ => Ok(()),
        }
    }

    async fn create_token(&self, event: &Event, token: &TokenRecord) -> Result<(), BusError> {
        let there = self.registry.token(&token.id).await?;
        match &there.record {
            None => match self.registry.write_token(&there, token).await {
                Ok(()) => {}
                Err(WriteError::Overtaken) => return Box::pin(self.create_token(event, token)).await,
                Err(WriteError::Bus(error)) => return Err(error),
            },
            // The order has come again.
            Some(record) if record.key == token.key => {}
            Some(_) => return self.order_refused(event, None, &OrderError::TokenThere).await,
        }
        let mut info = by_and_why(event);
        info["token"] = json!(token.id);
        info["name"] = json!(token.name);
        info["uses"] = json!(token.uses);
        info["expires"] = json!(token.expires);
        self.tell_of_token(event, "token_created", info).await
    }

    async fn revoke_token(&self, event: &Event, id: &TokenId, received: Time) -> Result<(), BusError> {
        loop {
            let kept = self.registry.token(id).await?;
            let Some(mut token) = kept.record.clone() else {
                return self.order_refused(event, None, &OrderError::NoToken).await;
            };
            token.revoked.get_or_insert(received);
            match self.registry.write_token(&kept, &token).await {
                Ok(()) => break,
                Err(WriteError::Overtaken) => {}
                Err(WriteError::Bus(error)) => return Err(error),
            }
        }
        let mut info = by_and_why(event);
        info["token"] = json!(id);
        self.tell_of_token(event, "token_revoked", info).await
    }

    async fn tell_of_token(&self, event: &Event, action: &'static str, info: Value) -> Result<(), BusError> {
        let (known_by, cause) = (vec![event.id.to_string()], Some(event.id));
        let tidings = Tidings { serial: None, action, known_by, time: event.time, info, cause };
        tidings.tell(self.registry.bus()).await.map(drop)
    }

    async fn order_refused(&self, event: &Event, serial: Option<&Serial>, error: &OrderError) -> Result<(), BusError> {
        let mut info = by_and_why(event);
        info["reason"] = json!(error.to_string());
        tracing::info!(by = event.user_id(), %error, "an order about agents is not carried out");
        let known_by = vec![event.id.to_string()];
        let (serial, cause) = (serial.cloned(), Some::<EventId>(event.id));
        let tidings = Tidings { serial, action: "order_refused", known_by, time: event.time, info, cause };
        tidings.tell(self.registry.bus()).await.map(drop)
    }
}

/// What of an order goes into the event that tells what became of it.
fn by_and_why(event: &Event) -> Value {
    let mut info = json!({"order": event.id, "by": event.user_id()});
    if let Some(reason) = event.info_at(&["reason"]).and_then(Value::as_str) {
        info["because"] = json!(reason);
    }
    info
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_macs_ask_is_never_in_the_way_of_what_administrators_order() {
        assert!(asked().contains(&"events.agent.*.agent.credential_due".to_owned()));
        assert!(ordered().contains(&"events.admin.*.agent.revoke_ordered".to_owned()));
        assert!(asked().iter().all(|subject| subject.starts_with("events.agent.")));
        assert!(ordered().iter().all(|subject| subject.starts_with("events.admin.")));
        assert_eq!((asked().len(), ordered().len()), (3, 6));
    }
}
