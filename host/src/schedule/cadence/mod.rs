//! When a task runs: pure, from a time to the next.
//!
//! Cron expressions are read by `field` and `cron`, and searched on the civil clock of the task's zone by
//! `civil`; `jiff` knows which instants that are.

mod civil;
mod cron;
mod field;
mod once;
#[cfg(test)]
mod tests;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use longshore_protocol::ipc::ScheduleType;
use thiserror::Error;

use self::cron::Cron;
pub use self::field::Field;

/// The longest `schedule_value`, in bytes.
pub const MAX_VALUE_BYTES: usize = 256;
/// How far in the past a `once` may be and still run.
pub const GRACE: SignedDuration = SignedDuration::from_secs(60);
/// The shortest interval, in milliseconds.
pub const MIN_INTERVAL_MS: i64 = 1_000;
/// The longest interval, in milliseconds: ten years.
pub const MAX_INTERVAL_MS: i64 = 10 * 366 * 24 * 60 * 60 * 1_000;

/// The times of a task.
#[derive(Debug, Clone)]
pub struct Cadence(Times);

#[derive(Debug, Clone)]
enum Times {
    Cron(Box<Cron>, TimeZone),
    /// From where it counts and how far, in milliseconds.
    Interval(i64, i64),
    Once(Timestamp, TimeZone),
}

/// Why times cannot be used. The texts are for agents and operators.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CadenceError {
    /// Longer than [`MAX_VALUE_BYTES`].
    #[error("it is longer than {MAX_VALUE_BYTES} bytes")]
    Long,
    /// Not five fields, nor six.
    #[error(
        "`{value}` has {count} fields; write five: minute, hour, day of month, month, day of week, such as `0 9 * * mon-fri` \
         (or six, with seconds first)"
    )]
    Fields {
        /// What was written.
        value: String,
        /// How many there are.
        count: usize,
    },
    /// A word with `@` that is none.
    #[error("`{0}` is not known; there are `@hourly`, `@daily`, `@weekly`, `@monthly` and `@yearly`")]
    Shorthand(String),
    /// One field is wrong.
    #[error("{field}: {wrong}")]
    Field {
        /// Which.
        field: Field,
        /// What is wrong with it and what to write.
        wrong: String,
    },
    /// The parser has something against it that the fields' own checks have not.
    #[error("the expression cannot be read: {0}")]
    Parser(String),
    /// There is no such time.
    #[error("there is no such time: it never comes")]
    Never,
    /// Not a number of milliseconds.
    #[error("`{0}` is no number of milliseconds; write one such as `3600000` for an hour")]
    Interval(String),
    /// An interval out of range.
    #[error("an interval is between {MIN_INTERVAL_MS} ms and ten years")]
    IntervalRange,
    /// Not a date and time.
    #[error(
        "`{0}` is no date and time; write a local one such as `2026-02-01T15:30:00`, or one with an offset such as \
         `2026-02-01T15:30:00Z`"
    )]
    Once(String),
    /// A time that has passed.
    #[error("it is past: it was understood as {0}")]
    Past(String),
}

impl Cadence {
    /// Reads a task's times. `anchor` is from where intervals count.
    ///
    /// # Errors
    /// See [`CadenceError`].
    pub fn parse(kind: ScheduleType, value: &str, zone: &TimeZone, anchor: Timestamp) -> Result<Self, CadenceError> {
        let value = value.trim();
        if value.len() > MAX_VALUE_BYTES {
            return Err(CadenceError::Long);
        }
        Ok(Self(match kind {
            ScheduleType::Cron => Times::Cron(Box::new(Cron::parse(value)?), zone.clone()),
            ScheduleType::Interval => Times::Interval(anchor.as_millisecond(), interval(value)?),
            ScheduleType::Once => Times::Once(once::parse(value, zone)?, zone.clone()),
        }))
    }

    /// The first time of a task that is scheduled at `now`: later than that, or, of a `once`, its own time
    /// if it has passed by no more than [`GRACE`].
    ///
    /// # Errors
    /// [`CadenceError::Past`], [`CadenceError::Never`].
    pub fn first(&self, now: Timestamp) -> Result<Timestamp, CadenceError> {
        match &self.0 {
            Times::Once(at, _) if now.duration_since(*at) <= GRACE => Ok(*at),
            Times::Once(at, zone) => {
                let understood = at.to_zoned(zone.clone()).strftime("%A, %Y-%m-%d %H:%M:%S %:Q");
                Err(CadenceError::Past(understood.to_string()))
            }
            _ => self.next_after(now).ok_or(CadenceError::Never),
        }
    }

    /// The first time after `after`.
    #[must_use]
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        match &self.0 {
            Times::Cron(cron, zone) => civil::next_after(cron, zone, after),
            Times::Interval(anchor, every) => {
                let count = (floor_millis(after) - anchor).div_euclid(*every).saturating_add(1).max(1);
                let at = count.checked_mul(*every)?.checked_add(*anchor)?;
                Timestamp::from_millisecond(at).ok()
            }
            Times::Once(at, _) => Some(*at).filter(|at| *at > after),
        }
    }

    /// Up to `count` times after `after`, in order.
    #[must_use]
    pub fn upcoming(&self, after: Timestamp, count: usize) -> Vec<Timestamp> {
        std::iter::successors(self.next_after(after), |time| self.next_after(*time)).take(count).collect()
    }

    /// The newest `most` times from `from` to `until`, both included; the oldest of them first.
    ///
    /// Looks back from `until` further and further, so that years of a short cadence are not walked through.
    #[must_use]
    pub fn newest(&self, from: Timestamp, until: Timestamp, most: usize) -> Vec<Timestamp> {
        let mut back = SignedDuration::from_secs(60);
        loop {
            let begin = until.checked_sub(back).map_or(from, |begin| begin.max(from));
            // Its own time is one of them.
            let before = begin.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(begin);
            let times = std::iter::successors(self.next_after(before), |time| self.next_after(*time));
            let mut times: Vec<Timestamp> = times.take_while(|time| *time <= until).collect();
            if times.len() >= most || begin <= from {
                times.drain(..times.len().saturating_sub(most));
                return times;
            }
            back = back.saturating_add(back).saturating_add(back);
        }
    }
}

fn interval(value: &str) -> Result<i64, CadenceError> {
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(CadenceError::Interval(value.chars().take(40).collect()));
    }
    match value.parse() {
        Ok(every @ MIN_INTERVAL_MS..=MAX_INTERVAL_MS) => Ok(every),
        _ => Err(CadenceError::IntervalRange),
    }
}

/// The millisecond in which a time lies, also before the epoch.
fn floor_millis(time: Timestamp) -> i64 {
    let nanos = time.as_nanosecond().div_euclid(1_000_000);
    i64::try_from(nanos).unwrap_or_else(|_| time.as_millisecond())
}
