//! Where a service is: its endpoint, or the address that it names when it is asked there.

use std::time::{Duration, Instant};

use reqwest::Url;
use serde_json::Value;
use tokio::sync::Mutex;

use super::{super::wire, answer::Refusal, connection::Connection, services::timestream::discovery};

/// For how long an address may be kept, in minutes; AWS says a day.
const MINUTES: std::ops::RangeInclusive<u64> = 1..=24 * 60;

pub(super) struct Place {
    endpoint: Url,
    /// What was found, and until when it is good; nothing where the endpoint is the place.
    found: Option<Mutex<Option<(Url, Instant)>>>,
    insecure: bool,
}

impl Place {
    pub(super) fn new(endpoint: Url, discovers: bool, insecure: bool) -> Self {
        Self { endpoint, found: discovers.then(Mutex::default), insecure }
    }

    /// Where to send to.
    pub(super) async fn get(&self, connection: &Connection) -> Result<Url, Refusal> {
        let Some(found) = &self.found else { return Ok(self.endpoint.clone()) };
        let mut found = found.lock().await;
        if let Some((url, _)) = found.as_ref().filter(|(_, until)| Instant::now() < *until) {
            return Ok(url.clone());
        }
        let answer = connection.send(&self.endpoint, discovery()).await?;
        let (url, minutes) =
            self.read(&answer.body).map_err(|reason| Refusal::of(answer.retry(format!("no address: {reason}"))))?;
        let until = Instant::now().checked_add(Duration::from_secs(minutes.saturating_mul(60)));
        *found = until.map(|until| (url.clone(), until));
        Ok(url)
    }

    /// Forgets what was found where it is no more the place.
    pub(super) async fn left(&self, refusal: &Refusal) -> bool {
        let gone = refusal.is("InvalidEndpointException");
        if let (Some(found), true) = (&self.found, gone) {
            *found.lock().await = None;
        }
        gone
    }

    fn read(&self, body: &str) -> Result<(Url, u64), String> {
        let reply: Value = serde_json::from_str(body).map_err(|error| error.to_string())?;
        let first = reply.pointer("/Endpoints/0").ok_or("none is named")?;
        let address = first.get("Address").and_then(Value::as_str).ok_or("none is named")?;
        let minutes = first.get("CachePeriodInMinutes").and_then(Value::as_u64).unwrap_or(*MINUTES.start());
        let url = wire::endpoint(&format!("{}://{address}", self.endpoint.scheme()), self.insecure)?;
        // What is sent there holds credentials: nobody's but the endpoint's own neighbours get it.
        let domain = |url: &Url| {
            url.host_str().map(|host| host.split_once(".amazonaws.").map_or(host, |(_, domain)| domain).to_owned())
        };
        if domain(&url) != domain(&self.endpoint) {
            return Err("the one that is named is not the endpoint's".to_owned());
        }
        Ok((url, minutes.clamp(*MINUTES.start(), *MINUTES.end())))
    }
}
