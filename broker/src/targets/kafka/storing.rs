//! Records brought to where they belong: those of a partition in batches, those of a broker in one request.
//!
//! A broker takes a batch or refuses it as a whole. Where one of its records may be why, it is halved and sent again, so that
//! what cannot be stored takes nothing with it. Where a partition has moved or a connection broke off, the cluster is asked
//! anew, once; what is not stored then is the delivery's to try again. A broker that is silent takes nothing of what became of
//! others with it: what is not stored in time is told as such, before the attempt is given up as a whole.

use std::collections::{BTreeMap, HashMap};

use futures_util::future::join_all;
use tokio::time::{Instant, timeout_at};

use super::{
    Compress,
    address::Address,
    cluster::Cluster,
    failure::Failure,
    message::{Batch, Stored},
    partition,
    plan::Item,
    record,
    sasl::Login,
};

/// The largest batch of more than one record, in bytes before it is compressed: brokers take a little more than this
/// (`message.max.bytes`).
const MAX_BATCH: usize = 1_000_000;
/// The largest request of more than one batch, in bytes.
const MAX_REQUEST: usize = 8 * MAX_BATCH;

/// Where a record has come to lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) partition: usize,
    pub(super) offset: i64,
}

/// What became of a record.
pub(super) type Became = Option<Result<Place, Failure>>;

/// Records of one partition that are stored together.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Parcel {
    topic: String,
    partition: usize,
    /// Which records; never none.
    of: Vec<usize>,
    /// About how many bytes they take.
    size: usize,
    /// Whether the cluster was asked anew because of it.
    again: bool,
}

impl Parcel {
    /// Whether both are of one partition.
    fn is_beside(&self, other: &Self) -> bool {
        (self.partition, &self.topic) == (other.partition, &other.topic)
    }
}

/// Stores records; says where each lies, or why it does not.
pub(super) struct Storing<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) compress: Option<Compress>,
    pub(super) login: Option<&'a Login>,
    /// What is not stored by then is not waited for.
    pub(super) until: Instant,
}

impl Storing<'_> {
    /// What became of each, in their order.
    pub(super) async fn store(&self, items: &[&Item]) -> Vec<Became> {
        let mut became: Vec<Became> = vec![None; items.len()];
        let mut waiting = self.parcels(items, &mut became).await;
        while !waiting.is_empty() {
            let mut later: Vec<Parcel> = Vec::new();
            let mut requests: BTreeMap<Address, Vec<Parcel>> = BTreeMap::new();
            for parcel in waiting {
                // What was before others in a partition stays so.
                if later.iter().any(|before| parcel.is_beside(before)) {
                    later.push(parcel);
                    continue;
                }
                let leader = self.cluster.leader(&parcel.topic, parcel.partition, self.login);
                match self.in_time("the cluster", leader).await {
                    Ok(leader) => later.extend(joined(requests.entry(leader).or_default(), parcel)),
                    Err(failure) => later.extend(self.failed(parcel, &failure, items, &mut became)),
                }
            }
            let answers = requests.into_iter().map(|(leader, parcels)| self.ask(leader, parcels, items));
            for (parcel, answer) in join_all(answers).await.into_iter().flatten() {
                match answer {
                    Ok(first) => settle(&parcel, &mut became, |at| {
                        let offset = first.saturating_add(i64::try_from(at).unwrap_or(i64::MAX));
                        Ok(Place { partition: parcel.partition, offset })
                    }),
                    Err(failure) => later.extend(self.failed(parcel, &failure, items, &mut became)),
                }
            }
            later.sort_by_key(|parcel| parcel.of.first().copied());
            waiting = later;
        }
        became
    }

    /// The records by their partitions, in batches.
    async fn parcels(&self, items: &[&Item], became: &mut [Became]) -> Vec<Parcel> {
        let mut counts: HashMap<&str, Result<usize, Failure>> = HashMap::new();
        let mut parcels: Vec<Parcel> = Vec::new();
        for (at, item) in items.iter().enumerate() {
            let topic = item.topic.as_str();
            if !counts.contains_key(topic) {
                let found = self.in_time("the cluster", self.cluster.topic(topic, self.login)).await;
                counts.insert(topic, found.map(|found| found.partitions()));
            }
            let count = match counts.get(topic) {
                Some(Ok(count)) => *count,
                Some(Err(failure)) => {
                    became[at] = Some(Err(failure.clone()));
                    continue;
                }
                None => continue,
            };
            let partition = partition::choose(item.record.key.as_deref(), &item.job, count);
            let size = item.record.size();
            let fits = |parcel: &&mut Parcel| {
                (parcel.topic.as_str(), parcel.partition) == (topic, partition) && parcel.size + size <= MAX_BATCH
            };
            match parcels.iter_mut().rev().find(fits) {
                Some(parcel) => {
                    parcel.of.push(at);
                    parcel.size += size;
                }
                None => parcels.push(Parcel { topic: item.topic.clone(), partition, of: vec![at], size, again: false }),
            }
        }
        parcels
    }

    async fn ask(&self, leader: Address, parcels: Vec<Parcel>, items: &[&Item]) -> Vec<(Parcel, Result<i64, Failure>)> {
        let mut batches = Vec::with_capacity(parcels.len());
        for parcel in &parcels {
            let records = parcel.of.iter().filter_map(|at| items.get(*at)).map(|item| &item.record);
            match record::batch(records, self.compress) {
                Ok(records) => {
                    batches.push(Batch { topic: &parcel.topic, partition: number(parcel.partition), records });
                }
                Err(reason) => {
                    let failure = Failure::Lasting(reason);
                    return parcels.into_iter().map(|parcel| (parcel, Err(failure.clone()))).collect();
                }
            }
        }
        let asked = self.cluster.produce(&leader, &batches, self.login, self.until);
        let stored = self.in_time(&leader.to_string(), asked).await;
        let of = |parcel: &Parcel| {
            let is_its = |stored: &&Stored| {
                (&*stored.topic, stored.partition) == (parcel.topic.as_str(), number(parcel.partition))
            };
            let unsaid =
                || Failure::Lost { broker: leader.to_string(), reason: "it does not say what became of it".into() };
            match &stored {
                Ok(stored) => stored.iter().find(is_its).map_or_else(|| Err(unsaid()), |stored| stored.offset.clone()),
                Err(failure) => Err(failure.clone()),
            }
        };
        let answers: Vec<_> = parcels.iter().map(of).collect();
        parcels.into_iter().zip(answers).collect()
    }

    /// What comes of something that `whom` is asked, in time.
    async fn in_time<T>(&self, whom: &str, asked: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        // Nothing is asked that might be done though nobody hears of it.
        if Instant::now() >= self.until {
            return Err(Failure::late(whom));
        }
        timeout_at(self.until, asked).await.unwrap_or_else(|_| Err(Failure::late(whom)))
    }

    /// What of a parcel is to be sent again at once; what is not has become of it.
    fn failed(&self, mut parcel: Parcel, failure: &Failure, items: &[&Item], became: &mut [Became]) -> Vec<Parcel> {
        if failure.is_of_place() && !parcel.again {
            self.cluster.forget(&parcel.topic);
            parcel.again = true;
            return vec![parcel];
        }
        if failure.is_of_batch() && parcel.of.len() > 1 {
            let (first, second) = parcel.of.split_at(parcel.of.len() / 2);
            let half = |of: &[usize]| {
                let size = of.iter().filter_map(|at| items.get(*at)).map(|item| item.record.size()).sum();
                Parcel { topic: parcel.topic.clone(), of: of.to_vec(), size, ..parcel }
            };
            return vec![half(first), half(second)];
        }
        settle(&parcel, became, |_| Err(failure.clone()));
        Vec::new()
    }
}

/// Puts `parcel` into a request, or gives it back where it has no room, or one of its partition is there: a request may have
/// one batch of each.
fn joined(request: &mut Vec<Parcel>, parcel: Parcel) -> Option<Parcel> {
    let size: usize = request.iter().map(|parcel| parcel.size).sum();
    let has_room = request.is_empty() || size + parcel.size <= MAX_REQUEST;
    match has_room && !request.iter().any(|other| parcel.is_beside(other)) {
        true => {
            request.push(parcel);
            None
        }
        false => Some(parcel),
    }
}

/// Says what became of each of the parcel's records, the first of which is the 0th.
fn settle(parcel: &Parcel, became: &mut [Became], what: impl Fn(usize) -> Result<Place, Failure>) {
    for (nth, at) in parcel.of.iter().enumerate() {
        if let Some(became) = became.get_mut(*at) {
            *became = Some(what(nth));
        }
    }
}

/// As the protocol has it.
fn number(partition: usize) -> i32 {
    i32::try_from(partition).unwrap_or(i32::MAX)
}
