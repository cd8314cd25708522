//! Messages that leave: to other subjects of this account, to another account or cluster, to another Emote.

use std::{future::IntoFuture, str::FromStr};

use async_nats::{HeaderMap, HeaderName, HeaderValue, jetstream::context::PublishErrorKind};
use bytes::Bytes;
use emote_proto::header;
use tokio::{sync::OnceCell, time::timeout};

use super::{Bus, BusError, BusSettings, REQUEST_TIMEOUT, publish::not_stored};

/// A connection that is made with the first message. One that breaks is made again by itself.
pub(crate) struct Outbound {
    settings: BusSettings,
    bus: OnceCell<Bus>,
    /// Whether the EVENTS there is another one than this Emote's.
    is_elsewhere: OnceCell<bool>,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) subject: String,
    /// By which a stream knows it again within its window.
    pub(crate) id: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// Where a stream has a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) stream: String,
    pub(crate) sequence: u64,
    /// It was there already.
    pub(crate) is_repeated: bool,
}

impl Message {
    fn headers(&self) -> Result<HeaderMap, BusError> {
        let doing = "writing a message's headers";
        let refused = |reason: String| BusError::Refused { doing, reason };
        let mut headers = HeaderMap::new();
        let id = [(header::MSG_ID.to_owned(), self.id.clone())];
        for (name, value) in id.iter().chain(&self.headers) {
            let key = HeaderName::from_str(name).map_err(|error| refused(format!("{name:?}: {error}")))?;
            let value = HeaderValue::from_str(value).map_err(|error| refused(format!("{name}: {error}")))?;
            headers.append(key, value);
        }
        Ok(headers)
    }
}

impl Outbound {
    pub(crate) fn new(settings: BusSettings) -> Self {
        Self { settings, bus: OnceCell::new(), is_elsewhere: OnceCell::new() }
    }

    /// Hands a message to the stream that takes its subject; waits until that has stored it.
    pub(crate) async fn store(&self, message: &Message) -> Result<Stored, BusError> {
        let bus = self.ready(message).await?;
        let body = Bytes::from(message.body.clone());
        let failed = |error: async_nats::jetstream::context::PublishError| match error.kind() {
            PublishErrorKind::StreamNotFound => BusError::Unfit(format!(
                "no stream there takes {}: make one, or say jetstream: false where nobody need keep it",
                message.subject
            )),
            _ => not_stored(error),
        };
        let sent = bus.js.publish_with_headers(message.subject.clone(), message.headers()?, body);
        let ack = sent.await.map_err(failed)?.into_future().await.map_err(failed)?;
        Ok(Stored { stream: ack.stream, sequence: ack.sequence, is_repeated: ack.duplicate })
    }

    /// Writes a message to the server. Whether anybody hears it, or it may be sent at all, nobody tells.
    pub(crate) async fn send(&self, message: &Message) -> Result<(), BusError> {
        let no_answer = |reason: String| BusError::NoAnswer { doing: "sending a message", reason };
        let bus = self.ready(message).await?;
        let body = Bytes::from(message.body.clone());
        let sent = bus.client.publish_with_headers(message.subject.clone(), message.headers()?, body);
        sent.await.map_err(|error| no_answer(error.to_string()))?;
        let flushed = timeout(REQUEST_TIMEOUT, bus.client.flush()).await;
        flushed.map_err(|_| no_answer("it cannot be written".to_owned()))?.map_err(|error| no_answer(error.to_string()))
    }

    /// Whether what is there is an Emote, and another one than that of `own`: its log began at another moment. It is asked
    /// once for all.
    pub(crate) async fn is_another_emote(&self, own: &BusSettings) -> Result<bool, BusError> {
        let ask = async {
            let theirs = self.bus().await?.events_identity().await?;
            let own = Bus::connect(own).await?;
            let ours = own.events_identity().await;
            own.close().await;
            Ok(ours? != theirs)
        };
        self.is_elsewhere.get_or_try_init(|| ask).await.copied()
    }

    async fn bus(&self) -> Result<&Bus, BusError> {
        self.bus.get_or_try_init(|| Bus::connect(&self.settings)).await
    }

    /// The connection, where it stands and takes a message of this size.
    async fn ready(&self, message: &Message) -> Result<&Bus, BusError> {
        let bus = self.bus().await?;
        if !bus.is_connected() {
            let servers = self.settings.servers.join(", ");
            return Err(BusError::Unreachable { servers, reason: "the connection is lost".to_owned() });
        }
        let most = bus.client.server_info().max_payload;
        if most > 0 && message.body.len() > most {
            let reason = format!("{} bytes; the server takes {most} at most", message.body.len());
            return Err(BusError::Refused { doing: "sending a message", reason });
        }
        Ok(bus)
    }
}
