//! A cluster: which broker leads which partition, and the connections to brokers that wait for the next request.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rustls::ClientConfig;

use super::{
    super::connections::Kept,
    address::Address,
    connection::{Connection, How},
    failure::{Code, Failure},
    message::{self, Batch, Described, METADATA, PRODUCE, Stored},
    sasl::Login,
};

/// A broker must be reached within this time.
const CONNECT: Duration = Duration::from_secs(5);
/// What is known of a topic is asked anew after this time, as Java's clients do: partitions may have been added.
const KNOWN_FOR: Duration = Duration::from_secs(300);
/// The most topics of which something is known.
const MAX_TOPICS: usize = 1000;

/// What does not change of a cluster.
pub(super) struct Terms {
    /// Where it is asked first.
    pub(super) brokers: Vec<Address>,
    pub(super) client_id: String,
    /// How long an attempt may take.
    pub(super) timeout: Duration,
    /// How many connections to a broker wait, at most.
    pub(super) most: usize,
    /// Whether plain text goes to this machine alone.
    pub(super) stays_here: bool,
}

/// See the module.
pub(super) struct Cluster {
    terms: Terms,
    /// None in plain text.
    tls: Kept<Option<Arc<ClientConfig>>>,
    topics: Mutex<HashMap<String, Arc<Topic>>>,
    idle: Mutex<Vec<(Address, Connection)>>,
    /// Which of the brokers is asked first.
    first: AtomicUsize,
}

/// What is known of a topic.
pub(super) struct Topic {
    /// Of each partition; none where nobody leads it.
    leaders: Vec<Option<Address>>,
    learned: Instant,
}

impl Topic {
    pub(super) fn partitions(&self) -> usize {
        self.leaders.len()
    }
}

impl Cluster {
    /// No connection is made yet.
    pub(super) fn new(terms: Terms, tls: Kept<Option<Arc<ClientConfig>>>) -> Self {
        let (topics, idle, first) = Default::default();
        Self { terms, tls, topics, idle, first }
    }

    /// A topic as it is known, or as the cluster says it is.
    pub(super) async fn topic(&self, name: &str, login: Option<&Login>) -> Result<Arc<Topic>, Failure> {
        let known = self.topics.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        if let Some(known) = known.filter(|known| known.learned.elapsed() < KNOWN_FOR) {
            return Ok(known);
        }
        let mut connection = self.any(login).await?;
        let (answer, _) = connection.ask(&METADATA, || message::metadata(name)).await?;
        let broker = connection.broker().clone();
        let described = message::described(&answer).map_err(|error| Failure::malformed(&broker, error))?;
        self.keep(connection);
        let topic = Arc::new(self.learned(described)?);
        let mut topics = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        if topics.len() >= MAX_TOPICS {
            topics.clear();
        }
        topics.insert(name.to_owned(), Arc::clone(&topic));
        Ok(topic)
    }

    /// The broker that leads a partition.
    pub(super) async fn leader(
        &self,
        topic: &str,
        partition: usize,
        login: Option<&Login>,
    ) -> Result<Address, Failure> {
        let topic = self.topic(topic, login).await?;
        topic.leaders.get(partition).cloned().flatten().ok_or_else(leaderless)
    }

    /// From now on the cluster is asked anew about a topic.
    pub(super) fn forget(&self, topic: &str) {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner).remove(topic);
    }

    /// When each record of an attempt that begins now is to have its answer: later nobody listens any more.
    pub(super) fn until(&self) -> tokio::time::Instant {
        tokio::time::Instant::now() + self.terms.timeout.mul_f32(0.9)
    }

    /// Has these batches stored by the broker that leads their partitions, whose answer is waited for until then.
    pub(super) async fn produce(
        &self,
        leader: &Address,
        batches: &[Batch<'_>],
        login: Option<&Login>,
        until: tokio::time::Instant,
    ) -> Result<Vec<Stored>, Failure> {
        let mut connection = match self.kept(leader).await {
            Some(kept) => kept,
            None => Connection::open(leader, &self.how(1), login).await?,
        };
        // So that the broker says that it was not in time before nobody listens any more.
        let within = until.saturating_duration_since(tokio::time::Instant::now()).mul_f32(0.8);
        let (answer, version) = connection.ask(&PRODUCE, || message::produce(batches, within)).await?;
        let stored = message::stored(&answer, version);
        let (stored, rest) = stored.map_err(|error| Failure::malformed(leader, error))?;
        connection.rest(rest);
        self.keep(connection);
        Ok(stored)
    }

    fn learned(&self, described: Described) -> Result<Topic, Failure> {
        let Described { brokers, error, leaders } = described;
        if let Some(code) = error {
            return Err(Failure::refused(code, None));
        }
        let mut found = HashMap::new();
        for (number, host, port) in brokers {
            found.extend(Address::said(&host, port).map(|broker| (number, broker)));
        }
        if let Some(elsewhere) = found.values().find(|broker| self.terms.stays_here && !broker.is_here()) {
            return Err(Failure::Lasting(format!(
                "the cluster says that a broker is at {elsewhere}, and plain text stays on this machine: correct \
                 `advertised.listeners`, or say `tls` or `insecure: true`"
            )));
        }
        let leaders: Vec<_> = leaders.iter().map(|leader| found.get(leader).cloned()).collect();
        if leaders.is_empty() { Err(leaderless()) } else { Ok(Topic { leaders, learned: Instant::now() }) }
    }

    /// A connection to whichever broker is there.
    async fn any(&self, login: Option<&Login>) -> Result<Connection, Failure> {
        loop {
            let kept = {
                let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
                let at = idle.iter().rposition(|(_, kept)| kept.is_ready());
                at.map(|at| idle.swap_remove(at))
            };
            let Some((_, mut kept)) = kept else { break };
            if kept.is_good().await {
                return Ok(kept);
            }
        }
        let brokers = &self.terms.brokers;
        let first = self.first.load(Ordering::Relaxed);
        let mut failed = Failure::Lasting("there is no broker to ask: give `brokers`".to_owned());
        for at in 0..brokers.len() {
            let at = first.wrapping_add(at).checked_rem(brokers.len()).unwrap_or_default();
            let Some(broker) = brokers.get(at) else { continue };
            match Connection::open(broker, &self.how(brokers.len()), login).await {
                Ok(connection) => {
                    self.first.store(at, Ordering::Relaxed);
                    return Ok(connection);
                }
                Err(failure) if failure.is_of_login() => return Err(failure),
                Err(failure) => failed = failure,
            }
        }
        Err(failed)
    }

    /// So that each of `brokers` has its turn before the attempt ends.
    fn how(&self, brokers: usize) -> How {
        let turns = u32::try_from(brokers).unwrap_or(u32::MAX).saturating_add(1);
        let within = self.terms.timeout.checked_div(turns).unwrap_or_default().min(CONNECT);
        How { tls: self.tls.current(), client_id: self.terms.client_id.clone(), within }
    }

    async fn kept(&self, broker: &Address) -> Option<Connection> {
        loop {
            let (_, mut kept) = {
                let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
                let at = idle.iter().rposition(|(of, _)| of == broker)?;
                idle.swap_remove(at)
            };
            if kept.is_good().await {
                return Some(kept);
            }
        }
    }

    fn keep(&self, connection: Connection) {
        let broker = connection.broker().clone();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        // Brokers that are gone are never asked again: nobody else would close theirs.
        idle.retain(|(_, kept)| kept.holds());
        if idle.iter().filter(|(of, _)| *of == broker).count() < self.terms.most {
            idle.push((broker, connection));
        }
    }
}

fn leaderless() -> Failure {
    const LEADER_NOT_AVAILABLE: i16 = 5;
    Code::of(LEADER_NOT_AVAILABLE)
        .map_or_else(|| Failure::Lasting("nobody leads it".to_owned()), |code| Failure::refused(code, None))
}
