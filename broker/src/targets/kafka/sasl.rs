//! Who speaks, by SASL: PLAIN (RFC 4616), SCRAM (RFC 5802, RFC 7677) and OAUTHBEARER (RFC 7628).

use std::num::NonZeroU32;

use data_encoding::BASE64;
use ring::{digest, hmac, pbkdf2};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::config::Secret;

/// The fewest and the most rounds of PBKDF2: Kafka allows 4096 to 16384, and a server must not keep this machine busy.
const ROUNDS: std::ops::RangeInclusive<u32> = 4096..=65_536;
/// Bytes of chance in a nonce.
const NONCE: usize = 18;

/// A mechanism by which a password is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mechanism {
    Plain,
    Sha256,
    Sha512,
}

impl Mechanism {
    pub(super) const ALL: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

    /// By its name, in any case.
    pub(super) fn named(name: &str) -> Option<Self> {
        let known = [Self::Plain, Self::Sha256, Self::Sha512];
        known.into_iter().zip(Self::ALL).find_map(|(known, of)| of.eq_ignore_ascii_case(name).then_some(known))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Plain => Self::ALL[0],
            Self::Sha256 => Self::ALL[1],
            Self::Sha512 => Self::ALL[2],
        }
    }
}

/// As whom one speaks.
#[derive(Debug, Clone)]
pub(super) enum Login {
    Password { mechanism: Mechanism, user: Secret, password: Secret },
    Token { token: Secret, extensions: Vec<(String, Secret)> },
}

/// What is said, and what is awaited then.
pub(super) type Step = (Zeroizing<Vec<u8>>, Stage);

/// A login that goes on.
pub(super) enum Stage {
    /// The server's answer is awaited, and means nothing more.
    Last,
    /// The server has answered a token; it says something only where it refuses it.
    Told,
    /// The server's salt is awaited.
    Salt(Scram),
    /// The server's own proof is awaited.
    Proof(Vec<u8>),
}

/// What has been said by SCRAM.
pub(super) struct Scram {
    hash: Hash,
    password: Secret,
    nonce: String,
    first: String,
}

#[derive(Clone, Copy)]
struct Hash {
    hmac: hmac::Algorithm,
    digest: &'static digest::Algorithm,
    pbkdf2: pbkdf2::Algorithm,
}

impl Login {
    /// What the protocol calls it.
    pub(super) fn mechanism(&self) -> &'static str {
        match self {
            Self::Password { mechanism, .. } => mechanism.name(),
            Self::Token { .. } => "OAUTHBEARER",
        }
    }

    /// Who it is, for people; the secret itself only where something stands in for it.
    pub(super) fn shown(&self, stands_in: bool) -> String {
        let hidden = |secret: &Secret| if stands_in { secret.expose().to_owned() } else { "…".to_owned() };
        let of = match self {
            Self::Password { user, password, .. } => format!("{}:{}", user.expose(), hidden(password)),
            Self::Token { token, .. } => hidden(token),
        };
        format!("{} {of}", self.mechanism())
    }

    /// What is said first.
    pub(super) fn begin(&self) -> Result<Step, String> {
        match self {
            Self::Password { mechanism: Mechanism::Plain, user, password } => {
                let said = Zeroizing::new(format!("\0{}\0{}", user.expose(), password.expose()));
                Ok((Zeroizing::new(said.as_bytes().to_vec()), Stage::Last))
            }
            Self::Password { mechanism, user, password } => {
                let mut chance = [0; NONCE];
                getrandom::fill(&mut chance).map_err(|error| format!("no random numbers can be had: {error}"))?;
                let scram = Scram::begin(*mechanism, user, password.clone(), BASE64.encode(&chance));
                Ok((Zeroizing::new(format!("n,,{}", scram.first).into_bytes()), Stage::Salt(scram)))
            }
            Self::Token { token, extensions } => {
                let mut said = Zeroizing::new(format!("n,,\u{1}auth=Bearer {}\u{1}", token.expose()));
                for (key, value) in extensions {
                    for part in [key, "=", value.expose(), "\u{1}"] {
                        said.push_str(part);
                    }
                }
                said.push('\u{1}');
                Ok((Zeroizing::new(said.as_bytes().to_vec()), Stage::Told))
            }
        }
    }
}

impl Stage {
    /// What is said to the server's answer; none where it has taken the login.
    pub(super) fn answer(self, said: &[u8]) -> Result<Option<Step>, String> {
        match self {
            Self::Last => Ok(None),
            // RFC 7628, 3.2.3: what is wrong is answered by a byte, upon which the server refuses by its own means.
            Self::Told if said.is_empty() => Ok(None),
            Self::Told => Ok(Some((Zeroizing::new(vec![1]), Self::Last))),
            Self::Salt(scram) => {
                let (proof, expected) = scram.proof(&text(said)?)?;
                Ok(Some((Zeroizing::new(proof.into_bytes()), Self::Proof(expected))))
            }
            Self::Proof(expected) => {
                let said = text(said)?;
                let proof = attribute(&said, 'v').and_then(|proof| BASE64.decode(proof.as_bytes()).ok());
                match proof.is_some_and(|proof| proof.ct_eq(&expected).into()) {
                    true => Ok(None),
                    false => Err("the server does not prove that it knows the password".to_owned()),
                }
            }
        }
    }
}

impl Scram {
    fn begin(mechanism: Mechanism, user: &Secret, password: Secret, nonce: String) -> Self {
        let hash = match mechanism {
            Mechanism::Sha512 => {
                Hash { hmac: hmac::HMAC_SHA512, digest: &digest::SHA512, pbkdf2: pbkdf2::PBKDF2_HMAC_SHA512 }
            }
            Mechanism::Sha256 | Mechanism::Plain => {
                Hash { hmac: hmac::HMAC_SHA256, digest: &digest::SHA256, pbkdf2: pbkdf2::PBKDF2_HMAC_SHA256 }
            }
        };
        let user = user.expose().replace('=', "=3D").replace(',', "=2C");
        let first = format!("n={user},r={nonce}");
        Self { hash, password, nonce, first }
    }

    /// The client's last message, and the proof that is expected of the server (RFC 5802, section 3). Kafka takes user and
    /// password as their UTF-8, unprepared.
    fn proof(&self, said: &str) -> Result<(String, Vec<u8>), String> {
        let wrong = || "the server's part of SCRAM is not as it must be".to_owned();
        let nonce =
            attribute(said, 'r').filter(|nonce| nonce.len() > self.nonce.len() && nonce.starts_with(&self.nonce));
        let nonce = nonce.ok_or_else(wrong)?;
        let salt = attribute(said, 's').and_then(|salt| BASE64.decode(salt.as_bytes()).ok()).ok_or_else(wrong)?;
        let rounds: u32 = attribute(said, 'i').and_then(|rounds| rounds.parse().ok()).ok_or_else(wrong)?;
        let rounds = NonZeroU32::new(rounds).filter(|rounds| ROUNDS.contains(&rounds.get()));
        let rounds = rounds.ok_or_else(|| {
            format!("the server asks for rounds of SCRAM beyond {} to {}", ROUNDS.start(), ROUNDS.end())
        })?;
        let mut salted = Zeroizing::new(vec![0; self.hash.digest.output_len()]);
        pbkdf2::derive(self.hash.pbkdf2, rounds, &salt, self.password.expose().as_bytes(), &mut salted);
        let salted = hmac::Key::new(self.hash.hmac, &salted);
        let last = format!("c=biws,r={nonce}");
        let all = format!("{},{said},{last}", self.first);
        let client_key = hmac::sign(&salted, b"Client Key");
        let stored = hmac::Key::new(self.hash.hmac, digest::digest(self.hash.digest, client_key.as_ref()).as_ref());
        let signature = hmac::sign(&stored, all.as_bytes());
        let proof: Vec<u8> = client_key.as_ref().iter().zip(signature.as_ref()).map(|(a, b)| a ^ b).collect();
        let server_key = hmac::Key::new(self.hash.hmac, hmac::sign(&salted, b"Server Key").as_ref());
        let expected = hmac::sign(&server_key, all.as_bytes()).as_ref().to_vec();
        Ok((format!("{last},p={}", BASE64.encode(&proof)), expected))
    }
}

fn text(said: &[u8]) -> Result<String, String> {
    String::from_utf8(said.to_vec()).map_err(|_| "the server's part of the login is no text".to_owned())
}

/// The value of an attribute such as `r=…` (RFC 5802, section 5.1).
fn attribute(said: &str, name: char) -> Option<&str> {
    said.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE_OF_RFC: &str = "rOprNGfwEbeRWgbNEkqO";
    const SALT: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    fn scram() -> Stage {
        let (user, password) = (Secret::new("user"), Secret::new("pencil"));
        Stage::Salt(Scram::begin(Mechanism::Sha256, &user, password, NONCE_OF_RFC.to_owned()))
    }

    fn refused(stage: Stage, said: &str) -> String {
        stage.answer(said.as_bytes()).err().unwrap()
    }

    #[test]
    fn scram_is_as_in_the_example_of_rfc_7677() {
        let (said, proof) = scram().answer(SALT.as_bytes()).unwrap().unwrap();
        assert_eq!(
            std::str::from_utf8(&said).unwrap(),
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert!(proof.answer(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").unwrap().is_none());
    }

    #[test]
    fn a_server_that_does_not_know_the_password_or_asks_too_much_is_refused() {
        let proof = || scram().answer(SALT.as_bytes()).unwrap().unwrap().1;
        assert!(refused(proof(), "v=AAAA").contains("does not prove"));
        assert!(refused(proof(), "e=other-error").contains("does not prove"));
        for (from, to, said) in [
            ("i=4096", "i=1", "beyond 4096 to 65536"),
            ("i=4096", "i=4000000000", "beyond 4096 to 65536"),
            ("i=4096", "i=x", "not as it must be"),
            ("r=rOpr", "r=xOpr", "not as it must be"),
            ("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", "", "not as it must be"),
            ("s=W22Z", "s=!", "not as it must be"),
        ] {
            assert!(refused(scram(), &SALT.replace(from, to)).contains(said), "{to}");
        }
    }

    #[test]
    fn a_name_cannot_say_more_than_a_name() {
        let scram = Scram::begin(Mechanism::Sha512, &Secret::new("a=b,r=c"), Secret::new("x"), "n".to_owned());
        assert_eq!(scram.first, "n=a=3Db=2Cr=3Dc,r=n");
    }

    #[test]
    fn plain_and_tokens_are_said_in_one_message() {
        let (user, password) = (Secret::new("emote"), Secret::new("hunter2"));
        let plain = Login::Password { mechanism: Mechanism::Plain, user, password };
        let (said, stage) = plain.begin().unwrap();
        assert_eq!((said.as_slice(), stage.answer(b"").unwrap().is_none()), (&b"\0emote\0hunter2"[..], true));
        let extensions = vec![("logicalCluster".to_owned(), Secret::new("lkc-1"))];
        let token = Login::Token { token: Secret::new("t0ken"), extensions };
        let (said, stage) = token.begin().unwrap();
        assert_eq!(said.as_slice(), b"n,,\x01auth=Bearer t0ken\x01logicalCluster=lkc-1\x01\x01");
        let (said, stage) = stage.answer(br#"{"status":"invalid_token"}"#).unwrap().unwrap();
        assert_eq!((said.as_slice(), stage.answer(b"").unwrap().is_none()), (&[1][..], true));
    }

    #[test]
    fn mechanisms_are_named_in_any_case() {
        assert_eq!(Mechanism::named("scram-sha-512"), Some(Mechanism::Sha512));
        assert!(Mechanism::ALL.iter().all(|name| Mechanism::named(name).is_some_and(|known| known.name() == *name)));
        assert_eq!(Mechanism::named("GSSAPI"), None);
    }
}
