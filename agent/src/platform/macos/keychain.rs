//! The System keychain, which only root can write to and which opens when the machine starts.

use std::io;

use security_framework::base::Error;
use security_framework::os::macos::keychain::SecKeychain;
use zeroize::Zeroizing;

use crate::platform::SecretStore;

const PATH: &str = "/Library/Keychains/System.keychain";
/// Of every item.
const SERVICE: &str = "io.emote.agent";
/// errSecItemNotFound.
const NOT_FOUND: i32 = -25300;

/// The System keychain.
pub(crate) struct Keychain;

/// Opens it; `None` for who is not root, and where it is not there.
pub(in crate::platform) fn keychain() -> Option<Keychain> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let opened = SecKeychain::open(PATH);
    opened.inspect_err(|error| tracing::warn!(%error, "the System keychain")).ok().map(|_| Keychain)
}

impl Keychain {
    /// Without a dialog that nobody would see.
    fn with<T>(&self, work: impl FnOnce(&SecKeychain) -> Result<T, Error>) -> Result<T, Error> {
        let _quiet = SecKeychain::disable_user_interaction()?;
        work(&SecKeychain::open(PATH)?)
    }
}

impl SecretStore for Keychain {
    fn name(&self) -> &'static str {
        "the System keychain"
    }

    fn put(&self, name: &str, secret: &str) -> io::Result<()> {
        self.with(|keychain| keychain.set_generic_password(SERVICE, name, secret.as_bytes()))
            .map_err(io::Error::other)?;
        // A keychain that takes an item and does not give it back is none to rely on.
        match self.get(name)? {
            Some(kept) if *kept == secret => Ok(()),
            _ => Err(io::Error::other("it does not give back what it was given")),
        }
    }

    fn get(&self, name: &str) -> io::Result<Option<Zeroizing<String>>> {
        let found = self.with(|keychain| keychain.find_generic_password(SERVICE, name));
        match found {
            Ok((password, _)) => {
                let text = std::str::from_utf8(&password).map_err(io::Error::other)?;
                Ok(Some(Zeroizing::new(text.to_owned())))
            }
            Err(error) if error.code() == NOT_FOUND => Ok(None),
            Err(error) => Err(io::Error::other(error)),
        }
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match self.with(|keychain| keychain.find_generic_password(SERVICE, name)) {
            Ok((_, item)) => {
                item.delete();
                Ok(())
            }
            Err(error) if error.code() == NOT_FOUND => Ok(()),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}
