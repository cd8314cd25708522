//! Who may speak, and as whom: NATS' decentralised authentication. Pure: keys are given or made, time is an argument.
//!
//! ```text
//! operator ─signs→ account EMOTE   ─signing key→ service (brokers, administrators: by their role)
//!                                                        all streams are here
//!          ─signs→ account DEVICES ─signing keys→ device (scoped: its own events, its own inbox)
//!                                               → enroll (scoped: may ask for a credential, nothing else)
//!                                                        no streams; reaches EMOTE by what is shared
//!          ─signs→ account SYS     ─→ system user (brings accounts up to date: revocations)
//! ```
//!
//! Devices have an account of their own because JetStream answers every publishing at whatever subject the publisher named,
//! and nats-server asks nobody whether the publisher might have published there: in the account of the streams an answer to
//! `checkpoint.0` or `$KV.emote-identity.…` would be stored. Through a shared service (`authority::SHARED`) the server puts
//! a subject of its own in its place, and what the device named is where the answer goes *in the account of devices*, in
//! which nothing listens but other devices' inboxes.
//!
//! [`jwt`] and [`account`] write the JWTs, [`role`] says what each kind of user may publish and read, [`authority`] makes
//! all of it at once for `emote init --secure`, [`tls`] the certificates; [`mtls`] is for Macs that come with one of their own.
//!
//! What is decided is decided by pure functions of records and time: [`admit`] who is let in, [`renew`] who stays,
//! [`order`] what administrators want, [`revocation`] what the account says. Around them a broker's [`Office`]: a service
//! that answers Macs, a worker that does what events ask for, and an overseer that keeps NATS in step with the [`Registry`].

pub mod account;
pub mod admit;
pub mod authority;
mod check;
mod counts;
mod duplicate;
pub mod files;
pub mod jwt;
mod limits;
pub mod mint;
pub mod mtls;
mod office;
mod operator;
pub mod order;
mod overseer;
mod policy;
pub mod record;
mod registry;
pub mod renew;
pub mod revocation;
pub mod role;
mod service;
mod tell;
pub mod tls;
mod worker;

pub use check::{Scope, unfit};
pub use counts::{Counted, Counts, Fleet};
pub use office::Office;
pub use operator::{Operator, OperatorError};
pub use policy::{Policy, Vouch};
pub use registry::{Kept, Registry};
