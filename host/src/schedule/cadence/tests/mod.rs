//! Times, by table, by property, and against another reading of the same expressions.

mod changes;
mod comparison;
mod dialect;
mod properties;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use longshore_protocol::ipc::ScheduleType;

use super::{Cadence, CadenceError};

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn cron(value: &str, zone_name: &str) -> Result<Cadence, CadenceError> {
    Cadence::parse(ScheduleType::Cron, value, &zone(zone_name), Timestamp::UNIX_EPOCH)
}

/// The next times after a moment, in the zone's own clock.
fn next(value: &str, zone_name: &str, after: &str, count: usize) -> Vec<String> {
    let times = cron(value, zone_name).unwrap().upcoming(time(after), count);
    times.iter().map(|time| time.to_zoned(zone(zone_name)).strftime("%m-%d %H:%M:%S %:z").to_string()).collect()
}
