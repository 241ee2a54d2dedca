//! Follows a file that people edit: an edit is live a few milliseconds after it was written.
//!
//! The directory is watched, because editors replace files, and a slow sweep finds what the kernel did
//! not tell (a symbolic link's target, a network file system, a replaced directory). What cannot be used is
//! looked at again a moment later before anybody hears of it: it may be half written.

pub(crate) mod read;

use std::fmt::Debug;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use self::read::{Reading, Stamp, read};
use crate::stop::Stop;

/// The largest file that is read, in bytes.
pub(crate) const MAX_BYTES: usize = 16 * 1024 * 1024;

/// How long a burst of events may go on before the file is read.
const SETTLE: Duration = Duration::from_millis(5);
/// How long something unusable must stay the same before it is reported.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long something unusable may keep changing before it is reported.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the file's state is compared without having been told of a change.
const SWEEP: Duration = Duration::from_secs(5);

/// A kind of file that is followed, and what its readings are for everybody.
pub trait Document: Debug + Send + Sync + 'static {
    /// One reading, for everybody; the default stands before the first.
    type Snapshot: Debug + Default + Send + Sync + 'static;

    /// What the file is called in the log.
    const NAME: &'static str;

    /// Reads what was found, given what holds until now.
    fn load(path: &Path, found: Found<'_>, previous: &Self::Snapshot) -> Loaded<Self::Snapshot>;

    /// Logs a reading that holds from now on.
    fn announce(snapshot: &Self::Snapshot);
}

/// What is at the file's path.
#[derive(Debug, Clone, Copy)]
pub enum Found<'a> {
    /// Nothing.
    Missing,
    /// A file with these bytes; one more than the limit when it is too large.
    Content(&'a [u8]),
    /// Something that cannot be read.
    Failed(&'a io::Error),
}

/// What a reading came to.
#[derive(Debug)]
pub struct Loaded<S> {
    /// What holds from now on.
    pub snapshot: S,
    /// Whether what was found could not be used as a whole: it is looked at again before it counts.
    pub is_unreadable: bool,
}

/// Follows a file.
#[derive(Debug)]
pub struct Follow<D: Document> {
    path: PathBuf,
    sender: watch::Sender<Arc<D::Snapshot>>,
    told: mpsc::Sender<()>,
    wakes: mpsc::Receiver<()>,
    /// The watcher, and the directory that it watches.
    watcher: Option<(RecommendedWatcher, (u64, u64))>,
    stamp: Option<Stamp>,
    /// What the snapshot was made from.
    published: Option<Fingerprint>,
    doubt: Option<Doubt>,
}

/// Tells two states of the file apart.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fingerprint {
    Missing,
    Failed(String),
    Content([u8; 32]),
}

/// The file cannot be used just now.
#[derive(Debug)]
struct Doubt {
    fingerprint: Fingerprint,
    /// Since when it is like this.
    since: Instant,
    /// Since when it cannot be used.
    began: Instant,
}

/// One look at the file.
struct Look<S> {
    fingerprint: Fingerprint,
    stamp: Option<Stamp>,
    /// `None` when it is as it was.
    loaded: Option<Loaded<S>>,
}

impl<D: Document> Follow<D> {
    /// Starts to watch and reads the file for the first time; [`Follow::subscribe`] has the result.
    pub async fn open(path: impl Into<PathBuf>) -> Self {
        let (told, wakes) = mpsc::channel(1);
        let sender = watch::Sender::new(Arc::default());
        let path = path.into();
        let mut this = Self { path, sender, told, wakes, watcher: None, stamp: None, published: None, doubt: None };
        // Watching begins before reading, so that no edit falls between.
        this.follow_directory();
        this.look().await;
        while this.doubt.is_some() {
            sleep(LOOK_AGAIN).await;
            this.look().await;
        }
        this
    }

    /// The newest snapshot, now and whenever there is another.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<D::Snapshot>> {
        self.sender.subscribe()
    }

    /// Follows the file until told to stop.
    pub async fn run(mut self, stop: Stop) {
        stop.run_until_cancelled(self.follow()).await;
    }

    async fn follow(&mut self) {
        loop {
            let patience = if self.doubt.is_some() { LOOK_AGAIN } else { SWEEP };
            match timeout(patience, self.wakes.recv()).await {
                Ok(_) => {
                    sleep(SETTLE).await;
                    while self.wakes.try_recv().is_ok() {}
                    self.look().await;
                }
                Err(_) if self.doubt.is_some() => self.look().await,
                Err(_) => self.sweep().await,
            }
        }
    }

    /// Looks if anything about the file changed, and watches the directory anew if it is another one.
    async fn sweep(&mut self) {
        self.follow_directory();
        let stamp = fs::metadata(&self.path).ok().map(|metadata| Stamp::of(&metadata));
        if stamp != self.stamp {
            self.look().await;
            while self.doubt.is_some() {
                sleep(LOOK_AGAIN).await;
                self.look().await;
            }
        }
    }

    /// Reads the file and publishes what it says if that is new and certain.
    async fn look(&mut self) {
        let path = self.path.clone();
        let previous = Arc::clone(&self.sender.borrow());
        let published = self.published.clone();
        let looking = tokio::task::spawn_blocking(move || look::<D>(&path, &previous, published.as_ref()));
        let Ok(Look { fingerprint, stamp, loaded }) = looking.await else {
            tracing::error!("reading the {} panicked; what it said before stays", D::NAME);
            return;
        };
        self.stamp = stamp;
        let Some(loaded) = loaded else {
            self.doubt = None;
            return;
        };
        if loaded.is_unreadable {
            let now = Instant::now();
            let (since, began) = match self.doubt.take() {
                Some(doubt) if doubt.fingerprint == fingerprint => (doubt.since, doubt.began),
                Some(doubt) => (now, doubt.began),
                None => (now, now),
            };
            if now - since < LOOK_AGAIN && now - began < PATIENCE {
                self.doubt = Some(Doubt { fingerprint, since, began });
                return;
            }
        }
        self.doubt = None;
        self.published = Some(fingerprint);
        D::announce(&loaded.snapshot);
        self.sender.send_replace(Arc::new(loaded.snapshot));
    }

    /// Watches the file's directory, unless it is watched already.
    fn follow_directory(&mut self) {
        let directory = directory_of(&self.path);
        let identity = fs::metadata(directory).ok().map(|metadata| (metadata.dev(), metadata.ino()));
        if self.watcher.as_ref().map(|(_, identity)| *identity) == identity {
            return;
        }
        self.watcher = identity.and_then(|identity| match start_watcher(&self.path, self.told.clone()) {
            Ok(watcher) => Some((watcher, identity)),
            Err(error) => {
                tracing::warn!(%error, "cannot watch the {}; changes are found within {SWEEP:?}", D::NAME);
                None
            }
        });
    }
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn start_watcher(path: &Path, told: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let name = path.file_name().map(ToOwned::to_owned);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        let concerns = event.is_ok_and(|event| {
            // Reading the file is an event too; to be woken by our own look would never end.
            let written =
                !event.kind.is_access() || event.kind == EventKind::Access(AccessKind::Close(AccessMode::Write));
            let ours = event.paths.iter().any(|path| path.file_name() == name.as_deref());
            event.need_rescan() || (written && ours)
        });
        if concerns {
            // Full means that a wake waits already.
            let _ = told.try_send(());
        }
    })?;
    watcher.watch(directory_of(path), RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

fn look<D: Document>(path: &Path, previous: &D::Snapshot, published: Option<&Fingerprint>) -> Look<D::Snapshot> {
    let reading = read(path, MAX_BYTES);
    let fingerprint = fingerprint(&reading);
    let stamp = match &reading {
        Ok(Reading::Content { metadata, .. }) => Some(Stamp::of(metadata)),
        _ => fs::metadata(path).ok().map(|metadata| Stamp::of(&metadata)),
    };
    if published == Some(&fingerprint) {
        return Look { fingerprint, stamp, loaded: None };
    }
    let found = match &reading {
        Ok(Reading::Content { bytes, .. }) => Found::Content(bytes),
        Ok(Reading::Missing) => Found::Missing,
        Err(error) => Found::Failed(error),
    };
    Look { loaded: Some(D::load(path, found, previous)), fingerprint, stamp }
}

fn fingerprint(reading: &io::Result<Reading>) -> Fingerprint {
    match reading {
        Ok(Reading::Missing) => Fingerprint::Missing,
        Ok(Reading::Content { bytes, .. }) => Fingerprint::Content(Sha256::digest(bytes).into()),
        Err(error) => Fingerprint::Failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
