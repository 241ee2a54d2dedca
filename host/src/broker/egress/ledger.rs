//! What a group's tools have carried: counted for people, and bounded for each day.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{Counts, Limits};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// One group's, for as long as the host runs.
#[derive(Default)]
pub(super) struct Ledger {
    connections: AtomicU64,
    refused: AtomicU64,
    bytes: AtomicU64,
    day: Mutex<Option<Day>>,
}

/// Begins with the first byte after the one before it is over.
#[derive(Clone, Copy)]
struct Day {
    began: Instant,
    bytes: u64,
}

impl Ledger {
    pub(super) fn connected(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn counts(&self) -> Counts {
        Counts {
            connections: self.connections.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }

    /// Enters what is about to be carried; false once it is more than the group may have in a day.
    pub(super) fn carry(&self, bytes: u64, limits: &Limits, now: Instant) -> bool {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let mut day = self.day.lock().unwrap_or_else(PoisonError::into_inner);
        let spent = Self::today(*day, now);
        let sum = Day { bytes: spent.bytes.saturating_add(bytes), ..spent };
        *day = Some(sum);
        sum.bytes <= limits.day_bytes
    }

    /// Whether the group has something left today.
    pub(super) fn has_left(&self, limits: &Limits, now: Instant) -> bool {
        let day = *self.day.lock().unwrap_or_else(PoisonError::into_inner);
        Self::today(day, now).bytes < limits.day_bytes
    }

    fn today(day: Option<Day>, now: Instant) -> Day {
        day.filter(|day| now.duration_since(day.began) < DAY).unwrap_or(Day { began: now, bytes: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_today_is_whole_again_a_day_later() {
        let limits = Limits { day_bytes: 100, ..Limits::ORDINARY };
        let (ledger, morning) = (Ledger::default(), Instant::now());
        assert!(ledger.has_left(&limits, morning));
        assert!(ledger.carry(100, &limits, morning));
        assert!(!ledger.has_left(&limits, morning));
        assert!(!ledger.carry(1, &limits, morning + DAY - Duration::from_secs(1)));
        assert!(ledger.has_left(&limits, morning + DAY));
        assert!(ledger.carry(100, &limits, morning + DAY));
        assert!(!ledger.carry(1, &limits, morning + DAY));
        assert_eq!(ledger.counts().bytes, 202);
    }
}
