//! `emote agents show`.

use std::fmt::Write as _;

use emote_proto::{Serial, Time};
use serde_json::json;

use super::{
    super::{Exit, Output, print_line, render},
    list::{ends, remarks},
    vouch,
};
use crate::{
    bus::Bus,
    identity::{
        Registry,
        record::{DeviceRecord, State, Word},
    },
};

pub(super) async fn run(bus: &Bus, serial: &Serial, output: Output) -> anyhow::Result<Exit> {
    let Some(device) = Registry::new(bus.clone()).device(serial).await?.record else {
        anstream::eprintln!("{serial} never asked for a credential: `emote agents ls` lists those that did.");
        return Ok(Exit::NotFound);
    };
    let vouch = vouch::of(bus, serial).await;
    match output {
        Output::Json => print_line(json!({"device": device, "mdm": vouch.ok()}))?,
        Output::Table => print_line(page(&device, &vouch::text(&vouch), jiff::Timestamp::now().into()).trim_end())?,
    };
    Ok(Exit::Ok)
}

fn page(device: &DeviceRecord, mdm: &str, now: Time) -> String {
    let (bold, dim) = (render::BOLD, render::DIM);
    let mut page = format!("{bold}{}{bold:#}  {}\n", device.serial, device.state.word());
    let mut line = |name: &str, text: &str| {
        let _ = writeln!(page, "  {name:<10}{text}");
    };
    line("MDM", mdm);
    let remarks = remarks(device, now);
    if !remarks.is_empty() {
        line("remarks", &remarks);
    }
    if let Some(key) = &device.key {
        let token = key.token.as_ref().map_or_else(String::new, |token| format!(", by token {token}"));
        line("key", &format!("{}  {dim}{}{dim:#}", key.key.fingerprint(), key.key));
        line("", &format!("let in {} ago{token}, agent {}", render::ago(key.since, now), render::clip(&key.agent, 40)));
        if device.state == State::Enrolled {
            line("", &format!("credential of {}, ends in {}", key.issued, ends(key.expires, now)));
        }
    }
    for asked in &device.asked {
        let word = match asked.word {
            None => "waits",
            Some(Word::Approved) => "approved",
            Some(Word::Denied) => "denied",
        };
        line("asked", &format!("{}  {dim}{}{dim:#}", asked.key.fingerprint(), asked.key));
        let token = asked.token.as_ref().map_or_else(String::new, |token| format!(", by token {token}"));
        line(
            "",
            &format!("{word}, {} ago{token}, agent {}", render::ago(asked.at, now), render::clip(&asked.agent, 40)),
        );
    }
    for shut in &device.shut {
        let what = match (shut.from > now, shut.until <= now, shut.pushed) {
            (_, true, _) => "over".to_owned(),
            (true, ..) => format!("good until the new one is used, at the longest for {}", render::ago(now, shut.from)),
            (false, _, true) => "shut out, NATS knows".to_owned(),
            (false, _, false) => format!("shut out, but NATS lets it in for {} yet", ends(shut.until, now)),
        };
        line("old key", &format!("{}  {what}", shut.key.fingerprint()));
    }
    if let Some(ordered) = &device.ordered {
        let reason =
            ordered.reason.as_deref().map_or_else(String::new, |reason| format!(": {}", render::clip(reason, 80)));
        let by = render::clip(&ordered.by, 60);
        line("ordered", &format!("{} by {by} {} ago{reason}", ordered.what, render::ago(ordered.at, now)));
    }
    if let Some(duplicate) = &device.duplicate {
        line("duplicate", &format!("{} ago: {}", render::ago(duplicate.told, now), render::clip(&duplicate.seen, 100)));
    }
    page
}
