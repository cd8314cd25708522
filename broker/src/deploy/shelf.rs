//! Packages on this broker's own disk, each copied from JetStream when it is first asked for. What is here is whole: a copy
//! takes its name, which is its SHA-256, only once all of it is read and summed. So every broker serves the same bytes, and
//! goes on while NATS is away. Who asks is nobody that is known: what takes time is done once for all who ask, goes on when
//! they hang up, and ends in time.

mod once;

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use data_encoding::HEXLOWER;
use once::Once;
use ring::digest::{Context, SHA256};
use tokio::{
    fs::File,
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

use crate::{
    bus::{Bus, BusError},
    core::Package,
};

/// How long it is believed what is kept. It is asked for as a whole: names that somebody makes up cost nothing.
const KNOWN_FOR: Duration = Duration::from_secs(5);
/// How long NATS, where it did not answer, is not asked again, and what was kept before is believed.
const AWAY_FOR: Duration = Duration::from_secs(30);
/// How long listing what is kept may take.
const LISTED_WITHIN: Duration = Duration::from_secs(10);
/// How long a copy may take.
const COPIED_WITHIN: Duration = Duration::from_mins(10);
/// How long somebody waits for a copy, and is told to come again then. It goes on.
const WAITED_FOR: Duration = Duration::from_secs(60);
/// A copy that failed is not begun again before so much time is over since it began.
const AGAIN_AFTER: Duration = Duration::from_secs(30);
/// Bytes that are copied at once.
const PIECE: usize = 128 * 1024;

/// Why a package cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// NATS is away, and there is no copy here.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The disk.
    #[error("{path}: {error}")]
    Io {
        /// What was read or written.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// What is kept is not what it says.
    #[error(
        "{0} in the bucket of packages is not what it says it is: remove it, and add it again (`emote deploy rm --force`)"
    )]
    Damaged(String),
    /// JetStream gives it too slowly, or no longer.
    #[error("{0}: it did not come from JetStream within {within} s", within = COPIED_WITHIN.as_secs())]
    Late(String),
    /// It may be here later.
    #[error("it is still on its way from JetStream")]
    UnderWay,
    /// The task that was to bring it is gone.
    #[error("the copy broke off")]
    BrokeOff,
    /// What somebody was told who asked for the same.
    #[error(transparent)]
    Shared(Arc<ShelfError>),
}

/// A package that is here.
#[derive(Debug, Clone)]
pub struct Shelved {
    /// What it is.
    pub package: Package,
    /// Its bytes.
    pub file: PathBuf,
}

/// Where packages are.
#[async_trait::async_trait]
pub trait Packages: Send + Sync {
    /// What the package of this name is; nothing where there is none.
    async fn about(&self, name: &str) -> Result<Option<Package>, ShelfError>;
    /// Its bytes.
    async fn file(&self, package: Package) -> Result<Shelved, ShelfError>;
}

/// Bytes on their way.
type Bytes = Box<dyn AsyncRead + Send + Unpin>;

/// Where packages come from.
#[async_trait::async_trait]
trait Origin: Send + Sync {
    /// All that are kept.
    async fn kept(&self) -> Result<Vec<Package>, BusError>;
    /// The bytes of the one under this name, however many there are.
    async fn bytes(&self, name: &str) -> Result<Bytes, BusError>;
}

#[async_trait::async_trait]
impl Origin for Bus {
    async fn kept(&self) -> Result<Vec<Package>, BusError> {
        Ok(self.kept_packages().await?.into_iter().map(|kept| kept.package).collect())
    }

    async fn bytes(&self, name: &str) -> Result<Bytes, BusError> {
        Ok(Box::new(self.read_package(name).await?))
    }
}

/// The packages of a broker.
pub struct Shelf {
    known: Mutex<Known>,
    folder: Arc<Folder>,
}

type List = Arc<[Package]>;

/// What is kept.
#[derive(Default)]
struct Known {
    listing: Option<Once<List>>,
    /// What the last listing said that ended well, but for `listing`.
    before: Option<List>,
}

impl Known {
    /// Whether what is known, or is about to be, need not be asked for again.
    fn lasts(&self) -> bool {
        self.listing.as_ref().is_some_and(|listing| match listing.ended() {
            None => true,
            Some(Err(_)) if self.before.is_some() => listing.age() < AWAY_FOR,
            Some(_) => listing.age() < KNOWN_FOR,
        })
    }
}

impl Shelf {
    /// In a folder of its own, which is made when it is needed.
    pub fn new(bus: Bus, folder: PathBuf) -> Self {
        Self::from(Arc::new(bus), folder)
    }

    fn from(origin: Arc<dyn Origin>, folder: PathBuf) -> Self {
        Self { known: Mutex::default(), folder: Arc::new(Folder { origin, path: folder, copying: Mutex::default() }) }
    }

    /// What is kept, as it was listed just now, or is being listed; and as it was known before.
    fn listing(&self) -> (Once<List>, Option<List>) {
        let mut known = lock(&self.known);
        let listing = match known.listing.clone().filter(|_| known.lasts()) {
            Some(listing) => listing,
            None => {
                if let Some(Ok(list)) = known.listing.take().and_then(|listing| listing.ended()) {
                    known.before = Some(list);
                }
                let origin = Arc::clone(&self.folder.origin);
                Once::begin(async move { Ok(listed(&*origin).await?.into()) })
            }
        };
        known.listing = Some(listing.clone());
        (listing, known.before.clone())
    }

    /// What was copied before this broker began, while nobody says what is kept.
    async fn found_here(&self) -> Option<List> {
        let found = self.folder.packages().await;
        if found.is_empty() {
            return None;
        }
        let list: List = found.into();
        lock(&self.known).before.get_or_insert_with(|| Arc::clone(&list));
        Some(list)
    }
}

#[async_trait::async_trait]
impl Packages for Shelf {
    async fn about(&self, name: &str) -> Result<Option<Package>, ShelfError> {
        let (listing, before) = self.listing();
        let list = match (listing.within(LISTED_WITHIN).await, before) {
            // What was there is still here.
            (Ok(list), _) | (Err(_), Some(list)) => list,
            (Err(error), None) => self.found_here().await.ok_or(error)?,
        };
        Ok(list.iter().find(|package| package.file_name() == name).cloned())
    }

    async fn file(&self, package: Package) -> Result<Shelved, ShelfError> {
        if !self.folder.has(&package).await {
            self.folder.copying(&package).within(WAITED_FOR).await?;
        } else if let Err(error) = self.folder.put_label(&package).await {
            tracing::debug!(%error, "a copy stays without a label, and is not known where NATS is away at the start");
        }
        Ok(Shelved { file: self.folder.file(&package), package })
    }
}

/// Copies on the disk, and those under way.
struct Folder {
    origin: Arc<dyn Origin>,
    path: PathBuf,
    /// By their SHA-256.
    copying: Mutex<HashMap<String, Once<()>>>,
}

impl Folder {
    fn file(&self, package: &Package) -> PathBuf {
        self.path.join(format!("{}.pkg", package.sha256))
    }

    fn partly(&self, sha256: &str) -> PathBuf {
        self.path.join(format!("{sha256}.partly"))
    }

    /// What a copy is, beside it.
    fn label(&self, package: &Package) -> PathBuf {
        self.path.join(format!("{}.json", package.sha256))
    }

    /// Labels a copy that is not; those made by brokers before this one are not.
    async fn put_label(&self, package: &Package) -> Result<(), ShelfError> {
        let label = self.label(package);
        if tokio::fs::metadata(&label).await.is_ok() {
            return Ok(());
        }
        let json = serde_json::to_vec(package).map_err(|error| failed(&label, error.into()))?;
        tokio::fs::write(&label, json).await.map_err(|error| failed(&label, error))
    }

    /// The packages that are here, whole and labelled.
    async fn packages(&self) -> Vec<Package> {
        let mut found = Vec::new();
        let Ok(mut entries) = tokio::fs::read_dir(&self.path).await else { return found };
        while let Ok(Some(entry)) = entries.next_entry().await {
            if entry.path().extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let Ok(label) = tokio::fs::read(entry.path()).await else { continue };
            let package = serde_json::from_slice(&label).ok().filter(|package: &Package| package.check().is_ok());
            if let Some(package) = package.filter(|package| self.label(package) == entry.path())
                && self.has(&package).await
            {
                found.push(package);
            }
        }
        found
    }

    async fn has(&self, package: &Package) -> bool {
        tokio::fs::metadata(self.file(package)).await.is_ok_and(|meta| meta.len() == package.size)
    }

    /// The copy of this package that is under way, or has just failed; one that begins where there is none.
    fn copying(self: &Arc<Self>, package: &Package) -> Once<()> {
        let mut copying = lock(&self.copying);
        copying.retain(|_, copy| match copy.ended() {
            None => true,
            Some(Ok(())) => false,
            Some(Err(_)) => copy.age() < AGAIN_AFTER,
        });
        let begin = || Once::begin(Arc::clone(self).shelve(package.clone()));
        copying.entry(package.sha256.clone()).or_insert_with(begin).clone()
    }

    async fn shelve(self: Arc<Self>, package: Package) -> Result<(), ShelfError> {
        // It may have been copied while somebody came to ask.
        if self.has(&package).await {
            return Ok(());
        }
        let copied = timeout(COPIED_WITHIN, self.copy(&package)).await;
        let copied = copied.unwrap_or_else(|_| Err(ShelfError::Late(package.file_name())));
        if copied.is_err() {
            take_away(&self.partly(&package.sha256)).await;
        }
        copied
    }

    async fn copy(&self, package: &Package) -> Result<(), ShelfError> {
        let (name, partly, to) = (package.file_name(), self.partly(&package.sha256), self.file(package));
        tokio::fs::create_dir_all(&self.path).await.map_err(|error| failed(&self.path, error))?;
        self.sweep().await;
        let bytes = self.origin.bytes(&name).await?;
        let mut file = File::create(&partly).await.map_err(|error| failed(&partly, error))?;
        // One byte more shows that there are too many.
        let sum = write(bytes.take(package.size + 1), &mut file, &partly).await?;
        file.sync_all().await.map_err(|error| failed(&partly, error))?;
        if sum != package.sha256 {
            return Err(ShelfError::Damaged(name));
        }
        // Before it: what has its name has a label.
        self.put_label(package).await?;
        tokio::fs::rename(&partly, &to).await.map_err(|error| failed(&to, error))?;
        tracing::info!(package = name, size = package.size, "a package was copied from JetStream");
        Ok(())
    }

    /// Takes away copies of what is kept no longer, and what was left of those that broke off.
    async fn sweep(&self) {
        let Ok(kept) = listed(&*self.origin).await else { return };
        let Ok(mut entries) = tokio::fs::read_dir(&self.path).await else { return };
        while let Ok(Some(entry)) = entries.next_entry().await {
            let path = entry.path();
            let is_kept = kept.iter().any(|package| [self.file(package), self.label(package)].contains(&path));
            let is_copied = || {
                let copying = lock(&self.copying);
                copying.iter().any(|(sha256, copy)| copy.ended().is_none() && self.partly(sha256) == path)
            };
            if !is_kept && !is_copied() {
                take_away(&path).await;
            }
        }
    }
}

async fn listed(origin: &dyn Origin) -> Result<Vec<Package>, ShelfError> {
    Ok(timeout(LISTED_WITHIN, origin.kept()).await.map_err(|_| ShelfError::UnderWay)??)
}

/// What cannot be taken away costs room alone.
async fn take_away(path: &Path) {
    match tokio::fs::remove_file(path).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::debug!(%error, file = %path.display(), "an old package stays");
        }
        _ => {}
    }
}

/// Writes all there is; its SHA-256.
async fn write(mut from: impl AsyncRead + Unpin, to: &mut File, path: &Path) -> Result<String, ShelfError> {
    let (mut context, mut buffer) = (Context::new(&SHA256), vec![0; PIECE]);
    let lost = |error: io::Error| BusError::NoAnswer { doing: "reading a package", reason: error.to_string() };
    loop {
        match from.read(&mut buffer).await.map_err(lost)? {
            0 => break,
            read => {
                context.update(&buffer[..read]);
                to.write_all(&buffer[..read]).await.map_err(|error| failed(path, error))?;
            }
        }
    }
    to.flush().await.map_err(|error| failed(path, error))?;
    Ok(HEXLOWER.encode(context.finish().as_ref()))
}

fn failed(path: &Path, error: io::Error) -> ShelfError {
    ShelfError::Io { path: path.to_owned(), error }
}

fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
