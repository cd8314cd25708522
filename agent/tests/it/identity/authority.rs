//! An operator, its system account, and Emote's account with its scoped signing keys, all made for one test.

use data_encoding::BASE64URL_NOPAD;
use emote_proto::enroll::{EnrollmentToken, UserKey};
use jiff::Timestamp;
use nkeys::KeyPair;
use serde_json::{Map, Value, json};

pub(crate) struct Authority {
    operator: KeyPair,
    system: KeyPair,
    account: KeyPair,
    device: KeyPair,
    enroll: KeyPair,
}

/// A user with its seed, for connections of the test itself.
pub(crate) struct User {
    pub(crate) jwt: String,
    pub(crate) pair: KeyPair,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let [system, account, device, enroll] = [(); 4].map(|()| KeyPair::new_account());
        Self { operator: KeyPair::new_operator(), system, account, device, enroll }
    }

    /// For a server that keeps accounts' JWTs in `jwt`, and can be given others.
    pub(crate) fn configuration(&self) -> String {
        let operator = sign(&self.operator, &self.operator, "op", json!({"type": "operator", "version": 2}), None);
        let (account, system) = (self.account.public_key(), self.system.public_key());
        let of_system = self.account_jwt(&self.system, None, &[]);
        format!(
            "operator: {operator}\nsystem_account: {system}\n\
             resolver: {{ type: full, dir: jwt, allow_delete: false, interval: \"2m\" }}\n\
             resolver_preload: {{ {account}: {}, {system}: {of_system} }}\n",
            self.emote(None)
        )
    }

    /// The account's JWT: the one it begins with, or a later one in which these keys are revoked.
    pub(crate) fn emote(&self, revoked: Option<&[UserKey]>) -> String {
        self.account_jwt(&self.account, revoked, &["mem_storage", "disk_storage", "streams", "consumer"])
    }

    fn account_jwt(&self, account: &KeyPair, revoked: Option<&[UserKey]>, stores: &[&str]) -> String {
        let unlimited = ["subs", "data", "payload", "imports", "exports", "conn", "leaf"];
        let mut limits: Value = unlimited.iter().chain(stores).map(|limit| (*limit, -1)).collect();
        limits["wildcards"] = true.into();
        let scope = |pair: &KeyPair, publish: &str, subscribe: &str| {
            let template = json!({"pub": {"allow": [publish]}, "sub": {"allow": [subscribe]}, "subs": -1, "data": -1,
                "payload": -1});
            json!({"kind": "user_scope", "key": pair.public_key(), "role": "r", "template": template})
        };
        let scopes = json!([
            scope(&self.device, "events.agent.{{name()}}.>", "_INBOX.{{name()}}.>"),
            scope(&self.enroll, "enroll.{{name()}}", "_ENROLL.{{name()}}.>"),
        ]);
        let keys = if stores.is_empty() { json!([]) } else { scopes };
        let mut claims = json!({"type": "account", "version": 2, "limits": limits, "signing_keys": keys});
        if let Some(revoked) = revoked {
            let at = Timestamp::now().as_second();
            claims["revocations"] =
                revoked.iter().map(|key| (key.to_string(), at.into())).collect::<Map<_, Value>>().into();
        }
        sign(&self.operator, account, "account", claims, None)
    }

    /// A user of the account who may do everything.
    pub(crate) fn service(&self) -> User {
        self.user(&self.account)
    }

    /// A user of the system account.
    pub(crate) fn admin(&self) -> User {
        self.user(&self.system)
    }

    fn user(&self, account: &KeyPair) -> User {
        let pair = KeyPair::new_user();
        let claims = json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1});
        User { jwt: sign(account, &pair, "user", claims, None), pair }
    }

    /// For a device, for so many seconds.
    pub(crate) fn device(&self, name: &str, key: &str, seconds: i64) -> String {
        self.scoped(&self.device, name, &KeyPair::from_public_key(key).unwrap(), Some(seconds))
    }

    pub(crate) fn token(&self, name: &str) -> EnrollmentToken {
        let pair = KeyPair::new_user();
        EnrollmentToken::new(self.scoped(&self.enroll, name, &pair, None), pair.seed().unwrap()).unwrap()
    }

    pub(crate) fn account(&self) -> String {
        self.account.public_key()
    }

    fn scoped(&self, signer: &KeyPair, name: &str, user: &KeyPair, seconds: Option<i64>) -> String {
        let claims = json!({"type": "user", "version": 2, "issuer_account": self.account.public_key()});
        sign(signer, user, name, claims, seconds)
    }
}

fn sign(issuer: &KeyPair, subject: &KeyPair, name: &str, claims: Value, seconds: Option<i64>) -> String {
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let now = Timestamp::now();
    // Of two JWTs of one second a server keeps either: what an account begins with must be older than what replaces it.
    let begins = name == "account" && claims["revocations"].is_null();
    let issued = now.as_second() - if begins { 60 } else { 0 };
    let mut body = json!({"jti": now.as_nanosecond().to_string(), "iat": issued, "iss": issuer.public_key(),
        "name": name, "sub": subject.public_key(), "nats": claims});
    if let Some(seconds) = seconds {
        body["exp"] = (now.as_second() + seconds).into();
    }
    let text = format!("{}.{}", part(&json!({"typ": "JWT", "alg": "ed25519-nkey"})), part(&body));
    format!("{text}.{}", BASE64URL_NOPAD.encode(&issuer.sign(text.as_bytes()).unwrap()))
}
