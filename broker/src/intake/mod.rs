//! Sources that do not come over HTTP: what is fetched is in [`crate::poll`], the rest is here, a folder each.

pub mod folder;
pub mod socket;
