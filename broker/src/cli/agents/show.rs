//! `emote agents show`.

use std::fmt::Write as _;

use emote_proto::{Serial, Time};

use super::super::{Exit, Output, print_line, render};
use crate::{
    bus::Bus,
    console::view::agents::{Vouches, ends, json_of, remarks, shut, word},
    identity::{
        Registry,
        record::{DeviceRecord, State},
    },
};

pub(super) async fn run(bus: &Bus, serial: &Serial, output: Output) -> anyhow::Result<Exit> {
    let Some(device) = Registry::new(bus.clone()).device(serial).await?.record else {
        anstream::eprintln!("{serial} never asked for a credential: `emote agents ls` lists those that did.");
        return Ok(Exit::NotFound);
    };
    let vouches = Vouches::ask(bus, [serial]).await?;
    match output {
        Output::Json => print_line(json_of(&device, &vouches))?,
        Output::Table => print_line(page(&device, &vouches.text(serial), jiff::Timestamp::now().into()).trim_end())?,
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
        line("asked", &format!("{}  {dim}{}{dim:#}", asked.key.fingerprint(), asked.key));
        let token = asked.token.as_ref().map_or_else(String::new, |token| format!(", by token {token}"));
        line(
            "",
            &format!(
                "{}, {} ago{token}, agent {}",
                word(asked),
                render::ago(asked.at, now),
                render::clip(&asked.agent, 40)
            ),
        );
    }
    for key in &device.shut {
        // Its key again: what is shut out are the credentials from before it was let in anew.
        let again = device.state == State::Enrolled && device.key.as_ref().is_some_and(|had| had.key == key.key);
        let of = if again { ", credentials before this one" } else { "" };
        line("old key", &format!("{}{of}  {}", key.key.fingerprint(), shut(key, now)));
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
