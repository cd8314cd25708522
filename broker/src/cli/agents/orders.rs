//! `emote agents approve`, `deny`, `revoke` and `rotate`.

use std::collections::BTreeSet;

use emote_proto::Serial;

use super::{
    super::{Exit, Output, applying::Signed, print_line, render},
    Order,
};
use crate::{
    bus::Bus,
    console::{
        order::agents::{self, Became, choose, said},
        view::agents::Vouches,
    },
    identity::{Registry, order::What},
};

pub(super) async fn give(what: What, order: Order) -> anyhow::Result<Exit> {
    let bus = order.server.connect().await?;
    let serials = once(&order.which.serials);
    let registry = Registry::new(bus.clone());
    for serial in &serials {
        if registry.device(serial).await?.record.is_none() {
            return Ok(unknown(serial));
        }
    }
    let became = agents::order(&bus, what, &serials, &order.signed.signature(&bus)?).await?;
    say(what, &became)?;
    if what == What::Revoke {
        shut_out(&bus, &serials).await?;
    }
    ended(&became)
}

pub(super) async fn approve(
    bus: &Bus,
    serials: &[Serial],
    key: Option<&str>,
    signed: &Signed,
    output: Output,
) -> anyhow::Result<Exit> {
    let serials = once(serials);
    if key.is_some() && serials.len() > 1 {
        anyhow::bail!("--fingerprint is the key of one Mac: approve them one by one");
    }
    let registry = Registry::new(bus.clone());
    let mut chosen = Vec::new();
    for serial in &serials {
        let Some(device) = registry.device(serial).await?.record else {
            return Ok(unknown(serial));
        };
        chosen.push((serial.clone(), choose(&device, key)?));
    }
    if output == Output::Table {
        let vouches = Vouches::ask(bus, &serials).await?;
        for (serial, key) in &chosen {
            print_line(format!("{serial}  key {}  ({})", key.fingerprint(), vouches.text(serial)))?;
        }
    }
    let became = agents::approve(bus, &chosen, &signed.signature(bus)?).await?;
    say(What::Approve, &became)?;
    ended(&became)
}

/// Nothing is ordered for it: a serial number that was mistyped would be a node from then on.
fn unknown(serial: &Serial) -> Exit {
    anstream::eprintln!("{serial} never asked for a credential: `emote agents ls` lists those that did.");
    Exit::NotFound
}

/// Each once: an order is carried out once for each.
fn once(serials: &[Serial]) -> Vec<Serial> {
    let mut seen = BTreeSet::new();
    serials.iter().filter(|serial| seen.insert(serial.as_str())).cloned().collect()
}

fn say(what: What, became: &Became) -> anyhow::Result<()> {
    for serial in &became.done {
        print_line(format!("{serial}: {}", said(what)))?;
    }
    Ok(())
}

fn ended(became: &Became) -> anyhow::Result<Exit> {
    match became.trouble() {
        None => Ok(Exit::Ok),
        Some(trouble) => anyhow::bail!(trouble),
    }
}

/// Waits until NATS knows who is shut out, and says what is to be done where it is not told.
async fn shut_out(bus: &Bus, serials: &[Serial]) -> anyhow::Result<()> {
    let (out, still_in) = agents::shut_out(bus, serials).await?;
    for serial in out {
        print_line(format!("{serial}: NATS has closed its connection and lets it in no more"))?;
    }
    for still_in in still_in {
        anstream::eprintln!("{}warning:{} {still_in}", render::ERROR, render::ERROR.render_reset());
    }
    Ok(())
}
