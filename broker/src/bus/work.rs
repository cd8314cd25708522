//! Events that brokers share the work of: a durable consumer of EVENTS, each entry at one of them until it is done.

use std::time::Duration;

use async_nats::jetstream::{
    self, AckKind,
    consumer::{AckPolicy, DeliverPolicy, pull},
};
use emote_proto::stream;

use super::{Bus, BusError, EventMessage, events::owned, kept::no_answer, pull::Pull};

/// After so long an entry is given to another broker.
const ACK_WAIT: Duration = Duration::from_secs(10);

const DOING: &str = "reading what there is to do";

/// Entries as they come.
pub struct Work {
    messages: Pull,
    js: jetstream::Context,
}

/// An entry to be worked on.
pub struct Task {
    message: jetstream::Message,
    /// The entry.
    pub entry: EventMessage,
}

impl Bus {
    /// The entries under `subjects` that no broker is done with, under this name.
    pub async fn work(&self, name: &str, subjects: Vec<String>) -> Result<Work, BusError> {
        let failed = no_answer(DOING);
        let events = self.js.get_stream_no_info(stream::EVENTS).await.map_err(|error| failed(&error))?;
        let config = pull::Config {
            durable_name: Some(name.to_owned()),
            description: Some("Emote: what brokers share the work of".to_owned()),
            filter_subjects: subjects,
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            max_deliver: -1,
            max_ack_pending: 1_000,
            ..pull::Config::default()
        };
        let consumer = events.create_consumer(config).await.map_err(|error| failed(&error))?;
        let consumer = &consumer.cached_info().name;
        let messages = Pull::new(&self.client, stream::EVENTS, consumer, 16).await.map_err(|error| failed(&error))?;
        Ok(Work { messages, js: self.js.clone() })
    }
}

impl Work {
    /// The next entry; an error means that the consumer must be opened again.
    pub async fn next(&mut self) -> Result<Task, BusError> {
        let failed = no_answer(DOING);
        let mut message = self.messages.next().await.map_err(|error| failed(&error))?;
        let (entry, _) = owned(&mut message).map_err(|error| failed(&error))?;
        Ok(Task { message: jetstream::Message { message, context: self.js.clone() }, entry })
    }
}

impl Task {
    /// It is done; waits until the server knows.
    pub async fn done(&self) -> Result<(), BusError> {
        self.message.double_ack().await.map_err(|error| no_answer("ending a task")(&error))
    }

    /// It is to be given to a broker again after `delay`.
    pub async fn again_after(&self, delay: Duration) -> Result<(), BusError> {
        let again = self.message.ack_with(AckKind::Nak(Some(delay)));
        again.await.map_err(|error| no_answer("putting a task back")(&error))
    }
}
