//! Answers Macs that ask for credentials, as a broker would or as none should.

use std::sync::{Arc, Mutex};

use async_nats::Client;
use emote_proto::enroll::{EnrollAnswer, EnrollRequest, IdentityNotice, RenewRequest, TokenId, UserKey};
use emote_proto::{Draft, Serial, Time, subjects};
use futures_util::StreamExt;
use nkeys::KeyPair;

use super::authority::Authority;

/// What is answered to a request to enrol.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Enrol,
    Say(EnrollAnswer),
    Bytes(Vec<u8>),
    /// A JWT for somebody else's key.
    OtherKey,
    /// A JWT for this serial number.
    Serial(&'static str),
}

#[derive(Debug)]
struct Policy {
    answer: Answer,
    /// Of JWTs.
    seconds: i64,
    /// Whether requests for the next one are answered.
    renews: bool,
    asked: Vec<UserKey>,
    due: Vec<RenewRequest>,
}

/// Ended with the test's runtime.
#[derive(Clone)]
pub(crate) struct Broker {
    policy: Arc<Mutex<Policy>>,
    authority: Arc<Authority>,
    client: Client,
}

impl Broker {
    pub(crate) async fn start(client: Client, authority: Arc<Authority>, answer: Answer, seconds: i64) -> Self {
        let policy = Policy { answer, seconds, renews: true, asked: Vec::new(), due: Vec::new() };
        let broker = Self { policy: Arc::new(Mutex::new(policy)), authority, client };
        let mut requests = broker.client.subscribe(subjects::ENROLL).await.unwrap();
        let mut events = broker.client.subscribe("events.agent.*.agent.credential_due").await.unwrap();
        broker.client.flush().await.unwrap();
        let mine = broker.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    Some(request) = requests.next() => mine.enrol(&request).await,
                    Some(event) = events.next() => mine.renew(&event).await,
                    else => return,
                }
            }
        });
        broker
    }

    pub(crate) fn answers(&self, answer: Answer) {
        self.policy.lock().unwrap().answer = answer;
    }

    pub(crate) fn renews(&self, renews: bool, seconds: i64) {
        let mut policy = self.policy.lock().unwrap();
        (policy.renews, policy.seconds) = (renews, seconds);
    }

    /// The keys of all requests to enrol.
    pub(crate) fn asked(&self) -> Vec<UserKey> {
        self.policy.lock().unwrap().asked.clone()
    }

    /// All requests for the next JWT.
    pub(crate) fn due(&self) -> Vec<RenewRequest> {
        self.policy.lock().unwrap().due.clone()
    }

    pub(crate) async fn tell(&self, serial: &str, notice: &IdentityNotice) {
        let payload = serde_json::to_vec(notice).unwrap().into();
        self.client.publish(subjects::identity(serial), payload).await.unwrap();
        self.client.flush().await.unwrap();
    }

    async fn enrol(&self, message: &async_nats::Message) {
        let reply = message.reply.clone().unwrap();
        let id = TokenId::new(message.subject.strip_prefix("enroll.").unwrap()).unwrap();
        assert!(reply.starts_with(&subjects::enroll_inbox(&id)), "{reply}");
        let request: EnrollRequest = serde_json::from_slice(&message.payload).unwrap();
        request.verify(&id, Time::from(jiff::Timestamp::now())).unwrap();
        let (answer, seconds) = {
            let mut policy = self.policy.lock().unwrap();
            policy.asked.push(request.public_key.clone());
            (policy.answer.clone(), policy.seconds)
        };
        let jwt = |serial: &str, key: &str| {
            let answer = EnrollAnswer::Enrolled { jwt: self.authority.device(serial, key, seconds) };
            serde_json::to_vec(&answer).unwrap()
        };
        let payload = match answer {
            Answer::Enrol => jwt(request.serial.as_str(), request.public_key.as_str()),
            Answer::Say(answer) => serde_json::to_vec(&answer).unwrap(),
            Answer::Bytes(bytes) => bytes,
            Answer::OtherKey => jwt(request.serial.as_str(), &KeyPair::new_user().public_key()),
            Answer::Serial(serial) => jwt(serial, request.public_key.as_str()),
        };
        self.client.publish(reply, payload.into()).await.unwrap();
    }

    async fn renew(&self, event: &async_nats::Message) {
        let serial = Serial::new(event.subject.split('.').nth(2).unwrap()).unwrap();
        let info = Draft::parse(&event.payload).unwrap().info.unwrap();
        let request: RenewRequest = serde_json::from_value(info.into()).unwrap();
        request.verify(&serial).unwrap();
        let (renews, seconds) = {
            let mut policy = self.policy.lock().unwrap();
            policy.due.push(request.clone());
            (policy.renews, policy.seconds)
        };
        if renews {
            let jwt = self.authority.device(serial.as_str(), request.next_key.as_str(), seconds);
            self.tell(serial.as_str(), &IdentityNotice::Issued { jwt }).await;
        }
    }
}
