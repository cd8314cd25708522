//! The filters a program may call: jaq's, without those that look outside, and Emote's own.

use jaq_core::{
    Cv, Error, Exn, RunPtr, ValXs,
    native::{Filter, Fun, bome, run, v},
};
use jaq_json::{Val, ValR};
use jaq_std::ValT as _;
use serde_json::Value;

use super::{Data, convert, plist, time, xml};

type Native = Filter<RunPtr<Data>>;

pub(super) fn all() -> impl Iterator<Item = Fun<Data>> {
    let own = own();
    let replaced: Vec<&str> = own.iter().map(|(name, ..)| *name).collect();
    let funs = jaq_core::funs::<Data>().chain(jaq_std::funs::<Data>()).chain(jaq_json::funs::<Data>());
    funs.filter(move |(name, ..)| !replaced.contains(name)).chain(own.into_iter().map(run::<Data>))
}

fn own() -> Vec<Native> {
    vec![
        ("from_plist", v(0), |cv| bome(read(cv, plist::from_text))),
        ("from_xml", v(0), |cv| bome(read(cv, |text| xml::parse(text.as_bytes()).map_err(|error| error.to_string())))),
        // jaq's own recurses as deep as the text does.
        ("fromjson", v(0), |cv| bome(read(cv, |text| serde_json::from_str(text).map_err(|error| error.to_string())))),
        ("epoch_time", v(0), |cv| bome(Ok(epoch_time(&cv.1).map_or(Val::Null, convert::text_val)))),
        ("to_time", v(0), |cv| bome(Ok(to_time(&cv.1).map_or(Val::Null, convert::text_val)))),
        ("epoch_ms", v(0), |cv| bome(Ok(epoch_ms(&cv.1).unwrap_or(Val::Null)))),
        ("to_token", v(0), |cv| bome(with_text(&cv.1, |text| Ok(to_token(text).map_or(Val::Null, convert::text_val))))),
        ("env", v(0), |cv| refuse(cv, "env")),
        ("now", v(0), |cv| refuse(cv, "now")),
        ("halt", v(1), |cv| refuse(cv, "halt")),
        ("localtime", v(0), |cv| refuse(cv, "localtime")),
        ("strflocaltime", v(1), |cv| refuse(cv, "strflocaltime")),
        ("debug_empty", v(0), |_| Box::new(std::iter::empty())),
        ("stderr_empty", v(0), |_| Box::new(std::iter::empty())),
    ]
}

fn refuse<'a>(_: Cv<'a, Data>, name: &str) -> ValXs<'a, Val> {
    let message = format!("{name} is not to be had here: a program sees its input and its variables and nothing else");
    Box::new(std::iter::once(Err(Exn::from(Error::str(message)))))
}

fn with_text(value: &Val, read: impl FnOnce(&str) -> ValR) -> ValR {
    match value.as_utf8_bytes().map(String::from_utf8_lossy) {
        Some(text) => read(&text),
        None => Err(Error::typ(value.clone(), "string")),
    }
}

fn read(cv: Cv<'_, Data>, parse: impl FnOnce(&str) -> Result<Value, String>) -> ValR {
    with_text(&cv.1, |text| parse(text).map(|value| convert::to_val(&value)).map_err(Error::str))
}

fn epoch_time(value: &Val) -> Option<String> {
    let number = match value.as_utf8_bytes() {
        Some(text) => std::str::from_utf8(text).ok()?.trim().parse::<f64>().ok()?,
        None => value.as_f64()?,
    };
    time::of_epoch(number)
}

fn to_time(value: &Val) -> Option<String> {
    match value.as_utf8_bytes() {
        Some(text) => time::of_text(std::str::from_utf8(text).ok()?),
        None => epoch_time(value),
    }
}

/// The milliseconds since 1970 of a point in time.
fn epoch_ms(value: &Val) -> Option<Val> {
    let text = std::str::from_utf8(value.as_utf8_bytes()?).ok()?;
    let at: jiff::Timestamp = text.trim().parse().ok()?;
    Some(convert::to_val(&Value::from(at.as_millisecond())))
}

/// Splits at everything that is no letter or digit and where lower case turns upper, and joins with `_`.
fn to_token(text: &str) -> Option<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut token = String::new();
    for (at, char) in chars.iter().enumerate() {
        if !char.is_ascii_alphanumeric() {
            if !token.is_empty() && !token.ends_with('_') {
                token.push('_');
            }
            continue;
        }
        let before = at.checked_sub(1).and_then(|at| chars.get(at));
        let after = chars.get(at + 1);
        let starts_word = char.is_ascii_uppercase()
            && (before.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
                || before.is_some_and(char::is_ascii_uppercase) && after.is_some_and(char::is_ascii_lowercase));
        if starts_word && !token.is_empty() && !token.ends_with('_') {
            token.push('_');
        }
        token.push(char.to_ascii_lowercase());
    }
    token.truncate(64);
    let token = token.trim_end_matches('_');
    (!token.is_empty()).then(|| token.to_owned())
}
