//! What holds for every cadence.

use jiff::SignedDuration;
use longshore_protocol::ipc::Misfire;
use proptest::prelude::*;

use super::*;
use crate::schedule::plan::{MOST_CAUGHT_UP, jitter, plan};

const ZONES: [&str; 7] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "Pacific/Apia",
    "America/Sao_Paulo",
];

fn field(least: u32, greatest: u32) -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just("*".to_owned()),
        3 => (least..=greatest).prop_map(|value| value.to_string()),
        1 => (1..=greatest).prop_map(|step| format!("*/{step}")),
        1 => (least..=greatest, least..=greatest).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        1 => (least..=greatest, least..=greatest).prop_map(|(a, b)| format!("{a},{b}")),
    ]
}

pub(super) fn expression() -> impl Strategy<Value = String> {
    expression_until(23)
}

/// One whose hours, if it names any, are no later than this one.
pub(super) fn expression_until(hour: u32) -> impl Strategy<Value = String> {
    let fields = (field(0, 59), field(0, hour), field(1, 31), field(1, 12), field(0, 7));
    fields.prop_map(|(minute, hour, day, month, week)| format!("{minute} {hour} {day} {month} {week}"))
}

fn cadence() -> impl Strategy<Value = Cadence> {
    let anchor = time("2020-01-01T00:00:00Z");
    prop_oneof![
        8 => (expression(), prop::sample::select(ZONES.to_vec()))
            .prop_map(|(value, zone)| cron(&value, zone).unwrap_or_else(|error| panic!("{value}: {error}"))),
        1 => (1_000_i64..100_000_000).prop_map(move |every| {
            Cadence::parse(ScheduleType::Interval, &every.to_string(), &TimeZone::UTC, anchor).unwrap()
        }),
    ]
}

/// From 2010 to 2040, to the millisecond.
pub(super) fn instant() -> impl Strategy<Value = Timestamp> {
    (1_262_304_000_000_i64..2_208_988_800_000).prop_map(|millis| Timestamp::from_millisecond(millis).unwrap())
}

proptest! {
    #[test]
    fn the_next_time_is_later_and_no_time_is_between(cadence in cadence(), after in instant(), share in 0.0_f64..1.0) {
        if let Some(next) = cadence.next_after(after) {
            prop_assert!(next > after);
            let gap = next.duration_since(after);
            let between = after + SignedDuration::from_secs_f64(gap.as_secs_f64() * share * 0.999);
            prop_assert_eq!(cadence.next_after(between), Some(next), "from {}", between);
            let just_before = next - SignedDuration::from_nanos(1);
            prop_assert_eq!(cadence.next_after(just_before), Some(next), "a restart just before it");
        }
    }

    #[test]
    fn a_later_start_has_no_earlier_next_time(cadence in cadence(), one in instant(), other in instant()) {
        let (earlier, later) = (one.min(other), one.max(other));
        let (first, second) = (cadence.next_after(earlier), cadence.next_after(later));
        if let (Some(first), Some(second)) = (first, second) {
            prop_assert!(first <= second);
        }
    }

    #[test]
    fn the_newest_times_are_the_last_ones_of_the_walk(cadence in cadence(), until in instant(), back in 1_i64..5_000_000) {
        let from = until - SignedDuration::from_secs(back);
        let before = from - SignedDuration::from_nanos(1);
        let walk: Vec<Timestamp> = std::iter::successors(cadence.next_after(before), |time| cadence.next_after(*time))
            .take_while(|time| *time <= until)
            .take(3_000)
            .collect();
        prop_assume!(walk.len() < 3_000);
        for most in [1, 3, MOST_CAUGHT_UP] {
            let newest = &walk[walk.len().saturating_sub(most)..];
            prop_assert_eq!(cadence.newest(from, until, most), newest);
        }
    }

    #[test]
    fn whatever_the_host_missed_no_time_runs_twice_and_the_plan_goes_on_after_now(
        cadence in cadence(), start in instant(), waits in proptest::collection::vec(0_i64..200_000, 1..8),
        misfire in prop::sample::select(Misfire::ALL.to_vec()),
    ) {
        let mut next_run = cadence.next_after(start);
        let mut ran: Vec<Timestamp> = Vec::new();
        for wait in waits {
            let Some(due) = next_run else { break };
            let now = due + SignedDuration::from_secs(wait);
            let plan = plan(&cadence, due, now, misfire);
            prop_assert!(plan.runs.len() <= MOST_CAUGHT_UP);
            prop_assert!(misfire == Misfire::All || plan.runs.len() <= 1);
            for run in &plan.runs {
                prop_assert!(*run >= due && *run <= now);
                prop_assert!(ran.last().is_none_or(|last| last < run), "in order and never twice");
                ran.push(*run);
            }
            if misfire == Misfire::All {
                let all = cadence.newest(due, now, usize::MAX);
                prop_assert!(all.len() > MOST_CAUGHT_UP || plan.runs == all, "none is lost");
            }
            prop_assert!(plan.next_run.is_none_or(|next| next > now));
            next_run = plan.next_run;
        }
    }

    #[test]
    fn any_text_is_read_or_refused(value in "\\PC{0,40}", kind in prop::sample::select(ScheduleType::ALL.to_vec())) {
        if let Ok(cadence) = Cadence::parse(kind, &value, &zone("Europe/Berlin"), time("2026-01-01T00:00:00Z")) {
            let _ = cadence.upcoming(time("2026-01-01T00:00:00Z"), 3);
        }
    }

    #[test]
    fn jitter_is_bounded_and_the_same_after_a_restart(at in instant(), seconds in 0_u32..=3600, task in "[a-z]{1,9}") {
        let wait = jitter(&task, at, seconds);
        prop_assert!(!wait.is_negative() && wait <= SignedDuration::from_secs(i64::from(seconds)));
        prop_assert_eq!(wait, jitter(&task, at, seconds));
    }
}
