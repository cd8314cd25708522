//! Users of a NATS with an operator, one account and JWTs, made by hand: the format is public (JWT v2, ed25519-nkey).

use std::collections::BTreeMap;

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use nkeys::KeyPair;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const LIMITS: [&str; 11] = [
    "subs",
    "data",
    "payload",
    "imports",
    "exports",
    "conn",
    "leaf",
    "mem_storage",
    "disk_storage",
    "streams",
    "consumer",
];
const BORN: u64 = 1_760_000_000;

pub(super) struct Users {
    operator: KeyPair,
    system: KeyPair,
    account: KeyPair,
    users: BTreeMap<&'static str, KeyPair>,
}

impl Users {
    pub(super) fn new() -> Self {
        let users = ["first", "second"].map(|name| (name, KeyPair::new_user())).into();
        let (operator, system, account) = (KeyPair::new_operator(), KeyPair::new_account(), KeyPair::new_account());
        Self { operator, system, account, users }
    }

    /// The file that a user connects with.
    pub(super) fn credentials(&self, name: &str) -> String {
        let user = &self.users[name];
        let about = json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1});
        let (jwt, seed) = (signed(&self.account, &user.public_key(), name, &about), user.seed().unwrap());
        format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )
    }

    /// What the server is told, where these users are shut out.
    pub(super) fn server(&self, out: &[&str]) -> String {
        let revoked: BTreeMap<String, u64> =
            out.iter().map(|name| (self.users[name].public_key(), BORN + 1_000_000_000)).collect();
        let limits = LIMITS.iter().map(|limit| ((*limit).to_owned(), json!(-1)));
        let mut limits: serde_json::Map<String, Value> = limits.collect();
        limits.insert("wildcards".to_owned(), json!(true));
        let account = |limits: Value, revoked: &BTreeMap<String, u64>| json!({"type": "account", "version": 2, "limits": limits, "revocations": revoked});
        // A system account keeps no streams.
        let (of_system, of_account) = (account(json!({}), &BTreeMap::new()), account(limits.into(), &revoked));
        let operator = json!({"type": "operator", "version": 2});
        let operator = signed(&self.operator, &self.operator.public_key(), "operator", &operator);
        let [system, account] = [(&self.system, &of_system), (&self.account, &of_account)].map(|(key, about)| {
            let key = key.public_key();
            let jwt = signed(&self.operator, &key, "account", about);
            (key, jwt)
        });
        format!(
            "operator: {operator}\nresolver: MEMORY\nsystem_account: {}\nresolver_preload: {{ {}: {}, {}: {} }}\n",
            system.0, system.0, system.1, account.0, account.1
        )
    }
}

fn signed(by: &KeyPair, of: &str, name: &str, nats: &Value) -> String {
    let mut claims = json!({"iat": BORN, "iss": by.public_key(), "sub": of, "name": name, "nats": nats});
    claims["jti"] = json!(BASE32_NOPAD.encode(&Sha256::digest(claims.to_string())));
    let encoded = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let text = format!("{}.{}", encoded(&json!({"typ": "JWT", "alg": "ed25519-nkey"})), encoded(&claims));
    format!("{text}.{}", BASE64URL_NOPAD.encode(&by.sign(text.as_bytes()).unwrap()))
}
