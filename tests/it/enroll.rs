//! How Macs come to credentials, keep and lose them: the real programs against a nats-server as `emote init --secure`
//! describes it. The agent's side is played here, from what proto has.

mod agents;
mod cluster;
mod crash;
mod foreign;
mod keys;
mod limits;
pub(crate) mod mac;
pub(crate) mod office;
pub(crate) mod policies;
mod renewal;
mod revocation;
mod unattended;
