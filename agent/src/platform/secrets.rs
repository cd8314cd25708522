//! Where seeds of keys rest: what the system has for that, if it has something, or else files.

use std::io;

use zeroize::Zeroizing;

/// A place for secrets by name. Calls block.
pub trait SecretStore: Send + Sync {
    /// For people.
    fn name(&self) -> &'static str;
    /// Keeps a secret under a name that has none; when it returns, it is kept for good.
    fn put(&self, name: &str, secret: &str) -> io::Result<()>;
    /// The secret of a name, if it has one.
    fn get(&self, name: &str) -> io::Result<Option<Zeroizing<String>>>;
    /// Forgets it; one that is not there is none to forget.
    fn remove(&self, name: &str) -> io::Result<()>;
}

/// What the system has: on macOS the System keychain, when it can be opened.
#[cfg(target_os = "macos")]
pub(crate) fn system() -> Option<Box<dyn SecretStore>> {
    super::macos::keychain().map(|store| Box::new(store) as Box<dyn SecretStore>)
}

/// What the system has: this one has nothing.
#[cfg(not(target_os = "macos"))]
pub(crate) fn system() -> Option<Box<dyn SecretStore>> {
    None
}
