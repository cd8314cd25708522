//! `emote agents ls` and `pending`.

use emote_proto::Time;
use serde_json::json;

use super::super::{Exit, Output, print_line, render, table};
use crate::{
    bus::Bus,
    console::view::agents::{Vouches, beside, ends, remarks},
    identity::{
        Registry,
        record::{DeviceRecord, State},
    },
};

/// A state, as an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum StateArg {
    Pending,
    Enrolled,
    Denied,
    Revoked,
}

impl StateArg {
    fn is(self, state: State) -> bool {
        let wanted = match self {
            Self::Pending => State::Pending,
            Self::Enrolled => State::Enrolled,
            Self::Denied => State::Denied,
            Self::Revoked => State::Revoked,
        };
        wanted == state
    }
}

pub(super) async fn all(bus: &Bus, state: Option<StateArg>, output: Output) -> anyhow::Result<Exit> {
    let mut devices = Registry::new(bus.clone()).devices().await?;
    devices.retain(|device| state.is_none_or(|state| state.is(device.state)));
    match output {
        Output::Json => {
            for device in devices {
                print_line(serde_json::to_string(&device)?)?;
            }
        }
        Output::Table if devices.is_empty() => {
            print_line("No Mac has asked for a credential yet: `emote agents token create` makes what they ask with.")?;
        }
        Output::Table => drop(print_line(rows(&devices, jiff::Timestamp::now().into()))?),
    }
    Ok(Exit::Ok)
}

fn rows(devices: &[DeviceRecord], now: Time) -> String {
    let mut table = table::table(&["serial", "state", "key", "ends in", "agent", "remarks"]);
    for device in devices {
        let key = device.key.as_ref();
        table.add_row([
            render::clip(device.serial.as_str(), 40),
            device.state.word().to_owned(),
            key.map_or("-".to_owned(), |key| key.key.fingerprint()),
            key.filter(|_| device.state == State::Enrolled).map_or("-".to_owned(), |key| ends(key.expires, now)),
            key.map_or("-".to_owned(), |key| render::clip(&key.agent, 20)),
            remarks(device, now),
        ]);
    }
    table::lines(&mut table)
}

pub(super) async fn pending(bus: &Bus, output: Output) -> anyhow::Result<Exit> {
    let mut devices = Registry::new(bus.clone()).devices().await?;
    devices.retain(DeviceRecord::waits);
    if devices.is_empty() && output == Output::Table {
        print_line("Nobody waits.")?;
        return Ok(Exit::Ok);
    }
    let now = jiff::Timestamp::now().into();
    let mut table = table::table(&["serial", "key", "asked", "token", "agent", "the MDM", "remarks"]);
    let vouches = Vouches::ask(bus, devices.iter().map(|device| &device.serial)).await?;
    for device in devices {
        for asked in device.asked.iter().filter(|asked| asked.word.is_none()) {
            if output == Output::Json {
                let known = vouches.of(&device.serial);
                let fingerprint = asked.key.fingerprint();
                print_line(json!({"serial": device.serial, "state": device.state, "key": asked.key,
                    "fingerprint": fingerprint, "asked": asked.at, "token": asked.token, "agent": asked.agent, "mdm": known}))?;
                continue;
            }
            table.add_row([
                render::clip(device.serial.as_str(), 40),
                asked.key.fingerprint(),
                format!("{} ago", render::ago(asked.at, now)),
                asked.token.as_ref().map_or("-".to_owned(), ToString::to_string),
                render::clip(&asked.agent, 20),
                vouches.text(&device.serial),
                beside(&device),
            ]);
        }
    }
    if output == Output::Table {
        print_line(table::lines(&mut table))?;
    }
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::record::{Asked, Duplicate, Issued};
    use emote_proto::{Serial, enroll::UserKey};

    fn at(seconds: i64) -> Time {
        Time::from_millis(seconds * 1000).unwrap()
    }

    #[test]
    fn a_list_says_what_is_to_be_done() {
        let key = UserKey::new("UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4").unwrap();
        let issued = Issued {
            key: key.clone(),
            since: at(0),
            issued: at(0),
            expires: at(30 * 86_400),
            token: None,
            agent: "1.0".to_owned(),
            request: None,
            told: true,
        };
        let asked = Asked { key, at: at(0), token: None, agent: "1.0".to_owned(), word: None, told: true };
        let new = |serial: &str| DeviceRecord::new(Serial::new(serial).unwrap());
        let mut enrolled = DeviceRecord { state: State::Enrolled, key: Some(issued), ..new("C02XL0GTJGH5") };
        let mut revoked = DeviceRecord { state: State::Revoked, ..enrolled.clone() };
        revoked.shut_key(at(5));
        enrolled.duplicate = Some(Duplicate { first: at(1), told: at(1), seen: String::new() });
        let waits = DeviceRecord { asked: vec![asked], ..new("C03") };
        insta::assert_snapshot!(rows(&[enrolled, revoked, waits], at(9 * 86_400)), @"
        SERIAL        STATE     KEY                  ENDS IN  AGENT  REMARKS
        C02XL0GTJGH5  enrolled  DXU4-RCSJ-NZOI-QHZN  21d      1.0    two machines under this identity
        C02XL0GTJGH5  revoked   DXU4-RCSJ-NZOI-QHZN  -        1.0    NATS still lets it in
        C03           pending   -                    -        -      waits for a word
        ");
    }
}
