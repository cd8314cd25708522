//! `emote source ssf`: the stream at a transmitter of security events that a source takes.

use std::{path::PathBuf, time::Duration};

use anyhow::Context;
use emote_proto::{Name, source as names};
use serde_json::Value;

use super::{Exit, connect::ServerArgs, print_line};
use crate::{
    bus::TailStart,
    config::SecretRef,
    random,
    ssf::{Credential, Delivery, POLL, Transmitter},
};

/// How long a verification event is waited for.
const WAIT: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
    /// What the transmitter calls itself, an address
    #[arg(long, value_name = "URL", global = true, default_value = "", hide_default_value = true)]
    issuer: String,
    /// The transmitter's bearer token, by reference: '${env:SSF_TOKEN}' or '${file:PATH}'
    #[arg(long, value_name = "REF", global = true, conflicts_with = "client_id")]
    token: Option<SecretRef>,
    /// In place of a token: the OAuth client
    #[arg(long, value_name = "ID", global = true)]
    client_id: Option<String>,
    /// Its secret, by reference
    #[arg(long, value_name = "REF", global = true)]
    client_secret: Option<SecretRef>,
    /// Where it gets a token
    #[arg(long, value_name = "URL", global = true)]
    token_url: Option<String>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a stream that pushes to a source, or is polled by it; prints it, and the source's settings
    #[command(group = clap::ArgGroup::new("delivery").required(true))]
    Create {
        /// Where the source takes events: its host and /in/NAME
        #[arg(long, value_name = "URL", group = "delivery")]
        endpoint: Option<String>,
        /// In place of an endpoint: the source asks for events where the transmitter says
        #[arg(long, group = "delivery")]
        poll: bool,
        /// What is to be sent as Authorization, by reference
        #[arg(long, value_name = "REF", conflicts_with = "poll")]
        authorization: Option<SecretRef>,
        /// An event type to ask for, its whole URI; all that the transmitter has where none is given
        #[arg(long = "event", value_name = "URI")]
        events: Vec<String>,
    },
    /// Show a stream, or all of this credential's
    Show {
        /// The stream's id
        stream: Option<String>,
    },
    /// Ask for a verification event, and wait until the source has taken it
    Verify {
        /// The source that takes the stream
        source: Name,
        /// The stream's id
        stream: String,
        #[command(flatten)]
        server: ServerArgs,
    },
    /// Delete a stream
    Delete {
        /// The stream's id
        stream: String,
    },
    /// Have a stream tell of a user
    Add {
        /// The stream's id
        stream: String,
        /// The user's e-mail address
        email: String,
    },
    /// Have it tell of a user no more
    Remove {
        /// The stream's id
        stream: String,
        /// The user's e-mail address
        email: String,
    },
}

impl Args {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        anyhow::ensure!(!self.issuer.is_empty(), "say which transmitter: --issuer https://idp.example.com");
        let folder = PathBuf::from(".");
        let secret = |given: &SecretRef| given.resolve(&folder).context("a secret");
        let mut transmitter = Transmitter::discover(&self.issuer).await?;
        let credential = match (&self.token, &self.client_id) {
            (Some(token), _) => Credential::Bearer(secret(token)?),
            (None, Some(id)) => {
                let given = self.client_secret.as_ref().zip(self.token_url.clone());
                let (of_client, token_url) = given.context("a client has --client-secret and --token-url, too")?;
                Credential::Client { id: id.clone(), secret: secret(of_client)?, token_url }
            }
            (None, None) => anyhow::bail!("say who asks: --token, or --client-id with its secret and --token-url"),
        };
        transmitter.authenticate(&credential).await?;
        match self.command {
            Command::Create { endpoint, poll: _, authorization, events } => {
                let authorization = authorization.as_ref().map(secret).transpose()?;
                let push = endpoint.map(|endpoint| Delivery::Push { endpoint, authorization });
                let stream = transmitter.create(&push.unwrap_or(Delivery::Poll), &events).await?;
                show(&stream)?;
                anstream::eprintln!("In the source's file:\n{}", settings(&transmitter, &stream));
            }
            Command::Show { stream } => show(&transmitter.show(stream.as_deref()).await?)?,
            Command::Delete { stream } => transmitter.delete(&stream).await?,
            Command::Add { stream, email } => transmitter.subject(&stream, &email, true).await?,
            Command::Remove { stream, email } => transmitter.subject(&stream, &email, false).await?,
            Command::Verify { source, stream, server } => return verify(&transmitter, &source, &stream, &server).await,
        }
        Ok(Exit::Ok)
    }
}

/// What the file of a source says that takes this stream.
fn settings(transmitter: &Transmitter, stream: &Value) -> String {
    let (issuer, jwks) = (transmitter.says("issuer"), transmitter.says("jwks_uri"));
    let [issuer, jwks] = [issuer, jwks].map(Option::unwrap_or_default);
    let audience = stream.get("aud").unwrap_or(&Value::Null);
    let settings = format!("issuer: {issuer:?}, jwks: {jwks:?}, audience: {audience}");
    if stream.pointer("/delivery/method").is_none_or(|method| *method != *POLL) {
        return format!("  preset: ssf\n  settings: {{{settings}}}");
    }
    let from = stream.pointer("/delivery/endpoint_url").unwrap_or(&Value::Null);
    format!(
        "  preset: ssf\n  settings: {{{settings}, poll_url: {from}, poll_token: \"${{env:SSF_TOKEN}}\"}}\n  poll: true"
    )
}

fn show(stream: &Value) -> anyhow::Result<()> {
    print_line(serde_json::to_string_pretty(stream)?)?;
    Ok(())
}

async fn verify(transmitter: &Transmitter, source: &Name, stream: &str, server: &ServerArgs) -> anyhow::Result<Exit> {
    anyhow::ensure!(source.as_str() != names::BROKER, "{source} is no source of webhooks");
    let bus = server.connect().await?;
    let state = random::name::<16>();
    let mut tail = bus.tail(vec![format!("events.{source}.*.source.verification")], TailStart::New).await?;
    transmitter.verify(stream, &state).await?;
    let awaited = async {
        loop {
            let message = tail.read().await?;
            let event: Value = serde_json::from_slice(&message.payload).unwrap_or_default();
            if event.pointer("/info/state").is_some_and(|said| *said == *state) {
                return anyhow::Ok(());
            }
        }
    };
    match tokio::time::timeout(WAIT, awaited).await {
        Ok(came) => {
            came?;
            print_line(format!("The stream works: {source} took the verification event."))?;
            Ok(Exit::Ok)
        }
        Err(_) => {
            anstream::eprintln!("No verification event came to {source} within {} seconds.", WAIT.as_secs());
            Ok(Exit::Failed)
        }
    }
}
