//! How Duo's Admin API is told who asks: each request is signed (HMAC-SHA-512, what Duo calls version 5 of its signatures;
//! <https://duo.com/docs/adminapi#authentication>).

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Request, RequestBuilder, header::DATE};
use sha2::{Digest as _, Sha512};

use super::super::spec::Setup;
use super::{super::wire, auth::Auth};
use crate::config::{Problems, Secret, SecretRef, fields::Fields, text::Template};

/// What stands for itself in a parameter (RFC 3986, 2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// As it is written.
#[derive(Debug)]
pub(crate) struct Spec {
    integration_key: Template,
    secret_key: SecretRef,
}

/// Ready to sign.
pub(crate) struct Duo {
    integration_key: Secret,
    secret_key: Secret,
}

pub(super) fn read(fields: &mut Fields<'_>) -> Option<Spec> {
    let integration_key = fields.template("integration_key");
    let integration_key =
        fields.require("integration_key", integration_key, "integration_key: ${env:DUO_INTEGRATION_KEY}");
    let secret_key = fields.secret("secret_key");
    let secret_key = fields.require("secret_key", secret_key, "secret_key: ${env:DUO_SECRET_KEY}");
    Some(Spec { integration_key: integration_key?, secret_key: secret_key? })
}

impl Spec {
    pub(super) fn resolve(&self, setup: &Setup<'_>, problems: &mut Problems) -> Option<(Auth, Vec<Secret>)> {
        let key = problems.take("auth.duo.integration_key", setup.filled(&self.integration_key));
        let secret_key = problems.take("auth.duo.secret_key", setup.secret(&self.secret_key));
        let (key, secret_key) = (key?, secret_key?);
        let secrets = key.secrets.into_iter().chain([secret_key.clone()]).collect();
        Some((Auth::Duo(Duo { integration_key: key.text, secret_key }), secrets))
    }
}

impl Duo {
    /// The request with its date and signature. One that cannot be made stays as it is, to say why when it is sent.
    pub(super) fn sign(&self, request: RequestBuilder, now: Timestamp) -> RequestBuilder {
        let Some(Ok(made)) = request.try_clone().map(RequestBuilder::build) else { return request };
        let date = now.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string();
        let signature = Secret::new(self.signature(&made, &date));
        let auth = wire::Auth::Basic { user: self.integration_key.clone(), password: signature, user_is_secret: false };
        auth.apply(request.header(DATE, date))
    }

    fn signature(&self, request: &Request, date: &str) -> String {
        let url = request.url();
        let mut pairs: Vec<(String, String)> =
            url.query_pairs().map(|(key, value)| (encoded(&key), encoded(&value))).collect();
        pairs.sort();
        let pairs: Vec<String> = pairs.into_iter().map(|(key, value)| format!("{key}={value}")).collect();
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let host = format!("{}{port}", url.host_str().unwrap_or_default()).to_ascii_lowercase();
        let body = request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default();
        let text = [
            date,
            request.method().as_str(),
            &host,
            url.path(),
            &pairs.join("&"),
            &digest(body),
            // No header of Duo's own is sent.
            &digest(b""),
        ]
        .join("\n");
        // Keys of every length are keys.
        let Ok(mut mac) = Hmac::<Sha512>::new_from_slice(self.secret_key.expose().as_bytes()) else {
            return String::new();
        };
        mac.update(text.as_bytes());
        data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes())
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

fn digest(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Sha512::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The message is as Duo describes it; `openssl dgst -sha512 -hmac` has signed it.
    #[test]
    fn a_request_is_signed_as_duo_wants_it() {
        let (integration_key, secret_key) = (Secret::new("DIXXXX"), Secret::new("0123456789abcdefskey"));
        let duo = Duo { integration_key, secret_key };
        let url = "https://API-1234.duosecurity.com/admin/v2/logs/authentication?realname=First+Last%7E&mintime=1772514367891\
                   &limit=1000&next_offset=1772600000000%2C5bea1c1e-612c";
        drop(rustls::crypto::ring::default_provider().install_default());
        let request = duo.sign(reqwest::Client::new().get(url), "2026-03-04T05:06:07Z".parse().unwrap());
        let request = request.build().unwrap();
        assert_eq!(request.headers()[DATE], "Wed, 04 Mar 2026 05:06:07 +0000");
        let sent = request.headers()["authorization"].to_str().unwrap().strip_prefix("Basic ").unwrap().to_owned();
        let sent = String::from_utf8(data_encoding::BASE64.decode(sent.as_bytes()).unwrap()).unwrap();
        let signed = "87607aa05c6f2de15a9ab7d5d826ab2ab89d2ebd76a868ecd83ec6ad1576fa691a3b22cb7a7dfee5742f5ea599556e413bfbd272ae54800d5b0f7981b4f87667";
        assert_eq!(sent, format!("DIXXXX:{signed}"));
    }
}
