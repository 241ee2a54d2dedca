//! Which expressions there are and what they mean.

use super::*;

#[test]
fn an_expression_has_its_unix_meaning() {
    // A Thursday.
    let after = "2026-01-01T00:00:00Z";
    for (value, expected) in [
        ("0 9 * * *", vec!["01-01 09:00:00", "01-02 09:00:00"]),
        ("*/20 * * * *", vec!["01-01 00:20:00", "01-01 00:40:00"]),
        (
            "5/15 3 * * *",
            vec!["01-01 03:05:00", "01-01 03:20:00", "01-01 03:35:00", "01-01 03:50:00", "01-02 03:05:00"],
        ),
        ("10-50/20 0 * * *", vec!["01-01 00:10:00", "01-01 00:30:00", "01-01 00:50:00", "01-02 00:10:00"]),
        ("0 0 * * 0", vec!["01-04 00:00:00"]),
        ("0 0 * * 7", vec!["01-04 00:00:00"]),
        ("0 0 * * SUN", vec!["01-04 00:00:00"]),
        ("0 0 * * mon-fri", vec!["01-02 00:00:00", "01-05 00:00:00"]),
        ("0 0 * * 1-5", vec!["01-02 00:00:00", "01-05 00:00:00"]),
        ("0 0 * * 5-7", vec!["01-02 00:00:00", "01-03 00:00:00", "01-04 00:00:00", "01-09 00:00:00"]),
        (
            "0 0 * * fri-mon",
            vec!["01-02 00:00:00", "01-03 00:00:00", "01-04 00:00:00", "01-05 00:00:00", "01-09 00:00:00"],
        ),
        ("0 0 * * */2", vec!["01-03 00:00:00", "01-04 00:00:00", "01-06 00:00:00"]),
        ("0 0 1 FEB *", vec!["02-01 00:00:00"]),
        ("0 0 13 * fri", vec!["01-02 00:00:00", "01-09 00:00:00", "01-13 00:00:00"]),
        ("0 0 */10 * fri", vec!["05-01 00:00:00", "07-31 00:00:00"]),
        ("0 0 31 * *", vec!["01-31 00:00:00", "03-31 00:00:00"]),
        ("0 0 29 2 *", vec!["02-29 00:00:00"]),
        ("30 15 9 * * *", vec!["01-01 09:15:30", "01-02 09:15:30"]),
        ("*/30 0 0 * * *", vec!["01-01 00:00:30", "01-02 00:00:00"]),
        ("@hourly", vec!["01-01 01:00:00"]),
        ("@daily", vec!["01-02 00:00:00"]),
        ("@weekly", vec!["01-04 00:00:00"]),
        ("@monthly", vec!["02-01 00:00:00"]),
        ("@Yearly", vec!["01-01 00:00:00"]),
        ("  0   9 * *  * ", vec!["01-01 09:00:00"]),
    ] {
        let expected: Vec<String> = expected.into_iter().map(|time| format!("{time} +00:00")).collect();
        assert_eq!(next(value, "UTC", after, expected.len()), expected, "{value}");
    }
}

#[test]
fn anything_else_is_refused_with_the_field_named() {
    let long = "0 ".repeat(5_000);
    let mut refusals = String::new();
    for value in [
        "",
        "* * *",
        "* * * *",
        "* * * * * * *",
        "@reboot",
        "@",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 13 *",
        "* * * 0 *",
        "* * * * 8",
        "0 0 * JAN SUNDAY",
        "0 0 * foo *",
        "*/0 * * * *",
        "*/60 * * * *",
        "5-1 * * * *",
        "* * L * *",
        "* * * * 5#2",
        "* * 15W * *",
        "H * * * *",
        "? * * * *",
        "1,,2 * * * *",
        ", * * * *",
        "-1 * * * *",
        "1- * * * *",
        "1/ * * * *",
        "1.5 * * * *",
        "+1 * * * *",
        "٣ * * * *",
        "mon * * * *",
        "* * * * *\u{0}",
        "0 9 * * * UTC x",
        "60 0 0 * * *",
        &long,
    ] {
        let error = cron(value, "UTC").expect_err(value);
        let shown: String = value.chars().take(20).collect();
        refusals.push_str(&format!("{shown:?}: {error}\n"));
    }
    insta::assert_snapshot!(refusals);
}

#[test]
fn what_never_comes_is_refused_when_it_is_scheduled() {
    for value in ["0 0 30 2 *", "0 0 31 4,6,9,11 *"] {
        let cadence = cron(value, "Europe/Berlin").unwrap();
        assert_eq!(cadence.first(time("2026-01-01T00:00:00Z")), Err(CadenceError::Never), "{value}");
    }
    let rare = cron("* * 29 2 *", "Europe/Berlin").unwrap();
    assert_eq!(rare.first(time("2097-01-01T00:00:00Z")), Ok(time("2104-02-28T23:00:00Z")), "2100 is no leap year");
}

#[test]
fn an_interval_counts_from_its_anchor_and_does_not_drift() {
    let anchor = time("2026-01-01T00:00:00.250Z");
    let every = |value: &str| Cadence::parse(ScheduleType::Interval, value, &TimeZone::UTC, anchor);
    let minute = every("60000").unwrap();
    assert_eq!(minute.first(anchor), Ok(time("2026-01-01T00:01:00.250Z")));
    assert_eq!(minute.next_after(time("2026-01-01T00:02:00.250Z")), Some(time("2026-01-01T00:03:00.250Z")));
    assert_eq!(minute.next_after(time("2025-01-01T00:00:00Z")), Some(time("2026-01-01T00:01:00.250Z")));
    for bad in ["", "0", "999", "-5", "1.5", "300000abc", "1e6", "99999999999999999999", "316224000001", "٣٠٠٠"] {
        assert!(every(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_once_is_local_unless_it_says_otherwise() {
    let at = |value: &str| Cadence::parse(ScheduleType::Once, value, &zone("Europe/Berlin"), Timestamp::UNIX_EPOCH);
    let now = time("2026-01-01T00:00:00Z");
    for (value, expected) in [
        ("2026-02-01T15:30:00", "2026-02-01T14:30:00Z"),
        ("2026-02-01 15:30", "2026-02-01T14:30:00Z"),
        ("2026-02-01T15:30:00.5", "2026-02-01T14:30:00.5Z"),
        ("2026-07-01T15:30:00", "2026-07-01T13:30:00Z"),
        ("2026-02-01T15:30:00Z", "2026-02-01T15:30:00Z"),
        ("2026-02-01T15:30:00-05:00", "2026-02-01T20:30:00Z"),
        ("2026-02-01T15:30:00[America/New_York]", "2026-02-01T20:30:00Z"),
        // In the gap, just after it; in the overlap, the first.
        ("2026-03-29T02:30:00", "2026-03-29T01:00:00Z"),
        ("2026-10-25T02:30:00", "2026-10-25T00:30:00Z"),
    ] {
        assert_eq!(at(value).unwrap().first(now), Ok(time(expected)), "{value}");
    }
    for bad in ["", "2026-02-01", "15:30", "tomorrow", "2026-02-30T10:00:00", "2026-02-01T25:00:00", "1770000000000"] {
        assert!(matches!(at(bad), Err(CadenceError::Once(_))), "{bad}");
    }
}

#[test]
fn a_once_that_has_passed_is_refused_with_the_time_as_it_was_understood() {
    let once = Cadence::parse(ScheduleType::Once, "2026-02-01T15:30:00", &zone("Europe/Berlin"), Timestamp::UNIX_EPOCH);
    let once = once.unwrap();
    assert_eq!(
        once.first(time("2026-02-01T14:30:59Z")),
        Ok(time("2026-02-01T14:30:00Z")),
        "a moment late is no matter"
    );
    let error = once.first(time("2026-02-01T14:31:01Z")).unwrap_err();
    assert_eq!(error.to_string(), "it is past: it was understood as Sunday, 2026-02-01 15:30:00 Europe/Berlin");
    assert_eq!(once.next_after(time("2026-02-01T14:30:00Z")), None);
}
