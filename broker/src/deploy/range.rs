//! Which bytes a request asks for (RFC 9110, section 14).

use std::ops::Range;

/// What is to be answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it, also where the header is none that is understood: it may be ignored.
    Whole,
    /// These bytes: 206.
    Some(Range<u64>),
    /// None of what is asked for is there: 416.
    Nothing,
}

/// The part of `length` bytes that a `Range` header asks for. Several ranges at once are answered with all of it, as a
/// server may.
pub(super) fn part(header: &str, length: u64) -> Part {
    let ranges = header.split_once('=').filter(|(unit, _)| unit.trim().eq_ignore_ascii_case("bytes"));
    let Some((first, last)) = ranges.and_then(|(_, range)| range.trim().split_once('-')) else { return Part::Whole };
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // What is greater than any length is past the end.
        is_number.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    let range = match (first.trim(), last.trim()) {
        ("", last) => number(last).map(|count| length.saturating_sub(count)..length),
        (first, "") => number(first).map(|first| first..length),
        (first, last) => number(first)
            .zip(number(last))
            .filter(|(first, last)| first <= last)
            .map(|(first, last)| first..last.saturating_add(1).min(length)),
    };
    match range {
        None => Part::Whole,
        Some(range) if range.start >= range.end => Part::Nothing,
        Some(range) => Part::Some(range),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        for (header, expected) in [
            ("bytes=0-0", Part::Some(0..1)),
            ("bytes=0-499", Part::Some(0..100)),
            ("Bytes = 10-19", Part::Some(10..20)),
            ("bytes=90-", Part::Some(90..100)),
            ("bytes=-10", Part::Some(90..100)),
            ("bytes=-500", Part::Some(0..100)),
            ("bytes=99-99999999999999999999999", Part::Some(99..100)),
            ("bytes=100-", Part::Nothing),
            ("bytes=100-200", Part::Nothing),
            ("bytes=99999999999999999999999-", Part::Nothing),
            ("bytes=-0", Part::Nothing),
            ("bytes=5-4", Part::Whole),
            ("bytes=0-1,5-6", Part::Whole),
            ("bytes=", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=a-b", Part::Whole),
            ("bytes=+1-2", Part::Whole),
            ("lines=0-1", Part::Whole),
            ("", Part::Whole),
        ] {
            assert_eq!(part(header, 100), expected, "{header}");
        }
        assert_eq!(part("bytes=0-", 0), Part::Nothing);
    }

    proptest! {
        #[test]
        fn whatever_is_asked_for_what_is_given_is_there(header in "(bytes=)?[0-9-]{0,24}|\\PC{0,20}", length in 0_u64..1_000) {
            if let Part::Some(range) = part(&header, length) {
                prop_assert!(range.start < range.end && range.end <= length);
            }
        }
    }
}
