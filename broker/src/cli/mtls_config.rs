//! `emote mtls-config`: NATS users by client certificates.

use std::{io::Read, path::PathBuf};

use anyhow::Context;
use emote_proto::NodeKey;

use super::{Exit, print_line};
use crate::identity::mtls::{CertificateName, Users, serials};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
For whoever brings client certificates onto Macs by the MDM (ACME, SCEP) and wants no enrolment tokens. NATS knows no
templates there, so each Mac is a user of its own in the configuration: fit for hundreds of Macs, not for ten thousand.

  emote mtls-config --serials macs.txt --device '{serial}.macs.example.com' > nats/accounts.conf
  nats-server --signal reload

packaging/mtls in Emote's source folder has the rest of the configuration, and what the MDM's profile has to say.")]
pub(super) struct Args {
    /// Serial numbers, one a line; - for standard input
    #[arg(long, value_name = "FILE")]
    serials: PathBuf,
    /// The name in a Mac's certificate: its subject as RFC 2253 writes it, or a DNS name of its alternative names
    #[arg(long, value_name = "NAME", default_value = "CN={serial}")]
    device: CertificateName,
    /// The name in a broker's certificate
    #[arg(long, value_name = "NAME", default_value = "CN=emote-broker")]
    broker: String,
    /// The name in the administrator's certificate
    #[arg(long, value_name = "NAME", default_value = "CN=emote-admin")]
    admin: String,
    /// The administrator's name, under which orders are given
    #[arg(long, value_name = "NAME", default_value = "admin")]
    admin_name: NodeKey,
}

pub(super) fn run(args: Args) -> anyhow::Result<Exit> {
    let text = if args.serials.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("reading standard input")?;
        text
    } else {
        std::fs::read_to_string(&args.serials).with_context(|| format!("reading {}", args.serials.display()))?
    };
    let serials = serials(&text).with_context(|| format!("{}", args.serials.display()))?;
    for name in [&args.broker, &args.admin] {
        anyhow::ensure!(!name.contains(['"', '\\', '\n']), "{name:?} is no name of a certificate");
    }
    let Args { broker, admin, admin_name, device, .. } = args;
    let users = Users { broker, admin: (admin, admin_name), serials, device };
    print_line(users.configuration().trim_end())?;
    Ok(Exit::Ok)
}
