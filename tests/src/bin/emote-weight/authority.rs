//! What `emote init --secure` makes, for one run: an operator with its accounts, and a certificate authority.

use anyhow::Context;
use emote::identity::{
    authority,
    jwt::{AccountKey, Validity, credentials_file},
    tls::{self, Names, Pair},
};
use emote_proto::{NodeKey, Serial, Time, enroll::UserKey};
use nkeys::KeyPair;

/// Who signs.
pub(crate) struct Authority {
    issued: authority::Issued,
    device: AccountKey,
    /// As from when its users are.
    since: Validity,
    /// PEM: what the agent trusts.
    pub(crate) roots: String,
    /// PEM: certificate and key of a server on this machine.
    pub(crate) server: Pair,
}

impl Authority {
    /// Makes all keys.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let now = jiff::Timestamp::now();
        let today = now.to_zoned(jiff::tz::TimeZone::UTC).date();
        let root = tls::authority(today)?;
        let server = tls::server(&root.key, &Names::new(&[])?, today)?;
        let keys = authority::Authority::new();
        let issued = keys.issue(&NodeKey::new("emote-weight")?, Time::from(now))?;
        let device = keys.files()?.into_iter().find(|file| file.name == "device.nk").context("the key of devices")?;
        let device = AccountKey::new(KeyPair::from_seed(&device.seed)?, &issued.devices.0);
        Ok(Self { issued, device, since: Validity::from(Time::from(now)), roots: root.certificate, server })
    }

    /// The lines of a nats-server's configuration that have it know the accounts' users. `folder` is where it keeps accounts.
    pub(crate) fn resolver(&self, folder: &str) -> String {
        self.issued.server_configuration(folder)
    }

    /// The text of a broker's `.creds` file.
    pub(crate) fn broker(&self) -> anyhow::Result<&str> {
        let broker = self.issued.credentials.iter().find(|(name, _)| *name == "broker.creds");
        broker.map(|(_, text)| text.as_str()).context("the broker's credentials")
    }

    /// The text of a `.creds` file of the Mac with this serial number.
    pub(crate) fn device(&self, serial: &str) -> anyhow::Result<String> {
        let pair = KeyPair::new_user();
        let key = UserKey::new(pair.public_key())?;
        let jwt = self.device.device(&Serial::new(serial)?, &key, self.since)?;
        Ok(credentials_file(&jwt, &pair.seed().context("the user's seed")?))
    }
}
