use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::exposition::{Observed, ObservedGroup, exposition};
use super::*;
use crate::broker::egress::Counts as Egress;
use crate::usage::Amount;

const DASHBOARD: &str = include_str!("../../../docs/grafana.json");

/// A text as a scraper reads it: the families with their kinds, and every sample.
#[derive(Debug, Default)]
struct Read {
    families: BTreeMap<String, String>,
    samples: BTreeMap<String, f64>,
}

/// Reads the text format strictly, and panics at what is not in it.
fn read(text: &str) -> Read {
    let mut read = Read::default();
    let mut family = String::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            assert!(help.split_once(' ').is_some_and(|(_, help)| help.ends_with('.')), "{line}");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a name and a kind");
            assert!(matches!(kind, "counter" | "gauge" | "histogram"), "{line}");
            assert!(is_name(name), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(read.families.insert(name.to_owned(), kind.to_owned()).is_none(), "twice: {line}");
            family = name.to_owned();
        } else {
            let (series, value) = line.rsplit_once(' ').expect("a series and a value");
            let (name, labels) = series.split_once('{').map_or((series, None), |(name, rest)| (name, Some(rest)));
            let suffix = name.strip_prefix(&family).unwrap_or_else(|| panic!("not of {family}: {line}"));
            let allowed: &[&str] =
                if read.families[&family] == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(allowed.contains(&suffix), "{line}");
            if let Some(labels) = labels {
                check_labels(labels.strip_suffix('}').expect("a brace"));
            }
            let value: f64 = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
            assert!(read.samples.insert(series.to_owned(), value).is_none(), "twice: {line}");
        }
    }
    assert!(text.ends_with('\n'));
    read
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

fn check_labels(mut labels: &str) {
    while !labels.is_empty() {
        let (name, rest) = labels.split_once("=\"").expect("a label");
        assert!(is_name(name), "{name}");
        let mut escaped = false;
        let end = rest.char_indices().find(|(_, character)| match (escaped, character) {
            (true, character) => {
                assert!(matches!(character, '\\' | '"' | 'n'), "{rest}");
                escaped = false;
                false
            }
            (false, '\\') => {
                escaped = true;
                false
            }
            (false, character) => *character == '"',
        });
        let (end, _) = end.expect("a quote");
        labels = rest[end + 1..].strip_prefix(',').unwrap_or(&rest[end + 1..]);
    }
}

fn observed() -> Observed {
    Observed {
        version: "0.1.0".into(),
        uptime_seconds: 3725,
        resident_bytes: Some(14 << 20),
        slots: 5,
        outbox: (2, 1),
        tasks: (3, 1),
        petitions: [12, 1, 0],
        database_sound: Some(true),
        channels: vec![("console".into(), true), ("odd \"one\"\\\n".into(), false)],
        groups: vec![ObservedGroup {
            id: "main".parse().unwrap(),
            egress: Egress { connections: 3, refused: 1, bytes: 5 << 20 },
            used_today: Amount { requests: 3, nano_usd: 12_000_000, ..Amount::default() },
            resident: Some((true, Some(200 << 20))),
        }],
        ..Observed::default()
    }
}

fn at(millisecond: i64) -> Timestamp {
    Timestamp::from_millisecond(1_800_000_000_000 + millisecond).unwrap()
}

#[test]
fn the_text_is_valid_and_says_what_was_counted() {
    let metrics = Metrics::default();
    metrics.turn_begins(at(0), at(30));
    metrics.first_text(ProviderKind::Codex, Duration::from_secs(2));
    metrics.turn_took(ProviderKind::Codex, Duration::from_secs(3));
    metrics.turn_ends(ProviderKind::Codex, TurnOutcome::GaveUp, Some("CODEX_AUTH_ERROR"));
    metrics.turn_ends(ProviderKind::Codex, TurnOutcome::GaveUp, Some("x\"} 1\nlongshore_turns_total 7"));
    metrics.sent(at(100), at(0));
    metrics.not_sent(SendFailure::Permanent);
    metrics.fired(at(0), at(4));
    metrics.queue(2, 1);
    metrics.asked(ProviderKind::Claude);
    metrics.denied(Denied::Budget);
    metrics.bytes(ProviderKind::Claude).1.fetch_add(100, Ordering::Relaxed);
    let tokens = Tokens { input: 7, cache_write: 1, cached_input: 2, output: 5 };
    metrics.used(ProviderKind::Claude, &tokens, Some(1_500_000_000));
    metrics.used(ProviderKind::Claude, &tokens, None);
    let Read { samples, .. } = read(&exposition(&metrics, &observed()));
    for (series, value) in [
        ("longshore_turn_wait_seconds_bucket{le=\"0.025\"}", 0.0),
        ("longshore_turn_wait_seconds_bucket{le=\"0.05\"}", 1.0),
        ("longshore_turn_wait_seconds_bucket{le=\"+Inf\"}", 1.0),
        ("longshore_turn_first_text_seconds_sum{provider=\"codex\"}", 2.0),
        ("longshore_turn_duration_seconds_count{provider=\"codex\"}", 1.0),
        ("longshore_turns_total{provider=\"codex\",outcome=\"gave_up\"}", 2.0),
        ("longshore_turns_total{provider=\"claude\",outcome=\"settled\"}", 0.0),
        ("longshore_turn_failures_total{code=\"CODEX_AUTH_ERROR\"}", 1.0),
        ("longshore_turn_failures_total{code=\"OTHER\"}", 1.0),
        // A clock that was set back makes no negative time.
        ("longshore_delivery_seconds_sum", 0.0),
        ("longshore_delivery_seconds_count", 1.0),
        ("longshore_send_failures_total{kind=\"permanent\"}", 1.0),
        ("longshore_task_lateness_seconds_bucket{le=\"0.005\"}", 1.0),
        ("longshore_queue_waiting", 1.0),
        ("longshore_broker_bytes_total{provider=\"claude\",direction=\"in\"}", 100.0),
        ("longshore_broker_denials_total{reason=\"budget\"}", 1.0),
        ("longshore_usage_tokens_total{provider=\"claude\",kind=\"input\"}", 14.0),
        ("longshore_usage_cost_usd_total{provider=\"claude\"}", 1.5),
        ("longshore_usage_unpriced_total{provider=\"claude\"}", 1.0),
        ("longshore_outbox_dead", 1.0),
        ("longshore_resident_memory_bytes{group=\"main\"}", 209_715_200.0),
        ("longshore_residents{state=\"busy\"}", 1.0),
        ("longshore_egress_refused_total{group=\"main\"}", 1.0),
        ("longshore_group_cost_usd_today{group=\"main\"}", 0.012),
        ("longshore_channel_up{channel=\"odd \\\"one\\\"\\\\\\n\"}", 0.0),
        ("process_resident_memory_bytes", 14_680_064.0),
    ] {
        assert_eq!(samples.get(series), Some(&value), "{series}");
    }
}

#[test]
fn the_families_are_these() {
    let Read { families, samples } = read(&exposition(&Metrics::default(), &observed()));
    let listed: Vec<String> = families.iter().map(|(name, kind)| format!("{name} {kind}")).collect();
    insta::assert_snapshot!(listed.join("\n"));
    // Two providers, the known classes, one group and two channels: a group or a channel more is seven more at most.
    assert!(samples.len() < 200, "{}", samples.len());
}

#[test]
fn every_metric_of_the_dashboard_exists() {
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
    let mut expressions = Vec::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap_or(&Vec::new()) {
            expressions.push(target["expr"].as_str().expect("an expression").to_owned());
        }
    }
    assert!(expressions.len() >= 20, "{expressions:?}");
    let metrics = Metrics::default();
    metrics.turn_ends(ProviderKind::Claude, TurnOutcome::GaveUp, Some("CLAUDE_AUTH_ERROR"));
    let Read { families, samples } = read(&exposition(&metrics, &observed()));
    let mut used = BTreeSet::new();
    for expression in &expressions {
        let words = expression.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
        for word in words.filter(|word| word.starts_with("longshore_") || word.starts_with("process_")) {
            let exists = samples.keys().any(|series| series.split('{').next() == Some(word));
            assert!(exists, "`{word}` of `{expression}` is not exposed");
            let family =
                families.keys().filter(|family| word.starts_with(family.as_str())).max_by_key(|name| name.len());
            used.insert(family.expect("a family").clone());
        }
    }
    // What nobody looks at has no place in a dashboard; the rest is there.
    let unused: Vec<_> = families.keys().filter(|family| !used.contains(*family)).cloned().collect();
    assert_eq!(unused, ["longshore_build_info", "process_start_time_seconds"]);
}
