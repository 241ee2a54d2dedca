use serde_json::json;

use super::*;
use crate::store::story::{OutboxRow, OutboxState, TurnState};
use crate::trace::fixture::{at, failed, line, outbox, seen, turn};

fn shown(seen: &Seen) -> String {
    format!("{}\n\n{}", verdict(seen).text, render(&timeline(seen), &TimeZone::get("Europe/Berlin").unwrap()))
}

fn stored() -> crate::record::line::LogLine {
    serde_json::from_value(json!({
        "time": at(8).to_string(), "level": "debug", "message": "messages are stored, and may be acknowledged",
        "fields": { "step": "stored", "channel": "test", "first": 4, "last": 6, "elapsed_ms": 7 }
    }))
    .unwrap()
}

#[test]
fn an_answered_message_reads_well() {
    let mut healthy = seen(Some(turn(TurnState::Settled)), vec![outbox(OutboxState::Sent)]);
    healthy.story.before_ended_at = Some(at(15));
    let mut sent = line(2900, "debug", "the channel says that it is sent", json!({ "step": "sent", "elapsed_ms": 90 }));
    sent.fields.insert("outbox".into(), 9.into());
    let mut container = line(920, "debug", "the container is there", json!({ "step": "container", "elapsed_ms": 890 }));
    let span = json!({ "name": "container", "fields": { "container": "443368c4c51a", "start": "cold" } });
    container.spans.push(serde_json::from_value(span).unwrap());
    healthy.lines = vec![
        stored(),
        line(21, "debug", "a turn begins", json!({ "step": "slot", "messages": 1, "after_ms": 1 })),
        container,
        line(2700, "debug", "not a step and not worth a line", json!({})),
        line(
            2750,
            "debug",
            "the agent is done",
            json!({ "step": "agent", "texts": 1, "tools": 2, "elapsed_ms": 1830 }),
        ),
        sent,
        line(3000, "info", "turn settled", json!({ "step": "end", "elapsed_ms": 2980 })),
    ];
    insta::assert_snapshot!(shown(&healthy));
}

#[test]
fn an_unanswered_message_reads_well_and_gives_a_terminal_no_orders() {
    let notice = OutboxRow { is_notice: true, error: Some("gone".into()), ..outbox(OutboxState::Dead) };
    let mut broken = seen(Some(failed("CLAUDE_AUTH_ERROR", "API Error: 401")), vec![notice]);
    broken.lines = vec![
        line(2000, "warn", "a model request failed\u{1b}[2J\nforged", json!({ "reason": "401" })),
        line(3000, "error", "turn given up", json!({ "step": "end", "code": "CLAUDE_AUTH_ERROR", "elapsed_ms": 2000 })),
    ];
    insta::assert_snapshot!(shown(&broken));
    // Without the record, the rows alone tell it.
    broken.lines.clear();
    insta::assert_snapshot!("without_the_record", shown(&broken));
}

#[test]
fn only_its_own_lines_belong_to_a_message() {
    let story = seen(Some(turn(TurnState::Settled)), vec![outbox(OutboxState::Sent)]).story;
    let belongs = |line: &serde_json::Value| {
        let line = serde_json::from_value(line.clone()).unwrap();
        let found = needles(&story).iter().any(|needle| serde_json::to_string(&line).unwrap().contains(needle));
        assert!(found || !belongs(&story, &line, at(10_000)), "no needle finds {line:?}");
        belongs(&story, &line, at(10_000))
    };
    let of = |millis: i64, fields: serde_json::Value| {
        let time = at(millis).to_string();
        json!({ "time": time, "level": "info", "fields": fields })
    };
    for (line, expected) in [
        (of(8, json!({ "step": "stored", "channel": "test", "first": 4, "last": 6 })), true),
        (of(8, json!({ "step": "stored", "channel": "other", "first": 4, "last": 6 })), false),
        (of(8, json!({ "step": "stored", "channel": "test", "first": 6, "last": 9 })), false),
        (of(30, json!({ "turn": "01a1ff035e4b74da" })), true),
        (of(30, json!({ "turn": "other", "group": "family" })), false),
        (of(30, json!({ "group": "family" })), true),
        (of(30, json!({ "group": "other" })), false),
        (of(5, json!({ "group": "family" })), false),
        (of(9000, json!({ "group": "family" })), false),
        (of(9000, json!({ "outbox": 9 })), true),
        (of(9000, json!({ "outbox": 10, "turn": "01a1ff035e4b74da" })), false),
        (of(30, json!({})), false),
    ] {
        assert_eq!(belongs(&line), expected, "{line}");
    }
}
