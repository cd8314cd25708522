//! Signs profiles: whoever opens one sees whose it is, and a Mac says so. A key in a file signs here ([`cms`]); one in a
//! keychain of this Mac signs with Apple's `security`.

mod cms;
mod identity;

use anyhow::Context;

use self::identity::Identity;
use crate::pkg::development;
use crate::pkg::sign::{Key, sign_profile};

/// Who signs.
#[derive(Debug)]
pub struct Signer(Who);

#[derive(Debug)]
enum Who {
    File(Box<Identity>),
    Keychain(String),
}

impl Signer {
    /// Reads a key and its certificates, and checks that they belong together and hold at `now`, in seconds since 1970.
    pub fn new(key: Key, now: u64) -> anyhow::Result<Self> {
        Ok(Self(match key {
            Key::Keychain(name) => Who::Keychain(name),
            key => Who::File(Box::new(Identity::read(&key, now)?)),
        }))
    }

    /// A profile as CMS, with the profile in it.
    pub fn sign(&self, profile: &[u8]) -> anyhow::Result<Vec<u8>> {
        match &self.0 {
            Who::File(identity) => cms::signed(profile, identity).context("signing a profile"),
            Who::Keychain(name) => sign_profile(name, profile),
        }
    }

    /// Who signs, for people.
    pub fn name(&self) -> &str {
        match &self.0 {
            Who::File(identity) => &identity.name,
            Who::Keychain(name) => name,
        }
    }

    /// What is worth a thought about them.
    pub(super) fn warning(&self) -> Option<String> {
        let is_for_development = self.name().starts_with(development::LABEL);
        is_for_development.then(|| format!("profiles are signed by {:?}: Macs do not trust it", self.name()))
    }
}

#[cfg(test)]
mod tests;
