//! When tasks run.

pub mod cadence;
pub mod desk;
pub mod failure;
pub mod firing;
pub mod plan;
pub mod request;
pub mod run;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use jiff::Timestamp;
use longshore_protocol::TaskId;
use tokio::sync::watch;

/// Told that a task has changed, whoever changed it: the timer is set anew and snapshots are rewritten.
#[derive(Debug, Clone, Default)]
pub struct Changed(Arc<watch::Sender<u64>>);

impl Changed {
    /// A task has changed.
    pub fn tell(&self) {
        self.0.send_modify(|count| *count += 1);
    }

    /// Changes whenever a task does. A wake, never content.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}

/// A new task's id: `task-<milliseconds>-<6 of 0-9a-z>`, the shape that NanoClaw's agents know.
#[must_use]
pub fn task_id(now: Timestamp) -> TaskId {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut random = uuid::Uuid::new_v4().as_u128();
    let mut tail = String::with_capacity(6);
    for _ in 0..6 {
        tail.push(char::from(DIGITS[(random % 36) as usize]));
        random /= 36;
    }
    let text = format!("task-{}-{tail}", now.as_millisecond().max(0));
    text.parse().unwrap_or_else(|_| unreachable!("digits, letters and `-` are an id"))
}
