//! The wall clock: for a time of the provider's that lies ahead, and for the names of petitions.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
#[must_use]
pub fn unix_seconds() -> u64 {
    now().as_secs()
}

/// Milliseconds since 1970.
#[must_use]
pub fn unix_milliseconds() -> u64 {
    u64::try_from(now().as_millis()).unwrap_or(u64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "this is where time enters")]
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
