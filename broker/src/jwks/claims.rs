//! What a token must say besides being signed: by whom, for whom, and when.

use emote_proto::Time;
use jiff::SignedDuration;
use serde_json::{Map, Value};

use super::{Algorithm, Refused, jws::Jws};

/// Clocks differ by so much.
const LEEWAY: SignedDuration = SignedDuration::from_secs(60);

/// Whether a token has an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// `exp` must be there: ID and access tokens.
    Required,
    /// `exp` counts where it is there: security event tokens have none.
    IfPresent,
}

/// What a token must be to be believed.
#[derive(Debug, Clone)]
pub struct Expected {
    /// The signatures that are taken; another one is refused even where the key would do.
    pub algorithms: Vec<Algorithm>,
    /// `iss`, to the letter.
    pub issuer: String,
    /// One of these must be in `aud`. Empty: no token is for us, so none is taken.
    pub audience: Vec<String>,
    /// `typ` of the header, in lower case and without `application/`, must be one of these. Empty: any, or none.
    pub types: Vec<String>,
    /// Whether `exp` must be there.
    pub expiry: Expiry,
    /// How long ago `iat` may be at most; then it must be there. It is never to come, where it is there.
    pub max_age: Option<SignedDuration>,
}

impl Expected {
    /// A token of `issuer` for `audience`, signed with any algorithm that is known, with an end.
    pub fn of(issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        Self {
            algorithms: Algorithm::ALL.to_vec(),
            issuer: issuer.into(),
            audience: vec![audience.into()],
            types: Vec::new(),
            expiry: Expiry::Required,
            max_age: None,
        }
    }

    /// The claims of a token whose signature is right.
    pub(super) fn check(&self, jws: &Jws<'_>, now: Time) -> Result<Map<String, Value>, Refused> {
        self.check_type(jws.typ())?;
        let claims: Map<String, Value> =
            serde_json::from_slice(jws.payload()).map_err(|_| Refused::Malformed("its payload is no JSON object"))?;
        let wrong = |claim, problem| Err(Refused::Claim { claim, problem });
        match claims.get("iss") {
            Some(Value::String(issuer)) if *issuer == self.issuer => {}
            None => return wrong("iss", "missing"),
            Some(_) => return wrong("iss", "another issuer's"),
        }
        let ours = |one: &Value| one.as_str().is_some_and(|one| self.audience.iter().any(|ours| ours == one));
        match claims.get("aud") {
            Some(Value::Array(all)) if all.iter().any(ours) => {}
            Some(one) if ours(one) => {}
            None => return wrong("aud", "missing"),
            Some(_) => return wrong("aud", "somebody else's"),
        }
        self.check_times(&claims, now)?;
        Ok(claims)
    }

    fn check_type(&self, typ: Option<&str>) -> Result<(), Refused> {
        if self.types.is_empty() {
            return Ok(());
        }
        let typ = typ.unwrap_or_default().to_ascii_lowercase();
        let typ = typ.strip_prefix("application/").unwrap_or(&typ);
        if self.types.iter().any(|one| one == typ) { Ok(()) } else { Err(Refused::Header("`typ` is another")) }
    }

    fn check_times(&self, claims: &Map<String, Value>, now: Time) -> Result<(), Refused> {
        let wrong = |claim, problem| Err(Refused::Claim { claim, problem });
        let now = now.as_millis();
        let leeway = millis(LEEWAY);
        match seconds(claims, "exp")? {
            Some(end) if now >= end.saturating_add(leeway) => return wrong("exp", "past"),
            None if self.expiry == Expiry::Required => return wrong("exp", "missing"),
            _ => {}
        }
        if seconds(claims, "nbf")?.is_some_and(|begin| now < begin.saturating_sub(leeway)) {
            return wrong("nbf", "still to come");
        }
        match (seconds(claims, "iat")?, self.max_age) {
            (Some(made), _) if now < made.saturating_sub(leeway) => wrong("iat", "still to come"),
            (Some(made), Some(age)) if now > made.saturating_add(millis(age)).saturating_add(leeway) => {
                wrong("iat", "too long ago")
            }
            (None, Some(_)) => wrong("iat", "missing"),
            _ => Ok(()),
        }
    }
}

fn millis(duration: SignedDuration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// A NumericDate in ms since 1970: seconds, perhaps with a fraction.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a float becomes the nearest integer that there is, which is far from now"
)]
fn seconds(claims: &Map<String, Value>, claim: &'static str) -> Result<Option<i64>, Refused> {
    match claims.get(claim) {
        None => Ok(None),
        Some(Value::Number(number)) => match (number.as_i64(), number.as_f64()) {
            (Some(seconds), _) => Ok(Some(seconds.saturating_mul(1000))),
            (None, Some(seconds)) => Ok(Some((seconds * 1000.0) as i64)),
            (None, None) => Err(Refused::Claim { claim, problem: "no time" }),
        },
        Some(_) => Err(Refused::Claim { claim, problem: "no time" }),
    }
}
