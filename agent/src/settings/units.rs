//! Durations (`90s`, `5m`, `1h 30m`) and sizes (`64MiB`, `500kB`, `1000000`) as people write them.

use std::time::Duration;

/// A duration above zero.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let problem = || format!("{text:?} is no duration: write 30s, 5m or 1h 30m");
    let duration: jiff::SignedDuration = text.trim().parse().map_err(|_| problem())?;
    if duration.is_zero() {
        return Err(format!("{text:?}: it must be more than nothing"));
    }
    Duration::try_from(duration).map_err(|_| problem())
}

/// A number of bytes.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let problem = || format!("{text:?} is no size: write 64MiB or 500kB");
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "kib" | "k" => 1 << 10,
        "mb" => 1_000_000,
        "mib" | "m" => 1 << 20,
        "gb" => 1_000_000_000,
        "gib" | "g" => 1 << 30,
        _ => return Err(problem()),
    };
    number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)).ok_or_else(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_read() {
        for (text, seconds) in [("30s", 30), ("5m", 300), ("1h 30m", 5_400), ("PT2M", 120)] {
            assert_eq!(parse_duration(text).unwrap().as_secs(), seconds, "{text}");
        }
        for bad in ["", "5", "soon", "-5m", "0s"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
        for (text, bytes) in [("64MiB", 64 << 20), ("500 kB", 500_000), ("7", 7), ("1g", 1 << 30)] {
            assert_eq!(parse_bytes(text).unwrap(), bytes, "{text}");
        }
        for bad in ["", "MiB", "5x", "-1", "99999999999999999999", "99999999999GiB"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
    }
}
