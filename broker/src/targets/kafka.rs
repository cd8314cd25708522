//! `kafka`: writes a record to Apache Kafka, or to what speaks its protocol: Redpanda, Confluent Cloud, Amazon MSK, Azure Event
//! Hubs and others.
//!
//! ```yaml
//! kind: kafka
//! brokers: [kafka-1.example.com:9093, kafka-2.example.com:9093]    # TLS off this machine
//! auth: {basic: {user: emote, password: "${env:KAFKA_PASSWORD}"}}
//! mechanism: scram-sha-512
//! topic: emote.events                   # or a program: '"emote.\(.event.scope)"'
//! key: .node.owner                      # else the job's node
//! headers: '{"emote-rule": .rule}'
//! ```
//! A record is stored when all replicas that are in step have it (`acks=all`). One node's records lie in one partition, the one
//! in which Java's producer has them. The record's value is the rule's input, the event where it has none, or what `body` makes
//! of the job; its headers name the event and the job. A job that is done again writes another record, with the same
//! `idempotency-key`: the protocol's own remedy knows only what one run of one producer has sent.

mod address;
mod cluster;
mod connection;
mod failure;
mod message;
mod partition;
mod plan;
mod primitive;
mod reading;
mod record;
mod sasl;
mod storing;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

pub(super) use self::reading::read;
use self::{
    cluster::Cluster,
    failure::{Code, Failure},
    plan::{Item, Plan},
    sasl::{Login, Mechanism},
    storing::{Became, Place, Storing},
};
use super::{
    Outcome, Role, Shown, Target, Told,
    http::auth::Auth,
    wire::{self, Client},
};
use crate::{config::Secret, core::Job};

/// What makes the records of a batch smaller.
type Compress = fn(&[u8]) -> Result<Vec<u8>, String>;

struct Kafka {
    /// Asks for tokens, and knows the secrets.
    client: Client,
    cluster: Cluster,
    /// The brokers as the file has them.
    at: String,
    auth: Auth,
    mechanism: Mechanism,
    /// What is said beside a token.
    extensions: Vec<(String, Secret)>,
    compress: Option<Compress>,
    plan: Arc<Plan>,
}

#[async_trait::async_trait]
impl Target for Kafka {
    async fn deliver(&self, job: &Job, input: &Value) -> Outcome {
        Outcome::of_one(self.deliver_batch(&[(job, input)]).await)
    }

    fn batches(&self) -> bool {
        true
    }

    /// All that can become records. What cannot is left out.
    async fn deliver_batch(&self, jobs: &[(&Job, &Value)]) -> Vec<Outcome> {
        let now = Timestamp::now().as_millisecond();
        let (mut items, mut outcomes) = (Vec::with_capacity(jobs.len()), Vec::with_capacity(jobs.len()));
        for (job, input) in jobs {
            let made = self.plan.item(job, input, now).map(|item| items.push(item));
            outcomes.push(made.err().map(Outcome::never));
        }
        let mut also = Vec::new();
        let mut stored = match self.store(&items, &mut also).await {
            Ok(stored) => stored,
            Err(outcome) => vec![outcome; items.len()],
        }
        .into_iter();
        let outcomes = outcomes.into_iter().map(|outcome| outcome.or_else(|| stored.next()));
        let outcomes = outcomes.map(|outcome| outcome.unwrap_or_else(|| Outcome::retry("nothing became of it")));
        outcomes.map(|outcome| self.client.clean_outcome(outcome, &also)).collect()
    }
}

impl Kafka {
    /// What became of each. The secrets of who it was stored as go to `also`.
    async fn store(&self, items: &[Item], also: &mut Vec<Secret>) -> Result<Vec<Outcome>, Outcome> {
        if items.is_empty() {
            return Ok(Vec::new());
        }
        let until = self.cluster.until();
        let login = self.login(also).await?;
        let told: Vec<_> = items.iter().map(|item| self.client.show(self.shown(item, login.as_ref()))).collect();
        if self.client.stand_in().is_some() {
            let outcome = |(item, told): (&Item, Option<Result<Told, Outcome>>)| match told {
                Some(Ok(told)) => rehearsed(item, told.status),
                Some(Err(outcome)) => outcome,
                None => Outcome::retry("nothing became of it"),
            };
            return Ok(items.iter().zip(told).map(outcome).collect());
        }
        let items: Vec<&Item> = items.iter().collect();
        Ok(self.stored(&items, login, until, also).await)
    }

    /// A token that is refused is asked for anew, once, for those that it has kept from being stored: a broker to which a
    /// connection stands has not seen it.
    async fn stored(
        &self,
        items: &[&Item],
        login: Option<Login>,
        until: Instant,
        also: &mut Vec<Secret>,
    ) -> Vec<Outcome> {
        let became = self.by(login.as_ref(), until).store(items).await;
        let kept_back = items.iter().zip(&became).filter(|(_, became)| is_of_login(became));
        let kept_back: Vec<&Item> = kept_back.map(|(item, _)| *item).collect();
        let mut anew = match (&self.auth, &login) {
            (Auth::Token(source), Some(Login::Token { token, .. })) if !kept_back.is_empty() => {
                source.forget(token).await;
                self.stored_anew(&kept_back, until, also).await
            }
            _ => Vec::new(),
        }
        .into_iter();
        let outcome = |(item, became): (&&Item, Became)| {
            let anew = if is_of_login(&became) { anew.next() } else { None };
            anew.unwrap_or_else(|| outcome(item, became))
        };
        items.iter().zip(became).map(outcome).collect()
    }

    /// With another token.
    async fn stored_anew(&self, items: &[&Item], until: Instant, also: &mut Vec<Secret>) -> Vec<Outcome> {
        let login = timeout_at(until, self.login(also)).await;
        let login = login.unwrap_or_else(|_| Err(Outcome::retry("there was no other token in time")));
        match login {
            Ok(login) => {
                let became = self.by(login.as_ref(), until).store(items).await;
                items.iter().zip(became).map(|(item, became)| outcome(item, became)).collect()
            }
            Err(outcome) => vec![outcome; items.len()],
        }
    }

    fn by<'a>(&'a self, login: Option<&'a Login>, until: Instant) -> Storing<'a> {
        Storing { cluster: &self.cluster, compress: self.compress, login, until }
    }

    async fn login(&self, also: &mut Vec<Secret>) -> Result<Option<Login>, Outcome> {
        let token = match &self.auth {
            Auth::Fixed(wire::Auth::Basic { user, password, .. }) => {
                let (user, password) = (user.clone(), password.clone());
                return Ok(Some(Login::Password { mechanism: self.mechanism, user, password }));
            }
            Auth::Fixed(wire::Auth::Bearer(token)) => token.clone(),
            Auth::Token(source) => source.token(&self.client).await?,
            _ => return Ok(None),
        };
        also.push(token.clone());
        Ok(Some(Login::Token { token, extensions: self.extensions.clone() }))
    }

    /// The record as it is written.
    fn shown(&self, item: &Item, login: Option<&Login>) -> Shown {
        let record = &item.record;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let stands_in = self.client.stand_in().is_some();
        let login = login.map(|login| ("auth".to_owned(), login.shown(stands_in)));
        let key = record.key.as_deref().map(|key| ("key".to_owned(), text(key)));
        Shown {
            role: Role::Job,
            method: "PRODUCE".to_owned(),
            url: format!("{} at {}", item.topic, self.at),
            headers: login.into_iter().chain(key).chain(record.headers.clone()).collect(),
            body: record.value.as_deref().map_or_else(|| "null".to_owned(), text),
            frames: Vec::new(),
            answer: None,
        }
    }
}

/// As if the cluster had answered with this: 200, or one of Kafka's error codes.
fn rehearsed(item: &Item, status: u16) -> Outcome {
    match Code::of(status.cast_signed()) {
        Some(code) if !(200..300).contains(&status) => Failure::refused(code, None).outcome(),
        _ => done(item, None),
    }
}

fn is_of_login(became: &Became) -> bool {
    matches!(became, Some(Err(failure)) if failure.is_of_login())
}

fn outcome(item: &Item, became: Became) -> Outcome {
    match became {
        Some(Ok(place)) => done(item, Some(place)),
        Some(Err(failure)) => failure.outcome(),
        None => Outcome::retry("nothing became of it"),
    }
}

fn done(item: &Item, place: Option<Place>) -> Outcome {
    let mut info = json!({"target": item.target, "topic": item.topic});
    if let Some(Place { partition, offset }) = place {
        info["partition"] = partition.into();
        info["offset"] = offset.into();
    }
    Outcome::done("kafka", "produced", info)
}
