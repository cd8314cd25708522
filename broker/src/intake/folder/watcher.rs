//! Looks: one after the other for each folder, at every broker.

use std::{
    collections::BTreeMap,
    io::{Error, ErrorKind},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use emote_proto::{EventId, Subject, Time};
use tokio_util::sync::CancellationToken;

use super::{
    Folder, FolderReport, Folders,
    place::{Claimed, End, Look, Opened, Place, Stamp},
    reading::{Bad, Next, Reading},
    spec::Done,
    told,
};
use crate::{
    config::text::clip,
    ingest::{Dropped, PublishError, Source},
    poll::{Log, pause, tell_new},
    private::{self, FileError, Shared},
    random,
    tasks::Tasks,
};

/// What is read at once of a file must be mapped within this time.
const MAP_TIMEOUT: Duration = Duration::from_secs(60);
/// Between looks where one does not show everything.
const AT_ONCE: Duration = Duration::from_millis(50);
/// After failures in a row it is looked again within this time, or that between looks.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// For how long an empty file is waited for at least: who has made it may be about to write it.
const EMPTY_FOR: Duration = Duration::from_secs(60);
/// The most characters of an error.
const MAX_ERROR: usize = 500;

/// Keeps a watcher running for each source that has a folder.
pub struct Watchers {
    log: Arc<dyn Log>,
    folders: Folders,
    tasks: Tasks<String>,
}

/// The looks at one folder.
pub(super) struct Watcher {
    pub(super) source: Arc<Source>,
    pub(super) folder: Arc<Folder>,
    pub(super) log: Arc<dyn Log>,
    pub(super) folders: Folders,
    /// What lay there, and since when it is as it is.
    pub(super) seen: BTreeMap<String, (Stamp, Instant)>,
    /// What is the matter, where that was told.
    pub(super) told: Option<String>,
}

/// Why a look ended before its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// With the folder.
    Folder(String),
    /// With the log. Nothing is told of it: it could not be.
    Log(String),
}

/// Why a file cannot be read on.
pub(super) enum Unread {
    /// It may be another time.
    Now(Error),
    Never(String),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Folder(error.to_string())
    }
}

impl From<PublishError> for Trouble {
    fn from(error: PublishError) -> Self {
        Self::Log(error.to_string())
    }
}

impl Watchers {
    /// None runs yet.
    pub fn new(log: Arc<dyn Log>) -> Self {
        Self { log, folders: Folders::default(), tasks: Tasks::default() }
    }

    /// How they are doing; it changes as they do.
    pub fn folders(&self) -> Folders {
        self.folders.clone()
    }

    /// From now on the folders of these sources are watched, as their files say.
    pub async fn keep_to(&mut self, sources: &[(Arc<Source>, String)]) {
        let wanted = sources.iter().filter_map(|(source, file)| {
            let folder = Arc::clone(source.folder()?);
            Some((source.name().to_string(), (file.clone(), (Arc::clone(source), folder))))
        });
        let (log, folders) = (&self.log, &self.folders);
        let start = |(source, folder), stop| Watcher::of(source, folder, Arc::clone(log), folders.clone()).run(stop);
        for source in self.tasks.keep_to(wanted.collect(), start).await {
            folders.forget(&source);
        }
    }

    /// Comes back when one has ended that was to go on: [`Self::keep_to`] starts it anew.
    pub async fn ended(&self) {
        self.tasks.ended().await;
    }

    /// Stops all of them.
    pub async fn stop(&mut self) {
        self.tasks.stop().await;
    }
}

impl Watcher {
    pub(super) fn of(source: Arc<Source>, folder: Arc<Folder>, log: Arc<dyn Log>, folders: Folders) -> Self {
        Self { source, folder, log, folders, seen: BTreeMap::new(), told: None }
    }

    async fn run(mut self, stop: CancellationToken) {
        let mut failures = 0_u32;
        loop {
            // What is under way is let go of wherever it is: it is read again, and nothing is told twice.
            let looked = tokio::select! {
                () = stop.cancelled() => return,
                looked = self.look(Instant::now()) => looked,
            };
            let wait = match looked {
                Ok(wait) => {
                    failures = 0;
                    wait
                }
                Err(trouble) => {
                    failures = failures.saturating_add(1);
                    self.went_wrong(trouble, failures).await;
                    let every = self.folder.plan.every;
                    pause(failures, every, random::chance()).min(every.max(PAUSE_MAX))
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// One look, in which everything is taken that is complete; gives the time until the next one.
    pub(super) async fn look(&mut self, now: Instant) -> Result<Duration, Trouble> {
        let folder = Arc::clone(&self.folder);
        let Some((place, mut look)) = aside(move || opened(&folder)).await? else {
            self.seen.clear();
            self.went_well("no_folder", 0);
            return Ok(self.folder.plan.every);
        };
        let place = Arc::new(place);
        let waiting = look.found.len() + look.left.len();
        let wait = self.settled(&mut look, now);
        let more = look.more;
        if !(look.found.is_empty() && look.left.is_empty()) {
            if !self.log.caught_up().await {
                return Err(Trouble::Log("what the log has is not known yet".to_owned()));
            }
            self.take_all(&place, look).await?;
        }
        self.went_well("watching", waiting);
        Ok(if more { AT_ONCE } else { wait })
    }

    /// Leaves in `look` what has not changed for long enough, and says how long it takes until the next one may have.
    fn settled(&mut self, look: &mut Look, now: Instant) -> Duration {
        let mut wait = self.folder.plan.every;
        let before = std::mem::take(&mut self.seen);
        let mut has_settled = |path: String, stamp: Stamp| {
            let since = before.get(&path).filter(|(before, _)| *before == stamp).map_or(now, |(_, since)| *since);
            self.seen.insert(path, (stamp, since));
            let settle =
                if stamp.size() == 0 { self.folder.plan.settle.max(EMPTY_FOR) } else { self.folder.plan.settle };
            let left = settle.saturating_sub(now.saturating_duration_since(since));
            if !left.is_zero() {
                wait = wait.min(left.max(AT_ONCE));
            }
            left.is_zero()
        };
        look.left.retain(|claimed| has_settled(claimed.path(), claimed.stamp));
        look.found.retain(|found| has_settled(found.name.clone(), found.stamp));
        wait
    }

    /// Takes these. Trouble with one of them holds up no other; the first of it is given at the end.
    async fn take_all(&self, place: &Arc<Place>, look: Look) -> Result<(), Trouble> {
        let mut first = None;
        for claimed in look.left {
            passing(self.take(place, claimed).await, &mut first)?;
        }
        for found in look.found {
            let at = Arc::clone(place);
            match aside(move || at.claim(found)).await {
                Ok(Some(claimed)) => passing(self.take(place, claimed).await, &mut first)?,
                Ok(None) => {}
                Err(trouble) => passing(Err(trouble), &mut first)?,
            }
        }
        first.map_or(Ok(()), Err)
    }

    /// Tells what is in a file and puts it away. What is not stored, or still written, stays where it is for the next look.
    async fn take(&self, place: &Arc<Place>, claimed: Claimed) -> Result<(), Trouble> {
        let (at, claimed) = (Arc::clone(place), Arc::new(claimed));
        let of = Arc::clone(&claimed);
        let (file, stamp) = match aside(move || at.take(&of)).await? {
            Opened::Elsewhere | Opened::Changed => return Ok(()),
            Opened::Bad(why) => return self.refuse(place, &claimed, 0, Bad::of(why), 0).await,
            Opened::File(file, stamp) => (file, stamp),
        };
        let (plan, written) = (&self.folder.plan, stamp.written());
        if plan.must_be_guarded()
            && let Some(shared) = Shared::of(&file.metadata()?)
        {
            return self.refuse(place, &claimed, written, Bad::of(format!("it {shared}")), 0).await;
        }
        if stamp.size() == 0 {
            let why = "it is empty, and nothing was written to it for a minute or longer".to_owned();
            return self.refuse(place, &claimed, written, Bad::of(why), 0).await;
        }
        if stamp.size() > plan.max_size {
            let why = format!("it is larger than `max_size` of the folder, {} bytes", plan.max_size);
            return self.refuse(place, &claimed, written, Bad::of(why), 0).await;
        }
        let (mut reading, mut stored) = (Reading::of(&self.source, file, stamp), 0);
        loop {
            match self.next(&claimed, reading, written).await {
                Ok((Next::Events(events), on)) => {
                    stored += events.len() as u64;
                    let new = tell_new(&*self.log, events).await?;
                    self.change(|report| report.events += new);
                    reading = on;
                }
                Ok((Next::Changed, _)) => return Ok(()),
                Ok((Next::End, on)) if on.bad.count > 0 => {
                    return self.refuse(place, &claimed, written, on.bad, stored).await;
                }
                Ok((Next::End, _)) => break,
                Err(Unread::Never(why)) => return self.refuse(place, &claimed, written, Bad::of(why), stored).await,
                Err(Unread::Now(error)) => return Err(Trouble::Folder(format!("{}: {error}", claimed.name))),
            }
        }
        self.put(place, &claimed, None).await?;
        tracing::debug!(source = %self.source.name(), events = stored, "a file was taken");
        self.change(|report| {
            report.files += 1;
            report.last_success = Some(jiff::Timestamp::now().into());
        });
        Ok(())
    }

    /// Reads on, on a thread that may block.
    pub(super) async fn next(
        &self,
        claimed: &Claimed,
        reading: Reading,
        written: i128,
    ) -> Result<(Next, Reading), Unread> {
        let (source, log, trust) = (Arc::clone(&self.source), Arc::clone(&self.log), self.folder.plan.trust());
        let (name, mut reading) = (claimed.name.clone(), reading);
        let reading = tokio::task::spawn_blocking(move || {
            let next = reading.next(&source, &Dropped { name: &name, written, trust }, &*log);
            next.map(|next| (next, reading)).map_err(Unread::Now)
        });
        match tokio::time::timeout(MAP_TIMEOUT, reading).await {
            Ok(Ok(next)) => next,
            Ok(Err(_)) => Err(Unread::Never("the map ended in a panic".to_owned())),
            Err(_) => Err(Unread::Never("the map did not end within a minute".to_owned())),
        }
    }

    /// Tells that a file cannot be taken, or not all of it, and puts it into `failed/`.
    async fn refuse(
        &self,
        place: &Arc<Place>,
        claimed: &Arc<Claimed>,
        written: i128,
        bad: Bad,
        stored: u64,
    ) -> Result<(), Trouble> {
        let name = self.source.name();
        let told = told::file_failed(name, (&claimed.name, written), &bad, stored, jiff::Timestamp::now().into());
        self.tell(told.map_err(|error| Trouble::Log(error.to_string()))?).await?;
        self.put(place, claimed, Some(told::explained(&bad, stored))).await?;
        tracing::warn!(source = %name, pieces = bad.count, "a file was refused; it lies in failed/, with the reason beside it");
        let said = bad.said.into_iter().next().unwrap_or_default();
        self.change(|report| {
            report.refused += 1;
            report.last_error = Some(clip(&format!("{}: {said}", claimed.name), MAX_ERROR));
            report.last_error_at = Some(jiff::Timestamp::now().into());
        });
        Ok(())
    }

    /// Puts a file away; into `failed/` where there is a reason.
    async fn put(&self, place: &Arc<Place>, claimed: &Arc<Claimed>, failed: Option<String>) -> Result<(), Trouble> {
        let (place, claimed, done) = (Arc::clone(place), Arc::clone(claimed), self.folder.plan.done);
        let put = move || {
            let end = match (&failed, done) {
                (Some(why), _) => End::Failed(why),
                (None, Done::Move) => End::Done,
                (None, Done::Delete) => End::Gone,
            };
            place.put(&claimed, end)
        };
        aside(put).await
    }

    async fn tell(&self, event: (Subject, EventId, bytes::Bytes)) -> Result<(), Trouble> {
        tell_new(&*self.log, vec![event]).await.map(drop).map_err(Trouble::from)
    }

    fn went_well(&mut self, state: &str, waiting: usize) {
        if self.told.take().is_some() {
            tracing::info!(source = %self.source.name(), "files are taken again");
        }
        self.change(|report| {
            report.state = state.to_owned();
            (report.failures, report.waiting) = (0, waiting as u64);
        });
    }

    /// Tells what is the matter, once.
    pub(super) async fn went_wrong(&mut self, trouble: Trouble, failures: u32) {
        let (source, now) = (Arc::clone(&self.source), Time::from(jiff::Timestamp::now()));
        let (reason, of_folder) = match trouble {
            Trouble::Folder(reason) => (format!("{}: {reason}", self.folder.path.display()), true),
            Trouble::Log(reason) => (reason, false),
        };
        self.change(|report| {
            (report.state, report.failures) = ("failing".to_owned(), failures);
            report.last_error = Some(clip(&reason, MAX_ERROR));
            report.last_error_at = Some(now);
        });
        if self.told.as_ref() == Some(&reason) {
            return;
        }
        tracing::warn!(source = %source.name(), reason, "files are not taken; it is tried again");
        if of_folder {
            let told = told::folder_failed(source.name(), &reason, now);
            if let Ok(event) = told
                && let Err(error) = self.tell(event).await
            {
                tracing::debug!(?error, "that a folder fails is not told yet");
                return;
            }
        }
        self.told = Some(reason);
    }

    fn change(&self, change: impl FnOnce(&mut FolderReport)) {
        self.folders.change(self.source.name().as_str(), change);
    }
}

/// Opens the folder and looks into it; nothing where there is none.
fn opened(folder: &Folder) -> std::io::Result<Option<(Place, Look)>> {
    let path = match guarded(folder) {
        Ok(path) => path,
        Err(FileError::Unreadable { error, .. }) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error @ FileError::Shared { .. }) => {
            let why = format!("{error}; or say `trust: unverified`: its files are no word of anybody's");
            return Err(Error::other(why));
        }
        Err(error) => return Err(Error::other(error)),
    };
    let place = match Place::open(&path) {
        Ok(place) => place,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let look = place.look(|name| folder.plan.takes(name))?;
    Ok(Some((place, look)))
}

/// Where the folder is; where nobody else may write there, only if that is so.
fn guarded(folder: &Folder) -> Result<PathBuf, FileError> {
    if folder.plan.must_be_guarded() {
        return private::ours_alone(&folder.path).map(|(path, _)| path);
    }
    Ok(folder.path.clone())
}

/// Keeps the first trouble with a folder's files, and gives what is another.
fn passing(taken: Result<(), Trouble>, first: &mut Option<Trouble>) -> Result<(), Trouble> {
    match taken {
        Err(trouble @ Trouble::Folder(_)) => {
            first.get_or_insert(trouble);
            Ok(())
        }
        other => other,
    }
}

/// Does what blocks where that does no harm.
async fn aside<T: Send + 'static>(blocks: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> Result<T, Trouble> {
    let done = tokio::task::spawn_blocking(blocks).await;
    done.map_err(|error| Trouble::Folder(format!("what looks after files ended in a panic: {error}")))?
        .map_err(Trouble::from)
}
