//! Sends webhooks as the vendors do: with their signatures and secrets, and with what the configuration folder expects.

use std::{path::Path, time::Duration};

use anyhow::Context;
use emote_proto::EventId;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::Value;

use super::nanomdm;

const TIMEOUT: Duration = Duration::from_secs(10);

/// What senders prove themselves with, from the folder that `emote init` wrote.
#[derive(Clone)]
pub struct Secrets {
    /// NanoMDM signs its webhook with it.
    pub nanomdm_webhook_key: String,
    /// Okta's `Authorization` header.
    pub okta_hook_secret: String,
    /// The asset system's bearer token.
    pub assets_token: String,
    /// The password of NanoMDM's API, which the stand-in asks for.
    pub nanomdm_api_key: String,
}

impl Secrets {
    /// Reads them from the configuration folder.
    pub fn read(config: &Path) -> anyhow::Result<Self> {
        let read = |name: &str| {
            let path = config.join("secrets").join(name);
            let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            anyhow::Ok(text.trim().to_owned())
        };
        Ok(Self {
            nanomdm_webhook_key: read("nanomdm-webhook-key")?,
            okta_hook_secret: read("okta-hook-secret")?,
            assets_token: read("assets-token")?,
            nanomdm_api_key: read("nanomdm-api-key")?,
        })
    }
}

/// How a webhook was answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sent {
    /// The HTTP status.
    pub status: u16,
    /// The ids of the events it became.
    pub events: Vec<EventId>,
    /// The answer as text, for when it went wrong.
    pub body: String,
}

/// The sending side of every vendor of the story.
pub struct Webhooks {
    client: reqwest::Client,
    base: String,
    secrets: Secrets,
}

impl Webhooks {
    /// To ingest at `base`, as `http://127.0.0.1:8480`.
    pub fn new(base: impl Into<String>, secrets: Secrets) -> anyhow::Result<Self> {
        Ok(Self { client: http_client()?, base: base.into(), secrets })
    }

    /// NanoMDM, with its signature.
    pub async fn nanomdm(&self, body: Vec<u8>) -> anyhow::Result<Sent> {
        let signature = nanomdm::signature(&self.secrets.nanomdm_webhook_key, &body);
        self.post("nanomdm", nanomdm::SIGNATURE_HEADER, &signature, body).await
    }

    /// Somebody who does not have NanoMDM's key.
    pub async fn forged_nanomdm(&self, body: Vec<u8>) -> anyhow::Result<Sent> {
        let signature = nanomdm::signature("not the key", &body);
        self.post("nanomdm", nanomdm::SIGNATURE_HEADER, &signature, body).await
    }

    /// Okta, with its secret.
    pub async fn okta(&self, body: Vec<u8>) -> anyhow::Result<Sent> {
        self.post("okta", AUTHORIZATION.as_str(), &self.secrets.okta_hook_secret, body).await
    }

    /// The asset system, with its token.
    pub async fn assets(&self, body: Vec<u8>) -> anyhow::Result<Sent> {
        let bearer = format!("Bearer {}", self.secrets.assets_token);
        self.post("assets", AUTHORIZATION.as_str(), &bearer, body).await
    }

    async fn post(&self, source: &str, header: &str, proof: &str, body: Vec<u8>) -> anyhow::Result<Sent> {
        let url = format!("{}/in/{source}", self.base);
        let request = self.client.post(&url).header(CONTENT_TYPE, "application/json").header(header, proof);
        let answer = request.body(body).send().await.with_context(|| format!("POST {url}"))?;
        let status = answer.status().as_u16();
        let body = answer.text().await.with_context(|| format!("POST {url}: the answer"))?;
        let json: Value = serde_json::from_str(&body).unwrap_or_default();
        let ids = json["events"].as_array().into_iter().flatten();
        let events = ids.filter_map(|id| id.as_str()?.parse().ok()).collect();
        Ok(Sent { status, events, body })
    }
}

/// A client for this machine: no proxy, no TLS.
pub fn http_client() -> anyhow::Result<reqwest::Client> {
    // The client wants one even where no https is spoken; someone else in this process may have chosen already.
    rustls::crypto::ring::default_provider().install_default().ok();
    reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build().context("the HTTP client")
}
