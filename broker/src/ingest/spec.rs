//! A source as it stands in `sources/<name>.yaml`, and how it becomes a [`Plan`].

use std::{borrow::Cow, collections::BTreeMap, sync::Arc, time::Duration};

use emote_proto::{Name, limits};
use jiff::SignedDuration;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::{Map, Value};

use super::{
    Cidr, Conform, DecodeSpec, Dedupe, HandshakeSpec, Plan, ReplySpec, Unmapped, VerifySpec,
    catalog::{self, Body},
    conform::Conformity,
    map::Mapping,
};
use crate::{
    catalog::Entry,
    config::{Problems, fields::duration, nearest},
    core::OWN_SOURCES,
    intake::{
        folder,
        socket::{self, Codec},
    },
    poll,
    rate::Rate,
};

/// Largest body that a source takes where it says nothing else, in bytes.
const DEFAULT_MAX_BODY: usize = 1024 * 1024;
/// The same for messages at a socket: more than an event may have would not be kept whole anyway.
const DEFAULT_MAX_MESSAGE: usize = limits::MAX_EVENT;
/// Largest body that a source may ask for, in bytes.
const MAX_MAX_BODY: usize = 16 * 1024 * 1024;

/// An HTTP source: a preset of the catalogue, or all of it by hand. What stands beside a preset replaces the preset's.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceSpec {
    /// The name of a catalogue entry.
    pub preset: Option<String>,
    /// What the entry asks for; secrets by reference, and several where any of them is right.
    #[serde(default)]
    pub(super) settings: BTreeMap<String, Value>,
    /// How the sender proves who it is.
    pub verify: Option<VerifySpec>,
    /// What the sender speaks: as the preset says, else `webhook`.
    pub protocol: Option<Protocol>,
    /// In which notation bodies come; `auto` where neither this nor a preset says.
    pub decode: Option<DecodeSpec>,
    /// The jq program that gives events.
    pub map: Option<String>,
    /// What the vendor asks of a URL before it sends to it.
    pub handshake: Option<HandshakeSpec>,
    /// What the vendor wants to read once its events are stored; 200 and their ids where not said.
    pub reply: Option<ReplySpec>,
    /// Largest body in bytes; 1 MiB where not said, 256 KiB where it listens by itself.
    pub max_body: Option<usize>,
    /// How many requests are taken, by each broker; all of them where not said.
    pub rate: Option<RateSpec>,
    /// From which addresses; from all where not said.
    pub from: Option<Vec<Cidr>>,
    /// How old an event may be by its own time, where that says so.
    #[serde(default, deserialize_with = "length")]
    #[schemars(with = "Option<Length>")]
    pub max_age: Option<SignedDuration>,
    /// What tells events apart that the vendor gives no id.
    #[serde(default)]
    pub dedupe: Dedupe,
    /// What becomes of a body that the map makes no event of; as the preset says, else `keep`.
    pub unmapped: Option<Unmapped>,
    /// What becomes of an event that is not as its schema says.
    #[serde(default)]
    pub schema: Conform,
    /// What is fetched instead of being sent, or beside that: fields of a [`poll::Plan`]; those that are not here are the
    /// preset's. `true` for the preset's alone.
    pub(super) poll: Option<Value>,
    /// What is fetched to find what webhooks have not told; likewise.
    pub(super) reconcile: Option<Value>,
    /// Where it listens by itself, for senders that speak no HTTP: fields of a [`socket::Plan`], or a list of them.
    pub(super) listen: Option<Value>,
    /// Where files are dropped for it: fields of a [`folder::Plan`].
    pub(super) folder: Option<Map<String, Value>>,
    /// After how long without a word from it that is told: `6h`. Where not said, sources that are polled, and they alone,
    /// are waited for: three rounds, or three signs of life.
    #[serde(default, deserialize_with = "length")]
    #[schemars(with = "Option<Length>")]
    pub(super) silent_after: Option<SignedDuration>,
}

/// What a source speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Events are posted.
    #[default]
    Webhook,
    /// Users and groups are provisioned (SCIM 2.0).
    Scim,
}

/// A length of time as it is read everywhere else, days too.
fn length<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SignedDuration>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let length = duration(&text).map_err(D::Error::custom)?;
    SignedDuration::try_from(length).map(Some).map_err(D::Error::custom)
}

/// How a length of time is written: `30s`, `6h`, `7d`.
pub(super) enum Length {}

impl JsonSchema for Length {
    fn schema_name() -> Cow<'static, str> {
        "length_of_time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": r"^\s*(P|[0-9])", "examples": ["30s", "6h", "7d"]})
    }
}

/// `rate: {per_second: 5, burst: 10}`, or `per_minute`.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateSpec {
    per_second: Option<u32>,
    per_minute: Option<u32>,
    burst: Option<u32>,
}

impl RateSpec {
    fn validate(self, problems: &mut Problems) -> Option<Rate> {
        let (unit, count, most) = match (self.per_second, self.per_minute) {
            (Some(count), None) => (Duration::from_secs(1), count, 10_000),
            (None, Some(count)) => (Duration::from_secs(60), count, 600_000),
            _ => {
                problems.add("rate", "say either per_second or per_minute, such as rate: {per_second: 5, burst: 10}");
                return None;
            }
        };
        let burst = self.burst.unwrap_or(1);
        if !(1..=most).contains(&count) || !(1..=10_000).contains(&burst) {
            problems.add("rate", format!("requests from 1 to {most}, and burst from 1 to 10000"));
            return None;
        }
        Some(Rate { every: unit / count, burst })
    }
}

impl SourceSpec {
    /// The source that a preset is with its settings as in their examples.
    pub fn example(entry: &Entry<Body>) -> Self {
        let settings = entry.card.settings.iter();
        let settings = settings.map(|(name, setting)| (name.clone(), Value::from(setting.example.as_str()))).collect();
        Self { preset: Some(entry.name.to_owned()), settings, ..Self::default() }
    }

    /// Checks everything that can be checked without secrets, and says all that is wrong at once.
    pub fn validate(&self, name: &Name) -> Result<Plan, Problems> {
        let mut problems = Problems::default();
        if OWN_SOURCES.contains(&name.as_str()) {
            problems.add("", format!("a source cannot be named {name}: Emote itself speaks under that name"));
        }
        let entry = self.entry(&mut problems);
        let verify = self.verify(name, entry, &mut problems);
        if let Some(verify) = &verify {
            let mut inner = Problems::default();
            verify.validate(&mut inner);
            problems.add_all("verify", inner);
        }
        let handshake = self.handshake.clone().or_else(|| entry?.body.handshake.clone());
        let handshake = handshake.or_else(|| verify.as_ref()?.handshake());
        if let Some(handshake) = &handshake {
            let mut inner = Problems::default();
            handshake.validate(&mut inner);
            problems.add_all("handshake", inner);
        }
        let reply = self.reply.clone().or_else(|| entry?.body.reply.clone());
        if let Some(reply) = &reply {
            let mut inner = Problems::default();
            reply.validate(&mut inner);
            problems.add_all("reply", inner);
        }
        let protocol = self.protocol.or_else(|| Some(entry?.body.protocol)).unwrap_or_default();
        if protocol == Protocol::Scim {
            self.is_for_scim(verify.as_ref(), &mut problems);
        }
        let polls = self.polls(name, entry, &mut problems);
        if polls.iter().any(poll::Plan::is_of_sets) && !matches!(verify, Some(VerifySpec::Jws(_))) {
            let needs = "each event is checked as one that is pushed: say `verify: {jws: …}`, or use the preset ssf";
            problems.add("poll.protocol", needs);
        }
        let folder = self.folder.as_ref().and_then(|map| folder::Plan::read(map, &mut problems)).map(Arc::new);
        let silent_after = self.silent_after(&polls, &mut problems);
        let decode = self.decode.clone().or_else(|| entry?.body.decode.clone()).unwrap_or_else(DecodeSpec::auto);
        let decoder = decode.validate(&mut problems);
        let program =
            self.map(entry, protocol, &mut problems).and_then(|map| problems.take("map", Mapping::compile(map)));
        let sockets = self.sockets(&decode, &mut problems);
        let otherwise = if sockets.is_empty() { DEFAULT_MAX_BODY } else { DEFAULT_MAX_MESSAGE };
        let max_body = self.max_body.unwrap_or(otherwise);
        if max_body == 0 || max_body > MAX_MAX_BODY {
            problems.add("max_body", format!("bytes, from 1 to {MAX_MAX_BODY}"));
        }
        let rate = self.rate.and_then(|rate| rate.validate(&mut problems));
        if self.from.as_ref().is_some_and(Vec::is_empty) {
            problems.add("from", "an empty list takes nothing: name a range such as 192.0.2.0/24, or leave it out");
        }
        if self.max_age.is_some_and(|age| age <= SignedDuration::ZERO) {
            problems.add("max_age", "must be longer than nothing, such as 24h");
        }
        match (verify, decoder, program) {
            (Some(verify), Some(decoder), Some(program)) if problems.is_empty() => {
                let unmapped = self.unmapped.or_else(|| Some(entry?.body.unmapped)).unwrap_or_default();
                let (source, dedupe, max_age) = (name.clone(), self.dedupe, self.max_age);
                let conformity = Conformity { mode: self.schema, vocabulary: None };
                let mapping = Mapping { source, program, dedupe, max_age, unmapped, conformity };
                let (from, webhooks) = (self.from.clone(), self.takes_webhooks(entry));
                let polls = polls.into_iter().map(Arc::new).collect();
                Ok(Plan {
                    verify,
                    protocol,
                    decoder,
                    mapping,
                    handshake,
                    reply,
                    max_body,
                    rate,
                    from,
                    webhooks,
                    polls,
                    sockets,
                    folder,
                    silent_after,
                })
            }
            _ => Err(problems),
        }
    }

    /// Whether `listen` is a list.
    pub(crate) fn listens_at_several(&self) -> bool {
        matches!(self.listen, Some(Value::Array(_)))
    }

    fn entry(&self, problems: &mut Problems) -> Option<&'static Entry<Body>> {
        let Some(preset) = &self.preset else {
            if !self.settings.is_empty() {
                problems.add("settings", "are for a preset, and there is none");
            }
            return None;
        };
        let entry = catalog::find(preset);
        if entry.is_none() {
            let names = catalog::all().iter().map(|entry| entry.name);
            problems.add("preset", format!("{preset:?} is not in the catalogue: {}", nearest::one_of(preset, names)));
        }
        entry
    }

    /// Whether anything comes by other ways than HTTP, as the file says.
    fn comes_otherwise(&self) -> bool {
        self.folder.is_some()
            || self.listen.is_some()
            || self.poll.as_ref().is_some_and(|poll| *poll != Value::Bool(false))
    }

    /// Whether it takes webhooks: one that gets what it tells otherwise does where its file says how they are proven.
    fn takes_webhooks(&self, entry: Option<&Entry<Body>>) -> bool {
        self.verify.is_some()
            || !self.comes_otherwise()
            || entry.is_some_and(|entry| entry.verify_is_set(&self.settings))
    }

    fn polls(&self, name: &Name, entry: Option<&Entry<Body>>, problems: &mut Problems) -> Vec<poll::Plan> {
        let mut plans = Vec::new();
        for (kind, said) in [(poll::Kind::Poll, &self.poll), (poll::Kind::Reconcile, &self.reconcile)] {
            let own = match said {
                None | Some(Value::Null | Value::Bool(false)) => continue,
                Some(Value::Bool(true)) => Map::new(),
                Some(Value::Object(map)) => map.clone(),
                Some(_) => {
                    problems.add(kind.key(), "expected an object, or true for what the preset says");
                    continue;
                }
            };
            if kind == poll::Kind::Reconcile && !self.takes_webhooks(entry) {
                problems.add(kind.key(), "finds what webhooks have not told, and this source takes none: use `poll`");
            }
            let whole = match entry {
                Some(entry) => entry.polled(kind, name, &self.settings, own, problems),
                None => Some(own),
            };
            let settings = self.plain_settings(entry);
            plans.extend(whole.and_then(|map| poll::Plan::read(kind, &map, settings, problems)));
        }
        plans
    }

    fn sockets(&self, decode: &DecodeSpec, problems: &mut Problems) -> Vec<socket::Plan> {
        let Some(listen) = &self.listen else { return Vec::new() };
        let Some(codec) = decode.only().and_then(Codec::named) else {
            problems.add("decode", "a socket takes messages of one notation: decode: syslog, or decode: gelf");
            return Vec::new();
        };
        socket::Plan::read_all(listen, codec, problems)
    }

    /// The settings that are no secrets, with what they are where nothing is said.
    fn plain_settings(&self, entry: Option<&Entry<Body>>) -> Value {
        let Some(entry) = entry else { return Value::Object(Map::new()) };
        let plain = entry.card.settings.iter().filter(|(_, setting)| !setting.secret);
        let valued = plain.filter_map(|(name, setting)| {
            let value = self.settings.get(name).or(setting.default.as_ref())?;
            Some((name.clone(), value.clone()))
        });
        Value::Object(valued.collect())
    }

    fn silent_after(&self, polls: &[poll::Plan], problems: &mut Problems) -> Option<Duration> {
        const LONGEST: SignedDuration = SignedDuration::from_hours(90 * 24);
        match self.silent_after {
            Some(after) if (SignedDuration::from_secs(1)..=LONGEST).contains(&after) => Duration::try_from(after).ok(),
            Some(_) => {
                problems.add("silent_after", "a length of time from 1s to 90 days, such as 6h");
                None
            }
            None => {
                let every = polls.iter().find(|plan| plan.kind == poll::Kind::Poll)?.every;
                Some(3 * every.max(poll::SIGN_EVERY))
            }
        }
    }

    fn verify(&self, name: &Name, entry: Option<&Entry<Body>>, problems: &mut Problems) -> Option<VerifySpec> {
        if !self.takes_webhooks(entry) {
            return Some(VerifySpec::None);
        }
        match (&self.verify, entry) {
            (Some(verify), _) => Some(verify.clone()),
            (None, Some(entry)) => entry.verify(name, &self.settings, problems),
            (None, None) => {
                if self.preset.is_none() {
                    problems.add("verify", "say how the sender proves who it is, such as `verify: {bearer: {token: \"${env:TOKEN}\"}}`, or `verify: none`");
                }
                None
            }
        }
    }

    /// Notes what means nothing where users and groups are provisioned.
    fn is_for_scim(&self, verify: Option<&VerifySpec>, problems: &mut Problems) {
        if verify.is_some_and(|verify| !verify.is_of_the_sender_alone()) {
            problems
                .add("verify", "SCIM clients have a credential and sign nothing: bearer, basic, header, query or none");
        }
        for (key, given) in [
            ("decode", self.decode.is_some()),
            ("handshake", self.handshake.is_some()),
            ("reply", self.reply.is_some()),
            ("folder", self.folder.is_some()),
        ] {
            if given {
                problems.add(key, "means nothing with `protocol: scim`");
            }
        }
    }

    fn map<'a>(
        &'a self,
        entry: Option<&'a Entry<Body>>,
        protocol: Protocol,
        problems: &mut Problems,
    ) -> Option<&'a str> {
        let as_it_is = (protocol == Protocol::Scim).then_some(".");
        let map = self.map.as_deref().or_else(|| entry.map(|entry| entry.body.map())).or(as_it_is);
        if map.is_none() && self.preset.is_none() {
            problems.add(
                "map",
                "say what events a body stands for: a jq program, or `preset: json` for bodies that are events",
            );
        }
        map
    }
}
