//! The harness of the integration tests: the real programs and a real nats-server, each with its own port, folder and
//! log, and stand-ins for the systems at the other end.
//!
//! Nothing here sleeps and hopes: [`until`] waits for a condition with a deadline. Whatever is started is ended by its id
//! when the [`Stack`] is dropped, which also fails the test if a program logged an error that was not expected.

#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a harness that cannot do its part has failed its test"
)]

mod agent;
mod broker;
mod browser;
mod cluster;
mod idp;
mod nanomdm;
mod nats;
mod oracle;
mod planted;
mod process;
mod programs;
mod secure;
mod stack;
mod standin;
mod streams;
mod wait;
pub mod webhook;
mod wire;

pub use agent::{Agent, CHANGING};
pub use broker::Broker;
pub use browser::{Answered, Browser};
pub use cluster::{Cluster, Member};
pub use idp::{CLIENT, Idp, Key, Signed, client_secret};
pub use nanomdm::{Device, NanoMdm, string_after};
pub use nats::{NatsServer, start_nats_in};
pub use planted::{PLANTED, leaks_in, leaks_under, planted};
pub use process::Process;
pub use programs::{built, copy_folder, emote, emote_fed, emote_piped, free_port, private_file, required, run, tool};
pub use secure::{Connected, Secure, User, change};
pub use stack::{Builder, Posted, Stack};
pub use standin::{Reply, Seen, StandIn};
pub use streams::{Stored, Streams};
pub use wait::{DEADLINE, until, until_listening, until_some};
pub use wire::Wire;
