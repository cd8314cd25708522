//! When a sender says that it signed: a header with a time, which must be near now.

use emote_proto::Time;
use jiff::SignedDuration;

use crate::{
    config::Problems,
    ingest::{Denied, Request, Unverified},
};

/// How far the time may lie from now, either way, where nothing else is said.
pub(super) const TOLERANCE: SignedDuration = SignedDuration::from_mins(5);
/// A window that is wider lets through what the core no longer remembers.
const MAX_TOLERANCE: SignedDuration = SignedDuration::from_hours(24);

/// Notes a window that is none.
pub(super) fn validate(tolerance: SignedDuration, path: &str, problems: &mut Problems) {
    if tolerance <= SignedDuration::ZERO {
        problems.add(path, "must be longer than nothing, such as 5m");
    } else if tolerance > MAX_TOLERANCE {
        problems.add(path, "24h at most: the wider it is, the longer a request that was read can be sent again");
    }
}

/// The time in the header `name` as it was sent, once it was found to be of now.
pub(super) fn checked<'r>(
    request: &'r Request<Unverified>,
    name: &str,
    tolerance: SignedDuration,
    now: Time,
) -> Result<&'r str, Denied> {
    let text = request.required(name)?;
    let at = time_of(text).ok_or_else(|| Denied::new(format!("the timestamp in {name} is none")))?;
    if i128::from(at.millis_since(now).unsigned_abs()) > tolerance.as_millis() {
        return Err(Denied::new(format!("the timestamp in {name} is further than {tolerance:#} from now")));
    }
    Ok(text)
}

/// Seconds since 1970, or RFC 3339.
fn time_of(text: &str) -> Option<Time> {
    match text.parse::<i64>() {
        Ok(seconds) => Time::from_millis(seconds.checked_mul(1000)?),
        Err(_) => text.parse().ok(),
    }
}
