//! The containers, as people are told of them.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use longshore_protocol::GroupId;
use tokio::time::{Instant, timeout_at};

use super::super::ContainerId;
use super::{Residents, Seat};

/// Of how many containers an engine is asked the memory at once.
const ASKED_AT_ONCE: usize = 16;

/// A container, as people are told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Whose it is.
    pub group: GroupId,
    /// Whether a turn has it.
    pub busy: bool,
    /// What it takes, in bytes, if the engine said so in time.
    pub memory_bytes: Option<u64>,
}

impl Residents {
    /// Every container with its memory, as far as the engine says it within the limit.
    pub async fn seen(&self, limit: Duration) -> Vec<Seen> {
        let seats: Vec<(GroupId, bool, ContainerId)> = self
            .locked()
            .iter()
            .map(|(group, seat)| match seat {
                Seat::Idle(resident) => (group.clone(), false, resident.id.clone()),
                Seat::Busy(id) => (group.clone(), true, id.clone()),
            })
            .collect();
        let until = Instant::now() + limit;
        let asked = seats.into_iter().map(|(group, busy, id)| async move {
            let memory = timeout_at(until, self.runtime.memory_of(&id)).await;
            Seen { group, busy, memory_bytes: memory.ok().and_then(Result::ok) }
        });
        stream::iter(asked).buffer_unordered(ASKED_AT_ONCE).collect().await
    }
}
