//! Keys that sign tokens.

use data_encoding::{BASE64, BASE64URL_NOPAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use ring::{
    rand::SystemRandom,
    rsa::{self, PublicKeyComponents},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256},
};
use serde_json::{Value, json};
use sha2::Sha256;

/// How a token is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    /// RSA.
    Rs256,
    /// ECDSA on P-256.
    Es256,
    /// Not at all.
    None,
    /// HMAC, with the public RSA key as it is published for a secret.
    Hs256,
    /// By RSA, and then a bit is changed.
    Spoiled,
}

/// A key pair of each kind under one id.
pub struct Key {
    id: String,
    published: bool,
    rsa: rsa::KeyPair,
    p256: EcdsaKeyPair,
}

impl Key {
    /// One that is published.
    pub fn new(id: &str) -> Self {
        let random = SystemRandom::new();
        let curve = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let made = EcdsaKeyPair::generate_pkcs8(curve, &random).unwrap();
        // There is no making of RSA keys here: this one is made once and for all, and secures nothing.
        let text: String = include_str!("key.txt").split_whitespace().collect();
        Self {
            id: id.to_owned(),
            published: true,
            rsa: rsa::KeyPair::from_der(&BASE64.decode(text.as_bytes()).unwrap()).unwrap(),
            p256: EcdsaKeyPair::from_pkcs8(curve, made.as_ref(), &random).unwrap(),
        }
    }

    /// One that is not.
    pub fn secret(id: &str) -> Self {
        Self { published: false, ..Self::new(id) }
    }

    /// Whether it is published.
    pub fn is_published(&self) -> bool {
        self.published
    }

    /// As it is published: both kinds.
    pub fn public(&self) -> Vec<Value> {
        let rsa = PublicKeyComponents::<Vec<u8>>::from(self.rsa.public());
        let point = self.p256.public_key().as_ref();
        let b64 = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        vec![
            json!({"kty": "RSA", "kid": self.kid("rsa"), "use": "sig", "n": b64(&rsa.n), "e": b64(&rsa.e)}),
            json!({"kty": "EC", "crv": "P-256", "kid": self.kid("ec"), "use": "sig",
                "x": b64(&point[1..33]), "y": b64(&point[33..])}),
        ]
    }

    fn kid(&self, kind: &str) -> String {
        format!("{}-{kind}", self.id)
    }

    /// A token with these claims.
    pub fn sign(&self, signed: Signed, claims: &Value) -> String {
        let (alg, kid) = match signed {
            Signed::Rs256 | Signed::Spoiled => ("RS256", self.kid("rsa")),
            Signed::Es256 => ("ES256", self.kid("ec")),
            Signed::None => ("none", self.kid("rsa")),
            Signed::Hs256 => ("HS256", self.kid("rsa")),
        };
        let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let text = format!("{}.{}", part(&json!({"alg": alg, "kid": kid, "typ": "JWT"})), part(claims));
        format!("{text}.{}", BASE64URL_NOPAD.encode(&self.signature(signed, text.as_bytes())))
    }

    fn signature(&self, signed: Signed, text: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match signed {
            Signed::None => Vec::new(),
            Signed::Es256 => self.p256.sign(&random, text).unwrap().as_ref().to_vec(),
            Signed::Hs256 => {
                let rsa = PublicKeyComponents::<Vec<u8>>::from(self.rsa.public());
                let mut mac = Hmac::<Sha256>::new_from_slice(&rsa.n).unwrap();
                mac.update(text);
                mac.finalize().into_bytes().to_vec()
            }
            Signed::Rs256 | Signed::Spoiled => {
                let mut signature = vec![0; self.rsa.public().modulus_len()];
                self.rsa.sign(&RSA_PKCS1_SHA256, &random, text, &mut signature).unwrap();
                if signed == Signed::Spoiled {
                    signature[0] ^= 1;
                }
                signature
            }
        }
    }
}
