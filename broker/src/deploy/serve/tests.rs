use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use axum::{body::to_bytes, http::Request};
use tower::ServiceExt as _;

use super::*;
use crate::deploy::package::{
    inspect,
    tests::{distribution, packed},
};

/// A shelf with one package on it.
struct One {
    package: Package,
    file: std::path::PathBuf,
}

#[async_trait::async_trait]
impl Packages for One {
    async fn about(&self, name: &str) -> Result<Option<Package>, ShelfError> {
        Ok((name == self.package.file_name()).then(|| self.package.clone()))
    }

    async fn file(&self, package: Package) -> Result<Shelved, ShelfError> {
        Ok(Shelved { package, file: self.file.clone() })
    }
}

/// What is said to be deployed; how often the package was asked for.
struct Said {
    terms: Option<Deploying>,
    package: Option<Package>,
    asked: AtomicUsize,
}

impl Deployed for Said {
    fn terms(&self) -> Option<Deploying> {
        self.terms.clone()
    }

    fn package(&self) -> Option<Package> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.package.clone()
    }
}

fn deployed(terms: bool, package: Option<Package>) -> Arc<Said> {
    let terms = terms.then(|| Deploying {
        url: "https://emote.example.com".to_owned(),
        target: emote_proto::Name::new("install-agent").unwrap(),
        overdue_after: 1,
    });
    Arc::new(Said { terms, package, asked: AtomicUsize::new(0) })
}

/// Routes, the package's bytes, and the folder that they lie in.
fn served(terms: bool, current: bool) -> (Router, Package, Vec<u8>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let bytes = packed(&distribution("io.emote.agent", "1.2.3"), &[7; 300_000]);
    let package = inspect(&bytes).unwrap().package;
    let file = folder.path().join("a.pkg");
    std::fs::write(&file, &bytes).unwrap();
    let said = deployed(terms, current.then(|| package.clone()));
    let proxies = vec!["192.0.2.80".parse().unwrap()];
    let router = router(Arc::new(One { package: package.clone(), file }), said, proxies);
    (router, package, bytes, folder)
}

async fn asked(
    router: &Router,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> (u16, BTreeMap<String, String>, Bytes) {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let headers = response.headers().iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    let headers = headers.collect();
    (status, headers, to_bytes(response.into_body(), usize::MAX).await.unwrap())
}

const PKG: &str = "/deploy/EmoteAgent-1.2.3.pkg";

#[tokio::test]
async fn a_package_is_given_whole_and_may_be_kept() {
    let (router, package, bytes, _folder) = served(true, true);
    let (status, headers, body) = asked(&router, "GET", PKG, &[]).await;
    assert_eq!((status, &body[..]), (200, &bytes[..]));
    let tag = format!("\"{}\"", package.sha256);
    for (name, value) in [
        ("etag", tag.as_str()),
        ("accept-ranges", "bytes"),
        ("cache-control", LASTING),
        ("content-length", &bytes.len().to_string()),
        ("content-type", "application/octet-stream"),
    ] {
        assert_eq!(headers[name], value, "{name}");
    }
    let (status, headers, body) = asked(&router, "HEAD", PKG, &[]).await;
    assert_eq!((status, body.len(), headers["content-length"].as_str()), (200, 0, &*bytes.len().to_string()));
    for known in [tag.as_str(), "*", &format!("\"x\", W/{tag}")] {
        let (status, headers, body) = asked(&router, "GET", PKG, &[("if-none-match", known)]).await;
        assert_eq!((status, body.len(), headers["etag"].as_str()), (304, 0, tag.as_str()), "{known}");
    }
    assert_eq!(asked(&router, "GET", PKG, &[("if-none-match", "\"x\"")]).await.0, 200);
}

#[tokio::test]
async fn parts_of_it_are_given_as_they_are_asked_for() {
    let (router, package, bytes, _folder) = served(true, true);
    let (length, tag) = (bytes.len(), format!("\"{}\"", package.sha256));
    for (headers, status, range) in [
        (vec![("range", "bytes=0-9")], 206, 0..10),
        (vec![("range", "bytes=200000-")], 206, 200_000..length),
        (vec![("range", "bytes=-5")], 206, length - 5..length),
        (vec![("range", "bytes=1-2"), ("if-range", &*tag)], 206, 1..3),
        (vec![("range", "bytes=1-2"), ("if-range", "\"another\"")], 200, 0..length),
        (vec![("range", "bytes=0-1,4-5")], 200, 0..length),
        (vec![("range", "bytes=999999999-")], 416, 0..0),
    ] {
        let (found, answered, body) = asked(&router, "GET", PKG, &headers).await;
        assert_eq!((found, &body[..]), (status, &bytes[range.clone()]), "{headers:?}");
        let expected = match status {
            206 => Some(format!("bytes {}-{}/{length}", range.start, range.end - 1)),
            416 => Some(format!("bytes */{length}")),
            _ => None,
        };
        let said = answered.get("content-range").cloned();
        assert_eq!(said, expected, "{headers:?}");
    }
    assert_eq!(asked(&router, "HEAD", PKG, &[("range", "bytes=0-9")]).await.0, 200);
}

#[tokio::test]
async fn a_manifest_says_where_the_package_is() {
    let (router, package, _, _folder) = served(true, true);
    let expected = package.manifest("https://emote.example.com").unwrap().plist();
    for path in ["/deploy/manifest.plist", "/deploy/EmoteAgent-1.2.3.plist"] {
        let (status, headers, body) = asked(&router, "GET", path, &[]).await;
        assert_eq!((status, &body[..], headers["cache-control"].as_str()), (200, &expected[..], PASSING), "{path}");
    }
}

#[tokio::test]
async fn what_is_not_deployed_is_not_there() {
    let (router, _, _, _folder) = served(true, false);
    for path in ["/deploy/manifest.plist", "/deploy/EmoteAgent-9.pkg", "/deploy/..%2fstore.redb", "/deploy/x"] {
        assert_eq!(asked(&router, "GET", path, &[]).await.0, 404, "{path}");
    }
    assert_eq!(asked(&router, "GET", PKG, &[]).await.0, 200, "kept, though another one is deployed");
    let (router, _, _, _folder) = served(false, true);
    for path in [PKG, "/deploy/manifest.plist"] {
        assert_eq!(asked(&router, "GET", path, &[]).await.0, 404, "nothing says where it is: {path}");
    }
    let (router, _, _, _folder) = served(true, true);
    let (status, headers, _) = asked(&router, "POST", PKG, &[]).await;
    assert_eq!((status, headers["allow"].as_str()), (405, "GET, HEAD"));
}

/// Begins to take the package, from this address, which a proxy may speak for.
async fn taken(router: &Router, from: &str, by_proxy: bool) -> Response {
    let mut request = Request::builder().uri(PKG).body(Body::empty()).unwrap();
    let peer = if by_proxy { "192.0.2.80" } else { from };
    request.extensions_mut().insert(ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 4711)));
    if by_proxy {
        request.headers_mut().insert("x-forwarded-for", from.parse().unwrap());
    }
    router.clone().oneshot(request).await.unwrap()
}

#[tokio::test]
async fn one_network_has_a_quarter_of_the_room_and_all_have_the_whole() {
    let (router, _, _, _folder) = served(true, true);
    let mut taking = Vec::new();
    for (network, by_proxy) in [("2001:db8:0:1", false), ("2001:db8:0:2", true), ("2001:db8:0:3", true)] {
        for host in 0..OF_ONE_NETWORK {
            taking.push(taken(&router, &format!("{network}::{host:x}"), by_proxy).await);
        }
        let response = taken(&router, &format!("{network}::ffff"), by_proxy).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{network}");
    }
    for _ in 0..OF_ONE_NETWORK {
        taking.push(taken(&router, "127.0.0.1", false).await);
    }
    assert!(taking.iter().all(|response| response.status() == StatusCode::OK) && taking.len() == MAX_DOWNLOADS);
    let response = taken(&router, "198.51.100.1", false).await;
    assert_eq!(
        (response.status(), &response.headers()["retry-after"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"60".parse().unwrap())
    );
    assert_eq!(asked(&router, "HEAD", PKG, &[]).await.0, 200);
    let whole = to_bytes(taking.pop().unwrap().into_body(), usize::MAX).await.unwrap();
    assert!(whole.len() > 300_000);
    drop(taking);
    let again = async {
        while asked(&router, "GET", PKG, &[("range", "bytes=0-0")]).await.0 != 206 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), again).await.expect("those who went made room");
}

/// How many of a body's bytes are had by who waits so long before each piece; whether that is all of them.
async fn drained(bytes: usize, wait: Duration) -> (usize, bool) {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(bytes as u64).unwrap();
    let shelved = Shelved { package: Package::example(), file: file.path().to_owned() };
    let place = Room::new(1, 1).enter(NOBODY.ip()).unwrap();
    let mut pieces = body(&shelved, 0..bytes as u64, place).await.unwrap().into_data_stream();
    let mut had = 0;
    while let Some(piece) = futures_util::StreamExt::next(&mut pieces).await {
        had += piece.unwrap().len();
        tokio::time::sleep(wait).await;
    }
    (had, had == bytes)
}

#[tokio::test(start_paused = true)]
async fn who_takes_less_than_the_least_rate_is_let_go_of() {
    let pieces = |count: usize| count * PIECE;
    // A second for each piece is twice the least rate, three are two thirds of it.
    assert_eq!(drained(pieces(200), Duration::from_secs(1)).await, (pieces(200), true));
    let (had, whole) = drained(pieces(200), Duration::from_secs(3)).await;
    assert!(!whole && (pieces(20)..pieces(60)).contains(&had), "{had}");
    let (had, whole) = drained(pieces(200), Duration::from_secs(29)).await;
    assert!(!whole && had <= pieces(6), "each piece is in time, and all of them are not: {had}");
    let (had, whole) = drained(pieces(200), Duration::from_secs(31)).await;
    assert!(!whole && had <= pieces(4), "{had}");
    assert_eq!(drained(pieces(2), Duration::from_secs(25)).await, (pieces(2), true), "a small part may take its time");
}

#[test]
fn who_was_quick_may_wait_but_for_no_longer_than_a_piece_may_take() {
    let begun = Instant::now();
    let seconds = |seconds| Duration::from_secs(seconds);
    for (now, given, expected) in
        [(0, 0, 30), (20, 0, 30), (20, LEAST_RATE * 10, 40), (20, LEAST_RATE * 1000, 50), (90, LEAST_RATE * 50, 80)]
    {
        assert_eq!(until(begun, begun + seconds(now), given), begun + seconds(expected), "{now} s, {given} bytes");
    }
}

#[tokio::test]
async fn the_records_are_opened_for_the_manifest_of_what_is_deployed_alone() {
    let folder = tempfile::tempdir().unwrap();
    let package = inspect(&packed(&distribution("io.emote.agent", "1.2.3"), b"")).unwrap().package;
    let said = deployed(true, Some(package.clone()));
    let one = One { package, file: folder.path().join("none") };
    let router = router(Arc::new(one), Arc::<Said>::clone(&said), Vec::new());
    for (path, opened) in [("EmoteAgent-1.2.3.plist", 0), ("EmoteAgent-1.2.3.pkg", 0), ("x", 0), (CURRENT, 1)] {
        asked(&router, "GET", &format!("/deploy/{path}"), &[]).await;
        assert_eq!(said.asked.load(Ordering::Relaxed), opened, "{path}");
    }
}

#[tokio::test]
async fn of_a_package_that_is_gone_there_is_no_manifest() {
    let (_, package, _, folder) = served(true, true);
    let gone = Package { version: "1.2.4".to_owned(), ..package.clone() };
    let file = folder.path().join("a.pkg");
    for (current, status) in [(package.clone(), 200), (gone, 404)] {
        let one = One { package: package.clone(), file: file.clone() };
        let router = router(Arc::new(one), deployed(true, Some(current)), Vec::new());
        assert_eq!(asked(&router, "GET", "/deploy/manifest.plist", &[]).await.0, status);
    }
}
