//! Reading what most events are, in one pass and without a [`Value`](serde_json::Value) between. Whatever is unusual (a
//! key that is not known, a key twice, a value of another type, a mistake) is left to the way over a value, which says
//! what is wrong: this one only ever gives what that one would.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, value::RawValue};

use super::{Cause, Device, Draft, Info, Trust, User};
use crate::serial::spelled;

/// The draft, if there is nothing unusual about it.
pub(super) fn draft(json: &[u8]) -> Option<Draft> {
    // Of a text every string is known to be UTF-8.
    let plain: Plain<'_> = serde_json::from_str(std::str::from_utf8(json).ok()?).ok()?;
    let trust = match plain.trust.0 {
        None => None,
        Some(word) => Some(Trust::parse(&word)?),
    };
    Some(Draft {
        id: parsed(plain.id)?,
        time: parsed(plain.time)?,
        source: parsed(plain.source)?,
        scope: parsed(plain.scope)??,
        action: parsed(plain.action)??,
        device: plain.device.map(PlainDevice::device),
        user: plain.user.map(PlainUser::user),
        info: match plain.info {
            None => None,
            Some(json) => Some(Info::as_written(json)?),
        },
        communicate: plain.communicate,
        log: plain.log,
        trust,
        cause: plain.cause,
        other: Map::new(),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain<'a> {
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow, default)]
    time: Text<'a>,
    #[serde(borrow, default)]
    source: Text<'a>,
    #[serde(borrow, default)]
    scope: Text<'a>,
    #[serde(borrow, default)]
    action: Text<'a>,
    #[serde(borrow)]
    device: Option<PlainDevice<'a>>,
    #[serde(borrow)]
    user: Option<PlainUser<'a>>,
    #[serde(borrow)]
    info: Option<&'a RawValue>,
    communicate: Option<bool>,
    log: Option<bool>,
    #[serde(borrow, default)]
    trust: Text<'a>,
    cause: Option<Cause>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainDevice<'a> {
    #[serde(borrow, default)]
    uuid: Text<'a>,
    #[serde(borrow, default)]
    udid: Text<'a>,
    #[serde(borrow, default)]
    hardware_uuid: Text<'a>,
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default)]
    model: Text<'a>,
    #[serde(borrow, default)]
    os_version: Text<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainUser<'a> {
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow, default)]
    name: Text<'a>,
}

impl PlainDevice<'_> {
    fn device(self) -> Device {
        Device {
            uuid: self.uuid.owned().map(spelled),
            udid: self.udid.owned(),
            hardware_uuid: self.hardware_uuid.owned(),
            name: self.name.owned(),
            model: self.model.owned(),
            os_version: self.os_version.owned(),
            other: Map::new(),
        }
    }
}

impl PlainUser<'_> {
    fn user(self) -> User {
        User { id: self.id.owned(), name: self.name.owned(), other: Map::new() }
    }
}

/// A string that may be null or empty, which both are as if it were not there.
#[derive(Default)]
struct Text<'a>(Option<Cow<'a, str>>);

impl Text<'_> {
    fn owned(self) -> Option<String> {
        self.0.map(Cow::into_owned)
    }
}

fn parsed<T: std::str::FromStr>(text: Text<'_>) -> Option<Option<T>> {
    match text.0 {
        None => Some(None),
        Some(text) => text.parse().ok().map(Some),
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a string or null")
            }

            fn visit_unit<E>(self) -> Result<Text<'de>, E> {
                Ok(Text(None))
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text((!text.is_empty()).then_some(Cow::Borrowed(text))))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text((!text.is_empty()).then(|| Cow::Owned(text.to_owned()))))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}
