//! `emote agents token`: what Macs ask for a credential with.

use std::{io::Write as _, os::unix::fs::OpenOptionsExt, path::PathBuf, time::Duration};

use anyhow::Context;
use emote_proto::{
    Serial, Time,
    enroll::{EnrollmentToken, TokenId, UserKey},
    subjects,
};
use nkeys::KeyPair;
use serde_json::json;

use super::super::{
    Exit, Output,
    applying::Signed,
    connect::{Asking, ServerArgs},
    print_line, render, table,
};
use crate::{
    bus::{Bus, Probed},
    config::{Folder, Secret, fields},
    console::{order::agents::Waited, view::agents::ends},
    identity::{
        Policy, Registry, Scope,
        jwt::AccountKey,
        mint,
        order::{MAX_NAME, MAX_USES, TOKEN_CREATE, TOKEN_REVOKE},
        record::TokenRecord,
        role::Role,
        unfit,
    },
};

/// Ten years: nobody means more.
const MAX_LIFETIME: Duration = Duration::from_secs(3650 * 24 * 60 * 60);

#[derive(Debug, clap::Args)]
#[command(after_help = "\
A token is one line of text, a secret: whoever has it may ask for a credential until it is used up or expired. It goes into
the MDM's profile (key enrollment_token), where others on the Mac can read it: give it few uses, or bind it to a serial
number. It is shown once, here. Each Mac that asks takes one of its uses, also while it waits.")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make one and print it, once
    Create(Box<Create>),
    /// List them
    Ls {
        #[command(flatten)]
        ask: Asking,
    },
    /// Have one hold no longer; Macs that are in stay in
    Revoke {
        /// Its id, as `ls` shows it
        id: TokenId,
        #[command(flatten)]
        signed: Signed,
        #[command(flatten)]
        server: ServerArgs,
    },
}

#[derive(Debug, clap::Args)]
struct Create {
    /// For people
    #[arg(long, default_value = "")]
    name: String,
    /// How many Macs may ask with it [default: 500, or 1 with --serial]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_USES)))]
    uses: Option<u32>,
    /// How long it holds
    #[arg(long, default_value = "90d", value_name = "TIME", value_parser = lifetime)]
    expires: Duration,
    /// Only this serial number may ask with it
    #[arg(long)]
    serial: Option<Serial>,
    /// At least so strict: open, mdm or approve
    #[arg(long, value_name = "POLICY")]
    policy: Option<Policy>,
    /// A new file for it, readable by its owner only, instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    signed: Signed,
    #[command(flatten)]
    server: ServerArgs,
}

pub(super) async fn run(args: Args) -> anyhow::Result<Exit> {
    match args.command {
        Command::Create(args) => create(*args).await,
        Command::Ls { ask } => list(&ask.connect().await?, ask.output).await,
        Command::Revoke { id, signed, server } => revoke(&server.connect().await?, &id, &signed).await,
    }
}

async fn create(args: Create) -> anyhow::Result<Exit> {
    if args.name.chars().count() > MAX_NAME {
        anyhow::bail!("--name: at most {MAX_NAME} characters");
    }
    let signer = signer(&args.server)?;
    let out = args
        .out
        .as_ref()
        .map(|path| new_file(path).with_context(|| format!("--out {}: name a new file", path.display())))
        .transpose()?;
    let bus = args.server.connect().await?;
    let made = make(&bus, &signer, &args).await;
    let line = match (made, &args.out) {
        (Ok(line), _) => line,
        (Err(error), Some(path)) => {
            std::fs::remove_file(path).ok();
            return Err(error);
        }
        (Err(error), None) => return Err(error),
    };
    match out {
        Some(mut file) => writeln!(file, "{}", line.expose()).context("writing the token")?,
        None => drop(print_line(line.expose())?),
    }
    Ok(Exit::Ok)
}

/// The key that signs tokens, from the configuration folder.
fn signer(server: &ServerArgs) -> anyhow::Result<AccountKey> {
    let Some(folder) = server.folder() else {
        anyhow::bail!("say --config DIR: a token is signed with identity.enroll_key of its emote.yaml");
    };
    let settings = Folder::settings(&folder)?;
    let Some(identity) = &settings.identity else {
        anyhow::bail!(
            "{} has no identity section: `emote init --secure` writes one, or give the account and its keys",
            folder.join("emote.yaml").display()
        );
    };
    identity.enroll_key(&folder).context("emote.yaml: identity.enroll_key")
}

/// Signs it, tries it, and has the brokers know it. Gives the line.
async fn make(bus: &Bus, signer: &AccountKey, args: &Create) -> anyhow::Result<Secret> {
    let pair = KeyPair::new_user();
    let seed = Secret::new(pair.seed().context("making a key")?);
    let now = Time::from(jiff::Timestamp::now());
    let span = i64::try_from(args.expires.as_millis()).unwrap_or(i64::MAX);
    let expires = Time::from_millis(now.as_millis().saturating_add(span)).context("--expires is too far away")?;
    let token = TokenRecord {
        id: TokenId::new(crate::random::name::<8>())?,
        name: args.name.clone(),
        key: UserKey::new(pair.public_key())?,
        uses: args.uses.unwrap_or(if args.serial.is_some() { 1 } else { 500 }),
        used: 0,
        created: now,
        expires,
        serial: args.serial.clone(),
        policy: args.policy,
        by: String::new(),
        revoked: None,
    };
    let jwt = mint::token(signer, &token)?;
    try_out(bus, signer, &token, &jwt, &seed).await?;
    let mut waited = Waited::begin(bus).await?;
    let info = json!({"token": token.id, "name": token.name, "key": token.key, "uses": token.uses, "expires": token.expires,
        "serial": token.serial, "policy": token.policy});
    let id = args.signed.signature(bus)?.order(bus, &format!("agent.{TOKEN_CREATE}"), info).await?;
    let outcomes = waited.outcomes(&[id], 1).await?;
    if let Some(reason) = outcomes.first().and_then(|outcome| outcome.refused.as_deref()) {
        anyhow::bail!("the brokers do not take the token: {reason}");
    }
    let line = EnrollmentToken::new(jwt, seed.expose())?.to_line();
    anstream::eprintln!(
        "Token {}: {} uses, until {}{}. It is a secret and is not shown again.",
        token.id,
        token.uses,
        token.expires,
        token.serial.map_or_else(String::new, |serial| format!(", for {serial} only"))
    );
    if outcomes.is_empty() {
        // Its order is in the log and will be carried out: the seed, which nobody else has, must not be lost.
        anstream::eprintln!(
            "No broker has taken note of it yet. The order is in the log and will be carried out: the token holds, and \
             `emote agents token ls` shows it, as soon as a broker with an identity section runs."
        );
    }
    Ok(Secret::new(line))
}

/// A token goes to places where many can read it: it must not be able to do anything but ask.
async fn try_out(bus: &Bus, signer: &AccountKey, token: &TokenRecord, jwt: &str, seed: &Secret) -> anyhow::Result<()> {
    let own = format!("{}.probe", subjects::enroll_inbox(&token.id));
    let public = signer.public_key();
    let wrong = match bus.probe(jwt, seed, &own).await? {
        Probed::Bounded => None,
        Probed::Unbounded => unfit(&Scope::Unbound, "", &public, Role::Enroll),
        Probed::NotItsOwn => unfit(&Scope::Other, "", &public, Role::Enroll),
        Probed::NotLetIn(reason) => Some(format!(
            "NATS does not let in whom enroll_key signs ({reason}): is {public} a signing key of the account {}?",
            signer.account()
        )),
    };
    match wrong {
        None => Ok(()),
        Some(wrong) => anyhow::bail!("emote.yaml: identity: {wrong}"),
    }
}

/// JWTs end at whole seconds: what is shorter is over before it is tried.
fn lifetime(text: &str) -> Result<Duration, String> {
    let time = fields::duration(text)?;
    let fits = (Duration::from_secs(1)..=MAX_LIFETIME).contains(&time);
    fits.then_some(time).ok_or_else(|| "expected 1s at least and 3650d at most".to_owned())
}

fn new_file(path: &std::path::Path) -> std::io::Result<std::fs::File> {
    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

async fn list(bus: &Bus, output: Output) -> anyhow::Result<Exit> {
    let tokens = Registry::new(bus.clone()).tokens().await?;
    match output {
        Output::Json => {
            for token in tokens {
                print_line(serde_json::to_string(&token)?)?;
            }
        }
        Output::Table if tokens.is_empty() => {
            print_line("There are no enrolment tokens: `emote agents token create` makes one.")?;
        }
        Output::Table => drop(print_line(rows(&tokens, jiff::Timestamp::now().into()))?),
    }
    Ok(Exit::Ok)
}

fn rows(tokens: &[TokenRecord], now: Time) -> String {
    let mut table = table::table(&["token", "name", "used", "ends in", "for", "policy", "made by"]);
    for token in tokens {
        table.add_row([
            token.id.to_string(),
            render::clip(&token.name, 30),
            format!("{} of {}", token.used, token.uses),
            if token.revoked.is_some() { "revoked".to_owned() } else { ends(token.expires, now) },
            token.serial.as_ref().map_or("any".to_owned(), ToString::to_string),
            token.policy.map_or("-", Policy::word).to_owned(),
            render::clip(&token.by, 40),
        ]);
    }
    table::lines(&mut table)
}

async fn revoke(bus: &Bus, id: &TokenId, signed: &Signed) -> anyhow::Result<Exit> {
    if Registry::new(bus.clone()).token(id).await?.record.is_none() {
        anstream::eprintln!("There is no token {id} (`emote agents token ls`).");
        return Ok(Exit::NotFound);
    }
    let mut waited = Waited::begin(bus).await?;
    let order = signed.signature(bus)?.order(bus, &format!("agent.{TOKEN_REVOKE}"), json!({"token": id})).await?;
    match waited.outcomes(&[order], 1).await?.first() {
        Some(outcome) if outcome.refused.is_none() => {
            print_line(format!("{id}: revoked"))?;
            Ok(Exit::Ok)
        }
        Some(outcome) => anyhow::bail!("{}", outcome.refused.as_deref().unwrap_or_default()),
        None => {
            anyhow::bail!("it is ordered, but no broker has come to it yet: does one run, with an identity section?")
        }
    }
}
