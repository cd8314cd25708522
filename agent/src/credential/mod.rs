//! This machine's own credential: a NATS key made here, and the JWT that a broker gives for it.
//!
//! # The folder `identity/` (mode 0700) in the state folder
//!
//! | file | |
//! |---|---|
//! | `state.json` | [`state::State`]: the machine that it is for, the current pair of key and JWT, and the next one |
//! | `<public key>.seed` | a key's seed, where the system has no store that takes it ([`seeds`]) |
//!
//! Every file is written beside its place, synced, and moved there ([`files`]). A seed is kept before the state names its
//! key, and forgotten after it does no more; the state is one file. So whenever the agent is killed, what is there is what
//! was before a step or after it, and a file left over is swept away at the next start. A state that cannot be read, or was
//! made for another machine, is set aside whole as `identity-<milliseconds>` (the newest two are kept).
//!
//! A seed never leaves the machine and is in no log. [`keep`] holds all of it, [`ask`] asks for the first JWT,
//! [`attend`] for the next one.

pub(crate) mod ask;
mod attend;
mod check;
mod files;
pub(crate) mod keep;
mod look;
pub(crate) mod pace;
mod seeds;
mod state;

pub(crate) use keep::{Keeper, Usable};
pub(crate) use look::{Look, look};
pub(crate) use state::{Machine, Which};

/// The folder's name in the state folder.
pub(crate) const FOLDER: &str = "identity";
/// The state's name in the folder.
const STATE: &str = "state.json";
/// Longest state that is read.
const MOST_STATE: u64 = 256 * 1024;
