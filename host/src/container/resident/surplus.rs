//! Which idle containers are too many. Pure.

use std::time::Instant;

/// How much there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Idle containers at most.
    pub(super) idle: usize,
    /// Memory of all containers, idle or at work, in bytes.
    pub(super) memory_bytes: u64,
}

/// An idle container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Idle<K> {
    /// Whose it is.
    pub(super) key: K,
    /// Since when.
    pub(super) since: Instant,
    /// What it takes, in bytes.
    pub(super) memory_bytes: u64,
}

/// Those to end, the one idle for longest first, so that what is left is within the bounds beside
/// containers at work that take `busy_bytes`.
pub(super) fn surplus<K: Clone + Ord>(idle: &[Idle<K>], busy_bytes: u64, bounds: Bounds) -> Vec<K> {
    let mut idle: Vec<&Idle<K>> = idle.iter().collect();
    idle.sort_by(|one, other| (one.since, &one.key).cmp(&(other.since, &other.key)));
    let mut bytes = idle.iter().fold(busy_bytes, |sum, one| sum.saturating_add(one.memory_bytes));
    let mut left = idle.len();
    let mut ends = Vec::new();
    for one in idle {
        if left <= bounds.idle && bytes <= bounds.memory_bytes {
            break;
        }
        left -= 1;
        bytes = bytes.saturating_sub(one.memory_bytes);
        ends.push(one.key.clone());
    }
    ends
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn idle(ages: &[(u64, u64)]) -> Vec<Idle<usize>> {
        let start = Instant::now();
        let of = |(key, (since, memory_bytes)): (usize, &(u64, u64))| Idle {
            key,
            since: start + Duration::from_secs(*since),
            memory_bytes: *memory_bytes,
        };
        ages.iter().enumerate().map(of).collect()
    }

    #[test]
    fn the_one_idle_for_longest_goes_first() {
        let idle = idle(&[(3, 10), (1, 10), (2, 10)]);
        assert_eq!(surplus(&idle, 0, Bounds { idle: 1, memory_bytes: 100 }), [1, 2]);
        assert_eq!(surplus(&idle, 0, Bounds { idle: 9, memory_bytes: 29 }), [1]);
        assert_eq!(surplus(&idle, 75, Bounds { idle: 9, memory_bytes: 100 }), [1]);
        assert_eq!(surplus(&idle, 70, Bounds { idle: 3, memory_bytes: 100 }), [] as [usize; 0]);
        assert_eq!(surplus(&idle, 500, Bounds { idle: 3, memory_bytes: 100 }), [1, 2, 0]);
    }

    proptest! {
        #[test]
        fn no_more_end_than_must(
            ages in proptest::collection::vec((0u64..9, 0u64..50), 0..12),
            busy in 0u64..100,
            most in 0usize..12,
            budget in 0u64..300,
        ) {
            let idle = idle(&ages);
            let bounds = Bounds { idle: most, memory_bytes: budget };
            let ends = surplus(&idle, busy, bounds);
            let rest = |ends: &[usize]| {
                let left: Vec<_> = idle.iter().filter(|one| !ends.contains(&one.key)).collect();
                left.len() <= most && busy + left.iter().map(|one| one.memory_bytes).sum::<u64>() <= budget
            };
            prop_assert!(rest(&ends) || ends.len() == idle.len());
            if let Some((_, fewer)) = ends.split_last() {
                prop_assert!(!rest(fewer));
            }
        }
    }
}
