//! Event ids: version 7 where a source makes them, version 5 where they are derived so that a repeat is the same id.

use serde::{Deserialize, Serialize, Serializer};
use uuid::{Builder, Uuid};

/// The namespace of every derived id: drawn once, never to change.
const NAMESPACE: Uuid = Uuid::from_u128(0x1b2e_0f9a_5c0d_5f3e_9a64_7d4b_c1e8_22f7);

/// The id of an event (RFC 9562 UUID, written in lower case with hyphens) and its `Nats-Msg-Id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct EventId(Uuid);

impl EventId {
    /// A fresh version 7 id for an event that happened at `unix_millis`, from ten random bytes.
    pub fn fresh(unix_millis: u64, random: &[u8; 10]) -> Self {
        Self(Builder::from_unix_timestamp_millis(unix_millis, random).into_uuid())
    }

    /// The version 5 id of `parts`: the same parts give the same id, everywhere and always.
    /// Each part is preceded by its length, so that no two lists of parts run together.
    pub fn derived(parts: &[&str]) -> Self {
        let mut name = Vec::new();
        for part in parts {
            name.extend_from_slice(&(part.len() as u64).to_be_bytes());
            name.extend_from_slice(part.as_bytes());
        }
        Self(Uuid::new_v5(&NAMESPACE, &name))
    }

    /// From a `Nats-Msg-Id`: itself when it is a UUID, else derived from its text.
    pub fn from_message_id(text: &str) -> Self {
        text.parse().unwrap_or_else(|_| Self::derived(&["msg-id", text]))
    }

    /// From an id's 16 bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The id's 16 bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// As it is written, into `buffer`.
    pub fn written<'a>(&self, buffer: &'a mut [u8; 36]) -> &'a str {
        self.0.as_hyphenated().encode_lower(buffer)
    }

    /// When a version 7 id was made, in milliseconds since 1970; `None` for derived ids.
    pub fn unix_millis(&self) -> Option<u64> {
        (self.0.get_version_num() == 7).then(|| self.0.as_u128() >> 80).and_then(|millis| u64::try_from(millis).ok())
    }
}

impl std::fmt::Display for EventId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl Serialize for EventId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.written(&mut [0; _]))
    }
}

impl std::str::FromStr for EventId {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::try_parse(text).map(Self)
    }
}

impl TryFrom<String> for EventId {
    type Error = uuid::Error;
    fn try_from(text: String) -> Result<Self, uuid::Error> {
        text.parse()
    }
}

impl From<EventId> for String {
    fn from(id: EventId) -> String {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_id_carries_its_time() {
        let id = EventId::fresh(1_700_000_000_123, &[7; 10]);
        assert_eq!(id.unix_millis(), Some(1_700_000_000_123));
        assert_eq!(id.to_string().parse::<EventId>().unwrap(), id);
        assert_eq!(EventId::from_message_id(&id.to_string()), id);
    }

    #[test]
    fn derived_ids_depend_on_every_part_and_its_bounds() {
        let id = EventId::derived(&["okta", "ab"]);
        assert_eq!(id, EventId::derived(&["okta", "ab"]));
        assert_ne!(id, EventId::derived(&["okta", "a", "b"]));
        assert_ne!(id, EventId::derived(&["okt", "aab"]));
        assert_eq!(id.unix_millis(), None);
        assert_eq!(EventId::from_message_id("order-1"), EventId::from_message_id("order-1"));
    }

    #[test]
    fn derived_ids_never_change_between_versions() {
        assert_eq!(EventId::derived(&["okta", "ab"]).to_string(), GOLDEN);
    }
    const GOLDEN: &str = "a64c29d5-87af-5257-b215-b904e4a840d8";
}
