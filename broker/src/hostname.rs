//! What this machine calls itself.

/// The name of this machine, as its system has it; perhaps without a domain, and empty where it has none.
pub(crate) fn own() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
