//! Who gets a credential, and who loses it: orders about agents, and what became of them.

use std::{fmt, time::Duration};

use emote_proto::{EventId, Serial, Time, enroll::UserKey, source};
use serde_json::{Value, json};

use super::{LOOK_EVERY, Signature, WITHIN};
use crate::{
    bus::{Bus, BusError, Tail, TailStart},
    identity::{
        Registry,
        order::{MAX_SERIALS, What},
        record::{DeviceRecord, State},
    },
};

/// How long NATS may take to know who is shut out.
const PUSHED_WITHIN: Duration = Duration::from_secs(10);

/// Hears what becomes of orders from now on.
pub(crate) struct Waited(Tail);

/// What became of an order for one device, or for the token.
pub(crate) struct Outcome {
    /// Of which device; none where it is a token.
    pub(crate) serial: Option<String>,
    /// Why it was not carried out, if it was not.
    pub(crate) refused: Option<String>,
}

/// What became of orders about several devices.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Became {
    /// For these they were carried out.
    pub(crate) done: Vec<String>,
    /// For these they were not, and why.
    pub(crate) refused: Vec<(String, String)>,
    /// Of so many nothing was heard in time.
    pub(crate) unheard: usize,
}

/// A key that is shut out in the registry, while NATS was not told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StillIn {
    pub(crate) serial: Serial,
    pub(crate) key: UserKey,
    /// Until when NATS lets it in.
    pub(crate) until: Time,
}

/// Lets these keys in. Each stands in its order: should another one ask meanwhile, it is not the one that was looked at.
pub(crate) async fn approve(bus: &Bus, chosen: &[(Serial, UserKey)], signature: &Signature) -> anyhow::Result<Became> {
    let orders = chosen.iter().map(|(serial, key)| (json!({"serials": [serial], "key": key}), 1));
    give(bus, What::Approve, orders.collect(), signature).await
}

/// Denies, revokes, or has them change their keys.
pub(crate) async fn order(bus: &Bus, what: What, serials: &[Serial], signature: &Signature) -> anyhow::Result<Became> {
    let orders = serials.chunks(MAX_SERIALS).map(|some| (json!({"serials": some}), some.len()));
    give(bus, what, orders.collect(), signature).await
}

/// Each of `orders` with the number of devices that it is about.
async fn give(bus: &Bus, what: What, orders: Vec<(Value, usize)>, signature: &Signature) -> anyhow::Result<Became> {
    let mut waited = Waited::begin(bus).await?;
    let (mut ids, mut count) = (Vec::new(), 0);
    for (info, about) in orders {
        ids.push(signature.order(bus, &format!("agent.{}", what.ordered()), info).await?);
        count += about;
    }
    let outcomes = waited.outcomes(&ids, count).await?;
    let mut became = Became { unheard: count.saturating_sub(outcomes.len()), ..Became::default() };
    for Outcome { serial, refused } in outcomes {
        let serial = serial.unwrap_or_else(|| "-".to_owned());
        match refused {
            None => became.done.push(serial),
            Some(reason) => became.refused.push((serial, reason)),
        }
    }
    Ok(became)
}

/// The key that `wanted` is, in whole or by its fingerprint; where nothing is said the one that an approval means.
pub(crate) fn choose(device: &DeviceRecord, wanted: Option<&str>) -> anyhow::Result<UserKey> {
    let Some(wanted) = wanted else {
        return device.meant().map_err(|error| anyhow::anyhow!("{}: {error}", device.serial));
    };
    let is = |key: &&UserKey| key.as_str() == wanted || key.fingerprint().eq_ignore_ascii_case(wanted);
    let found = could_be_let_in(device).find(is).cloned();
    found.ok_or_else(|| anyhow::anyhow!("no key {wanted} asks for {0}: `emote agents show {0}`", device.serial))
}

/// The keys that somebody's word could let in: those that ask, and the one that it lost.
pub(crate) fn could_be_let_in(device: &DeviceRecord) -> impl Iterator<Item = &UserKey> {
    let had = device.key.iter().filter(|_| device.state != State::Enrolled).map(|had| &had.key);
    let had = had.filter(|had| device.asked.iter().all(|asked| asked.key != **had));
    device.asked.iter().map(|asked| &asked.key).chain(had)
}

/// Waits until NATS knows who is shut out: those of whom it does, and the keys of which it does not.
pub(crate) async fn shut_out(bus: &Bus, serials: &[Serial]) -> Result<(Vec<Serial>, Vec<StillIn>), BusError> {
    let registry = Registry::new(bus.clone());
    let until = tokio::time::Instant::now() + PUSHED_WITHIN;
    let (mut out, mut still_in) = (Vec::new(), Vec::new());
    for serial in serials {
        loop {
            let now = Time::from(jiff::Timestamp::now());
            let Some(device) = registry.device(serial).await?.record else { break };
            let left = device.shut.iter().filter(|shut| !shut.pushed && shut.from <= now && shut.until > now);
            let left: Vec<StillIn> =
                left.map(|shut| StillIn { serial: serial.clone(), key: shut.key.clone(), until: shut.until }).collect();
            if left.is_empty() {
                out.extend((device.state == State::Revoked).then(|| serial.clone()));
                break;
            }
            if tokio::time::Instant::now() >= until {
                still_in.extend(left);
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    Ok((out, still_in))
}

impl Waited {
    pub(crate) async fn begin(bus: &Bus) -> anyhow::Result<Self> {
        let done = What::ALL.map(What::done).into_iter();
        let actions = done.chain(["order_refused", "token_created", "token_revoked"]);
        let filters = actions.map(|action| format!("events.{}.*.agent.{action}", source::BROKER)).collect();
        Ok(Self(bus.tail(filters, TailStart::New).await?))
    }

    /// As many outcomes of these orders as there are to be, or as there are within 10 s.
    pub(crate) async fn outcomes(&mut self, orders: &[EventId], count: usize) -> anyhow::Result<Vec<Outcome>> {
        let (mut outcomes, until) = (Vec::new(), tokio::time::Instant::now() + WITHIN);
        while outcomes.len() < count {
            let Ok(read) = tokio::time::timeout_at(until, self.0.read()).await else { break };
            let event: Value = serde_json::from_slice(&read?.payload).unwrap_or_default();
            let of = event["info"]["order"].as_str().and_then(|id| id.parse::<EventId>().ok());
            if of.is_some_and(|id| orders.contains(&id)) {
                let is_refused = event["action"] == "order_refused";
                let text = |value: &Value| value.as_str().map(str::to_owned);
                let refused = text(&event["info"]["reason"]).filter(|_| is_refused);
                outcomes.push(Outcome { serial: text(&event["device"]["uuid"]), refused });
            }
        }
        Ok(outcomes)
    }
}

impl Became {
    /// What did not work, and of whom; nothing where all of it did.
    pub(crate) fn trouble(&self) -> Option<String> {
        let mut troubles: Vec<String> =
            self.refused.iter().map(|(serial, reason)| format!("{serial}: {reason}")).collect();
        if self.unheard > 0 {
            troubles.push("it is ordered, but no broker has come to all of it yet: does one run, with an identity section? (`emote agents ls`)".to_owned());
        }
        (!troubles.is_empty()).then(|| troubles.join("; "))
    }
}

impl fmt::Display for StillIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { serial, key, until } = self;
        write!(
            f,
            "{serial}: NATS lets its credential in until {until}. Where the brokers' emote.yaml has no \
             identity.operator_key, do it yourself:\n  nsc revocations add-user --account DEVICES --user-public-key {key} && nsc push --account DEVICES"
        )
    }
}

/// What an order comes to for each of those that it was about.
pub(crate) fn said(what: What) -> &'static str {
    match what {
        What::Approve => {
            "approved; it is let in when it asks again: within a minute or two, or an hour where it was shut out before"
        }
        What::Deny => "denied",
        What::Revoke => "revoked",
        What::Rotate => "told to change its key, and again with each of its heartbeats until it has",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::record::{Asked, Issued, Word};

    fn at(seconds: i64) -> Time {
        Time::from_millis(seconds * 1000).unwrap()
    }

    #[test]
    fn a_key_is_chosen_by_its_fingerprint_or_in_whole_and_never_one_that_did_not_ask() {
        let [had, asks] = [(); 2].map(|()| UserKey::new(nkeys::KeyPair::new_user().public_key()).unwrap());
        let issued = Issued {
            key: had.clone(),
            since: at(0),
            issued: at(0),
            expires: at(9),
            token: None,
            agent: String::new(),
            request: None,
            told: true,
        };
        let asked = |key: &UserKey, word| Asked {
            key: key.clone(),
            at: at(1),
            token: None,
            agent: String::new(),
            word,
            told: true,
        };
        let device = |state, asked| DeviceRecord {
            state,
            asked,
            key: Some(issued.clone()),
            ..DeviceRecord::new(Serial::new("C02").unwrap())
        };
        let (old, new) = (had.fingerprint(), asks.fingerprint().to_lowercase());
        let waits = || vec![asked(&asks, None)];
        for (device, wanted, chosen) in [
            (device(State::Enrolled, waits()), None, Some(&asks)),
            (device(State::Enrolled, waits()), Some(new.as_str()), Some(&asks)),
            (device(State::Enrolled, waits()), Some(asks.as_str()), Some(&asks)),
            (device(State::Enrolled, waits()), Some(old.as_str()), None),
            (device(State::Revoked, waits()), Some(old.as_str()), Some(&had)),
            (device(State::Revoked, Vec::new()), None, Some(&had)),
            (device(State::Enrolled, Vec::new()), None, None),
            (device(State::Enrolled, vec![asked(&had, Some(Word::Denied)), asked(&asks, None)]), None, Some(&asks)),
            (device(State::Denied, vec![asked(&had, None), asked(&asks, None)]), None, None),
            (device(State::Enrolled, waits()), Some("U"), None),
        ] {
            assert_eq!(choose(&device, wanted).ok().as_ref(), chosen, "{wanted:?} of {device:?}");
        }
    }

    #[test]
    fn what_did_not_work_is_said_of_each() {
        let done = Became { done: vec!["C02".to_owned()], ..Became::default() };
        assert_eq!(done.trouble(), None);
        let refused = [("C03", "it has no credential"), ("C04", "no key of it waits")];
        let refused = refused.map(|(serial, reason)| (serial.to_owned(), reason.to_owned())).to_vec();
        let trouble = Became { refused, unheard: 1, ..done }.trouble().unwrap();
        assert!(trouble.starts_with("C03: it has no credential; C04: no key of it waits; it is ordered"), "{trouble}");
    }
}
