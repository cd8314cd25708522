//! Random words and numbers.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use zeroize::Zeroizing;

/// `BYTES` random bytes in hex: a name that nobody else has. It is no secret: where the system has no randomness to give,
/// the clock still tells two names of one process apart.
pub(crate) fn name<const BYTES: usize>() -> String {
    let mut bytes = [0; BYTES];
    if getrandom::fill(&mut bytes).is_err() {
        for (byte, of_clock) in bytes.iter_mut().zip(jiff::Timestamp::now().as_nanosecond().to_le_bytes()) {
            *byte = of_clock;
        }
    }
    HEXLOWER.encode(&bytes)
}

/// From 0 to 1; the middle where the system has no randomness to give.
pub(crate) fn chance() -> f64 {
    let mut bytes = [0; 4];
    match getrandom::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 0.5,
    }
}

/// 256 random bits, 43 characters: what nobody can guess.
pub(crate) fn secret() -> Result<Zeroizing<String>, getrandom::Error> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *bytes)?;
    Ok(Zeroizing::new(BASE64URL_NOPAD.encode(&*bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_the_same() {
        let (one, other) = (name::<8>(), name::<8>());
        assert!(one != other && one.len() == 16, "{one} {other}");
        let (one, other) = (secret().unwrap(), secret().unwrap());
        assert!(one != other && one.len() == 43);
        let chances = [chance(), chance(), chance()];
        assert!(chances.iter().all(|chance| (0.0..=1.0).contains(chance)), "{chances:?}");
        assert!(chances[0] != chances[1] || chances[1] != chances[2], "{chances:?}");
    }
}
