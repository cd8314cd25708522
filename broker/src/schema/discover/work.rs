//! Discovery at work: while this broker leads, it looks at events as they come, and now and then at what they gave.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};

use emote_proto::{Event, Time, source};
use serde_json::Value;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{Record, SchemaSettings, violation};
use crate::{
    bus::{Bus, BusError, EventMessage, TailStart, Write, WriteError},
    console::view,
    schema::{events::Vocabulary, infer::Seen},
};

/// How soon what was seen is written down first; each later time takes twice as long.
const SOON: Duration = Duration::from_secs(2);
/// How often in the end.
const EVERY: Duration = Duration::from_secs(30);
/// Events of a kind that are looked at in that time.
const MAX_LOOKS: u64 = 20;
/// Kinds that are known; what comes beyond them is passed over.
const MAX_KINDS: usize = 2_000;
/// Places ([`Seen`]) of all kinds that are kept between two times of writing down; beyond them there are no more kinds.
const MAX_PLACES: usize = 200_000;
/// Violations of one source that are told in that time.
const MAX_TOLD: usize = 20;
/// How far back it begins, in milliseconds, so that nothing is missed between two that lead: what is told twice has one id.
const BEFORE: i64 = 60_000;
/// How long is waited where NATS does not answer.
const PAUSE: Duration = Duration::from_secs(2);

/// Discovers schemas while this broker leads.
pub struct Discovery {
    /// To NATS.
    pub bus: Bus,
    /// What is asked for.
    pub settings: SchemaSettings,
    /// The schemas of the rules in force; none where they have none of their own.
    pub vocabulary: Box<dyn Fn() -> Option<Arc<Vocabulary>> + Send + Sync>,
    /// Whether this broker leads.
    pub leads: watch::Receiver<bool>,
}

/// What was seen since it was last written down, and what is known of kinds.
#[derive(Default)]
struct Round {
    kinds: BTreeMap<String, Seen>,
    /// Places in all of them.
    places: usize,
    /// Kinds that have a record, or will have one, since ever.
    known: BTreeSet<String>,
    /// Whether it was said that there are too many.
    is_full: bool,
    told: BTreeMap<String, usize>,
    /// Kinds that are not gone on with.
    given_up: BTreeSet<String>,
}

impl Discovery {
    /// Until it is told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                leads = async { self.leads.wait_for(|leads| *leads).await.is_ok() } => if !leads { return },
            }
            let mut lost = self.leads.clone();
            tokio::select! {
                () = stop.cancelled() => return,
                () = async { drop(lost.wait_for(|leads| !*leads).await) } => {}
                error = self.look() => {
                    tracing::debug!(error = format!("{error:#}"), "discovering schemas");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Why it could not go on.
    async fn look(&self) -> anyhow::Error {
        match self.looking().await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    async fn looking(&self) -> anyhow::Result<Infallible> {
        let now: Time = jiff::Timestamp::now().into();
        let begin = Time::from_millis(now.as_millis().saturating_sub(BEFORE)).unwrap_or(now);
        let mut tail = self.bus.tail(vec!["events.>".to_owned()], TailStart::Time(begin)).await?;
        let mut round = Round { known: self.bus.schema_keys().await?, ..Round::default() };
        let mut pause = SOON;
        let mut next = Instant::now() + pause;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(next) => {
                    self.write_down(&mut round).await?;
                    pause = (2 * pause).min(EVERY);
                    next = Instant::now() + pause;
                }
                message = tail.read() => self.note(&mut round, &message?).await?,
            }
        }
    }

    async fn note(&self, round: &mut Round, message: &EventMessage) -> Result<(), BusError> {
        let Some(kind) = kind(&message.subject) else { return Ok(()) };
        let (of, _) = kind.split_once('.').unwrap_or_default();
        let reports = self.settings.report.iter().any(|name| name.as_str() == of);
        let wanted = self.settings.discover && round.wants(&kind);
        if !reports && !wanted {
            return Ok(());
        }
        let Ok(event) = view::events::open(message) else { return Ok(()) };
        let Ok(value) = serde_json::to_value(&event) else { return Ok(()) };
        if reports {
            self.report(round, &event, &value).await?;
        }
        if wanted {
            round.add(kind, &value);
        }
        Ok(())
    }

    async fn report(&self, round: &mut Round, event: &Event, value: &Value) -> Result<(), BusError> {
        let own = (self.vocabulary)();
        let vocabulary = own.as_deref().unwrap_or_else(|| Vocabulary::built_in());
        let Some(verdict) = vocabulary.check(value) else { return Ok(()) };
        let told = round.told.entry(event.source.to_string()).or_default();
        *told += 1;
        if *told > MAX_TOLD {
            return Ok(());
        }
        let Ok((subject, id, body)) = violation(event, &verdict) else { return Ok(()) };
        self.bus.publish_events(vec![(subject, id, body.into())]).await
    }

    async fn write_down(&self, round: &mut Round) -> anyhow::Result<()> {
        round.told.clear();
        round.places = 0;
        while let Some((name, seen)) = round.kinds.pop_first() {
            if !self.keep(&name, seen).await? {
                round.given_up.insert(name);
            }
        }
        Ok(())
    }

    /// Adds to the record of a kind; whether there is to be more.
    async fn keep(&self, name: &str, seen: Seen) -> anyhow::Result<bool> {
        let key = name.to_owned();
        let (mut record, expected) = match self.bus.schema(&key).await? {
            Some(entry) => (serde_json::from_slice(&entry.value).unwrap_or_else(|_| Record::new(name)), entry.revision),
            None => (Record::new(name), 0),
        };
        let now: Time = jiff::Timestamp::now().into();
        let event = record.note(seen, now).and_then(|version| version.event(name).ok());
        let value = match record.to_json() {
            Ok(value) => value,
            Err(error) => {
                tracing::warn!(schema = name, %error, "not discovered further");
                return Ok(false);
            }
        };
        let tell = async || match event {
            Some((subject, id, body)) => self.bus.publish_events(vec![(subject, id, body.into())]).await,
            None => Ok(()),
        };
        let write = async || self.bus.write_schemas(&[Write { key, expected, value }]).await;
        match told_first(tell, write).await? {
            // Where it is overtaken, somebody else leads, and has seen the same.
            Ok(_) | Err(WriteError::Overtaken) => Ok(true),
            Err(WriteError::Bus(error @ BusError::Refused { .. })) => {
                tracing::warn!(schema = name, %error, "not discovered further");
                Ok(false)
            }
            Err(WriteError::Bus(error)) => Err(error.into()),
        }
    }
}

/// Tells of what is then written down, and writes nothing down that could not be told: what is kept is not found anew, and
/// never would be told. Told twice, it is one event.
async fn told_first<T>(
    tell: impl AsyncFnOnce() -> Result<(), BusError>,
    write: impl AsyncFnOnce() -> Result<T, WriteError>,
) -> Result<Result<T, WriteError>, BusError> {
    tell().await?;
    Ok(write().await)
}

impl Round {
    fn wants(&mut self, kind: &str) -> bool {
        if let Some(seen) = self.kinds.get(kind) {
            return seen.count < MAX_LOOKS;
        }
        let is_over = !self.known.contains(kind) && self.known.len() >= MAX_KINDS;
        if is_over && !std::mem::replace(&mut self.is_full, true) {
            tracing::warn!(schema = kind, "there are {MAX_KINDS} kinds of events: no other is discovered");
        }
        !is_over && self.places < MAX_PLACES && !self.given_up.contains(kind)
    }

    fn add(&mut self, kind: String, value: &Value) {
        self.known.insert(kind.clone());
        let before = self.kinds.get(&kind).map_or(0, Seen::places);
        let seen = self.kinds.entry(kind).or_default();
        seen.add(value);
        self.places = (self.places + seen.places()).saturating_sub(before);
    }
}

/// `<source>.<scope>.<action>` of a subject; none for what tells of schemas itself.
fn kind(subject: &str) -> Option<String> {
    let mut parts = subject.strip_prefix("events.")?.split('.');
    let (of, _, scope, action) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let own = of == source::BROKER && scope == "schema";
    let plain = |word: &str| word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    (parts.next().is_none() && !own && [of, scope, action].into_iter().all(plain))
        .then(|| format!("{of}.{scope}.{action}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tells_of_schemas_is_not_discovered_itself() {
        for (subject, expected) in [
            ("events.okta.ada@example%2Ecom.user.created", Some("okta.user.created")),
            ("events.broker.-.schema.discovered", None),
            ("events.okta.-.schema.violation", Some("okta.schema.violation")),
            ("events.okta.user.created", None),
            ("events.o*.-.user.created", None),
        ] {
            assert_eq!(kind(subject).as_deref(), expected, "{subject}");
        }
    }

    #[tokio::test]
    async fn nothing_is_written_down_that_was_not_told() {
        for is_told in [true, false] {
            let said = std::cell::RefCell::new(Vec::new());
            let tell = async || {
                said.borrow_mut().push("told");
                if is_told { Ok(()) } else { Err(BusError::Settings("away".to_owned())) }
            };
            let write = async || {
                said.borrow_mut().push("written");
                Err::<(), _>(WriteError::Overtaken)
            };
            let result = told_first(tell, write).await;
            match is_told {
                true => assert!(matches!(result, Ok(Err(WriteError::Overtaken))), "{result:?}"),
                false => assert!(matches!(result, Err(BusError::Settings(_))), "{result:?}"),
            }
            assert_eq!(*said.borrow(), if is_told { vec!["told", "written"] } else { vec!["told"] });
        }
    }

    #[test]
    fn a_few_events_of_each_kind_are_looked_at() {
        let mut round = Round::default();
        for _ in 0..100 {
            if round.wants("okta.user.created") {
                round.add("okta.user.created".to_owned(), &Value::Null);
            }
        }
        assert_eq!(round.kinds["okta.user.created"].count, MAX_LOOKS);
        round.given_up.insert("hr.user.created".to_owned());
        assert!(!round.wants("hr.user.created") && round.wants("hr.user.deleted"));
    }

    #[test]
    fn there_are_so_many_kinds_however_long_it_goes_on() {
        let mut round = Round { known: (1..MAX_KINDS).map(|n| format!("old.user.k{n}")).collect(), ..Round::default() };
        for n in 0..10 {
            let kind = format!("hr.user.k{n}");
            assert_eq!(round.wants(&kind), n == 0, "{kind}");
            if n == 0 {
                round.add(kind, &Value::Null);
            }
            // They are written down, and it goes on.
            round.kinds.clear();
        }
        assert!(round.wants("hr.user.k0") && round.wants("old.user.k1"));
        assert_eq!(round.known.len(), MAX_KINDS);
    }

    #[test]
    fn what_is_seen_between_two_times_of_writing_is_bounded() {
        let mut round = Round::default();
        let value: Value =
            (0..90).map(|n| (format!("key{n}"), Value::from(n))).collect::<serde_json::Map<_, _>>().into();
        let kinds = (0..MAX_PLACES).map(|n| format!("hr.user.k{n}"));
        // As many kinds as there may be would be less than that: each is of many places.
        for kind in kinds.take(MAX_KINDS + 1000) {
            round.known.clear();
            if round.wants(&kind) {
                round.add(kind, &value);
            }
        }
        let places: usize = round.kinds.values().map(Seen::places).sum();
        assert_eq!(places, round.places);
        assert!((MAX_PLACES..MAX_PLACES + 100).contains(&places), "{places}");
    }
}
