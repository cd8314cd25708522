//! Reading what most events are, in one pass and without a [`Value`](serde_json::Value) between. Whatever is unusual (a
//! key that is not known, a key twice, a value of another type, a mistake) is left to the way over a value, which says
//! what is wrong: this one only ever gives what that one would.

use std::{borrow::Cow, str::FromStr};

use serde_json::{Map, value::RawValue};

use super::{Cause, Device, Draft, Info, Trust, User, cursor::Cursor};
use crate::{EventId, Name, Time, Token, serial::spelled};

/// The draft, if there is nothing unusual about it.
pub(super) fn draft(json: &[u8]) -> Option<Draft> {
    let mut cursor = Cursor::new(std::str::from_utf8(json).ok()?);
    let (mut once, mut found) = (Once::default(), Found::default());
    cursor.object(|cursor, key| match key {
        "id" => once.set(0, &mut found.id, parsed(cursor)?),
        "time" => once.set(1, &mut found.time, parsed(cursor)?),
        "source" => once.set(2, &mut found.source, parsed(cursor)?),
        "scope" => once.set(3, &mut found.scope, parsed(cursor)?),
        "action" => once.set(4, &mut found.action, parsed(cursor)?),
        "device" => once.set(5, &mut found.device, unless_null(cursor, device)?),
        "user" => once.set(6, &mut found.user, unless_null(cursor, user)?),
        "info" => once.set(7, &mut found.info, unless_null(cursor, info)?),
        "communicate" => once.set(8, &mut found.communicate, cursor.flag()?),
        "log" => once.set(9, &mut found.log, cursor.flag()?),
        "trust" => once.set(10, &mut found.trust, trust(cursor.text()?)?),
        "cause" => once.set(11, &mut found.cause, unless_null(cursor, cause)?),
        _ => None,
    })?;
    if !cursor.is_at_end() {
        return None;
    }
    let Found { id, time, source, scope, action, device, user, info, communicate, log, trust, cause } = found;
    let (scope, action, other) = (scope?, action?, Map::new());
    Some(Draft { id, time, source, scope, action, device, user, info, communicate, log, trust, cause, other })
}

/// A [`Draft`] on the way.
#[derive(Default)]
struct Found {
    id: Option<EventId>,
    time: Option<Time>,
    source: Option<Name>,
    scope: Option<Token>,
    action: Option<Token>,
    device: Option<Device>,
    user: Option<User>,
    info: Option<Info>,
    communicate: Option<bool>,
    log: Option<bool>,
    trust: Option<Trust>,
    cause: Option<Cause>,
}

/// Which keys there were.
#[derive(Default)]
struct Once(u16);

impl Once {
    fn set<T>(&mut self, key: u32, place: &mut T, value: T) -> Option<()> {
        let is_first = self.0 & 1 << key == 0;
        self.0 |= 1 << key;
        *place = value;
        is_first.then_some(())
    }
}

fn unless_null<'a, T>(cursor: &mut Cursor<'a>, read: impl FnOnce(&mut Cursor<'a>) -> Option<T>) -> Option<Option<T>> {
    if cursor.is_null() { Some(None) } else { read(cursor).map(Some) }
}

fn parsed<T: FromStr>(cursor: &mut Cursor<'_>) -> Option<Option<T>> {
    match cursor.text()? {
        None => Some(None),
        Some(text) => text.parse().ok().map(Some),
    }
}

fn owned(cursor: &mut Cursor<'_>) -> Option<Option<String>> {
    Some(cursor.text()?.map(Cow::into_owned))
}

fn trust(word: Option<Cow<'_, str>>) -> Option<Option<Trust>> {
    match word {
        None => Some(None),
        Some(word) => Trust::parse(&word).map(Some),
    }
}

fn info(cursor: &mut Cursor<'_>) -> Option<Info> {
    if let Some(json) = cursor.plain_value() {
        return Some(Info::plain(json));
    }
    Info::as_written(cursor.any::<&RawValue>()?.get())
}

fn cause(cursor: &mut Cursor<'_>) -> Option<Cause> {
    serde_json::from_str(cursor.plain_value()?).ok()
}

fn device(cursor: &mut Cursor<'_>) -> Option<Device> {
    let (mut once, mut device) = (Once::default(), Device::default());
    cursor.object(|cursor, key| {
        let (bit, place) = match key {
            "uuid" => (0, &mut device.uuid),
            "udid" => (1, &mut device.udid),
            "hardware_uuid" => (2, &mut device.hardware_uuid),
            "name" => (3, &mut device.name),
            "model" => (4, &mut device.model),
            "os_version" => (5, &mut device.os_version),
            _ => return None,
        };
        once.set(bit, place, owned(cursor)?)
    })?;
    device.uuid = device.uuid.map(spelled);
    Some(device)
}

fn user(cursor: &mut Cursor<'_>) -> Option<User> {
    let (mut once, mut user) = (Once::default(), User::default());
    cursor.object(|cursor, key| match key {
        "id" => once.set(0, &mut user.id, owned(cursor)?),
        "name" => once.set(1, &mut user.name, owned(cursor)?),
        _ => None,
    })?;
    Some(user)
}
