//! The system account: an account's JWT, and who connects. Only a connection with a user of the system account may ask.

use std::time::Duration;

use async_nats::Subscriber;
use futures_util::StreamExt;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use super::{Bus, BusError, kept::no_answer};

/// Every server has answered by then, or does not.
const WITHIN: Duration = Duration::from_secs(3);
/// Once as many have answered as are known, no others are waited for; else this long.
const QUIET: Duration = Duration::from_millis(500);

const PUSH: &str = "$SYS.REQ.CLAIMS.UPDATE";
const PING: &str = "$SYS.REQ.SERVER.PING.IDZ";

#[derive(Deserialize)]
struct Pushed {
    server: Option<Server>,
    error: Option<PushError>,
}

#[derive(Deserialize)]
struct Server {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct PushError {
    #[serde(default)]
    description: String,
}

/// That somebody connected to an account, or is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    /// Whether it is there.
    pub is_here: bool,
    /// The public key of the user.
    pub user: String,
    /// The connection: its server and its number there.
    pub connection: String,
    /// From which address.
    pub host: String,
    /// The name that it gave itself, which nobody checked.
    pub name: String,
}

impl Bus {
    /// The JWT of an account as each server has it; empty where none has one.
    pub async fn account_jwts(&self, account: &str) -> Result<Vec<String>, BusError> {
        let subject = format!("$SYS.REQ.ACCOUNT.{account}.CLAIMS.LOOKUP");
        let answers = self.ask_servers(subject, bytes::Bytes::new(), "looking up the account").await?;
        Ok(answers
            .iter()
            .filter(|jwt| !jwt.is_empty())
            .filter_map(|jwt| String::from_utf8(jwt.to_vec()).ok())
            .collect())
    }

    /// Gives every server an account's new JWT. It closes connections that do not hold any more, and keeps it.
    pub async fn push_account(&self, jwt: String) -> Result<(), BusError> {
        let doing = "pushing the account";
        let most = self.client.server_info().max_payload;
        if jwt.len() > most {
            let size = jwt.len();
            let reason = format!("its JWT has {size} bytes, and nats-server takes {most}: raise its max_payload");
            return Err(BusError::Refused { doing, reason });
        }
        let answers = self.ask_servers(PUSH.to_owned(), jwt.into(), doing).await?;
        for answer in answers {
            let answer: Pushed = serde_json::from_slice(&answer)
                .map_err(|error| BusError::Refused { doing, reason: error.to_string() })?;
            if let Some(error) = answer.error {
                let server = answer.server.map(|server| server.name).unwrap_or_default();
                return Err(BusError::Refused { doing, reason: format!("{server}: {}", error.description) });
            }
        }
        Ok(())
    }

    /// Who connects to an account, and who is gone, as it happens.
    pub async fn presence(&self, account: &str) -> Result<Presences, BusError> {
        let failed = no_answer("watching who connects");
        let mut subscribers = Vec::new();
        for what in ["CONNECT", "DISCONNECT"] {
            let subject = format!("$SYS.ACCOUNT.{account}.{what}");
            subscribers.push(self.client.subscribe(subject).await.map_err(|error| failed(&error))?);
        }
        Ok(Presences(futures_util::stream::select_all(subscribers)))
    }

    /// Asks all servers; fewer answers than there are servers is no answer.
    async fn ask_servers(
        &self,
        subject: String,
        question: bytes::Bytes,
        doing: &'static str,
    ) -> Result<Vec<bytes::Bytes>, BusError> {
        let servers = self.gather(PING.to_owned(), bytes::Bytes::new(), usize::MAX, doing).await?.len();
        let answers = self.gather(subject, question, servers, doing).await?;
        if servers == 0 || answers.len() < servers {
            let reason = format!(
                "{} of {servers} servers answered: are these credentials of the system account?",
                answers.len()
            );
            return Err(BusError::NoAnswer { doing, reason });
        }
        Ok(answers)
    }

    async fn gather(
        &self,
        subject: String,
        question: bytes::Bytes,
        enough: usize,
        doing: &'static str,
    ) -> Result<Vec<bytes::Bytes>, BusError> {
        let failed = no_answer(doing);
        let inbox = self.client.new_inbox();
        let mut replies = self.client.subscribe(inbox.clone()).await.map_err(|error| failed(&error))?;
        let sent = self.client.publish_with_reply(subject, inbox, question).await;
        sent.map_err(|error| failed(&error))?;
        let (mut answers, until) = (Vec::new(), Instant::now() + WITHIN);
        while answers.len() < enough {
            let knows_how_many = enough != usize::MAX;
            let wait = if answers.is_empty() || knows_how_many { until } else { until.min(Instant::now() + QUIET) };
            match timeout_at(wait, replies.next()).await {
                Ok(Some(reply)) if reply.status == Some(async_nats::StatusCode::NO_RESPONDERS) => break,
                Ok(Some(reply)) => answers.push(reply.payload),
                Ok(None) | Err(_) => break,
            }
        }
        Ok(answers)
    }
}

/// Who comes and goes.
pub struct Presences(futures_util::stream::SelectAll<Subscriber>);

#[derive(Deserialize)]
struct Connected {
    server: Id,
    client: Client,
}

#[derive(Deserialize)]
struct Id {
    #[serde(default)]
    id: String,
}

#[derive(Deserialize)]
struct Client {
    #[serde(default)]
    id: u64,
    #[serde(default)]
    host: String,
    #[serde(default)]
    user: String,
    #[serde(default)]
    name: String,
}

impl Presences {
    /// The next one; `None` when the connection is closed.
    pub async fn next(&mut self) -> Option<Presence> {
        loop {
            let message = self.0.next().await?;
            let is_here = message.subject.ends_with(".CONNECT");
            if let Ok(Connected { server, client }) = serde_json::from_slice(&message.payload) {
                let Client { id, host, user, name } = client;
                return Some(Presence { is_here, user, connection: format!("{}/{id}", server.id), host, name });
            }
        }
    }
}
