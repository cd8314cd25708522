//! Writing JSON: the known fields in the documented order, then the unknown ones.

use serde::{Serialize, Serializer};

use super::{Device, Draft, Event, User};

pub(super) fn to_json(event: &impl Serialize) -> Vec<u8> {
    // Maps with string keys, strings, numbers and booleans: nothing here can fail to serialise.
    serde_json::to_vec(event).unwrap_or_default()
}

/// Writes the known fields that are there, then the unknown ones.
macro_rules! write_fields {
    ($serializer:expr, $self:expr, required: [$($required:ident),*], optional: [$($optional:ident),*]) => {{
        use serde::ser::SerializeMap;
        let mut map = $serializer.serialize_map(None)?;
        $(map.serialize_entry(stringify!($required), &$self.$required)?;)*
        $(if let Some(value) = &$self.$optional { map.serialize_entry(stringify!($optional), value)?; })*
        for (key, value) in &$self.other { map.serialize_entry(key, value)?; }
        map.end()
    }};
}

impl Serialize for Device {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write_fields!(serializer, self, required: [], optional: [uuid, udid, hardware_uuid, name, model, os_version])
    }
}

impl Serialize for User {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write_fields!(serializer, self, required: [], optional: [id, name])
    }
}

impl Serialize for Draft {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = serializer.serialize_map(None)?;
        macro_rules! optional {
            ($($field:ident),*) => { $(if let Some(value) = &self.$field { map.serialize_entry(stringify!($field), value)?; })* };
        }
        optional!(id, time, source);
        map.serialize_entry("scope", &self.scope)?;
        map.serialize_entry("action", &self.action)?;
        optional!(device, user, info, communicate, log, trust, cause);
        for (key, value) in &self.other {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write_fields!(serializer, self,
            required: [id, time, source, scope, action, trust],
            optional: [device, user, info, communicate, log, cause])
    }
}
