//! Who may speak, and as whom: NATS' decentralised authentication. Pure so far: keys are given, time is an argument.
//!
//! ```text
//! operator ─signs→ account Emote ─signing keys→ device   (scoped: its own events, its own inbox)
//!                                             → enroll   (scoped: may ask for a credential, nothing else)
//!                                             → service  (brokers, administrators: by their role)
//!          ─signs→ account SYS   ─→ system user (pushes revocations)
//! ```
//!
//! [`jwt`] writes the JWTs, [`role`] says what each kind of user may publish and read.

pub mod jwt;
pub mod role;
