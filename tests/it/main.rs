//! The integration tests: the real programs against a real nats-server.

mod away;
mod bad_input;
mod cli;
mod crash;
mod interop;
mod layout;
mod nodes;
mod scenario;
