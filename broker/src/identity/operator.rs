//! The operator, as far as a broker has to know it: with which key it signs accounts anew, and whose signature on an account's
//! JWT it takes. Only that makes a JWT that a server has one to sign from: what anybody else wrote there would be made the
//! operator's own word.

use std::collections::BTreeSet;

use emote_proto::jwt::Claims;
use nkeys::KeyPair;
use serde_json::Value;

/// Why an operator's JWT is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OperatorError {
    /// It cannot be read, or its signature is wrong.
    #[error(transparent)]
    Jwt(#[from] emote_proto::jwt::JwtError),
    /// It is not an operator's word of itself.
    #[error("it is not the JWT of an operator, by the operator's own key")]
    NotItsOwn,
    /// It does not know the key that signs accounts.
    #[error("operator_key, whose public key is {0}, is not one of this operator's")]
    OtherKey(String),
}

/// Signs accounts anew.
pub struct Operator {
    key: KeyPair,
    issuers: BTreeSet<String>,
}

impl Operator {
    /// One of which nothing is known but the key: only what that has signed is taken.
    pub fn of_key(key: KeyPair) -> Self {
        let issuers = [key.public_key()].into();
        Self { key, issuers }
    }

    /// The one whose JWT this is, with its own key or one of its signing keys.
    pub fn of_jwt(key: KeyPair, jwt: &str) -> Result<Self, OperatorError> {
        let claims = Claims::verified(jwt)?;
        let is_operators = claims.nats.get("type").and_then(Value::as_str) == Some("operator");
        if claims.iss != claims.sub || !claims.sub.starts_with('O') || !is_operators {
            return Err(OperatorError::NotItsOwn);
        }
        let signing = claims.nats.get("signing_keys").and_then(Value::as_array);
        let signing = signing.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
        let issuers: BTreeSet<String> = signing.chain([claims.sub]).collect();
        let own = key.public_key();
        if issuers.contains(&own) { Ok(Self { key, issuers }) } else { Err(OperatorError::OtherKey(own)) }
    }

    /// What it signs with.
    pub(super) fn key(&self) -> &KeyPair {
        &self.key
    }

    fn issued(&self, claims: &Claims) -> bool {
        self.issuers.contains(&claims.iss)
    }
}

/// An account as the servers have it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// The newest.
    pub(super) claims: Claims,
    /// Its JWT, where a server has an older one: servers bring each other up to date only every few minutes.
    pub(super) left_behind: Option<String>,
}

impl Held {
    /// Of what each server has, where it matters of what `operator` issued; and who issued the others.
    pub(super) fn of(jwts: Vec<String>, account: &str, operator: Option<&Operator>) -> (Option<Self>, Vec<String>) {
        let read = |jwt: String| Some((Claims::verified(&jwt).ok().filter(|claims| claims.sub == account)?, jwt));
        let of_account = jwts.into_iter().filter_map(read);
        let (own, foreign): (Vec<_>, Vec<_>) =
            of_account.partition(|(claims, _)| operator.is_none_or(|operator| operator.issued(claims)));
        let issuers: BTreeSet<String> = foreign.into_iter().map(|(claims, _)| claims.iss).collect();
        let oldest = own.iter().map(|(claims, _)| claims.iat).min();
        let newest = own.into_iter().max_by_key(|(claims, _)| claims.iat);
        let held = newest.map(|(claims, jwt)| {
            let left_behind = oldest.filter(|oldest| *oldest < claims.iat).map(|_| jwt);
            Self { claims, left_behind }
        });
        (held, issuers.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{
        account::Account,
        jwt::{Validity, operator, signed},
    };
    use emote_proto::Time;
    use serde_json::json;

    fn at(seconds: i64) -> Validity {
        Validity::from(Time::from_millis(seconds * 1000).unwrap())
    }

    fn again(pair: &KeyPair) -> KeyPair {
        KeyPair::from_seed(&pair.seed().unwrap()).unwrap()
    }

    #[test]
    fn an_account_is_taken_from_its_operator_and_the_operators_signing_keys_and_from_nobody_else() {
        let [own, one, two, stranger] = [(); 4].map(|()| KeyPair::new_operator());
        let account = KeyPair::new_account();
        let name = account.public_key();
        let jwt = operator("Emote", &own, &[one.public_key(), two.public_key()], &name, at(1)).unwrap();
        let by = |signer: &KeyPair, seconds| {
            signed("DEVICES", &name, signer, at(seconds), json!({"type": "account"})).unwrap()
        };
        let jwts = [by(&own, 1), by(&one, 2), by(&two, 3), by(&stranger, 9), by(&account, 9), "x".to_owned()];
        let taken = |operator: Option<&Operator>| {
            let (held, foreign) = Held::of(jwts.to_vec(), &name, operator);
            (held.map(|held| held.claims.iat), foreign.len())
        };
        assert_eq!(taken(Some(&Operator::of_jwt(again(&one), &jwt).unwrap())), (Some(3), 2));
        assert_eq!(taken(Some(&Operator::of_jwt(again(&own), &jwt).unwrap())), (Some(3), 2));
        assert_eq!(taken(Some(&Operator::of_key(again(&one)))), (Some(2), 4));
        assert_eq!(taken(Some(&Operator::of_key(KeyPair::new_operator()))), (None, 5));
        assert_eq!(taken(None), (Some(9), 0), "nothing is signed from it");
        assert_eq!(Held::of(jwts.to_vec(), "A", None).0, None);
    }

    #[test]
    fn whose_jwt_it_is_has_to_be_true() {
        let (own, one) = (KeyPair::new_operator(), KeyPair::new_operator());
        let jwt = operator("Emote", &own, &[one.public_key()], "A", at(1)).unwrap();
        let other = Operator::of_jwt(KeyPair::new_operator(), &jwt).err().unwrap();
        assert!(matches!(other, OperatorError::OtherKey(_)), "{other}");
        let claims = json!({"type": "operator", "signing_keys": [one.public_key()]});
        let by_another = signed("Emote", &own.public_key(), &one, at(1), claims).unwrap();
        assert_eq!(Operator::of_jwt(again(&one), &by_another).err().unwrap(), OperatorError::NotItsOwn);
        let account = KeyPair::new_account();
        let no_operator = signed("A", &account.public_key(), &account, at(1), json!({"type": "operator"})).unwrap();
        assert_eq!(Operator::of_jwt(again(&one), &no_operator).err().unwrap(), OperatorError::NotItsOwn);
        assert!(matches!(Operator::of_jwt(again(&one), "x").err().unwrap(), OperatorError::Jwt(_)));
    }

    #[test]
    fn a_server_with_an_older_account_is_left_behind() {
        let (signer, account) = (KeyPair::new_operator(), KeyPair::new_account().public_key());
        let signed = |public_key: &str, seconds: i64| {
            let validity = Validity::from(Time::from_millis(seconds * 1000).unwrap());
            Account { name: "DEVICES", public_key, ..Account::default() }.sign(&signer, validity).unwrap()
        };
        let (old, new) = (signed(&account, 1), signed(&account, 2));
        let other = signed(&KeyPair::new_account().public_key(), 3);
        let of = |jwts: &[&String]| {
            let held = Held::of(jwts.iter().map(|jwt| (*jwt).clone()).collect(), &account, None).0?;
            Some((held.claims.iat, held.left_behind))
        };
        assert_eq!(of(&[&new, &old, &new]), Some((2, Some(new.clone()))));
        assert_eq!(of(&[&new, &new]), Some((2, None)));
        assert_eq!(of(&[&old, &other, &"junk".to_owned()]), Some((1, None)), "what is another's says nothing");
        assert_eq!(of(&[&other]), None);
    }
}
