//! Points in time as they stand on the wire: RFC 3339, UTC, milliseconds.

use jiff::{Timestamp, fmt::temporal::DateTimePrinter};
use serde::{Deserialize, Serialize, Serializer};

/// A point in time, kept to the millisecond. Written `2026-11-23T06:41:00.123Z`; read from any RFC 3339 offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Time(Timestamp);

impl Time {
    /// From milliseconds since 1970-01-01 UTC; `None` outside the years -9999..=9999.
    pub fn from_millis(millis: i64) -> Option<Self> {
        Timestamp::from_millisecond(millis).ok().map(Self)
    }

    /// Milliseconds since 1970-01-01 UTC.
    pub fn as_millis(self) -> i64 {
        self.0.as_millisecond()
    }

    /// Writes it, without quotes.
    pub(crate) fn write_to(self, json: &mut String) {
        // Memory refuses nothing.
        WRITTEN.print_timestamp(&self.0, json).unwrap_or_default();
    }

    /// Milliseconds from `earlier` to this point; negative when this point lies before it.
    pub fn millis_since(self, earlier: Self) -> i64 {
        self.as_millis() - earlier.as_millis()
    }
}

impl From<Timestamp> for Time {
    /// Cuts to the millisecond below.
    fn from(at: Timestamp) -> Self {
        let millis = at.as_nanosecond().div_euclid(1_000_000);
        i64::try_from(millis).ok().and_then(Self::from_millis).unwrap_or(Self(at))
    }
}

/// As it stands on the wire.
const WRITTEN: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

/// A time on its way into other text.
#[derive(Default)]
struct Short {
    text: [u8; 32],
    length: usize,
}

impl Short {
    fn of(time: Time) -> Self {
        let mut short = Self::default();
        // The longest, of year -9999, has 27 bytes.
        WRITTEN.print_timestamp(&time.0, &mut short).unwrap_or_default();
        short
    }

    fn as_str(&self) -> &str {
        // Made of texts that were whole.
        std::str::from_utf8(&self.text[..self.length]).unwrap_or_default()
    }
}

impl jiff::fmt::Write for Short {
    fn write_str(&mut self, text: &str) -> Result<(), jiff::Error> {
        let room = self.text[self.length..].get_mut(..text.len());
        let room = room.ok_or_else(|| jiff::Error::from_args(format_args!("no room for {text:?}")))?;
        room.copy_from_slice(text.as_bytes());
        self.length += text.len();
        Ok(())
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Short::of(*self).as_str())
    }
}

impl std::str::FromStr for Time {
    type Err = jiff::Error;
    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        Ok(Self::from(text.parse::<Timestamp>()?))
    }
}

impl TryFrom<String> for Time {
    type Error = jiff::Error;
    fn try_from(text: String) -> Result<Self, jiff::Error> {
        text.parse()
    }
}

impl From<Time> for String {
    fn from(time: Time) -> String {
        time.to_string()
    }
}

impl std::fmt::Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(Short::of(*self).as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn any_offset_is_read_and_utc_is_written() {
        for (text, written) in [
            ("2026-11-23T06:41:00Z", "2026-11-23T06:41:00.000Z"),
            ("2026-11-23T08:41:00.123456789+02:00", "2026-11-23T06:41:00.123Z"),
            ("1969-12-31T23:59:59.9999Z", "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(text.parse::<Time>().unwrap().to_string(), written);
        }
        assert!("yesterday".parse::<Time>().is_err());
        assert!("2026-11-23T06:41:00".parse::<Time>().is_err(), "an offset is required");
    }

    #[test]
    fn the_longest_has_room() {
        for (at, written) in
            [(Timestamp::MIN, "-009999-01-02T01:59:59.000Z"), (Timestamp::MAX, "9999-12-30T22:00:00.999Z")]
        {
            let time = Time::from(at);
            assert_eq!(time.to_string(), written);
            assert_eq!(serde_json::to_string(&time).unwrap(), format!("{written:?}"));
        }
    }

    proptest! {
        #[test]
        fn writing_and_reading_are_inverse(millis in -62_000_000_000_000_i64..250_000_000_000_000) {
            let time = Time::from_millis(millis).unwrap();
            prop_assert_eq!(time.to_string().parse::<Time>().unwrap(), time);
            prop_assert_eq!(time.as_millis(), millis);
        }
    }
}
