//! Points in time as RFC 3339 writes them: `2026-11-24T11:30:00.5+01:00`.

const MINUTE: i64 = 60;
pub(super) const HOUR: i64 = 60 * MINUTE;
pub(super) const DAY: i64 = 24 * HOUR;

/// What a text is that is none.
pub(super) const NO_TIME: &str = "no point in time, which has date, time and offset: 2026-11-24T11:30:00Z";

/// A point in time, to the nanosecond; digits behind that are read and forgotten.
///
/// A leap second (`23:59:60` UTC) is the second after it, as it is to clocks that know of none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Timestamp {
    /// Since 1970-01-01T00:00:00Z.
    pub(super) seconds: i64,
    pub(super) nanoseconds: u32,
}

impl Timestamp {
    /// Strict, but for what RFC 3339 leaves open: `t` and `z` may be small, and a space may stand for the `T`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut rest = Rest(text.as_bytes());
        let (year, _) = (rest.digits(4)?, rest.one_of(b"-")?);
        let (month, _) = (rest.digits(2)?, rest.one_of(b"-")?);
        let (day, _) = (rest.digits(2)?, rest.one_of(b"Tt ")?);
        let (hour, _) = (rest.digits(2)?, rest.one_of(b":")?);
        let (minute, _) = (rest.digits(2)?, rest.one_of(b":")?);
        let second = rest.digits(2)?;
        let nanoseconds = rest.fraction()?;
        let offset = rest.offset()?;
        let possible = (1..=12).contains(&month)
            && (1..=days_in(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && second <= 60
            && rest.0.is_empty();
        if !possible {
            return None;
        }
        let seconds = days_from_civil(year, month, day) * DAY + hour * HOUR + minute * MINUTE + second - offset;
        (second < 60 || seconds.rem_euclid(DAY) == 0).then_some(Self { seconds, nanoseconds })
    }
}

/// The seconds that an offset such as `+01:00` or `Z` is ahead of UTC.
pub(super) fn offset(text: &str) -> Option<i64> {
    let mut rest = Rest(text.as_bytes());
    rest.offset().filter(|_| rest.0.is_empty())
}

/// The seconds since midnight of `HH:MM` or `HH:MM:SS`.
pub(super) fn time_of_day(text: &str) -> Option<i64> {
    let mut rest = Rest(text.as_bytes());
    let (hour, _) = (rest.digits(2)?, rest.one_of(b":")?);
    let minute = rest.digits(2)?;
    let second = if rest.one_of(b":").is_some() { rest.digits(2)? } else { 0 };
    let possible = hour < 24 && minute < 60 && second < 60 && rest.0.is_empty();
    possible.then_some(hour * HOUR + minute * MINUTE + second)
}

/// What of a text is still to be read.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn one_of(&mut self, expected: &[u8]) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        expected.contains(first).then(|| {
            self.0 = rest;
            *first
        })
    }

    fn digits(&mut self, count: usize) -> Option<i64> {
        (0..count).try_fold(0, |number, _| Some(number * 10 + i64::from(self.one_of(b"0123456789")? - b'0')))
    }

    /// Nanoseconds; none if there is no dot.
    fn fraction(&mut self) -> Option<u32> {
        if self.one_of(b".").is_none() {
            return Some(0);
        }
        let count = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at(count);
        self.0 = rest;
        let nine = digits.iter().chain(std::iter::repeat(&b'0')).take(9);
        let nanoseconds = nine.fold(0, |number, digit| number * 10 + u32::from(digit - b'0'));
        (count > 0).then_some(nanoseconds)
    }

    fn offset(&mut self) -> Option<i64> {
        let sign = match self.one_of(b"Zz+-")? {
            b'+' => 1,
            b'-' => -1,
            _ => return Some(0),
        };
        let (hour, _) = (self.digits(2)?, self.one_of(b":")?);
        let minute = self.digits(2)?;
        (hour < 24 && minute < 60).then_some(sign * (hour * HOUR + minute * MINUTE))
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the Gregorian calendar, of years from 0 on. Years are taken to begin in March, so that the
/// leap day is their last; then the months' lengths follow a line.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let days_to_month = (153 * month + 2) / 5;
    const TO_1970: i64 = 719_469;
    year * 365 + leap_days + days_to_month + day - TO_1970
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nanoseconds(text: &str) -> Option<i128> {
        Timestamp::parse(text).map(|time| i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanoseconds))
    }

    #[test]
    fn timestamps_are_read_in_all_their_forms() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01t00:00:01.5z", 1_500_000_000),
            ("1970-01-01 01:00:00+01:00", 0),
            ("1970-01-01T00:00:00-00:00", 0),
            ("1969-12-31T23:59:59.999999999Z", -1),
            ("1970-01-01T00:00:00.0000000019Z", 1),
            ("2000-02-29T00:00:00+23:59", (951_782_400 - 86_340) * 1_000_000_000),
            ("2016-12-31T23:59:60Z", 1_483_228_800_000_000_000),
            ("2017-01-01T00:59:60.25+01:00", 1_483_228_800_250_000_000),
            ("0000-01-01T00:00:00Z", -62_167_219_200_000_000_000),
            ("9999-12-31T23:59:59Z", 253_402_300_799_000_000_000),
        ] {
            assert_eq!(nanoseconds(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_only_resembles_a_timestamp_is_none() {
        for text in [
            "",
            "2026-11-24",
            "2026-11-24T11:30Z",
            "2026-11-24T11:30:00",
            "2026-11-24T11:30:00.Z",
            "2026-11-24T11:30:00,5Z",
            "2026-11-24T11:30:00ZZ",
            "2026-11-24T11:30:00 Z",
            "2026-11-24_11:30:00Z",
            "2026-11-24T24:00:00Z",
            "2026-11-24T11:60:00Z",
            "2026-11-24T11:30:60Z",
            "2026-11-24T23:59:61Z",
            "2026-11-24T23:59:60+01:00",
            "2026-11-24T11:30:00+01",
            "2026-11-24T11:30:00+0100",
            "2026-11-24T11:30:00+24:00",
            "2026-11-24T11:30:00+01:60",
            "2026-11-31T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "12026-01-01T00:00:00Z",
            "-026-01-01T00:00:00Z",
            "+2026-01-01T00:00:00Z",
            " 2026-01-01T00:00:00Z",
            "２026-01-01T00:00:00Z",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }

    #[test]
    fn offsets_and_times_of_day_are_strict() {
        for (text, seconds) in [
            ("Z", Some(0)),
            ("z", Some(0)),
            ("+05:30", Some(19_800)),
            ("-01:00", Some(-3_600)),
            ("+1:00", None),
            ("", None),
        ] {
            assert_eq!(offset(text), seconds, "{text}");
        }
        for (text, seconds) in [
            ("00:00", Some(0)),
            ("23:59:59", Some(86_399)),
            ("24:00", None),
            ("6:00", None),
            ("06:60", None),
            ("06:00:", None),
            ("06:00:00.5", None),
            ("06", None),
        ] {
            assert_eq!(time_of_day(text), seconds, "{text}");
        }
    }

    #[test]
    fn every_day_of_ten_thousand_years_follows_the_one_before() {
        let mut expected = days_from_civil(0, 1, 1);
        for (year, month) in (0..10_000).flat_map(|year| (1..=12).map(move |month| (year, month))) {
            for day in 1..=days_in(year, month) {
                assert_eq!(days_from_civil(year, month, day), expected, "{year}-{month}-{day}");
                expected += 1;
            }
        }
        assert_eq!(days_from_civil(1970, 1, 1), 0);
    }

    proptest! {
        #[test]
        fn what_another_library_prints_is_read(seconds in -60_000_000_000_i64..250_000_000_000, nanosecond in 0..1_000_000_000_i32, minutes in -1_439..1_440_i32) {
            let time = jiff::Timestamp::new(seconds, nanosecond).unwrap();
            prop_assert_eq!(nanoseconds(&time.to_string()), Some(time.as_nanosecond()));
            let offset = jiff::tz::Offset::from_seconds(minutes * 60).unwrap();
            prop_assert_eq!(nanoseconds(&time.display_with_offset(offset).to_string()), Some(time.as_nanosecond()));
        }

        /// The other library reads more forms, and other leap seconds.
        #[test]
        fn what_is_read_is_what_another_library_reads(
            text in "(1999|2000|2100)-(0[0-3]|1[0-3])-([0-2][0-9]|3[0-2])[Tt ]([01][0-9]|2[0-4]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?([Zz]|[+-][01][0-9]:[0-6][0-9])",
        ) {
            prop_assert_eq!(nanoseconds(&text), text.parse::<jiff::Timestamp>().ok().map(|time| time.as_nanosecond()));
        }

        #[test]
        fn nothing_panics(text in "[0-9TtZz:. +-]{0,40}|\\PC*", year in "[0-9]{4}") {
            let _ = (Timestamp::parse(&text), offset(&text), time_of_day(&text));
            let _ = Timestamp::parse(&format!("{year}-01-01T{text}"));
        }
    }
}
