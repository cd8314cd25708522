//! The uplink: takes events off the spool once the stream has them, exactly once and in order.
//!
//! [`window`] decides, [`publish`] sends, [`session`] lets them meet the spool; [`connect`] connects, here it is told when.
//! It never changes an event, and gives none up that the stream might still take.

mod admission;
pub(crate) mod backoff;
mod clock;
pub(crate) mod connect;
mod nudge;
mod probe;
mod proxy;
pub(crate) mod publish;
mod reply;
mod secret;
pub(crate) mod servers;
pub(crate) mod session;
mod tls;
mod trouble;
mod window;

use std::sync::Arc;
use std::time::Duration;

use emote_proto::Time;
use tokio::sync::watch;
use tokio::time::sleep;

pub(crate) use admission::read_token;
pub use backoff::delay_ms;
pub(crate) use clock::Clock;
pub(crate) use nudge::{Nudge, woken};
pub(crate) use probe::probe;
pub use reply::Reply;
pub use window::{Flight, Foreign, Question, Saved, Step, UNKNOWN, Verdict, Window};

use crate::credential::Keeper;
use crate::health::Health;
use crate::journal::Journal;
use crate::platform::Host;
use crate::settings::Settings;
use crate::spool::Spool;
use admission::{Admission, Pause};
pub(crate) use connect::As;
use connect::Connector;
use emote_proto::Serial;
use servers::Servers;
use session::Session;

/// What the uplink works with.
pub(crate) struct Uplink {
    pub(crate) settings: Arc<Settings>,
    pub(crate) serial: Serial,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) spool: Arc<Spool>,
    pub(crate) health: Arc<Health>,
    /// Changes whenever events were written to the spool.
    pub(crate) written: watch::Receiver<u64>,
    /// Changes when it is no use to wait or to rely on the connection.
    pub(crate) nudges: watch::Receiver<Nudge>,
    /// Asks the brokers for the time.
    pub(crate) clock: Arc<Clock>,
    /// This machine's own credential.
    pub(crate) keeper: Arc<Keeper>,
    pub(crate) journal: Journal,
}

impl Uplink {
    /// Runs until it is dropped.
    pub(crate) async fn run(self) {
        let names = self.settings.server_names();
        let saved = loop {
            match self.spool.saved() {
                Ok(saved) => break saved.for_servers(&names),
                Err(error) => self.health.disk_failed(&error).await,
            }
        };
        let connector = Connector {
            settings: Arc::clone(&self.settings),
            serial: self.serial.clone(),
            host: Arc::clone(&self.host),
            health: Arc::clone(&self.health),
        };
        let mut admission =
            Admission { connector, keeper: Arc::clone(&self.keeper), journal: self.journal.clone(), outcome: None };
        let mut servers = Servers::new(&self.settings.servers, backoff::random(), self.settings.needs_tls());
        let mut nudges = self.nudges.clone();
        let mut session = Session::new(self, saved);
        // In a row: attempts that failed, and connections that were of no use.
        let mut failures = 0_u32;
        loop {
            let mut until = None;
            let asked = nudges.borrow().asked;
            if let Some(server) = servers.next() {
                match admission.visit(&server).await {
                    Ok(connection) => {
                        servers.learn(&connection.client.server_info().connect_urls);
                        if session.run(&connection).await {
                            failures = 0;
                        }
                    }
                    Err(pause) => {
                        pause.log();
                        let Pause { trouble, until: firm } = pause;
                        session.uplink.health.set_error(Some(trouble));
                        until = firm;
                    }
                }
            }
            if let Some(wait) = until {
                admission.sleep(wait, &mut nudges, asked).await;
                continue;
            }
            failures = failures.saturating_add(1);
            // A fleet must not come back all at once.
            let wait = Duration::from_millis(delay_ms(failures.div_ceil(servers.count()), backoff::random()));
            tokio::select! {
                () = sleep(wait) => {}
                Ok(()) = nudges.changed() => failures = 0,
            }
        }
    }
}

fn now() -> Time {
    jiff::Timestamp::now().into()
}

#[cfg(test)]
mod tests;
