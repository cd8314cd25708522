//! Signs tokens as issuers do, for tests.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use data_encoding::{BASE64, BASE64URL_NOPAD};
use ring::{
    rand::SystemRandom,
    rsa::KeyPair as RsaKeyPair,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
        RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaEncoding,
    },
};
use serde_json::{Value, json};

use super::{Algorithm, Fetch};

/// A private key of a kind, with an id.
pub(crate) struct Signer {
    id: String,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl Signer {
    /// The one RSA key there is, or a new one on a curve.
    pub(crate) fn new(id: &str, algorithm: Algorithm) -> Self {
        let random = SystemRandom::new();
        let pair = match algorithm {
            Algorithm::Es256 => {
                let curve = &ECDSA_P256_SHA256_FIXED_SIGNING;
                let key = EcdsaKeyPair::generate_pkcs8(curve, &random).unwrap();
                Pair::P256(EcdsaKeyPair::from_pkcs8(curve, key.as_ref(), &random).unwrap())
            }
            Algorithm::EdDsa => {
                let key = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
                Pair::Ed25519(Ed25519KeyPair::from_pkcs8(key.as_ref()).unwrap())
            }
            _ => Pair::Rsa(RsaKeyPair::from_pkcs8(&BASE64.decode(RSA.replace('\n', "").as_bytes()).unwrap()).unwrap()),
        };
        Self { id: id.to_owned(), pair }
    }

    /// Its public half, as a set holds it.
    pub(crate) fn jwk(&self) -> Value {
        let text = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        match &self.pair {
            Pair::Rsa(pair) => {
                let key = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({"kty": "RSA", "use": "sig", "kid": self.id, "n": text(&key.n), "e": text(&key.e)})
            }
            Pair::P256(pair) => {
                let point = pair.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "kid": self.id, "x": text(&point[1..33]), "y": text(&point[33..])})
            }
            Pair::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": self.id, "x": text(pair.public_key().as_ref())})
            }
        }
    }

    /// A set with this key alone.
    pub(crate) fn set(&self) -> String {
        json!({"keys": [self.jwk()]}).to_string()
    }

    /// A token with these claims and a header with `alg` and `kid`.
    pub(crate) fn token(&self, algorithm: Algorithm, claims: &Value) -> String {
        self.token_with(algorithm, &json!({"alg": algorithm.name(), "kid": self.id}), claims)
    }

    /// A token with this header, signed as `algorithm` says whatever the header says.
    pub(crate) fn token_with(&self, algorithm: Algorithm, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let signed = format!("{}.{}", part(header), part(claims));
        format!("{signed}.{}", BASE64URL_NOPAD.encode(&self.sign(algorithm, signed.as_bytes())))
    }

    /// A bare signature.
    pub(crate) fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let padding: &dyn RsaEncoding = match algorithm {
                    Algorithm::Rs384 => &RSA_PKCS1_SHA384,
                    Algorithm::Rs512 => &RSA_PKCS1_SHA512,
                    Algorithm::Ps256 => &RSA_PSS_SHA256,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(padding, &random, message, &mut signature).unwrap();
                signature
            }
            Pair::P256(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }
}

/// What an issuer publishes, and how often it was asked.
#[derive(Default)]
pub(crate) struct Published {
    set: Mutex<Option<String>>,
    asked: AtomicUsize,
}

impl Published {
    pub(crate) fn set(&self, set: Option<String>) {
        *self.set.lock().unwrap() = set;
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

#[async_trait::async_trait]
impl Fetch for std::sync::Arc<Published> {
    async fn fetch(&self) -> Result<Vec<u8>, String> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        self.set.lock().unwrap().clone().map(String::into_bytes).ok_or_else(|| "nobody answers".to_owned())
    }
}

/// Made for tests and used nowhere else: PKCS #8, 2048 bits.
pub(crate) const RSA: &str = "\
MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQDSrWmZnN0+lRB0
RHGKwulrWXTkwvCDM3KLBRn3RWNseSp3981m0BHZ63+qKWRdhxGyhuoUIJLMXJEE
2kos7zPBPJy8/Yiiuf73aT2DR9UrtXLppTOo2RqLHm8Q4Pxe7HomOp/U8Rmqoc+i
E7yaARlpzY7fDkAhBbRTaNw/6qjdtZeUo64MbV+U1GQQR+nbx1cUf8fc2XgP+JLi
Hw/G38iqhmNXU2/xfiWmNAGFVNYLR4WQ3ICMxpQ4+1uiI48yxIzGtLh38cSLtN4f
XSNQ6+HvfWG/I5Rq7Gi+Inpul+ku5lXau9E2vNUhznK5m6zh8D/81+FeEhBntRaC
BWOvvff7AgMBAAECggEACISrdY29TQJQ8SqH9BDacuqMipKuj9d82k3MACP67Pq0
iAzpw1jxXSrOSs6JTit1FeSqQphokcEXufxWLcfu2Jwp8uLwwIedsq+Q0FCPYsjf
ixPmE/3R5W3HFtsfSSVC8RhuDaRBTJVl+aCA/9xrLyHOajVqIWEDgAXdi0C32t2h
w3d7XMFl7RKqdcM/Wdet+heTPphKApbv+x4h72HORMMiqDKsJY+86Bvtb4vBYPQs
9ivMO4HLBA15mqrSYYIfSyqVpRygEW1hEsaxfEGyRrZFaVEmY8nF1osauQOj+1Bd
InpCWhBog1vT9CTmel+Wbtbj8ygnC3/kPDE5qYd7oQKBgQD81HWNDHO7HUaflBNS
nBFbhE5+74cBtOKShuLqQUQwYc+ku1uMKQiQq7dtKhzlAWmUFqdMjwvP6yeCVFPB
y6dA7aiL4vmMrOrP9z7+DbYo/HveKDz8qM+RlFMFpvhOW8upIFkAkuegfPVxMCRh
SJ3g+9ewPlgwP6eQHBW/GcshIQKBgQDVUaaiTiv5iOcIJrOnbB3CU+9lihF/h4Pz
422CVJI1is3j8u8ERQhiOYpj8PYgFVu4q2OuhwJ7N6ws49JfvB1dHPW/JvxCK5VG
KMjMNY3gMqKRGzfWeuleEIUvkD88omliby97vKssQuqwCH1m8fy2hfwz9AhNpiaj
ES5O9v7JmwKBgQCiOaSvezTq887z56w6Tl+ozA0dz41d3/WdNSV2T6h0Lt5wAbOt
DEstoLDSP7pIio528c4pBoP6xhUUwAz6BTVtKNED6QBcbjtAc5Gcq6mdRNwp4MG5
EIwXCgf3UXpztNzJyTKydpBe3q8SEGTXcyOyT4XG1Un6s21Nv2eItgErYQKBgBCh
JeFfQLRaRNBw2+6AUi2VB4Od6NFNSi8YGrBfUWqVIInVpWZqz0WBANXbsgQ8RgM2
cTXo1nuukmCJfhvyeUOJ/2pgaqfp5+ApS8YHosDIkb3IJmk0+b5YgVl84EEk1BxV
WJlH0vxHVy5T6xq8YJwGA+w06PTMsBRkQXzsal5jAoGBALClhRktAsFdYUnq0tyN
uqZHWbZnepuRVEJ2IQMVeZE2W62KxfAstutAbI8T45g4hXdSUxq8gHPApiPrSJCt
E2LqPKrUDoXyIpZSE6t2e1LM9sV6vIRwM7Kv3E8Q6NdxpmKKqaDJhCSdq4s/lcGO
YOmAr5LPTboMZszyOw9/xHZy";
