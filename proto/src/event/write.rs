//! Writing JSON: the known fields in the documented order, then the unknown ones.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::{Device, Draft, Event, User};

/// Room for what most events have besides `info`.
const ROOM: usize = 640;

pub(super) fn draft(draft: &Draft) -> Vec<u8> {
    // Maps with string keys, strings, numbers and booleans: nothing here can fail to serialise.
    serde_json::to_vec(draft).unwrap_or_default()
}

/// What [`Event`]'s `Serialize` writes, in fewer steps: this is done of every event there is.
pub(super) fn event(event: &Event) -> String {
    let info = event.info.as_ref().map(|info| info.json());
    let mut json = Json(String::with_capacity(ROOM + info.map_or(0, str::len)));
    json.open();
    json.text("\"id\":", event.id.written(&mut [0; _]));
    json.key("\"time\":\"");
    event.time.write_to(&mut json.0);
    json.key("\",");
    json.text("\"source\":", event.source.as_str());
    json.text("\"scope\":", event.scope.as_str());
    json.text("\"action\":", event.action.as_str());
    json.text("\"trust\":", event.trust.word());
    if let Some(Device { uuid, udid, hardware_uuid, name, model, os_version, other }) = &event.device {
        json.key("\"device\":");
        json.open();
        json.some_text("\"uuid\":", uuid);
        json.some_text("\"udid\":", udid);
        json.some_text("\"hardware_uuid\":", hardware_uuid);
        json.some_text("\"name\":", name);
        json.some_text("\"model\":", model);
        json.some_text("\"os_version\":", os_version);
        json.close(other);
        json.key(",");
    }
    if let Some(User { id, name, other }) = &event.user {
        json.key("\"user\":");
        json.open();
        json.some_text("\"id\":", id);
        json.some_text("\"name\":", name);
        json.close(other);
        json.key(",");
    }
    if let Some(info) = info {
        json.key("\"info\":");
        json.key(info);
        json.key(",");
    }
    json.some("\"communicate\":", &event.communicate);
    json.some("\"log\":", &event.log);
    json.some("\"cause\":", &event.cause);
    json.close(&event.other);
    json.0
}

/// JSON on the way. Each field ends with a comma, which [`Json::close`] takes back.
struct Json(String);

impl Json {
    fn open(&mut self) {
        self.0.push('{');
    }

    /// A key with its quotes and colon, or other JSON as it is.
    fn key(&mut self, written: &str) {
        self.0.push_str(written);
    }

    fn text(&mut self, key: &str, text: &str) {
        let must_be_escaped = |byte| byte < b' ' || byte == b'"' || byte == b'\\';
        if text.bytes().fold(false, |found, byte| found | must_be_escaped(byte)) {
            return self.value(key, text);
        }
        self.key(key);
        self.0.push('"');
        self.key(text);
        self.key("\",");
    }

    fn value(&mut self, key: &str, value: &(impl Serialize + ?Sized)) {
        self.key(key);
        // As in [`draft`].
        self.key(&serde_json::to_string(value).unwrap_or_default());
        self.0.push(',');
    }

    fn some_text(&mut self, key: &str, text: &Option<String>) {
        if let Some(text) = text {
            self.text(key, text);
        }
    }

    fn some(&mut self, key: &str, value: &Option<impl Serialize>) {
        if let Some(value) = value {
            self.value(key, value);
        }
    }

    /// The fields that are not known, and the end.
    fn close(&mut self, other: &Map<String, Value>) {
        for (key, value) in other {
            self.value("", key);
            self.0.pop();
            self.value(":", value);
        }
        if self.0.ends_with(',') {
            self.0.pop();
        }
        self.0.push('}');
    }
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
