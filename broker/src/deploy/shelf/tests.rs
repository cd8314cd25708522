use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::future::join_all;
use tokio::sync::Semaphore;

use super::*;
use crate::deploy::package::{
    inspect,
    tests::{distribution, packed},
};

/// A bucket with one package in it.
struct Bucket {
    package: Package,
    bytes: Mutex<Vec<u8>>,
    away: AtomicBool,
    listed: AtomicUsize,
    read: AtomicUsize,
    /// Who reads needs one of these.
    reads: Semaphore,
}

#[async_trait::async_trait]
impl Origin for Bucket {
    async fn kept(&self) -> Result<Vec<Package>, BusError> {
        self.listed.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        self.here()?;
        Ok(vec![self.package.clone()])
    }

    async fn bytes(&self, name: &str) -> Result<Bytes, BusError> {
        assert_eq!(name, self.package.file_name());
        self.read.fetch_add(1, Ordering::SeqCst);
        self.here()?;
        self.reads.acquire().await.unwrap().forget();
        let bytes = lock(&self.bytes).clone();
        Ok(Box::new(io::Cursor::new(bytes)))
    }
}

impl Bucket {
    fn here(&self) -> Result<(), BusError> {
        let lost = || BusError::NoAnswer { doing: "listing packages", reason: "timed out".to_owned() };
        if self.away.load(Ordering::SeqCst) { Err(lost()) } else { Ok(()) }
    }

    fn read(&self) -> usize {
        self.read.load(Ordering::SeqCst)
    }
}

/// A shelf, the bucket that it copies from, and its folder.
fn shelf(reads: usize) -> (Arc<Shelf>, Arc<Bucket>, tempfile::TempDir) {
    let bytes = packed(&distribution("io.emote.agent", "1.2.3"), &[7; 300_000]);
    let package = inspect(&bytes).unwrap().package;
    let folder = tempfile::tempdir().unwrap();
    let bucket = Arc::new(Bucket {
        package,
        bytes: Mutex::new(bytes),
        away: AtomicBool::new(false),
        listed: AtomicUsize::new(0),
        read: AtomicUsize::new(0),
        reads: Semaphore::new(reads),
    });
    let shelf = Shelf::from(Arc::<Bucket>::clone(&bucket), folder.path().join("packages"));
    (Arc::new(shelf), bucket, folder)
}

/// The files that lie there.
fn files(folder: &tempfile::TempDir) -> Vec<String> {
    let entries = std::fs::read_dir(folder.path().join("packages")).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), wait).await.expect(what);
}

#[tokio::test]
async fn all_who_ask_at_once_share_one_copy() {
    let (shelf, bucket, folder) = shelf(1);
    // What a copy that broke off, and a package that is kept no longer, have left.
    std::fs::create_dir_all(folder.path().join("packages")).unwrap();
    for old in ["aa.partly", "bb.pkg"] {
        std::fs::write(folder.path().join("packages").join(old), "x").unwrap();
    }
    let asked = || async { shelf.file(shelf.about("EmoteAgent-1.2.3.pkg").await?.unwrap()).await };
    for shelved in join_all((0..50).map(|_| asked())).await {
        assert_eq!(std::fs::read(shelved.unwrap().file).unwrap(), *lock(&bucket.bytes));
    }
    let here = ["json", "pkg"].map(|kind| format!("{}.{kind}", bucket.package.sha256));
    assert_eq!((bucket.read(), files(&folder)), (1, here.to_vec()));
    assert_eq!(bucket.listed.load(Ordering::SeqCst), 2, "once for all who ask, once to sweep");
    assert_eq!(shelf.about("EmoteAgent-9.pkg").await.unwrap(), None);
    asked().await.unwrap();
    assert_eq!(bucket.read(), 1);
}

#[tokio::test]
async fn who_asks_first_may_go_and_the_copy_goes_on() {
    let (shelf, bucket, _folder) = shelf(0);
    let first = tokio::spawn({
        let (shelf, package) = (Arc::clone(&shelf), bucket.package.clone());
        async move { shelf.file(package).await }
    });
    until("the copy has begun", || bucket.read() == 1).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    let second = tokio::spawn({
        let (shelf, package) = (Arc::clone(&shelf), bucket.package.clone());
        async move { shelf.file(package).await }
    });
    bucket.reads.add_permits(1);
    assert!(second.await.unwrap().unwrap().file.exists());
    assert_eq!(bucket.read(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_damaged_is_refused_and_not_kept_nor_read_for_each_who_asks() {
    let (shelf, bucket, folder) = shelf(10);
    let good = lock(&bucket.bytes).clone();
    let flipped: Vec<u8> = good.iter().enumerate().map(|(at, byte)| byte ^ u8::from(at == 99)).collect();
    let endless = vec![0; good.len() * 3];
    for (times, bytes) in [flipped, good[..good.len() - 1].to_vec(), endless].into_iter().enumerate() {
        *lock(&bucket.bytes) = bytes;
        for _ in 0..5 {
            let error = shelf.file(bucket.package.clone()).await.unwrap_err().to_string();
            assert!(error.contains("EmoteAgent-1.2.3.pkg in the bucket of packages is not what it says"), "{error}");
            assert!(files(&folder).is_empty(), "{:?}", files(&folder));
        }
        assert_eq!(bucket.read(), times + 1);
        tokio::time::advance(AGAIN_AFTER).await;
    }
    *lock(&bucket.bytes) = good;
    assert!(shelf.file(bucket.package.clone()).await.unwrap().file.exists());
}

#[tokio::test]
async fn no_more_is_read_than_it_says_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    let mut file = File::create(&path).await.unwrap();
    let endless = tokio::io::repeat(7);
    write(endless.take(1_000_001), &mut file, &path).await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 1_000_001);
}

#[tokio::test(start_paused = true)]
async fn what_was_kept_is_served_while_nats_is_away() {
    let (shelf, bucket, _folder) = shelf(1);
    bucket.away.store(true, Ordering::SeqCst);
    let name = bucket.package.file_name();
    assert!(matches!(shelf.about(&name).await, Err(ShelfError::Shared(_))), "nothing was known yet");
    bucket.away.store(false, Ordering::SeqCst);
    tokio::time::advance(KNOWN_FOR).await;
    let package = shelf.about(&name).await.unwrap().unwrap();
    shelf.file(package).await.unwrap();
    bucket.away.store(true, Ordering::SeqCst);
    let listed = bucket.listed.load(Ordering::SeqCst);
    for _ in 0..4 {
        tokio::time::advance(KNOWN_FOR).await;
        let package = shelf.about(&name).await.unwrap().unwrap();
        assert!(shelf.file(package).await.unwrap().file.exists());
    }
    assert_eq!(
        bucket.listed.load(Ordering::SeqCst),
        listed + 1,
        "NATS is not asked for each who asks while it is away"
    );
    bucket.away.store(false, Ordering::SeqCst);
    tokio::time::advance(AWAY_FOR).await;
    assert!(shelf.about(&name).await.unwrap().is_some());
    assert_eq!(bucket.listed.load(Ordering::SeqCst), listed + 2);
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_stalls_is_waited_for_no_longer_than_it_may_take() {
    let (shelf, bucket, folder) = shelf(0);
    let begun = tokio::time::Instant::now();
    let error = shelf.file(bucket.package.clone()).await.unwrap_err();
    assert!(matches!(error, ShelfError::UnderWay) && begun.elapsed() < WAITED_FOR * 2, "{error}");
    let mut last = error;
    while matches!(last, ShelfError::UnderWay) {
        last = shelf.file(bucket.package.clone()).await.unwrap_err();
    }
    assert!(last.to_string().contains("did not come from JetStream within 600 s"), "{last}");
    assert_eq!((bucket.read(), files(&folder).len()), (1, 0));
    bucket.reads.add_permits(1);
    assert!(shelf.file(bucket.package.clone()).await.unwrap().file.exists(), "begun anew");
    assert_eq!(bucket.read(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_was_copied_is_served_by_a_broker_that_began_without_nats() {
    let (shelf, bucket, folder) = shelf(1);
    let name = bucket.package.file_name();
    let package = shelf.about(&name).await.unwrap().unwrap();
    shelf.file(package.clone()).await.unwrap();
    // As a broker of before labels has left it.
    std::fs::remove_file(folder.path().join(format!("packages/{}.json", package.sha256))).unwrap();
    shelf.file(package.clone()).await.unwrap();
    // Labels of what is not here, and of what it is not.
    let packages = folder.path().join("packages");
    let other = Package { sha256: "a".repeat(64), version: "1.2.4".to_owned(), ..package.clone() };
    for (file, label) in [("a", &other), ("b", &package)] {
        let json = serde_json::to_vec(label).unwrap();
        std::fs::write(packages.join(format!("{}.json", file.repeat(64))), json).unwrap();
    }
    std::fs::write(packages.join("c.json"), "{").unwrap();

    bucket.away.store(true, Ordering::SeqCst);
    let again = Shelf::from(Arc::<Bucket>::clone(&bucket), packages);
    assert_eq!(again.about(&name).await.unwrap(), Some(package.clone()));
    assert!(again.file(package).await.unwrap().file.exists());
    assert_eq!(again.about(&other.file_name()).await.unwrap(), None);
    let listed = bucket.listed.load(Ordering::SeqCst);
    tokio::time::advance(KNOWN_FOR).await;
    assert!(again.about(&name).await.unwrap().is_some());
    assert_eq!(bucket.listed.load(Ordering::SeqCst), listed, "NATS is not asked for each who asks");
}
