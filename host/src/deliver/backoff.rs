//! When a message that was not sent is tried again. Pure.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// How often a message is tried before it is a dead letter.
const MAX_ATTEMPTS: u32 = 8;

/// How long to wait after the failure of a message's try, of which there were so many before; `None` when
/// it was the last. Doubles from 2 seconds, and each message waits up to half as long again: those that
/// one fault of a platform stopped do not all come back at the same moment.
pub(super) fn retry_after(message_id: &str, attempts: u32) -> Option<Duration> {
    if attempts + 1 >= MAX_ATTEMPTS {
        return None;
    }
    let wait = Duration::from_secs(2 << attempts);
    let mut hasher = DefaultHasher::new();
    (message_id, attempts).hash(&mut hasher);
    let share = u32::try_from(hasher.finish() % 1_000).unwrap_or(0);
    Some(wait + wait * share / 2_000)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_eighth_failure_is_the_last() {
        let waits: Vec<bool> = (0..10).map(|attempts| retry_after("A", attempts).is_some()).collect();
        assert_eq!(waits, [true, true, true, true, true, true, true, false, false, false]);
    }

    #[test]
    fn messages_that_fail_together_come_back_apart() {
        let waits: HashSet<_> = (0..100).map(|message| retry_after(&message.to_string(), 3)).collect();
        assert!(waits.len() > 50, "{} different waits", waits.len());
    }

    proptest! {
        #[test]
        fn a_wait_is_at_least_the_doubled_one_and_less_than_the_next(message in ".{0,40}", attempts in 0u32..7) {
            let wait = retry_after(&message, attempts).unwrap();
            prop_assert!(wait >= Duration::from_secs(2 << attempts));
            prop_assert!(wait < Duration::from_secs(3 << attempts));
            prop_assert_eq!(retry_after(&message, attempts), Some(wait));
        }
    }
}
