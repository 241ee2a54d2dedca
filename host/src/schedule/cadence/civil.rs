//! From the civil clock to instants.
//!
//! A job at fixed times has one instant for each of them: in a gap of the clock the first after it, in an
//! overlap the first of the two. A job with a wildcard runs at each instant at which the clock shows one of
//! its times: none in a gap, both in an overlap, so that its real spacing stays.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::cron::Cron;

/// How many years are searched: 29 February on a given weekday comes every 28 years, and every 40 over a
/// century that is no leap year.
const HORIZON_YEARS: i16 = 42;

/// The first instant after `after`.
pub(super) fn next_after(cron: &Cron, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    if cron.is_wild { next_shown(cron, zone, after) } else { next_fixed(cron, zone, after) }
}

/// The instant of a local time: in a gap the first after it, in an overlap the first of the two.
pub(super) fn instant(local: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => {
            offset.to_timestamp(local).ok()
        }
        AmbiguousOffset::Gap { before, .. } => {
            // Read by the old offset it lies after the change, by no more than the gap.
            let late = before.to_timestamp(local).ok()?;
            zone.preceding(late.checked_add(SignedDuration::from_nanos(1)).ok()?)
                .next()
                .map(|change| change.timestamp())
        }
    }
}

fn next_fixed(cron: &Cron, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    // The instants of local times are in the order of the times, so nothing up to now's own can be later.
    let mut local = zone.to_datetime(after);
    let last_year = local.year().saturating_add(HORIZON_YEARS);
    loop {
        local = next_local(cron, local.checked_add(1.nanosecond()).ok()?, last_year)?;
        if let Some(instant) = instant(local, zone).filter(|instant| *instant > after) {
            return Some(instant);
        }
    }
}

/// Goes from change to change of the zone's offset; between two of them the clock runs evenly.
fn next_shown(cron: &Cron, zone: &TimeZone, after: Timestamp) -> Option<Timestamp> {
    let mut from = after.checked_add(SignedDuration::from_nanos(1)).ok()?;
    let last_year = zone.to_datetime(after).year().saturating_add(HORIZON_YEARS);
    loop {
        let offset: Offset = zone.to_offset(from);
        let change = zone.following(from).next().map(|change| change.timestamp());
        if let Some(local) = next_local(cron, offset.to_datetime(from), last_year) {
            let instant = offset.to_timestamp(local).ok()?;
            if change.is_none_or(|change| instant < change) {
                return Some(instant);
            }
        } else if change.is_none_or(|change| zone.to_datetime(change).year() > last_year) {
            return None;
        }
        from = change?;
    }
}

/// The first local time from `from` on, to the second, that the fields allow.
fn next_local(cron: &Cron, from: DateTime, last_year: i16) -> Option<DateTime> {
    // Times have no fractions: begin at the next whole second.
    let from = if from.subsec_nanosecond() == 0 {
        from
    } else {
        from.checked_add(1.second()).ok()?.with().subsec_nanosecond(0).build().ok()?
    };
    let mut date = from.date();
    let mut earliest = (from.hour(), from.minute(), from.second());
    while date.year() <= last_year {
        if !cron.has_month(date.month()) {
            date = first_of_next_month(date)?;
        } else if cron.has_day(date.day(), date.weekday().to_sunday_zero_offset())
            && let Some((hour, minute, second)) = cron.time_from(earliest)
        {
            return Some(date.to_datetime(Time::new(hour, minute, second, 0).ok()?));
        } else {
            date = date.tomorrow().ok()?;
        }
        earliest = (0, 0, 0);
    }
    None
}

fn first_of_next_month(date: Date) -> Option<Date> {
    date.last_of_month().tomorrow().ok()
}
