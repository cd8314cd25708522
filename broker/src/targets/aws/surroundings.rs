//! What the chain of credentials is given to look around with: the environment, files, and HTTP to the services that
//! hand credentials out. It runs no program.

use std::time::Duration;

use bytes::Bytes;
use http::{
    Request, Response, Uri,
    uri::{Authority, PathAndQuery, Scheme},
};
use reqsign_core::{Context, Error, FileRead, HttpSend, OsEnv, Result};
use reqwest::Url;
use tokio::io::AsyncReadExt as _;

/// How much of a file or an answer is read, in bytes.
const MOST: u64 = 1024 * 1024;
/// Where there are no such services nobody answers.
const TO_CONNECT: Duration = Duration::from_secs(2);
const TO_ANSWER: Duration = Duration::from_secs(10);

/// The surroundings of this process. `sts` is where STS is, if not where AWS has it.
pub(super) fn context(sts: Option<Url>) -> std::result::Result<Context, reqwest::Error> {
    let client = || {
        reqwest::Client::builder()
            .user_agent(concat!("emote/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(TO_CONNECT)
            .timeout(TO_ANSWER)
    };
    let http = Http { near: client().no_proxy().build()?, far: client().build()?, sts };
    Ok(Context::new().with_env(OsEnv).with_file_read(Files).with_http_send(http))
}

#[derive(Debug)]
struct Files;

impl FileRead for Files {
    async fn file_read(&self, path: &str) -> Result<Vec<u8>> {
        let failed = |error| Error::unexpected(format!("{path} cannot be read: {error}"));
        let mut bytes = Vec::new();
        let file = tokio::fs::File::open(path).await.map_err(failed)?;
        file.take(MOST).read_to_end(&mut bytes).await.map_err(failed)?;
        Ok(bytes)
    }
}

#[derive(Debug)]
struct Http {
    /// Without a proxy, for what is asked over plain HTTP: it is on this machine or on its link.
    near: reqwest::Client,
    far: reqwest::Client,
    sts: Option<Url>,
}

impl HttpSend for Http {
    async fn http_send(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>> {
        if let Some(sts) = &self.sts {
            lead(request.uri_mut(), sts);
        }
        let client = if request.uri().scheme() == Some(&Scheme::HTTP) { &self.near } else { &self.far };
        let failed = |error: reqwest::Error| {
            Error::unexpected(format!("no answer of who gives credentials: {}", error.without_url()))
                .set_retryable(true)
        };
        let request = reqwest::Request::try_from(request).map_err(failed)?;
        let mut response = client.execute(request).await.map_err(failed)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            body.extend_from_slice(&chunk);
            if body.len() as u64 > MOST {
                return Err(Error::unexpected("the answer of who gives credentials is too long"));
            }
        }
        let mut answer = Response::new(Bytes::from(body));
        *answer.status_mut() = response.status();
        *answer.headers_mut() = response.headers().clone();
        Ok(answer)
    }
}

/// Leads what is for STS to where it is. The name that was signed stays in the header `Host`.
fn lead(uri: &mut Uri, sts: &Url) {
    if !uri.host().is_some_and(|host| host.starts_with("sts.") && host.contains(".amazonaws.com")) {
        return;
    }
    let authority = sts.host_str().map(|host| match sts.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    });
    let mut parts = uri.clone().into_parts();
    parts.scheme = Scheme::try_from(sts.scheme()).ok();
    parts.authority = authority.and_then(|authority| Authority::try_from(authority).ok());
    parts.path_and_query = parts.path_and_query.or(Some(PathAndQuery::from_static("/")));
    if let Ok(led) = Uri::from_parts(parts) {
        *uri = led;
    }
}
