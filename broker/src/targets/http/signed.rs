//! Tokens that are asked for with a word signed by a private key: as a service account does (RFC 7523, 2.1), or as a client
//! that proves so that it is one (2.2).

use data_encoding::BASE64URL_NOPAD;
use jiff::Timestamp;
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair},
};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::super::{address, spec::Setup};
use super::{
    auth::Auth,
    token::{Asking, Source},
};
use crate::{
    config::{Problems, Secret, SecretRef, fields::Fields, text::Template},
    random,
};

/// How long a signed word holds, in seconds.
const HOLDS: i64 = 300;
const BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const CLIENT: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// As it is written.
#[derive(Debug)]
pub(crate) struct Spec {
    url: Template,
    /// A file as Google gives it: with the key, its id and whose it is.
    account: Option<SecretRef>,
    key: Option<SecretRef>,
    key_id: Option<Template>,
    issuer: Option<Template>,
    subject: Option<Template>,
    audience: Option<Template>,
    scope: Option<Template>,
    client_id: Option<Template>,
}

/// Ready to sign.
pub(crate) struct Signer {
    key: Key,
    key_id: Option<String>,
    issuer: String,
    subject: Option<String>,
    audience: String,
    scope: Option<String>,
    client_id: Option<String>,
}

enum Key {
    Rsa(Box<RsaKeyPair>),
    P256(Box<EcdsaKeyPair>),
}

pub(super) fn read(fields: &mut Fields<'_>, insecure: bool) -> Option<Spec> {
    let url = address::read(fields, "token_url", insecure, "token_url: https://login.example.com/oauth2/token");
    let (account, key) = (fields.secret("service_account"), fields.secret("key"));
    if fields.has("service_account") == fields.has("key") {
        fields.problem("", "expected one of key, service_account: key: ${file:secrets/key.pem}");
    }
    let mut template = |key: &'static str| fields.template(key);
    let (key_id, issuer, subject) = (template("key_id"), template("issuer"), template("subject"));
    let (audience, scope, client_id) = (template("audience"), template("scope"), template("client_id"));
    if account.is_none() && issuer.is_none() && client_id.is_none() {
        fields.problem("issuer", "is missing: who signs, such as issuer: ${env:CLIENT_ID}");
    }
    Some(Spec { url: url?, account, key, key_id, issuer, subject, audience, scope, client_id })
}

impl Spec {
    pub(super) fn resolve(
        &self,
        insecure: bool,
        setup: &Setup<'_>,
        problems: &mut Problems,
    ) -> Option<(Auth, Vec<Secret>)> {
        let at = |key: &str| format!("auth.signed.{key}");
        let (url, mut secrets) = address::resolve(&self.url, &at("token_url"), insecure, setup, problems)?;
        let mut text = |key: &str, template: &Option<Template>, problems: &mut Problems| {
            let filled = problems.take(&at(key), setup.filled(template.as_ref()?))?;
            secrets.extend(filled.secrets);
            Some(filled.text.expose().to_owned())
        };
        let key_id = text("key_id", &self.key_id, problems);
        let issuer = text("issuer", &self.issuer, problems);
        let subject = text("subject", &self.subject, problems);
        let audience = text("audience", &self.audience, problems);
        let scope = text("scope", &self.scope, problems);
        let client_id = text("client_id", &self.client_id, problems);
        // In a script no secret is there, and nothing is signed.
        if setup.script.is_some() {
            let form = vec![("grant_type".to_owned(), Secret::new(BEARER))];
            let asking = Asking::OAuth2 { form, basic: None };
            return Some((Auth::Token(Box::new(Source { url, asking, held: tokio::sync::Mutex::default() })), secrets));
        }
        let account = match &self.account {
            Some(account) => Some(problems.take(&at("service_account"), setup.secret(account))?),
            None => None,
        };
        let account = match account {
            Some(text) => Some(problems.take(&at("service_account"), Account::read(&text))?),
            None => None,
        };
        let (place, pem) = match (&account, &self.key) {
            (Some(account), _) => ("service_account", account.key.clone()),
            (None, Some(key)) => ("key", problems.take(&at("key"), setup.secret(key))?),
            (None, None) => return None,
        };
        let key = problems.take(&at(place), Key::read(&pem))?;
        secrets.push(pem);
        let issuer = issuer.or_else(|| account.as_ref().map(|account| account.email.clone()));
        let issuer = issuer.or_else(|| client_id.clone())?;
        let key_id = key_id.or_else(|| account.and_then(|account| account.key_id));
        let subject = subject.or_else(|| client_id.clone());
        let audience = audience.unwrap_or_else(|| url.to_string());
        let signer = Box::new(Signer { key, key_id, issuer, subject, audience, scope, client_id });
        let source = Source { url, asking: Asking::Signed(signer), held: tokio::sync::Mutex::default() };
        Some((Auth::Token(Box::new(source)), secrets))
    }
}

/// What is taken of a service account's file.
struct Account {
    email: String,
    key: Secret,
    key_id: Option<String>,
}

impl Account {
    /// No message repeats what stands there.
    fn read(text: &Secret) -> Result<Self, &'static str> {
        let file: Value = serde_json::from_str(text.expose()).map_err(|_| "is not the JSON of a service account")?;
        let of = |key: &str| file.get(key).and_then(Value::as_str).map(str::to_owned);
        let email = of("client_email").ok_or("has no client_email: it is not the JSON of a service account")?;
        let key = of("private_key").ok_or("has no private_key: it is not the JSON of a service account")?;
        Ok(Self { email, key: Secret::new(key), key_id: of("private_key_id") })
    }
}

impl Key {
    fn read(pem: &Secret) -> Result<Self, &'static str> {
        let none = "there is no private key in it (PEM)";
        let unfit = "expected an RSA key of 2048 bits or more, or one on the curve P-256";
        match PrivateKeyDer::from_pem_slice(pem.expose().as_bytes()).map_err(|_| none)? {
            PrivateKeyDer::Pkcs8(der) => {
                if let Ok(key) = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()) {
                    return Ok(Self::Rsa(Box::new(key)));
                }
                Self::p256(der.secret_pkcs8_der()).ok_or(unfit)
            }
            PrivateKeyDer::Pkcs1(der) => {
                RsaKeyPair::from_der(der.secret_pkcs1_der()).map(|key| Self::Rsa(Box::new(key))).map_err(|_| unfit)
            }
            PrivateKeyDer::Sec1(der) => Self::p256(&pkcs8_of(der.secret_sec1_der())).ok_or(unfit),
            _ => Err(unfit),
        }
    }

    fn p256(pkcs8: &[u8]) -> Option<Self> {
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &SystemRandom::new()).ok()?;
        Some(Self::P256(Box::new(key)))
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::P256(_) => "ES256",
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, &'static str> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                let signed = key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature);
                signed.map(|()| signature).map_err(|_| "the key cannot sign")
            }
            Self::P256(key) => {
                key.sign(&random, message).map(|signed| signed.as_ref().to_vec()).map_err(|_| "the key cannot sign")
            }
        }
    }
}

/// A key on P-256 in its own form (RFC 5915) as PKCS #8 (RFC 5958).
fn pkcs8_of(sec1: &[u8]) -> Zeroizing<Vec<u8>> {
    // Version 0; id-ecPublicKey on prime256v1.
    const HEAD: [u8; 24] = [
        0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
        0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
    ];
    let within = |tag: u8, content: &[u8]| {
        let mut whole = Zeroizing::new(vec![tag]);
        // No key is longer.
        let length = u16::try_from(content.len()).unwrap_or(u16::MAX);
        let [high, low] = length.to_be_bytes();
        match length {
            0..=0x7f => whole.push(low),
            0x80..=0xff => whole.extend([0x81, low]),
            _ => whole.extend([0x82, high, low]),
        }
        whole.extend_from_slice(content);
        whole
    };
    let mut content = Zeroizing::new(HEAD.to_vec());
    content.extend_from_slice(&within(0x04, sec1));
    within(0x30, &content)
}

impl Signer {
    /// What is sent, signed now.
    pub(super) fn form(&self, now: Timestamp) -> Result<Vec<(&'static str, String)>, &'static str> {
        let word = self.word(now)?;
        let mut form = match &self.client_id {
            None => vec![("grant_type", BEARER.to_owned()), ("assertion", word)],
            Some(id) => vec![
                ("grant_type", "client_credentials".to_owned()),
                ("client_id", id.clone()),
                ("client_assertion_type", CLIENT.to_owned()),
                ("client_assertion", word),
            ],
        };
        if let (Some(_), Some(scope)) = (&self.client_id, &self.scope) {
            form.push(("scope", scope.clone()));
        }
        Ok(form)
    }

    /// The signed word itself (RFC 7515).
    fn word(&self, now: Timestamp) -> Result<String, &'static str> {
        let part = |value: Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let head = json!({"alg": self.key.algorithm(), "typ": "JWT", "kid": self.key_id});
        let claims = json!({
            "iss": self.issuer, "sub": self.subject, "aud": self.audience, "jti": random::name::<16>(),
            "iat": now.as_second(), "exp": now.as_second() + HOLDS,
            "scope": self.scope.as_ref().filter(|_| self.client_id.is_none()),
        });
        let signed = format!("{}.{}", part(present(head)), part(present(claims)));
        Ok(format!("{signed}.{}", BASE64URL_NOPAD.encode(&self.key.sign(signed.as_bytes())?)))
    }
}

fn present(value: Value) -> Value {
    match value {
        Value::Object(map) => map.into_iter().filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>().into(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::{
        ECDSA_P256_SHA256_FIXED, KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
    };

    use super::*;

    /// Made for this test with `openssl ecparam -name prime256v1 -genkey`.
    const SEC1: &str = "-----BEGIN EC PRIVATE KEY-----\n\
        MHcCAQEEIB3T9gT5VCPzz7RRfwbPnYFl7EwusdeoITeSfwRtyPTtoAoGCCqGSM49\n\
        AwEHoUQDQgAEEXTD8R1cNRmLGJ2opfX7pGnoiBcE9mIWGUwdbttsrKQDCGLoP1Ls\n\
        N4vG0J276j6HmpMghX+y2wTCnn0ko/r+Ag==\n-----END EC PRIVATE KEY-----\n";

    fn signer(pem: &str, client_id: Option<&str>) -> Signer {
        Signer {
            key: Key::read(&Secret::new(pem)).unwrap(),
            key_id: Some("k1".to_owned()),
            issuer: "me".to_owned(),
            subject: client_id.map(str::to_owned),
            audience: "https://login.example.com/token".to_owned(),
            scope: Some("read".to_owned()),
            client_id: client_id.map(str::to_owned),
        }
    }

    /// Head and claims, once the signature was checked.
    fn opened(signer: &Signer, word: &str) -> (Value, Value) {
        let (signed, signature) = word.rsplit_once('.').unwrap();
        let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
        match &signer.key {
            Key::Rsa(key) => {
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(key.public());
                public.verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &signature).unwrap();
            }
            Key::P256(key) => {
                let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.public_key().as_ref());
                public.verify(signed.as_bytes(), &signature).unwrap();
            }
        }
        let part = |text: &str| serde_json::from_slice(&BASE64URL_NOPAD.decode(text.as_bytes()).unwrap()).unwrap();
        let (head, claims) = signed.split_once('.').unwrap();
        (part(head), part(claims))
    }

    #[test]
    fn a_service_account_signs_who_it_is_and_a_client_that_it_is_one() {
        let now: Timestamp = "2026-03-04T05:06:07Z".parse().unwrap();
        let rsa =
            format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", crate::jwks::testing::RSA.trim());
        let p256 = rcgen::KeyPair::generate().unwrap().serialize_pem();
        for (pem, algorithm) in [(rsa.as_str(), "RS256"), (p256.as_str(), "ES256"), (SEC1, "ES256")] {
            let account = signer(pem, None);
            let form = account.form(now).unwrap();
            assert_eq!(form[0], ("grant_type", BEARER.to_owned()));
            let (head, mut claims) = opened(&account, &form[1].1);
            assert_eq!(head, json!({"alg": algorithm, "typ": "JWT", "kid": "k1"}));
            assert!(claims.as_object_mut().unwrap().remove("jti").is_some());
            let expected = json!({
                "iss": "me", "aud": "https://login.example.com/token", "iat": 1_772_600_767, "exp": 1_772_601_067,
                "scope": "read",
            });
            assert_eq!(claims, expected);
            let client = signer(pem, Some("it"));
            let form = client.form(now).unwrap();
            let keys: Vec<&str> = form.iter().map(|(key, _)| *key).collect();
            assert_eq!(keys, ["grant_type", "client_id", "client_assertion_type", "client_assertion", "scope"]);
            let (_, claims) = opened(&client, &form[3].1);
            assert_eq!((&claims["sub"], &claims["scope"]), (&json!("it"), &Value::Null));
        }
    }

    #[test]
    fn what_is_no_key_says_nothing_of_itself() {
        for text in ["hunter2", "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n"] {
            assert!(Key::read(&Secret::new(text)).err().is_some_and(|error| !error.contains("hunter2")));
        }
        for text in ["hunter2", "{}", "{\"client_email\": \"hunter2\"}"] {
            assert!(Account::read(&Secret::new(text)).err().is_some_and(|error| !error.contains("hunter2")));
        }
    }
}
