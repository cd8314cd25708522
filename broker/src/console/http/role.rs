//! What somebody may do. Each role may do what those before it may.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::spec::RoleMap;

/// A role, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Gives dead letters out again, or throws them away.
    Operator,
    /// Lets through what is held, or denies it; lets Macs have a credential, or not.
    Approver,
    /// Changes what is in force; takes credentials away.
    Admin,
}

impl Role {
    /// All of them, the least first.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Operator, Self::Approver, Self::Admin];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or(())
    }
}

impl RoleMap {
    /// The values of the claim that this mapping names anywhere; what else somebody is does not matter here.
    pub fn named_in(&self, claims: &Map<String, Value>) -> Vec<String> {
        let claim = match self.claim.strip_prefix('/') {
            Some(path) => {
                let mut steps = path.split('/').map(|step| step.replace("~1", "/").replace("~0", "~"));
                let first = steps.next().and_then(|step| claims.get(&step));
                steps.fold(first, |value, step| value?.get(&step))
            }
            None => claims.get(&self.claim),
        };
        let words: Vec<&str> = match claim {
            Some(Value::String(word)) => vec![word],
            Some(Value::Array(words)) => words.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let mut named: Vec<String> = self.values.values().flatten().cloned().collect();
        named.sort_unstable();
        named.dedup();
        named.retain(|name| words.contains(&name.as_str()));
        named
    }

    /// The highest role that these values give.
    pub fn role_of(&self, values: &[String]) -> Option<Role> {
        let gives =
            |role: &Role| self.values.get(role).is_some_and(|named| named.iter().any(|one| values.contains(one)));
        Role::ALL.into_iter().rev().find(gives)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(claim: &str) -> RoleMap {
        let values =
            [(Role::Viewer, vec!["it".to_owned(), "audit".to_owned()]), (Role::Admin, vec!["root".to_owned()])];
        RoleMap { claim: claim.to_owned(), values: values.into() }
    }

    #[test]
    fn claims_make_roles() {
        for (claim, claims, role) in [
            ("groups", json!({"groups": ["it"]}), Some(Role::Viewer)),
            ("groups", json!({"groups": "it"}), Some(Role::Viewer)),
            ("groups", json!({"groups": ["audit", "root", "x"]}), Some(Role::Admin)),
            ("groups", json!({"groups": ["IT", "roots", "it "]}), None),
            ("groups", json!({"groups": {"it": true}}), None),
            ("groups", json!({"groups": [["it"]]}), None),
            ("groups", json!({}), None),
            ("/realm_access/roles", json!({"realm_access": {"roles": ["root"]}}), Some(Role::Admin)),
            ("/realm_access/roles", json!({"realm_access": "root"}), None),
            ("https://example.com/groups", json!({"https://example.com/groups": ["it"]}), Some(Role::Viewer)),
            ("/https:~1~1example.com~1groups", json!({"https://example.com/groups": ["it"]}), Some(Role::Viewer)),
        ] {
            let map = map(claim);
            assert_eq!(map.role_of(&map.named_in(claims.as_object().unwrap())), role, "{claims}");
        }
    }

    #[test]
    fn roles_are_in_order() {
        assert!(Role::ALL.is_sorted());
        assert!(Role::ALL.iter().all(|role| role.name().parse() == Ok(*role)));
    }
}
