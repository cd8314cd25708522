//! Tells agents the time that ask for it with a heartbeat. One of the brokers answers; no answer is owed.

use emote_proto::{ClockAnswer, Time, clock_answer_subject, header, subjects};
use futures_util::StreamExt;

use super::{Bus, BusError};

impl Bus {
    /// Answers until the connection is closed. `now` is asked as each heartbeat is heard.
    pub async fn tell_time(&self, now: impl Fn() -> Time) -> Result<(), BusError> {
        let refused = |reason: String| BusError::Refused { doing: "listening for heartbeats", reason };
        let heartbeats = self.client.queue_subscribe(subjects::HEARTBEATS, "emote".to_owned()).await;
        let mut heartbeats = heartbeats.map_err(|error| refused(error.to_string()))?;
        while let Some(heartbeat) = heartbeats.next().await {
            let time = now();
            let Some(word) = heartbeat.headers.as_ref().and_then(|headers| headers.get(header::CLOCK)) else {
                continue;
            };
            let Some(subject) = clock_answer_subject(&heartbeat.subject, word.as_str()) else { continue };
            let answer = ClockAnswer { word: word.as_str().to_owned(), time };
            let Ok(json) = serde_json::to_vec(&answer) else { continue };
            if let Err(error) = self.client.publish(subject, json.into()).await {
                tracing::debug!(%error, "the time was not told");
            }
        }
        Ok(())
    }
}
