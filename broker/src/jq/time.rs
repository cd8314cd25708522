//! Points in time as vendors write them down, as RFC 3339 in UTC.

use jiff::{
    Timestamp,
    civil::DateTime,
    fmt::{rfc2822, strtime},
    tz::TimeZone,
};

/// Numbers below this are seconds, others milliseconds: as seconds it lies in the year 5138, as milliseconds in 1973.
const SECONDS_END: f64 = 1e11;

/// Longest text that is looked at, in bytes.
const MAX_TEXT: usize = 64;

/// Seconds or milliseconds since 1970.
pub(super) fn of_epoch(number: f64) -> Option<String> {
    let millis = if number.abs() < SECONDS_END { number * 1000.0 } else { number }.round();
    // Beyond 2^53 a float is no longer exact, and beyond 9999 no time is.
    if !millis.is_finite() || millis.abs() > 253_402_300_799_999.0 {
        return None;
    }
    let millis: i64 = format!("{millis:.0}").parse().ok()?;
    emote_proto::Time::from_millis(millis).map(String::from)
}

/// A date with its time of day: RFC 3339, with a space for its `T`, with `UTC` or an offset behind a space, RFC 2822, or .NET's;
/// in UTC where it names no zone. What lies before 1970 stands for no time at all, as Go's 0001-01-01 does.
pub(super) fn of_text(text: &str) -> Option<String> {
    let text = text.trim();
    if text.len() > MAX_TEXT {
        return None;
    }
    // .NET's `/Date(1772600767891)/`, perhaps with an offset that changes nothing.
    let dotnet = text.strip_prefix("/Date(").and_then(|rest| rest.strip_suffix(")/"));
    let text = dotnet.map_or(text, |inner| inner.split_once('+').map_or(inner, |(millis, _)| millis));
    if let Ok(number) = text.parse() {
        return of_epoch(number);
    }
    let plain = text.strip_suffix(" UTC").or_else(|| text.strip_suffix(" GMT")).map(|start| format!("{start}Z"));
    // A zone behind a space, as Ruby writes it.
    let plain = plain.unwrap_or_else(|| match text.rsplit_once(' ') {
        Some((start, zone)) if zone.starts_with(['+', '-']) => format!("{start}{zone}"),
        _ => text.to_owned(),
    });
    let stamp = plain
        .parse::<Timestamp>()
        .ok()
        .or_else(|| Timestamp::strptime("%Y-%m-%dT%H:%M:%S%.f%z", plain.replacen(' ', "T", 1)).ok())
        .or_else(|| rfc2822::parse(text).ok().map(|zoned| zoned.timestamp()))
        .or_else(|| with_a_zone_s_name(text))
        .or_else(|| Some(plain.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp()))?;
    (stamp >= Timestamp::UNIX_EPOCH).then(|| String::from(emote_proto::Time::from(stamp)))
}

/// `2026-03-04 05:06:07 +0100 CET`, as Go and others write it: the name is left out.
fn with_a_zone_s_name(text: &str) -> Option<Timestamp> {
    let (start, name) = text.rsplit_once(' ')?;
    let named = name.chars().all(|char| char.is_ascii_uppercase()) && !name.is_empty();
    let parsed = strtime::parse("%Y-%m-%d %H:%M:%S%.f %z", start).ok().filter(|_| named)?;
    parsed.to_timestamp().ok()
}
