//! Everything that `emote init --secure` makes of NATS' authentication: an operator, three accounts, their signing keys and
//! the first users.

use emote_proto::{NodeKey, Time, enroll::UserKey};
use nkeys::KeyPair;

use super::{
    account::{Account, Import, Kind, Shared},
    jwt::{AccountKey, SignError, Validity, credentials_file, operator},
    role::Role,
};

/// What the account of the streams lets the account of devices have; nothing else passes between them.
pub const SHARED: [Shared; 4] = [
    Shared { name: "events of agents", subject: "events.agent.*.>", kind: Kind::Service },
    Shared { name: "enrolment", subject: "enroll.*", kind: Kind::Service },
    Shared { name: "the time", subject: "_INBOX.*.clock", kind: Kind::Stream },
    Shared { name: "credentials", subject: "_INBOX.*.identity", kind: Kind::Stream },
];

/// The keys. All are secrets.
pub struct Authority {
    operator: KeyPair,
    operator_signing: KeyPair,
    system: KeyPair,
    emote: KeyPair,
    devices: KeyPair,
    service: KeyPair,
    device: KeyPair,
    enroll: KeyPair,
}

/// A key's file, and what it is for.
pub struct KeyFile {
    /// `device.nk`
    pub name: &'static str,
    /// The key's seed: a secret.
    pub seed: String,
}

/// What the keys have signed.
pub struct Issued {
    /// The operator's JWT.
    pub operator: String,
    /// Public key and JWT of the system account.
    pub system: (String, String),
    /// Of the account of brokers, administrators and all streams.
    pub emote: (String, String),
    /// Of the account of devices and tokens.
    pub devices: (String, String),
    /// Credentials files: name and content, which is a secret.
    pub credentials: Vec<(&'static str, String)>,
}

impl Authority {
    /// Makes all keys.
    pub fn new() -> Self {
        Self {
            operator: KeyPair::new_operator(),
            operator_signing: KeyPair::new_operator(),
            system: KeyPair::new_account(),
            emote: KeyPair::new_account(),
            devices: KeyPair::new_account(),
            service: KeyPair::new_account(),
            device: KeyPair::new_account(),
            enroll: KeyPair::new_account(),
        }
    }

    /// The keys as files.
    pub fn files(&self) -> Result<Vec<KeyFile>, SignError> {
        let files = [
            ("operator.nk", &self.operator),
            ("operator-signing.nk", &self.operator_signing),
            ("system-account.nk", &self.system),
            ("emote-account.nk", &self.emote),
            ("devices-account.nk", &self.devices),
            ("service.nk", &self.service),
            ("device.nk", &self.device),
            ("enroll.nk", &self.enroll),
        ];
        let file = |(name, pair): (&'static str, &KeyPair)| Ok(KeyFile { name, seed: seed(pair)? });
        files.into_iter().map(file).collect()
    }

    /// Signs everything, as from `now` on. `admin` is the name under which the first administrator gives orders.
    pub fn issue(&self, admin: &NodeKey, now: Time) -> Result<Issued, SignError> {
        let validity = Validity::from(now);
        let signer = &self.operator_signing;
        let (system, emote, devices) = (self.system.public_key(), self.emote.public_key(), self.devices.public_key());
        let operator = operator("Emote", &self.operator, &[signer.public_key()], &system, validity)?;
        let system_jwt = Account { name: "SYS", public_key: &system, ..Account::default() }.sign(signer, validity)?;
        let emote_account = Account {
            name: "EMOTE",
            public_key: &emote,
            signing_keys: &[self.service.public_key()],
            exports: &SHARED,
            jetstream: true,
            ..Account::default()
        };
        let granted = |shared| Import::granted(shared, &self.emote, &devices, validity);
        let devices_account = Account {
            name: "DEVICES",
            public_key: &devices,
            scoped: &[(self.device.public_key(), Role::Device), (self.enroll.public_key(), Role::Enroll)],
            imports: &SHARED.iter().map(granted).collect::<Result<Vec<_>, _>>()?,
            ..Account::default()
        };
        Ok(Issued {
            operator,
            emote: (emote.clone(), emote_account.sign(signer, validity)?),
            devices: (devices.clone(), devices_account.sign(signer, validity)?),
            system: (system, system_jwt),
            credentials: self.credentials(admin, validity)?,
        })
    }

    /// The first users.
    fn credentials(&self, admin: &NodeKey, validity: Validity) -> Result<Vec<(&'static str, String)>, SignError> {
        let (emote, system) = (self.emote.public_key(), self.system.public_key());
        let users = [
            ("broker.creds", &self.service, &emote, Role::Broker, None),
            ("admin.creds", &self.service, &emote, Role::Admin, Some(admin)),
            ("system.creds", &self.system, &system, Role::System, None),
        ];
        let user = |(file, signer, account, role, name): (_, &KeyPair, &String, Role, Option<&NodeKey>)| {
            let own = NodeKey::new(role.word()).map_err(|_| SignError::NoSeed(role.word().to_owned()))?;
            Ok((file, user((signer, account), role, name.unwrap_or(&own), validity)?))
        };
        users.into_iter().map(user).collect()
    }
}

/// Credentials of a new user of this role and name, whom a key of the account signs that has this public key.
pub fn user(
    (signer, account): (&KeyPair, &str),
    role: Role,
    name: &NodeKey,
    validity: Validity,
) -> Result<String, SignError> {
    let pair = KeyPair::new_user();
    let key = UserKey::new(pair.public_key()).map_err(|_| SignError::NoSeed(pair.public_key()))?;
    let jwt = AccountKey::new(with_seed(signer)?, account).user_of(role, name, &key, validity)?;
    Ok(credentials_file(&jwt, &seed(&pair)?))
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Issued {
    /// What nats-server has to know of it, to be included in its configuration. `folder` is where it keeps accounts' JWTs.
    pub fn server_configuration(&self, folder: &str) -> String {
        let Self { operator, system, emote, devices, .. } = self;
        let preload: String = [("SYS", system), ("EMOTE", emote), ("DEVICES", devices)]
            .map(|(name, (key, jwt))| format!("  # {name}\n  {key}: {jwt}\n"))
            .concat();
        format!(
            "# Who may connect: nats-server trusts this operator, and whom the operator's accounts have signed.\n\
             # Written by `emote init --secure`; nothing in it is a secret.\n\
             operator: {operator}\n\
             system_account: {system}\n\n\
             # Accounts' JWTs as they were last brought up to date, revocations among them. This folder must last.\n\
             resolver {{\n  type: full\n  dir: {folder:?}\n  allow_delete: false\n  interval: \"2m\"\n  limit: 1000\n}}\n\n\
             # As they were first; what is newer in the folder above holds.\n\
             resolver_preload {{\n{preload}}}\n",
            system = system.0,
        )
    }
}

fn seed(pair: &KeyPair) -> Result<String, SignError> {
    pair.seed().map_err(|_| SignError::NoSeed(pair.public_key()))
}

/// The same pair once more: the library's cannot be copied.
fn with_seed(pair: &KeyPair) -> Result<KeyPair, SignError> {
    KeyPair::from_seed(&seed(pair)?).map_err(|_| SignError::NoSeed(pair.public_key()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use emote_proto::jwt::Claims;

    #[test]
    fn the_operators_own_key_is_not_needed_again_and_devices_have_no_streams() {
        let authority = Authority::new();
        let issued = authority.issue(&NodeKey::new("ada").unwrap(), Time::from_millis(5_000).unwrap()).unwrap();
        let operator = Claims::verified(&issued.operator).unwrap();
        assert_eq!(operator.iss, authority.operator.public_key());
        for (key, jwt) in [&issued.system, &issued.emote, &issued.devices] {
            let claims = Claims::verified(jwt).unwrap();
            assert_eq!((&claims.sub, claims.iss), (key, authority.operator_signing.public_key()));
            assert_eq!(claims.nats["limits"].get("disk_storage").is_some(), claims.name == "EMOTE");
        }
        assert_eq!(authority.files().unwrap().len(), 8);
        assert_eq!(issued.credentials.len(), 3);
    }

    #[test]
    fn what_the_server_is_told_holds_no_seed() {
        let authority = Authority::new();
        let issued = authority.issue(&NodeKey::new("ada").unwrap(), Time::from_millis(5_000).unwrap()).unwrap();
        let told = issued.server_configuration("nats/jwt");
        for file in authority.files().unwrap() {
            assert!(!told.contains(&file.seed), "{}", file.name);
        }
        assert!(told.contains(&format!("system_account: {}", issued.system.0)));
    }
}
