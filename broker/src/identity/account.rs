//! What an account's JWT says: its limits, its signing keys, and what it lets another account have.
//!
//! Whatever is exported needs an activation, a JWT by which the exporting account names the account that may import it.

use nkeys::KeyPair;
use serde_json::{Value, json};

use super::{
    jwt::{SignError, Validity, signed},
    role::Role,
};

/// Which way messages go through an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// From whoever imports it, with an answer.
    Service,
    /// To whoever imports it.
    Stream,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Stream => "stream",
        }
    }
}

/// Subjects of one account that another may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// For people.
    pub name: &'static str,
    /// The subjects.
    pub subject: &'static str,
    /// Which way.
    pub kind: Kind,
}

/// Something another account shares, with its word that we may have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    shared: Shared,
    from: String,
    activation: String,
}

impl Import {
    /// `owner` lets the account `to` have it.
    pub fn granted(shared: &Shared, owner: &KeyPair, to: &str, validity: Validity) -> Result<Self, SignError> {
        let claims = json!({"type": "activation", "version": 2, "subject": shared.subject, "kind": shared.kind.word()});
        let activation = signed(shared.name, to, owner, validity, claims)?;
        Ok(Self { shared: shared.clone(), from: owner.public_key(), activation })
    }

    fn claims(&self) -> Value {
        let Shared { name, subject, kind } = &self.shared;
        json!({"name": name, "subject": subject, "type": kind.word(), "account": self.from, "token": self.activation})
    }
}

/// What an account's JWT says.
#[derive(Debug, Clone, Default)]
pub struct Account<'a> {
    /// For people.
    pub name: &'a str,
    /// Its public key.
    pub public_key: &'a str,
    /// Public keys of signing keys that are bound to a role, with the role.
    pub scoped: &'a [(String, Role)],
    /// Public keys of signing keys that are not.
    pub signing_keys: &'a [String],
    /// What others may have of it, if it says so to them.
    pub exports: &'a [Shared],
    /// What it has of others.
    pub imports: &'a [Import],
    /// Whether it may use JetStream. The system account must not.
    pub jetstream: bool,
}

impl Account<'_> {
    /// The account's JWT, by the operator's key or one of its signing keys.
    pub fn sign(&self, operator: &KeyPair, validity: Validity) -> Result<String, SignError> {
        signed(self.name, self.public_key, operator, validity, self.claims())
    }

    fn claims(&self) -> Value {
        let mut limits = json!({"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
            "conn": -1, "leaf": 0, "disallow_bearer": true});
        if self.jetstream {
            for limit in ["mem_storage", "disk_storage", "streams", "consumer"] {
                limits[limit] = (-1).into();
            }
        }
        let scoped = self.scoped.iter().map(|(key, role)| scope(key, *role));
        let keys: Vec<Value> = self.signing_keys.iter().map(|key| json!(key)).chain(scoped).collect();
        let exports: Vec<Value> = self.exports.iter().map(export).collect();
        let imports: Vec<Value> = self.imports.iter().map(Import::claims).collect();
        json!({"type": "account", "version": 2, "limits": limits, "signing_keys": keys, "exports": exports,
            "imports": imports})
    }
}

fn export(shared: &Shared) -> Value {
    let Shared { name, subject, kind } = shared;
    json!({"name": name, "subject": subject, "type": kind.word(), "token_req": true})
}

/// A signing key with its template, as an account's `signing_keys` hold it.
fn scope(key: &str, role: Role) -> Value {
    json!({"kind": "user_scope", "key": key, "role": role.word(), "template": role.template()})
}

#[cfg(test)]
mod tests {
    use super::*;
    use emote_proto::{Time, jwt::Claims};

    fn now() -> Validity {
        Validity::from(Time::from_millis(1_000).unwrap())
    }

    #[test]
    fn an_account_holds_a_template_for_each_scoped_key() {
        let (operator, account) = (KeyPair::new_operator(), KeyPair::new_account().public_key());
        let (scoped, plain) = (KeyPair::new_account().public_key(), KeyPair::new_account().public_key());
        let jwt = Account {
            name: "EMOTE",
            public_key: &account,
            scoped: &[(scoped.clone(), Role::Device)],
            signing_keys: std::slice::from_ref(&plain),
            jetstream: true,
            ..Account::default()
        };
        let claims = Claims::verified(&jwt.sign(&operator, now()).unwrap()).unwrap();
        assert_eq!(claims.nats["signing_keys"][0], json!(plain));
        let scope = &claims.nats["signing_keys"][1];
        assert_eq!((&scope["key"], &scope["role"]), (&json!(scoped), &json!("device")));
        assert_eq!(scope["template"]["pub"]["allow"], json!(["events.agent.{{name()}}.>"]));
        assert_eq!(scope["template"]["sub"]["allow"], json!(["_INBOX.{{name()}}.>"]));
        assert_eq!(claims.nats["limits"]["disk_storage"], json!(-1));
    }

    #[test]
    fn an_import_carries_the_owners_word_for_this_account() {
        let (operator, owner) = (KeyPair::new_operator(), KeyPair::new_account());
        let other = KeyPair::new_account().public_key();
        let shared = Shared { name: "events", subject: "events.agent.*.>", kind: Kind::Service };
        let import = Import::granted(&shared, &owner, &other, now()).unwrap();
        let importing = Account { name: "DEVICES", public_key: &other, imports: &[import], ..Account::default() };
        let claims = Claims::verified(&importing.sign(&operator, now()).unwrap()).unwrap();
        assert_eq!(claims.nats["imports"][0]["account"], json!(owner.public_key()));
        let token = claims.nats["imports"][0]["token"].as_str().unwrap();
        let activation = Claims::verified(token).unwrap();
        assert_eq!((activation.iss, activation.sub), (owner.public_key(), other));
        assert_eq!(activation.nats["subject"], json!(shared.subject));
        assert!(claims.nats["limits"].get("disk_storage").is_none());
        let key = owner.public_key();
        let exporting = Account { name: "EMOTE", public_key: &key, exports: &[shared], ..Account::default() };
        let claims = Claims::verified(&exporting.sign(&operator, now()).unwrap()).unwrap();
        assert_eq!(claims.nats["exports"][0]["token_req"], json!(true));
    }
}
