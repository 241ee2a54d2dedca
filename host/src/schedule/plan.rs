//! Which runs a due task has, some of them perhaps missed. Pure.

use jiff::{SignedDuration, Timestamp};
use longshore_protocol::ipc::Misfire;
use sha2::{Digest, Sha256};

use super::cadence::Cadence;

/// A time that is acted on so much later is no missed one.
pub const LATE: SignedDuration = SignedDuration::from_secs(60);
/// How many missed times are caught up at most.
pub const MOST_CAUGHT_UP: usize = 24;

/// What a due task leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The times that run now, oldest first.
    pub runs: Vec<Timestamp>,
    /// The task's next time.
    pub next_run: Option<Timestamp>,
}

/// What a task whose time `next_run` has come leads to at `now`.
#[must_use]
pub fn plan(cadence: &Cadence, next_run: Timestamp, now: Timestamp, misfire: Misfire) -> Plan {
    let most = if misfire == Misfire::All { MOST_CAUGHT_UP } else { 1 };
    let mut runs = cadence.newest(next_run, now, most);
    // Its own time is one, even if the fields have come to mean something else since.
    if runs.is_empty() {
        runs.push(next_run);
    }
    if misfire == Misfire::Skip {
        runs.retain(|time| now.duration_since(*time) <= LATE);
    }
    Plan { runs, next_run: cadence.next_after(now.max(next_run)) }
}

/// By how much a run is delayed: from 0 to `jitter_seconds`, decided by the task and the time alone, so that
/// a restart decides the same.
#[must_use]
pub fn jitter(task: &str, at: Timestamp, jitter_seconds: u32) -> SignedDuration {
    if jitter_seconds == 0 {
        return SignedDuration::ZERO;
    }
    let hash = Sha256::new().chain_update(task).chain_update(at.as_millisecond().to_le_bytes()).finalize();
    let number = hash.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let millis = number % (u64::from(jitter_seconds) * 1_000 + 1);
    SignedDuration::from_millis(i64::try_from(millis).unwrap_or_default())
}
