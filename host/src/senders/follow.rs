//! The sender allowlist while the host runs.

use std::path::Path;

use super::Senders;
use crate::follow::read::{Reading, read};
use crate::follow::{Document, Follow, Found, Loaded, MAX_BYTES};
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
        // A file that is saved by some editors is gone for a moment.
        let is_missed = matches!(found, Found::Missing) && previous.has_list();
        let snapshot = match found {
            Found::Content(bytes) => previous.read(bytes),
            Found::Missing => Senders::everybody(),
            Found::Failed(error) => {
                previous.unusable(&[Mistake::of_file(format!("`{}` cannot be read: {error}", path.display()))])
            }
        };
        Loaded { is_unreadable: is_missed || !snapshot.problems.is_empty(), snapshot }
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
        let found = read(path, MAX_BYTES);
        let found = match &found {
            Ok(Reading::Content { bytes, .. }) => Found::Content(bytes),
            Ok(Reading::Missing) => Found::Missing,
            Err(error) => Found::Failed(error),
        };
        SendersDocument::load(path, found, &none).snapshot
    }
}
