//! `emote deploy`: the agent's package, from a file to the first word of an agent that was installed from it.

mod packages;
mod send;
mod status;
mod watch;

use super::{
    Exit, Output,
    applying::Signed,
    ask,
    connect::{Asking, ServerArgs},
    print_line, render, table,
};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
deploy.yaml in the configuration folder says where Macs reach the brokers and which target installs the agent:

  url: https://emote.example.com
  target: install-agent          # targets/install-agent.yaml: preset nanomdm, action install_agent
  overdue_after: 72h

A package that was added lies in JetStream, and every broker serves it under URL/deploy/. The MDM's answer proves nothing: an
install is done when an agent of that version speaks. Each step is an event: deploy.started, acknowledged, deferred,
installed, failed, overdue.

  emote deploy add EmoteAgent.pkg
  emote deploy send --all-without-agent --dry-run
  emote deploy send C02XL0GTJGH5 -m 'HD-1234'
  emote deploy status
  emote deploy watch C02XL0GTJGH5")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Keep a package in JetStream, and deploy it from now on
    Add(packages::Add),
    /// List the packages that are kept
    Ls(Asking),
    /// Deploy a package that is kept
    Use(packages::Use),
    /// Take a package away that is not deployed
    Rm(packages::Rm),
    /// Have the agent installed on Macs
    Send(send::Args),
    /// How far installs are
    Status(status::Args),
    /// Follow the install on a Mac until its agent speaks
    Watch(watch::Args),
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    match args.command {
        Command::Add(args) => packages::add(args).await,
        Command::Ls(ask) => packages::ls(ask).await,
        Command::Use(args) => packages::deploy(args).await,
        Command::Rm(args) => packages::rm(args).await,
        Command::Send(args) => send::run(args).await,
        Command::Status(args) => status::run(args).await,
        Command::Watch(args) => watch::run(args).await,
    }
}
