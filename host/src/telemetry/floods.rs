//! What a group's container can bring about as often as it likes must not push everything else out of the record.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use jiff::Timestamp;
use tracing::callsite::Identifier;

/// How many lines of one kind a group has at once.
const AT_ONCE: f64 = 1000.0;
/// How many more each second.
const EACH_SECOND: f64 = 5.0;
/// How many kinds of lines are counted; beyond them all are counted anew.
const MOST_KINDS: usize = 4096;

/// Counts lines by their place in the code and their group.
#[derive(Default)]
pub(super) struct Floods(HashMap<(Identifier, u64), Count>);

struct Count {
    at: Timestamp,
    left: f64,
    left_out: u64,
}

impl Floods {
    /// Whether a line of a group may be written, and then how many of its kind were left out before it.
    pub(super) fn may_write(&mut self, place: Identifier, group: &str, now: Timestamp) -> Option<u64> {
        let mut hasher = DefaultHasher::new();
        group.hash(&mut hasher);
        let key = (place, hasher.finish());
        if self.0.len() >= MOST_KINDS && !self.0.contains_key(&key) {
            self.0.clear();
        }
        let count = self.0.entry(key).or_insert(Count { at: now, left: AT_ONCE, left_out: 0 });
        // A clock that was set back gives nothing.
        let seconds = now.duration_since(count.at).as_secs_f64().max(0.0);
        (count.at, count.left) = (now, (count.left + seconds * EACH_SECOND).min(AT_ONCE));
        if count.left < 1.0 {
            count.left_out += 1;
            return None;
        }
        count.left -= 1.0;
        Some(std::mem::take(&mut count.left_out))
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use tracing::{Callsite as _, callsite};

    use super::*;

    #[test]
    fn a_flood_of_one_group_costs_its_own_lines_of_that_kind() {
        let place = |meta: &'static tracing::Metadata<'static>| meta.callsite();
        let (one, other) = (
            place(callsite! { name: "one", kind: tracing::metadata::Kind::EVENT, fields: }.metadata()),
            place(callsite! { name: "other", kind: tracing::metadata::Kind::EVENT, fields: }.metadata()),
        );
        let (mut floods, begin) = (Floods::default(), Timestamp::UNIX_EPOCH);
        let mut written = |place: &Identifier, group: &str, seconds: i64| {
            let now = begin + SignedDuration::from_secs(seconds);
            (0..10_000).filter_map(|_| floods.may_write(place.clone(), group, now)).collect::<Vec<_>>()
        };
        assert_eq!(written(&one, "bad", 0), [0; 1000]);
        assert_eq!(written(&one, "good", 0).len(), 1000);
        assert_eq!(written(&other, "bad", 0).len(), 1000);
        assert_eq!(written(&one, "bad", 2), [9000, 0, 0, 0, 0, 0, 0, 0, 0, 0], "the rest is counted");
        assert_eq!(written(&one, "bad", -60), [0_u64; 0], "a clock that was set back");
    }
}
