use std::time::Duration;

use proptest::prelude::*;

use super::*;

const KINDS: [FailureKind; 13] = [
    FailureKind::Auth,
    FailureKind::Config,
    FailureKind::InvalidOptions,
    FailureKind::InvalidEvent,
    FailureKind::MissingResult,
    FailureKind::Timeout,
    FailureKind::RateLimited,
    FailureKind::Transport,
    FailureKind::StaleSession,
    FailureKind::Context,
    FailureKind::OutOfMemory,
    FailureKind::Stopped,
    FailureKind::Internal,
];

fn turn() -> TurnId {
    "t1".parse().unwrap()
}

fn first() -> Attempt {
    Attempt::new(1, false)
}

fn fold() -> TurnFold {
    TurnFold::new(turn(), first())
}

fn message(text: &str) -> RunnerEvent {
    RunnerEvent::Message { turn: turn(), text: text.into() }
}

fn finished() -> RunnerEvent {
    RunnerEvent::Finished { turn: turn() }
}

fn failure(kind: FailureKind) -> Failure {
    Failure::new("claude", kind, "no")
}

fn failed(kind: FailureKind) -> RunnerEvent {
    RunnerEvent::Failed { turn: turn(), failure: failure(kind) }
}

fn folded(events: impl IntoIterator<Item = RunnerEvent>) -> Vec<Effect> {
    let mut fold = fold();
    events.into_iter().flat_map(|event| fold.handle(event)).collect()
}

fn lost(kind: FailureKind, said: Said, attempt: Attempt) -> Verdict {
    verdict(Outcome::Failed(failure(kind)), said, attempt)
}

#[test]
fn a_turn_is_told_as_it_happens() {
    let session: SessionId = "01a1fbf5".parse().unwrap();
    let usage = Usage { input_tokens: 10, cached_input_tokens: 4, output_tokens: 2 };
    let effects = folded([
        RunnerEvent::Session { turn: turn(), session: session.clone() },
        RunnerEvent::Progress { turn: turn(), note: "tool\nBash".into() },
        message("Looking. <internal>Where?</internal>"),
        message("Found it."),
        RunnerEvent::Usage { turn: turn(), usage },
        finished(),
    ]);
    assert_eq!(
        effects,
        [
            Effect::Session(session),
            Effect::Note("tool Bash".into()),
            Effect::Say("Looking.".into()),
            Effect::Say("Found it.".into()),
            Effect::Usage(usage),
            Effect::End(Verdict::Settled),
        ]
    );
}

#[test]
fn an_agent_may_choose_to_be_silent() {
    let effects = folded([message("<internal>nothing to say</internal>"), message(" "), finished()]);
    assert_eq!(effects.last(), Some(&Effect::End(Verdict::SettledSilently)));
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Say(_))));
}

#[test]
fn a_turn_without_a_word_is_not_passed_over_in_silence() {
    let [Effect::End(Verdict::GiveUp { failure, spoke: false })] = &folded([message("\n"), finished()])[..] else {
        panic!("not given up");
    };
    assert_eq!(failure.code, "HOST_MISSING_RESULT");
}

#[test]
fn a_turn_that_acted_by_other_means_needs_no_words() {
    let mut fold = fold();
    fold.acted();
    assert_eq!(fold.handle(finished()), [Effect::End(Verdict::Settled)]);
}

#[test]
fn events_of_another_turn_are_only_noted() {
    let other: TurnId = "t0".parse().unwrap();
    let effects = folded([
        RunnerEvent::Message { turn: other.clone(), text: "late".into() },
        RunnerEvent::Finished { turn: other },
        RunnerEvent::Ready { protocol: 1, agent_version: "1".into(), running: None },
    ]);
    assert!(effects.iter().all(|effect| matches!(effect, Effect::Note(_))), "{effects:?}");
    assert_eq!(effects.len(), 3);
}

#[test]
fn nothing_counts_after_the_end() {
    let mut fold = fold();
    let _ = fold.handle(message("hi"));
    let _ = fold.handle(finished());
    assert!(fold.has_ended());
    let mut after = fold.handle(finished());
    after.extend(fold.handle(message("more")));
    after.extend(fold.handle(failed(FailureKind::Internal)));
    assert!(after.iter().all(|effect| matches!(effect, Effect::Note(_))), "{after:?}");
    assert_eq!(after.len(), 3);
}

#[test]
fn a_turn_whose_container_died_has_an_end() {
    let dead = failure(FailureKind::OutOfMemory);
    assert_eq!(fold().lost(dead.clone()), Verdict::GiveUp { failure: dead, spoke: false });
}

#[test]
fn a_turn_that_spoke_is_never_replayed() {
    for kind in KINDS {
        for continued in [false, true] {
            let verdict = lost(kind, Said::Aloud, Attempt::new(1, continued));
            assert_eq!(verdict, Verdict::GiveUp { failure: failure(kind), spoke: true });
        }
    }
}

#[test]
fn a_turn_that_said_nothing_is_tried_again_if_that_can_help() {
    for kind in KINDS {
        for said in [Said::Nothing, Said::Privately] {
            let verdict = lost(kind, said, first());
            assert_eq!(matches!(verdict, Verdict::Retry { .. }), kind.retryable(), "{kind:?}: {verdict:?}");
        }
    }
}

#[test]
fn a_turn_is_tried_five_times_with_doubling_waits() {
    let waits: Vec<_> = (1..=6)
        .map(|number| match lost(FailureKind::Transport, Said::Nothing, Attempt::new(number, false)) {
            Verdict::Retry { after, .. } => Some(after.as_secs()),
            _ => None,
        })
        .collect();
    assert_eq!(waits, [Some(5), Some(10), Some(20), Some(40), None, None]);
}

#[test]
fn the_providers_wish_to_wait_is_respected_and_told_if_people_would_wait_for_long() {
    let wish = |seconds| {
        let failure = Failure { retry_after_seconds: Some(seconds), ..failure(FailureKind::RateLimited) };
        match verdict(Outcome::Failed(failure), Said::Nothing, first()) {
            Verdict::Retry { after, .. } => Some((after.as_secs(), "silent")),
            Verdict::Postpone { after, .. } => Some((after.as_secs(), "told")),
            _ => None,
        }
    };
    assert_eq!(wish(1), Some((5, "silent")));
    assert_eq!(wish(90), Some((90, "silent")));
    assert_eq!(wish(LONGEST_SILENT_WAIT.as_secs()), Some((900, "silent")));
    assert_eq!(wish(901), Some((901, "told")));
    assert_eq!(wish(LONGEST_WAIT.as_secs()), Some((691_200, "told")));
    assert_eq!(wish(LONGEST_WAIT.as_secs() + 1), None);
    assert_eq!(wish(u64::MAX), None);
}

#[test]
fn a_conversation_that_is_gone_or_too_long_is_forgotten_once() {
    for kind in [FailureKind::StaleSession, FailureKind::Context] {
        let verdict = lost(kind, Said::Nothing, Attempt::new(MAX_ATTEMPTS, true));
        assert_eq!(verdict, Verdict::ForgetSession { failure: failure(kind) });
        let again = lost(kind, Said::Nothing, first());
        assert!(!matches!(again, Verdict::ForgetSession { .. }), "{again:?}");
    }
}

#[test]
fn a_turn_says_no_more_than_it_may_and_the_cut_is_seen() {
    let said = |effects: Vec<Effect>| match effects.into_iter().next() {
        Some(Effect::Say(text)) => Some(text),
        _ => None,
    };
    let mut long = fold();
    assert!(said(long.handle(message("word"))).is_some());
    let cut = said(long.handle(message(&"x".repeat(3 * MOST_SAID_BYTES)))).unwrap();
    assert!(cut.len() <= MOST_SAID_BYTES + 100 && cut.ends_with("more bytes left out]"), "{}", cut.len());
    assert_eq!(said(long.handle(message("more"))), None);
    let mut many = fold();
    assert_eq!((0..2 * MOST_SAID).filter_map(|_| said(many.handle(message("word")))).count(), MOST_SAID);
    assert_eq!(many.handle(finished()), [Effect::End(Verdict::Settled)]);
}

#[test]
fn a_turn_that_somebody_stopped_is_neither_tried_again_nor_a_failure() {
    for event in [failed(FailureKind::Stopped), failed(FailureKind::Transport)] {
        let mut fold = fold();
        let _ = fold.handle(message("hi"));
        fold.stop();
        assert_eq!(fold.handle(event), [Effect::End(Verdict::Stopped)]);
    }
    let mut fold = fold();
    let _ = fold.handle(message("hi"));
    fold.stop();
    assert_eq!(fold.handle(finished()), [Effect::End(Verdict::Settled)], "it was faster than the stop");
}

#[test]
fn a_runner_that_is_stopped_by_nobody_in_the_chat_runs_the_turn_again() {
    let effects = fold().handle(failed(FailureKind::Stopped));
    assert!(matches!(effects[..], [Effect::End(Verdict::Retry { .. })]), "{effects:?}");
}

proptest! {
    #[test]
    fn a_wait_is_stretched_by_a_fourth_at_most_and_always_alike(id in "[a-z0-9]{1,20}", attempt in 1u32..6, seconds in 0u64..700_000) {
        let (id, wait): (TurnId, _) = (id.parse().unwrap(), Duration::from_secs(seconds));
        let spread_out = spread(&id, attempt, wait);
        prop_assert!(spread_out >= wait && spread_out <= wait + (wait / 4).min(Duration::from_secs(30)));
        prop_assert_eq!(spread_out, spread(&id, attempt, wait));
    }
}

fn any_event() -> impl Strategy<Value = RunnerEvent> {
    prop_oneof![
        3 => prop_oneof![Just("hi"), Just("<internal>x</internal>"), Just("")].prop_map(message),
        1 => Just(finished()),
        1 => proptest::sample::select(KINDS.to_vec()).prop_map(failed),
        1 => Just(RunnerEvent::Finished { turn: "other".parse().unwrap() }),
        1 => Just(RunnerEvent::Ready { protocol: 1, agent_version: String::new(), running: None }),
    ]
}

proptest! {
    #[test]
    fn whatever_a_runner_writes_a_turn_ends_once_and_a_spoken_word_is_not_repeated(
        events in proptest::collection::vec(any_event(), 0..30),
        number in 1u32..7,
        continued in any::<bool>(),
    ) {
        let mut fold = TurnFold::new(turn(), Attempt::new(number, continued));
        let mut effects: Vec<_> = events.into_iter().flat_map(|event| fold.handle(event)).collect();
        if !fold.has_ended() {
            effects.push(Effect::End(fold.lost(failure(FailureKind::Transport))));
        }
        let ends: Vec<_> = effects.iter().filter(|effect| matches!(effect, Effect::End(_))).collect();
        prop_assert_eq!(ends.len(), 1);
        if effects.iter().any(|effect| matches!(effect, Effect::Say(_))) {
            let kept = matches!(ends[0], Effect::End(Verdict::Settled | Verdict::GiveUp { spoke: true, .. }));
            prop_assert!(kept, "{:?}", ends);
        }
    }
}
