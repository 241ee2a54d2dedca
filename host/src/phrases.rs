//! Every sentence that the host itself says to a chat. Pure.
//!
//! One calm sentence that says what happened and what to do. No jargon; settings and commands are named
//! only where an operator has to act. A provider's own words stay in the log.

use jiff::Zoned;
use longshore_protocol::{Failure, FailureKind, ProviderKind, TaskId};

use crate::usage::denial::Told;

/// What a chat is told when the host ended in the middle of a turn that had spoken.
pub const INTERRUPTED: &str = "I was interrupted; what I said last may be incomplete.";

/// What a chat is told when somebody stopped what it waited for.
pub const STOPPED: &str = "Stopped.";

/// What a chat is told when somebody asked to stop and nothing ran or waited.
pub const NOTHING_TO_STOP: &str = "There is nothing to stop.";

/// What a chat is told, once, when its turn waits until `until` because a provider's limit is reached.
#[must_use]
pub fn postponed(provider: ProviderKind, until: &Zoned, now: &Zoned) -> String {
    let name = product(provider);
    let time = until.strftime("%H:%M");
    let day = match until.date() {
        day if day == now.date() => String::new(),
        _ => until.strftime(" on %A, %-d %B").to_string(),
    };
    format!("The usage limit of {name} is reached; I will answer{day} at {time}.")
}

/// What the main group is told when entries of the groups file cannot be used; at most three are named.
#[must_use]
pub fn groups_file(problems: &[String]) -> String {
    const NAMED: usize = 3;
    let named = problems.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join("; ");
    let more = match problems.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!("; and {more} more, which `longshore groups` lists"),
    };
    format!("`registered_groups.json` has something that I cannot use: {named}{more}.")
}

/// What a chat is told when a turn is given up.
///
/// `spoke` says whether the agent had said something before, so that the sentence follows on it.
#[must_use]
pub fn failure(failure: &Failure, provider: ProviderKind, spoke: bool) -> String {
    let (what, advice) = explanation(failure, provider);
    let start = if spoke { "I could not finish" } else { "I could not answer" };
    format!("{start}: {what}; {advice}.")
}

/// What a chat is told when a run of a task failed, the first of a row.
#[must_use]
pub fn task_failure(failure: &Failure, provider: ProviderKind, task: &TaskId) -> String {
    let (what, advice) = explanation(failure, provider);
    format!("The scheduled task `{task}` did not work: {what}; {advice}.")
}

/// What a chat is told when a task is paused because `failures` of its runs failed in a row.
#[must_use]
pub fn task_paused(failure: &Failure, provider: ProviderKind, task: &TaskId, failures: u32) -> String {
    let (what, advice) = explanation(failure, provider);
    format!(
        "The scheduled task `{task}` failed {failures} times in a row, so I paused it. The last time, {what}; {advice}. \
         Ask me to resume it then."
    )
}

/// What happened, and what to do about it.
fn explanation(failure: &Failure, provider: ProviderKind) -> (String, String) {
    let name = product(provider);
    match failure.kind {
        FailureKind::Auth => credentials(failure, provider),
        FailureKind::Config => configuration(failure, provider),
        FailureKind::InvalidOptions => {
            (format!("{name} did not accept its settings"), operator("check this group's `providerConfig`"))
        }
        FailureKind::InvalidEvent => {
            (format!("I could not read what {name} answered"), operator("run `longshore image build`"))
        }
        FailureKind::MissingResult => (format!("{name} ended without an answer"), "please ask again".into()),
        FailureKind::Timeout if mentions(failure, &["no sign of life"]) => (
            "my workplace gave no sign of life for too long, so I gave it up".into(),
            "please ask again, and if it happens again have the operator read the log of the host".into(),
        ),
        FailureKind::Timeout => (
            "it took longer than I may work on one request".into(),
            "please ask for less at once, or have the operator raise `timeout` in this group's `containerConfig`"
                .into(),
        ),
        FailureKind::RateLimited => (format!("the usage limit of {name} is reached"), come_back(failure)),
        FailureKind::Transport => (format!("{name} could not be reached"), "please try again in a few minutes".into()),
        FailureKind::StaleSession => {
            ("our earlier conversation is no longer there".into(), "please say it again to start a new one".into())
        }
        FailureKind::Context => (
            "it is more text than I can take in at once".into(),
            "please ask with less text, or in smaller parts".into(),
        ),
        FailureKind::OutOfMemory => out_of_memory(failure),
        FailureKind::Stopped => ("I was stopped".into(), "please ask again if you still need it".into()),
        FailureKind::Internal => (
            "something went wrong on my side".into(),
            "please try again, and if it happens again have the operator read the log of the host".into(),
        ),
    }
}

fn credentials(failure: &Failure, provider: ProviderKind) -> (String, String) {
    // The second is what codex says when it has the login itself.
    if mentions(failure, &["longshore login codex", "could not be refreshed"]) {
        let what = if mentions(failure, &["no credential"]) {
            "nobody has logged in to ChatGPT yet"
        } else {
            "my ChatGPT login is no longer accepted"
        };
        return (what.into(), operator("run `longshore login codex`"));
    }
    let name = product(provider);
    let missing = mentions(failure, &["no credential", "not logged in", "no api key", "missing credential"]);
    let settings = match provider {
        ProviderKind::Claude => "`ANTHROPIC_API_KEY` or `CLAUDE_CODE_OAUTH_TOKEN`",
        ProviderKind::Codex => "`CODEX_API_KEY` or `OPENAI_API_KEY`",
    };
    if missing {
        (
            format!("I have no access to {name} yet"),
            operator(&format!("set {settings} in `.env` and start Longshore again")),
        )
    } else if mentions(failure, &["credit balance", "quota exceeded", "billing", "upgrade to plus"]) {
        (format!("the account for {name} has no credit left"), operator("check its plan and billing"))
    } else {
        (
            format!("{name} did not accept my credentials"),
            operator(&format!("renew {settings} in `.env` and start Longshore again")),
        )
    }
}

fn configuration(failure: &Failure, provider: ProviderKind) -> (String, String) {
    let name = product(provider);
    if let Some(told) = Told::of(&failure.message) {
        return budget(&told);
    }
    if mentions(failure, &["not supported when using codex with a chatgpt account"]) {
        (
            "the model chosen for this group cannot be used with a ChatGPT account".into(),
            operator("remove `model` from this group's `providerConfig`, or set `OPENAI_API_KEY` in `.env`"),
        )
    } else if mentions(failure, &["`containerconfig.image`"]) {
        ("the image chosen for this group cannot be used".into(), operator("check `image` in its `containerConfig`"))
    } else if mentions(failure, &["longshore image build"]) {
        let what = if mentions(failure, &["protocol"]) {
            "the agent image was made for another release"
        } else {
            "the agent image is missing"
        };
        (what.into(), operator("run `longshore image build`"))
    } else if mentions(failure, &["container engine"]) {
        ("the container engine does not start my workplace".into(), operator("find the reason in the log of the host"))
    } else if mentions(failure, &["model"]) {
        (
            format!("{name} does not know the model chosen for this group, or may not use it"),
            operator("check `model` in this group's `providerConfig`"),
        )
    } else {
        ("a setting of this group cannot work".into(), operator("find the reason in the log of the host"))
    }
}

fn budget(told: &Told) -> (String, String) {
    match told {
        Told::UsedUp { limit, anew } => {
            let anew = anew.as_deref().map(|time| format!(", which starts anew {time}")).unwrap_or_default();
            (
                format!("this group has used its budget for {}{anew}", limit.period()),
                operator(&format!("raise `{}` in its `budget`", limit.name())),
            )
        }
        Told::NoPrice { limit } => (
            "this group has a budget in dollars, and the price of its model is not known".into(),
            operator(&format!(
                "write it into `data/prices.json`, or remove `{}` from the group's `budget`",
                limit.name()
            )),
        ),
    }
}

/// The host writes the limit into the failure in backticks, such as `2 GiB`.
fn out_of_memory(failure: &Failure) -> (String, String) {
    let limit = failure.message.split('`').nth(1).filter(|limit| !limit.is_empty() && limit.len() <= 20);
    let what = match limit {
        Some(limit) => format!("it needed more memory than the {limit} that I may use"),
        None => "it needed more memory than I may use".into(),
    };
    (what, "please ask for less at once, or have the operator raise this group's `memoryLimit`".into())
}

fn come_back(failure: &Failure) -> String {
    match failure.retry_after_seconds {
        None | Some(0) => "please try again later".into(),
        Some(seconds) => format!("please try again in {}", duration(seconds)),
    }
}

/// A time to wait as people say it, rounded up.
fn duration(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..=90 => return "a minute".into(),
        91..=5_400 => (seconds.div_ceil(60), "minutes"),
        5_401..=129_600 => (seconds.div_ceil(3_600), "hours"),
        _ => (seconds.div_ceil(86_400), "days"),
    };
    format!("{count} {unit}")
}

fn operator(deed: &str) -> String {
    format!("the operator can {deed}")
}

fn product(provider: ProviderKind) -> &'static str {
    match provider {
        ProviderKind::Claude => "Claude",
        ProviderKind::Codex => "Codex",
    }
}

fn mentions(failure: &Failure, any: &[&str]) -> bool {
    let message = failure.message.to_lowercase();
    any.iter().any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;

    /// Every kind, and the messages that make a difference.
    const TABLE: &[(FailureKind, &str, Option<u64>)] = &[
        (FailureKind::Auth, "the ChatGPT login has expired; run `longshore login codex`", None),
        (FailureKind::Auth, "no credential for codex: run `longshore login codex`", None),
        (FailureKind::Auth, "Your access token could not be refreshed because your refresh token was revoked.", None),
        (FailureKind::Auth, "Failed to authenticate. API Error: 401", None),
        (FailureKind::Auth, "Not logged in · Please run /login", None),
        (FailureKind::Auth, "no credential for this provider", None),
        (FailureKind::Auth, "Credit balance is too low", None),
        (FailureKind::Auth, "Quota exceeded. Check your plan and billing details.", None),
        (FailureKind::Config, "the setting `x` cannot work", None),
        (FailureKind::Config, "There's an issue with the selected model (x).", None),
        (FailureKind::Config, "The 'gpt-x' model is not supported when using Codex with a ChatGPT account.", None),
        (FailureKind::Config, "the agent image `a` is missing; run `longshore image build`", None),
        (
            FailureKind::Config,
            "the agent image `a` speaks protocol 2 and this host speaks 1; run `longshore image build`",
            None,
        ),
        (FailureKind::Config, "the image `a`, which `containerConfig.image` of group `b` names, is missing", None),
        (FailureKind::Config, "the container engine refused: invalid mount", None),
        (FailureKind::Config, "this group has used its budget for today: 1050 of 1000, `dailyTokens`", None),
        (FailureKind::Config, "this group has used its budget for today: 9 of 9, `dailyTokens`, anew `at 00:00`", None),
        (
            FailureKind::Config,
            "400 this group has used its budget for this month: $2.00 of $2.00, `monthlyUsd`, anew `on 1 March at 00:00`",
            None,
        ),
        (
            FailureKind::Config,
            "this group has a budget in dollars, `dailyUsd`, and no price is known for the model `x`",
            None,
        ),
        (FailureKind::InvalidOptions, "unknown option", None),
        (FailureKind::InvalidEvent, "a line could not be read", None),
        (FailureKind::MissingResult, "no result", None),
        (FailureKind::Timeout, "600 s", None),
        (FailureKind::Timeout, "no sign of life for 900 s", None),
        (FailureKind::RateLimited, "slow down", None),
        (FailureKind::RateLimited, "slow down", Some(30)),
        (FailureKind::RateLimited, "slow down", Some(1_000)),
        (FailureKind::RateLimited, "slow down", Some(17_000)),
        (FailureKind::RateLimited, "slow down", Some(400_000)),
        (FailureKind::Transport, "Connection refused", None),
        (FailureKind::StaleSession, "No conversation found", None),
        (FailureKind::Context, "Prompt is too long", None),
        (FailureKind::OutOfMemory, "killed at its limit of `2 GiB`", None),
        (FailureKind::OutOfMemory, "killed", None),
        (FailureKind::Stopped, "stopped", None),
        (FailureKind::Internal, "panicked at `x`", None),
    ];

    fn case(kind: FailureKind, message: &str, retry_after_seconds: Option<u64>) -> Failure {
        Failure { retry_after_seconds, ..Failure::new("claude", kind, message) }
    }

    #[test]
    fn every_failure_has_its_sentence() {
        let mut table = String::new();
        for provider in ProviderKind::ALL {
            for (kind, message, after) in TABLE {
                let sentence = failure(&case(*kind, message, *after), provider, false);
                writeln!(table, "{provider} {kind:?} ({message})\n    {sentence}").unwrap();
            }
        }
        insta::assert_snapshot!("failures", table);
    }

    #[test]
    fn a_failure_after_words_follows_on_them() {
        assert_eq!(
            failure(&case(FailureKind::Transport, "", None), ProviderKind::Codex, true),
            "I could not finish: Codex could not be reached; please try again in a few minutes."
        );
    }

    #[test]
    fn a_long_wait_is_told_with_its_end() {
        let now: Zoned = "2026-11-21T22:30[Europe/Berlin]".parse().unwrap();
        let after = |hours: i64| {
            postponed(ProviderKind::Claude, &now.checked_add(jiff::Span::new().hours(hours)).unwrap(), &now)
        };
        assert_eq!(after(1), "The usage limit of Claude is reached; I will answer at 23:30.");
        assert_eq!(after(63), "The usage limit of Claude is reached; I will answer on Tuesday, 24 November at 13:30.");
    }

    proptest! {
        #[test]
        fn a_sentence_is_short_and_never_repeats_the_providers_words(
            message in "[A-Z]{6,12}( `[a-z]{30,60}`)?",
            row in proptest::sample::select(TABLE.to_vec()),
            after in proptest::option::of(any::<u64>()),
        ) {
            let sentence = failure(&case(row.0, &message, after), ProviderKind::Claude, true);
            prop_assert!(!sentence.contains(&message));
            prop_assert!(sentence.len() < 240 && !sentence.contains('\n'));
            prop_assert!(sentence.ends_with('.'));
        }
    }
}
