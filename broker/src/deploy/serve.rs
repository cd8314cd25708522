//! `GET /deploy/…`: packages and manifests, to whoever asks. Whole or in parts, as macOS' downloader asks for them; a
//! package never changes under its name, so that whoever has it may keep it. Who takes too long is let go of.

use std::{io::SeekFrom, ops::Range, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::any,
};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use tokio::{
    fs::File,
    io::{AsyncReadExt as _, AsyncSeekExt as _},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};

use super::{
    Packages, ShelfError, Shelved,
    range::{Part, part},
};
use crate::core::{Deploying, Package};

/// Packages that are given out at once. Whoever comes then is told to come again: webhooks have the rest of the connections.
const MAX_DOWNLOADS: usize = 128;
/// Bytes that are read at once.
const PIECE: usize = 128 * 1024;
/// A piece is taken within this time, or the connection ends.
const PIECE_WITHIN: Duration = Duration::from_secs(30);
/// The manifest of the package that is deployed.
const CURRENT: &str = "manifest.plist";
const LASTING: &str = "public, max-age=31536000, immutable";
const PASSING: &str = "no-cache";

/// What the fold says is deployed, and on which terms.
pub type Deployed = Arc<dyn Fn() -> (Option<Package>, Option<Deploying>) + Send + Sync>;

#[derive(Clone)]
struct Serving {
    packages: Arc<dyn Packages>,
    deployed: Deployed,
    downloads: Arc<Semaphore>,
}

/// Why there is no answer but this.
enum NotServed {
    NotFound,
    Method,
    Busy,
    Away,
}

impl IntoResponse for NotServed {
    fn into_response(self) -> Response {
        let (status, more, text): (_, Option<(HeaderName, &str)>, _) = match self {
            Self::NotFound => (StatusCode::NOT_FOUND, None, "there is no such package\n"),
            Self::Method => {
                (StatusCode::METHOD_NOT_ALLOWED, Some((header::ALLOW, "GET, HEAD")), "packages are only given out\n")
            }
            Self::Busy => {
                (StatusCode::SERVICE_UNAVAILABLE, Some((header::RETRY_AFTER, "60")), "too many take packages now\n")
            }
            Self::Away => {
                (StatusCode::SERVICE_UNAVAILABLE, Some((header::RETRY_AFTER, "30")), "the package is not here yet\n")
            }
        };
        let mut response = (status, text).into_response();
        response.headers_mut().extend(more.map(|(name, value)| (name, HeaderValue::from_static(value))));
        response
    }
}

/// The routes of packages and manifests.
pub fn router(packages: Arc<dyn Packages>, deployed: Deployed) -> Router {
    let serving = Serving { packages, deployed, downloads: Arc::new(Semaphore::new(MAX_DOWNLOADS)) };
    Router::new().route("/deploy/{file}", any(answer)).with_state(serving)
}

async fn answer(
    State(serving): State<Serving>,
    Path(name): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, NotServed> {
    if !matches!(method, Method::GET | Method::HEAD) {
        return Err(NotServed::Method);
    }
    let (current, terms) = (serving.deployed)();
    let terms = terms.ok_or(NotServed::NotFound)?;
    if name == CURRENT {
        let package = current.ok_or(NotServed::NotFound)?;
        return manifest(&package, &terms);
    }
    let stem = name.strip_suffix(".plist");
    let wanted = stem.map_or_else(|| name.clone(), |stem| format!("{stem}.pkg"));
    let about = serving.packages.about(&wanted).await.map_err(|error| away(&wanted, &error))?;
    let package = about.ok_or(NotServed::NotFound)?;
    match stem {
        Some(_) => manifest(&package, &terms),
        None => serving.package(package, &method, &headers).await,
    }
}

fn away(name: &str, error: &ShelfError) -> NotServed {
    tracing::warn!(package = name, %error, "a package cannot be given out");
    NotServed::Away
}

/// A manifest says where brokers are, which may change.
fn manifest(package: &Package, terms: &Deploying) -> Result<Response, NotServed> {
    let manifest = package.manifest(&terms.url).map_err(|error| {
        tracing::warn!(error, "the manifest of a package cannot be written");
        NotServed::NotFound
    })?;
    let headers = [(header::CONTENT_TYPE, "application/xml"), (header::CACHE_CONTROL, PASSING)];
    Ok((headers, manifest.plist()).into_response())
}

impl Serving {
    async fn package(&self, package: Package, method: &Method, headers: &HeaderMap) -> Result<Response, NotServed> {
        let tag = format!("\"{}\"", package.sha256);
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let fixed = [
            (header::ETAG, tag.clone()),
            (header::CACHE_CONTROL, LASTING.to_owned()),
            (header::ACCEPT_RANGES, "bytes".to_owned()),
            (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        ];
        if text(header::IF_NONE_MATCH).is_some_and(|known| is_among(&tag, known)) {
            return Ok((StatusCode::NOT_MODIFIED, fixed).into_response());
        }
        let length = package.size;
        let may_be_part = *method == Method::GET && text(header::IF_RANGE).is_none_or(|known| known == tag);
        let (status, range) = match text(header::RANGE).filter(|_| may_be_part).map(|range| part(range, length)) {
            Some(Part::Nothing) => {
                let range = [(header::CONTENT_RANGE, format!("bytes */{length}"))];
                return Ok((StatusCode::RANGE_NOT_SATISFIABLE, range).into_response());
            }
            Some(Part::Some(range)) => (StatusCode::PARTIAL_CONTENT, range),
            _ => (StatusCode::OK, 0..length),
        };
        let count = [(header::CONTENT_LENGTH, (range.end - range.start).to_string())];
        let of = (status == StatusCode::PARTIAL_CONTENT)
            .then(|| (header::CONTENT_RANGE, format!("bytes {}-{}/{length}", range.start, range.end - 1)));
        let body = match *method {
            Method::HEAD => Body::empty(),
            _ => {
                let permit = Arc::clone(&self.downloads).try_acquire_owned().map_err(|_| NotServed::Busy)?;
                let name = package.file_name();
                let shelved = self.packages.file(package).await.map_err(|error| away(&name, &error))?;
                body(&shelved, range, permit)
                    .await
                    .map_err(|error| away(&name, &ShelfError::Io { path: shelved.file.clone(), error }))?
            }
        };
        let mut response = (status, fixed, count, body).into_response();
        if let Some((name, value)) = of
            && let Ok(value) = value.parse()
        {
            response.headers_mut().insert(name, value);
        }
        Ok(response)
    }
}

/// Whether an `If-None-Match` names this tag.
fn is_among(tag: &str, known: &str) -> bool {
    known.split(',').map(str::trim).any(|known| known == "*" || known.trim_start_matches("W/") == tag)
}

/// The bytes of a part, piece by piece. `permit` is held until the last was taken, or nobody takes them.
async fn body(shelved: &Shelved, range: Range<u64>, permit: OwnedSemaphorePermit) -> std::io::Result<Body> {
    let mut file = File::open(&shelved.file).await?;
    file.seek(SeekFrom::Start(range.start)).await?;
    let (pieces, mut taken) = mpsc::channel::<std::io::Result<Bytes>>(2);
    tokio::spawn(async move {
        let _permit = permit;
        let mut left = range.end - range.start;
        while left > 0 {
            let piece = read(&mut file, left).await;
            let ended = piece.is_err();
            left -= piece.as_ref().map_or(0, |piece| piece.len() as u64);
            let given = tokio::time::timeout(PIECE_WITHIN, pieces.send(piece)).await;
            if ended || !matches!(given, Ok(Ok(()))) {
                return;
            }
        }
    });
    Ok(Body::from_stream(stream::poll_fn(move |context| taken.poll_recv(context))))
}

async fn read(file: &mut File, left: u64) -> std::io::Result<Bytes> {
    let size = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
    let mut piece = BytesMut::zeroed(size);
    let read = file.read(&mut piece).await?;
    if read == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    piece.truncate(read);
    Ok(piece.freeze())
}

#[cfg(test)]
mod tests;
