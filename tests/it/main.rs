//! The integration tests: the real programs against a real nats-server.

mod away;
mod crash;
mod scenario;
