//! What a token says of somebody. Pure.

use serde_json::{Map, Value};

use super::Problem;
use crate::config::Secret;
use crate::console::http::{
    session::{How, Person, hash},
    spec::OidcSpec,
};

/// Longest name, in bytes: it must fit into the subject of an order.
const MAX_NAME: usize = 110;
/// Longest subject (OpenID Connect Core 1.0, 2).
const MAX_SUBJECT: usize = 255;

/// What is to be checked beside signature, issuer, audience and times (OpenID Connect Core 1.0, 3.1.3.7).
pub(super) fn check(claims: &Map<String, Value>, client_id: &str, nonce: &str) -> Result<(), Problem> {
    let given = claims.get("nonce").and_then(Value::as_str).unwrap_or_default();
    if !Secret::new(nonce).is(given) {
        return Err(Problem::Claim("nonce is not the one of this sign-in"));
    }
    let several = claims.get("aud").and_then(Value::as_array).is_some_and(|all| all.len() > 1);
    match claims.get("azp").and_then(Value::as_str) {
        Some(party) if party != client_id => Err(Problem::Claim("azp is another client")),
        None if several => Err(Problem::Claim("azp is missing, and it is for several")),
        _ => Ok(()),
    }
}

/// Who it is. An address is what they are called only where the provider says that it is theirs: at some, people write into
/// their own record whatever address they like, and orders are signed with it.
pub(super) fn person(claims: &Map<String, Value>, spec: &OidcSpec) -> Result<Person, Problem> {
    let text = |key: &str, max| claims.get(key).and_then(Value::as_str).filter(|text| is_name(text, max));
    let subject = text("sub", MAX_SUBJECT).ok_or(Problem::Claim("sub is missing, or cannot be one"))?;
    let name = |key| text(key, MAX_NAME);
    let verified = claims.get("email_verified") == Some(&Value::Bool(true));
    let name = name("email").filter(|_| verified).or_else(|| name("preferred_username")).or_else(|| name("sub"));
    Ok(Person {
        how: How::Oidc,
        name: name.map_or_else(|| format!("somebody {}", &hash(subject.as_bytes())[..16]), str::to_owned),
        subject: format!("{} {subject}", spec.issuer),
        groups: spec.roles.named_in(claims),
    })
}

fn is_name(text: &str, max: usize) -> bool {
    !text.trim().is_empty() && text.len() <= max && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::http::{Issuer, Role, RoleMap};
    use serde_json::json;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_token_is_for_this_sign_in_and_for_us() {
        for (claims, fine) in [
            (json!({"nonce": "n", "aud": "emote"}), true),
            (json!({"nonce": "n", "aud": ["emote"]}), true),
            (json!({"nonce": "n", "aud": ["emote", "other"], "azp": "emote"}), true),
            (json!({"nonce": "n", "aud": ["emote", "other"]}), false),
            (json!({"nonce": "n", "aud": "emote", "azp": "other"}), false),
            (json!({"nonce": "m", "aud": "emote"}), false),
            (json!({"nonce": ["n"], "aud": "emote"}), false),
            (json!({"aud": "emote"}), false),
        ] {
            assert_eq!(check(&map(claims.clone()), "emote", "n").is_ok(), fine, "{claims}");
        }
    }

    #[test]
    fn people_are_called_by_an_address_that_is_theirs() {
        let values = [(Role::Viewer, vec!["it".to_owned()])].into();
        let spec = OidcSpec {
            issuer: Issuer::parse("https://idp.example.com").unwrap(),
            client_id: "emote".to_owned(),
            client_secret: None,
            scopes: Vec::new(),
            roles: RoleMap { claim: "groups".to_owned(), values },
        };
        let name = |claims: Value| person(&map(claims), &spec).ok().map(|person| person.shown());
        for (claims, expected) in [
            (json!({"sub": "1", "email": "root@example.com"}), Some("1 (oidc)")),
            (json!({"sub": "1", "email": "root@example.com", "preferred_username": "ada"}), Some("ada (oidc)")),
            (json!({"sub": "1", "email": "ada@example.com", "email_verified": true}), Some("ada@example.com (oidc)")),
            (json!({"sub": "1", "email": "root@example.com", "email_verified": false}), Some("1 (oidc)")),
            (json!({"sub": "1", "email": "root@example.com", "email_verified": "no"}), Some("1 (oidc)")),
            (json!({"sub": "1", "preferred_username": "ada"}), Some("ada (oidc)")),
            (json!({"sub": "1", "email": "a\r\nSet-Cookie: b"}), Some("1 (oidc)")),
            (json!({"email": "ada@example.com"}), None),
            (json!({"sub": ""}), None),
            (json!({"sub": "x".repeat(256)}), None),
            (json!({"sub": "x".repeat(255)}), Some("somebody d22609da3ae3956c (oidc)")),
        ] {
            assert_eq!(name(claims.clone()).as_deref(), expected, "{claims}");
        }
    }
}
