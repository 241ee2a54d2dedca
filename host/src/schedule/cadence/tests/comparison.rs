//! Against `croner`, another reading of the same expressions: every difference has a reason.

use std::collections::BTreeMap;

use croner::parser::{CronParser, Seconds};
use jiff::{SignedDuration, Zoned};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::properties::{expression, expression_until, instant};
use super::*;

const EXPRESSIONS: usize = 10_000;
/// How many times of each are compared.
const TIMES: usize = 8;
const ZONES: [&str; 9] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "Pacific/Apia",
    "America/Sao_Paulo",
    "Asia/Beirut",
    "Africa/Casablanca",
];

/// Why the two differ at a time.
fn reason(value: &str, zone: &TimeZone, ours: Option<Timestamp>, theirs: Option<Timestamp>) -> Option<&'static str> {
    let first = ours.into_iter().chain(theirs).min()?;
    let fields: Vec<&str> = value.split_whitespace().collect();
    let is_wild = fields[..2].iter().any(|field| field.starts_with('*'));
    if [fields[2], fields[4]].iter().any(|day| day.starts_with("*/")) && fields[2] != "*" && fields[4] != "*" {
        return Some(
            "a day field with `*/n` beside another: in Vixie's cron and here it does not restrict, in croner it does",
        );
    }
    // A change of the clock close by: the time before it, the one after it, and which way it went.
    let near = |limit: i64| {
        let from = first - SignedDuration::from_hours(limit);
        zone.following(from)
            .next()
            .is_some_and(|change| change.timestamp() <= first + SignedDuration::from_hours(limit))
    };
    if !near(26) {
        return None;
    }
    Some(match (is_wild, ours, theirs) {
        (false, Some(ours), Some(theirs)) if ours < theirs => {
            "several fixed times in a gap: here one run just after it, in croner none"
        }
        (false, _, _) => "several fixed times in an overlap: here the first time only, in croner both",
        (true, _, _) => "a wildcard beside a change of the clock",
    })
}

#[test]
fn each_difference_to_croner_has_a_reason() {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).build();
    let mut runner = TestRunner::deterministic();
    let mut draw = |count: usize| {
        let zones = proptest::sample::select(ZONES.to_vec());
        let strategy = ((expression(), expression_until(4)), zones, instant());
        (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect::<Vec<_>>()
    };
    let mut reasons: BTreeMap<&str, (usize, String)> = BTreeMap::new();
    let mut compared = 0;
    for (number, ((any_hour, early), zone_name, after)) in draw(EXPRESSIONS).into_iter().enumerate() {
        let zone = zone(zone_name);
        // Half of them begin up to 30 hours before a change of the clock, at whose hours readings differ.
        let value = if number % 2 == 0 { early } else { any_hour };
        let change = zone.following(after).next().filter(|_| number % 2 == 0).map(|change| change.timestamp());
        let hours = i64::try_from(number / 2 % 30).unwrap();
        let after = change.map_or(after, |change| change - SignedDuration::from_hours(hours));
        let ours = cron(&value, zone_name).unwrap();
        let theirs = parser.parse(&value).unwrap_or_else(|error| panic!("{value}: {error}"));
        let mut at = after;
        for _ in 0..TIMES {
            let next = ours.next_after(at);
            let other: Option<Zoned> = theirs.find_next_occurrence(&at.to_zoned(zone.clone()), false).ok();
            let other = other.map(|zoned| zoned.timestamp());
            compared += 1;
            if next != other {
                let shown = |time: Option<Timestamp>| {
                    time.map_or_else(|| "never".to_owned(), |time| time.to_zoned(zone.clone()).to_string())
                };
                let example =
                    format!("`{value}` after {}: here {}, in croner {}", shown(Some(at)), shown(next), shown(other));
                let Some(reason) = reason(&value, &zone, next, other) else {
                    panic!("a difference without a reason: {example}")
                };
                let entry = reasons.entry(reason).or_insert((0, example));
                entry.0 += 1;
            }
            let Some(next) = next else { break };
            at = next;
        }
    }
    let mut table = format!("{compared} times of {EXPRESSIONS} expressions compared\n");
    for (reason, (count, example)) in reasons {
        table.push_str(&format!("{count:>5}  {reason}\n       {example}\n"));
    }
    insta::assert_snapshot!(table);
}
