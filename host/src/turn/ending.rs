//! What becomes of a turn that is over: its row, the next look at its group, a sentence for the chat.

use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use longshore_protocol::{Failure, FailureKind};

use super::fold::{Outcome, Said, Verdict, spread, verdict};
use super::run::{TurnRunner, attempt_of};
use crate::channel::chunk::chunk;
use crate::container::RuntimeError;
use crate::groups::Group;
use crate::metrics::TurnOutcome;
use crate::phrases;
use crate::queue::state::Next;
use crate::schedule::failure::{AfterFailure, after_failure};
use crate::store::StoreError;
use crate::store::turns::{BegunTurn, EndTurn};

/// How long a turn waits when the engine does not answer, in seconds: the first time, the second …
const ENGINE_BACKOFF: [u64; 5] = [1, 2, 5, 10, 30];

impl TurnRunner {
    /// Ends the turn's attempt; the elapsed time is for the log.
    pub(super) async fn end(
        &self,
        group: &Group,
        turn: &BegunTurn,
        verdict: Verdict,
        elapsed_ms: u64,
    ) -> Result<Next, StoreError> {
        let (outcome, code) = counted(&verdict);
        self.metrics.turn_ends(group.provider, outcome, code);
        mark(outcome, code);
        let wait = |after| self.later(spread(&turn.id, turn.attempt, after));
        let (end, next) = match verdict {
            Verdict::Settled | Verdict::SettledSilently => {
                tracing::info!(step = "end", elapsed_ms, "turn settled");
                (EndTurn::Settled, Next::More)
            }
            Verdict::Stopped => {
                tracing::info!(step = "end", elapsed_ms, "turn stopped");
                (EndTurn::Stopped, Next::More)
            }
            Verdict::Retry { failure, after } => {
                let at = wait(after);
                tracing::warn!(step = "retry", elapsed_ms, code = %failure.code, reason = %failure.message, %at, "turn failed; it is tried again");
                (EndTurn::Retry { failure, at: Some(at), counted: true, forget_session: false }, Next::After(at))
            }
            Verdict::Postpone { failure, after } => {
                let at = wait(after);
                tracing::warn!(step = "retry", elapsed_ms, code = %failure.code, reason = %failure.message, %at, "turn waits for its provider's limit");
                (self.postpone(group, turn, failure, at).await, Next::After(at))
            }
            Verdict::ForgetSession { failure } => {
                tracing::info!(step = "retry", code = %failure.code, "the conversation is gone; starting a new one");
                (EndTurn::Retry { failure, at: None, counted: false, forget_session: true }, Next::More)
            }
            Verdict::GiveUp { failure, spoke } => {
                tracing::error!(step = "end", elapsed_ms, code = %failure.code, reason = %failure.message, "turn given up");
                (self.give_up(group, turn, failure, spoke).await, Next::More)
            }
        };
        self.store.end_turn(turn.id.clone(), end, self.clock.now()).await?;
        self.outbound.look();
        Ok(next)
    }

    /// No container: the engine is away (the turn waits and no try is counted) or it will not run one.
    pub(super) async fn not_started(
        &self,
        group: &Group,
        turn: &BegunTurn,
        error: &RuntimeError,
    ) -> Result<Next, StoreError> {
        let failure = match error {
            RuntimeError::Unavailable(_) => {
                self.metrics.turn_ends(group.provider, TurnOutcome::NoEngine, None);
                return self.engine_away(turn, error).await;
            }
            RuntimeError::ImageMissing { .. }
            | RuntimeError::ImageProtocol { .. }
            | RuntimeError::GroupImage { .. } => Failure::new("image", FailureKind::Config, error.to_string()),
            RuntimeError::Refused(_) => Failure::new("container", FailureKind::Internal, error.to_string()),
        };
        let verdict = verdict(Outcome::Failed(failure), Said::Nothing, attempt_of(turn));
        self.end(group, turn, verdict, 0).await
    }

    async fn engine_away(&self, turn: &BegunTurn, error: &RuntimeError) -> Result<Next, StoreError> {
        let refusals = self.engine_refusals.fetch_add(1, Ordering::Relaxed);
        if refusals == 0 {
            tracing::error!(%error, "no container engine; messages are stored and answered when it is back");
        }
        tracing::debug!(step = "retry", %error, "the turn waits for the container engine");
        let step = usize::try_from(refusals).unwrap_or(usize::MAX).min(ENGINE_BACKOFF.len() - 1);
        let at = self.later(Duration::from_secs(ENGINE_BACKOFF[step]));
        let failure = Failure::new("container", FailureKind::Transport, error.to_string());
        let end = EndTurn::Retry { failure, at: Some(at), counted: false, forget_session: false };
        self.store.end_turn(turn.id.clone(), end, self.clock.now()).await?;
        Ok(Next::After(at))
    }

    /// Who waits for an answer is told when it will come; of a task nobody waits for one.
    async fn postpone(&self, group: &Group, turn: &BegunTurn, failure: Failure, at: Timestamp) -> EndTurn {
        let notice = match turn.task() {
            Some(_) => Vec::new(),
            None => {
                let zone = group.timezone.as_ref().unwrap_or(&self.time_zone);
                let (until, now) = (at.to_zoned(zone.clone()), self.clock.now().to_zoned(zone.clone()));
                self.pieces(group, &phrases::postponed(group.provider, &until, &now)).await
            }
        };
        EndTurn::Postponed { failure, at, notice }
    }

    /// The chat is told; of a task that fails again and again, once and when it is paused.
    async fn give_up(&self, group: &Group, turn: &BegunTurn, failure: Failure, spoke: bool) -> EndTurn {
        let (sentence, pause_task) = match turn.task() {
            None => (Some(phrases::failure(&failure, group.provider, spoke)), false),
            Some(run) => match after_failure(run.failures) {
                AfterFailure::Tell => (Some(phrases::task_failure(&failure, group.provider, &run.task)), false),
                AfterFailure::Pause => {
                    (Some(phrases::task_paused(&failure, group.provider, &run.task, run.failures + 1)), true)
                }
                AfterFailure::Quiet => (None, false),
            },
        };
        let notice = match sentence {
            Some(sentence) => self.pieces(group, &sentence).await,
            None => Vec::new(),
        };
        if pause_task {
            self.tasks_changed.tell();
        }
        EndTurn::GaveUp { failure, notice, pause_task }
    }

    /// A text in pieces that the group's channel can carry.
    pub(super) async fn pieces(&self, group: &Group, text: &str) -> Vec<String> {
        chunk(text, self.outbound.max_text_bytes(&group.chat, text).await)
    }

    pub(super) fn later(&self, wait: Duration) -> Timestamp {
        self.clock.now().checked_add(wait).unwrap_or(Timestamp::MAX)
    }
}

/// What became of the turn, on its span.
fn mark(outcome: TurnOutcome, code: Option<&str>) {
    let span = tracing::Span::current();
    span.record("outcome", outcome.name());
    if let Some(code) = code {
        span.record("code", code);
    }
}

/// As what a verdict is counted.
fn counted(verdict: &Verdict) -> (TurnOutcome, Option<&str>) {
    match verdict {
        Verdict::Settled => (TurnOutcome::Settled, None),
        Verdict::SettledSilently => (TurnOutcome::Silent, None),
        Verdict::Stopped => (TurnOutcome::Stopped, None),
        Verdict::Retry { failure, .. } => (TurnOutcome::Retried, Some(&failure.code)),
        Verdict::Postpone { failure, .. } => (TurnOutcome::Postponed, Some(&failure.code)),
        Verdict::ForgetSession { failure } => (TurnOutcome::SessionForgotten, Some(&failure.code)),
        Verdict::GiveUp { failure, .. } => (TurnOutcome::GaveUp, Some(&failure.code)),
    }
}
