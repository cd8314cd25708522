//! Signatures by nkeys. Of the two Ed25519 there are, it is ring's that checks them, which TLS needs anyway: the other one's
//! half that checks need not be in every program.

use ring::signature::{ED25519, UnparsedPublicKey};

/// The bytes of a public key, whose text must have a kind and the right checksum; `None`: it is none.
pub(crate) fn public_key(text: &str) -> Option<[u8; 32]> {
    nkeys::from_public_key(text).ok().map(|(_, key)| key)
}

/// Whether whoever has the seed of `key` signed `text`.
pub(crate) fn is_signed(key: [u8; 32], text: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, key).verify(text, signature).is_ok()
}

#[cfg(test)]
mod tests {
    use nkeys::KeyPair;

    use super::*;

    #[test]
    fn what_one_signs_the_other_checks() {
        let (pair, other) = (KeyPair::new_user(), KeyPair::new_user());
        let [key, foreign] = [&pair, &other].map(|pair| public_key(&pair.public_key()).unwrap());
        let signature = pair.sign(b"text").unwrap();
        assert!(is_signed(key, b"text", &signature));
        assert!(!is_signed(foreign, b"text", &signature) && !is_signed(key, b"texts", &signature));
        assert!(!is_signed(key, b"text", &signature[1..]) && !is_signed(key, b"text", b""));
        // Two is no point's coordinate.
        let mut none = [0; 32];
        none[0] = 2;
        assert!(!is_signed(none, b"text", &signature));
        assert_eq!(public_key("UABC"), None);
        assert_eq!(public_key(&pair.seed().unwrap()), None);
    }
}
