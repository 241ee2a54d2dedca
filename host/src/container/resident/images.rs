//! Containers whose image has been replaced by another of the same name.

use std::collections::BTreeSet;

use super::Residents;

/// The image of a container: what it was called, and which one that was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Image {
    pub(super) name: String,
    pub(super) id: String,
}

impl Residents {
    /// Ends idle residents whose image is another one by now, one after the other. Their groups are looked at
    /// again: some want a container before their next turn.
    pub(super) async fn retire_replaced(&self) {
        let names: BTreeSet<String> = self.idle(|resident| resident.image.name.clone()).into_iter().collect();
        for name in names {
            // An engine that is away, or an image that is gone, is no reason to end what works.
            let Ok(current) = self.runtime.image(&name).await else { continue };
            for resident in self.take_idle(|resident| resident.image.name == name && resident.image.id != current.id) {
                tracing::info!(group = %resident.group, container = %resident.id, "container retired: its image was replaced");
                let group = resident.group.clone();
                self.retire(resident).await;
                self.wakes.wake(group);
            }
        }
    }
}
