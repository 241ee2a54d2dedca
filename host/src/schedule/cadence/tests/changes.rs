//! Changes of the clock.

use super::*;

/// Berlin: at 2:00 on 29 March 2026 the clock goes to 3:00; at 3:00 on 25 October back to 2:00.
const SPRING: &str = "2026-03-28T20:00:00Z";
const AUTUMN: &str = "2026-10-24T20:00:00Z";

#[test]
fn a_fixed_time_that_is_left_out_runs_once_just_after_it() {
    assert_eq!(next("30 2 * * *", "Europe/Berlin", SPRING, 2), ["03-29 03:00:00 +02:00", "03-30 02:30:00 +02:00"]);
    // All that the gap swallows is one run, and what is due just after it is the same.
    assert_eq!(
        next("0,15,30 2,3 * * *", "Europe/Berlin", SPRING, 3),
        ["03-29 03:00:00 +02:00", "03-29 03:15:00 +02:00", "03-29 03:30:00 +02:00"]
    );
}

#[test]
fn a_fixed_time_that_comes_twice_runs_once_the_first_time() {
    assert_eq!(next("30 2 * * *", "Europe/Berlin", AUTUMN, 2), ["10-25 02:30:00 +02:00", "10-26 02:30:00 +01:00"]);
    let second_pass = "2026-10-25T01:10:00Z";
    assert_eq!(next("30 2 * * *", "Europe/Berlin", second_pass, 1), ["10-26 02:30:00 +01:00"]);
}

#[test]
fn wildcards_keep_their_real_spacing() {
    assert_eq!(
        next("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:29:00Z", 3),
        ["03-29 01:30:00 +01:00", "03-29 03:00:00 +02:00", "03-29 03:30:00 +02:00"]
    );
    assert_eq!(
        next("*/30 * * * *", "Europe/Berlin", "2026-10-25T00:29:00Z", 4),
        ["10-25 02:30:00 +02:00", "10-25 02:00:00 +01:00", "10-25 02:30:00 +01:00", "10-25 03:00:00 +01:00"]
    );
    assert_eq!(
        next("15 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", 3),
        ["10-25 02:15:00 +02:00", "10-25 02:15:00 +01:00", "10-25 03:15:00 +01:00"]
    );
}

#[test]
fn half_an_hour_at_lord_howe_is_no_hour() {
    // At 2:00 on 4 October 2026 to 2:30; at 2:00 on 5 April back to 1:30.
    let zone = "Australia/Lord_Howe";
    assert_eq!(next("15 2 * * *", zone, "2026-10-03T12:00:00Z", 2), ["10-04 02:30:00 +11:00", "10-05 02:15:00 +11:00"]);
    assert_eq!(next("45 1 * * *", zone, "2026-04-04T12:00:00Z", 2), ["04-05 01:45:00 +11:00", "04-06 01:45:00 +10:30"]);
    assert_eq!(
        next("*/15 * * * *", zone, "2026-04-04T14:44:00Z", 3),
        ["04-05 01:45:00 +11:00", "04-05 01:30:00 +10:30", "04-05 01:45:00 +10:30"]
    );
}

#[test]
fn a_day_that_a_zone_leaves_out_and_midnights_that_do_not_exist() {
    // Samoa had no 30 December 2011.
    assert_eq!(
        next("0 12 * * *", "Pacific/Apia", "2011-12-29T00:00:00Z", 3),
        ["12-29 12:00:00 -10:00", "12-31 00:00:00 +14:00", "12-31 12:00:00 +14:00"]
    );
    // The clock in São Paulo went from midnight to one o'clock on 4 November 2018.
    assert_eq!(
        next("@daily", "America/Sao_Paulo", "2018-11-03T12:00:00Z", 2),
        ["11-04 01:00:00 -02:00", "11-05 00:00:00 -02:00"]
    );
    assert_eq!(next("@daily", "Asia/Beirut", "2022-03-26T12:00:00Z", 1), ["03-27 01:00:00 +03:00"]);
}
