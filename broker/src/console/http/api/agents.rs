//! Agents and their credentials.

use emote_proto::Serial;
use serde_json::{Value, json};

use super::{
    super::answer::{Answer, Refusal},
    Outcome,
};
use crate::{
    console::{
        http::visit::{Call, Visit},
        view::agents::{Vouches, Which, json_of},
    },
    identity::record::DeviceRecord,
};

/// Agents in an answer.
const PAGE: usize = 200;

/// Some of the agents, by serial number.
pub(in crate::console::http) struct Page {
    pub(in crate::console::http) devices: Vec<DeviceRecord>,
    /// Whether there are more after the last.
    pub(in crate::console::http) more: bool,
}

/// A page of agents: `?state=waiting|pending|enrolled|denied|revoked&after=SERIAL`.
pub(in crate::console::http) async fn list(call: Call) -> Outcome {
    let asked = Asked::read(&call.visit)?;
    let page = asked.page(&call.visit.registry()?.devices().await?);
    let vouches = Vouches::ask(call.visit.bus(), page.devices.iter().map(|device| &device.serial)).await?;
    let agents: Vec<Value> = page.devices.iter().map(|device| json_of(device, &vouches)).collect();
    Ok(Answer::Json(json!({"agents": agents, "more": page.more})))
}

pub(in crate::console::http) async fn one(call: Call) -> Outcome {
    let device = asked_agent(&call.visit).await?;
    let vouches = Vouches::ask(call.visit.bus(), [&device.serial]).await?;
    Ok(Answer::Json(json_of(&device, &vouches)))
}

/// The agent that the path names.
pub(in crate::console::http) async fn asked_agent(visit: &Visit) -> Result<DeviceRecord, Refusal> {
    let registry = visit.registry()?;
    let none = || {
        let error = "no agent of this serial number ever asked for a credential";
        Refusal::not_found(error, "/agents and /api/v1/agents list those that did.")
    };
    let serial = Serial::new(visit.param("serial")).map_err(|_| none())?;
    registry.device(&serial).await?.record.ok_or_else(none)
}

/// Which agents are asked for.
pub(in crate::console::http) struct Asked {
    pub(in crate::console::http) which: Option<Which>,
    after: String,
}

impl Asked {
    pub(in crate::console::http) fn read(visit: &Visit) -> Result<Self, Refusal> {
        let which = visit.query("state").map(|text| {
            let words: Vec<&str> = Which::all().map(Which::word).collect();
            let wrong = || Refusal::bad("there is no such state", format!("Ask for one of {}.", words.join(", ")));
            Which::parse(text).ok_or_else(wrong)
        });
        Ok(Self { which: which.transpose()?, after: visit.query("after").unwrap_or_default().to_owned() })
    }

    /// Those of `all`, which are in order of their serial numbers.
    pub(in crate::console::http) fn page(&self, all: &[DeviceRecord]) -> Page {
        let mut found = all.iter().filter(|device| {
            device.serial.as_str() > self.after.as_str() && self.which.is_none_or(|which| which.holds(device))
        });
        let devices = found.by_ref().take(PAGE).cloned().collect();
        Page { devices, more: found.next().is_some() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::record::State;

    #[test]
    fn pages_come_to_all_of_those_that_are_asked_for_once() {
        let device = |n: usize| {
            let state = if n.is_multiple_of(2) { State::Enrolled } else { State::Revoked };
            DeviceRecord { state, ..DeviceRecord::new(Serial::new(format!("C{n:04}")).unwrap()) }
        };
        let all: Vec<DeviceRecord> = (0..1_000).map(device).collect();
        for (which, expected) in [(None, 1_000), (Some(Which::In(State::Revoked)), 500), (Some(Which::Waiting), 0)] {
            let (mut found, mut after) = (Vec::new(), String::new());
            loop {
                let page = Asked { which, after }.page(&all);
                assert!(page.devices.len() <= PAGE);
                after = page.devices.last().map(|device| device.serial.to_string()).unwrap_or_default();
                found.extend(page.devices);
                if !page.more {
                    break;
                }
            }
            assert_eq!(found.len(), expected);
            assert!(found.windows(2).all(|two| two[0].serial.as_str() < two[1].serial.as_str()));
            assert!(found.iter().all(|device| which.is_none_or(|which| which.holds(device))));
        }
    }
}
