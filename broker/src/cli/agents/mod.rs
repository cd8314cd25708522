//! `emote agents`: who has a credential, who waits for one, and enrolment tokens.

mod list;
mod orders;
mod show;
mod token;

use emote_proto::Serial;

use super::{
    Exit,
    applying::Signed,
    connect::{Asking, ServerArgs},
};
use crate::identity::order::What;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
A Mac comes to a credential by an enrolment token, which the MDM's profile carries. Who is let in with it says emote.yaml
(identity: {enrollment: open | mdm | approve}) or the token, whichever is stricter. What is ordered here is an event that
says who and why, and what became of it is another.

  emote agents token create --name 'fleet 2026' --uses 500 --config my-emote --out token.txt
  emote agents pending
  emote agents approve C02XL0GTJGH5 -m 'ordered by IT, DHL 4711'
  emote agents revoke C02XL0GTJGH5 -m 'stolen, HR-4711'")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the Macs that asked for a credential
    Ls {
        /// Only those that are there
        #[arg(long, value_enum)]
        state: Option<list::StateArg>,
        #[command(flatten)]
        ask: Asking,
    },
    /// Show one: its keys, what the MDM says of it, what was ordered
    Show {
        /// Its serial number
        serial: Serial,
        #[command(flatten)]
        ask: Asking,
    },
    /// List those that wait for somebody's word
    Pending {
        #[command(flatten)]
        ask: Asking,
    },
    /// Let Macs in that wait, or that were denied or revoked
    Approve {
        #[command(flatten)]
        which: Which,
        /// Which key, where several wait: its fingerprint, or all of it
        #[arg(long, value_name = "KEY")]
        fingerprint: Option<String>,
        #[command(flatten)]
        signed: Signed,
        #[command(flatten)]
        ask: Asking,
    },
    /// Do not let them in
    Deny(Order),
    /// Take their credentials away: NATS closes their connections and lets them in no more
    Revoke(Order),
    /// Have them change their keys
    Rotate(Order),
    /// Enrolment tokens: create, list, revoke
    Token(token::Args),
}

#[derive(Debug, clap::Args)]
struct Order {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    signed: Signed,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, clap::Args)]
struct Which {
    /// Serial numbers
    #[arg(required = true, value_name = "SERIAL")]
    serials: Vec<Serial>,
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    match args.command {
        Command::Ls { state, ask } => list::all(&ask.connect().await?, state, ask.output).await,
        Command::Pending { ask } => list::pending(&ask.connect().await?, ask.output).await,
        Command::Show { serial, ask } => show::run(&ask.connect().await?, &serial, ask.output).await,
        Command::Approve { which, fingerprint, signed, ask } => {
            orders::approve(&ask.connect().await?, &which.serials, fingerprint.as_deref(), &signed, ask.output).await
        }
        Command::Deny(order) => orders::give(What::Deny, order).await,
        Command::Revoke(order) => orders::give(What::Revoke, order).await,
        Command::Rotate(order) => orders::give(What::Rotate, order).await,
        Command::Token(args) => token::run(args).await,
    }
}
