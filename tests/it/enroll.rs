//! How Macs come to credentials, keep and lose them: the real programs against a nats-server as `emote init --secure`
//! describes it. The agent's side is played here, from what proto has.

mod agents;
mod crash;
mod keys;
mod limits;
mod mac;
mod office;
mod policies;
mod renewal;
mod revocation;
