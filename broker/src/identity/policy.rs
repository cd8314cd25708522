//! Who gets a credential: a policy, and whose word counts for a Mac that the MDM manages.

use std::{fmt, str::FromStr};

use emote_proto::{Name, Time};
use serde::{Deserialize, Serialize};

use crate::core::{Node, OWN_SOURCES};

/// From the most open to the strictest; where two apply, the stricter does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Whoever has a token.
    Open,
    /// Whoever has a token and is a Mac that the MDM says it manages.
    Mdm,
    /// Whoever has a token and was approved by somebody.
    Approve,
}

impl Policy {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Open, Self::Mdm, Self::Approve];

    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Mdm => "mdm",
            Self::Approve => "approve",
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Policy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|policy| policy.word() == text);
        found.ok_or_else(|| "expected open, mdm or approve".to_owned())
    }
}

/// What the MDM says of a serial number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mdm", rename_all = "snake_case")]
pub enum Vouch {
    /// Nothing, so far.
    Unknown,
    /// That it does not manage it any more.
    Unenrolled,
    /// That it manages it.
    Enrolled {
        /// When it last enrolled there.
        since: Time,
    },
}

impl Vouch {
    /// What the node's record says. `mdm` are the sources whose word counts; empty: all that are neither the agent nor
    /// Emote. What was not proven of its sender counts for nothing, nor does what is known under a UDID: a Mac that calls
    /// itself by another's UDID is not that one.
    pub fn of(node: Option<&Node>, mdm: &[Name]) -> Self {
        let Some(node) = node.filter(|node| node.serial.as_ref() == Some(&node.key)) else { return Self::Unknown };
        let counts = |name: &str| {
            if mdm.is_empty() { !OWN_SOURCES.contains(&name) } else { mdm.iter().any(|source| source.as_str() == name) }
        };
        let claims = node.sources.iter().filter(|(name, _)| counts(name));
        let said: Vec<_> =
            claims.filter_map(|(_, claims)| claims.get("enrolled").filter(|claim| !claim.unverified)).collect();
        let enrolled = said.iter().filter(|claim| claim.value == true);
        // Said again is enrolled again: a Mac that was erased does not take its leave first.
        match enrolled.map(|claim| claim.confirmed.unwrap_or(claim.since)).max() {
            Some(since) => Self::Enrolled { since },
            None if said.iter().any(|claim| claim.value == false) => Self::Unenrolled,
            None => Self::Unknown,
        }
    }
}

impl fmt::Display for Vouch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("no MDM knows it"),
            Self::Unenrolled => f.write_str("the MDM says it is unenrolled"),
            Self::Enrolled { since } => write!(f, "the MDM enrolled it at {since}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn at(millis: i64) -> Time {
        Time::from_millis(millis).unwrap()
    }

    fn node(claims: &[(&str, Value, i64)]) -> Node {
        let mut node = Node { serial: Some("C02".to_owned()), ..Node::new("C02", at(0)) };
        for (source, value, millis) in claims {
            node.claim(source, "enrolled", value.clone(), at(*millis));
        }
        node
    }

    #[test]
    fn the_stricter_policy_is_the_greater() {
        assert!(Policy::Open < Policy::Mdm && Policy::Mdm < Policy::Approve);
        for policy in Policy::ALL {
            assert_eq!(policy.word().parse(), Ok(policy));
        }
        assert!("anyone".parse::<Policy>().is_err());
    }

    #[test]
    fn only_an_mdm_vouches_and_a_mac_that_was_erased_is_enrolled_anew() {
        let (jamf, other) = (vec![Name::new("jamf").unwrap()], vec![Name::new("okta").unwrap()]);
        let enrolled = |millis| Vouch::Enrolled { since: at(millis) };
        for (claims, mdm, vouch) in [
            (vec![], &[][..], Vouch::Unknown),
            (vec![("agent", json!(true), 1)], &[], Vouch::Unknown),
            (vec![("jamf", json!(true), 1)], &[], enrolled(1)),
            (vec![("jamf", json!(true), 1), ("jamf", json!(true), 9)], &[], enrolled(9)),
            (vec![("jamf", json!(true), 1), ("jamf", json!(false), 2)], &[], Vouch::Unenrolled),
            (vec![("jamf", json!(false), 3), ("nanomdm", json!(true), 2)], &[], enrolled(2)),
            (vec![("jamf", json!(true), 1)], &jamf, enrolled(1)),
            (vec![("jamf", json!(true), 1)], &other, Vouch::Unknown),
            (vec![("jamf", json!("yes"), 1)], &[], Vouch::Unknown),
        ] {
            assert_eq!(Vouch::of(Some(&node(&claims)), mdm), vouch, "{claims:?}");
        }
        assert_eq!(Vouch::of(None, &[]), Vouch::Unknown);
    }

    #[test]
    fn nobody_is_vouched_for_by_what_was_not_proven_or_under_a_udid() {
        let mdm = [Name::new("nanomdm").unwrap()];
        let mut open = node(&[("nanomdm", json!(true), 1)]);
        assert_eq!(Vouch::of(Some(&open), &mdm), Vouch::Enrolled { since: at(1) });
        let by_udid = Node { serial: None, udid: Some("C02".to_owned()), ..open.clone() };
        assert_eq!(Vouch::of(Some(&by_udid), &mdm), Vouch::Unknown);
        open.claim_as("nanomdm", "enrolled", json!(true), at(2), true);
        for mdm in [&mdm[..], &[]] {
            assert_eq!(Vouch::of(Some(&open), mdm), Vouch::Unknown);
        }
        open.claim_as("nanomdm", "enrolled", json!(true), at(3), false);
        open.claim_as("nanomdm", "enrolled", json!(false), at(2), true);
        assert_eq!(Vouch::of(Some(&open), &mdm), Vouch::Enrolled { since: at(3) });
    }
}
