//! What is on the disk of a credential, for people who look while no agent runs. Changes nothing.

use std::io;
use std::path::Path;

use nkeys::KeyPair;

use super::FOLDER;
use super::keep::{Usable, read};
use super::seeds::Seeds;
use super::state::Machine;
use crate::health::{IdentityStatus, Standing};

/// What was found.
pub(crate) struct Look {
    pub(crate) status: IdentityStatus,
    /// For whom it was made.
    pub(crate) machine: Machine,
    /// Where the seed of its key rests; `None`: nowhere.
    pub(crate) seed: Option<&'static str>,
    /// To connect with.
    pub(crate) usable: Option<Usable>,
}

/// Looks into the state folder; `None` when no identity is there.
pub(crate) fn look(state_dir: &Path) -> io::Result<Option<Look>> {
    let folder = state_dir.join(FOLDER);
    let Some(state) = read(&folder)? else { return Ok(None) };
    let seeds = Seeds::of(&folder);
    let found = |key| seeds.get(key).map(|found: Option<(KeyPair, &'static str)>| found);
    let seed = state.current.as_ref().or(state.next.as_ref()).map(|pair| found(&pair.key)).transpose()?.flatten();
    let usable = match state.usable(false) {
        Some((which, pair, jwt)) => found(&pair.key)?.map(|(pair, _)| Usable { which, jwt: jwt.text.clone(), pair }),
        None => None,
    };
    let standing = if state.current.is_some() { Standing::Enrolled } else { Standing::Asking };
    let status = IdentityStatus { standing, ..state.status() };
    Ok(Some(Look { status, machine: state.machine, seed: seed.map(|(_, place)| place), usable }))
}
