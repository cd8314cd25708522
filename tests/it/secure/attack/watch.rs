//! What comes of it: who sees what, what is stored, what is refused.

use async_nats::{Message, Subscriber};
use emote::identity::{
    files,
    jwt::{AccountKey, Validity},
    role::Role,
};
use emote_proto::{NodeKey, Time, enroll::UserKey};
use emote_tests::{Connected, Secure, Streams, User};
use futures_util::StreamExt;

use super::targets::{API, ATTACK};

/// Everybody's messages, in the account of the streams and in that of devices.
pub(super) struct Watch {
    pub(super) streams: Streams,
    emote: Subscriber,
    devices: Subscriber,
    listener: Connected,
    /// How many messages each stream held at the beginning.
    before: Vec<(String, u64)>,
}

impl Watch {
    pub(super) async fn begin(secure: &Secure) -> Self {
        let streams = Streams::of(secure.connect(&secure.user(files::BROKER)).await.client);
        let before = stored(&streams).await;
        let pair = nkeys::KeyPair::new_user();
        let validity = Validity::from(Time::from(jiff::Timestamp::now()));
        let account = AccountKey::new(secure.key("devices-account"), secure.devices());
        let (name, key) = (NodeKey::new("listener").unwrap(), UserKey::new(pair.public_key()).unwrap());
        let jwt = account.user_of(Role::Broker, &name, &key, validity).unwrap();
        let listener = secure.connect(&User { jwt, seed: pair.seed().unwrap(), inbox: None }).await;
        let (emote, devices) =
            (streams.client.subscribe(">").await.unwrap(), listener.client.subscribe(">").await.unwrap());
        round_trip(&streams.client).await;
        round_trip(&listener.client).await;
        Self { streams, emote, devices, listener, before }
    }

    /// What either account has seen until now.
    pub(super) async fn seen(&mut self) -> (Vec<Message>, Vec<Message>) {
        (
            until_mark(&self.streams.client, &mut self.emote).await,
            until_mark(&self.listener.client, &mut self.devices).await,
        )
    }

    /// How many messages each stream holds more than at the beginning; only those that do.
    pub(super) async fn added(&self) -> Vec<(String, u64)> {
        let both = self.before.iter().zip(stored(&self.streams).await);
        let added = both.map(|((name, before), (_, after))| (name.clone(), after - before));
        added.filter(|(_, count)| *count > 0).collect()
    }
}

pub(super) async fn stored(streams: &Streams) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    let mut all = streams.js.streams();
    while let Some(stream) = all.next().await {
        let info = stream.unwrap();
        found.push((info.config.name, info.state.messages));
    }
    found.sort();
    found
}

/// Waits until the server has dealt with what was sent: a library's flush says that it is sent.
pub(super) async fn round_trip(client: &async_nats::Client) {
    let inbox = client.new_inbox();
    let mut mark = client.subscribe(inbox.clone()).await.unwrap();
    client.publish(inbox, "".into()).await.unwrap();
    mark.next().await.unwrap();
}

async fn until_mark(client: &async_nats::Client, seen: &mut Subscriber) -> Vec<Message> {
    let mark = client.new_inbox();
    client.publish(mark.clone(), "".into()).await.unwrap();
    let mut found = Vec::new();
    while let Some(message) = seen.next().await {
        if message.subject.as_str() == mark {
            break;
        }
        // Of the one who watches.
        if message.subject.starts_with("_INBOX.OTHER.") || !message.subject.starts_with("_INBOX.") {
            found.push(message);
        }
    }
    found
}

/// Publishing to any of these is refused, and said to be.
pub(super) async fn may_not_publish(who: &Connected, subjects: impl Iterator<Item = String>) {
    for subject in subjects {
        who.client.publish(subject.clone(), ATTACK.into()).await.unwrap();
        who.told(&format!("Permissions Violation for Publish to \"{subject}\"")).await;
    }
}

/// So is subscribing, with and without a queue.
pub(super) async fn may_not_read(who: &Connected, subjects: impl Iterator<Item = String>) {
    for subject in subjects {
        let reading = who.client.subscribe(subject.clone()).await.unwrap();
        who.told(&format!("Permissions Violation for Subscription to \"{subject}\"")).await;
        let queued = who.client.queue_subscribe(subject.clone(), "core-0".into()).await.unwrap();
        who.told(&format!("Permissions Violation for Subscription to \"{subject}\" using queue \"core-0\"")).await;
        drop((reading, queued));
    }
}

pub(super) fn others<'a>(subjects: &'a [&str], own: &'a str) -> impl Iterator<Item = String> + 'a {
    subjects.iter().filter(move |subject| **subject != own).map(|subject| (*subject).to_owned())
}

pub(super) fn api() -> impl Iterator<Item = String> {
    API.iter().map(|request| format!("$JS.API.{request}"))
}
