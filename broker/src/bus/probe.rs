//! What a credential may do, found out by trying: whether it may read everything, and what is its own.

use std::{sync::Arc, time::Duration};

use async_nats::{Event, ServerError};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};

use super::{
    Bus, BusError,
    options::{addresses, options},
};
use crate::config::Secret;

/// The server has refused by then, or does not.
const WITHIN: Duration = Duration::from_secs(2);
/// All of it. A credential that is over as soon as it is let in would connect again and again.
const AT_MOST: Duration = Duration::from_secs(15);

/// What came of trying.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probed {
    /// It may read its own subject, and not everything.
    Bounded,
    /// It may read everything.
    Unbounded,
    /// It may not even read its own.
    NotItsOwn,
    /// NATS does not let it in.
    NotLetIn(String),
}

impl Bus {
    /// Connects with this credential to where this connection leads, and tries to read everything, and `own`.
    /// Takes 15 s at most.
    pub async fn probe(&self, jwt: &str, seed: &Secret, own: &str) -> Result<Probed, BusError> {
        let over = super::kept::no_answer("trying a credential");
        let tried = timeout(AT_MOST, self.try_out(jwt, seed, own)).await;
        tried.unwrap_or_else(|_| Err(over(&"NATS closes its connections, or is too slow")))
    }

    async fn try_out(&self, jwt: &str, seed: &Secret, own: &str) -> Result<Probed, BusError> {
        let settings = super::BusSettings {
            name: "emote: trying a credential".to_owned(),
            credentials: None,
            user: None,
            token: None,
            ..self.settings().clone()
        };
        let (said, mut says) = mpsc::channel(16);
        let text = crate::identity::jwt::credentials_file(jwt, seed.expose());
        let servers = addresses(&settings)?;
        let options = options(&settings, &servers, Arc::default())?
            .credentials(&text)
            .map_err(|error| BusError::Settings(format!("trying a credential: {error}")))?
            .event_callback(move |event| {
                if let Event::ServerError(ServerError::Other(text)) = event {
                    // More is not asked for than there is room.
                    said.try_send(text).ok();
                }
                std::future::ready(())
            });
        let failed = super::kept::no_answer("trying a credential");
        let client = match options.connect(servers).await {
            Ok(client) => client,
            Err(error) => {
                use async_nats::ConnectErrorKind as Kind;
                let refused = matches!(error.kind(), Kind::Authentication | Kind::AuthorizationViolation);
                return if refused { Ok(Probed::NotLetIn(error.to_string())) } else { Err(failed(&error)) };
            }
        };
        let all = client.subscribe(">").await.map_err(|error| failed(&error))?;
        let mine = client.subscribe(own.to_owned()).await.map_err(|error| failed(&error))?;
        client.flush().await.map_err(|error| failed(&error))?;
        let (until, mut bounded, mut own_denied) = (Instant::now() + WITHIN, false, false);
        while let Ok(Some(text)) = timeout_at(until, says.recv()).await {
            bounded |= denies(&text, ">");
            own_denied |= denies(&text, own);
            if bounded && own_denied {
                break;
            }
            if bounded {
                // The other refusal would come right behind it.
                let soon = Instant::now() + WITHIN / 10;
                own_denied |= timeout_at(soon, says.recv()).await.ok().flatten().is_some_and(|text| denies(&text, own));
                break;
            }
        }
        drop((all, mine));
        client.drain().await.ok();
        Ok(match (bounded, own_denied) {
            (false, _) => Probed::Unbounded,
            (true, true) => Probed::NotItsOwn,
            (true, false) => Probed::Bounded,
        })
    }
}

/// Whether this is the server's refusal of a subscription to `subject`.
fn denies(text: &str, subject: &str) -> bool {
    let text = text.to_lowercase();
    text.contains("permissions violation") && text.contains(&format!("\"{}\"", subject.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_its_subject() {
        assert!(denies("permissions violation for subscription to \">\"", ">"));
        assert!(denies("Permissions Violation for Subscription to \"_INBOX.C02.x\"", "_INBOX.C02.x"));
        assert!(!denies("Permissions Violation for Subscription to \"_INBOX.C02.x\"", ">"));
        assert!(!denies("authorization violation", ">"));
    }
}
