//! The integration tests: the real programs against a real nats-server.

#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that finds something missing has failed"
)]

mod archive;
mod away;
mod aws;
mod bad_input;
mod chain;
mod cli;
mod clock;
mod cluster;
mod console;
mod counted;
mod crash;
mod delivery;
mod deploy;
mod enroll;
mod failover;
mod folder;
mod interop;
mod kafka;
mod layout;
mod leftover;
mod mail;
mod nodes;
mod ops;
mod orders;
mod outbound;
mod patterns;
mod polled;
mod programs;
mod reading;
mod scenario;
mod schemas;
mod scim;
mod secrets;
mod secure;
mod server;
mod ssf;
mod syslog;
mod telemetry;
mod tls;
mod trust;
