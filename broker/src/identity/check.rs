//! Whether the keys of emote.yaml are what they should be: a key that signs agents must be bound to the template of agents.
//! One that is not would make every Mac master of the account.

use std::collections::BTreeSet;

use emote_proto::jwt::Claims;
use serde_json::Value;

use super::role::Role;

/// What an account's JWT says of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// It is bound to the role's template.
    Fits,
    /// The account does not know it.
    Unknown,
    /// It is bound to nothing.
    Unbound,
    /// It is bound to another template.
    Other,
}

impl Scope {
    /// What the account says of `key`, which should be bound to the template of `role`.
    pub fn of(claims: &Claims, key: &str, role: Role) -> Self {
        if claims.sub == key {
            return Self::Unbound;
        }
        let keys = claims.nats.get("signing_keys").and_then(Value::as_array);
        let is_it =
            |entry: &&Value| entry.as_str() == Some(key) || entry.get("key").and_then(Value::as_str) == Some(key);
        let Some(found) = keys.and_then(|keys| keys.iter().find(is_it)) else { return Self::Unknown };
        let Some(template) = found.get("template") else { return Self::Unbound };
        let wanted = role.template();
        let same = ["pub", "sub"].into_iter().all(|way| allows(template, way) == allows(&wanted, way));
        let answers = template.get("resp").is_some_and(|resp| !resp.is_null());
        if same && !answers { Self::Fits } else { Self::Other }
    }
}

fn allows<'a>(template: &'a Value, way: &str) -> BTreeSet<&'a str> {
    let list = template.get(way).and_then(|way| way.get("allow")).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// What is to be said of a key that does not fit, and done about it; nothing where it does.
pub fn unfit(scope: &Scope, name: &str, key: &str, role: Role) -> Option<String> {
    let account = if name.is_empty() { "DEVICES" } else { name };
    let (word, template) = (role.word(), role.template());
    let list = |way: &str| allows(&template, way).into_iter().collect::<Vec<_>>().join(",");
    let flags = format!("--role {word} --allow-pub '{}' --allow-sub '{}'", list("pub"), list("sub"));
    let edit = format!("nsc edit signing-key --account {account} --sk {key} {flags} && nsc push --account {account}");
    let add = format!("nsc edit signing-key --account {account} --sk generate {flags} && nsc push --account {account}");
    match scope {
        Scope::Fits => None,
        Scope::Unknown => {
            Some(format!("{word}_key: {key} is no signing key of the account {account}: `{edit}` makes it one"))
        }
        Scope::Unbound => Some(format!(
            "{word}_key: {key} is bound to no role, so whoever it signs may do everything in the account: use a key that is bound, which `{add}` makes"
        )),
        Scope::Other => {
            Some(format!("{word}_key: {key} is bound to other permissions than Emote's: `{edit}` puts them right"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use emote_proto::Time;
    use nkeys::KeyPair;
    use serde_json::json;

    use crate::identity::{account::Account, jwt::Validity};

    #[test]
    fn only_a_key_with_exactly_the_roles_template_fits() {
        let [account, device, plain, other] = [(); 4].map(|()| KeyPair::new_account().public_key());
        let now = Time::from_millis(0).unwrap();
        let jwt = Account {
            name: "DEVICES",
            public_key: &account,
            scoped: &[(device.clone(), Role::Device), (other.clone(), Role::Enroll)],
            signing_keys: std::slice::from_ref(&plain),
            ..Account::default()
        };
        let jwt = jwt.sign(&KeyPair::new_operator(), Validity::from(now)).unwrap();
        let mut claims = Claims::verified(&jwt).unwrap();
        for (key, scope) in [
            (&device, Scope::Fits),
            (&plain, Scope::Unbound),
            (&account, Scope::Unbound),
            (&other, Scope::Other),
            (&KeyPair::new_account().public_key(), Scope::Unknown),
        ] {
            assert_eq!(Scope::of(&claims, key, Role::Device), scope, "{key}");
            let said = unfit(&scope, "DEVICES", key, Role::Device);
            assert_eq!(said.is_none(), scope == Scope::Fits);
            assert!(said.is_none_or(|said| said.contains("nsc edit signing-key --account DEVICES --sk")));
        }
        let keys = claims.nats["signing_keys"].as_array_mut().unwrap();
        let at = keys.iter().position(|entry| entry["key"] == json!(device)).unwrap();
        keys[at]["template"]["resp"] = json!({"max": 1});
        assert_eq!(Scope::of(&claims, &device, Role::Device), Scope::Other);
    }
}
