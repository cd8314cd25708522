//! `emote archive get`

use emote_proto::{Event, NodeKey, Token};

use super::{Common, Range};
use crate::{
    archive::Kept,
    cli::{Exit, Output, print_line, render},
    core::{Believed, open_entry},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    range: Range,
    /// Only this node: serial number, UDID or user
    #[arg(long, value_name = "KEY")]
    node: Option<NodeKey>,
    /// Only this scope, such as device, user, mdm
    #[arg(long)]
    scope: Option<Token>,
    /// Only this action, such as enroll, lock
    #[arg(long)]
    action: Option<Token>,
    /// At most so many events, the oldest first
    #[arg(short = 'n', long, value_name = "COUNT")]
    first: Option<u64>,
    #[command(flatten)]
    common: Common,
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    let archive = args.common.open()?;
    let (mut shown, as_table) = (0_u64, args.common.output == Output::Table);
    let most = args.first.unwrap_or(u64::MAX);
    let take = |entry: Kept| {
        if shown >= most {
            return Ok(false);
        }
        let event = match opened(&entry) {
            Ok(event) => event,
            Err(error) => {
                anstream::eprintln!("#{} {}: {error}", entry.sequence, render::clip(&entry.subject, 100));
                return Ok(true);
            }
        };
        if !args.matches(&event) {
            return Ok(true);
        }
        if as_table && shown == 0 {
            print_line(render::event_heading())?;
        }
        shown += 1;
        match args.common.output {
            Output::Table => print_line(render::event_line(entry.sequence, &event)),
            Output::Json => print_line(String::from_utf8_lossy(&event.to_json())),
        }
    };
    archive.each(&args.range.wanted(), take).await?;
    if shown == 0 && as_table {
        anstream::eprintln!("No such events are archived.");
    }
    Ok(Exit::Ok)
}

impl Args {
    fn matches(&self, event: &Event) -> bool {
        let is_about = |key: &NodeKey| [event.serial(), event.udid(), event.user_id()].contains(&Some(key.as_str()));
        self.node.as_ref().is_none_or(is_about)
            && self.scope.as_ref().is_none_or(|scope| *scope == event.scope)
            && self.action.as_ref().is_none_or(|action| *action == event.action)
    }
}

/// The event of an entry, completed; what it says of its trust is shown as it stands, and nothing is decided on it.
fn opened(entry: &Kept) -> Result<Event, crate::core::Rejection> {
    let believed = Believed::the_word_of(entry.subject.split('.').nth(1).unwrap_or_default());
    open_entry(&entry.entry(), &believed)
}
