//! Failures by code, of which a runner may make up any number.

use std::sync::atomic::AtomicU64;

use longshore_protocol::FailureKind;

use super::{add, get};

/// What codes begin with.
const SOURCES: [&str; 5] = ["CLAUDE", "CODEX", "CONTAINER", "HOST", "IMAGE"];
/// What follows on that and `_`.
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
/// The one code that is not made of both.
const STALLED: &str = "CONTAINER_STALLED";
/// What every other text counts as.
const OTHER: &str = "OTHER";

/// Counts of failures.
#[derive(Debug, Default)]
pub(super) struct FailureCodes {
    known: [[AtomicU64; KINDS.len()]; SOURCES.len()],
    stalled: AtomicU64,
    other: AtomicU64,
}

impl FailureCodes {
    pub(super) fn count(&self, code: &str) {
        let known =
            SOURCES.iter().position(|source| code.strip_prefix(source).is_some_and(|rest| rest.starts_with('_')));
        let found = known.and_then(|source| {
            let suffix = &code[SOURCES[source].len() + 1..];
            let kind = KINDS.iter().position(|kind| kind.code_suffix() == suffix)?;
            Some(&self.known[source][kind])
        });
        add(found.unwrap_or(if code == STALLED { &self.stalled } else { &self.other }), 1);
    }

    /// Those that have happened.
    pub(super) fn counted(&self) -> Vec<(String, u64)> {
        let known = SOURCES.iter().zip(&self.known).flat_map(|(source, kinds)| {
            KINDS.iter().zip(kinds).map(move |(kind, count)| (format!("{source}_{}", kind.code_suffix()), get(count)))
        });
        let rest = [(STALLED.to_owned(), get(&self.stalled)), (OTHER.to_owned(), get(&self.other))];
        known.chain(rest).filter(|(_, count)| *count > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_runner_makes_up_is_one_code() {
        let codes = FailureCodes::default();
        for code in ["CODEX_RATE_LIMITED", "CLAUDE_AUTH_ERROR", "CODEX_RATE_LIMITED", STALLED] {
            codes.count(code);
        }
        for made_up in ["", "CODEX", "CODEX_", "CODEXRATE_LIMITED", "codex_rate_limited", "x\ny", "CLAUDE_é"] {
            codes.count(made_up);
        }
        let expected = [("CLAUDE_AUTH_ERROR", 1), ("CODEX_RATE_LIMITED", 2), ("CONTAINER_STALLED", 1), ("OTHER", 7)];
        assert_eq!(codes.counted(), expected.map(|(code, count)| (code.to_owned(), count)));
    }
}
