//! Sends events, each way as whoever comes that way does it: until it is acknowledged.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use async_nats::{HeaderMap, jetstream};
use emote_agent::socket::{Answer, Ask, call};
use emote_proto::{Draft, EventId, header};
use serde_json::json;
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};

use crate::{
    ledger::{Again, Ledger},
    rules::TOKEN,
    story::{self, Line, Way},
};

/// An event that is not acknowledged after this long is given up; the stream remembers ids for longer.
const GIVE_UP: Duration = Duration::from_secs(100);
const PAUSE: Duration = Duration::from_millis(200);
/// Longest wait for the stream's word.
const ACK_WITHIN: Duration = Duration::from_secs(5);
/// Webhooks and publishes under way at once.
const AT_ONCE: usize = 64;
/// Events that wait for an agent.
const QUEUE: usize = 64;

/// Where events go.
pub(crate) struct Senders {
    /// Notes everything.
    pub(crate) ledger: Arc<Ledger>,
    /// For plain publishes.
    pub(crate) js: jetstream::Context,
    /// For webhooks.
    pub(crate) http: reqwest::Client,
    /// The brokers' webhooks.
    pub(crate) hooks: Vec<String>,
    /// The agents' sockets.
    pub(crate) sockets: Vec<std::path::PathBuf>,
    /// Set when no more is to be sent.
    pub(crate) over: AtomicBool,
}

impl Senders {
    /// Sends events 0 to `count`, each at its time, as long as it is not over.
    pub(crate) async fn run(self: Arc<Self>, seed: u64, count: u64, rate: u64) {
        let began = Instant::now();
        let mut tasks = JoinSet::new();
        let queues: Vec<mpsc::Sender<Line>> =
            self.sockets.iter().map(|socket| self.agent(socket, &mut tasks)).collect();
        let places = Arc::new(Semaphore::new(AT_ONCE));
        for n in 0..count {
            tokio::time::sleep_until((began + Duration::from_nanos(n * 1_000_000_000 / rate)).into()).await;
            if self.over.load(Ordering::Relaxed) {
                break;
            }
            let line = story::line(seed, n);
            if line.way == Way::Agent {
                let queue = &queues[usize::try_from(n).unwrap_or(0) % queues.len()];
                // The queue ends with its agent's task, which ends when it is over.
                queue.send(line).await.ok();
                continue;
            }
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
            let this = Arc::clone(&self);
            tasks.spawn(async move {
                match line.way {
                    Way::Webhook => this.webhook(&line).await,
                    _ => this.publish(&line).await,
                }
                drop(place);
            });
            while tasks.try_join_next().is_some() {}
        }
        drop(queues);
        while tasks.join_next().await.is_some() {}
    }

    /// One agent's events, one after the other. Whoever gets no answer cannot know whether the agent has the event, and
    /// says it again as another one.
    fn agent(self: &Arc<Self>, socket: &Path, tasks: &mut JoinSet<()>) -> mpsc::Sender<Line> {
        let (this, socket) = (Arc::clone(self), socket.to_owned());
        let (queue, mut lines) = mpsc::channel::<Line>(QUEUE);
        tasks.spawn(async move {
            let mut n = 0_u64;
            while let Some(line) = lines.recv().await {
                let began = Instant::now();
                for attempt in 0_u32.. {
                    n += 1;
                    let key = if attempt == 0 { line.key.clone() } else { format!("{}.{attempt}", line.key) };
                    if this.emit(&socket, &line, &key, n).await || began.elapsed() > GIVE_UP {
                        break;
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        });
        queue
    }

    async fn emit(&self, socket: &Path, line: &Line, key: &str, n: u64) -> bool {
        let mut event = line.event.clone();
        event["info"]["key"] = json!(key);
        event["info"]["n"] = json!(n);
        let draft = match Draft::from_value(event) {
            Ok(draft) => draft,
            Err(error) => {
                self.ledger.wrong(format!("the event {key} is none: {error}"));
                return true;
            }
        };
        self.ledger.begin(key, Way::Agent);
        match call(socket, &Ask::Emit(Box::new(draft))).await {
            Ok(Answer::Id(_)) => self.ledger.acknowledged(key, None),
            Ok(other) => self.ledger.wrong(format!("the agent answers the event {key} with {other:?}")),
            Err(_) => {
                self.ledger.refused(Way::Agent, "no answer");
                return false;
            }
        }
        true
    }

    async fn webhook(&self, line: &Line) {
        let mut event = line.event.clone();
        event["event_id"] = json!(line.key);
        let body = event.to_string();
        self.ledger.begin(&line.key, Way::Webhook);
        let began = Instant::now();
        let first = usize::try_from(line.n).unwrap_or(0);
        for attempt in 0_usize.. {
            match self.post(&self.hooks[(first + attempt) % self.hooks.len()], &body).await {
                200 => return self.ledger.acknowledged(&line.key, Some(Again::Webhook(body))),
                0 => self.ledger.refused(Way::Webhook, "no answer"),
                // As vendors do: whatever is the other side's fault is sent again.
                status @ 500.. => self.ledger.refused(Way::Webhook, status.to_string()),
                status => {
                    self.ledger.refused(Way::Webhook, status.to_string());
                    self.ledger.wrong(format!("the webhook {} is answered {status}", line.key));
                    return;
                }
            }
            if began.elapsed() > GIVE_UP {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Posts a webhook; the status, or 0 where there is no answer.
    pub(crate) async fn post(&self, url: &str, body: &str) -> u16 {
        let request = self.http.post(url).bearer_auth(TOKEN).header("Content-Type", "application/json");
        match request.body(body.to_owned()).send().await {
            Ok(response) => response.status().as_u16(),
            Err(_) => 0,
        }
    }

    async fn publish(&self, line: &Line) {
        let (subject, body) = (line.subject(), line.event.to_string().into_bytes());
        let id = EventId::derived(&["chaos", &line.key]).to_string();
        self.ledger.begin(&line.key, Way::Publish);
        let began = Instant::now();
        while began.elapsed() < GIVE_UP {
            match self.publish_once(&subject, &id, &body).await {
                Ok(()) => return self.ledger.acknowledged(&line.key, Some(Again::Publish(subject, id, body))),
                Err(why) => self.ledger.refused(Way::Publish, why),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Publishes into EVENTS; why it is not stored, if it is not.
    pub(crate) async fn publish_once(&self, subject: &str, id: &str, body: &[u8]) -> Result<(), String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::MSG_ID, id);
        let stored = async {
            let sent = self.js.publish_with_headers(subject.to_owned(), headers, body.to_vec().into()).await;
            sent.map_err(|error| error.to_string())?.await.map_err(|error| error.to_string())
        };
        match tokio::time::timeout(ACK_WITHIN, stored).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.chars().take(60).collect()),
            Err(_) => Err("no answer".to_owned()),
        }
    }

    /// Sends again what was acknowledged; how many.
    pub(crate) async fn again(&self, how_many: usize) -> u64 {
        let recent = self.ledger.recent();
        let again = recent.iter().rev().step_by(3).take(how_many);
        let mut count = 0;
        for message in again {
            count += 1;
            // Whatever is answered: it is the same event.
            match message {
                Again::Publish(subject, id, body) => drop(self.publish_once(subject, id, body).await),
                Again::Webhook(body) => drop(self.post(&self.hooks[0], body).await),
            }
        }
        count
    }
}
