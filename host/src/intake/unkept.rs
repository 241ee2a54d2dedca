//! Of messages that are not kept, a flood leaves no flood of lines.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many are told of in a second.
const TOLD: u32 = 100;

/// Counts messages that are not kept; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Unkept(Arc<Mutex<Count>>);

#[derive(Debug, Default)]
struct Count {
    /// When the second began.
    since: Option<Instant>,
    told: u32,
    left_out: u64,
}

impl Unkept {
    /// Whether one that came now may have a line.
    pub(super) fn may_tell(&self, now: Instant) -> bool {
        let mut count = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if count.since.is_none_or(|since| now.duration_since(since) >= Duration::from_secs(1)) {
            (count.since, count.told) = (Some(now), 0);
        }
        if count.told < TOLD {
            count.told += 1;
            return true;
        }
        count.left_out += 1;
        false
    }

    /// How many had none since this was asked last.
    pub(super) fn left_out(&self) -> u64 {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_has_so_many_lines_a_second_and_the_rest_is_counted() {
        let (unkept, begin) = (Unkept::default(), Instant::now());
        let told = |at: Instant| (0..1000).filter(|_| unkept.may_tell(at)).count();
        assert_eq!((told(begin), told(begin + Duration::from_millis(999))), (100, 0));
        assert_eq!(unkept.left_out(), 1900);
        assert_eq!((told(begin + Duration::from_secs(1)), unkept.left_out()), (100, 900));
    }
}
