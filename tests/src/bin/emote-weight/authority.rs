//! A certificate authority, and an operator with its account: all made for one run.

use anyhow::Context;
use data_encoding::BASE64URL_NOPAD;
use nkeys::KeyPair;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer};
use serde_json::{Value, json};

/// Who signs. JWTs are of version 2, as nats-io/jwt describes them.
pub(crate) struct Authority {
    operator: KeyPair,
    account: KeyPair,
    /// Whose server this is, which JetStream wants to be somebody else.
    system: KeyPair,
    /// PEM: what the agent trusts.
    pub(crate) roots: String,
    /// PEM: certificate and key of a server on 127.0.0.1.
    pub(crate) server: (String, String),
}

impl Authority {
    /// Makes all keys.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let key = rcgen::KeyPair::generate()?;
        let mut params = CertificateParams::new([])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "emote-weight");
        let roots = params.self_signed(&key)?.pem();
        let issuer = Issuer::new(params, key);
        let server = rcgen::KeyPair::generate()?;
        let certificate = CertificateParams::new(["127.0.0.1".to_owned()])?.signed_by(&server, &issuer)?;
        let server = (certificate.pem(), server.serialize_pem());
        let (operator, [account, system]) = (KeyPair::new_operator(), [(); 2].map(|()| KeyPair::new_account()));
        Ok(Self { operator, account, system, roots, server })
    }

    /// The lines of a nats-server's configuration that have it know users of the account.
    pub(crate) fn resolver(&self) -> anyhow::Result<String> {
        let (account, system) = (self.account.public_key(), self.system.public_key());
        let operator = jwt(&self.operator.public_key(), &self.operator, &json!({"type": "operator", "version": 2}))?;
        let stores = ["mem_storage", "disk_storage", "streams", "consumer"];
        let (of_account, of_system) = (self.account_jwt(&account, &stores)?, self.account_jwt(&system, &[])?);
        Ok(format!(
            "operator: {operator}\nsystem_account: {system}\nresolver: MEMORY\n\
             resolver_preload: {{ {account}: {of_account}, {system}: {of_system} }}\n"
        ))
    }

    /// Of an account without limits; on what it may store only those of `stores`.
    fn account_jwt(&self, name: &str, stores: &[&str]) -> anyhow::Result<String> {
        let unlimited = ["subs", "data", "payload", "imports", "exports", "conn", "leaf"];
        let mut limits: Value = unlimited.iter().chain(stores).map(|limit| (*limit, -1)).collect();
        limits["wildcards"] = true.into();
        jwt(name, &self.operator, &json!({"type": "account", "version": 2, "limits": limits}))
    }

    /// The text of a `.creds` file of somebody who may publish and subscribe to no more than this.
    pub(crate) fn credentials(&self, publish: &[&str], subscribe: &[&str]) -> anyhow::Result<String> {
        let user = KeyPair::new_user();
        let claims = json!({"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1,
            "pub": {"allow": publish}, "sub": {"allow": subscribe}});
        let jwt = jwt(&user.public_key(), &self.account, &claims)?;
        let seed = user.seed().context("the user's seed")?;
        Ok(format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        ))
    }
}

fn jwt(subject: &str, issuer: &KeyPair, nats: &Value) -> anyhow::Result<String> {
    let part = |value: Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let now = jiff::Timestamp::now().as_second();
    let claims = json!({"jti": format!("{subject}-{now}"), "iat": now, "iss": issuer.public_key(), "name": "emote-weight",
        "sub": subject, "nats": nats});
    let signed = format!("{}.{}", part(json!({"typ": "JWT", "alg": "ed25519-nkey"})), part(claims));
    let signature = issuer.sign(signed.as_bytes()).context("signing a JWT")?;
    Ok(format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature)))
}
