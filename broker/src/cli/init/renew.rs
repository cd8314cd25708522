//! What is made anew in a folder that `emote init --secure` wrote: the server's certificate, the administrator's credentials.

use std::path::Path;

use anyhow::Context;
use emote_proto::{NodeKey, creds, jwt::Claims};
use nkeys::KeyPair;

use super::place::replace;
use crate::identity::{
    authority, files,
    jwt::Validity,
    role::Role,
    tls::{self, Names},
};

/// Makes the server's certificate anew, for the same names or these, with the authority of the folder.
pub(super) fn certificate(hosts: &[String], folder: &Path) -> anyhow::Result<()> {
    let (certificate, key) = (folder.join(files::CERTIFICATE), folder.join(files::KEY));
    let authority = folder.join(files::CA_KEY);
    let authority = std::fs::read_to_string(&authority).with_context(|| {
        format!("{}: bring the authority's key back for this, or have your own authority renew it", authority.display())
    })?;
    let old = std::fs::read_to_string(&certificate).with_context(|| format!("{}", certificate.display()))?;
    let names = match hosts {
        [] => Names::of(&old).context("the certificate does not tell its names: give them with --host")?,
        hosts => Names::new(hosts).context("--host")?,
    };
    let roots = std::fs::read_to_string(folder.join(files::CA)).context(files::CA)?;
    let now = jiff::Timestamp::now();
    let pair = tls::server(&authority, &names, now.to_zoned(jiff::tz::TimeZone::UTC).date())?;
    let seconds = std::time::Duration::from_secs(now.as_second().unsigned_abs());
    tls::check(&roots, &pair, &names, seconds).context("secrets/ca.key is not the key of nats/ca.pem")?;
    replace(&[(key, &pair.key, 0o600), (certificate, &pair.certificate, 0o644)])
}

/// Signs credentials of a new user under the administrator's name: what an administrator may do is written into each, as
/// the version that signed it knew it. Those before it go on to hold, with what they have.
pub(super) fn admin(folder: &Path) -> anyhow::Result<()> {
    let path = folder.join(files::ADMIN);
    let named = || path.display().to_string();
    let old = std::fs::read_to_string(&path).with_context(named)?;
    let jwt = creds::parse(&old).with_context(named)?.jwt;
    let claims = Claims::verified(jwt).with_context(named)?;
    let account = claims.nats["issuer_account"].as_str();
    let account = account.with_context(|| format!("{}: no signing key of an account has signed it", path.display()))?;
    let name = NodeKey::new(claims.name.clone()).with_context(|| format!("{}: its name", path.display()))?;
    let key = folder.join(files::SERVICE_KEY);
    let seed = std::fs::read_to_string(&key)
        .with_context(|| format!("{}: bring the key that signs administrators back for this", key.display()))?;
    let signer = KeyPair::from_seed(seed.trim()).with_context(|| key.display().to_string())?;
    anyhow::ensure!(
        signer.public_key() == claims.iss,
        "{} has not signed {}: bring the key that has",
        key.display(),
        path.display()
    );
    let validity = Validity::from(jiff::Timestamp::now().into());
    let credentials = authority::user((&signer, account), Role::Admin, &name, validity)?;
    replace(&[(path, &credentials, 0o600)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::authority::Authority;

    #[test]
    fn an_administrator_has_what_this_version_gives_under_the_same_name() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            std::fs::create_dir_all(folder.path().join(path).parent().unwrap()).unwrap();
            std::fs::write(folder.path().join(path), text).unwrap();
        };
        let read = || {
            let text = std::fs::read_to_string(folder.path().join(files::ADMIN)).unwrap();
            Claims::verified(creds::parse(&text).unwrap().jwt).unwrap()
        };
        let (ours, other) = (Authority::new(), Authority::new());
        let ada = NodeKey::new("ada@example.com").unwrap();
        let issued = ours.issue(&ada, jiff::Timestamp::UNIX_EPOCH.into()).unwrap();
        let (_, admin) = issued.credentials.iter().find(|(name, _)| files::ADMIN.ends_with(name)).unwrap();
        let key = |authority: &Authority| {
            authority.files().unwrap().into_iter().find(|file| files::SERVICE_KEY.ends_with(file.name)).unwrap().seed
        };
        write(files::ADMIN, admin);
        let before = read();
        let refused = |said: &str| {
            let error = format!("{:#}", super::admin(folder.path()).unwrap_err());
            assert!(error.contains(said) && read() == before, "{error}");
        };
        refused("secrets/service.nk: bring the key that signs administrators back for this");
        write(files::SERVICE_KEY, &key(&other));
        refused("has not signed");
        write(files::SERVICE_KEY, &key(&ours));
        super::admin(folder.path()).unwrap();
        let after = read();
        assert_eq!((&after.name, &after.iss, &after.nats), (&before.name, &before.iss, &before.nats));
        assert_ne!(after.sub, before.sub);
        let may: Vec<&str> =
            after.nats["pub"]["allow"].as_array().unwrap().iter().filter_map(|one| one.as_str()).collect();
        assert!(may.contains(&"$O.emote-packages.>") && may.contains(&"events.admin.ada@example%2Ecom.>"), "{may:?}");
    }
}
