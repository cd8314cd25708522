//! Whoever writes, and wherever it ends: each entry is in the archive once.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use emote_proto::Time;
use futures_util::{StreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result, memory::InMemory, path::Path,
};
use proptest::prelude::*;

use super::*;

/// A store that ends everything after so many calls: before the last of them is done, or after.
#[derive(Debug)]
struct Failing {
    store: Arc<InMemory>,
    left: AtomicI64,
    done_before: bool,
}

impl fmt::Display for Failing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failing")
    }
}

impl Failing {
    /// Whether this call is done, and whether it is answered.
    fn call(&self) -> (bool, bool) {
        match self.left.fetch_sub(1, Ordering::Relaxed) {
            left if left > 0 => (true, true),
            0 => (self.done_before, false),
            _ => (false, false),
        }
    }

    fn broken<T>(&self) -> Result<T> {
        Err(object_store::Error::Generic { store: "failing", source: "killed".into() })
    }
}

#[async_trait::async_trait]
impl ObjectStore for Failing {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let (done, answered) = self.call();
        let put = if done { self.store.put_opts(location, payload, opts).await } else { self.broken() };
        if answered { put } else { self.broken() }
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.broken()
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if self.call().1 { self.store.get_opts(location, options).await } else { self.broken() }
    }

    fn delete_stream(&self, _: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        futures_util::stream::once(async {
            Err(object_store::Error::Generic { store: "failing", source: "no".into() })
        })
        .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        if self.call().1 {
            return self.store.list(prefix);
        }
        let broken = self.broken();
        futures_util::stream::once(async { broken }).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        if self.call().1 { self.store.list_with_delimiter(prefix).await } else { self.broken() }
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        self.broken()
    }
}

const SOURCES: [&str; 4] =
    ["events.agent.C1.device.enroll", "events.jamf.C1.device.enroll", "events.okta.-.user.created", "events"];

/// Entries with holes, over a midnight: each is (how many sequences on, how many minutes on, which source).
fn log(steps: &[(u64, i64, usize)]) -> Vec<Kept> {
    let (mut sequence, mut minutes) = (0, 1_767_225_600_000 / 60_000 - 30);
    let mut entries = Vec::new();
    for (on, later, source) in steps {
        (sequence, minutes) = (sequence + on, minutes + later);
        let payload = format!(r#"{{"scope":"a","action":"b","info":{{"n":{sequence}}}}}"#).into();
        let (received, subject) = (Time::from_millis(minutes * 60_000).unwrap(), SOURCES[*source].to_owned());
        entries.push(Kept { sequence, received, subject, message_id: None, payload });
    }
    entries
}

/// What [`Archiver`] does with a stream that holds `entries`, in cuts of `size`, until it ends or is ended.
async fn archive(store: Arc<dyn ObjectStore>, entries: &[Kept], size: usize) -> anyhow::Result<()> {
    let writer = Writer::new(Depot::new(store, "pre/fix", true), "77");
    let mut position = writer.position().await?;
    loop {
        let behind: Vec<Kept> = entries.iter().filter(|entry| entry.sequence > position).cloned().collect();
        if let Some(cut) = writer.unfinished(position).await? {
            position = writer.finish(&cut, entries).await?.last;
            continue;
        }
        let Some(first) = behind.first() else { return Ok(()) };
        let same_day = behind.iter().take(size).take_while(|entry| entry.day() == first.day());
        let gathered: Vec<Kept> = same_day.cloned().collect();
        match writer.begin(position, &gathered).await? {
            None => return Ok(()),
            Some(Begun::Ours(cut)) => position = writer.finish(&cut, &gathered).await?.last,
            Some(Begun::Theirs(cut)) => position = writer.finish(&cut, entries).await?.last,
        }
    }
}

async fn read(store: &Arc<InMemory>) -> (Vec<Kept>, Verified) {
    let archive = Archive::new(Depot::new(Arc::clone(store) as _, "pre/fix", true));
    let mut found = Vec::new();
    let take = |entry| {
        found.push(entry);
        Ok(true)
    };
    archive.each(&Wanted::default(), take).await.unwrap();
    (found, archive.verify(&Wanted::default(), |_| {}).await.unwrap())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn each_entry_is_archived_once_wherever_it_was_ended_and_whoever_went_on(
        steps in proptest::collection::vec((1_u64..4, 0_i64..5, 0_usize..4), 1..60),
        ends in proptest::collection::vec((0_i64..25, any::<bool>(), 1_usize..20), 0..12),
    ) {
        let entries = log(&steps);
        let store = Arc::new(InMemory::new());
        runtime().block_on(async {
            for (left, done_before, size) in ends {
                let left = AtomicI64::new(left);
                drop(archive(Arc::new(Failing { store: Arc::clone(&store), left, done_before }), &entries, size).await);
            }
            archive(Arc::clone(&store) as _, &entries, 7).await.unwrap();
            let (found, verified) = read(&store).await;
            prop_assert!(verified.is_fine(), "{:?}", verified.findings);
            prop_assert_eq!(verified.events, entries.len() as u64);
            prop_assert_eq!(found, entries);
            Ok(())
        })?;
    }

    #[test]
    fn brokers_that_both_believe_that_they_lead_cut_alike(
        steps in proptest::collection::vec((1_u64..4, 0_i64..5, 0_usize..4), 1..40),
        sizes in proptest::collection::vec(1_usize..9, 2..5),
        missing in 0_usize..10,
    ) {
        let entries = log(&steps);
        let store = Arc::new(InMemory::new());
        let several = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        several.block_on(async {
            // One of them comes late, and the stream has lost its beginning: what it finds begun it finishes with what is there.
            let late: Vec<Kept> = entries.iter().skip(missing).cloned().collect();
            let all = sizes.iter().map(|size| archive(Arc::clone(&store) as _, &entries, *size));
            let (ended, ()) = tokio::join!(futures_util::future::join_all(all), async {
                drop(archive(Arc::clone(&store) as _, &late, 3).await);
            });
            ended.into_iter().for_each(|ended| ended.unwrap());
            let (found, verified) = read(&store).await;
            prop_assert!(verified.is_fine(), "{:?}", verified.findings);
            let sequences: BTreeMap<u64, ()> = found.iter().map(|entry| (entry.sequence, ())).collect();
            prop_assert_eq!(sequences.len(), found.len());
            prop_assert!(found.len() + missing >= entries.len());
            prop_assert!(entries.iter().skip(missing).all(|entry| found.contains(entry)));
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn what_is_damaged_missing_or_of_nobody_is_found() {
    let entries = log(&[(1, 0, 0), (1, 0, 1), (3, 0, 0), (1, 60, 0), (1, 0, 2)]);
    let (store, depot) = {
        let store = Arc::new(InMemory::new());
        archive(Arc::clone(&store) as _, &entries, 100).await.unwrap();
        (Arc::clone(&store), Depot::new(store, "pre/fix", true))
    };
    let (_, fine) = read(&store).await;
    assert_eq!((fine.is_fine(), fine.manifests, fine.segments, fine.events, fine.absent), (true, 2, 4, 5, 2));
    let archive = Archive::new(depot.clone());
    let problems = async || {
        let verified = archive.verify(&Wanted::default(), |_| {}).await.unwrap();
        let wrong = verified.findings.into_iter().filter(|finding| finding.wrong);
        wrong.map(|finding| finding.problem).collect::<Vec<_>>()
    };
    let agent = "agent/2025/12/31/000000000001-000000000005-77.jsonl.zst";
    let stored = depot.get(agent, 1 << 20).await.unwrap().unwrap();
    let mut damaged = stored.to_vec();
    damaged[stored.len() / 2] ^= 1;
    depot.put(agent, damaged.into()).await.unwrap();
    assert_eq!(problems().await.len(), 1);
    assert!(archive.each(&Wanted::default(), |_| Ok(true)).await.is_err(), "nothing is read from what is damaged");
    depot.put(agent, stored.clone()).await.unwrap();
    assert_eq!(problems().await, [""; 0]);
    depot.put("agent/2025/12/31/000000000001-000000000001-77.jsonl.zst", stored).await.unwrap();
    assert_eq!(problems().await, ["no manifest names it"]);
    let manifest = "_manifests/77/2025-12-31/00000000000000000001.json";
    let json = depot.get(manifest, 1 << 20).await.unwrap().unwrap();
    let text = String::from_utf8(json.to_vec()).unwrap();
    depot.put(manifest, text.replace("\"last\":5,\"day\"", "\"last\":4,\"day\"").into()).await.unwrap();
    assert!(problems().await.iter().any(|problem| problem.contains("entries 5 to 5 are in no manifest")));
    let wanted = Wanted { source: Some("okta".to_owned()), ..Wanted::default() };
    let mut found = Vec::new();
    let take = |entry: Kept| {
        found.push(entry.sequence);
        Ok(true)
    };
    archive.each(&wanted, take).await.unwrap();
    assert_eq!(found, [7]);
}

#[tokio::test]
async fn a_store_without_conditions_is_written_all_the_same_and_streams_are_kept_apart() {
    let entries = log(&[(1, 0, 0), (1, 0, 1)]);
    let store = Arc::new(InMemory::new());
    for stream in ["77", "78"] {
        let writer = Writer::new(Depot::new(Arc::clone(&store) as _, "", false), stream);
        let Some(Begun::Ours(cut)) = writer.begin(0, &entries).await.unwrap() else { panic!() };
        writer.finish(&cut, &entries).await.unwrap();
        assert_eq!(writer.begin(0, &entries).await.unwrap(), Some(Begun::Ours(cut)));
        assert_eq!(writer.position().await.unwrap(), 2);
    }
    let verified = Archive::new(Depot::new(store, "", false)).verify(&Wanted::default(), |_| {}).await.unwrap();
    assert_eq!((verified.is_fine(), verified.events), (true, 4));
}
