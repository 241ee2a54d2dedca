//! One date and time.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::{CadenceError, civil};

/// Reads a time: with `Z`, an offset or a zone it is that instant, else it is local in `zone`.
pub(super) fn parse(value: &str, zone: &TimeZone) -> Result<Timestamp, CadenceError> {
    let wrong = || CadenceError::Once(value.chars().take(60).collect());
    // A date alone would be midnight, which nobody means.
    if !value.contains(':') {
        return Err(wrong());
    }
    if let Ok(zoned) = value.parse::<Zoned>() {
        return Ok(zoned.timestamp());
    }
    if let Ok(instant) = value.parse::<Timestamp>() {
        return Ok(instant);
    }
    let local: DateTime = value.parse().map_err(|_| wrong())?;
    civil::instant(local, zone).ok_or_else(wrong)
}
