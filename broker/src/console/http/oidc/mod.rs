//! Signing in at an identity provider: OpenID Connect Core 1.0, authorization code flow with PKCE (RFC 7636, S256).
//!
//! ```text
//! /login/oidc ── state, nonce, challenge ──→ provider ── code, state ──→ /login/oidc/callback
//!                                            provider ←── code, verifier, our secret ──┘
//!                                            id_token ──→ signature, iss, aud, azp, exp, iat, nonce ──→ somebody
//! ```
//!
//! - What is remembered of a sign-in that was begun lies in the bucket of sessions for ten minutes, under the hash of its
//!   state, and is taken out by the first that comes back with it and with the cookie of the browser that began it.
//! - The provider's issuer must be to the letter what emote.yaml says: in its discovery document, in the token, and in the
//!   answer (RFC 9207) where it names itself there.
//! - Whose token is believed is [`crate::jwks`]'s to say: by signature, with algorithms for public keys alone.
//! - Only https is spoken, or http to this machine; redirects are not followed. Nothing that the provider writes is logged.

mod claims;
mod discovery;
mod flow;
mod wire;

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::http::HeaderValue;
use emote_proto::Time;

use super::{
    path::LocalPath,
    role::Role,
    session::{Person, hash},
    spec::OidcSpec,
};
use crate::{
    bus::{BusError, SessionBucket},
    config::Secret,
    jwks::Expected,
};
use discovery::{Metadata, Remembered};
use flow::Flow;

/// A sign-in must come back within this time.
pub(super) const FLOW_WITHIN: Duration = Duration::from_secs(600);
/// Where the provider sends browsers back to.
const CALLBACK: &str = "/login/oidc/callback";
/// Longest state, code and word for an error.
const MAX_PARAM: usize = 4096;

/// The provider, and Emote as it knows it.
pub(super) struct Provider {
    spec: OidcSpec,
    secret: Option<Secret>,
    redirect_uri: String,
    http: reqwest::Client,
    known: Mutex<Option<Remembered>>,
    asking: tokio::sync::Mutex<()>,
}

/// What a browser brings back.
pub(super) struct Came<'a> {
    pub(super) state: Option<&'a str>,
    pub(super) code: Option<&'a str>,
    pub(super) error: Option<&'a str>,
    pub(super) issuer: Option<&'a str>,
    /// Hash of the cookie of the browser that began.
    pub(super) browser: Option<String>,
}

/// Why nobody signed in.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error(transparent)]
    Bus(#[from] BusError),
    /// It does not answer as it should; it may another time.
    #[error("the provider: {0}")]
    Away(String),
    /// What it says cannot be worked with.
    #[error("the provider's discovery document: {0}")]
    Settings(String),
    #[error("this sign-in was not begun here, or is over")]
    State,
    #[error("another browser began this sign-in")]
    Browser,
    #[error("the provider did not let them in")]
    Denied,
    #[error("another provider answered than the one that was asked")]
    Issuer,
    #[error("the provider does not take the code")]
    Code,
    #[error("the token: {0}")]
    Token(#[from] crate::jwks::Refused),
    #[error("the token's {0}")]
    Claim(&'static str),
}

impl Problem {
    /// In a word or two, for the log: nothing that came from outside.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Bus(_) | Self::Away(_) | Self::Settings(_) => "provider cannot be used",
            Self::State => "unknown or used state",
            Self::Browser => "state of another browser",
            Self::Denied => "denied by the provider",
            Self::Issuer => "wrong issuer",
            Self::Code => "code not taken",
            Self::Token(_) | Self::Claim(_) => "token not believed",
        }
    }
}

impl Provider {
    /// A provider; nothing is asked yet. `url` is where browsers reach the console.
    pub(super) fn new(spec: &OidcSpec, url: &str, root: &Path) -> anyhow::Result<Self> {
        let secret = spec.client_secret.as_ref().map(|secret| secret.resolve(root)).transpose()?;
        Ok(Self {
            spec: spec.clone(),
            secret,
            redirect_uri: format!("{url}{CALLBACK}"),
            http: wire::client(spec.issuer.as_str())?,
            known: Mutex::default(),
            asking: tokio::sync::Mutex::new(()),
        })
    }

    /// What somebody may do.
    pub(super) fn role_of(&self, person: &Person) -> Option<Role> {
        self.spec.roles.role_of(&person.groups)
    }

    /// Begins a sign-in for the browser with this cookie: where to send it.
    pub(super) async fn begin(
        &self,
        kept: &SessionBucket,
        next: &LocalPath,
        browser: String,
        now: Time,
    ) -> Result<HeaderValue, Problem> {
        let metadata = self.metadata().await?;
        let (state, flow) = Flow::begin(next, browser, now).map_err(|error| Problem::Away(error.to_string()))?;
        let json = serde_json::to_vec(&flow).map_err(|error| Problem::Away(error.to_string()))?;
        if !kept.create(&key(&state), json, FLOW_WITHIN).await? {
            return Err(Problem::State);
        }
        let mut url = metadata.authorization.clone();
        let scope: Vec<&str> = std::iter::once("openid").chain(self.spec.scopes.iter().map(String::as_str)).collect();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.spec.client_id)
            .append_pair("redirect_uri", &self.redirect_uri)
            .append_pair("scope", &scope.join(" "))
            .append_pair("state", &state)
            .append_pair("nonce", &flow.nonce)
            .append_pair("code_challenge", &flow.challenge())
            .append_pair("code_challenge_method", "S256");
        HeaderValue::from_str(url.as_str()).map_err(|_| Problem::Settings("authorization_endpoint".to_owned()))
    }

    /// Ends a sign-in: who it is, and where they wanted to go.
    pub(super) async fn finish(
        &self,
        kept: &SessionBucket,
        came: Came<'_>,
        now: Time,
    ) -> Result<(Person, LocalPath), Problem> {
        let short = |text: &&str| text.len() <= MAX_PARAM;
        let state = came.state.filter(short).ok_or(Problem::State)?;
        let flow = self.flow(kept, state, came.browser.as_deref(), now).await?;
        let metadata = self.metadata().await?;
        match came.issuer {
            Some(issuer) if issuer != self.spec.issuer.as_str() => return Err(Problem::Issuer),
            None if metadata.names_itself => return Err(Problem::Issuer),
            _ => {}
        }
        if came.error.is_some() {
            return Err(Problem::Denied);
        }
        let code = came.code.filter(short).ok_or(Problem::Denied)?;
        let token = self.redeem(&metadata, code, &flow.verifier).await?;
        let mut expected = Expected::of(self.spec.issuer.as_str(), &self.spec.client_id);
        expected.max_age = Some(jiff::SignedDuration::from_secs(600));
        let claims = metadata.keys.verify(&token, &expected, now).await?;
        claims::check(&claims, &self.spec.client_id, &flow.nonce)?;
        let person = claims::person(&claims, &self.spec)?;
        Ok((person, LocalPath::parse(&flow.next).unwrap_or_else(LocalPath::root)))
    }

    /// The sign-in that was begun with this state by this browser. It is given once.
    async fn flow(&self, kept: &SessionBucket, state: &str, browser: Option<&str>, now: Time) -> Result<Flow, Problem> {
        let read = |value: &[u8]| serde_json::from_slice::<Flow>(value).map_err(|_| Problem::State);
        let seen = kept.find(&key(state)).await?.ok_or(Problem::State)?;
        // Only the browser that began it may use it up.
        let own = read(&seen.value)?.browser;
        if !browser.is_some_and(|browser| Secret::new(own.as_str()).is(browser)) {
            return Err(Problem::Browser);
        }
        let flow = read(&kept.take(&key(state)).await?.ok_or(Problem::State)?)?;
        if flow.is_good(now) { Ok(flow) } else { Err(Problem::State) }
    }

    async fn metadata(&self) -> Result<Arc<Metadata>, Problem> {
        discovery::metadata(self).await
    }
}

fn key(state: &str) -> String {
    format!("flow.{}", hash(state.as_bytes()))
}
