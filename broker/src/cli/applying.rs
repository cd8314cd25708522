//! Who gives an order on the command line, and why.

use anyhow::Context;
use emote_proto::NodeKey;

use crate::bus::Bus;
pub(super) use crate::console::{
    order::{
        Applied, Signature,
        config::{apply, apply_stored},
    },
    view::in_force::short,
};

/// Who gives an order, and why.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Signed {
    /// Why, for those who read the events later
    #[arg(long, short, value_name = "TEXT")]
    message: Option<String>,
    /// Who gives the order; where nothing is said the name of the NATS credential, or USER@HOST without one
    #[arg(long, value_name = "NAME", env = "EMOTE_BY")]
    by: Option<String>,
}

impl Signed {
    /// By the program itself.
    pub(super) fn because(message: &str) -> Self {
        Self { message: Some(message.to_owned()), by: None }
    }

    /// As orders over `bus` carry it.
    pub(super) fn signature(&self, bus: &Bus) -> anyhow::Result<Signature> {
        Ok(Signature { who: self.who(bus.user_name())?, reason: self.message.clone() })
    }

    /// Who signs: NATS knows whoever has a credential by its name, and lets that one speak under no other.
    fn who(&self, known: Option<&str>) -> anyhow::Result<NodeKey> {
        let name = match (known, &self.by) {
            (Some(known), Some(by)) if known != by => {
                anyhow::bail!("--by {by}: the credential is {known}'s, and NATS takes orders under that name only")
            }
            (Some(known), _) => known.to_owned(),
            (None, by) => by.clone().unwrap_or_else(whoever),
        };
        NodeKey::new(name.to_lowercase()).context("--by")
    }
}

/// `ada@mac-mini.local`
fn whoever() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "somebody".to_owned());
    let host = crate::hostname::own();
    format!("{user}@{host}")
}
