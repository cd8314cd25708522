//! Fetching a set of keys: over https or from this machine, no redirects, bounded in size and time.

use std::{str::FromStr, time::Duration};

use reqwest::{Client, Url};

use crate::loopback::is_loopback;

/// Largest set, in bytes.
const MAX_SET: usize = 256 * 1024;
/// A fetch takes no longer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Where keys come from.
#[async_trait::async_trait]
pub trait Fetch: Send + Sync {
    /// The JSON of the set as it is now, or why it cannot be had.
    async fn fetch(&self) -> Result<Vec<u8>, String>;
}

/// The address of a set of keys: https, or http on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeysUrl(Url);

impl FromStr for KeysUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url: Url = text.parse().map_err(|_| "expected an address such as https://idp.example.com/keys")?;
        match url.scheme() {
            "https" => Ok(Self(url)),
            "http" if url.host_str().is_some_and(is_loopback) => Ok(Self(url)),
            _ => Err("keys are fetched over https: whoever can change them on the way can sign anything"),
        }
    }
}

impl std::fmt::Display for KeysUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Fetches from an address.
pub(super) struct Https {
    url: Url,
    client: Client,
}

impl Https {
    pub(super) fn new(url: &KeysUrl) -> Result<Self, String> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .user_agent(concat!("emote/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT);
        if url.0.host_str().is_some_and(is_loopback) {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| format!("no HTTP client can be made: {error}"))?;
        Ok(Self { url: url.0.clone(), client })
    }
}

#[async_trait::async_trait]
impl Fetch for Https {
    async fn fetch(&self) -> Result<Vec<u8>, String> {
        let told = |error: reqwest::Error| format!("{}: {error}", self.url);
        let response = self.client.get(self.url.clone()).header("accept", "application/json").send().await;
        let mut response = response.map_err(|error| told(error.without_url()))?;
        if !response.status().is_success() {
            return Err(format!("{} answered {}", self.url, response.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| told(error.without_url()))? {
            if body.len() + chunk.len() > MAX_SET {
                return Err(format!("{} gives more than {MAX_SET} bytes", self.url));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}
