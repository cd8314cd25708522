//! An operator with one account, whose users' credentials a server of its configuration takes (NATS JWT, version 2).

use data_encoding::BASE64URL_NOPAD;
use nkeys::KeyPair;
use serde_json::{Value, json};

pub(crate) struct Operator {
    operator: KeyPair,
    account: KeyPair,
}

impl Operator {
    pub(crate) fn new() -> Self {
        Self { operator: KeyPair::new_operator(), account: KeyPair::new_account() }
    }

    /// For the server.
    pub(crate) fn configuration(&self) -> String {
        let operator = token(&self.operator, &self.operator, json!({"type": "operator", "version": 2}));
        let all = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), json!(-1))).collect::<Value>();
        let mut limits = all(&["subs", "data", "payload", "imports", "exports", "conn", "leaf"]);
        limits["wildcards"] = true.into();
        let account = token(&self.operator, &self.account, json!({"type": "account", "version": 2, "limits": limits}));
        let id = self.account.public_key();
        format!("operator: {operator}\nresolver: MEMORY\nresolver_preload: {{ {id}: {account} }}\n")
    }

    /// For an agent of this serial number.
    pub(crate) fn credentials(&self, serial: &str) -> String {
        let user = KeyPair::new_user();
        let publish = json!({"allow": [format!("events.agent.{serial}.>")]});
        let subscribe = json!({"allow": [format!("_INBOX.{serial}.>")]});
        let claims = json!({"type": "user", "version": 2, "pub": publish, "sub": subscribe, "subs": -1, "data": -1, "payload": -1});
        let jwt = token(&self.account, &user, claims);
        let seed = user.seed().unwrap();
        format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )
    }
}

fn token(issuer: &KeyPair, subject: &KeyPair, claims: Value) -> String {
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let payload = json!({"jti": "test", "iat": 1_700_000_000, "iss": issuer.public_key(), "name": "test",
        "sub": subject.public_key(), "nats": claims});
    let text = format!("{}.{}", part(&json!({"typ": "JWT", "alg": "ed25519-nkey"})), part(&payload));
    let signature = BASE64URL_NOPAD.encode(&issuer.sign(text.as_bytes()).unwrap());
    format!("{text}.{signature}")
}
