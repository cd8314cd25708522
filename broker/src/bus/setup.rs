//! The streams: created where missing, brought up to date where they differ, never emptied.

use std::time::Duration;

use async_nats::jetstream::{
    self, ErrorCode,
    context::AccountErrorKind,
    kv,
    stream::{Config, DiscardPolicy, RetentionPolicy, StorageType},
};
use emote_proto::{bucket, limits, stream, subjects};

use super::{Bus, BusError};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// How the streams are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSettings {
    /// Copies of each stream: 1 alone, 3 in a cluster.
    pub replicas: usize,
    /// How long events are kept.
    pub events_max_age: Duration,
    /// How long jobs are kept, done or not.
    pub deliveries_max_age: Duration,
    /// How long dead letters are kept.
    pub dead_max_age: Duration,
}

impl Default for StreamSettings {
    fn default() -> Self {
        Self { replicas: 1, events_max_age: DAY * 30, deliveries_max_age: DAY * 7, dead_max_age: DAY * 30 }
    }
}

/// Whether JetStream is there and cannot be used for a while, as where a cluster has no leader.
fn passes(refusal: &jetstream::Error) -> bool {
    const UNAVAILABLE: usize = 503;
    let never = [ErrorCode::JETSTREAM_NOT_ENABLED, ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT];
    refusal.code() == UNAVAILABLE && !never.contains(&refusal.error_code())
}

impl Bus {
    /// Refuses a server without what Emote needs. Older servers take the headers of an atomic batch and ignore them,
    /// so this must be asked before anything is written.
    pub async fn check_level(&self) -> Result<(), BusError> {
        let account = self.js.query_account().await.map_err(|error| match error.kind() {
            AccountErrorKind::TimedOut => {
                BusError::NoAnswer { doing: "asking JetStream for its level", reason: error.to_string() }
            }
            AccountErrorKind::JetStream(refusal) if passes(&refusal) => {
                BusError::NoAnswer { doing: "asking JetStream for its level", reason: refusal.to_string() }
            }
            _ => BusError::Unfit(format!(
                "JetStream does not answer on this server ({error}): start nats-server with -js, or give credentials of an account that has it, which the system account never has"
            )),
        })?;
        let level = account.requests.level as u64;
        let payload = self.client.server_info().max_payload;
        if level >= limits::MIN_API_LEVEL && payload < limits::MIN_PAYLOAD {
            return Err(BusError::Unfit(format!(
                "nats-server takes messages of {payload} bytes at most: Emote needs max_payload of {} or more",
                limits::MIN_PAYLOAD
            )));
        }
        if level >= limits::MIN_API_LEVEL {
            return Ok(());
        }
        Err(BusError::Unfit(format!(
            "nats-server {} (JetStream API level {level}) is too old: Emote needs 2.12 or newer (level {})",
            self.server_version(),
            limits::MIN_API_LEVEL
        )))
    }

    /// What tells EVENTS from one that was deleted and made again: when it was created.
    pub async fn events_identity(&self) -> Result<String, BusError> {
        let no_answer = |reason: String| BusError::NoAnswer { doing: "looking at EVENTS", reason };
        let events = self.js.get_stream(stream::EVENTS).await.map_err(|error| no_answer(error.to_string()))?;
        Ok(events.cached_info().created.unix_timestamp_nanos().to_string())
    }

    /// Creates or updates the streams, and the buckets that every broker needs.
    pub async fn ensure_streams(&self, settings: &StreamSettings) -> Result<(), BusError> {
        let base = Config {
            retention: RetentionPolicy::Limits,
            discard: DiscardPolicy::Old,
            storage: StorageType::File,
            num_replicas: settings.replicas,
            allow_atomic_publish: true,
            allow_direct: true,
            ..Config::default()
        };
        let events = Config {
            name: stream::EVENTS.to_owned(),
            description: Some("Emote: everything that happened".to_owned()),
            subjects: vec![subjects::EVENTS.to_owned()],
            max_age: settings.events_max_age,
            duplicate_window: Duration::from_secs(120),
            ..base.clone()
        };
        let deliveries = Config {
            name: stream::DELIVERIES.to_owned(),
            description: Some("Emote: jobs for targets, and how far the core is".to_owned()),
            subjects: subjects::DELIVERIES.map(str::to_owned).to_vec(),
            max_age: settings.deliveries_max_age,
            allow_rollup: true,
            allow_message_ttl: true,
            // A chain's ids are there to be expected. The server remembers each for so long, and this is the least.
            duplicate_window: Duration::from_millis(100),
            ..base.clone()
        };
        let dead = Config {
            name: stream::DEAD.to_owned(),
            description: Some("Emote: jobs given up, with the reason".to_owned()),
            subjects: vec![subjects::DEAD.to_owned()],
            max_age: settings.dead_max_age,
            ..base
        };
        let refused = |reason: String| {
            let doing = "creating the streams";
            // The library has no kind for it.
            let passes = reason.contains("timed out") || reason.contains("no responders");
            if passes { BusError::NoAnswer { doing, reason } } else { BusError::Refused { doing, reason } }
        };
        let replicas = settings.replicas;
        let buckets = [
            super::identity::bucket_config(replicas),
            super::directory::bucket_config(replicas),
            super::schemas::bucket_config(replicas),
            super::packages::bucket_config(replicas),
        ];
        for config in [events, deliveries, dead].into_iter().chain(buckets) {
            let name = config.name.clone();
            self.js.create_or_update_stream(config).await.map_err(|error| refused(format!("{name}: {error}")))?;
        }
        let config = kv::Config {
            bucket: bucket::CONFIG.to_owned(),
            history: 64,
            num_replicas: settings.replicas,
            ..kv::Config::default()
        };
        self.js
            .create_or_update_key_value(config)
            .await
            .map_err(|error| refused(format!("{}: {error}", bucket::CONFIG)))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_waited_for() {
        for (error_code, waits) in [(10008, true), (10023, true), (10076, false), (10039, false)] {
            let answer = format!(r#"{{"code":503,"err_code":{error_code},"description":"as the server says"}}"#);
            assert_eq!(passes(&serde_json::from_str(&answer).unwrap()), waits, "{error_code}");
        }
        assert!(!passes(&serde_json::from_str(r#"{"code":400,"err_code":10003}"#).unwrap()));
    }
}
