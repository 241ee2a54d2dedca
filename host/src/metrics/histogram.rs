//! Times in classes, without a lock.

use std::sync::atomic::AtomicU64;

use super::{add, get};

/// How many upper bounds a histogram has.
const BOUNDS: usize = 12;

/// Which bounds: see [`BOUNDS_OF`].
pub(super) const WAIT: usize = 0;
/// Times of turns: from a second to an hour.
pub(super) const TURN: usize = 1;
/// From a text's row to the platform.
pub(super) const DELIVERY: usize = 2;
/// From a task's time to its firing.
pub(super) const LATENESS: usize = 3;

/// Upper bounds in seconds.
const BOUNDS_OF: [[f64; BOUNDS]; 4] = [
    [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0],
    [0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 45.0, 120.0, 300.0, 900.0, 3600.0],
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0],
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0, 3600.0],
];

/// A histogram with the bounds of its kind.
#[derive(Debug, Default)]
pub(super) struct Histogram<const KIND: usize> {
    /// By the first bound that is not smaller; the last class has none.
    classes: [AtomicU64; BOUNDS + 1],
    sum_nanoseconds: AtomicU64,
}

impl<const KIND: usize> Histogram<KIND> {
    pub(super) fn observe(&self, seconds: f64) {
        let bounds = &BOUNDS_OF[KIND];
        let class = bounds.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS);
        add(&self.classes[class], 1);
        // 584 years fit.
        add(&self.sum_nanoseconds, (seconds * 1e9) as u64);
    }

    /// For each bound how many were not above it, all of them, and their sum in seconds.
    pub(super) fn read(&self) -> (Vec<(f64, u64)>, u64, f64) {
        let mut all = 0;
        let mut cumulative = Vec::with_capacity(BOUNDS);
        for (class, bound) in self.classes.iter().zip(&BOUNDS_OF[KIND]) {
            all += get(class);
            cumulative.push((*bound, all));
        }
        all += get(&self.classes[BOUNDS]);
        (cumulative, all, get(&self.sum_nanoseconds) as f64 / 1e9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_observed_is_in_every_class_above_it() {
        let histogram: Histogram<WAIT> = Histogram::default();
        for seconds in [0.0, 0.01, 0.3, 7200.0] {
            histogram.observe(seconds);
        }
        let (cumulative, all, sum) = histogram.read();
        assert_eq!((all, sum), (4, 7200.31));
        assert_eq!(cumulative[0], (0.01, 2));
        assert_eq!(cumulative[5], (0.5, 3));
        assert_eq!(cumulative[BOUNDS - 1], (1800.0, 3));
        assert!(BOUNDS_OF.iter().all(|bounds| bounds.is_sorted()));
    }
}
