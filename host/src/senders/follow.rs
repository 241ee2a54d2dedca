//! The sender allowlist while the host runs.

use std::path::Path;

use super::Senders;
use crate::follow::{Document, Follow, Found, Loaded};
use crate::strict::Mistake;

/// Follows the sender allowlist.
pub type SendersWatch = Follow<SendersDocument>;

/// The sender allowlist, as it is followed.
#[derive(Debug)]
pub enum SendersDocument {}

impl Document for SendersDocument {
    type Snapshot = Senders;

    const NAME: &'static str = "sender allowlist";

    fn load(path: &Path, found: Found<'_>, previous: &Senders) -> Loaded<Senders> {
        let snapshot = match found {
            Found::Content(bytes) => previous.read(bytes),
            Found::Missing => previous.missing(&path.display().to_string()),
            Found::Failed(error) => {
                previous.unusable(&[Mistake::of_file(format!("`{}` cannot be read: {error}", path.display()))])
            }
        };
        Loaded { is_unreadable: !snapshot.problems.is_empty(), snapshot }
    }

    fn announce(senders: &Senders) {
        if *senders == Senders::everybody() {
            tracing::info!("no sender allowlist: everybody may wake agents");
        } else if senders.problems.is_empty() {
            tracing::info!("sender allowlist read");
        }
        for problem in &senders.problems {
            tracing::error!("sender allowlist: {problem}");
        }
    }
}

impl Senders {
    /// What a host that is started now would find. Blocking.
    #[must_use]
    pub fn at_start(path: &Path) -> Self {
        let none = Self::default();
        let found = crate::follow::read::read(path);
        let found = match &found {
            Ok(crate::follow::read::Reading::Content { bytes, .. }) => Found::Content(bytes),
            Ok(crate::follow::read::Reading::Missing) => Found::Missing,
            Err(error) => Found::Failed(error),
        };
        SendersDocument::load(path, found, &none).snapshot
    }
}
