//! `GET /deploy/…`: packages and manifests, to whoever asks. Whole or in parts, as macOS' downloader asks for them; a
//! package never changes under its name, so that whoever has it may keep it. Who takes too long is let go of, and one network
//! has a part of the room alone.

use std::{
    io::SeekFrom,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Path, State},
    http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::any,
};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use tokio::{
    fs::File,
    io::{AsyncReadExt as _, AsyncSeekExt as _},
    sync::mpsc,
    time::Instant,
};

use super::{
    Packages, ShelfError, Shelved,
    range::{Part, part},
};
use crate::{
    core::{Deploying, Package},
    ingest::{Cidr, sender},
    listen::{Place, Room},
};

/// Packages that are given out at once. Whoever comes then is told to come again: webhooks have the rest of the connections.
const MAX_DOWNLOADS: usize = 128;
/// Of one network: nobody can hold them all.
const OF_ONE_NETWORK: usize = MAX_DOWNLOADS / 4;
/// Bytes that are read at once.
const PIECE: usize = 128 * 1024;
/// A piece is taken within this time, or the connection ends.
const PIECE_WITHIN: Duration = Duration::from_secs(30);
/// After so long the rate counts.
const FREE_FOR: Duration = Duration::from_secs(30);
/// So many bytes a second are taken, or the connection ends.
const LEAST_RATE: u64 = 64 * 1024;
/// The manifest of the package that is deployed.
const CURRENT: &str = "manifest.plist";
/// Who is asked for where no connection is: routes that are called by themselves.
const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
const LASTING: &str = "public, max-age=31536000, immutable";
const PASSING: &str = "no-cache";

/// What is deployed, whenever somebody asks.
pub trait Deployed: Send + Sync {
    /// On which terms, as the set of rules in force says.
    fn terms(&self) -> Option<Deploying>;
    /// Which package, as the records say: they are opened for it.
    fn package(&self) -> Option<Package>;
}

#[derive(Clone)]
struct Serving {
    packages: Arc<dyn Packages>,
    deployed: Arc<dyn Deployed>,
    proxies: Arc<[Cidr]>,
    downloads: Room,
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

/// The routes of packages and manifests. Proxies are believed for whom they speak.
pub fn router(packages: Arc<dyn Packages>, deployed: Arc<dyn Deployed>, proxies: Vec<Cidr>) -> Router {
    let downloads = Room::new(MAX_DOWNLOADS, OF_ONE_NETWORK);
    let serving = Serving { packages, deployed, proxies: proxies.into(), downloads };
    Router::new().route("/deploy/{file}", any(answer)).with_state(serving)
}

async fn answer(
    State(serving): State<Serving>,
    Path(name): Path<String>,
    method: Method,
    headers: HeaderMap,
    extensions: Extensions,
) -> Result<Response, NotServed> {
    if !matches!(method, Method::GET | Method::HEAD) {
        return Err(NotServed::Method);
    }
    let terms = serving.deployed.terms().ok_or(NotServed::NotFound)?;
    if name == CURRENT {
        let package = serving.deployed.package().ok_or(NotServed::NotFound)?;
        let name = package.file_name();
        let kept = serving.packages.about(&name).await.map_err(|error| away(&name, &error))?;
        // Of one that is gone nothing could be fetched.
        return if kept.as_ref() == Some(&package) { manifest(&package, &terms) } else { Err(NotServed::NotFound) };
    }
    let stem = name.strip_suffix(".plist");
    let wanted = stem.map_or_else(|| name.clone(), |stem| format!("{stem}.pkg"));
    let about = serving.packages.about(&wanted).await.map_err(|error| away(&wanted, &error))?;
    let package = about.ok_or(NotServed::NotFound)?;
    match stem {
        Some(_) => manifest(&package, &terms),
        None => {
            let peer = extensions.get().map_or(NOBODY, |ConnectInfo(peer)| *peer);
            let from = sender(peer, &headers, &serving.proxies).unwrap_or(peer.ip());
            serving.package(package, &method, &headers, from).await
        }
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
    async fn package(
        &self,
        package: Package,
        method: &Method,
        headers: &HeaderMap,
        from: IpAddr,
    ) -> Result<Response, NotServed> {
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
                let place = self.downloads.enter(from).ok_or(NotServed::Busy)?;
                let name = package.file_name();
                let shelved = self.packages.file(package).await.map_err(|error| away(&name, &error))?;
                body(&shelved, range, place)
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

/// The bytes of a part, piece by piece. `place` is held until the last was taken, or nobody takes them.
async fn body(shelved: &Shelved, range: Range<u64>, place: Place) -> std::io::Result<Body> {
    let mut file = File::open(&shelved.file).await?;
    file.seek(SeekFrom::Start(range.start)).await?;
    let (pieces, mut taken) = mpsc::channel::<std::io::Result<Bytes>>(2);
    tokio::spawn(async move {
        let (_place, begun) = (place, Instant::now());
        let (mut given, whole) = (0, range.end - range.start);
        while given < whole {
            let piece = read(&mut file, whole - given).await;
            let ended = piece.is_err();
            given += piece.as_ref().map_or(0, |piece| piece.len() as u64);
            let sent = tokio::time::timeout_at(until(begun, Instant::now(), given), pieces.send(piece)).await;
            if ended || !matches!(sent, Ok(Ok(()))) {
                return;
            }
        }
    });
    Ok(Body::from_stream(stream::poll_fn(move |context| taken.poll_recv(context))))
}

/// By when the piece that is given `now` must be taken, with which `given` bytes are since it `begun`.
fn until(begun: Instant, now: Instant, given: u64) -> Instant {
    let at_least = begun + FREE_FOR + Duration::from_millis(given * 1000 / LEAST_RATE);
    at_least.min(now + PIECE_WITHIN)
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
