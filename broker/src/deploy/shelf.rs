//! Packages on this broker's own disk, each copied from JetStream when it is first asked for. What is here is whole: a copy
//! takes its name, which is its SHA-256, only once all of it is read and summed. So every broker serves the same bytes, and
//! goes on while NATS is away.

use std::{
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use data_encoding::HEXLOWER;
use ring::digest::{Context, SHA256};
use tokio::{fs::File, io::AsyncReadExt as _, sync::Mutex};

use crate::{
    bus::{Bus, BusError},
    core::Package,
};

/// How long it is believed what is kept. It is asked for as a whole: names that somebody makes up cost nothing.
const KNOWN_FOR: Duration = Duration::from_secs(5);

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
    #[error("{0} in the bucket of packages is not what it says it is: remove it, and add it again (`emote deploy rm`)")]
    Damaged(String),
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

/// The packages of a broker.
pub struct Shelf {
    bus: Bus,
    folder: PathBuf,
    known: Mutex<Option<(Instant, Vec<Package>)>>,
    /// One is copied at a time.
    copying: Mutex<()>,
}

impl Shelf {
    /// In a folder of its own, which is made when it is needed.
    pub fn new(bus: Bus, folder: PathBuf) -> Self {
        Self { bus, folder, known: Mutex::default(), copying: Mutex::default() }
    }

    async fn copy(&self, package: &Package, to: &Path) -> Result<(), ShelfError> {
        let name = package.file_name();
        tokio::fs::create_dir_all(&self.folder).await.map_err(|error| failed(&self.folder, error))?;
        self.sweep().await;
        let partly = self.folder.join(format!("{}.partly", package.sha256));
        let mut file = File::create(&partly).await.map_err(|error| failed(&partly, error))?;
        self.bus.read_package(&name, &mut file).await?;
        file.sync_all().await.map_err(|error| failed(&partly, error))?;
        if sum(&partly).await.map_err(|error| failed(&partly, error))? != package.sha256 {
            return Err(ShelfError::Damaged(name));
        }
        tokio::fs::rename(&partly, to).await.map_err(|error| failed(to, error))?;
        tracing::info!(package = name, size = package.size, "a package was copied from JetStream");
        Ok(())
    }

    /// Takes away copies of what is kept no longer. What cannot be taken away costs room alone.
    async fn sweep(&self) {
        let Ok(kept) = self.bus.kept_packages().await else { return };
        let Ok(mut entries) = tokio::fs::read_dir(&self.folder).await else { return };
        while let Ok(Some(entry)) = entries.next_entry().await {
            let name = entry.file_name();
            let is_kept = kept.iter().any(|kept| name.to_str() == Some(&copy_name(&kept.package)));
            if !is_kept && let Err(error) = tokio::fs::remove_file(entry.path()).await {
                tracing::debug!(%error, file = %entry.path().display(), "an old package stays");
            }
        }
    }
}

#[async_trait::async_trait]
impl Packages for Shelf {
    async fn about(&self, name: &str) -> Result<Option<Package>, ShelfError> {
        let mut known = self.known.lock().await;
        if known.as_ref().is_none_or(|(at, _)| at.elapsed() >= KNOWN_FOR) {
            match (self.bus.kept_packages().await, known.as_mut()) {
                (Ok(kept), _) => {
                    *known = Some((Instant::now(), kept.into_iter().map(|kept| kept.package).collect()));
                }
                // What was there is still here, and NATS is not asked for every request while it is away.
                (Err(_), Some((at, _))) => *at = Instant::now(),
                (Err(error), None) => return Err(error.into()),
            }
        }
        let packages = known.iter().flat_map(|(_, packages)| packages);
        Ok(packages.into_iter().find(|package| package.file_name() == name).cloned())
    }

    async fn file(&self, package: Package) -> Result<Shelved, ShelfError> {
        let file = self.folder.join(copy_name(&package));
        let is_here = async || {
            let size = tokio::fs::metadata(&file).await.map(|meta| meta.len());
            size.is_ok_and(|size| size == package.size)
        };
        if !is_here().await {
            let _copying = self.copying.lock().await;
            if !is_here().await {
                self.copy(&package, &file).await?;
            }
        }
        Ok(Shelved { package, file })
    }
}

fn copy_name(package: &Package) -> String {
    format!("{}.pkg", package.sha256)
}

fn failed(path: &Path, error: io::Error) -> ShelfError {
    ShelfError::Io { path: path.to_owned(), error }
}

async fn sum(path: &Path) -> io::Result<String> {
    let (mut file, mut context, mut buffer) = (File::open(path).await?, Context::new(&SHA256), vec![0; 128 * 1024]);
    loop {
        match file.read(&mut buffer).await? {
            0 => return Ok(HEXLOWER.encode(context.finish().as_ref())),
            read => context.update(&buffer[..read]),
        }
    }
}
