//! `emote archive verify`

use super::{Common, ls::shown_size};
use crate::{
    archive::{Verified, Wanted},
    cli::{Exit, Output, print_line, render},
};
use emote_proto::Time;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Every segment is read: its SHA-256, the checksum of its compression, each line, its sequences and counts. Manifests must
follow each other without a gap, and nothing may lie there that none of them names. Sequences that the stream had lost
before they could be archived are listed, and are no mistake of the archive.")]
pub(super) struct Args {
    /// Only days from this one on
    #[arg(long, value_name = "TIME", value_parser = super::parse_time)]
    from: Option<Time>,
    /// Only days up to this one
    #[arg(long, value_name = "TIME", value_parser = super::parse_time)]
    to: Option<Time>,
    #[command(flatten)]
    common: Common,
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    let archive = args.common.open()?;
    let wanted = Wanted { from: args.from, to: args.to, ..Wanted::default() };
    let verified = archive.verify(&wanted, told).await?;
    clear();
    match args.common.output {
        Output::Json => print_line(serde_json::json!({"fine": verified.is_fine(), "found": verified}))?,
        Output::Table => print_line(shown(&verified))?,
    };
    Ok(if verified.is_fine() { Exit::Ok } else { Exit::Failed })
}

/// How far it is, on a terminal.
fn told(so_far: &Verified) {
    use std::io::IsTerminal;
    if so_far.manifests.is_multiple_of(100) && std::io::stderr().is_terminal() {
        anstream::eprint!("\r{} segments, {} events", so_far.segments, so_far.events);
    }
}

fn clear() {
    use std::io::IsTerminal;
    if std::io::stderr().is_terminal() {
        anstream::eprint!("\r\x1b[K");
    }
}

fn shown(verified: &Verified) -> String {
    let mut lines: Vec<String> = Vec::new();
    for finding in &verified.findings {
        let (style, word) = if finding.wrong { (render::ERROR, "wrong") } else { (render::DIM, "note ") };
        lines.push(format!("{style}{word}{style:#}  {}: {}", finding.path, finding.problem));
    }
    if verified.more > 0 {
        lines.push(format!("and {} more", verified.more));
    }
    let Verified { manifests, segments, events, stored_bytes, absent, .. } = verified;
    let end = if verified.is_fine() { "all whole" } else { "not all whole" };
    lines.push(format!(
        "{manifests} manifests, {segments} segments, {events} events, {}: {end}.",
        shown_size(*stored_bytes)
    ));
    if *absent > 0 {
        lines.push(format!("{absent} sequences were not in the stream any more when they were archived."));
    }
    lines.join("\n")
}
