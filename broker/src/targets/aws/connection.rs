//! Requests to one service: signed, sent, and their answers judged.

use http::{HeaderName, Request, header::HOST};
use reqwest::Url;

use super::{
    super::{
        Outcome,
        wire::{Answer, Client},
    },
    answer::{Refusal, judge},
    call::{self, Call},
    identity::Identity,
};
use crate::config::Secret;

const SESSION_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) identity: Identity,
}

impl Connection {
    /// Sends `call` to where `base` is.
    pub(super) async fn send(&self, base: &Url, call: Call) -> Result<Answer, Refusal> {
        let mut url = base.clone();
        url.set_path(&format!("{}{}", base.path().trim_end_matches('/'), call.path));
        if !call.query.is_empty() {
            url.set_query(Some(&call::query(&call.query)));
        }
        let mut request = Request::new(());
        *request.method_mut() = call.method.clone();
        *request.uri_mut() = url.as_str().parse().map_err(|error| Refusal::of(Outcome::never(error)))?;
        request.headers_mut().extend(call.headers);
        let mut headers = self.identity.sign(request.into_parts().0, &call.body).await.map_err(Refusal::of)?;
        // Of the same value: the client writes it.
        headers.remove(HOST);
        let token = headers.get(&SESSION_TOKEN).and_then(|token| token.to_str().ok()).map(Secret::new);
        let request = self.client.request(call.method, url).headers(headers).body(call.body);
        judge(self.client.send(request, token.as_slice()).await.map_err(Refusal::of)?)
    }
}
