//! What emote.yaml's `console:` says, validated; secrets are still references.

use std::{collections::BTreeMap, fmt};

use reqwest::Url;

use super::role::Role;
use crate::{config::SecretRef, ingest::Cidr, listen::ListenSpec, loopback::is_loopback};

/// The console: where it listens, and who comes in.
#[derive(Debug, Clone)]
pub struct ConsoleSpec {
    /// Where it listens.
    pub listen: ListenSpec,
    /// Under what address browsers reach it, where that is another than `listen`.
    pub url: Option<Origin>,
    /// Proxies that are believed about whom they speak for.
    pub trusted_proxies: Vec<Cidr>,
    /// Whether the token in the data folder opens it.
    pub local_token: bool,
    /// The identity provider.
    pub oidc: Option<OidcSpec>,
}

/// An identity provider that speaks OpenID Connect.
#[derive(Debug, Clone)]
pub struct OidcSpec {
    /// Its issuer, to the letter.
    pub issuer: Issuer,
    /// Emote's id there.
    pub client_id: String,
    /// Emote's secret there; a public client has none.
    pub client_secret: Option<SecretRef>,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
    /// Which people get which role.
    pub roles: RoleMap,
}

/// Which values of a claim make somebody what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleMap {
    /// The claim's name, or a JSON Pointer to it such as `/realm_access/roles`.
    pub claim: String,
    /// Values of the claim, a text or one of a list, for each role.
    pub values: BTreeMap<Role, Vec<String>>,
}

/// Scheme, host and port of an address: `https://emote.example.com`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    secure: bool,
    host: String,
    text: String,
}

impl Origin {
    /// Reads an address that has no path.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "expected the address that browsers use, without a path: https://emote.example.com";
        let url: Url = text.parse().map_err(|_| EXPECTED)?;
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let anonymous = url.username().is_empty() && url.password().is_none();
        let host = url.host_str().filter(|_| bare && anonymous).ok_or(EXPECTED)?.to_owned();
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&host) => {}
            "http" => return Err("plain http is for this machine: an address that others use is https"),
            _ => return Err(EXPECTED),
        }
        Ok(Self { secure: url.scheme() == "https", host, text: url.origin().ascii_serialization() })
    }

    /// Whether it is https.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Its host, without the port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// As browsers send it: `https://emote.example.com`, the port where it is not the scheme's own.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// An issuer's identifier: https, or http on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer(String);

impl Issuer {
    /// Checks that it can be one.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let url: Url = text
            .parse()
            .map_err(|_| "expected an address such as https://idp.example.com, as the provider gives it")?;
        safe(&url)?;
        if url.query().is_some() || url.fragment().is_some() {
            return Err("an issuer has no query and no fragment");
        }
        Ok(Self(text.to_owned()))
    }

    /// To the letter.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a provider's address may be used: https, or http on this machine.
pub(super) fn safe(url: &Url) -> Result<(), &'static str> {
    match (url.scheme(), url.host_str()) {
        ("https", Some(_)) => Ok(()),
        ("http", Some(host)) if is_loopback(host) => Ok(()),
        _ => Err("a provider is reached over https: whoever can change its answers on the way can be anybody"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        for (text, expected) in [
            ("https://emote.example.com", Some("https://emote.example.com")),
            ("https://Emote.Example.com:443/", Some("https://emote.example.com")),
            ("https://emote.example.com:8482", Some("https://emote.example.com:8482")),
            ("http://localhost:8482", Some("http://localhost:8482")),
            ("http://[::1]:8482", Some("http://[::1]:8482")),
            ("http://emote.example.com", None),
            ("https://emote.example.com/console", None),
            ("https://ada@emote.example.com", None),
            ("https://emote.example.com?x", None),
            ("ftp://emote.example.com", None),
            ("emote.example.com", None),
        ] {
            let origin = Origin::parse(text).ok();
            assert_eq!(origin.as_ref().map(Origin::as_str), expected, "{text}");
        }
    }

    #[test]
    fn an_issuer_is_kept_to_the_letter() {
        assert_eq!(Issuer::parse("https://idp.example.com/").unwrap().as_str(), "https://idp.example.com/");
        assert_eq!(Issuer::parse("https://idp.example.com/v2.0").unwrap().as_str(), "https://idp.example.com/v2.0");
        for text in ["http://idp.example.com", "https://idp.example.com?x", "idp", "https://", "file:///idp"] {
            assert!(Issuer::parse(text).is_err(), "{text}");
        }
    }
}
