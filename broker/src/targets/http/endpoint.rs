//! Where requests go and what is the same in each of them: address, headers, who sends them, certificates. Other kinds
//! that speak HTTP have the same fields.

use std::io::Write as _;

use reqwest::{
    RequestBuilder, Url,
    header::{HeaderMap, HeaderName},
};

use super::{
    super::{
        Outcome, Role, address,
        spec::Setup,
        wire::{Answer, Client, Tls},
    },
    auth::{self, Auth, AuthRef, header_map},
    reading::{headers, tls},
};
use crate::config::{Problems, Secret, fields::Fields, text::Template};

/// As it is written; the secrets still references.
#[derive(Debug)]
pub(crate) struct EndpointRef {
    url: Template,
    insecure: bool,
    headers: Vec<(HeaderName, Template)>,
    auth: Option<AuthRef>,
    tls: Tls,
}

/// Ready to be sent to.
pub(crate) struct Endpoint {
    pub(crate) client: Client,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    auth: Auth,
}

impl EndpointRef {
    /// Reads `url`, `insecure`, `headers`, `auth` and `tls`.
    pub(crate) fn read(fields: &mut Fields<'_>, example: &str) -> Option<Self> {
        let insecure = fields.flag("insecure").unwrap_or_default();
        let url = address::read(fields, "url", insecure, example);
        let headers = headers(fields);
        let auth = fields.object("auth", |fields| auth::read(fields, insecure)).flatten();
        let tls = fields.object("tls", tls).unwrap_or_default();
        Some(Self { url: url?, insecure, headers, auth, tls })
    }

    /// With its secrets; requests hold `also` too.
    pub(crate) fn resolve(&self, setup: &Setup<'_>, also: Vec<Secret>, problems: &mut Problems) -> Option<Endpoint> {
        let address = address::resolve(&self.url, "url", self.insecure, setup, problems);
        let auth = self.auth.as_ref().map(|auth| auth.resolve(self.insecure, setup, problems));
        let mut secrets = also;
        let headers = header_map(&self.headers, "headers", setup, &mut secrets, problems);
        let (url, of_url) = address?;
        let (auth, of_auth) = match auth {
            None => (Auth::None, Vec::new()),
            Some(auth) => auth?,
        };
        secrets.extend(of_url.into_iter().chain(of_auth));
        let client = problems.take("tls", Client::with_tls(setup, &url, secrets, &self.tls))?;
        Some(Endpoint { client, url, headers, auth })
    }
}

impl Endpoint {
    /// Sends `request` with what says who sends it. Says too which secrets it held beside the client's own. A token that
    /// is refused is asked for anew, once.
    pub(crate) async fn send(
        &self,
        role: Role,
        request: RequestBuilder,
        also: &[Secret],
    ) -> Result<(Answer, Vec<Secret>), Outcome> {
        self.auth.send(&self.client, role, request, also).await
    }
}

/// `bytes`, compressed.
pub(crate) fn gzip(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).map_err(|error| format!("compress: {error}"))
}
