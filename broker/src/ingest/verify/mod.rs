//! How a sender proves who it is: one file a scheme, one line a scheme in [`VerifySpec`].
//!
//! A scheme is read from YAML without its secrets, validated, and later resolved into a [`Check`] that holds them.
//! What a check compares with a secret it compares in constant time. Wherever there is a secret there may be a list of
//! them, any of which is right: that is how one is changed.
//!
//! What each proves, which is the `trust` of the events:
//!
//! | scheme | trust | what is proven |
//! |---|---|---|
//! | `none` | unverified | nothing |
//! | `bearer`, `basic`, `header`, `query`, `okta` | authenticated | the sender knows the credential; the body may be anything |
//! | `graph` | authenticated | as above, for each notification of the body |
//! | `hmac` and its names: `app_store_connect`, `github`, `kolide`, `nanomdm`, `slack`, `zendesk` | verified | who knows the secret wrote this body |
//! | `standard_webhooks`, `svix` | verified | who knows the secret, or has the private key, wrote this body under this id at this time |
//! | `jws` | verified | the issuer signed these claims |
//!
//! **Replays.** Whoever got hold of a request can send it again, and nothing more: another body does not verify. The
//! same body gives the same event ids ([`super::map`]; also with `dedupe: none`, where an id or a time was signed), the stream drops an id it has had within two minutes, and the core
//! acts on an id once within 48 hours, whichever broker took it. What no signature covers names no event: a map takes ids
//! from the body or from `$signed`, the headers that were signed with it, and CloudEvents whose attributes are headers are
//! refused where those were not signed. So GitHub's events go by their bodies, and not by X-GitHub-Delivery. At most a
//! body that is sent again as of another content type is one `source.unmapped` more. Beyond that a replay is refused by
//! its signed time: within five minutes for `slack`, `zendesk`, `standard_webhooks`, `svix` and `hmac` with a timestamp, within a day for
//! `jws`. The other signatures hold no time, as their senders made them: for those a source may set `max_age`, which
//! refuses events whose own time (part of the signed body) is older. Without it, and for what proves no body at all, who
//! can read a request can have it acted upon again after 48 hours: that is what TLS is for.

mod basic;
mod bearer;
mod fixed;
mod graph;
mod hmac;
mod jws;
mod named;
mod secrets;
mod signed_time;
mod standard_webhooks;

use std::{future::Future, path::Path, pin::Pin};

use emote_proto::{Time, Trust};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{HandshakeSpec, Refusal, Request, Unverified};
use crate::config::Problems;

pub(super) use secrets::OneOrMore;
use secrets::{SecretRefs, Secrets};

/// The `verify` of a source.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerifySpec {
    /// Anyone may send; events are unverified.
    None,
    /// `Authorization: Bearer TOKEN`.
    Bearer(bearer::Spec),
    /// `Authorization: Basic …`.
    Basic(basic::Spec),
    /// A header with a fixed value.
    Header(fixed::HeaderSpec),
    /// A query parameter with a fixed value, for senders that can only be told a URL.
    Query(fixed::QuerySpec),
    /// A signature over the body, in the sender's own way.
    Hmac(hmac::Spec),
    /// App Store Connect's signature.
    AppStoreConnect(named::Spec),
    /// GitHub's signature.
    Github(named::Spec),
    /// Kolide's signature.
    Kolide(named::Spec),
    /// NanoMDM's signature.
    Nanomdm(named::Spec),
    /// Slack's signature.
    Slack(named::Spec),
    /// Zendesk's signature.
    Zendesk(named::Spec),
    /// Standard Webhooks' signatures, symmetric (v1) and by a private key (v1a).
    StandardWebhooks(standard_webhooks::Spec),
    /// The same under Svix's names of headers.
    Svix(standard_webhooks::Spec),
    /// Okta's event hooks: a fixed `Authorization`.
    Okta(fixed::OktaSpec),
    /// Microsoft Graph's change notifications: a `clientState` in each.
    Graph(graph::Spec),
    /// The body is a signed token, such as a security event token (RFC 8417) that is pushed (RFC 8935).
    Jws(jws::Spec),
}

/// What every scheme's settings can do.
trait Scheme {
    /// Notes what is wrong with the settings, secrets left aside.
    fn validate(&self, problems: &mut Problems);

    /// Fetches the secrets.
    fn resolve(&self, folder: &Path, problems: &mut Problems) -> Option<Box<dyn Check>>;
}

/// What was proven.
#[derive(Debug, PartialEq)]
pub struct Proof {
    /// How far the sender can be trusted.
    pub(super) trust: Trust,
    /// The claims of a signed token, which stand in place of the body.
    pub(super) claims: Option<Map<String, Value>>,
    /// What was signed beside the body and tells the request from others.
    pub(super) mark: Option<Mark>,
    /// The headers that were signed with the body, in lower case; none where nothing was signed.
    pub(super) signed: Option<Vec<String>>,
}

/// What a sender signs beside the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// Its own name of the message, which stays when it is sent again: a webhook-id, a `jti`.
    Id(String),
    /// When it was signed.
    Time(String),
}

impl From<Trust> for Proof {
    fn from(trust: Trust) -> Self {
        Self { trust, claims: None, mark: None, signed: None }
    }
}

/// A scheme with its secrets, ready to check requests.
pub trait Check: Send + Sync {
    /// What the request proves, or why it is refused.
    fn check(&self, request: &Request<Unverified>, now: Time) -> Result<Proof, Refusal>;

    /// The same of what was fetched from the sender, and so came without what it sends beside the body.
    fn check_fetched(&self, request: &Request<Unverified>, now: Time) -> Result<Proof, Refusal> {
        self.check(request, now)
    }

    /// Gets what [`Self::check`] will need from elsewhere for this request, as far as it can be had.
    fn prepare<'a>(&'a self, _: &'a Request<Unverified>) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(std::future::ready(()))
    }

    /// The header that holds the credential, in lower case; it is kept from maps.
    fn secret_header(&self) -> Option<&str> {
        None
    }

    /// The query parameter that holds the credential; it is kept from maps.
    fn secret_query(&self) -> Option<&str> {
        None
    }

    /// Takes the credential out of the decoded body, before a map sees it.
    fn hide(&self, _: &mut Value) {}

    /// Whether requests are answered as RFC 8935 says: 202 and no body, or 400 and `err` with a `description`.
    fn takes_security_events(&self) -> bool {
        false
    }
}

impl VerifySpec {
    fn scheme(&self) -> Option<Box<dyn Scheme + '_>> {
        Some(match self {
            Self::None => return None,
            Self::Bearer(spec) => Box::new(spec),
            Self::Basic(spec) => Box::new(spec),
            Self::Header(spec) => Box::new(spec),
            Self::Query(spec) => Box::new(spec),
            Self::Hmac(spec) => Box::new(spec),
            Self::AppStoreConnect(spec) => Box::new(named::APP_STORE_CONNECT.with(spec)),
            Self::Github(spec) => Box::new(named::GITHUB.with(spec)),
            Self::Kolide(spec) => Box::new(named::KOLIDE.with(spec)),
            Self::Nanomdm(spec) => Box::new(named::NANOMDM.with(spec)),
            Self::Slack(spec) => Box::new(named::SLACK.with(spec)),
            Self::Zendesk(spec) => Box::new(named::ZENDESK.with(spec)),
            Self::StandardWebhooks(spec) => Box::new(standard_webhooks::STANDARD.with(spec)),
            Self::Svix(spec) => Box::new(standard_webhooks::SVIX.with(spec)),
            Self::Okta(spec) => Box::new(spec),
            Self::Graph(spec) => Box::new(spec),
            Self::Jws(spec) => Box::new(spec),
        })
    }

    /// Notes what is wrong with the settings, secrets left aside.
    pub fn validate(&self, problems: &mut Problems) {
        if let Some(scheme) = self.scheme() {
            scheme.validate(problems);
        }
    }

    /// Fetches the secrets; relative files are taken from `folder`.
    pub fn resolve(&self, folder: &Path, problems: &mut Problems) -> Option<Box<dyn Check>> {
        match self.scheme() {
            None => Some(Box::new(Anyone)),
            Some(scheme) => scheme.resolve(folder, problems),
        }
    }

    /// What a request that passes proves.
    pub fn trust(&self) -> Trust {
        match self {
            Self::None => Trust::Unverified,
            Self::Bearer(_) | Self::Basic(_) | Self::Header(_) | Self::Query(_) | Self::Okta(_) | Self::Graph(_) => {
                Trust::Authenticated
            }
            Self::Hmac(_)
            | Self::AppStoreConnect(_)
            | Self::Github(_)
            | Self::Kolide(_)
            | Self::Nanomdm(_)
            | Self::Slack(_)
            | Self::Zendesk(_)
            | Self::StandardWebhooks(_)
            | Self::Svix(_)
            | Self::Jws(_) => Trust::Verified,
        }
    }

    /// Whether the sender shows a credential, if anything, and the body plays no part.
    pub(super) fn is_of_the_sender_alone(&self) -> bool {
        matches!(self, Self::None | Self::Bearer(_) | Self::Basic(_) | Self::Header(_) | Self::Query(_))
    }

    /// The claims of a body that is a token, its signature not looked at: for trying out a source.
    pub(super) fn unproven_claims(&self, body: &[u8]) -> Option<Map<String, Value>> {
        match self {
            Self::Jws(_) => jws::unproven_claims(body),
            _ => None,
        }
    }

    /// What this sender asks of a URL before it sends to it.
    pub(super) fn handshake(&self) -> Option<HandshakeSpec> {
        match self {
            Self::Okta(_) => Some(HandshakeSpec::okta()),
            Self::Graph(_) => Some(HandshakeSpec::graph()),
            Self::Slack(_) => Some(HandshakeSpec::slack()),
            _ => None,
        }
    }
}

impl<S: Scheme> Scheme for &S {
    fn validate(&self, problems: &mut Problems) {
        (**self).validate(problems);
    }

    fn resolve(&self, folder: &Path, problems: &mut Problems) -> Option<Box<dyn Check>> {
        (**self).resolve(folder, problems)
    }
}

struct Anyone;

impl Check for Anyone {
    fn check(&self, _: &Request<Unverified>, _: Time) -> Result<Proof, Refusal> {
        Ok(Trust::Unverified.into())
    }
}

#[cfg(test)]
mod tests;
