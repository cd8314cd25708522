//! The real program against a real nats-server.
//!
//! Needs nats-server 2.12 or newer: `EMOTE_TEST_NATS_SERVER` names it, else it is looked for in `PATH`.

#[cfg(test)]
mod connections;
#[cfg(test)]
mod exactly_once;
#[cfg(test)]
mod identity;
#[cfg(test)]
mod programs;
#[cfg(test)]
mod version;
