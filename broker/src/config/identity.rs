//! `emote.yaml`: the `identity` section. With whose keys agents' credentials are signed, and who is let in.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use emote_proto::Name;
use nkeys::{KeyPair, KeyPairType};

use super::{Problems, Secret, SecretError, SecretRef, fields::Fields, shape::Form};
use crate::identity::{Operator, OperatorError, Policy, jwt::AccountKey};

const DAY: Duration = Duration::from_secs(24 * 3600);
const LIFETIMES: std::ops::RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_secs(3600 * 24 * 398);

/// The section, validated; keys are still references.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentitySettings {
    /// Public key of the NATS account that agents belong to.
    pub account: String,
    /// Seed of the account's signing key for agents.
    pub device_key: SecretRef,
    /// Seed of its signing key for enrolment tokens; `emote agents token create` needs it, the broker does not.
    pub enroll_key: Option<SecretRef>,
    /// Who gets a credential.
    pub enrollment: Policy,
    /// How long a credential holds.
    pub lifetime: Duration,
    /// Sources whose word it is that the MDM manages a Mac; empty: whatever source says so that is neither the agent nor
    /// Emote.
    pub mdm: Vec<Name>,
    /// Seed of the operator's key that signs the account: with it revoked credentials are shut out of NATS.
    pub operator_key: Option<SecretRef>,
    /// File with the operator's JWT: what any of the keys that it names has signed is taken for the account's; without it
    /// only what `operator_key` has.
    pub operator_jwt: Option<PathBuf>,
    /// Credentials file of a user of the system account.
    pub system_credentials: Option<PathBuf>,
    /// Where the system account is asked, where that is not `nats.servers`.
    pub system_servers: Vec<String>,
}

/// The section with its keys.
pub struct Identity {
    /// Signs agents' JWTs.
    pub device_key: AccountKey,
    /// Who gets a credential.
    pub policy: Policy,
    /// How long a credential holds.
    pub lifetime: Duration,
    /// See [`IdentitySettings::mdm`].
    pub mdm: Vec<Name>,
    /// Signs the account's JWT.
    pub operator: Option<Operator>,
    /// Credentials file of a user of the system account.
    pub system_credentials: Option<PathBuf>,
    /// Where it is asked; empty: where the broker's NATS is.
    pub system_servers: Vec<String>,
    /// The public key of what signs tokens, where it is at hand.
    pub enroll_key: Option<String>,
}

/// Why a key cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The reference leads nowhere.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// It is no seed, or one of another kind.
    #[error("it is not the seed of {0}: it is one line, as `nsc export keys` or `emote init --secure` writes it")]
    Kind(&'static str),
    /// The operator's JWT is not what it should be.
    #[error("{}: {error}", path.display())]
    Operator {
        /// The file.
        path: PathBuf,
        /// Why.
        error: OperatorError,
    },
    /// A file cannot be read.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A key that is not asked for here is needed.
    #[error("it is missing: give it, or create the token where it is")]
    Missing,
}

impl IdentityError {
    /// Whether there is nothing where the reference leads.
    fn is_not_here(&self) -> bool {
        match self {
            Self::Secret(SecretError::NoFile { error, .. }) => error.kind() == std::io::ErrorKind::NotFound,
            Self::Secret(SecretError::NoVariable(_)) | Self::Missing => true,
            _ => false,
        }
    }
}

impl IdentitySettings {
    /// Reads the section. What is wrong is noted; then there is none.
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let account = fields.formed("account", Form::Text(&[]), |value| account(value.as_str().unwrap_or_default()));
        let account = fields.require("account", account, "the account's public key, which begins with A");
        let device_key = fields.secret("device_key");
        let device_key = fields.require("device_key", device_key, "${file:secrets/device.nk}");
        let enrollment =
            fields.formed("enrollment", Form::Text(&[]), |value| value.as_str().unwrap_or_default().parse());
        let mdm = fields.list_of("mdm", Form::Text(&["nanomdm"]), |fields, path, value| {
            let name = value.as_str().and_then(|name| Name::new(name).ok());
            if name.is_none() {
                fields.problem(path, "expected the name of a source, such as nanomdm");
            }
            name
        });
        let servers =
            fields.list_of("system_servers", Form::Text(&[]), |_, _, value| value.as_str().map(str::to_owned));
        let settings = Self {
            account: account.unwrap_or_default(),
            enroll_key: fields.secret("enroll_key"),
            enrollment: enrollment.unwrap_or(Policy::Approve),
            lifetime: fields.duration("lifetime", LIFETIMES).unwrap_or(DAY * 30),
            mdm: mdm.unwrap_or_default(),
            operator_key: fields.secret("operator_key"),
            operator_jwt: fields.text("operator_jwt").map(PathBuf::from),
            system_credentials: fields.text("system_credentials").map(PathBuf::from),
            system_servers: servers.unwrap_or_default(),
            device_key: device_key?,
        };
        if settings.operator_key.is_some() && settings.system_credentials.is_none() {
            fields.problem("operator_key", "needs system_credentials beside it: the account is changed by way of them");
        }
        if settings.operator_jwt.is_some() && settings.operator_key.is_none() {
            fields.problem("operator_jwt", "needs operator_key beside it: without that no account is signed");
        }
        (!settings.account.is_empty()).then_some(settings)
    }

    /// The keys, with which the broker can do its part; all that is wrong with them is told at once, under the section's own
    /// keys. Relative paths are taken from `folder`. A broker does without the key that signs tokens.
    pub fn resolve(&self, folder: &Path) -> Result<Identity, Problems> {
        let mut problems = Problems::default();
        let device = seed(&self.device_key, folder, &KeyPairType::Account);
        let device = problems.take("device_key", device);
        let operator = self.operator_key.as_ref().map(|key| seed(key, folder, &KeyPairType::Operator));
        let operator = operator.and_then(|key| problems.take("operator_key", key));
        let operator = operator.and_then(|key| problems.take("operator_jwt", self.operator(key, folder)));
        let enroll = match self.enroll_key(folder) {
            Err(error) if error.is_not_here() => None,
            key => problems.take("enroll_key", key),
        };
        let system = self.system_credentials.as_ref().map(|path| folder.join(path));
        if let Some(path) = &system {
            problems.take("system_credentials", crate::bus::check_credentials(path));
        }
        let Some(device) = device.filter(|_| problems.is_empty()) else { return Err(problems) };
        Ok(Identity {
            device_key: AccountKey::new(device, &self.account),
            policy: self.enrollment,
            lifetime: self.lifetime,
            mdm: self.mdm.clone(),
            operator,
            system_credentials: system,
            system_servers: self.system_servers.clone(),
            enroll_key: enroll.map(|key| key.public_key()),
        })
    }

    /// What files of it cannot be opened here, by key. None is read.
    pub fn out_of_reach(&self, folder: &Path) -> Vec<(&'static str, PathBuf, std::io::Error)> {
        let keys = [
            ("device_key", Some(&self.device_key)),
            ("enroll_key", self.enroll_key.as_ref()),
            ("operator_key", self.operator_key.as_ref()),
        ];
        let keys = keys.into_iter().filter_map(|(key, reference)| match reference? {
            SecretRef::File(path) => Some((key, path)),
            SecretRef::Env(_) => None,
        });
        let system = self.system_credentials.iter().map(|path| ("system_credentials", path));
        let opened = keys.chain(system).map(|(key, path)| (key, path, std::fs::File::open(folder.join(path))));
        opened.filter_map(|(key, path, opened)| Some((key, path.clone(), opened.err()?))).collect()
    }

    fn operator(&self, key: KeyPair, folder: &Path) -> Result<Operator, IdentityError> {
        let Some(path) = self.operator_jwt.as_ref().map(|path| folder.join(path)) else {
            return Ok(Operator::of_key(key));
        };
        let jwt = match std::fs::read_to_string(&path) {
            Ok(jwt) => jwt,
            Err(error) => return Err(IdentityError::Io { path, error }),
        };
        Operator::of_jwt(key, jwt.trim()).map_err(|error| IdentityError::Operator { path, error })
    }

    /// The key that signs enrolment tokens.
    pub fn enroll_key(&self, folder: &Path) -> Result<AccountKey, IdentityError> {
        let key = self.enroll_key.as_ref().ok_or(IdentityError::Missing)?;
        Ok(AccountKey::new(seed(key, folder, &KeyPairType::Account)?, &self.account))
    }
}

fn seed(reference: &SecretRef, folder: &Path, kind: &KeyPairType) -> Result<KeyPair, IdentityError> {
    let secret: Secret = reference.resolve(folder)?;
    let (wanted, prefix) = match kind {
        KeyPairType::Operator => ("an operator's key, which begins with SO", 'O'),
        _ => ("an account's key, which begins with SA", 'A'),
    };
    let pair = KeyPair::from_seed(secret.expose().trim()).map_err(|_| IdentityError::Kind(wanted))?;
    if pair.public_key().starts_with(prefix) { Ok(pair) } else { Err(IdentityError::Kind(wanted)) }
}

fn account(text: &str) -> Result<String, String> {
    let is_account = text.starts_with('A') && KeyPair::from_public_key(text).is_ok();
    is_account.then(|| text.to_owned()).ok_or_else(|| {
        "expected the public key of an account, which begins with A (`nsc describe account` shows it)".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;
    use serde_json::{Value, json};

    fn read(identity: &Value) -> (Option<IdentitySettings>, Vec<String>) {
        let mut problems = Problems::default();
        let file = json!({"identity": identity});
        let settings = Settings::read(file.as_object().unwrap(), &mut problems);
        (settings.identity, problems.iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect())
    }

    fn told(resolved: Result<Identity, Problems>) -> String {
        let lines = resolved.err().unwrap().into_iter().map(|problem| format!("{}: {}", problem.path, problem.message));
        lines.collect::<Vec<_>>().join("\n")
    }

    fn private(path: &Path, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn account() -> String {
        KeyPair::new_account().public_key()
    }

    #[test]
    fn account_and_key_are_enough() {
        let (settings, problems) = read(&json!({"account": account(), "device_key": "${env:KEY}"}));
        assert_eq!(problems, Vec::<String>::new());
        let settings = settings.unwrap();
        assert_eq!((settings.enrollment, settings.lifetime), (Policy::Approve, DAY * 30));
    }

    #[test]
    fn what_is_wrong_is_told_at_its_place() {
        let account = account();
        for (identity, told) in [
            (json!({}), "identity.account: is missing"),
            (json!({"account": account}), "identity.device_key: is missing"),
            (json!({"account": "EMOTE", "device_key": "${env:K}"}), "identity.account: expected the public key"),
            (json!({"account": account, "device_key": "SAAB"}), "identity.device_key: a secret is given by reference"),
            (
                json!({"account": account, "device_key": "${env:K}", "enrollment": "anyone"}),
                "identity.enrollment: expected open, mdm or approve",
            ),
            (
                json!({"account": account, "device_key": "${env:K}", "operator_key": "${env:O}"}),
                "identity.operator_key: needs system_credentials",
            ),
            (
                json!({"account": account, "device_key": "${env:K}", "operator_jwt": "nats/operator.jwt"}),
                "identity.operator_jwt: needs operator_key",
            ),
            (json!({"account": account, "device_key": "${env:K}", "lifetime": "1s"}), "identity.lifetime: expected"),
        ] {
            let (_, problems) = read(&identity);
            assert!(problems.iter().any(|problem| problem.starts_with(told)), "{problems:?}");
        }
    }

    #[test]
    fn a_seed_of_another_kind_is_refused_without_being_shown() {
        let folder = tempfile::tempdir().unwrap();
        let user = KeyPair::new_user().seed().unwrap();
        for (name, text) in [("user.nk", user.as_str()), ("word.nk", "hunter2")] {
            let path = folder.path().join(name);
            private(&path, text);
            let given = json!({"account": account(), "device_key": format!("${{file:{name}}}")});
            let settings = read(&given).0.unwrap();
            let told = told(settings.resolve(folder.path()));
            assert!(told.starts_with("device_key: it is not the seed of an account") && !told.contains(text), "{told}");
            assert!(settings.enroll_key(folder.path()).is_err());
        }
    }

    #[test]
    fn keys_that_cannot_be_had_are_all_told_and_a_broker_does_without_the_one_of_tokens() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let files = json!({"account": account(), "device_key": "${file:device.nk}", "enroll_key": "${file:enroll.nk}",
            "operator_key": "${file:operator.nk}", "system_credentials": "system.creds"});
        let settings = read(&files).0.unwrap();
        let missing = told(settings.resolve(folder.path())).replace(&folder.path().display().to_string(), "DIR");
        insta::assert_snapshot!(missing, @r"
        device_key: the secret file DIR/device.nk cannot be read: No such file or directory (os error 2)
        operator_key: the secret file DIR/operator.nk cannot be read: No such file or directory (os error 2)
        system_credentials: DIR/system.creds cannot be read: No such file or directory (os error 2)
        ");
        let keys: Vec<_> = settings.out_of_reach(folder.path()).into_iter().map(|(key, ..)| key).collect();
        assert_eq!(keys, ["device_key", "enroll_key", "operator_key", "system_credentials"]);
        private(&at("device.nk"), &KeyPair::new_account().seed().unwrap());
        private(&at("operator.nk"), &KeyPair::new_operator().seed().unwrap());
        let user = KeyPair::new_user().seed().unwrap();
        let creds = format!("-----BEGIN NATS USER JWT-----\na.b.c\n-----BEGIN USER NKEY SEED-----\n{user}\n");
        private(&at("system.creds"), &creds);
        assert_eq!(settings.resolve(folder.path()).ok().unwrap().enroll_key, None);
        private(&at("enroll.nk"), &user);
        assert!(told(settings.resolve(folder.path())).starts_with("enroll_key: it is not the seed"));
        let enroll = KeyPair::new_account();
        private(&at("enroll.nk"), &enroll.seed().unwrap());
        assert_eq!(settings.resolve(folder.path()).ok().unwrap().enroll_key, Some(enroll.public_key()));
        assert!(settings.out_of_reach(folder.path()).is_empty());
    }
}
