//! Reads and writes the registry. Whoever decides reads first, and writes only what nobody changed meanwhile.

use emote_proto::{Serial, bucket, enroll::TokenId};
use serde::{Serialize, de::DeserializeOwned};

use super::record::{DeviceRecord, TokenRecord};
use crate::bus::{Bus, BusError, Entry, Write, WriteError};

const DEVICE: &str = "device";
const TOKEN: &str = "token";

/// A record as it was read, or that there is none.
#[derive(Debug, Clone)]
pub struct Kept<T> {
    revision: u64,
    /// The record.
    pub record: Option<T>,
}

/// The registry, by way of a connection.
#[derive(Clone)]
pub struct Registry {
    bus: Bus,
}

impl Registry {
    /// The one on this NATS.
    pub fn new(bus: Bus) -> Self {
        Self { bus }
    }

    /// The connection.
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// A device's record.
    pub async fn device(&self, serial: &Serial) -> Result<Kept<DeviceRecord>, BusError> {
        self.get(&device_key(serial)).await
    }

    /// A token's record.
    pub async fn token(&self, id: &TokenId) -> Result<Kept<TokenRecord>, BusError> {
        self.get(&token_key(id)).await
    }

    /// All devices, by serial number; what is no record is left out and said.
    pub async fn devices(&self) -> Result<Vec<DeviceRecord>, BusError> {
        self.all(DEVICE).await
    }

    /// All tokens, by id.
    pub async fn tokens(&self) -> Result<Vec<TokenRecord>, BusError> {
        self.all(TOKEN).await
    }

    /// Writes a device's and a token's record, both or none. Where neither changes there is nothing to do.
    pub async fn write(
        &self,
        device: (&Kept<DeviceRecord>, Option<&DeviceRecord>),
        token: (&Kept<TokenRecord>, Option<&TokenRecord>),
    ) -> Result<(), WriteError> {
        let mut writes = Vec::new();
        if let (kept, Some(device)) = device {
            writes.push(write(device_key(&device.serial), kept.revision, device)?);
        }
        if let (kept, Some(token)) = token {
            writes.push(write(token_key(&token.id), kept.revision, token)?);
        }
        if writes.is_empty() { Ok(()) } else { self.bus.write_identity(&writes).await }
    }

    /// Writes a device's record.
    pub async fn write_device(&self, kept: &Kept<DeviceRecord>, device: &DeviceRecord) -> Result<(), WriteError> {
        self.bus.write_identity(&[write(device_key(&device.serial), kept.revision, device)?]).await
    }

    /// Writes a token's record.
    pub async fn write_token(&self, kept: &Kept<TokenRecord>, token: &TokenRecord) -> Result<(), WriteError> {
        self.bus.write_identity(&[write(token_key(&token.id), kept.revision, token)?]).await
    }

    /// Changes a device's record until the change is stored on the record it was made for. `change` gives what it came
    /// to, and whether the record is to be written.
    pub async fn change_device<T>(
        &self,
        serial: &Serial,
        mut change: impl FnMut(Option<&DeviceRecord>) -> (T, Option<DeviceRecord>),
    ) -> Result<T, BusError> {
        loop {
            let kept = self.device(serial).await?;
            let (outcome, record) = change(kept.record.as_ref());
            let Some(record) = record else { return Ok(outcome) };
            match self.write_device(&kept, &record).await {
                Ok(()) => return Ok(outcome),
                Err(WriteError::Overtaken) => {}
                Err(WriteError::Bus(error)) => return Err(error),
            }
        }
    }

    async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Kept<T>, BusError> {
        match self.bus.identity_entry(key).await? {
            None => Ok(Kept { revision: 0, record: None }),
            // Deleted by hand.
            Some(Entry { revision, value }) if value.is_empty() => Ok(Kept { revision, record: None }),
            Some(Entry { revision, value }) => {
                let damaged = |error: serde_json::Error| {
                    let (bucket, key) = (bucket::IDENTITY, key.to_owned());
                    BusError::Damaged { bucket, key, reason: error.to_string() }
                };
                let record = serde_json::from_slice(&value).map_err(damaged)?;
                Ok(Kept { revision, record: Some(record) })
            }
        }
    }

    async fn all<T: DeserializeOwned>(&self, kind: &str) -> Result<Vec<T>, BusError> {
        let entries = self.bus.identity_entries(kind).await?;
        let read = |(key, entry): (&String, &Entry)| match serde_json::from_slice(&entry.value) {
            Ok(record) => Some(record),
            Err(error) => {
                if !entry.value.is_empty() {
                    tracing::warn!(%error, "the registry's record {kind}.{key} is damaged");
                }
                None
            }
        };
        Ok(entries.iter().filter_map(read).collect())
    }
}

fn device_key(serial: &Serial) -> String {
    format!("{DEVICE}.{serial}")
}

fn token_key(id: &TokenId) -> String {
    format!("{TOKEN}.{id}")
}

fn write(key: String, expected: u64, record: &impl Serialize) -> Result<Write, BusError> {
    let value = serde_json::to_vec(record)
        .map_err(|error| BusError::Refused { doing: "writing the registry of agents", reason: error.to_string() })?;
    Ok(Write { key, expected, value })
}
