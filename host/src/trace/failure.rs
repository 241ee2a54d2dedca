//! Why a turn failed and what the operator can do about it, in words: pure.
//!
//! `phrases` says the same to a chat, without jargon; here the reader is the operator.

use crate::store::story::TurnRow;
use crate::usage::denial::Told;

/// How much of a reason is told, in characters.
const REASON_CHARS: usize = 200;

/// Why, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// What happened.
    pub what: String,
    /// What the operator can do, with the command where there is one.
    pub advice: String,
}

/// Explains a turn's failure by its code and reason.
#[must_use]
pub fn explain(turn: &TurnRow, code: &str, reason: &str) -> Explained {
    let (what, advice) = explanation(turn, code, reason);
    let reason: String = match reason.chars().count() {
        0 => String::new(),
        few if few <= REASON_CHARS => format!(": {reason}"),
        _ => format!(": {}…", reason.chars().take(REASON_CHARS).collect::<String>()),
    };
    Explained { what: format!("{what} ({code}{reason})"), advice }
}

fn explanation(turn: &TurnRow, code: &str, reason: &str) -> (String, String) {
    let (group, provider) = (&turn.group, turn.provider.as_deref().unwrap_or("the provider"));
    let says = |words: &str| reason.to_lowercase().contains(words);
    let log = format!("`longshore logs --turn {}` has what the host saw", turn.id);
    if let Some(told) = Told::of(reason) {
        return budget(group, &told);
    }
    let is = |suffix: &str| code.ends_with(suffix);
    if is("AUTH_ERROR") {
        return credentials(provider, &says);
    }
    if is("CONFIG_ERROR") {
        return if says("`containerconfig.image`") {
            (
                "the image chosen for the group cannot be used".into(),
                format!("check `containerConfig.image` of `{group}` in `longshore groups --json`"),
            )
        } else if says("longshore image build") {
            ("the agent image is missing or of another release".into(), "run `longshore image build`".into())
        } else if says("container engine") {
            ("the container engine does not start the container".into(), "see `longshore doctor`".into())
        } else if says("model") {
            (
                format!("{provider} does not know the group's model, or may not use it"),
                format!("check `model` in the `providerConfig` of `{group}`"),
            )
        } else {
            ("a setting cannot work".into(), log)
        };
    }
    let (what, advice) = match () {
        () if is("OUT_OF_MEMORY") => (
            "the container ran out of memory".into(),
            format!("give it more with `longshore groups set {group} memoryLimit=4g`"),
        ),
        () if is("CONTAINER_STALLED") => ("the container gave no sign of life for too long".into(), log),
        () if is("TIMEOUT") => (
            "the turn took longer than it may".into(),
            format!("allow more with `longshore groups set {group} containerConfig.timeout=3600000` (milliseconds)"),
        ),
        () if is("RATE_LIMITED") => {
            (format!("the usage limit of {provider} is reached"), "wait for it, or check the account's plan".into())
        }
        () if is("TRANSPORT_ERROR") => {
            (format!("{provider} or the container could not be reached"), "see `longshore doctor`".into())
        }
        () if is("INVALID_OPTIONS") => {
            (format!("{provider} refused its settings"), format!("check the `providerConfig` of `{group}`"))
        }
        () if is("INVALID_EVENT") => {
            (format!("what {provider} wrote cannot be read"), "run `longshore image build`".into())
        }
        () if is("MISSING_RESULT") => (format!("{provider} ended without a word"), log),
        () if is("CONTEXT_TOO_LONG") => {
            ("it is more text than the model takes".into(), "ask with less text, or in smaller parts".into())
        }
        () if is("STALE_SESSION") => ("the conversation is gone".into(), "say it again to start a new one".into()),
        () => ("something went wrong".into(), log),
    };
    (what, advice)
}

fn credentials(provider: &str, says: &dyn Fn(&str) -> bool) -> (String, String) {
    let login = "run `longshore login codex`".to_owned();
    let missing = says("no credential") || says("not logged in") || says("no api key");
    if says("longshore login codex") || says("could not be refreshed") {
        let what = if missing { "nobody has logged in to ChatGPT" } else { "the ChatGPT login is no longer accepted" };
        return (what.into(), login);
    }
    let keys = match provider {
        "codex" => "`CODEX_API_KEY` or `OPENAI_API_KEY`",
        _ => "`ANTHROPIC_API_KEY` or `CLAUDE_CODE_OAUTH_TOKEN`",
    };
    if missing {
        return (
            format!("there is no credential for {provider}"),
            format!("set {keys} in `.env` and start the host again"),
        );
    }
    if ["credit balance", "quota exceeded", "billing"].iter().any(|words| says(words)) {
        return (format!("the account for {provider} has no credit left"), "check its plan and billing".into());
    }
    (format!("{provider} did not accept the credential"), format!("renew {keys} in `.env` and start the host again"))
}

fn budget(group: &str, told: &Told) -> (String, String) {
    match told {
        Told::UsedUp { limit, anew } => {
            let anew = anew.as_deref().map(|time| format!(", which starts anew {time}")).unwrap_or_default();
            (
                format!("the group has used its budget for {}{anew}", limit.period()),
                format!(
                    "raise it with `longshore groups set {group} budget.{}=…`; `longshore usage {group}` shows what was used",
                    limit.name()
                ),
            )
        }
        Told::NoPrice { limit } => (
            format!("`{}` of the group's budget cannot be kept: its model has no price", limit.name()),
            "write the price into `data/prices.json`".into(),
        ),
    }
}
