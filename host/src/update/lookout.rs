//! Asks the registry daily for newer releases of the CLIs, tells the operator, and has them taken where that is
//! wanted. Nothing else depends on its answer.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use longshore_protocol::ProviderKind;

use super::plan::{Newest, Remembered};
use super::registry::newest;
use super::taker::{LOG, Taker};
use super::versions::{Release, package};
use crate::clock::Clock;
use crate::config::BaseUrl;
use crate::container::ContainerRuntime;
use crate::stop::Stop;

/// What is remembered, under the installation's root.
pub const FILE: &str = "data/cli-updates.json";
/// Larger than it ever is.
const MAX_BYTES: u64 = 64 * 1024;
/// How long the engine may take to tell the image's versions.
const PATIENCE: Duration = Duration::from_secs(3);

/// Which releases there are, beside those in the agent image.
#[derive(Clone)]
pub struct News {
    known: Arc<Mutex<Vec<Newest>>>,
    runtime: Arc<dyn ContainerRuntime>,
    image: String,
}

impl News {
    /// None yet, for an image of this name.
    #[must_use]
    pub fn new(runtime: Arc<dyn ContainerRuntime>, image: String) -> Self {
        Self { known: Arc::default(), runtime, image }
    }

    /// The releases that are newer than what the image has now. None while there is no image, or no engine.
    pub async fn newer(&self) -> Vec<Release> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if known.is_empty() {
            return Vec::new();
        }
        let Ok(Ok(image)) = tokio::time::timeout(PATIENCE, self.runtime.image(&self.image)).await else {
            return Vec::new();
        };
        let installed = |provider| match provider {
            ProviderKind::Claude => image.claude.clone(),
            ProviderKind::Codex => image.codex.clone(),
        };
        let releases =
            known.into_iter().map(|Newest { provider, version }| Release::new(provider, installed(provider), version));
        releases.filter(|release| release.is_newer).collect()
    }

    fn know(&self, newest: &[Newest]) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = newest.to_vec();
    }
}

/// Whoever asks.
pub struct Lookout {
    registry: BaseUrl,
    news: News,
    clock: Clock,
    file: PathBuf,
    installation: String,
    start: Timestamp,
    remembered: Remembered,
    taker: Option<Taker>,
}

impl Lookout {
    /// Of an installation whose host starts now; goes on where the last one ended. Without a taker it only tells.
    #[must_use]
    pub fn open(root: &Path, registry: BaseUrl, news: News, clock: Clock, taker: Option<Taker>) -> Self {
        let file = root.join(FILE);
        let remembered = read(&file).unwrap_or_else(|error| {
            tracing::debug!(%error, file = FILE, "what is known of newer releases cannot be read; it is asked for again");
            Remembered::default()
        });
        news.know(&remembered.newest);
        let (installation, start) = (root.display().to_string(), clock.now());
        Self { registry, news, clock, file, installation, start, remembered, taker }
    }

    /// Asks when it is time, until told to stop.
    pub async fn run(mut self, stop: Stop) {
        loop {
            let next = self.remembered.next(self.start, self.clock.now(), &self.installation);
            let asked = async {
                self.clock.clone().sleep_until(next).await;
                self.ask().await;
            };
            if stop.run_until_cancelled(asked).await.is_none() {
                return;
            }
        }
    }

    async fn ask(&mut self) {
        // Before the answer, so that a host that ends right now does not ask again when it comes back.
        self.remembered.asked_at = Some(self.clock.now().to_string());
        self.write();
        for provider in [ProviderKind::Claude, ProviderKind::Codex] {
            match newest(&self.registry, package(provider)).await {
                Ok(version) => self.remembered.keep(Newest { provider, version }),
                Err(error) => {
                    tracing::warn!(
                        %error,
                        "newer releases of the CLIs are not known; asked again in a day, or not at all with `CLI_UPDATES=never`"
                    );
                    break;
                }
            }
        }
        self.news.know(&self.remembered.newest);
        let newer = self.news.newer().await;
        for Release { provider, installed, newest, .. } in self.remembered.untold(&newer) {
            tracing::info!(
                %provider,
                installed,
                newest,
                "there is a newer release; `longshore update apply` rehearses it and takes it"
            );
        }
        let taker = self.taker.clone().filter(|_| self.remembered.tries(&newer));
        // Counted before it is begun, so that a host that dies of it does not try for ever.
        self.write();
        if let Some(taker) = taker {
            match taker.take().await {
                Ok(()) => tracing::info!("the newest releases were rehearsed and taken"),
                Err(why) => {
                    tracing::warn!(why, log = LOG, "the newest releases were not taken; the image is as it was")
                }
            }
        }
    }

    fn write(&self) {
        if let Err(error) = write(&self.file, &self.remembered) {
            tracing::warn!(%error, file = FILE, "what is known of newer releases cannot be written");
        }
    }
}

fn read(file: &Path) -> io::Result<Remembered> {
    let file = match File::open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Remembered::default()),
        opened => opened?,
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}

/// In one step. It need not survive a loss of power: then it is asked for once more.
fn write(file: &Path, remembered: &Remembered) -> io::Result<()> {
    let new = file.with_extension("json.new");
    fs::write(&new, serde_json::to_vec(remembered)?)?;
    fs::rename(&new, file)
}
