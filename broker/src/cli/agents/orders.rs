//! `emote agents approve`, `deny`, `revoke` and `rotate`.

use std::{collections::BTreeSet, time::Duration};

use emote_proto::{Serial, Time, enroll::UserKey};
use serde_json::{Value, json};

use super::{
    super::{Exit, Output, applying::Signed, print_line, render},
    Order,
    outcome::Waited,
    vouch,
};
use crate::{
    bus::Bus,
    identity::{
        Registry,
        order::{MAX_SERIALS, What},
        record::{DeviceRecord, State},
    },
};

/// How long NATS may take to know who is shut out.
const PUSHED_WITHIN: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(super) async fn give(what: What, order: Order) -> anyhow::Result<Exit> {
    let bus = order.server.connect().await?;
    let serials: BTreeSet<&str> = order.which.serials.iter().map(Serial::as_str).collect();
    let serials: Vec<&str> = serials.into_iter().collect();
    let mut refused = None;
    for some in serials.chunks(MAX_SERIALS) {
        let info = json!({"serials": some});
        refused = ordered(&bus, what, info, some.len(), &order.signed).await?.or(refused);
    }
    if what == What::Revoke {
        shut_out(&bus, &order.which.serials).await?;
    }
    match refused {
        None => Ok(Exit::Ok),
        Some(reason) => anyhow::bail!("{reason}"),
    }
}

pub(super) async fn approve(
    bus: &Bus,
    serials: &[Serial],
    key: Option<&str>,
    signed: &Signed,
    output: Output,
) -> anyhow::Result<Exit> {
    if key.is_some() && serials.len() > 1 {
        anyhow::bail!("--fingerprint is the key of one Mac: approve them one by one");
    }
    let registry = Registry::new(bus.clone());
    let mut chosen = Vec::new();
    for serial in serials {
        let Some(device) = registry.device(serial).await?.record else {
            anstream::eprintln!("{serial} never asked for a credential (`emote agents pending`).");
            return Ok(Exit::NotFound);
        };
        chosen.push((choose(&device, key)?, device));
    }
    let mut refused = None;
    for (key, device) in chosen {
        let vouch = vouch::of(bus, &device.serial).await;
        if output == Output::Table {
            let text = format!("{}  key {}  ({})", device.serial, key.fingerprint(), vouch::text(&vouch));
            print_line(text)?;
        }
        // The key stands in the order: should another one ask meanwhile, it is not the one that was looked at.
        let info = json!({"serials": [device.serial], "key": key});
        refused = ordered(bus, What::Approve, info, 1, signed).await?.or(refused);
    }
    match refused {
        None => Ok(Exit::Ok),
        Some(reason) => anyhow::bail!("{reason}"),
    }
}

fn choose(device: &DeviceRecord, wanted: Option<&str>) -> anyhow::Result<UserKey> {
    let Some(wanted) = wanted else {
        return device.meant().map_err(|error| anyhow::anyhow!("{}: {error}", device.serial));
    };
    let known = device.asked.iter().map(|asked| &asked.key);
    let known = known.chain(device.key.iter().filter(|_| device.state != State::Enrolled).map(|had| &had.key));
    let found = known.into_iter().find(|key| key.as_str() == wanted || key.fingerprint().eq_ignore_ascii_case(wanted));
    found
        .cloned()
        .ok_or_else(|| anyhow::anyhow!("no key {wanted} asks for {0}: `emote agents show {0}`", device.serial))
}

/// Orders it and says what became of it; gives why something was not carried out.
async fn ordered(bus: &Bus, what: What, info: Value, count: usize, signed: &Signed) -> anyhow::Result<Option<String>> {
    let mut waited = Waited::begin(bus).await?;
    let id = signed.signature(bus)?.order(bus, &format!("agent.{}", what.ordered()), info).await?;
    let outcomes = waited.outcomes(id, count).await?;
    let mut refused = None;
    for outcome in &outcomes {
        let serial = outcome.serial.as_deref().unwrap_or("-");
        match &outcome.refused {
            None => drop(print_line(format!("{serial}: {}", said(what)))?),
            Some(reason) => refused = Some(format!("{serial}: {reason}")),
        }
    }
    if outcomes.len() < count {
        refused = Some(
            "it is ordered, but no broker has come to all of it yet: does one run, with an identity section? (`emote agents ls`)"
                .to_owned(),
        );
    }
    Ok(refused)
}

fn said(what: What) -> &'static str {
    match what {
        What::Approve => "approved; it is let in when it asks again, within a minute or two",
        What::Deny => "denied",
        What::Revoke => "revoked",
        What::Rotate => "told to change its key, and again with each of its heartbeats until it has",
    }
}

/// Waits until NATS knows who is shut out, and says what is to be done where it is not told.
async fn shut_out(bus: &Bus, serials: &[Serial]) -> anyhow::Result<()> {
    let registry = Registry::new(bus.clone());
    let until = tokio::time::Instant::now() + PUSHED_WITHIN;
    for serial in serials {
        loop {
            let now = Time::from(jiff::Timestamp::now());
            let Some(device) = registry.device(serial).await?.record else { break };
            let left: Vec<_> =
                device.shut.iter().filter(|shut| !shut.pushed && shut.from <= now && shut.until > now).collect();
            let [first, ..] = left.as_slice() else {
                if device.state == State::Revoked {
                    print_line(format!("{serial}: NATS has closed its connection and lets it in no more"))?;
                }
                break;
            };
            if tokio::time::Instant::now() >= until {
                anstream::eprintln!(
                    "{}{serial}: NATS lets its credential in until {}.{} Where the brokers' emote.yaml has no \
                     identity.operator_key, do it yourself:\n  nsc revocations add-user --account EMOTE --user-public-key {} && nsc push --account EMOTE",
                    render::ERROR,
                    first.until,
                    render::ERROR.render_reset(),
                    first.key
                );
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
    Ok(())
}
