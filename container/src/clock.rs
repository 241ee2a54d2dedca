//! The wall clock, for the one thing that needs it: a time of the provider's that lies ahead.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is where time enters")]
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
