//! SPEC "Usage and budgets": with the real CLIs against the rehearsal.

use std::fs;

use longshore_tests::{Host, Installation};
use serde_json::Value;

use crate::chat::store;

fn groups(provider: &str, budget: &str) -> String {
    format!(
        r#"{{"console:g": {{"name": "G", "folder": "g", "added_at": "2026-01-01T00:00:00Z", "requiresTrigger": false,
            "provider": "{provider}", "budget": {budget}}}}}"#
    )
}

fn usage(installation: &Installation) -> Value {
    let output = installation.longshore(&["usage", "--json"]);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Each figure of the rows, and how many answers it is of.
fn per_request(usage: &Value, group: &str) -> (u64, [u64; 4]) {
    let rows: Vec<&Value> = usage["rows"].as_array().unwrap().iter().filter(|row| row["group"] == group).collect();
    assert_eq!(rows.len(), 1, "one model answered: {usage}");
    assert_ne!(rows[0]["model"], "", "it is named");
    let used = &rows[0]["used"];
    let requests = used["requests"].as_u64().unwrap();
    let figure = |name: &str| {
        let sum = used[name].as_u64().unwrap();
        assert_eq!(sum % requests, 0, "{used}");
        sum / requests
    };
    (requests, ["input_tokens", "cache_write_tokens", "cached_input_tokens", "output_tokens"].map(figure))
}

#[test]
fn a_turn_of_either_cli_leaves_what_the_api_reported() {
    let installation = Installation::new();
    let mut host = Host::start(&installation);
    assert_eq!(host.chat("main", "hello").status, 0);
    assert_eq!(host.chat("coder", "hello").status, 0);
    host.wait_until("both are in the books", |host| {
        usage(host.installation)["rows"].as_array().is_some_and(|rows| rows.len() == 2)
    });
    let used = usage(&installation);
    // What the rehearsal says of every answer.
    let (_, claude) = per_request(&used, "main");
    assert_eq!(claude, [10, 0, 0, 5]);
    let (requests, codex) = per_request(&used, "coder");
    assert_eq!((requests, codex), (1, [400, 0, 600, 50]));
    assert!(used["unpriced_models"].as_array().is_some_and(|models| models.len() == 2), "{used}");
    let told = String::from_utf8(installation.longshore(&["status"]).stdout).unwrap();
    assert!(told.contains("1050 tokens, ?"), "{told}");
    let counted = String::from_utf8(installation.longshore(&["metrics"]).stdout).unwrap();
    for line in [
        "longshore_usage_tokens_total{provider=\"codex\",kind=\"input\"} 400",
        "longshore_usage_tokens_total{provider=\"codex\",kind=\"cached_input\"} 600",
        "longshore_usage_unpriced_total{provider=\"codex\"} 1",
        "longshore_group_tokens_today{group=\"coder\"} 1050",
    ] {
        assert!(counted.lines().any(|told| told == line), "{line} is not in:\n{counted}");
    }
    for bytes in ["{provider=\"claude\",direction=\"out\"} ", "{provider=\"codex\",direction=\"in\"} "] {
        let line =
            counted.lines().find_map(|line| line.strip_prefix("longshore_broker_bytes_total")?.strip_prefix(bytes));
        assert!(line.is_some_and(|bytes| bytes.parse::<u64>().unwrap() > 100), "{bytes}\n{counted}");
    }
    // And without a host.
    host.stop();
    assert_eq!(usage(&installation), used);
}

#[test]
fn over_the_budget_a_turn_ends_in_one_sentence_and_asks_no_model() {
    for provider in ["claude", "codex"] {
        let installation = Installation::new();
        installation.groups(&groups(provider, r#"{"dailyTokens": 15}"#));
        let mut host = Host::start(&installation);
        assert_eq!(host.chat("g", "hello").status, 0);
        host.wait_until("it is in the books", |host| store(host.installation, "SELECT count(*) FROM usage") == 1);
        let requests = || store(&installation, "SELECT sum(requests) FROM usage");
        let before = requests();
        let told = host.chat("g", "hello again");
        assert_eq!(told.status, 1, "{told:?}");
        let sentence = "I could not answer: this group has used its budget for today, which starts anew at 00:00; \
            the operator can raise `dailyTokens` in its `budget`.";
        assert_eq!((told.stdout.as_str(), told.stderr.trim_end()), ("", sentence), "{provider}");
        assert_eq!(requests(), before, "no model was asked");
        assert_eq!(store(&installation, "SELECT max(attempt) FROM turns"), 1, "nothing is tried again");
    }
}

#[test]
fn a_budget_that_ends_within_a_turn_ends_the_turn_without_a_storm_of_requests() {
    for provider in ["claude", "codex"] {
        let installation = Installation::new();
        installation.groups(&groups(provider, r#"{"dailyTokens": 15}"#));
        let host = Host::start(&installation);
        // The answer asks for a command, whose result goes with a second request.
        let told = host.chat("g", "#rehearse shell true");
        assert_eq!(told.status, 1, "{provider}: {told:?}");
        assert!(told.stderr.contains("this group has used its budget for today"), "{provider}: {told:?}");
        let log = host.log();
        let refused = |line: &&str| line.contains(" refused ") && line.contains("this group has used its budget");
        assert_eq!(log.lines().filter(refused).count(), 1, "{provider}: {log}");
        assert_eq!(store(&installation, "SELECT max(attempt) FROM turns"), 1, "nothing is tried again");
    }
}

#[test]
fn a_budget_in_dollars_is_reckoned_by_the_operators_prices() {
    let installation = Installation::new();
    installation.groups(&groups("codex", r#"{"dailyUsd": 0.001}"#));
    let mut host = Host::start(&installation);
    assert_eq!(host.chat("g", "hello").status, 0);
    host.wait_until("it is in the books", |host| store(host.installation, "SELECT count(*) FROM usage") == 1);
    let told = host.chat("g", "hello").stderr;
    assert!(told.contains("the price of its model is not known"), "{told}");
    let prices = r#"{"models": {"*": {"input": 1, "cachedInput": 0.5, "output": 10}}}"#;
    fs::write(installation.path("data/prices.json"), prices).unwrap();
    assert_eq!(host.chat("g", "hello").status, 0, "the edit counts at once");
    // 400 at $1, 600 at $0.50 and 50 at $10 for a million.
    host.wait_until("its price is reckoned", |host| {
        store(host.installation, "SELECT sum(cost_nano_usd) FROM usage") == 1_200_000
    });
    let told = host.chat("g", "hello").stderr;
    assert!(told.contains("raise `dailyUsd`"), "{told}");
}
