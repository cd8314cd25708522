//! Who this machine is, and how a draft becomes a record under its name.

use std::sync::Mutex;

use emote_proto::{Device, Draft, EventId, Name, Time, limits};

use crate::spool::{Class, Record};
use emote_proto::Serial;

/// Why a draft cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// Larger than [`limits::MAX_EVENT`] once complete.
    #[error("the event has {0} bytes of JSON: at most {max} are taken; shorten \"info\"", max = limits::MAX_EVENT)]
    TooLarge(usize),
    /// The system gave no random bytes for an id.
    #[error("no random bytes for an event id: {0}")]
    Random(String),
}

/// How much of the device an event carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Describe {
    /// The serial number only.
    Serial,
    /// Everything known.
    Whole,
}

/// The machine's serial number and what is known of it.
#[derive(Debug)]
pub struct Identity {
    serial: Serial,
    device: Mutex<Device>,
}

impl Identity {
    /// `device.uuid` is set to the serial number.
    pub fn new(serial: Serial, device: Device) -> Self {
        let device = Device { uuid: Some(serial.to_string()), ..device };
        Self { serial, device: Mutex::new(device) }
    }

    /// The serial number.
    pub fn serial(&self) -> &Serial {
        &self.serial
    }

    /// What may change while the agent runs.
    pub fn rename(&self, name: Option<String>, os_version: Option<String>) {
        if let Ok(mut device) = self.device.lock() {
            device.name = name.or_else(|| device.name.take());
            device.os_version = os_version.or_else(|| device.os_version.take());
        }
    }

    /// Completes a draft of this machine: id and time unless it has them, source and device.
    pub fn seal(&self, draft: Draft, class: Class, describe: Describe, now: Time) -> Result<Record, SealError> {
        let mut random = [0; 10];
        getrandom::fill(&mut random).map_err(|error| SealError::Random(error.to_string()))?;
        let id = draft.id.unwrap_or_else(|| EventId::fresh(u64::try_from(now.as_millis()).unwrap_or(0), &random));
        let subject = self.serial.subject(&draft.scope, &draft.action);
        let time = draft.time.unwrap_or(now);
        let device = Some(self.device(draft.device, describe));
        let source = Name::new("agent").ok();
        let json = Draft { id: Some(id), time: Some(time), source, device, ..draft }.to_json();
        if json.len() > limits::MAX_EVENT {
            return Err(SealError::TooLarge(json.len()));
        }
        Ok(Record { class, time, id, subject, json })
    }

    /// What the draft says of its device goes before what the agent knows.
    fn device(&self, said: Option<Device>, describe: Describe) -> Device {
        let said = said.unwrap_or_default();
        let known = match (describe, self.device.lock()) {
            (Describe::Whole, Ok(device)) => device.clone(),
            _ => Device::default(),
        };
        Device {
            uuid: Some(self.serial.to_string()),
            udid: said.udid.or(known.udid),
            hardware_uuid: said.hardware_uuid.or(known.hardware_uuid),
            name: said.name.or(known.name),
            model: said.model.or(known.model),
            os_version: said.os_version.or(known.os_version),
            other: said.other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::Kind;
    use serde_json::{Value, json};

    fn identity() -> Identity {
        Identity::new(Serial::new("C02").unwrap(), Device { model: Some("Mac14,2".into()), ..Device::default() })
    }

    fn now() -> Time {
        "2026-11-23T06:41:00.123Z".parse().unwrap()
    }

    #[test]
    fn a_sealed_event_says_who_when_and_about_what() {
        let draft = Kind::DiskLow.draft(json!({"mount": "/"}));
        let record = identity().seal(draft, Class::Lifecycle, Describe::Whole, now()).unwrap();
        assert_eq!(record.subject, "events.agent.C02.disk.low");
        let json: Value = serde_json::from_slice(&record.json).unwrap();
        assert_eq!(
            json,
            json!({"id": record.id, "time": "2026-11-23T06:41:00.123Z", "source": "agent", "scope": "disk",
                "action": "low", "device": {"uuid": "C02", "model": "Mac14,2"}, "info": {"mount": "/"}})
        );
        assert_eq!(record.id.unix_millis(), Some(1_795_416_060_123));
    }

    #[test]
    fn an_event_that_no_stream_would_take_is_refused_before_it_is_kept() {
        let draft = Kind::DiskLow.draft(json!({"text": "x".repeat(limits::MAX_EVENT)}));
        let error = identity().seal(draft, Class::Lifecycle, Describe::Serial, now()).unwrap_err();
        assert!(error.to_string().contains("at most 262144"), "{error}");
    }
}
