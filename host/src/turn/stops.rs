//! Running turns, as those who may stop them see them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use longshore_protocol::GroupId;
use tokio::sync::watch;

/// Where to ask for the end of a group's running turn. Clones share it.
///
/// A wake and no content: what people said to stop it is a row, and a turn that begins later looks there.
#[derive(Debug, Clone, Default)]
pub struct Stops(Arc<Mutex<HashMap<GroupId, watch::Sender<i64>>>>);

impl Stops {
    /// Somebody in the chat said so with this message: a turn that began after it is not meant.
    pub fn stop_up_to(&self, group: &GroupId, seq: i64) {
        if let Some(running) = self.locked().get(group) {
            running.send_modify(|asked| *asked = seq.max(*asked));
        }
    }

    /// The operator says so; whether the group has a turn that runs.
    #[must_use]
    pub fn stop(&self, group: &GroupId) -> bool {
        let running = self.locked();
        if let Some(running) = running.get(group) {
            running.send_replace(i64::MAX);
        }
        running.contains_key(group)
    }

    /// From now on the group's turn can be stopped, until the answer is dropped.
    pub(super) fn enter(&self, group: &GroupId) -> Stoppable {
        let (asked, stop) = watch::channel(i64::MIN);
        self.locked().insert(group.clone(), asked);
        Stoppable { stops: self.clone(), group: group.clone(), stop }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, HashMap<GroupId, watch::Sender<i64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A turn that somebody may stop.
pub(super) struct Stoppable {
    stops: Stops,
    group: GroupId,
    stop: watch::Receiver<i64>,
}

impl Stoppable {
    /// Returns when a turn is to be stopped that began when everything up to `settled` had ended.
    pub(super) async fn asked(&mut self, settled: i64) {
        if self.stop.wait_for(|seq| *seq > settled).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Stoppable {
    fn drop(&mut self) {
        self.stops.locked().remove(&self.group);
    }
}
