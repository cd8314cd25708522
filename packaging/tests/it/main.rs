//! The agent's package: built, read by other programs, signed, broken, and its scripts run on a Mac that is played.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod build;
mod chroot;
mod formats;
mod macho;
mod nanomdm;
mod profile;
mod scripts;
mod signed;
mod timestamps;
mod tools;
