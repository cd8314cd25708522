//! The streams as they are, read past Emote.

use std::time::Duration;

use async_nats::{
    HeaderMap,
    jetstream::{
        self,
        consumer::{AckPolicy, DeliverPolicy, pull},
    },
};
use emote_proto::{header, stream};
use futures_util::StreamExt;
use serde_json::Value;

/// A message of a stream.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Its place.
    pub sequence: u64,
    /// Its subject.
    pub subject: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// When it was stored, in nanoseconds since 1970.
    pub at: i128,
    /// Its body.
    pub payload: Vec<u8>,
}

impl Stored {
    /// A header's value; empty where there is none.
    pub fn header(&self, name: &str) -> String {
        self.headers.get(name).map(|value| value.as_str().to_owned()).unwrap_or_default()
    }

    /// The id of the job that it is of, by its header or its body; empty where it is of none.
    pub fn job(&self) -> String {
        let id = self.header(header::JOB);
        if id.is_empty() { self.json()["id"].as_str().map(str::to_owned).unwrap_or_default() } else { id }
    }

    /// The body as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.payload).unwrap_or_default()
    }
}

/// A connection to the server, beside Emote's own.
#[derive(Clone)]
pub struct Streams {
    /// For publishing by hand.
    pub client: async_nats::Client,
    /// For whatever is not here.
    pub js: jetstream::Context,
}

impl Streams {
    /// Connects, as soon as the server is there.
    pub async fn connect(url: &str) -> Self {
        Self::connect_to(&[url.to_owned()]).await.unwrap()
    }

    /// Connects to whichever of a cluster's servers is there, as soon as one is, and to another when it goes.
    pub async fn connect_to(urls: &[String]) -> Result<Self, async_nats::Error> {
        Self::connect_with(urls, async_nats::ConnectOptions::new()).await
    }

    /// Connects as this user.
    pub async fn connect_as(url: &str, user: &str, password: &str) -> Self {
        let options = async_nats::ConnectOptions::new().user_and_password(user.to_owned(), password.to_owned());
        Self::connect_with(&[url.to_owned()], options).await.unwrap()
    }

    /// Connects with this token.
    pub async fn connect_by_token(url: &str, token: &str) -> Self {
        let options = async_nats::ConnectOptions::with_token(token.to_owned());
        Self::connect_with(&[url.to_owned()], options).await.unwrap()
    }

    /// Makes EVENTS as an agent needs it, where no broker does.
    pub async fn make_events(&self) {
        let config = jetstream::stream::Config {
            name: stream::EVENTS.to_owned(),
            subjects: vec!["events.>".to_owned()],
            allow_atomic_publish: true,
            ..jetstream::stream::Config::default()
        };
        self.js.create_stream(config).await.unwrap();
    }

    async fn connect_with(urls: &[String], options: async_nats::ConnectOptions) -> Result<Self, async_nats::Error> {
        let options = options
            .retry_on_initial_connect()
            .connection_timeout(Duration::from_secs(2))
            .reconnect_delay_callback(|_| Duration::from_millis(100));
        let servers: Vec<async_nats::ServerAddr> = urls.iter().map(|url| url.parse()).collect::<Result<_, _>>()?;
        Ok(Self::of(options.connect(servers).await?))
    }

    /// Over a connection that stands.
    pub fn of(client: async_nats::Client) -> Self {
        Self { js: jetstream::new(client.clone()), client }
    }

    /// Everything that `stream` holds under `filter`, in order.
    pub async fn read(&self, stream: &str, filter: &str) -> Vec<Stored> {
        // Where a cluster gives a consumer to another server, it is read anew.
        for _ in 0..5 {
            if let Ok(found) = self.try_read(stream, filter).await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        self.try_read(stream, filter).await.unwrap()
    }

    /// The same, where the server may be away.
    pub async fn try_read(&self, stream: &str, filter: &str) -> Result<Vec<Stored>, async_nats::Error> {
        let stream = self.js.get_stream(stream).await?;
        let config = pull::Config {
            filter_subject: filter.to_owned(),
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::None,
            inactive_threshold: Duration::from_secs(60),
            ..pull::Config::default()
        };
        let consumer = stream.create_consumer(config).await?;
        let (name, mut left) = (consumer.cached_info().name.clone(), consumer.cached_info().num_pending);
        let (mut found, mut futile) = (Vec::new(), 0);
        while left > 0 {
            let before = found.len();
            let mut messages = consumer.fetch().max_messages(1_000).messages().await?;
            // What was asked over a connection that is gone is never answered.
            while let Some(message) = tokio::time::timeout(Duration::from_secs(5), messages.next()).await? {
                let message = message?;
                let info = message.info()?;
                left = info.pending;
                if info.consumer_sequence != found.len() as u64 + 1 {
                    return Err(format!("after {} messages came the {}.", found.len(), info.consumer_sequence).into());
                }
                found.push(Stored {
                    sequence: info.stream_sequence,
                    subject: message.subject.to_string(),
                    at: info.published.unix_timestamp_nanos(),
                    headers: message.headers.clone().unwrap_or_default(),
                    payload: message.payload.to_vec(),
                });
            }
            futile = if found.len() > before { 0 } else { futile + 1 };
            if futile > 5 {
                return Err(format!("{left} of {} messages do not come", found.len() as u64 + left).into());
            }
        }
        stream.delete_consumer(&name).await.ok();
        Ok(found)
    }

    /// Whether each of Emote's streams has a leader, and as many copies as there are servers, all up to date.
    pub async fn are_whole(&self, servers: usize) -> bool {
        for name in [stream::EVENTS, stream::DELIVERIES, stream::DEAD] {
            let Ok(found) = self.js.get_stream(name).await else { return false };
            let Some(cluster) = found.cached_info().cluster.clone() else { return servers == 1 };
            let current = cluster.replicas.iter().filter(|replica| replica.current && !replica.offline).count();
            if cluster.leader.is_none() || current + 1 < servers {
                return false;
            }
        }
        true
    }

    /// All events.
    pub async fn events(&self) -> Vec<Stored> {
        self.read("EVENTS", "events.>").await
    }

    /// All jobs.
    pub async fn jobs(&self) -> Vec<Stored> {
        self.read("DELIVERIES", "deliver.>").await
    }

    /// All dead letters.
    pub async fn dead(&self) -> Vec<Stored> {
        self.read("DEAD", "dead.>").await
    }

    /// Publishes as any NATS client would, and waits until it is stored. Gives its place in the stream.
    pub async fn publish(&self, subject: &str, body: impl Into<Vec<u8>>) -> u64 {
        let body: Vec<u8> = body.into();
        self.js.publish(subject.to_owned(), body.into()).await.unwrap().await.unwrap().sequence
    }

    /// Publishes it with an id that the stream remembers, however often that takes.
    pub async fn publish_as(&self, id: &str, subject: &str, body: Vec<u8>) -> u64 {
        let mut headers = HeaderMap::new();
        headers.insert(header::MSG_ID, id);
        let publish = async || {
            let publish = self.js.publish_with_headers(subject.to_owned(), headers.clone(), body.clone().into());
            publish.await.ok()?.await.ok()
        };
        crate::until_some("the message is stored", publish).await.sequence
    }
}
