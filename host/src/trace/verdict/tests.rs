use super::*;
use crate::store::story::Story;
use crate::trace::fixture::{at, failed, outbox, seen, turn};

fn check(seen: &Seen, outcome: Outcome, text: &str) {
    assert_eq!(verdict(seen), Verdict { outcome, text: text.into() });
}

/// What a message's turn came to, after `Message 5 (…) `.
fn check_turn(row: TurnRow, rows: Vec<OutboxRow>, outcome: Outcome, text: &str) {
    check(&seen(Some(row), rows), outcome, &format!("Message 5 (`m5`) in `test:family` {text}"));
}

fn with_message(change: impl FnOnce(&mut MessageRow)) -> Seen {
    let mut seen = seen(None, Vec::new());
    change(seen.story.message.as_mut().unwrap());
    seen
}

#[test]
fn a_message_that_is_not_kept_says_why_and_what_to_do() {
    let of = |route: &str, group: Option<&str>| Seen {
        about: About::Unkept { id: "m5".into(), chat: "test:x".into(), route: route.into() },
        group: group.map(Into::into),
        story: Story::default(),
        ..seen(None, Vec::new())
    };
    let unregistered = "ignored: the chat is not registered";
    for (route, group, outcome, text) in [
        (
            unregistered,
            None,
            NotKept,
            "got no answer: the chat is not registered; register it with `longshore groups add test:x --folder NAME`.",
        ),
        (
            unregistered,
            Some("x"),
            NotKept,
            "got no answer: the chat was not registered when it came; it is now, so have it said again.",
        ),
        (
            "ignored: sender dropped",
            Some("x"),
            NotKept,
            "got no answer: its sender is not on the sender allowlist, which drops what others say; add them to `allow` in `~/senders.json`.",
        ),
        ("ignored: the assistant said it", Some("x"), NotAsked, "is the assistant's own, come back from the platform."),
    ] {
        check(&of(route, group), outcome, &format!("Message `m5` in `test:x` {text}"));
    }
}

#[test]
fn a_message_that_is_only_read_says_why_and_what_to_do() {
    for (route, covered, text) in [
        (
            "context: no trigger `@Andy`",
            false,
            "got no answer: it is not addressed to the assistant: it does not start with `@Andy`, and is no mention and no \
             reply; the agent reads it with the next message that wakes it; start it so, or let every message wake the \
             group with `longshore groups set family requiresTrigger=false`.",
        ),
        (
            "context: sender not allowed",
            true,
            "got no answer of its own: its sender may not wake the agent; the agent read it in turn `01a1ff035e4b74da`; \
             add them to `allow` in `~/senders.json`.",
        ),
        (
            "context: no text",
            true,
            "got no answer of its own: it has no text; the agent read it in turn `01a1ff035e4b74da`; say something that \
             can be answered.",
        ),
    ] {
        let mut seen = seen(covered.then(|| turn(TurnState::Settled)), Vec::new());
        let row = seen.story.message.as_mut().unwrap();
        (row.route, row.wakes) = (route.into(), false);
        check(&seen, Context, &format!("Message 5 (`m5`) in `test:family` {text}"));
    }
}

#[test]
fn a_message_without_a_turn_says_what_it_waits_for() {
    let of = |text: &str| format!("Message 5 (`m5`) in `test:family` {text}");
    let waits = with_message(|_| {});
    check(
        &waits,
        Waiting,
        &of("waits: its turn begins when a slot and a container are free; `longshore status` shows what runs."),
    );
    check(
        &Seen { host_runs: false, ..waits.clone() },
        Waiting,
        &of("waits: no host runs; start it with `longshore run`."),
    );
    check(
        &Seen { group: None, ..waits.clone() },
        Waiting,
        &of(
            "waits: no group serves the chat any more; register it again with `longshore groups add test:family --folder NAME`.",
        ),
    );
    let mut behind = waits.clone();
    behind.story.open = Some(turn(TurnState::Running));
    check(&behind, Waiting, &of("waits: turn `01a1ff035e4b74da` of the group runs, and it belongs to the next one."));
    behind.story.open = Some(TurnRow { not_before: Some(at(20_000)), ..turn(TurnState::Waiting) });
    check(
        &behind,
        Waiting,
        &of("waits: turn `01a1ff035e4b74da` of the group is tried again at 2026-01-31 12:00:20Z, and comes first."),
    );
    check(&with_message(|row| row.deleted_at = Some(at(1))), NotAsked, &of("was deleted before a turn began."));
    let stops = with_message(|row| (row.stops, row.wakes) = (true, false));
    check(&stops, Waiting, &of("asks for the group's turn to be stopped, and nothing has seen to it yet."));
}

#[test]
fn an_open_turn_says_how_it_stands() {
    let log = "`longshore logs --follow --turn 01a1ff035e4b74da` shows it";
    let runs = format!("is being answered since 2026-01-31 12:00:00Z (try 1); {log}.");
    check_turn(turn(TurnState::Running), Vec::new(), Running, &runs);
    let interrupted = Seen { host_runs: false, ..seen(Some(turn(TurnState::Running)), Vec::new()) };
    assert_eq!(verdict(&interrupted).outcome, Waiting);
    let retry = TurnRow {
        state: TurnState::Waiting,
        not_before: Some(at(60_000)),
        ended_at: None,
        ..failed("CLAUDE_RATE_LIMITED", "slow down")
    };
    let text = "is not answered yet: the usage limit of claude is reached (CLAUDE_RATE_LIMITED: slow down); it is tried \
        again at 2026-01-31 12:01:00Z; wait for it, or check the account's plan.";
    check_turn(retry, Vec::new(), Retrying, text);
}

#[test]
fn a_turn_that_went_well_says_what_became_of_its_words() {
    let settled = || turn(TurnState::Settled);
    let (sent, pending, dead) = (outbox(OutboxState::Sent), outbox(OutboxState::Pending), outbox(OutboxState::Dead));
    check_turn(settled(), vec![sent.clone()], Answered, "was answered: 1 message sent, 2.9 s after it came.");
    check_turn(settled(), Vec::new(), Silent, "got no answer: the agent chose to say nothing.");
    let refused = OutboxRow { error: Some("no such chat".into()), ..dead };
    let text = "was answered, and the answer was not delivered: the channel refused it after 1 try (no such chat); check \
        with `longshore status` that the channel still reaches `test:family`, and have it asked again.";
    check_turn(settled(), vec![sent, refused], Undelivered, text);
    let text = "was answered, and the answer is to be sent: its channel cannot send now; see the channels in `longshore status`.";
    check_turn(settled(), vec![pending.clone()], Sending, text);
    let tried = OutboxRow { attempts: 2, error: Some("busy".into()), not_before: Some(at(60_000)), ..pending };
    let alone = Seen { about: About::Row(Subject::Outbox(9)), ..seen(Some(settled()), vec![tried]) };
    check(
        &alone,
        Sending,
        "Outbox row 9 to `test:family` is to be sent: busy; tried 2 tries, again at 2026-01-31 12:01:00Z.",
    );
}

#[test]
fn a_turn_that_failed_says_why_and_what_to_do() {
    let used = "this group has used its budget for today: 15 of 15, `dailyTokens`, anew `at 00:00`";
    for (code, reason, text) in [
        (
            "CLAUDE_AUTH_ERROR",
            "401",
            "claude did not accept the credential (CLAUDE_AUTH_ERROR: 401); renew `ANTHROPIC_API_KEY` or \
             `CLAUDE_CODE_OAUTH_TOKEN` in `.env` and start the host again",
        ),
        (
            "CLAUDE_AUTH_ERROR",
            "no credential for claude",
            "there is no credential for claude (CLAUDE_AUTH_ERROR: no credential for claude); set `ANTHROPIC_API_KEY` or \
             `CLAUDE_CODE_OAUTH_TOKEN` in `.env` and start the host again",
        ),
        (
            "IMAGE_CONFIG_ERROR",
            "the agent image `a` is missing; run `longshore image build`",
            "the agent image is missing or of another release (IMAGE_CONFIG_ERROR: the agent image `a` is missing; run \
             `longshore image build`); run `longshore image build`",
        ),
        (
            "CONTAINER_OUT_OF_MEMORY",
            "killed at its limit of `64 MiB`",
            "the container ran out of memory (CONTAINER_OUT_OF_MEMORY: killed at its limit of `64 MiB`); give it more with \
             `longshore groups set family memoryLimit=4g`",
        ),
        (
            "BUDGET_USED_UP",
            used,
            "the group has used its budget for today, which starts anew at 00:00 (BUDGET_USED_UP: this group has used its \
             budget for today: 15 of 15, `dailyTokens`, anew `at 00:00`); raise it with `longshore groups set family \
             budget.dailyTokens=…`; `longshore usage family` shows what was used",
        ),
        (
            "CONTAINER_STALLED",
            "no sign of life for 900 s",
            "the container gave no sign of life for too long (CONTAINER_STALLED: no sign of life for 900 s); `longshore \
             logs --turn 01a1ff035e4b74da` has what the host saw",
        ),
        (
            "HOST_INTERNAL_ERROR",
            "",
            "something went wrong (HOST_INTERNAL_ERROR); `longshore logs --turn 01a1ff035e4b74da` has what the host saw",
        ),
    ] {
        check_turn(failed(code, reason), Vec::new(), Failed, &format!("got no answer after 1 try: {text}."));
    }
    let told = OutboxRow { is_notice: true, ..outbox(OutboxState::Sent) };
    let partly = TurnRow { said: true, attempt: 3, ..failed("X_MISSING_RESULT", "") };
    let text = verdict(&seen(Some(partly), vec![told])).text;
    assert!(text.contains("was answered only in part after 3 tries, and the chat was told: "), "{text}");
    check_turn(
        failed("HOST_STOPPED", "somebody asked for it"),
        Vec::new(),
        Stopped,
        "got no answer: somebody stopped it.",
    );
}

#[test]
fn a_reason_is_told_no_longer_than_a_sentence_bears() {
    let text = verdict(&seen(Some(failed("X", &"ü".repeat(10_000))), Vec::new())).text;
    assert!(text.chars().count() < 600, "{text}");
}

#[test]
fn a_turn_of_a_task_is_named_by_its_task() {
    let mut seen = seen(Some(TurnRow { task: Some("water".into()), ..turn(TurnState::Settled) }), Vec::new());
    (seen.about, seen.story.message) = (About::Row(Subject::Turn("01a1".into())), None);
    check(&seen, Silent, "The run of task `water` (turn `01a1`) went well and said nothing.");
    let gone = Seen { story: Story::default(), about: About::Row(Subject::Message(5)), ..seen };
    assert_eq!(verdict(&gone).text, "Message 5 is not there.");
}
