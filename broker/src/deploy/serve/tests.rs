use std::collections::BTreeMap;

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

/// Routes, the package's bytes, and the folder that they lie in.
fn served(terms: bool, current: bool) -> (Router, Package, Vec<u8>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let bytes = packed(&distribution("io.emote.agent", "1.2.3"), &[7; 300_000]);
    let package = inspect(&bytes).unwrap().package;
    let file = folder.path().join("a.pkg");
    std::fs::write(&file, &bytes).unwrap();
    let deploying = terms.then(|| Deploying {
        url: "https://emote.example.com".to_owned(),
        target: emote_proto::Name::new("install-agent").unwrap(),
        overdue_after: 1,
    });
    let now = current.then(|| package.clone());
    let router =
        router(Arc::new(One { package: package.clone(), file }), Arc::new(move || (now.clone(), deploying.clone())));
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

#[tokio::test]
async fn who_comes_when_too_many_take_it_is_told_to_come_again() {
    let (router, _, _, _folder) = served(true, true);
    let mut taking = Vec::new();
    for _ in 0..MAX_DOWNLOADS {
        let request = Request::builder().uri(PKG).body(Body::empty()).unwrap();
        taking.push(router.clone().oneshot(request).await.unwrap());
    }
    let (status, headers, _) = asked(&router, "GET", PKG, &[]).await;
    assert_eq!((status, headers["retry-after"].as_str()), (503, "60"));
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
