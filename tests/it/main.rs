//! The integration tests: the real programs against a real nats-server.

mod away;
mod bad_input;
mod crash;
mod nodes;
mod scenario;
