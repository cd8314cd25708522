//! A Mac that asks for a credential and speaks with it.

use std::time::Duration;

use async_nats::Client;
use emote_proto::{
    EventId, Serial, Time,
    enroll::{EnrollAnswer, EnrollRequest, EnrollmentToken, IdentityNotice, RenewRequest, UserKey},
    subjects,
};
use emote_tests::{Connected, DEADLINE, Secure, User, until_some};
use futures_util::StreamExt;
use nkeys::KeyPair;
use serde_json::json;

/// The Mac, with the key that it made.
pub(crate) struct Mac {
    pub(crate) serial: Serial,
    pub(crate) pair: KeyPair,
}

/// Now, as agents write it.
pub(crate) fn now() -> Time {
    jiff::Timestamp::now().into()
}

impl Mac {
    pub(crate) fn new(serial: &str) -> Self {
        Self { serial: Serial::new(serial).unwrap(), pair: KeyPair::new_user() }
    }

    /// The same Mac, which lost its key.
    pub(crate) fn erased(&self) -> Self {
        Self::new(self.serial.as_str())
    }

    pub(crate) fn fingerprint(&self) -> String {
        UserKey::new(self.pair.public_key()).unwrap().fingerprint()
    }

    pub(crate) fn request(&self, token: &EnrollmentToken) -> EnrollRequest {
        EnrollRequest::sign(token.id(), self.serial.clone(), &self.pair, now(), "1.0").unwrap()
    }

    /// Connects with the token, and asks once.
    pub(crate) async fn ask(&self, secure: &Secure, token: &EnrollmentToken) -> EnrollAnswer {
        let connected = secure.connect(&User::from(token)).await;
        let request = serde_json::to_vec(&self.request(token)).unwrap();
        ask(&connected.client, token, request).await
    }

    /// Asks until it is let in, as a Mac does that is told to come again; gives its JWT.
    pub(crate) async fn enrolled(&self, secure: &Secure, token: &EnrollmentToken) -> User {
        let begun = std::time::Instant::now();
        loop {
            match self.ask(secure, token).await {
                EnrollAnswer::Enrolled { jwt } => return self.user(jwt),
                EnrollAnswer::Denied { reason } => panic!("{reason}"),
                answer => assert!(begun.elapsed() < DEADLINE, "{answer:?}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// As whom it connects with this JWT.
    pub(crate) fn user(&self, jwt: String) -> User {
        User { jwt, seed: self.pair.seed().unwrap(), inbox: Some(format!("_INBOX.{}", self.serial)) }
    }

    /// Asks for the next JWT, for a key that may be another one.
    pub(crate) fn renewal(&self, next: &KeyPair) -> RenewRequest {
        RenewRequest::sign(&self.serial, &self.pair, next, now()).unwrap()
    }

    /// Says something as its agent does; waits until the stream has it.
    pub(crate) async fn say(&self, connected: &Connected, action: &str, info: serde_json::Value) {
        self.say_over(&connected.client, action, info).await;
    }

    /// The same, over any connection.
    pub(crate) async fn say_over(&self, client: &Client, action: &str, info: serde_json::Value) {
        let mut bytes = [0; 10];
        rand::fill(&mut bytes);
        let time = now();
        let id = EventId::fresh(u64::try_from(time.as_millis()).unwrap(), &bytes);
        let event = json!({"id": id, "time": time, "scope": "agent", "action": action, "info": info});
        let subject = format!("events.agent.{}.agent.{action}", self.serial);
        let stored = client.request(subject, serde_json::to_vec(&event).unwrap().into()).await.unwrap();
        let stored: serde_json::Value = serde_json::from_slice(&stored.payload).unwrap();
        assert_eq!(stored["stream"], "EVENTS", "{stored}");
    }

    /// What it is told about its credential from now on.
    pub(crate) async fn notices(&self, connected: &Connected) -> Notices {
        self.notices_over(&connected.client).await
    }

    /// The same, over any connection.
    pub(crate) async fn notices_over(&self, client: &Client) -> Notices {
        let notices = client.subscribe(subjects::identity(self.serial.as_str())).await.unwrap();
        client.flush().await.unwrap();
        Notices(notices)
    }
}

/// What a Mac is told.
pub(crate) struct Notices(async_nats::Subscriber);

impl Notices {
    pub(crate) async fn next(&mut self) -> IdentityNotice {
        let message = tokio::time::timeout(DEADLINE, self.0.next()).await.expect("a notice comes").unwrap();
        serde_json::from_slice(&message.payload).unwrap()
    }

    /// The JWT that it is told.
    pub(crate) async fn issued(&mut self) -> String {
        match self.next().await {
            IdentityNotice::Issued { jwt } => jwt,
            notice => panic!("{notice:?}"),
        }
    }
}

/// Asks with these bytes, until a broker is there that answers.
pub(crate) async fn ask(client: &Client, token: &EnrollmentToken, request: Vec<u8>) -> EnrollAnswer {
    until_some("a broker answers", async || try_ask(client, token, request.clone()).await).await
}

/// Asks once; nothing where no answer comes soon.
pub(crate) async fn try_ask(client: &Client, token: &EnrollmentToken, request: Vec<u8>) -> Option<EnrollAnswer> {
    let asked = async_nats::Request::new().payload(request.into()).timeout(Some(Duration::from_secs(5)));
    let answer = client.send_request(subjects::enroll(token.id()), asked).await.ok()?;
    Some(serde_json::from_slice(&answer.payload).unwrap())
}

/// Why it was denied.
pub(crate) fn denied(answer: EnrollAnswer) -> String {
    match answer {
        EnrollAnswer::Denied { reason } => reason,
        answer => panic!("{answer:?}"),
    }
}

/// What it waits for.
pub(crate) fn waits(answer: EnrollAnswer) -> String {
    match answer {
        EnrollAnswer::Pending { reason, .. } => reason,
        answer => panic!("{answer:?}"),
    }
}

/// Its JWT.
pub(crate) fn enrolled(answer: EnrollAnswer) -> String {
    match answer {
        EnrollAnswer::Enrolled { jwt } => jwt,
        answer => panic!("{answer:?}"),
    }
}
