//! How long to wait before the next try: doubling from half a second to two minutes, half of it at random.

const FIRST_MS: u64 = 500;
const LONGEST_MS: u64 = 120_000;

/// Milliseconds to wait after `failures` failures in a row (1 is the first). `random` is any number.
pub fn delay_ms(failures: u32, random: u32) -> u64 {
    let full = FIRST_MS.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST_MS);
    full / 2 + (full / 2) * u64::from(random) / u64::from(u32::MAX)
}

/// A random number for [`delay_ms`]; without random bytes, the longest wait.
pub(crate) fn random() -> u32 {
    getrandom::u32().unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_two_minutes_and_are_spread() {
        for (failures, shortest, longest) in [
            (0, 250, 500),
            (1, 250, 500),
            (2, 500, 1_000),
            (5, 4_000, 8_000),
            (9, 60_000, 120_000),
            (u32::MAX, 60_000, 120_000),
        ] {
            assert_eq!((delay_ms(failures, 0), delay_ms(failures, u32::MAX)), (shortest, longest), "{failures}");
        }
    }
}
